// Writes of many frames in one system call, by io_uring (linux/io_uring.h), without a library.
//
// The ring is made for one thing: every descriptor that may be written to is registered when it is made, and after
// that the kernel takes no entry from it but a write to one of them. That matters because what a ring does passes by
// seccomp filters.
#ifndef TAPLINE_CLINUX_URING_H
#define TAPLINE_CLINUX_URING_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/// An entry of the submission queue, as struct io_uring_sqe has it for writes.
struct clinux_uring_entry {
    uint8_t opcode;
    uint8_t flags;
    uint16_t priority;
    int32_t file;
    uint64_t offset;
    uint64_t address;
    uint32_t length;
    uint32_t rw_flags;
    uint64_t tag;
    uint64_t unused[3];
};

/// An entry of the completion queue, as struct io_uring_cqe has it.
struct clinux_uring_result {
    uint64_t tag;
    int32_t result;
    uint32_t flags;
};

/// A ring and where its parts are mapped. One thread uses it: the one that enabled it.
struct clinux_uring {
    int fd;
    /// Room in the submission queue, a power of two; the completion queue has twice as much.
    uint32_t capacity;
    struct clinux_uring_entry *entries;
    uint32_t *submission_head;
    uint32_t *submission_tail;
    struct clinux_uring_result *results;
    uint32_t *completion_head;
    uint32_t *completion_tail;
    uint32_t completion_mask;
    void *rings;
    size_t rings_size;
    size_t entries_size;
};

enum { CLINUX_URING_WRITEV = 2, CLINUX_URING_WRITE = 23, CLINUX_URING_GETEVENTS = 1 };

/// Makes a ring, disabled, that can do nothing but write to `files` (each named by its place among them).
///
/// It asks for what makes completions cheap and does without where the kernel is too old for it.
///
/// - Parameter capacity: Writes in one submission; a power of two.
/// - Returns: 0, or -errno: ENOSYS (no io_uring), EPERM (forbidden by kernel.io_uring_disabled, a seccomp filter or a
///   security module), ENOMEM, EMFILE (more files than RLIMIT_NOFILE), EINVAL (Linux before 5.10).
int clinux_uring_open(struct clinux_uring *ring, uint32_t capacity, const int *files, size_t count);
/// Lets the calling thread, and no other, use the ring from now on. Returns 0 or -errno.
int clinux_uring_enable(const struct clinux_uring *ring);
/// Lets writes wait. At first they do not: a queue that is full refuses them. Where the queues' driver does not know of
/// that (TAPs before Linux 6.2), each is refused with EOPNOTSUPP instead.
void clinux_uring_let_wait(struct clinux_uring *ring);
/// Takes the ring away.
void clinux_uring_close(struct clinux_uring *ring);

/// Writes the `place`-th entry of the next submission: `length` octets at `address` to `file`; where `is_vector`,
/// `length` iovecs at `address`, which must stay where they are until the write is completed.
static inline void clinux_uring_prepare(
    struct clinux_uring *ring, uint32_t place, uint32_t file, const void *address, uint32_t length, int is_vector,
    uint64_t tag) {
    struct clinux_uring_entry *entry = ring->entries + ((*ring->submission_tail + place) & (ring->capacity - 1));
    // The other fields hold what they were given when the ring was made.
    entry->opcode = is_vector ? CLINUX_URING_WRITEV : CLINUX_URING_WRITE;
    entry->file = (int32_t)file;
    entry->address = (uint64_t)(uintptr_t)address;
    entry->length = length;
    entry->tag = tag;
}

/// Makes the first `count` prepared entries the next submission.
static inline void clinux_uring_publish(struct clinux_uring *ring, uint32_t count) {
    __atomic_store_n(ring->submission_tail, *ring->submission_tail + count, __ATOMIC_RELEASE);
}

/// Entries that were published and that the kernel has not taken yet.
static inline uint32_t clinux_uring_waiting(const struct clinux_uring *ring) {
    return *ring->submission_tail - __atomic_load_n(ring->submission_head, __ATOMIC_ACQUIRE);
}

/// Has the kernel take all that waits and returns once `completed` results are there. Returns 0 or -errno; what was
/// taken all the same, `clinux_uring_waiting` tells.
static inline int clinux_uring_submit(struct clinux_uring *ring, uint32_t completed) {
    long taken = syscall(
        SYS_io_uring_enter, ring->fd, clinux_uring_waiting(ring), completed, CLINUX_URING_GETEVENTS, NULL, 0);
    return taken < 0 ? -errno : 0;
}

/// The next result, or NULL. It stays where it is until it is given back.
static inline const struct clinux_uring_result *clinux_uring_next(const struct clinux_uring *ring) {
    uint32_t head = *ring->completion_head;
    if (head == __atomic_load_n(ring->completion_tail, __ATOMIC_ACQUIRE)) return NULL;
    return ring->results + (head & ring->completion_mask);
}

/// Gives the next result back.
static inline void clinux_uring_release(struct clinux_uring *ring) {
    __atomic_store_n(ring->completion_head, *ring->completion_head + 1, __ATOMIC_RELEASE);
}

// The calls on frames, as no cancellation points: in a process with threads those cost two atomic operations each.
// -1 and errno on failure.

static inline ssize_t clinux_read(int fd, void *buffer, size_t size) { return syscall(SYS_read, fd, buffer, size); }
static inline ssize_t clinux_write(int fd, const void *buffer, size_t size) {
    return syscall(SYS_write, fd, buffer, size);
}
static inline ssize_t clinux_writev(int fd, const struct iovec *vector, int count) {
    return syscall(SYS_writev, fd, vector, count);
}

#endif
