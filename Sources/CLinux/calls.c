#define _GNU_SOURCE
#include "calls.h"

#include <linux/io_uring.h>
#include <sched.h>
#include <sys/syscall.h>

static const int engine_calls[] = {
    // Frames, wake-ups and the control socket.
    SYS_read, SYS_write, SYS_writev, SYS_epoll_pwait, SYS_epoll_ctl, SYS_recvmsg, SYS_sendmsg,
    // Mapping a new table: its size, its seals.
    SYS_mmap, SYS_munmap, SYS_fstat, SYS_newfstatat, SYS_fcntl, SYS_close,
    // Threads and memory of the C library.
    SYS_clone, SYS_clone3, SYS_set_robust_list, SYS_rseq, SYS_sched_setaffinity, SYS_sched_getaffinity, SYS_sched_yield,
    SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_mprotect, SYS_madvise, SYS_brk, SYS_futex, SYS_gettid, SYS_getpid, SYS_getrandom,
    SYS_clock_gettime, SYS_restart_syscall, SYS_rt_sigreturn, SYS_exit, SYS_exit_group,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
    // Queues that epoll does not take.
    SYS_ppoll,
#ifdef SYS_poll
    SYS_poll,
#endif
};

static const int ring_calls[] = {SYS_io_uring_enter};

static const struct clinux_guarded_call guarded_calls[] = {
    // A worker's own table of descriptors.
    {SYS_unshare, 0, CLONE_FILES},
    // The ring is made, restricted and given its files before: nothing is left to register.
    {SYS_io_uring_register, 1, IORING_REGISTER_ENABLE_RINGS},
};

static size_t append(int *numbers, size_t count, size_t capacity, const int *calls, size_t added) {
    for (size_t i = 0; i < added && count < capacity; i++) numbers[count++] = calls[i];
    return count;
}

size_t clinux_engine_calls(int *numbers, size_t capacity, int with_ring) {
    size_t count = append(numbers, 0, capacity, engine_calls, sizeof engine_calls / sizeof *engine_calls);
    if (!with_ring) return count;
    return append(numbers, count, capacity, ring_calls, sizeof ring_calls / sizeof *ring_calls);
}

const struct clinux_guarded_call *clinux_engine_guarded_calls(int with_ring, size_t *count) {
    *count = sizeof guarded_calls / sizeof *guarded_calls - (with_ring ? 0 : 1);
    return guarded_calls;
}
