// Children. Between clone and exec only async-signal-safe calls are made: the parent has threads, whose locks the child
// inherits as they are.
#include "clinux.h"
#include "clone.h"
#include "view.h"
#include "rights.h"

#include <linux/magic.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
_Static_assert(CLINUX_LIMIT_FILE_SIZE == RLIMIT_FSIZE && CLINUX_LIMIT_CORE == RLIMIT_CORE, "as in clinux.h");
_Static_assert(CLINUX_LIMIT_PROCESSES == RLIMIT_NPROC && CLINUX_LIMIT_FILES == RLIMIT_NOFILE, "as in clinux.h");
_Static_assert(CLINUX_LIMIT_ADDRESS_SPACE == RLIMIT_AS, "as in clinux.h");

enum { MAX_PLACED = 512 };

struct report {
    int stage;
    int error;
    int pid;
};

/// The namespaces of a node besides its network's. Kernels can be built without some.
static unsigned long node_namespaces(void) {
    unsigned long flags = CLONE_NEWPID | CLONE_NEWNS;
    struct stat status;
    if (stat("/proc/self/ns/uts", &status) == 0) flags |= CLONE_NEWUTS;
    if (stat("/proc/self/ns/ipc", &status) == 0) flags |= CLONE_NEWIPC;
    if (stat("/proc/self/ns/cgroup", &status) == 0) flags |= CLONE_NEWCGROUP;
    return flags;
}

static pid_t raw_clone(unsigned long flags) { return (pid_t)clinux_clone(flags); }

static void close_from(unsigned int first, unsigned int last) {
    if (first <= last) syscall(SYS_close_range, first, last, 0);
}

__attribute__((noreturn)) static void fail(int pipe, enum clinux_stage stage) {
    struct report report = {.stage = stage, .error = errno};
    ssize_t ignored = write(pipe, &report, sizeof report);
    (void)ignored;
    _exit(127);
}

static ssize_t read_report(int pipe, struct report *report) {
    ssize_t count;
    do count = read(pipe, report, sizeof *report);
    while (count < 0 && errno == EINTR);
    return count;
}

static void reap(pid_t pid) {
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR) continue;
}

/// Signals as a fresh process expects them: every one at its default, none blocked.
static void reset_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/// Shows what is at a path there once more, with other flags of the mount alone: read-only, or writable again.
static int mount_again(const char *path, unsigned long flags) {
    if (mount(path, path, NULL, MS_BIND, NULL) < 0) return errno == ENOENT ? 0 : -1;
    return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC | flags, NULL);
}

/// Makes the machine's part of /proc and /sys read-only, and leaves the node's own writable: its network's settings, its
/// devices, the limits of its System V and POSIX IPC, its names. Memory and messages of the kernel read as empty.
static int protect_machine(void) {
    static const char *const machines[] = {
        "/proc/sys", "/proc/sysrq-trigger", "/proc/acpi", "/proc/asound", "/proc/bus", "/proc/driver", "/proc/dynamic_debug",
        "/proc/fs", "/proc/irq", "/proc/latency_stats", "/proc/lock_stat", "/proc/mtrr", "/proc/scsi", "/proc/timer_stats",
    };
    static const char *const own[] = {
        "/proc/sys/net", "/proc/sys/fs/mqueue", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname",
        "/proc/sys/kernel/msgmax", "/proc/sys/kernel/msgmnb", "/proc/sys/kernel/msgmni", "/proc/sys/kernel/sem",
        "/proc/sys/kernel/shmall", "/proc/sys/kernel/shmmax", "/proc/sys/kernel/shmmni", "/proc/sys/kernel/shm_rmid_forced",
        "/sys/devices/virtual/net",
    };
    static const char *const secrets[] = {"/proc/kcore", "/proc/kmsg"};
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        if (mount_again(machines[i], MS_RDONLY) < 0) return -1;
    }
    if (mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) < 0) return -1;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (mount_again(own[i], 0) < 0) return -1;
    }
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        if (mount("/dev/null", secrets[i], NULL, MS_BIND, NULL) < 0 && errno != ENOENT) return -1;
    }
    return 0;
}

/// 1 where `target` is there to be mounted on, 0 where the host has no such file, -1 on an error. A link into /run,
/// such as Ubuntu's /etc/resolv.conf, leads into the private /run that is still empty: the file is made there.
static int prepare_target(const char *target) {
    struct stat status;
    if (stat(target, &status) == 0) return 1;
    if (errno != ENOENT) return -1;
    if (lstat(target, &status) < 0) return errno == ENOENT ? 0 : -1;
    char path[PATH_MAX], link[PATH_MAX];
    size_t length = strlen(target);
    if (length >= sizeof path) return 0;
    memcpy(path, target, length + 1);
    for (int hop = 0; hop < 8; hop++) {
        ssize_t count = readlink(path, link, sizeof link - 1);
        if (count < 0) break;
        link[count] = 0;
        if (link[0] == '/') {
            memcpy(path, link, (size_t)count + 1);
        } else {
            char *slash = strrchr(path, '/');
            size_t head = slash ? (size_t)(slash - path) + 1 : 0;
            if (head + (size_t)count >= sizeof path) return 0;
            memcpy(path + head, link, (size_t)count + 1);
        }
    }
    if (strncmp(path, "/run/", 5) != 0 && strstr(path, "/../run/") == NULL) return 0;
    if (clinux_make_directories(path, 0) < 0) return -1;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    close(fd);
    return 1;
}

/// The folders of the machine over which a node has a layer of its own.
static const char *const layered[] = {"/etc", "/var", "/root"};

/// Whether showing a folder again would uncover what a layer covers: it is one of those folders, or above them.
static int covers_layers(const char *folder) {
    static const char *const all[] = {"/etc", "/var", "/root", "/tmp"};
    size_t length = strlen(folder);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (length <= 1 || strcmp(folder, all[i]) == 0) return 1;
    }
    return 0;
}

/// What is opened of a mount before layers cover it.
struct opened_mount {
    int folder, copy;
};

static void open_inner_mounts(const struct clinux_node_init *node, struct opened_mount *opened) {
    for (size_t i = 0; i < node->inner_mount_count; i++) {
        // One that is gone, or lies below another mount, is not seen by the machine either.
        opened[i].folder = node->inner_mounts[i].is_layered ? open(node->inner_mounts[i].path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        opened[i].copy = clinux_copy_of_tree(node->inner_mounts[i].path);
    }
}

/// Shows mounts again that layers have covered: each with a layer of its own, or else as it is, which is read-only.
static void show_inner_mounts(const struct clinux_node_init *node, struct clinux_view *view, const struct opened_mount *opened) {
    for (size_t i = 0; i < node->inner_mount_count; i++) {
        const char *path = node->inner_mounts[i].path;
        int is_layered = opened[i].folder >= 0 && clinux_layer_opened(view, opened[i].folder, path) == 0;
        if (!is_layered && opened[i].copy >= 0) clinux_attach_copy(opened[i].copy, path);
        if (opened[i].folder >= 0) close(opened[i].folder);
        if (opened[i].copy >= 0) close(opened[i].copy);
    }
}

/// Puts read-only what is the machine's, and private layers over the folders that programs write into. Returns a bit for each
/// layer that the kernel refused: its folder stays read-only.
static unsigned int cover_machine(const struct clinux_node_init *node, struct clinux_view *view, int pipe) {
    unsigned int refused = 0;
    struct opened_mount inner[CLINUX_MOST_INNER_MOUNTS];
    open_inner_mounts(node, inner);
    for (size_t i = 0; i < sizeof layered / sizeof *layered; i++) {
        if (clinux_layer(view, layered[i]) < 0) refused |= 1U << i;
    }
    // A topology whose folder is /tmp itself needs its files.
    int is_temporary = node->topology_directory && strcmp(node->topology_directory, "/tmp") == 0;
    if ((is_temporary ? clinux_layer(view, "/tmp") : clinux_empty(view, "/tmp", 01777)) < 0 && errno != ENOENT)
        fail(pipe, CLINUX_STAGE_LAYER);
    for (size_t i = 0; i < node->private_count; i++) {
        if (clinux_layer(view, node->privates[i]) < 0) fail(pipe, CLINUX_STAGE_LAYER);
    }
    show_inner_mounts(node, view, inner);
    return refused;
}

/// Makes what the node sees of files. Returns what `cover_machine` does.
static unsigned int show_files(const struct clinux_node_init *node, int pipe) {
    struct clinux_view view = {.store = -1};
    int covers = !node->root && !node->keeps_machine;
    // What is shown again is opened before it is covered.
    const char *folders[] = {node->topology_directory, node->directory, node->share_directory};
    int opened[3] = {-1, -1, -1}, binds[CLINUX_MOST_BINDS], writable[CLINUX_MOST_BINDS], terminals = -1;
    for (size_t i = 0; i < 3; i++) {
        if (!folders[i] || (strncmp(folders[i], "/run/", 5) != 0 && (node->keeps_machine || (covers && covers_layers(folders[i])))))
            continue;
        if (strcmp(folders[i], "/") == 0) continue;
        opened[i] = clinux_copy_of_tree(folders[i]);
        if (opened[i] < 0) fail(pipe, CLINUX_STAGE_BIND_DIRECTORY);
        if (i == 0 && !node->keeps_machine && clinux_make_read_only(opened[i], NULL) < 0) fail(pipe, CLINUX_STAGE_READ_ONLY);
    }
    for (size_t i = 0; i < node->bind_count; i++) {
        binds[i] = clinux_copy_of_tree(node->binds[i].source);
        if (binds[i] < 0) fail(pipe, CLINUX_STAGE_BIND_FILE);
    }
    for (size_t i = 0; i < node->writable_count; i++) {
        writable[i] = clinux_copy_of_tree(node->writables[i]);
        if (writable[i] < 0) fail(pipe, CLINUX_STAGE_WRITABLE);
    }
    if (!node->keeps_machine) {
        terminals = clinux_copy_of_tree("/dev/pts");
        if (clinux_make_read_only(-1, "/") < 0) fail(pipe, CLINUX_STAGE_READ_ONLY);
    }
    // Nothing is to lie below what the node sees: whoever unmounts it in the node is not to find the machine's there, nor the
    // control sockets in its /run. What a user namespace has from outside cannot be taken away, and is covered.
    static const char *const covered[] = {"/proc", "/sys", "/run"};
    for (size_t i = node->root ? 2 : 0; i < sizeof covered / sizeof *covered; i++) {
        while (umount2(covered[i], MNT_DETACH) == 0) continue;
    }
    if (clinux_open_store(&view) < 0) fail(pipe, CLINUX_STAGE_MOUNT_RUN);
    if (node->root) {
        if (clinux_enter_root(&view, node->root) < 0) fail(pipe, CLINUX_STAGE_ROOT);
    } else {
        if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) fail(pipe, CLINUX_STAGE_MOUNT_PROC);
        if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) fail(pipe, CLINUX_STAGE_MOUNT_SYS);
    }
    if (protect_machine() < 0) fail(pipe, CLINUX_STAGE_PROTECT);
    unsigned int refused = covers ? cover_machine(node, &view, pipe) : 0;
    if (mount("tapline", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m") < 0)
        fail(pipe, CLINUX_STAGE_MOUNT_RUN);
    clinux_note_private(&view, "/run");
    // What a program leaves in shared memory would outlive the node, and meet another node's program of the same kind.
    if (mount("tapline", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=256m") < 0 && errno != ENOENT)
        fail(pipe, CLINUX_STAGE_MOUNT_SHARED_MEMORY);
    if (mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 && errno != ENOENT && errno != ENODEV)
        fail(pipe, CLINUX_STAGE_MOUNT_SHARED_MEMORY);
    if (terminals >= 0 && clinux_attach_copy(terminals, "/dev/pts") < 0 && errno != ENOENT) fail(pipe, CLINUX_STAGE_BIND_DIRECTORY);
    if (mkdir("/run/lock", 0777) == 0) chmod("/run/lock", 01777);
    for (size_t i = 0; i < 3; i++) {
        if (opened[i] < 0) continue;
        if (clinux_make_directories(folders[i], 1) < 0 || clinux_attach_copy(opened[i], folders[i]) < 0)
            fail(pipe, CLINUX_STAGE_BIND_DIRECTORY);
    }
    for (size_t i = 0; i < node->writable_count; i++) {
        if (clinux_attach_copy(writable[i], node->writables[i]) < 0) fail(pipe, CLINUX_STAGE_WRITABLE);
    }
    for (size_t i = 0; i < node->bind_count; i++) {
        const struct clinux_bind *bind = &node->binds[i];
        int there = bind->is_made ? (clinux_make_target(&view, bind->target) < 0 ? -1 : 1) : prepare_target(bind->target);
        if (there < 0) fail(pipe, bind->is_made ? CLINUX_STAGE_MAKE_FILE : CLINUX_STAGE_BIND_FILE);
        if (there && clinux_attach_copy(binds[i], bind->target) < 0) fail(pipe, CLINUX_STAGE_BIND_FILE);
    }
    if (chdir("/") < 0) fail(pipe, CLINUX_STAGE_PRIVATE_MOUNTS);
    return refused;
}

__attribute__((noreturn)) static void run_init(const struct clinux_node_init *node, int pipe) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_NAME, "tapline-init", 0, 0, 0);
    setsid();
    umask(022);
    if (node->hostname && sethostname(node->hostname, strlen(node->hostname)) < 0) fail(pipe, CLINUX_STAGE_NAME);
    if (setns(node->network_namespace, CLONE_NEWNET) < 0) fail(pipe, CLINUX_STAGE_ENTER_NETWORK);
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail(pipe, CLINUX_STAGE_PRIVATE_MOUNTS);
    // This copy of the namespaces' mounts would keep them alive after they are deleted.
    umount2("/run/netns", MNT_DETACH);

    unsigned int refused = show_files(node, pipe);
    if (pipe > 0) close_from(0, (unsigned int)pipe - 1);
    close_from((unsigned int)pipe + 1, ~0U);

    reset_signals();
    // Ignored children are reaped by the kernel, orphans of the node among them.
    struct sigaction ignore;
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    ignore.sa_flags = SA_NOCLDWAIT;
    sigaction(SIGCHLD, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    // A parent that died before PR_SET_PDEATHSIG has closed the other end: then this fails.
    struct report ready = {.stage = CLINUX_STAGE_NONE, .pid = (int)refused};
    if (write(pipe, &ready, sizeof ready) != sizeof ready) _exit(1);
    close(pipe);
    for (;;) pause();
}

pid_t clinux_node_init(const struct clinux_node_init *node, enum clinux_stage *stage, unsigned int *refused) {
    *stage = CLINUX_STAGE_CLONE;
    if (node->bind_count > CLINUX_MOST_BINDS || node->writable_count > CLINUX_MOST_BINDS || node->inner_mount_count > CLINUX_MOST_INNER_MOUNTS)
        return -E2BIG;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = raw_clone(node_namespaces() | SIGCHLD);
    int error = errno;
    if (pid == 0) {
        close(ends[0]);
        run_init(node, ends[1]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return -error;
    }
    struct report report = {.stage = CLINUX_STAGE_DIED, .error = ECHILD};
    if (read_report(ends[0], &report) != sizeof report) report = (struct report){CLINUX_STAGE_DIED, ECHILD, 0};
    // Until the init has closed its end, the last of its descriptors.
    struct report end;
    while (read_report(ends[0], &end) > 0) continue;
    close(ends[0]);
    *stage = (enum clinux_stage)report.stage;
    if (report.stage == CLINUX_STAGE_NONE) {
        if (refused) *refused = (unsigned int)report.pid;
        return pid;
    }
    reap(pid);
    return report.error ? -report.error : -ECHILD;
}

/// Puts the descriptors at their numbers. The sources are first copied above every target, so that no move covers a
/// source not yet moved. Returns the pipe's new number, above every target too, or -1.
static int place_descriptors(const struct clinux_spawn *spawn, int pipe) {
    int highest = 2;
    for (size_t i = 0; i < spawn->fd_count; i++) {
        if (spawn->fds[i].target > highest) highest = spawn->fds[i].target;
    }
    int moved[MAX_PLACED];
    for (size_t i = 0; i < spawn->fd_count; i++) {
        moved[i] = fcntl(spawn->fds[i].source, F_DUPFD_CLOEXEC, highest + 1);
        if (moved[i] < 0) return -1;
    }
    pipe = fcntl(pipe, F_DUPFD_CLOEXEC, highest + 1);
    if (pipe < 0) return -1;
    int empty = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (empty < 0) return -1;
    if (empty <= highest) empty = fcntl(empty, F_DUPFD_CLOEXEC, highest + 1);
    if (empty < 0) return -1;
    close_from(0, (unsigned int)highest);
    for (int number = 0; number < 3; number++) {
        if (dup2(empty, number) < 0) return -1;
    }
    for (size_t i = 0; i < spawn->fd_count; i++) {
        if (dup2(moved[i], spawn->fds[i].target) < 0) return -1;
    }
    if (pipe > highest + 1) close_from((unsigned int)highest + 1, (unsigned int)pipe - 1);
    close_from((unsigned int)pipe + 1, ~0U);
    return pipe;
}

/// Whether nobody reads at the other end of a pipe any more: its reader has ended.
static int is_orphaned(int pipe) {
    struct pollfd entry = {.fd = pipe, .events = POLLOUT};
    return poll(&entry, 1, 0) > 0 && (entry.revents & POLLERR);
}

/// How readily the kernel ends this process, and all that it starts, when memory runs out.
static void rank_for_memory(int score) {
    char text[8], digits[5];
    int n = 0, length = 0;
    unsigned int rest = (unsigned int)(score < 0 ? -score : score);
    do digits[n++] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0 && n < 4);
    if (score < 0) text[length++] = '-';
    while (n > 0) text[length++] = digits[--n];
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t ignored = write(fd, text, (size_t)length);
    (void)ignored;
    close(fd);
}

/// - parent: the caller's pid, where the child can see it; else 0.
__attribute__((noreturn)) static void run_program(const struct clinux_spawn *spawn, int pipe, pid_t parent) {
    if (spawn->parent_death_signal) {
        prctl(PR_SET_PDEATHSIG, spawn->parent_death_signal, 0, 0, 0);
        // A parent that died before that sends nothing any more.
        if (parent ? getppid() != parent : is_orphaned(pipe)) _exit(127);
    }
    if (!spawn->keep_session && setsid() < 0) fail(pipe, CLINUX_STAGE_SESSION);
    if (spawn->working_directory && chdir(spawn->working_directory) < 0) fail(pipe, CLINUX_STAGE_WORKING_DIRECTORY);
    if (spawn->witness >= 0) {
        int listener = clinux_witness_install();
        if (listener >= 0) clinux_witness_hand_over(listener, spawn->witness);
    }
    int placed = place_descriptors(spawn, pipe);
    if (placed < 0) fail(pipe, CLINUX_STAGE_DESCRIPTORS);
    for (size_t i = 0; i < spawn->limit_count; i++) {
        struct rlimit limit = {.rlim_cur = spawn->limits[i].value, .rlim_max = spawn->limits[i].value};
        if (setrlimit((__rlimit_resource_t)spawn->limits[i].resource, &limit) < 0) fail(placed, CLINUX_STAGE_LIMITS);
    }
    if (spawn->rights && clinux_take_rights(spawn->rights) < 0) fail(placed, CLINUX_STAGE_RIGHTS);
    if (spawn->rights && spawn->parent_death_signal) {
        // The kernel forgets it with the user.
        prctl(PR_SET_PDEATHSIG, spawn->parent_death_signal, 0, 0, 0);
        if (parent ? getppid() != parent : is_orphaned(placed)) _exit(127);
    }
    reset_signals();
    if (!spawn->keep_session) umask(022);
    execve(spawn->path, spawn->arguments, spawn->environment);
    fail(placed, CLINUX_STAGE_EXECUTE);
}

/// In the first child: enters the node, and clones the program's process as a sibling (CLONE_PARENT), so that it is a
/// child of the caller's and yet in the node's PID namespace, which setns gives only to children.
__attribute__((noreturn)) static void run_in_node(const struct clinux_spawn *spawn, int pipe) {
    if (setns(spawn->node, (int)(CLONE_NEWNET | node_namespaces())) < 0) fail(pipe, CLINUX_STAGE_ENTER_NODE);
    pid_t pid = raw_clone(CLONE_PARENT | SIGCHLD);
    if (pid < 0) fail(pipe, CLINUX_STAGE_SECOND_CLONE);
    if (pid == 0) run_program(spawn, pipe, 0);
    struct report report = {.stage = CLINUX_STAGE_NONE, .pid = pid};
    if (write(pipe, &report, sizeof report) != sizeof report) _exit(1);
    _exit(0);
}

pid_t clinux_spawn(const struct clinux_spawn *spawn, enum clinux_stage *stage) {
    *stage = CLINUX_STAGE_DESCRIPTORS;
    if (spawn->fd_count > MAX_PLACED) return -E2BIG;
    *stage = CLINUX_STAGE_CLONE;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    int apart = spawn->own_processes && spawn->node < 0;
    pid_t first = apart ? clinux_fork_apart() : raw_clone(SIGCHLD);
    int error = errno;
    if (first == 0) {
        close(ends[0]);
        if (spawn->oom_score_set) rank_for_memory(spawn->oom_score);
        for (size_t i = 0; i < spawn->control_group_count; i++) {
            // 0 is the writer.
            if (write(spawn->control_groups[i], "0", 1) != 1) fail(ends[1], CLINUX_STAGE_CONTROL_GROUP);
        }
        if (spawn->node >= 0) run_in_node(spawn, ends[1]);
        if (spawn->network >= 0 && setns(spawn->network, CLONE_NEWNET) < 0) fail(ends[1], CLINUX_STAGE_ENTER_NETWORK);
        // From a namespace of its own it does not see who started it.
        run_program(spawn, ends[1], apart ? 0 : parent);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (first < 0) {
        close(ends[0]);
        return -error;
    }
    pid_t program = spawn->node >= 0 ? 0 : first;
    struct report report, failure = {.stage = CLINUX_STAGE_NONE};
    // Up to two reports, in either order: which process it is, and what failed; then the end, by exec or by exit.
    while (read_report(ends[0], &report) == sizeof report) {
        if (report.stage == CLINUX_STAGE_NONE) program = report.pid;
        else failure = report;
    }
    close(ends[0]);
    if (spawn->node >= 0) reap(first);
    if (failure.stage == CLINUX_STAGE_NONE && program > 0) {
        *stage = CLINUX_STAGE_NONE;
        return program;
    }
    if (program > 0) reap(program);
    *stage = failure.stage ? (enum clinux_stage)failure.stage : CLINUX_STAGE_DIED;
    return failure.error ? -failure.error : -ECHILD;
}
