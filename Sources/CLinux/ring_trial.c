// Whether io_uring may be used here, found by trying.
#include "clinux.h"

#include <linux/io_uring.h>
#include <sys/syscall.h>

// <linux/io_uring.h> of kernels before 6.1 lacks them.
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

int clinux_try_ring(void) {
    struct io_uring_params parameters;
    memset(&parameters, 0, sizeof parameters);
    parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int ring = (int)syscall(SYS_io_uring_setup, 8, &parameters);
    if (ring < 0) return -errno;
    close(ring);
    return 0;
}
