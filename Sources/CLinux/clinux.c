// Thin system calls: one wrapper each.
#include "clinux.h"
#include "clone.h"

#include <linux/nsfs.h>
#include <linux/if_tun.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

const char *clinux_strerror(int error, char *buffer, size_t size) { return strerror_r(error, buffer, size); }

int clinux_receive_buffer(int fd, int size) {
    return setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0 ? -errno : 0;
}

void clinux_ask_extended_errors(int fd) {
    int one = 1;
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
    setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof one);
}

int clinux_tap_open(const char *name, int multi_queue, int header) {
    if (strlen(name) >= IFNAMSIZ) return -ENAMETOOLONG;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (multi_queue) request.ifr_flags |= IFF_MULTI_QUEUE;
    int little_endian = 1;
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) < 0 ||
        (ioctl(fd, TUNSETVNETLE, &little_endian) < 0 && errno != EINVAL)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_tun_open(const char *name, int multi_queue, unsigned int link_type) {
    if (strlen(name) >= IFNAMSIZ) return -ENAMETOOLONG;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -errno;
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, name);
    request.ifr_flags = IFF_TUN;
    if (multi_queue) request.ifr_flags |= IFF_MULTI_QUEUE;
    if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETLINK, (unsigned long)link_type) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_tap_set_header(int fd, int header) {
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) return -errno;
    return clinux_tap_header(fd) == header ? 0 : -EINVAL;
}

int clinux_tap_header(int fd) {
    int header = 0;
    return ioctl(fd, TUNGETVNETHDRSZ, &header) < 0 ? -errno : header;
}

int clinux_tap_set_offload(int fd, unsigned int flags) {
    return ioctl(fd, TUNSETOFFLOAD, (unsigned long)flags) < 0 ? -errno : 0;
}

int clinux_tap_set_queue(int fd, int attached) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    request.ifr_flags = attached ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
    return ioctl(fd, TUNSETQUEUE, &request) < 0 ? -errno : 0;
}

int clinux_setns(int fd, int flags) { return setns(fd, flags) < 0 ? -errno : 0; }

int clinux_unshare(int flags) { return unshare(flags) < 0 ? -errno : 0; }

int clinux_namespace_type(int fd) {
    int type = ioctl(fd, NS_GET_NSTYPE);
    return type < 0 ? -errno : type;
}

int clinux_pidfd_open(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int clinux_pidfd_send_signal(int pidfd, int signal_number) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

int clinux_pidfd_wait(int pidfd, int options, int *code, int *status) {
    siginfo_t info;
    int result;
    do {
        memset(&info, 0, sizeof info);
        result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | options);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *code = info.si_code;
    *status = info.si_status;
    return 1;
}

int clinux_pidfd_is_stopped(int pidfd) {
    siginfo_t info;
    int result;
    do {
        memset(&info, 0, sizeof info);
        result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WSTOPPED | WNOHANG | WNOWAIT);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    return info.si_pid != 0 && info.si_code == CLD_STOPPED;
}

int clinux_open_within(int root, const char *path, int flags, unsigned int mode) {
    // As in linux/openat2.h, which old headers lack: flags, mode, resolve (RESOLVE_IN_ROOT).
    struct {
        unsigned long long flags, mode, resolve;
    } how = {(unsigned int)flags, flags & O_CREAT ? mode : 0, 0x10};
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    return fd < 0 ? -errno : (int)fd;
}

int clinux_memfd(const char *name, size_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -errno;
    if (ftruncate(fd, (off_t)size) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int clinux_memfd_seal(int fd, int read_only) {
    int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL | (read_only ? F_SEAL_WRITE : 0);
    return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

int clinux_memfd_seals(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    return seals < 0 ? -errno : seals;
}

int64_t clinux_file_size(int fd) {
    // The C library's fstat may be a call with a path. Its structure is the kernel's on both architectures.
    struct stat status;
    return syscall(SYS_fstat, fd, &status) < 0 ? -errno : (int64_t)status.st_size;
}

int clinux_correct_flags(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -errno;
    int signals = fcntl(fd, F_GETSIG), owner = fcntl(fd, F_GETOWN);
    int corrected = (flags & (O_NONBLOCK | O_ASYNC | O_APPEND | O_DIRECT)) != O_NONBLOCK || signals > 0 || owner != 0;
    if (!corrected) return 0;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) return -errno;
    fcntl(fd, F_SETSIG, 0);
    fcntl(fd, F_SETOWN, 0);
    return 1;
}

pid_t clinux_fork(void) {
    long pid = clinux_clone((unsigned long)SIGCHLD);
    return pid < 0 ? -errno : (pid_t)pid;
}

int clinux_send_fds(int socket, const void *bytes, size_t length, const int *fds, size_t fd_count) {
    if (fd_count > CLINUX_MAX_FDS) return -EINVAL;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CLINUX_MAX_FDS)];
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (fd_count > 0) {
        memset(control, 0, sizeof control);
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
    }
    ssize_t sent;
    do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) return -errno;
    return (size_t)sent == length ? 0 : -EMSGSIZE;
}

ssize_t clinux_receive_fds(int socket, void *bytes, size_t length, int *fds, size_t *fd_count) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * CLINUX_MAX_FDS)];
    struct iovec vector = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    size_t room = *fd_count, count = 0;
    // Without room the kernel drops them, and none is opened here even for a moment.
    if (!room) message.msg_control = NULL, message.msg_controllen = 0;
    *fd_count = 0;
    ssize_t received;
    do received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    int cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            if (count < room) {
                fds[count++] = fd;
            } else {
                close(fd);
                cut = 1;
            }
        }
    }
    if (cut) {
        for (size_t i = 0; i < count; i++) close(fds[i]);
        return -EMSGSIZE;
    }
    *fd_count = count;
    return received;
}

int clinux_listen_for_rules(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
    if (fd < 0) return -errno;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1U << (NFNLGRP_NFTABLES - 1)};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}
