#include "clinux.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <sys/syscall.h>

/// The first version of the kernel's struct sched_attr, which the C library does not declare everywhere.
struct attributes {
    __u32 size;
    __u32 sched_policy;
    __u64 sched_flags;
    __s32 sched_nice;
    __u32 sched_priority;
    __u64 sched_runtime;
    __u64 sched_deadline;
    __u64 sched_period;
};

int clinux_take_short_slices(unsigned long long nanoseconds) {
    struct attributes attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.size = sizeof attributes;
    if (syscall(SYS_sched_getattr, 0, &attributes, (unsigned)sizeof attributes, 0U) < 0) return -errno;
    attributes.size = sizeof attributes;
    attributes.sched_flags |= SCHED_FLAG_RESET_ON_FORK;
    attributes.sched_runtime = nanoseconds;
    return syscall(SYS_sched_setattr, 0, &attributes, 0U) < 0 ? -errno : 0;
}

int clinux_own_descriptors(void) {
    return syscall(SYS_unshare, CLONE_FILES) < 0 ? -errno : 0;
}
