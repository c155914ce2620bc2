// A packeting engine that belongs to somebody else: it confines itself as the real one does, speaks the control protocol
// until it is given queues, and then attacks. It stands for an engine that a frame has taken over.
//
//     hostile-engine ATTACK [MODE [VICTIM]]
//
// ATTACK is one of `attacks` below: to add one, write a function and a line of that table. MODE is
//     strict      confined as the engine is (the default)
//     lax         the same with a filter that lets everything through: what holds then holds by what lies behind it
//     unfiltered, unisolated, unlimited, one-thread
//                 one part of the confinement left out, the last in one of two threads: such an engine must never be given
//                 a queue
// VICTIM is the number of a process of the machine. What became of the attack is one line on the standard error:
// "hostile: ATTACK: what granted" or "... what refused ERRNO", or no line where the attack was the end of it.
#define _GNU_SOURCE
#include "clinux.h"
#include "uring.h"

#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

// MARK: - The control protocol (ControlMessage.swift)

struct message {
    uint32_t magic;
    uint16_t version;
    uint16_t kind;
    uint64_t fields[8];
    uint16_t length;
    unsigned char payload[438];
} __attribute__((packed));

enum { HELLO = 1, QUEUES, TABLE, ASSIGN, PING, STOP, READY, APPLIED, REFUSED, ASSIGNED, PONG };
enum { CONTROL = 3, MOST_QUEUES = 1024, COUNTERS = 0, NEIGHBOURS = 1, FIRST_TABLE = 2 };

static const char *attack_name = "";
static pid_t victim;
static int queues[MOST_QUEUES];
static int queue_count;
static int memories[3];
static uint64_t sizes[3];
static unsigned char *mapped[3];
static uint16_t version;
static struct clinux_uring ring;

static void say(const char *what, long result) {
    char line[200];
    int error = errno;
    int length = result < 0 ? snprintf(line, sizeof line, "hostile: %s: %s refused %d\n", attack_name, what, error)
                            : snprintf(line, sizeof line, "hostile: %s: %s granted\n", attack_name, what);
    if (write(2, line, (size_t)length) < 0) return;
}

static void say_number(const char *what, unsigned long number) {
    char line[200];
    int length = snprintf(line, sizeof line, "hostile: %s: %s %lu\n", attack_name, what, number);
    if (write(2, line, (size_t)length) < 0) return;
}

static void answer(uint16_t kind, uint64_t first, const uint64_t *more, size_t count) {
    struct message message;
    memset(&message, 0, sizeof message);
    message.magic = 0x4C504154;
    message.version = version;
    message.kind = kind;
    message.fields[0] = first;
    for (size_t i = 0; i < count; i++) message.fields[i + 1] = more[i];
    // As the engine does: without the means to send descriptors.
    if (sendto(CONTROL, &message, sizeof message, MSG_NOSIGNAL, NULL, 0) < 0) _exit(3);
}

// MARK: - Attacks

// Whatever of it a filter ends the process for is not reached twice, so what matters comes first.

static void own_and_signal(int fd, const char *what) {
    say(what, fcntl(fd, F_SETOWN, victim));
    fcntl(fd, F_SETSIG, SIGKILL);
    fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
}

static void signal_by_socket(void) { own_and_signal(CONTROL, "F_SETOWN"); }
static void signal_by_queue(void) {
    for (int i = 0; i < queue_count; i++) own_and_signal(queues[i], "F_SETOWN");
}
static void signal_by_thread(void) {
    struct f_owner_ex owner = {.type = F_OWNER_TID, .pid = victim};
    say("F_SETOWN_EX", fcntl(CONTROL, F_SETOWN_EX, &owner));
    fcntl(CONTROL, F_SETFL, O_ASYNC);
}
static void signal_by_ioctl(void) {
    int one = 1;
    pid_t owner = victim;
    say("FIOSETOWN", ioctl(CONTROL, 0x8901 /* FIOSETOWN */, &owner));
    for (int i = 0; i < queue_count; i++) ioctl(queues[i], FIOASYNC, &one);
}
static void signal_by_lease(void) { say("F_NOTIFY", fcntl(memories[FIRST_TABLE], F_NOTIFY, 1)); }
static void make_queues_wait(void) {
    long result = 0;
    for (int i = 0; i < queue_count; i++) result |= fcntl(queues[i], F_SETFL, 0);
    say("F_SETFL", result);
}
static void make_queues_wait_by_ioctl(void) {
    int none = 0;
    long result = 0;
    for (int i = 0; i < queue_count; i++) result |= ioctl(queues[i], FIONBIO, &none);
    say("FIONBIO", result);
}

static void leave_child(void) {
    long child = syscall(SYS_clone, (unsigned long)SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        prctl(PR_SET_NAME, "hostile-child", 0, 0, 0);
        for (;;) sleep(1);
    }
    say("clone", child);
}
static void leave_child_by_clone3(void) {
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    arguments.exit_signal = SIGCHLD;
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) {
        prctl(PR_SET_NAME, "hostile-child", 0, 0, 0);
        for (;;) sleep(1);
    }
    say("clone3", child);
}
static void become_root_of_a_namespace(void) {
    long child = syscall(SYS_clone, (unsigned long)(CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD), 0, 0, 0, 0);
    if (child == 0) for (;;) sleep(1);
    say("clone with CLONE_NEWUSER", child);
}
static void unshare_user(void) { say("unshare", unshare(CLONE_NEWUSER)); }
static void unshare_network(void) { say("unshare", unshare(CLONE_NEWNET)); }

static void map_executable(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("mmap with PROT_EXEC", memory == MAP_FAILED ? -1 : 0);
}
static void map_shared_executable(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, memories[COUNTERS], 0);
    say("mmap of counters with PROT_EXEC", memory == MAP_FAILED ? -1 : 0);
}
static void make_executable(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("mprotect with PROT_EXEC", mprotect(memory, 4096, PROT_READ | PROT_EXEC));
}
static void map_huge(void) {
    void *memory = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    say("mmap with MAP_HUGETLB", memory == MAP_FAILED ? -1 : 0);
}

static void open_root(void) { say("openat", open("/", O_RDONLY | O_DIRECTORY)); }
static void open_file(void) { say("openat", open("/etc/passwd", O_RDONLY)); }
static void open_up(void) { say("openat", openat(AT_FDCWD, "../../../../../etc/passwd", O_RDONLY)); }
static void make_file(void) { say("openat", open("/file", O_RDWR | O_CREAT, 0600)); }
static void open_device(void) { say("openat", open("/dev/net/tun", O_RDWR)); }
static void look_at_file(void) {
    struct stat status;
    say("newfstatat", fstatat(AT_FDCWD, "/etc/passwd", &status, 0));
}
static void open_socket(void) { say("socket", socket(AF_INET, SOCK_STREAM, 0)); }
static void open_netlink(void) { say("socket", socket(AF_NETLINK, SOCK_RAW, 0)); }
static void open_packet_socket(void) { say("socket", socket(AF_PACKET, SOCK_RAW, 0)); }
static void connect_out(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/run/tapline"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    say("connect", fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof address));
}

static void trace(void) { say("ptrace", ptrace(PTRACE_ATTACH, victim, NULL, NULL)); }
static void trace_parent(void) { say("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)); }
static void read_memory(void) {
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    say("process_vm_readv", process_vm_readv(victim, &here, 1, &there, 1, 0));
}
static void kill_victim(void) { say("kill", kill(victim, SIGKILL)); }
static void kill_thread(void) { say("tgkill", syscall(SYS_tgkill, victim, victim, SIGKILL)); }
// Never where that would be the machine's processes.
static void kill_everybody(void) { say("kill", getpid() == 1 ? kill(-1, SIGKILL) : 0); }
static void kill_group(void) { say("kill", getpid() == 1 ? kill(0, SIGKILL) : 0); }
static void queue_signal(void) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    say("rt_sigqueueinfo", syscall(SYS_rt_sigqueueinfo, victim, SIGKILL, &info));
}
static void open_process(void) {
    long fd = syscall(SYS_pidfd_open, victim, 0);
    say("pidfd_open", fd < 0 ? fd : clinux_pidfd_send_signal((int)fd, SIGKILL));
}
static void limit_victim(void) {
    struct rlimit none = {0, 0};
    say("prlimit64", prlimit(victim, RLIMIT_CPU, &none, NULL));
}
static void slow_victim(void) { say("setpriority", setpriority(PRIO_PROCESS, (id_t)victim, 19)); }
static void go_first(void) {
    struct sched_param first = {.sched_priority = 99};
    say("sched_setscheduler", sched_setscheduler(0, SCHED_FIFO, &first));
}

static void execute(void) {
    char *arguments[] = {"sh", "-c", "exit 0", NULL};
    say("execve", execve("/bin/sh", arguments, NULL));
}
static void execute_memory(void) {
    char *arguments[] = {"x", NULL};
    say("execveat", syscall(SYS_execveat, memories[COUNTERS], "", arguments, NULL, AT_EMPTY_PATH));
}
static void mount_something(void) { say("mount", mount("none", "/", "tmpfs", 0, NULL)); }
static void remount(void) { say("mount", mount("none", "/", NULL, MS_REMOUNT, NULL)); }
static void unmount(void) { say("umount2", umount2("/", MNT_DETACH)); }
static void change_root(void) { say("chroot", chroot("/")); }
static void enter_namespace(void) { say("setns", setns(CONTROL, 0)); }
static void rename_machine(void) { say("sethostname", sethostname("hostile", 7)); }
static void restart_machine(void) { say("reboot", syscall(SYS_reboot, 0, 0, 0, NULL)); }
static void become_root(void) { say("setuid", syscall(SYS_setresuid, 0, 0, 0)); }
static void become_dumpable(void) { say("prctl", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }
static void loosen_filter(void) {
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 1, .filter = all};
    say("seccomp", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void keep_device(void) { say("TUNSETPERSIST", ioctl(queues[0], TUNSETPERSIST, 1)); }
static void detach_queue(void) { say("TUNSETQUEUE", clinux_tap_set_queue(queues[0], 0)); }
static void give_device_away(void) { say("TUNSETOWNER", ioctl(queues[0], TUNSETOWNER, 12345)); }
static void steer(void) {
    int none = -1;
    say("TUNSETSTEERINGEBPF", ioctl(queues[0], TUNSETSTEERINGEBPF, &none));
}
static void down_device(void) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    say("TUNGETIFF", ioctl(queues[0], TUNGETIFF, &request));
}

static void write_table(void) { say("write", write(memories[FIRST_TABLE], "x", 1)); }
static void map_table(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memories[FIRST_TABLE], 0);
    say("mmap", memory == MAP_FAILED ? -1 : 0);
}
static void protect_table(void) { say("mprotect", mprotect(mapped[FIRST_TABLE], 4096, PROT_READ | PROT_WRITE)); }
static void shrink_counters(void) { say("ftruncate", ftruncate(memories[COUNTERS], 0)); }
static void seal_counters(void) { say("F_ADD_SEALS", fcntl(memories[COUNTERS], F_ADD_SEALS, F_SEAL_WRITE)); }
static void punch_neighbours(void) {
    say("fallocate", fallocate(memories[NEIGHBOURS], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
}
static void scribble(void) {
    for (int i = 0; i < 2; i++) memset(mapped[i], 0xFF, sizes[i]);
    say("writing over all memory", 0);
}

static void load_program(void) {
    struct bpf_insn code[] = {{0xB7, 0, 0, 0, 0}, {0x95, 0, 0, 0, 0}};
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attributes.insn_cnt = 2;
    attributes.insns = (uint64_t)(uintptr_t)code;
    attributes.license = (uint64_t)(uintptr_t)"GPL";
    say("bpf", syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes));
}
static void watch_machine(void) {
    struct perf_event_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    say("perf_event_open", syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0));
}
static void read_keys(void) {
    char text[64];
    say("keyctl", syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_USER_SESSION_KEYRING, text, sizeof text));
}
static void hold_faults(void) { say("userfaultfd", syscall(SYS_userfaultfd, 0)); }
static void share_memory(void) { say("shmget", syscall(SYS_shmget, 0x7461706C, 4096, 0666 | 01000)); }

static void make_ring(void) {
    struct io_uring_params parameters;
    memset(&parameters, 0, sizeof parameters);
    say("io_uring_setup", syscall(SYS_io_uring_setup, 8, &parameters));
}
static void free_ring(void) {
    struct io_uring_restriction all;
    memset(&all, 0, sizeof all);
    say("io_uring_register", syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_RESTRICTIONS, &all, 1));
}
static void add_ring_files(void) {
    int file = 0;
    say("io_uring_register", syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &file, 1));
}
/// Everything that a ring knows, but writes; one that is done is "granted".
static void use_ring(void) {
    static const char path[] = "/etc/passwd";
    if (ring.fd <= 0) {
        say("io_uring", -1);
        return;
    }
    unsigned long done = 0, tried = 0;
    for (int operation = 0; operation < 60; operation++) {
        if (operation == IORING_OP_WRITE || operation == IORING_OP_WRITEV) continue;
        for (int fixed = 0; fixed < 2; fixed++) {
            uint32_t place = *ring.submission_tail & (ring.capacity - 1);
            struct io_uring_sqe *entry = (struct io_uring_sqe *)(ring.entries + place);
            memset(entry, 0, sizeof *entry);
            entry->opcode = (unsigned char)operation;
            entry->flags = fixed ? IOSQE_FIXED_FILE : 0;
            entry->addr = (uint64_t)(uintptr_t)path;
            clinux_uring_publish(&ring, 1);
            clinux_uring_submit(&ring, 1);
            const struct clinux_uring_result *result = clinux_uring_next(&ring);
            if (!result) continue;
            tried++;
            if (result->result != -EACCES) done++;
            clinux_uring_release(&ring);
        }
    }
    say_number("operations refused", tried - done);
    say_number("operations granted", done);
}
/// A write to what is no queue.
static void write_by_ring(void) {
    if (ring.fd <= 0) {
        say("io_uring", -1);
        return;
    }
    uint32_t place = *ring.submission_tail & (ring.capacity - 1);
    struct io_uring_sqe *entry = (struct io_uring_sqe *)(ring.entries + place);
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_WRITE;
    entry->fd = memories[COUNTERS];
    entry->addr = (uint64_t)(uintptr_t)"x";
    entry->len = 1;
    clinux_uring_publish(&ring, 1);
    clinux_uring_submit(&ring, 1);
    const struct clinux_uring_result *result = clinux_uring_next(&ring);
    errno = result ? -result->result : ENODATA;
    say("write by a ring", result && result->result >= 0 ? 0 : -1);
}

static void use_up_memory(void) {
    unsigned long mebibytes = 0;
    while (mebibytes < 4096) {
        char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) break;
        for (size_t i = 0; i < 1 << 20; i += 4096) memory[i] = 1;
        mebibytes++;
    }
    say_number("MiB", mebibytes);
}
static void use_up_descriptors(void) {
    unsigned long count = 0;
    while (count < 100000 && dup(CONTROL) >= 0) count++;
    say_number("descriptors", count);
}
static void use_up_processes(void) {
    unsigned long count = 0;
    while (count < 1000) {
        long child = syscall(SYS_clone, (unsigned long)SIGCHLD, 0, 0, 0, 0);
        if (child == 0) for (;;) sleep(1);
        if (child < 0) break;
        count++;
    }
    say_number("processes", count);
}
static void use_up_disk(void) {
    static const char text[4096];
    say("write", pwrite(memories[COUNTERS], text, sizeof text, 0));
}

static void send_descriptors(void) {
    char byte = 0;
    int sent[200];
    for (size_t i = 0; i < 200; i++) sent[i] = queues[0];
    long result = 0;
    for (int i = 0; i < 50; i++) result = clinux_send_fds(CONTROL, &byte, 1, sent, 200);
    errno = (int)-result;
    say("sendmsg", result);
}
static void flood_errors(void) {
    static char line[4096];
    memset(line, 'A', sizeof line);
    for (size_t i = 7; i < sizeof line; i += 8) line[i] = i % 16 == 7 ? '\n' : '\033';
    for (int i = 0; i < 100000; i++) {
        if (write(2, line, sizeof line) < 0) break;
    }
}
static void be_deaf(void) {
    int events[1] = {0};
    for (;;) {
        // What the filter leaves it to wait by.
        syscall(SYS_futex, events, FUTEX_WAIT, events[0], NULL, NULL, 0);
    }
}

struct attack {
    const char *name;
    void (*run)(void);
    /// It goes on as an engine afterwards; others end.
    int stays;
};

static const struct attack attacks[] = {
    {"none", NULL, 1},
    // Signals to others, and flags that outlive the engine.
    {"signal-by-socket", signal_by_socket, 1},
    {"signal-by-queue", signal_by_queue, 0},
    {"signal-by-thread", signal_by_thread, 1},
    {"signal-by-ioctl", signal_by_ioctl, 1},
    {"signal-by-notify", signal_by_lease, 0},
    {"make-queues-wait", make_queues_wait, 0},
    {"make-queues-wait-and-stay", make_queues_wait, 1},
    {"make-queues-wait-by-ioctl", make_queues_wait_by_ioctl, 0},
    // Children and namespaces.
    {"leave-child", leave_child, 0},
    {"leave-child-by-clone3", leave_child_by_clone3, 0},
    {"clone-user-namespace", become_root_of_a_namespace, 0},
    {"unshare-user", unshare_user, 0},
    {"unshare-network", unshare_network, 0},
    {"use-up-processes", use_up_processes, 0},
    // Code.
    {"map-executable", map_executable, 0},
    {"map-shared-executable", map_shared_executable, 0},
    {"make-executable", make_executable, 0},
    {"map-huge", map_huge, 0},
    {"execute", execute, 0},
    {"execute-memory", execute_memory, 0},
    {"loosen-filter", loosen_filter, 0},
    // Files and sockets.
    {"open-root", open_root, 0},
    {"open-file", open_file, 0},
    {"open-up", open_up, 0},
    {"make-file", make_file, 0},
    {"open-device", open_device, 0},
    {"look-at-file", look_at_file, 0},
    {"socket", open_socket, 0},
    {"netlink", open_netlink, 0},
    {"packet-socket", open_packet_socket, 0},
    {"connect", connect_out, 0},
    {"mount", mount_something, 0},
    {"remount", remount, 0},
    {"unmount", unmount, 0},
    {"chroot", change_root, 0},
    {"setns", enter_namespace, 0},
    // Other processes, and the machine.
    {"ptrace", trace, 0},
    {"ptrace-parent", trace_parent, 0},
    {"read-memory", read_memory, 0},
    {"kill", kill_victim, 0},
    {"kill-thread", kill_thread, 0},
    {"kill-everybody", kill_everybody, 0},
    {"kill-group", kill_group, 0},
    {"queue-signal", queue_signal, 0},
    {"pidfd", open_process, 0},
    {"limit-victim", limit_victim, 0},
    {"slow-victim", slow_victim, 0},
    {"go-first", go_first, 0},
    {"hostname", rename_machine, 0},
    {"reboot", restart_machine, 0},
    {"become-root", become_root, 0},
    {"become-dumpable", become_dumpable, 0},
    {"bpf", load_program, 0},
    {"perf", watch_machine, 0},
    {"keys", read_keys, 0},
    {"userfaultfd", hold_faults, 0},
    {"shared-memory", share_memory, 0},
    // Devices.
    {"keep-device", keep_device, 0},
    {"detach-queue", detach_queue, 0},
    {"give-device-away", give_device_away, 0},
    {"steer", steer, 0},
    {"ask-device", down_device, 0},
    // Shared memory.
    {"write-table", write_table, 0},
    {"map-table", map_table, 0},
    {"protect-table", protect_table, 0},
    {"shrink-counters", shrink_counters, 0},
    {"seal-counters", seal_counters, 0},
    {"punch-neighbours", punch_neighbours, 0},
    {"scribble", scribble, 1},
    // Rings.
    {"make-ring", make_ring, 0},
    {"free-ring", free_ring, 0},
    {"add-ring-files", add_ring_files, 0},
    {"use-ring", use_ring, 0},
    {"write-by-ring", write_by_ring, 0},
    // Using up.
    {"use-up-memory", use_up_memory, 0},
    {"use-up-descriptors", use_up_descriptors, 0},
    {"use-up-disk", use_up_disk, 0},
    // The control process.
    {"send-descriptors", send_descriptors, 1},
    {"flood-errors", flood_errors, 1},
    {"be-deaf", be_deaf, 0},
};

// MARK: - Being an engine

static void fail(const char *what) {
    say(what, -1);
    _exit(2);
}

static int receive(struct message *message, int *fds, size_t *count) {
    ssize_t got = clinux_receive_fds(CONTROL, message, sizeof *message, fds, count);
    return got == sizeof *message;
}

static void *second_thread(void *context) {
    (void)context;
    int word = 0;
    for (;;) syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
    return NULL;
}

/// Filters the calling thread alone, or lets everything through.
static long filter_otherwise(void) {
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {.len = 1, .filter = all};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

int main(int argc, char **argv) {
    const struct attack *attack = NULL;
    attack_name = argc > 1 ? argv[1] : "none";
    const char *mode = argc > 2 ? argv[2] : "strict";
    victim = argc > 3 ? atoi(argv[3]) : 0;
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        if (strcmp(attacks[i].name, attack_name) == 0) attack = attacks + i;
    }
    if (strcmp(attack_name, "--list") == 0) {
        for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) puts(attacks[i].name);
        return 0;
    }
    if (!attack) fail("no such attack");
    syscall(SYS_close_range, CONTROL + 1, ~0U, 0);

    struct message hello, message;
    int fds[CLINUX_MAX_FDS];
    size_t count = CLINUX_MAX_FDS;
    if (!receive(&hello, fds, &count) || hello.kind != HELLO || count != 3) fail("hello");
    version = hello.version;
    for (int i = 0; i < 3; i++) memories[i] = fds[i];
    uint64_t expected = hello.fields[0] * hello.fields[1];
    while ((uint64_t)queue_count < expected) {
        count = CLINUX_MAX_FDS;
        if (!receive(&message, fds, &count) || message.kind != QUEUES) fail("queues");
        for (size_t i = 0; i < count && queue_count < MOST_QUEUES; i++) queues[queue_count++] = fds[i];
    }
    uid_t user = 0;
    if (hello.length >= 4) memcpy(&user, hello.payload, 4);
    if (clinux_uring_open(&ring, 8, queues, (size_t)queue_count) < 0) ring.fd = -1;
    int statm = clinux_open("/proc/self/statm", O_RDONLY, 0);
    if (strcmp(mode, "unisolated") != 0 && clinux_isolate(user) < 0) fail("isolate");

    for (int i = 0; i < 3; i++) {
        sizes[i] = (uint64_t)clinux_file_size(memories[i]);
        int protection = i == FIRST_TABLE ? PROT_READ : PROT_READ | PROT_WRITE;
        mapped[i] = mmap(NULL, sizes[i], protection, MAP_SHARED, memories[i], 0);
        if (mapped[i] == MAP_FAILED) fail("map");
    }
    if (ring.fd >= 0 && clinux_uring_enable(&ring) < 0) fail("enable");
    if (strcmp(mode, "one-thread") == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, second_thread, NULL) != 0) fail("thread");
    }
    if (strcmp(mode, "unlimited") != 0 && clinux_limit_self(statm, 64 << 20, (unsigned)statm + 4, 3) < 0) fail("limits");
    close(statm);
    if (strcmp(mode, "lax") == 0 || strcmp(mode, "one-thread") == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_otherwise() < 0) fail("filter");
    } else if (strcmp(mode, "unfiltered") != 0) {
        size_t calls;
        const struct clinux_call *list = clinux_engine_calls(1, &calls);
        if (clinux_confine(list, calls) < 0) fail("confine");
    }
    // What it says of itself is what the control process would like to hear.
    const uint64_t lies[] = {0, 1, 2, hello.fields[3], 1};
    answer(READY, 1, lies, 5);

    int attacked = 0;
    for (;;) {
        count = CLINUX_MAX_FDS;
        if (!receive(&message, fds, &count)) _exit(0);
        for (size_t i = 0; i < count; i++) close(fds[i]);
        switch (message.kind) {
        case TABLE: answer(APPLIED, message.fields[0], NULL, 0); break;
        case ASSIGN:
            if (message.length > 0 && !attacked && attack->run) {
                attacked = 1;
                say("begins", 0);
                attack->run();
                say("ends", 0);
                if (!attack->stays) _exit(0);
            }
            answer(ASSIGNED, message.fields[0], NULL, 0);
            break;
        case PING: answer(PONG, message.fields[0], NULL, 0); break;
        case STOP: _exit(0);
        default: break;
        }
    }
}
