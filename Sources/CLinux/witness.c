// Hearing of what a program and all that it starts does to its network and to other processes, at the moment when it is
// about to do it: a seccomp filter that asks its listener (seccomp_unotify(2)) and otherwise changes nothing.
#include "clinux.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the seccomp filter knows x86_64 and aarch64"
#endif

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { IOCTL_ADD_ROUTE = 0x890B, IOCTL_DELETE_ROUTE = 0x890C, IOCTL_FIRST = 0x8914, IOCTL_END = 0x8A00 };
#define IOCTL_TUN 0x400454CAu  // TUNSETIFF

#define ARGUMENT(i) (unsigned)(offsetof(struct seccomp_data, args) + 8 * (i))  // the low half, little-endian

int clinux_witness_install(void) {
    // Where each part begins, so that the jumps can be counted.
    enum { NUMBER = 2, BIND = 15, OPEN = 17, SEND = 20, DEVICE = 25, SECOND = 31, THIRD = 33, ALLOW = 35, TELL = 36, LENGTH = 37 };
#define CASE(at, value, part) [at] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), (part) - (at) - 1, 0)
    struct sock_filter code[LENGTH] = {
        [0] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        // Programs of another architecture are not heard.
        [1] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 0, ALLOW - 2),
        [NUMBER] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        CASE(3, SYS_bind, BIND),
        CASE(4, SYS_sendmsg, TELL),
        CASE(5, SYS_sendto, SEND),
        CASE(6, SYS_ioctl, DEVICE),
        CASE(7, SYS_kill, SECOND),
        CASE(8, SYS_tkill, SECOND),
        CASE(9, SYS_rt_sigqueueinfo, SECOND),
        CASE(10, SYS_pidfd_send_signal, SECOND),
        CASE(11, SYS_tgkill, THIRD),
        CASE(12, SYS_rt_tgsigqueueinfo, THIRD),
        CASE(13, SYS_openat, OPEN),
        [14] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        // bind with an address as long as netlink's, which no other family's is.
        [BIND] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
        [16] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sizeof(struct sockaddr_nl), TELL - 17, ALLOW - 17),
        // openat for writing alone, as settings are written.
        [OPEN] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
        [18] = BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_ACCMODE),
        [19] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, O_WRONLY, TELL - 20, ALLOW - 20),
        // sendto with such an address, or with none and no flags.
        [SEND] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(5)),
        [21] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sizeof(struct sockaddr_nl), TELL - 22, 0),
        [22] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, ALLOW - 23),
        [23] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(3)),
        [24] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, TELL - 25, ALLOW - 25),
        // ioctl(any, what sets something of a device, any); most that only ask are among them, and do no harm.
        [DEVICE] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
        CASE(26, IOCTL_TUN, TELL),
        CASE(27, IOCTL_ADD_ROUTE, TELL),
        CASE(28, IOCTL_DELETE_ROUTE, TELL),
        [29] = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IOCTL_END, ALLOW - 30, 0),
        [30] = BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, IOCTL_FIRST, TELL - 31, ALLOW - 31),
        // A signal; number 0 only asks whether a process is there.
        [SECOND] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
        [32] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, ALLOW - 33, TELL - 33),
        [THIRD] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
        [34] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, ALLOW - 35, TELL - 35),
        [ALLOW] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        [TELL] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
#undef CASE
    struct sock_fprog program = {.len = LENGTH, .filter = code};
    // Without the second flag (Linux 5.19) a signal handler may make the program ask twice.
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
    if (fd < 0 && errno == EINVAL) fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    return fd < 0 ? -errno : (int)fd;
}

void clinux_witness_hand_over(int listener, int socket) {
    char byte = 0;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &listener, sizeof listener);
    // sendmsg would ask the listener, whom nobody hears yet.
    struct mmsghdr one = {.msg_hdr = message};
    while (sendmmsg(socket, &one, 1, MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

int clinux_witness_take(int socket) {
    char byte;
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t count;
    do count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    struct cmsghdr *header = count > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return -ENOENT;
    int listener;
    memcpy(&listener, CMSG_DATA(header), sizeof listener);
    return listener;
}

/// The beginning of what a thread is about to send; its length, 0 where it cannot be read.
static uint32_t read_message(pid_t pid, const struct seccomp_data *call, uint8_t *octets, size_t room) {
    struct iovec here, there, first;
    if (call->nr == SYS_sendmsg) {
        struct msghdr message;
        here = (struct iovec){.iov_base = &message, .iov_len = sizeof message};
        there = (struct iovec){.iov_base = (void *)(uintptr_t)call->args[1], .iov_len = sizeof message};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof message || message.msg_iovlen == 0) return 0;
        here = (struct iovec){.iov_base = &first, .iov_len = sizeof first};
        there = (struct iovec){.iov_base = message.msg_iov, .iov_len = sizeof first};
        if (process_vm_readv(pid, &here, 1, &there, 1, 0) != sizeof first) return 0;
    } else {
        first = (struct iovec){.iov_base = (void *)(uintptr_t)call->args[1], .iov_len = call->args[2]};
    }
    if (first.iov_len > room) first.iov_len = room;
    here = (struct iovec){.iov_base = octets, .iov_len = first.iov_len};
    ssize_t count = process_vm_readv(pid, &here, 1, &first, 1, 0);
    return count > 0 ? (uint32_t)count : 0;
}

/// Reads what a thread's pointer points to; the number of octets, 0 where it cannot be read.
static uint32_t read_octets(pid_t pid, uint64_t address, void *octets, size_t length) {
    struct iovec here = {.iov_base = octets, .iov_len = length};
    struct iovec there = {.iov_base = (void *)(uintptr_t)address, .iov_len = length};
    ssize_t count = process_vm_readv(pid, &here, 1, &there, 1, 0);
    return count > 0 ? (uint32_t)count : 0;
}

/// True where a thread's pointer points to the path of a setting of the network.
static int is_setting(pid_t pid, uint64_t address) {
    static const char folder[] = "/proc/sys/net/";
    char path[sizeof folder - 1];
    return read_octets(pid, address, path, sizeof path) == sizeof path && memcmp(path, folder, sizeof path) == 0;
}

/// True where the octets begin as a request to NETLINK_ROUTE does.
static int is_request(const uint8_t *octets, uint32_t length) {
    struct nlmsghdr header;
    if (length < sizeof header) return 0;
    memcpy(&header, octets, sizeof header);
    return header.nlmsg_len >= sizeof header && header.nlmsg_type >= NLMSG_MIN_TYPE && header.nlmsg_type < 256
        && header.nlmsg_flags & NLM_F_REQUEST;
}

int clinux_witness_receive(int listener, struct clinux_witnessed *witnessed, uint8_t *message) {
    struct seccomp_notif notification;
    memset(&notification, 0, sizeof notification);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0) return -errno;
    memset(witnessed, 0, sizeof *witnessed);
    witnessed->id = notification.id;
    witnessed->pid = (int32_t)notification.pid;
    witnessed->call = notification.data.nr;
    witnessed->first = (int32_t)notification.data.args[0];
    switch (notification.data.nr) {
        case SYS_bind: witnessed->kind = CLINUX_WITNESSED_BIND; break;
        case SYS_openat:
            witnessed->kind = is_setting(witnessed->pid, notification.data.args[1]) ? CLINUX_WITNESSED_SETTING
                                                                                    : CLINUX_WITNESSED_NOTHING;
            break;
        case SYS_sendmsg:
        case SYS_sendto:
            witnessed->kind = CLINUX_WITNESSED_SEND;
            witnessed->length =
                read_message(witnessed->pid, &notification.data, message, CLINUX_WITNESSED_MESSAGE);
            // By no address everything is sent that a connection carries: what is no request matters to nobody.
            if (notification.data.nr == SYS_sendto && notification.data.args[5] == 0
                && !is_request(message, witnessed->length))
                witnessed->kind = CLINUX_WITNESSED_NOTHING;
            break;
        case SYS_ioctl:
            witnessed->kind = CLINUX_WITNESSED_DEVICE;
            witnessed->second = (uint32_t)notification.data.args[1];
            // struct ifreq; at the end of a page there may be less of it.
            witnessed->length = read_octets(witnessed->pid, notification.data.args[2], message, 40);
            break;
        default:
            witnessed->kind = CLINUX_WITNESSED_SIGNAL;
            // There the target is a descriptor: whose is not asked.
            if (notification.data.nr == SYS_pidfd_send_signal) witnessed->first = -1;
    }
    return 0;
}

int clinux_witness_go_on(int listener, uint64_t id) {
    struct seccomp_notif_resp response = {.id = id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 ? -errno : 0;
}

int clinux_take_route_socket(int process, int descriptor, int other) {
    int fd = (int)syscall(SYS_pidfd_getfd, process, descriptor, 0);
    if (fd < 0) return -errno;
    int domain = 0, protocol = -1;
    socklen_t size = sizeof domain;
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
    size = sizeof protocol;
    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size);
    if (domain == AF_NETLINK && protocol == NETLINK_ROUTE) {
        int its = ioctl(fd, SIOCGSKNS), ours = ioctl(other, SIOCGSKNS);
        struct stat one, two;
        int same = its >= 0 && ours >= 0 && fstat(its, &one) == 0 && fstat(ours, &two) == 0 && one.st_ino == two.st_ino
            && one.st_dev == two.st_dev;
        if (its >= 0) close(its);
        if (ours >= 0) close(ours);
        if (same) return fd;
    }
    close(fd);
    return -ENOTSOCK;
}
