// A clone of this process by the system call itself, which takes flags that fork does not.
#ifndef CLINUX_CLONE_H
#define CLINUX_CLONE_H

#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CLINUX_THREAD_SANITIZER 1
// The sanitizer's runtime has locks, which another thread may hold at this moment. A child would wait for them for ever.
// sanitizer/linux_syscall_hooks.h: what fork does about that.
void __sanitizer_syscall_pre_impl_fork(void);
void __sanitizer_syscall_post_impl_fork(long result);
#endif
#endif

static inline long clinux_clone(unsigned long flags) {
#ifdef CLINUX_THREAD_SANITIZER
    __sanitizer_syscall_pre_impl_fork();
#endif
    long pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
#ifdef CLINUX_THREAD_SANITIZER
    __sanitizer_syscall_post_impl_fork(pid);
#endif
    return pid;
}

#endif
