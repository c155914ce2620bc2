#define _GNU_SOURCE
#include "calls.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

// Threads, rings and descriptors are made before the filter is in force. So there is no clone, no open, no socket, no ioctl
// and no signal among these, and nothing that changes a descriptor, a mapping's protection or a process.
//
// The list is what a trace of the engine's tests shows (Tests/EngineTests/SystemCallTests.swift): that test fails where the
// trace has another call, and where the list has one that the trace lacks and that is not marked here as [unseen].
static const struct clinux_call engine_calls[] = {
    // Frames, wake-ups and the control socket.
    {SYS_read, 0, {{0}}},
    {SYS_write, 0, {{0}}},
    {SYS_writev, 0, {{0}}},
    {SYS_epoll_ctl, 0, {{0}}},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, 0, {{0}}},
#else
    {SYS_epoll_pwait, 0, {{0}}},
#endif
#ifdef SYS_epoll_pwait2
    // The next frame of an impaired link is due in less than a millisecond, or not in whole ones.
    {SYS_epoll_pwait2, 0, {{0}}},
#endif
    // A worker before its first order, and queues that epoll does not take.
#ifdef SYS_poll
    {SYS_poll, 0, {{0}}},
#else
    {SYS_ppoll, 0, {{0}}},
#endif
    {SYS_sched_yield, 0, {{0}}},
    // A new table: its size; the descriptors that it came by.
    {SYS_fstat, 0, {{0}}},
    {SYS_close, 0, {{0}}},
    {SYS_munmap, 0, {{0}}},
    // [unseen] Memory of the C library, where what it has does not suffice.
    {SYS_brk, 0, {{0}}},
    // The end of a thread and of the process.
    {SYS_rt_sigprocmask, 0, {{0}}},
    // [unseen] The Swift runtime's, where something is made when it is first used: more of that is left in a debug build.
    {SYS_gettid, 0, {{0}}},
    {SYS_exit, 0, {{0}}},
    {SYS_exit_group, 0, {{0}}},
    // [unseen] Where the machine's clock cannot be read without the kernel (no vDSO for its clock source).
    {SYS_clock_gettime, 0, {{0}}},
    // [unseen] The kernel's own, after SIGSTOP and SIGCONT in a call with a time.
    {SYS_restart_syscall, 0, {{0}}},

    // What a message brings, and no other way to receive.
    {SYS_recvmsg, 1, {{2, ~0U, MSG_CMSG_CLOEXEC}}},
    // Answers, to nobody but the other end. sendmsg would send descriptors, too.
    {SYS_sendto, 2, {{3, ~0U, MSG_NOSIGNAL}, {5, ~0U, 0}}},
    // Tables and memory: nothing that can be executed, and no huge pages, of which the machine has one store.
    {SYS_mmap,
     2,
     {{2, ~(unsigned int)(PROT_READ | PROT_WRITE), 0},
      {3, ~(unsigned int)(MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE), 0}}},
    // The seals of a table. Anything else that fcntl can do (owners, signals, flags that others share) is not let through.
    {SYS_fcntl, 1, {{1, ~0U, F_GET_SEALS}}},
    // The stack of a thread that ends.
    {SYS_madvise, 1, {{2, ~0U, MADV_DONTNEED}}},
    // Locks of the C library, and the end of a thread.
    {SYS_futex, 1, {{1, FUTEX_CMD_MASK, FUTEX_WAIT}}},
    {SYS_futex, 1, {{1, FUTEX_CMD_MASK, FUTEX_WAKE}}},
    {SYS_futex, 1, {{1, FUTEX_CMD_MASK, FUTEX_WAIT_BITSET}}},
    // Where two threads of the Swift runtime meet at such a thing; in the process's own memory alone.
    {SYS_futex, 1, {{1, ~0U, FUTEX_LOCK_PI_PRIVATE}}},
    {SYS_futex, 1, {{1, ~0U, FUTEX_UNLOCK_PI_PRIVATE}}},
    // By a ring alone; always the last. The ring is made, restricted to writes on the queues, given its files and enabled
    // before: what it can do is in uring.c, and there is nothing left to register.
    {SYS_io_uring_enter, 0, {{0}}},
};

const struct clinux_call *clinux_engine_calls(int with_ring, size_t *count) {
    *count = sizeof engine_calls / sizeof *engine_calls - (with_ring ? 0 : 1);
    return engine_calls;
}

// The live page's process: a web server and threads that come and go, so more than the engine needs. No file can be opened, no
// socket made or connected, no program started, no process made or signalled, no descriptor passed on. A list that lacks a call
// on some machine must not end the page, so other calls fail, and none of them is missed.
static const struct clinux_call portal_calls[] = {
    // Connections: accepted, read, written, asked about, closed. getsockopt asks for the error that an event alone has told of.
    {SYS_accept4, 0, {{0}}},
    {SYS_read, 0, {{0}}},
    {SYS_write, 0, {{0}}},
    {SYS_writev, 0, {{0}}},
    {SYS_recvmsg, 0, {{0}}},
    {SYS_sendto, 1, {{5, ~0U, 0}}},
    {SYS_close, 0, {{0}}},
    {SYS_getsockname, 0, {{0}}},
    {SYS_getpeername, 0, {{0}}},
    {SYS_getsockopt, 0, {{0}}},
    {SYS_setsockopt, 0, {{0}}},
    {SYS_fcntl, 1, {{1, ~0U, F_GETFL}}},
    {SYS_fcntl, 1, {{1, ~0U, F_SETFL}}},
    {SYS_fcntl, 1, {{1, ~0U, F_GETFD}}},
    {SYS_fcntl, 1, {{1, ~0U, F_SETFD}}},
    {SYS_fstat, 0, {{0}}},
    // A capture on its way to a connection. Older C libraries make pipes by the older call.
    {SYS_pipe2, 0, {{0}}},
#ifdef SYS_pipe
    {SYS_pipe, 0, {{0}}},
#endif
    // Waiting, and time. Machines that have no older call use the newer one; the clock is a call where the kernel maps none.
    {SYS_epoll_ctl, 0, {{0}}},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, 0, {{0}}},
#endif
    {SYS_epoll_pwait, 0, {{0}}},
#ifdef SYS_poll
    {SYS_poll, 0, {{0}}},
#endif
    {SYS_ppoll, 0, {{0}}},
    {SYS_timerfd_settime, 0, {{0}}},
    {SYS_clock_gettime, 0, {{0}}},
    {SYS_clock_nanosleep, 0, {{0}}},
    // After a stop, the kernel continues a wait by this one.
    {SYS_restart_syscall, 0, {{0}}},
    {SYS_getrandom, 0, {{0}}},
    // Memory, which cannot be executed. A large block grows by mremap.
    {SYS_brk, 0, {{0}}},
    {SYS_mmap, 1, {{2, PROT_EXEC, 0}}},
    {SYS_mprotect, 1, {{2, PROT_EXEC, 0}}},
    {SYS_mremap, 0, {{0}}},
    {SYS_munmap, 0, {{0}}},
    {SYS_madvise, 0, {{0}}},
    // Threads, and no processes. clone3 hides what it makes behind a pointer: the C library goes on with clone. Locks that many
    // want yield the processor.
    {SYS_clone, 1, {{0, CLONE_THREAD, CLONE_THREAD}}},
    {SYS_set_robust_list, 0, {{0}}},
#ifdef SYS_rseq
    {SYS_rseq, 0, {{0}}},
#endif
    {SYS_futex, 0, {{0}}},
    {SYS_sched_yield, 0, {{0}}},
    {SYS_gettid, 0, {{0}}},
    {SYS_rt_sigprocmask, 0, {{0}}},
    {SYS_exit, 0, {{0}}},
    // The end: of the process by itself, and of a handler of a signal.
    {SYS_exit_group, 0, {{0}}},
    {SYS_rt_sigreturn, 0, {{0}}},
};

const struct clinux_call *clinux_portal_calls(size_t *count) {
    *count = sizeof portal_calls / sizeof *portal_calls;
    return portal_calls;
}

// The database's files, all of which are open by then. None can be opened, renamed or removed.
static const struct clinux_call file_calls[] = {
    {SYS_pread64, 0, {{0}}},
    {SYS_pwrite64, 0, {{0}}},
    {SYS_lseek, 0, {{0}}},
    {SYS_fsync, 0, {{0}}},
    {SYS_fdatasync, 0, {{0}}},
    {SYS_ftruncate, 0, {{0}}},
    {SYS_fcntl, 1, {{1, ~0U, F_SETLK}}},
    {SYS_fcntl, 1, {{1, ~0U, F_GETLK}}},
};

#define PORTAL_COUNT (sizeof portal_calls / sizeof *portal_calls)
#define FILE_COUNT (sizeof file_calls / sizeof *file_calls)

const struct clinux_call *clinux_records_calls(size_t *count) {
    // Called once, before there are other threads that would.
    static struct clinux_call calls[PORTAL_COUNT + FILE_COUNT];
    memcpy(calls, portal_calls, sizeof portal_calls);
    memcpy(calls + PORTAL_COUNT, file_calls, sizeof file_calls);
    *count = PORTAL_COUNT + FILE_COUNT;
    return calls;
}
