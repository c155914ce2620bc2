// io_uring by its raw system calls, for writes alone.
#include "clinux.h"
#include "uring.h"

#include <linux/io_uring.h>
#include <sys/syscall.h>

// Headers before Linux 6.1 lack these.
#ifndef IORING_SETUP_SUBMIT_ALL
#define IORING_SETUP_SUBMIT_ALL (1U << 7)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

_Static_assert(sizeof(struct clinux_uring_entry) == sizeof(struct io_uring_sqe), "an entry's size");
_Static_assert(offsetof(struct clinux_uring_entry, file) == offsetof(struct io_uring_sqe, fd), "where the file is");
_Static_assert(offsetof(struct clinux_uring_entry, address) == offsetof(struct io_uring_sqe, addr), "address");
_Static_assert(offsetof(struct clinux_uring_entry, length) == offsetof(struct io_uring_sqe, len), "length");
_Static_assert(offsetof(struct clinux_uring_entry, tag) == offsetof(struct io_uring_sqe, user_data), "tag");
_Static_assert(sizeof(struct clinux_uring_result) == sizeof(struct io_uring_cqe), "a result's size");
_Static_assert(offsetof(struct clinux_uring_result, result) == offsetof(struct io_uring_cqe, res), "result");
_Static_assert(CLINUX_URING_WRITEV == IORING_OP_WRITEV && CLINUX_URING_WRITE == IORING_OP_WRITE, "operations");
_Static_assert(CLINUX_URING_GETEVENTS == IORING_ENTER_GETEVENTS, "the flag of io_uring_enter");

static long uring_register(int fd, unsigned int operation, const void *argument, unsigned int count) {
    return syscall(SYS_io_uring_register, fd, operation, argument, count);
}

// Disabled, so that it can be restricted, and so that the thread that enables it is its only user.
static int make(uint32_t capacity, struct io_uring_params *parameters) {
    static const unsigned int wishes[] = {
        // Linux 6.1: completions are only looked for where they are asked for.
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        // Linux 5.18: an entry that is refused does not stop those behind it.
        IORING_SETUP_SUBMIT_ALL,
        0,
    };
    long fd = -1;
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        memset(parameters, 0, sizeof *parameters);
        parameters->flags = IORING_SETUP_R_DISABLED | wishes[i];
        fd = syscall(SYS_io_uring_setup, capacity, parameters);
        if (fd >= 0 || errno != EINVAL) break;
    }
    return fd < 0 ? -errno : (int)fd;
}

static int restrict_to_writes(int fd) {
    struct io_uring_restriction only[4];
    memset(only, 0, sizeof only);
    only[0].opcode = IORING_RESTRICTION_SQE_OP;
    only[0].sqe_op = IORING_OP_WRITE;
    only[1].opcode = IORING_RESTRICTION_SQE_OP;
    only[1].sqe_op = IORING_OP_WRITEV;
    only[2].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    only[2].sqe_flags = IOSQE_FIXED_FILE;
    only[3].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
    only[3].sqe_flags = IOSQE_FIXED_FILE;
    return uring_register(fd, IORING_REGISTER_RESTRICTIONS, only, 4) < 0 ? -errno : 0;
}

static int map(struct clinux_uring *ring, const struct io_uring_params *parameters) {
    size_t submission = parameters->sq_off.array + parameters->sq_entries * sizeof(uint32_t);
    size_t completion = parameters->cq_off.cqes + parameters->cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = submission > completion ? submission : completion;
    ring->entries_size = parameters->sq_entries * sizeof(struct io_uring_sqe);
    int flags = MAP_SHARED | MAP_POPULATE;
    char *rings = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE, flags, ring->fd, IORING_OFF_SQ_RING);
    if (rings == MAP_FAILED) return -errno;
    ring->rings = rings;
    void *entries = mmap(NULL, ring->entries_size, PROT_READ | PROT_WRITE, flags, ring->fd, IORING_OFF_SQES);
    if (entries == MAP_FAILED) return -errno;
    ring->entries = entries;
    ring->capacity = parameters->sq_entries;
    ring->submission_head = (uint32_t *)(rings + parameters->sq_off.head);
    ring->submission_tail = (uint32_t *)(rings + parameters->sq_off.tail);
    ring->completion_head = (uint32_t *)(rings + parameters->cq_off.head);
    ring->completion_tail = (uint32_t *)(rings + parameters->cq_off.tail);
    ring->completion_mask = *(uint32_t *)(rings + parameters->cq_off.ring_mask);
    ring->results = (struct clinux_uring_result *)(rings + parameters->cq_off.cqes);
    uint32_t *order = (uint32_t *)(rings + parameters->sq_off.array);
    for (uint32_t i = 0; i < ring->capacity; i++) {
        order[i] = i;
        ring->entries[i].flags = IOSQE_FIXED_FILE;
        // O_NONBLOCK is not enough: io_uring would wait for room and try again.
        ring->entries[i].rw_flags = RWF_NOWAIT;
    }
    return 0;
}

int clinux_uring_open(struct clinux_uring *ring, uint32_t capacity, const int *files, size_t count) {
    memset(ring, 0, sizeof *ring);
    struct io_uring_params parameters;
    ring->fd = make(capacity, &parameters);
    if (ring->fd < 0) return ring->fd;
    // One mapping for both rings: Linux 5.4. Without it restrictions are not known either.
    int result = parameters.features & IORING_FEAT_SINGLE_MMAP ? 0 : -EINVAL;
    if (result == 0) result = map(ring, &parameters);
    if (result == 0 && uring_register(ring->fd, IORING_REGISTER_FILES, files, (unsigned int)count) < 0) result = -errno;
    if (result == 0) result = restrict_to_writes(ring->fd);
    if (result < 0) clinux_uring_close(ring);
    return result;
}

int clinux_uring_enable(const struct clinux_uring *ring) {
    return uring_register(ring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0 ? -errno : 0;
}

void clinux_uring_let_wait(struct clinux_uring *ring) {
    for (uint32_t i = 0; i < ring->capacity; i++) ring->entries[i].rw_flags = 0;
}

void clinux_uring_close(struct clinux_uring *ring) {
    if (ring->entries) munmap(ring->entries, ring->entries_size);
    if (ring->rings) munmap(ring->rings, ring->rings_size);
    if (ring->fd >= 0) close(ring->fd);
    memset(ring, 0, sizeof *ring);
    ring->fd = -1;
}
