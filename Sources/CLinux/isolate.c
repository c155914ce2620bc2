// Taking a process out of the machine: namespaces of its own, nothing mounted, a user of its own, no privilege, limits.
#include "clinux.h"
#include "clone.h"

#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

static int has_one_thread(void) {
    struct stat task;
    if (stat("/proc/self/task", &task) < 0) return -errno;
    return task.st_nlink == 3;  // ".", ".." of its parent, and one thread
}

/// Makes an empty file system, in which there is room for nothing, the root of this mount namespace, and the only thing in
/// it.
static int empty_root(void) {
    static const char room[] = "size=4k,nr_inodes=1,mode=555";
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -1;
    // Any folder does: what is in it is covered.
    if (mount("tapline", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, room) < 0) return -1;
    if (chdir("/proc") < 0) return -1;
    // The root before lies upon the new one, until it is taken away. Where the root is the kernel's first one it cannot be
    // moved, but covered.
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        if (umount2(".", MNT_DETACH) < 0) return -1;
    } else if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0) {
        return -1;
    }
    return chdir("/");
}

static unsigned int leave_namespaces(void) {
    static const struct {
        int flag;
        unsigned int part;
    } kinds[] = {
        {CLONE_NEWIPC, CLINUX_APART_IPC},
        {CLONE_NEWUTS, CLINUX_APART_NAMES},
        {CLONE_NEWNET, CLINUX_APART_NETWORK},
        {CLONE_NEWCGROUP, CLINUX_APART_CONTROL_GROUPS},
    };
    unsigned int granted = getpid() == 1 ? CLINUX_APART_PROCESSES : 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (unshare(kinds[i].flag) == 0) granted |= kinds[i].part;
    }
    if (unshare(CLONE_NEWNS) == 0 && empty_root() == 0) granted |= CLINUX_APART_MOUNTS;
    return granted;
}

/// The calls themselves: the C library's would look for other threads.
static unsigned int change_user(uid_t user) {
    unsigned int granted = 0;
    if (syscall(SYS_setgroups, 0, NULL) == 0 || syscall(SYS_getgroups, 0, NULL) == 0) granted |= CLINUX_APART_GROUPS;
    if (user == 0) return granted;
    if (syscall(SYS_setresgid, user, user, user) == 0 && syscall(SYS_setresuid, user, user, user) == 0)
        granted |= CLINUX_APART_USER;
    return granted;
}

static int drop_capabilities(uid_t user, unsigned int *granted) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -errno;
    int bounded = 1;
    for (int capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 1) continue;
        // Without CAP_SETPCAP the bounding set stays: no_new_privs keeps it from ever mattering.
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
        if (errno != EPERM) return -errno;
        bounded = 0;
    }
    if (bounded) *granted |= CLINUX_APART_BOUNDING;
    unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                         SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 && errno != EPERM) return -errno;
    *granted |= change_user(user);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int clinux_isolate(uid_t user) {
    int single = has_one_thread();
    if (single <= 0) return single < 0 ? single : -EBUSY;
    // Another user is another parent's child, to the kernel: it forgets this.
    int death_signal = 0;
    if (prctl(PR_GET_PDEATHSIG, &death_signal, 0, 0, 0) < 0) return -errno;
    unsigned int granted = leave_namespaces();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
    int dropped = drop_capabilities(user, &granted);
    if (dropped < 0) return dropped;
    // A key ring without keys in place of the one that came from whoever started all this; kernels without any have none.
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0);
    if (death_signal && prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) < 0) return -errno;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) return -errno;
    return (int)granted;
}

void clinux_share_one_heap(void) { mallopt(M_ARENA_MAX, 1); }

/// Octets of this process's address space, by /proc/self/statm (proc(5)).
static uint64_t address_space(int statm) {
    char text[64];
    ssize_t count = pread(statm, text, sizeof text - 1, 0);
    if (count <= 0) return 0;
    uint64_t pages = 0;
    for (ssize_t i = 0; i < count && text[i] >= '0' && text[i] <= '9'; i++) pages = pages * 10 + (uint64_t)(text[i] - '0');
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

int clinux_limit_self(int statm, uint64_t room, unsigned int descriptors, unsigned int threads) {
    struct {
        __rlimit_resource_t resource;
        rlim_t value;
    } limits[] = {
        {RLIMIT_FSIZE, 0},  {RLIMIT_CORE, 0},   {RLIMIT_MEMLOCK, 0}, {RLIMIT_MSGQUEUE, 0},
        {RLIMIT_NICE, 0},   {RLIMIT_RTPRIO, 0}, {RLIMIT_NOFILE, descriptors},
        {RLIMIT_NPROC, threads},
    };
    size_t count = sizeof limits / sizeof *limits - (threads ? 0 : 1);
    for (size_t i = 0; i < count; i++) {
        struct rlimit limit;
        if (getrlimit(limits[i].resource, &limit) < 0) return -errno;
        if (limit.rlim_max > limits[i].value) limit.rlim_max = limits[i].value;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(limits[i].resource, &limit) < 0) return -errno;
    }
    // The control process raises this one before a larger table, which only the hard limit would keep it from.
    struct rlimit space;
    uint64_t now = address_space(statm);
    if (now == 0 || getrlimit(RLIMIT_AS, &space) < 0) return -EIO;
    if (space.rlim_cur > now + room) space.rlim_cur = now + room;
    return setrlimit(RLIMIT_AS, &space) < 0 ? -errno : 0;
}

int clinux_address_space(pid_t pid, uint64_t wanted, uint64_t *limit) {
    struct rlimit space;
    if (prlimit(pid, RLIMIT_AS, NULL, &space) < 0) return -errno;
    if (wanted > space.rlim_cur) {
        space.rlim_cur = wanted < space.rlim_max ? wanted : space.rlim_max;
        if (prlimit(pid, RLIMIT_AS, &space, NULL) < 0) return -errno;
    }
    *limit = space.rlim_cur;
    return 0;
}

/// In a child of the caller's: what is granted, to a pipe.
__attribute__((noreturn)) static void try_here(int pipe, uid_t user) {
    int granted = clinux_isolate(user);
    _exit(write(pipe, &granted, sizeof granted) == sizeof granted ? 0 : 1);
}

pid_t clinux_fork_apart(void) {
    pid_t child = (pid_t)clinux_clone((unsigned long)(CLONE_NEWPID | SIGCHLD));
    if (child >= 0 || (errno != EPERM && errno != ENOSPC && errno != EINVAL)) return child;
    return (pid_t)clinux_clone((unsigned long)SIGCHLD);
}

int clinux_try_isolation(uid_t user, int in_user_namespace) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t child = in_user_namespace ? clinux_fork() : clinux_fork_apart();
    if (child == 0) {
        close(ends[0]);
        if (!in_user_namespace) try_here(ends[1], user);
        int result = clinux_alone_in_user_namespace();
        if (result < 0) _exit(write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
        pid_t inner = clinux_fork_apart();
        if (inner == 0) try_here(ends[1], user);
        while (inner > 0 && waitpid(inner, NULL, 0) < 0 && errno == EINTR) continue;
        _exit(0);
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    int granted = child < 0 ? -error : -ECHILD;
    if (child > 0) {
        int told;
        ssize_t count;
        do count = read(ends[0], &told, sizeof told);
        while (count < 0 && errno == EINTR);
        if (count == sizeof told) granted = told;
        while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR) continue;
    }
    close(ends[0]);
    return granted;
}
