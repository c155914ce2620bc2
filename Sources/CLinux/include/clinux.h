// What Swift cannot import by itself: constants and structures behind _GNU_SOURCE, request numbers built by macros,
// variadic calls, and what must run between clone and exec. Every function returns a descriptor or 0, or -errno.
#ifndef TAPLINE_CLINUX_H
#define TAPLINE_CLINUX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
// fd_set must have the same member names as in modules that do not define _GNU_SOURCE (Dispatch's, for one): Swift
// refuses two definitions of one structure.
#include <features.h>
#pragma push_macro("__USE_XOPEN")
#undef __USE_XOPEN
#include <sys/select.h>
#pragma pop_macro("__USE_XOPEN")

#include "calls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>

#ifdef __cplusplus
extern "C" {
#endif

// MARK: - What variadic and macro-ridden calls need

static inline int clinux_errno(void) { return errno; }
/// The error's text, in `buffer` or in static storage.
const char *clinux_strerror(int error, char *buffer, size_t size);
/// A close-on-exec duplicate; -1 and errno on failure.
static inline int clinux_duplicate(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }
/// Makes no call on the descriptor wait. Returns 0 or -errno.
static inline int clinux_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/// open(2) with close-on-exec; -1 and errno on failure.
static inline int clinux_open(const char *path, int flags, unsigned int mode) {
    return open(path, flags | O_CLOEXEC, mode);
}
/// Gives a socket a receive buffer of `size` octets, beyond the machine's limit too (SO_RCVBUFFORCE). Returns 0 or -errno.
int clinux_receive_buffer(int fd, int size);
/// Asks of a netlink socket extended errors (NETLINK_EXT_ACK), which quote no more than a request's header (NETLINK_CAP_ACK),
/// and strict checks of requests (NETLINK_GET_STRICT_CHK). An older kernel knows some of these.
void clinux_ask_extended_errors(int fd);

// MARK: - TUN/TAP (linux/if_tun.h)

// The kernel may hand over packets whose checksum is not complete, and segments larger than the MTU.
enum {
    CLINUX_TUN_CSUM = 0x01,
    CLINUX_TUN_TSO4 = 0x02,
    CLINUX_TUN_TSO6 = 0x04,
    CLINUX_TUN_TSO_ECN = 0x08,
    CLINUX_TUN_USO4 = 0x20,
    CLINUX_TUN_USO6 = 0x40,
    // Segments in VXLAN, Geneve and the like, also where the outer UDP header has a checksum (Linux 6.18).
    CLINUX_TUN_UDP_TUNNEL_GSO = 0x080,
    CLINUX_TUN_UDP_TUNNEL_GSO_CSUM = 0x100,
};

enum {
    /// The octets of a struct virtio_net_hdr.
    CLINUX_VNET_HEADER = 10,
    /// The octets of a struct virtio_net_hdr_v1_hash_tunnel, which says where the headers of a tunnel are, too.
    CLINUX_TUNNEL_VNET_HEADER = 24,
};

/// Opens one queue of the TAP `name` (made if it is not there) in the calling thread's network namespace:
/// nonblocking, close-on-exec, IFF_TAP|IFF_NO_PI|IFF_VNET_HDR with a virtio_net_hdr of `header` bytes, little-endian, and
/// IFF_MULTI_QUEUE where `multi_queue` is not zero. The header is the device's: all its queues get it. Returns the
/// descriptor or -errno.
int clinux_tap_open(const char *name, int multi_queue, int header);
/// TUNSETVNETHDRSZ: gives all queues of the device a virtio_net_hdr of so many bytes. Returns 0 or -errno; -EINVAL where the
/// kernel says that it has another one (TUNGETVNETHDRSZ).
int clinux_tap_set_header(int fd, int header);
/// TUNGETVNETHDRSZ: the bytes of the virtio_net_hdr of a queue, or -errno.
int clinux_tap_header(int fd);

/// The same of a TUN whose device has a link type of linux/if_arp.h (ARPHRD_FRAD 770, ARPHRD_ATM 19): IFF_TUN, with a
/// tun_pi of 4 bytes before each frame. Without it the kernel would take the first four bits for an IP version.
int clinux_tun_open(const char *name, int multi_queue, unsigned int link_type);
/// TUNSETOFFLOAD with CLINUX_TUN_ flags. Returns 0 or -errno. The kernel takes those of tunnels with a virtio_net_hdr that has
/// no room for them, too, and then reads and writes what is behind it: set CLINUX_TUNNEL_VNET_HEADER first.
int clinux_tap_set_offload(int fd, unsigned int flags);
/// TUNSETQUEUE: attaches (1) or detaches (0) this queue. Returns 0 or -errno.
int clinux_tap_set_queue(int fd, int attached);
/// Loads the program that chooses the queue of a TAP for a frame: a hash of its network addresses, and of its ports where it
/// is a whole TCP segment, UDP datagram, or SCTP or DCCP packet; the same for both directions. What is inside a tunnel, and
/// whether a packet is a fragment of it, changes nothing. Everything that is not IP goes to one queue. Returns a descriptor,
/// close-on-exec, or -errno: -EPERM where the process may not load programs.
int clinux_steering_load(void);
/// TUNSETSTEERINGEBPF: has the device of a queue divide frames by that program. Returns 0 or -errno.
int clinux_tap_set_steering(int fd, int program);

// MARK: - Ethernet features

/// Asks the device `name`, in the network namespace that the socket `fd` was opened in (any family), to switch off
/// all that lets frames leave it unfinished: checksumming, scatter-gather, and every kind of segmentation on the
/// transmit side. What stays on by the driver's will is left on. Returns 0 or -errno.
int clinux_transmit_offloads_off(int fd, const char *name);
/// Writes the names of the features of a device that are on and may be changed, each with a newline behind it, into
/// `text` of `size` octets. Returns their octets without the zero behind them, or -errno; -ENOSPC if there is no room.
int clinux_changeable_features(int fd, const char *name, char *text, size_t size);
/// Switches the features of a device on or off whose names are in `text`, each with a newline behind it. Unknown ones, and
/// those that the device cannot change, are left out. Returns 0 or -errno.
int clinux_set_features(int fd, const char *name, const char *text, int on);
/// Writes 1 or 0 to `active` for the feature called `feature` (as `ethtool -k` knows it: "tx-checksum-ip-generic").
int clinux_feature_is_active(int fd, const char *name, const char *feature, int *active);

// MARK: - Namespaces, processes, memory

int clinux_setns(int fd, int flags);
int clinux_unshare(int flags);
int clinux_pidfd_open(pid_t pid);
int clinux_pidfd_send_signal(int pidfd, int signal_number);
/// waitid on a pidfd. Returns 1 with `code` (CLD_EXITED, CLD_KILLED or CLD_DUMPED) and `status` filled in, 0 where
/// `options` has WNOHANG and the process still runs, or -errno. The process must be a child of the caller's.
int clinux_pidfd_wait(int pidfd, int options, int *code, int *status);
/// Whether a child stands still by a signal (SIGSTOP and the like): 1 or 0, or -errno. Takes nothing from other waits.
int clinux_pidfd_is_stopped(int pidfd);
/// Opens a path as a process with the root `root` would: neither a link nor `..` leads out of it, and links of /proc lead
/// nowhere. The descriptor, or -errno; -ENOSYS before Linux 5.6.
int clinux_open_within(int root, const char *path, int flags, unsigned int mode);
/// A memfd that can be sealed, close-on-exec, of `size` bytes.
int clinux_memfd(const char *name, size_t size);
/// Seals a memfd against growing and shrinking, against writes too where `read_only`, and against more seals.
int clinux_memfd_seal(int fd, int read_only);
/// The seals of a memfd (F_SEAL_ bits), or -errno.
int clinux_memfd_seals(int fd);
/// Asks the scheduler for time slices of `nanoseconds` (100,000 to 100,000,000) for the calling thread, which
/// alternates the more often with others that want its processor; threads that it starts have ordinary ones. Returns 0
/// or -errno; kernels before 6.12 take it and change nothing.
int clinux_take_short_slices(unsigned long long nanoseconds);
/// Gives the calling thread a table of descriptors of its own, a copy of the one that it shared with other threads: the
/// kernel then counts no reference for each of its reads and writes. Returns 0 or -errno.
int clinux_own_descriptors(void);
/// The type of the namespace that a descriptor is of (CLONE_NEWNET …), or -errno: -ENOTTY for what is no namespace.
int clinux_namespace_type(int fd);
/// Whether a path leads to something for a process, in its mounts and from its root: 1, 0 or -errno.
int clinux_exists_for(pid_t pid, const char *path);
/// Opens a file below the folder `root` to read it, and does not wait for it. Links lead where they lead with that folder
/// as the root directory, and never out of it. Returns a descriptor (close-on-exec) or -errno.
int clinux_open_below(const char *root, const char *path);
/// fork without the C library's handlers: the child may call only what is async-signal-safe.
pid_t clinux_fork(void);

// MARK: - Messages with descriptors

/// A connected SOCK_SEQPACKET pair, close-on-exec; -1 and errno on failure.
static inline int clinux_socket_pair(int ends[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
}
/// Sends one message of `length` bytes and `fd_count` descriptors (at most CLINUX_MAX_FDS). Returns 0 or -errno.
int clinux_send_fds(int socket, const void *bytes, size_t length, const int *fds, size_t fd_count);
/// Receives one message: up to `length` bytes and `*fd_count` descriptors (close-on-exec); `*fd_count` becomes the
/// number received. Returns the number of bytes, 0 at the end, or -errno; -EMSGSIZE where something was cut off (every
/// descriptor received is then closed).
ssize_t clinux_receive_fds(int socket, void *bytes, size_t length, int *fds, size_t *fd_count);
enum { CLINUX_MAX_FDS = 253 };

// MARK: - Packet sockets

/// A word (or half of one) that a frame's transport header or payload must have at an offset from the transport header.
/// The header is looked for behind the IPv4 header, options counted, or right behind the IPv6 header. That header is behind an
/// Ethernet header with its type, or at `network` octets from the frame's first one, whatever is before it.
struct clinux_word_match {
    int family;
    unsigned int network;
    unsigned char protocol;
    unsigned char is_half;
    unsigned int offset;
    unsigned int value;
};

/// What a packet socket's ring is made of, and which frames get into it.
struct clinux_packet_ring {
    int device;
    /// A multiple of the page's size.
    unsigned int block_size;
    unsigned int block_count;
    /// A block with frames is handed over when it is full, or after so long.
    unsigned int retire_milliseconds;
    /// The most that is kept of a frame.
    unsigned int frame_length;
    /// A frame gets in where one of them holds, at most 64; every frame where there are none.
    const struct clinux_word_match *matches;
    size_t match_count;
    /// Frames of this EtherType get in, too; 0 for none.
    unsigned short ether_type;
};

/// Where the reader of a ring stands.
struct clinux_packet_cursor {
    unsigned int block;
    unsigned int offset;
    unsigned int left;
    int is_last;
};

/// A frame in the ring.
struct clinux_packet {
    const void *bytes;
    unsigned int captured;
    unsigned int length;
    /// Since 1970, by the kernel's clock when the device handed it over.
    uint64_t nanoseconds;
    int is_outgoing;
    int has_partial_checksum;
    /// The VLAN tag that the kernel has taken off, as its four octets in host order; 0 if there was none.
    unsigned int tag;
};

/// Opens a packet socket with a ring on a device of the calling thread's network namespace. Returns the descriptor with
/// `*memory` mapped (block_size * block_count bytes), or -errno.
int clinux_packet_open(const struct clinux_packet_ring *ring, void **memory);
/// 1 with the next frame, 0 where there is none yet. Where `cursor->is_last` is set afterwards, the frame is the last
/// of its block, which is to be released once the frame is no longer needed.
int clinux_packet_next(
    void *memory, const struct clinux_packet_ring *ring, struct clinux_packet_cursor *cursor,
    struct clinux_packet *packet);
void clinux_packet_release(
    void *memory, const struct clinux_packet_ring *ring, struct clinux_packet_cursor *cursor);
/// The frames that found no room in the ring since the last call. Returns 0 or -errno.
int clinux_packet_losses(int fd, unsigned int *losses);
/// Opens a socket that sends packets, network header included, by the routes of the calling thread's network namespace.
/// Returns the descriptor or -errno.
int clinux_raw_open(int family);
/// Sends a packet on such a socket; it waits while the socket's buffer is full. Returns 0 or -errno.
int clinux_raw_send(int fd, const void *packet, size_t length, int family, const void *destination);

// MARK: - Probes

/// A frame in a buffer, and the device that it leaves or came in by.
struct clinux_probe_frame {
    int device;
    unsigned int offset;
    unsigned int length;
};
/// The most frames in one call.
enum { CLINUX_PROBE_BATCH = 64 };

/// A nonblocking packet socket on all devices of the calling thread's network namespace. It hears frames that come in, of
/// at most `longest` octets, whose last eight octets are `token` (big-endian) or whose destination is `mac` (the six
/// octets in the low bits). Returns the descriptor or -errno.
int clinux_probe_open(uint64_t token, uint64_t mac, unsigned int longest);
/// Sends frames by their devices, in order. Returns how many went out before the first that did not, or -errno of that
/// where it is the first.
int clinux_probe_send(int fd, const void *bytes, const struct clinux_probe_frame *frames, size_t count);
/// Receives frames, each cut off at `stride` octets, to `bytes`. Returns how many, or -errno (-EAGAIN: none is there).
int clinux_probe_receive(int fd, void *bytes, size_t stride, struct clinux_probe_frame *frames, size_t count);
/// epoll_pwait2 with a time in microseconds; for ever where it is negative. Returns how many events, or -errno.
int clinux_epoll_wait(int fd, struct epoll_event *events, int count, int64_t microseconds);
/// Gives the calling thread another nice value. Returns 0 or -errno.
int clinux_raise_own_thread(int nice);

// MARK: - Confinement

/// What a process shares with nobody.
enum clinux_apart {
    /// It is the first of a PID namespace: it sees no other process, and what it leaves ends with it.
    CLINUX_APART_PROCESSES = 1 << 0,
    /// Nothing is mounted but an empty root in which nothing can be made.
    CLINUX_APART_MOUNTS = 1 << 1,
    CLINUX_APART_IPC = 1 << 2,
    /// The UTS namespace.
    CLINUX_APART_NAMES = 1 << 3,
    CLINUX_APART_NETWORK = 1 << 4,
    CLINUX_APART_CONTROL_GROUPS = 1 << 5,
    /// A user and a group that no other process has.
    CLINUX_APART_USER = 1 << 6,
    /// It has no supplementary groups.
    CLINUX_APART_GROUPS = 1 << 7,
    /// No capability is in the bounding set.
    CLINUX_APART_BOUNDING = 1 << 8,
};

/// Takes the process out of the machine, as far as the kernel grants it, and every privilege from it for good: namespaces
/// with nothing mounted, user and group `user` (0: it keeps its own) without further groups, an empty key ring, no_new_privs,
/// no ambient, bounding, inheritable, permitted or effective capability, locked securebits, no core dump and no reading of
/// its memory by others. The signal at its parent's end stays. Capabilities belong to threads, so the process must have one
/// thread (-EBUSY otherwise); threads made later inherit all of it. /proc and all other files are gone afterwards.
///
/// Returns which parts of `clinux_apart` it has, or -errno where it still has capabilities.
int clinux_isolate(uid_t user);
/// Has all threads take memory from one heap. With heaps of their own each reserves 64 MiB of address space and grows by calls
/// that change what memory is protected from. To be called before there are threads.
void clinux_share_one_heap(void);
/// Limits what the process may use from now on: `room` octets of address space more than it has, descriptors below
/// `descriptors`, `threads` threads of its user (0: no limit, for a user that others are, too), and no file written to, no
/// core dump, no locked memory, no message queue, no better priority.
///
/// - Parameter statm: /proc/self/statm, opened while there was a /proc.
/// - Returns: 0 or -errno.
int clinux_limit_self(int statm, uint64_t room, unsigned int descriptors, unsigned int threads);
/// Lets a child have `wanted` octets of address space where it has leave to fewer; `limit` gets what it has leave to. Returns
/// 0 or -errno.
int clinux_address_space(pid_t pid, uint64_t wanted, uint64_t *limit);
/// What `clinux_isolate` is granted here, tried in a child that leaves nothing; in a new user namespace that has no other user
/// where `in_user_namespace` is not zero. Returns the parts of `clinux_apart`, or -errno.
int clinux_try_isolation(uid_t user, int in_user_namespace);
/// As `clinux_fork`, in a PID namespace of the child's own where the kernel makes one. Returns -1 and errno on failure.
pid_t clinux_fork_apart(void);

/// Forbids the process, by a seccomp filter on all its threads, every system call that is not among `calls`: one ends it with
/// SIGSYS. It sets no_new_privs, which the filter needs. Returns 0 or -errno.
int clinux_confine(const struct clinux_call *calls, size_t count);
/// The same, but a call that is not among them fails with ENOSYS.
int clinux_refuse_others(const struct clinux_call *calls, size_t count);

/// The size of a file in octets, by a call that names no path; or -errno.
int64_t clinux_file_size(int fd);
/// Gives a descriptor that others have shared the flags that it is to have, whatever they have made of them: it never waits,
/// and signals nobody. Returns 1 where something had to be corrected, 0 where nothing had to, or -errno.
int clinux_correct_flags(int fd);

// MARK: - User namespaces

/// Numbers of users or groups that /etc/subuid or /etc/subgid gives a user; none where `count` is 0.
struct clinux_id_range {
    unsigned long first;
    unsigned long count;
};

/// What did not work, for the sentence that a person reads.
enum clinux_user_stage {
    CLINUX_USER_STAGE_NONE = 0,
    CLINUX_USER_STAGE_UNSHARE,
    CLINUX_USER_STAGE_MAP,
    CLINUX_USER_STAGE_NAMESPACES,
    CLINUX_USER_STAGE_MOUNT,
    CLINUX_USER_STAGE_TUN_OPEN,
    CLINUX_USER_STAGE_TUN_MAKE,
    CLINUX_USER_STAGE_SYS,
    CLINUX_USER_STAGE_PROC,
};

/// Moves the calling process, which must have one thread, into a user and a mount namespace of its own, where it is
/// root. User and group 1 and on are the ranges' where newuidmap and newgidmap (shadow's) map them; else there is no
/// user but root, and setgroups(2) is denied. Returns 1 with the ranges, 0 without, or -errno with `*stage` set.
int clinux_become_root(
    const struct clinux_id_range *users, const struct clinux_id_range *groups, enum clinux_user_stage *stage);
/// Tries in a child, which leaves nothing, all that a node needs in namespaces of this user's own: to make them, to mount
/// /run, /sys and /proc, and to make a TAP. Returns 0, or -errno with `*stage` set.
int clinux_try_user_namespace(enum clinux_user_stage *stage);
/// Moves the calling process, which must have one thread, into a user namespace where it is root and there is no other
/// user. Returns 0 or -errno.
int clinux_alone_in_user_namespace(void);

// MARK: - Processes in nodes

/// One file or directory shown at another path inside a node.
struct clinux_bind {
    const char *source;
    const char *target;
    /// The target is made where there is none, without touching the machine's files; else it is skipped then.
    int is_made;
};

/// The most mounts below folders with layers that a node sees.
enum { CLINUX_MOST_INNER_MOUNTS = 128 };

/// A mount of the machine below a folder that a node has a layer over: the layer alone would hide it.
struct clinux_inner_mount {
    const char *path;
    /// Whether it may get a layer of its own; else it is shown read-only.
    int is_layered;
};

struct clinux_node_init {
    int network_namespace;
    /// Its host name, at most 64 octets; NULL: the machine's.
    const char *hostname;
    /// Shown at their own paths, the topology's folder read-only unless the node keeps the machine's files; NULL for none.
    const char *directory;
    const char *topology_directory;
    const char *share_directory;
    /// Bound over their targets.
    const struct clinux_bind *binds;
    size_t bind_count;
    /// Whether the node may write the machine's files.
    int keeps_machine;
    /// A root directory in place of the machine's; NULL for that. All that is written there is the node's own.
    const char *root;
    /// Folders that get a layer of the node's own beside /etc, /var, /root and /tmp.
    const char *const *privates;
    size_t private_count;
    /// Folders of the machine that stay writable.
    const char *const *writables;
    size_t writable_count;
    /// Mounts below the folders with layers, each before those below it.
    const struct clinux_inner_mount *inner_mounts;
    size_t inner_mount_count;
};

/// What a child could not do, for the sentence that a person reads.
enum clinux_stage {
    CLINUX_STAGE_NONE = 0,
    CLINUX_STAGE_CLONE,
    CLINUX_STAGE_ENTER_NETWORK,
    CLINUX_STAGE_PRIVATE_MOUNTS,
    CLINUX_STAGE_NAME,
    CLINUX_STAGE_MOUNT_PROC,
    CLINUX_STAGE_MOUNT_SYS,
    CLINUX_STAGE_PROTECT,
    CLINUX_STAGE_MOUNT_RUN,
    CLINUX_STAGE_MOUNT_SHARED_MEMORY,
    CLINUX_STAGE_BIND_DIRECTORY,
    CLINUX_STAGE_BIND_FILE,
    CLINUX_STAGE_MAKE_FILE,
    CLINUX_STAGE_READ_ONLY,
    CLINUX_STAGE_LAYER,
    CLINUX_STAGE_WRITABLE,
    CLINUX_STAGE_ROOT,
    CLINUX_STAGE_ENTER_NODE,
    CLINUX_STAGE_SECOND_CLONE,
    CLINUX_STAGE_SESSION,
    CLINUX_STAGE_WORKING_DIRECTORY,
    CLINUX_STAGE_DESCRIPTORS,
    CLINUX_STAGE_LIMITS,
    CLINUX_STAGE_CONTROL_GROUP,
    CLINUX_STAGE_RIGHTS,
    CLINUX_STAGE_EXECUTE,
    CLINUX_STAGE_DIED,
};

/// Clones PID 1 of a node: its own PID, mount, UTS, IPC and cgroup namespaces, the network namespace given, its own /proc,
/// /sys and /run, of which what is the machine's is read-only, comm `tapline-init`; it reaps and does nothing else. It is killed when the calling *thread* ends
/// (PR_SET_PDEATHSIG counts threads), so call this on a thread that lives as long as the process. Returns its pid, or
/// -errno with `*stage` set. `*refused`, unless it is NULL, has a bit for each of /etc, /var and /root that the kernel refused a layer.
pid_t clinux_node_init(const struct clinux_node_init *node, enum clinux_stage *stage, unsigned int *refused);

/// A descriptor of the parent's and the number it has in the child.
struct clinux_placed_fd {
    int source;
    int target;
};

/// Numbers of resource limits (asm-generic/resource.h). The header itself would make Swift see two of everything in it.
enum {
    CLINUX_LIMIT_FILE_SIZE = 1,
    CLINUX_LIMIT_CORE = 4,
    CLINUX_LIMIT_PROCESSES = 6,
    CLINUX_LIMIT_FILES = 7,
    CLINUX_LIMIT_ADDRESS_SPACE = 9,
    CLINUX_LIMIT_LOCKS = 10,
};

/// A resource limit, soft and hard.
struct clinux_limit {
    int resource;
    uint64_t value;
};

/// Who a program is, and what it may do.
struct clinux_rights {
    /// The capabilities that it, and all that it starts, can ever have, as bits (linux/capability.h).
    uint64_t bounding;
    /// Not 0: it becomes this user and group with these other groups, has the capabilities of `kept` and no others, and gains
    /// none by executing a file (no_new_privs).
    int changes_user;
    uid_t user;
    gid_t group;
    const gid_t *groups;
    size_t group_count;
    uint64_t kept;
};

struct clinux_spawn {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /// NULL: the root of the node's mounts, or the parent's directory where no node is entered.
    const char *working_directory;
    /// pidfd of the process whose namespaces (all but user and time) are entered; -1 for none.
    int node;
    /// A network namespace that is entered where no node is; -1 for none.
    int network;
    /// 0, 1 and 2 among them; those not placed are /dev/null. All others are closed.
    const struct clinux_placed_fd *fds;
    size_t fd_count;
    /// Keep the caller's session, process group and terminal.
    int keep_session;
    /// Sent when the spawning thread ends; 0 for none.
    int parent_death_signal;
    /// Where no node is entered: it is the first process of a PID namespace of its own, where the kernel makes one.
    int own_processes;
    /// How readily the kernel ends it when memory runs out: -1000 to 1000 (proc(5), oom_score_adj). `oom_score_set` 0: as
    /// its parent. What the kernel does not grant is left as it is.
    int oom_score_set;
    int oom_score;
    const struct clinux_limit *limits;
    size_t limit_count;
    /// NULL: the rights of the parent.
    const struct clinux_rights *rights;
    /// Descriptors of files (cgroup.procs) into which it writes itself, before it enters the node.
    const int *control_groups;
    size_t control_group_count;
    /// A socket on which the listener of its witness is handed over (`clinux_witness_take` on the other end); -1: it has
    /// none. Where the kernel gives none, nothing is handed over.
    int witness;
};

/// Starts a program, in a node's namespaces or in the caller's. It is a child of the caller's, to be waited for.
/// Returns its pid (as the caller's PID namespace counts), or -errno with `*stage` set and nothing left running.
pid_t clinux_spawn(const struct clinux_spawn *spawn, enum clinux_stage *stage);

/// A socket on which the kernel tells each change of the nftables rules of this thread's network namespace; -errno.
int clinux_listen_for_rules(void);

// MARK: - Witnesses

enum clinux_witnessed_kind {
    /// Nothing that matters.
    CLINUX_WITNESSED_NOTHING,
    /// It binds a socket by which links, addresses, routes and rules are changed (AF_NETLINK), or another netlink socket.
    CLINUX_WITNESSED_BIND,
    /// It opens a setting of the network for writing.
    CLINUX_WITNESSED_SETTING,
    /// It sends by such a socket, or by any other with sendmsg(2), or what looks like a request.
    CLINUX_WITNESSED_SEND,
    /// It changes a device by ioctl, or asks about one.
    CLINUX_WITNESSED_DEVICE,
    /// It sends a signal.
    CLINUX_WITNESSED_SIGNAL,
};

/// What a program, or something that it has started, is about to do; it waits for `clinux_witness_go_on`.
struct clinux_witnessed {
    uint64_t id;
    enum clinux_witnessed_kind kind;
    /// The thread, as the reader's PID namespace counts.
    int32_t pid;
    /// The number of the system call.
    int32_t call;
    /// Its first argument: what it sends by; of a signal whom it is for, as the sender's kill(2) says it.
    int32_t first;
    /// Of an ioctl its number.
    uint32_t second;
    /// The octets that were read of its message.
    uint32_t length;
};

/// The octets that are read of a message at most.
#define CLINUX_WITNESSED_MESSAGE 4096


/// From here on this process, and all that it starts, asks before each such call. Returns the listener or -errno.
int clinux_witness_install(void);
/// Sends the listener to the other end of a socket.
void clinux_witness_hand_over(int listener, int socket);
/// The listener that was handed over, or -errno where none was.
int clinux_witness_take(int socket);
/// The next call, where the listener is readable (POLLIN; POLLHUP: nobody is left who could ask). 0 or -errno; ENOENT
/// where the caller has ended meanwhile.
///
/// `message` has room for CLINUX_WITNESSED_MESSAGE octets. It gets the beginning of what is sent, or the struct ifreq of an
/// ioctl; nothing where that cannot be read. It is no member, because Swift takes an array of a struct for as many members.
int clinux_witness_receive(int listener, struct clinux_witnessed *witnessed, uint8_t *message);
/// Lets the caller do it. 0 or -errno; ENOENT where it has ended.
int clinux_witness_go_on(int listener, uint64_t id);

/// Another descriptor of what a process (a pidfd) has as `descriptor`, where that is a route netlink socket of the network
/// namespace of the socket `other`; -errno where it is not, or that cannot be seen.
int clinux_take_route_socket(int process, int descriptor, int other);
/// The port number of a netlink socket; 0 where it has none.
uint32_t clinux_netlink_port(int fd);

// MARK: - Atomics on shared memory

static inline uint64_t clinux_load_relaxed_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint64_t clinux_load_acquire_u64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void clinux_store_relaxed_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void clinux_store_release_u64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline uint64_t clinux_add_relaxed_u64(uint64_t *p, uint64_t v) {
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
/// Stores `desired` where `*p` is `expected`; returns what was there before. Acquire and release.
static inline uint64_t clinux_compare_exchange_u64(uint64_t *p, uint64_t expected, uint64_t desired) {
    __atomic_compare_exchange_n(p, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    return expected;
}
static inline uint32_t clinux_load_relaxed_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline uint32_t clinux_load_acquire_u32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void clinux_store_relaxed_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline void clinux_store_release_u32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
static inline void clinux_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void clinux_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void clinux_fence_full(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

#ifdef __cplusplus
}
#endif
#endif
