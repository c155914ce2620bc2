// The packet socket that a topology's probes go out by and come in by, on every device of its namespace.
#include "clinux.h"
#include "frame.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/// Short frames that end in the token, and frames to the prober's MAC address. All else costs a comparison or two: bulk
/// frames are longer than any probe, and are told by that first.
static int filter(int fd, uint64_t token, uint64_t mac, unsigned int longest) {
    enum { HALF = sizeof token / 2, DESTINATION = ETHERNET_FIELD(h_dest) };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, longest, 11, 0),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ETH_HLEN + sizeof token, 0, 10),
        BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, sizeof token),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(token >> 32), 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_IND, HALF),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)token, 5, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DESTINATION),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(mac >> 16), 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, DESTINATION + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint16_t)mac, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, longest),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int clinux_probe_open(uint64_t token, uint64_t mac, unsigned int longest) {
    // Bound to no protocol, it hears nothing until it is bound.
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    int one = 1, size = 4 << 20;
    int result = filter(fd, token, mac, longest);
    if (result == 0 && setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) < 0) result = -errno;
    // Probes go by no queueing discipline; veths have none. Where this cannot be they take the longer way.
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one);
    // Without the right to force it, what the machine allows must do.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    if (result == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0) result = -errno;
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

int clinux_probe_send(int fd, const void *bytes, const struct clinux_probe_frame *frames, size_t count) {
    struct mmsghdr messages[CLINUX_PROBE_BATCH];
    struct iovec parts[CLINUX_PROBE_BATCH];
    struct sockaddr_ll addresses[CLINUX_PROBE_BATCH];
    if (count > CLINUX_PROBE_BATCH) count = CLINUX_PROBE_BATCH;
    for (size_t i = 0; i < count; i++) {
        addresses[i] = (struct sockaddr_ll){
            .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = frames[i].device, .sll_halen = 6};
        parts[i] = (struct iovec){.iov_base = (char *)bytes + frames[i].offset, .iov_len = frames[i].length};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &addresses[i],
                                                   .msg_namelen = sizeof addresses[i],
                                                   .msg_iov = &parts[i],
                                                   .msg_iovlen = 1}};
    }
    int sent;
    do sent = sendmmsg(fd, messages, (unsigned int)count, MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int clinux_probe_receive(int fd, void *bytes, size_t stride, struct clinux_probe_frame *frames, size_t count) {
    struct mmsghdr messages[CLINUX_PROBE_BATCH];
    struct iovec parts[CLINUX_PROBE_BATCH];
    struct sockaddr_ll addresses[CLINUX_PROBE_BATCH];
    if (count > CLINUX_PROBE_BATCH) count = CLINUX_PROBE_BATCH;
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct iovec){.iov_base = (char *)bytes + i * stride, .iov_len = stride};
        messages[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &addresses[i],
                                                   .msg_namelen = sizeof addresses[i],
                                                   .msg_iov = &parts[i],
                                                   .msg_iovlen = 1}};
    }
    int got;
    do got = recvmmsg(fd, messages, (unsigned int)count, MSG_DONTWAIT, NULL);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -errno;
    for (int i = 0; i < got; i++)
        frames[i] = (struct clinux_probe_frame){
            .device = addresses[i].sll_ifindex, .offset = (unsigned int)(i * stride), .length = messages[i].msg_len};
    return got;
}

int clinux_epoll_wait(int fd, struct epoll_event *events, int count, int64_t microseconds) {
    struct timespec time = {.tv_sec = microseconds / 1000000, .tv_nsec = microseconds % 1000000 * 1000};
    long got = syscall(SYS_epoll_pwait2, fd, events, count, microseconds < 0 ? NULL : &time, NULL, (size_t)8);
    if (got < 0 && errno == ENOSYS) {
        // Before Linux 5.11 in milliseconds: rather too late than in a circle.
        int64_t milliseconds = (microseconds + 999) / 1000;
        if (milliseconds > INT32_MAX) milliseconds = INT32_MAX;
        got = epoll_wait(fd, events, count, microseconds < 0 ? -1 : (int)milliseconds);
    }
    return got < 0 ? -errno : (int)got;
}

uint32_t clinux_netlink_port(int fd) {
    struct sockaddr_nl address;
    socklen_t size = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &size) < 0 ? 0 : address.nl_pid;
}

int clinux_raise_own_thread(int nice) {
    return setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), nice) < 0 ? -errno : 0;
}
