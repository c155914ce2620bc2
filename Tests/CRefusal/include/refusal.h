// A kernel, or a container's runtime, that refuses a system call.
#ifndef TAPLINE_CREFUSAL_H
#define TAPLINE_CREFUSAL_H

#include <sys/syscall.h>

enum {
    REFUSAL_IO_URING_SETUP = SYS_io_uring_setup,
    REFUSAL_IO_URING_ENTER = SYS_io_uring_enter,
    REFUSAL_IO_URING_REGISTER = SYS_io_uring_register,
};

/// Lets a system call fail with `error` from now on, for the calling thread and all that it starts, for good. Returns 0
/// or -errno.
int refusal_begin(int call, int error);

#endif
