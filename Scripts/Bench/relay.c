/* The relay that Scripts/bench compares the engine with: what the reads and writes alone cost.
 *
 *   relay batch|coalesce COUNTERS PORT… -- RULE…
 *
 * PORT is NAMESPACE/DEVICE: a TAP that the relay makes in that namespace (a path), or =FILE: a macvtap's device file. RULE is IN>OUT=MAC[,OUT=MAC…]: what
 * comes in by port IN, counted from 0, leaves by each OUT with MAC as its destination. Nothing is looked up, and
 * nothing is checked: the rules are all that it knows. It prints a line when it forwards.
 *
 * It waits with epoll, reads a burst, and hands all writes of the burst to the kernel in one io_uring_enter. `coalesce` also
 * coalesces UDP datagrams of one flow within a burst into one segmented frame (VIRTIO_NET_HDR_GSO_UDP_L4), as the kernel's
 * own receive path would: equal headers, IP identification one after another, equal lengths.
 *
 * COUNTERS is a file of 64-bit words in the machine's order, kept up while it runs: frames read, frames coalesced with
 * others, writes, writes that failed, bursts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
    MOST_PORTS = 16,
    MOST_COPIES = 8,
    BURST = 512,
    RING = 1024,
    OFFLOADS = 0x67, /* checksum, TSO4, TSO6, USO4, USO6 */
    VNET = 10,
    SLOT = 17 * 4096, /* 64 KiB, a vnet header and a frame's headers */
    /* Where the fields of an untagged IPv4 UDP frame are, counted from the vnet header. */
    ETHERTYPE = VNET + 12,
    IP = VNET + 14,
    UDP = IP + 20,
    PAYLOAD = UDP + 8,
    MOST_SEGMENTS = 64,
    FLOWS = 512,
};

struct copy {
    int port;
    uint8_t mac[6];
};
struct port {
    int descriptor, copies;
    struct copy copy[MOST_COPIES];
};
/* A frame of the burst, or several of one flow coalesced; `segments` is 0 where nothing can be added to it. */
struct frame {
    uint8_t *octets;
    int length, segments, payload;
};

static struct port ports[MOST_PORTS];
static int port_count;
static volatile uint64_t *counters;
enum { READ, COALESCED, WRITTEN, FAILED, BURSTS };

static struct {
    int descriptor;
    unsigned *tail, *mask, *completed, *filled, *completion_mask;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
} ring;

_Noreturn static void fail(const char *what) {
    fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_macvtap(const char *file) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int tap = open(file, O_RDWR | O_NONBLOCK);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request)) fail(file);
    if (ioctl(tap, TUNSETOFFLOAD, OFFLOADS) && ioctl(tap, TUNSETOFFLOAD, OFFLOADS & 7)) fail("TUNSETOFFLOAD");
    return tap;
}

static int open_tap(char *place) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
    char *device = strrchr(place, '/');
    int home = open("/proc/self/ns/net", O_RDONLY), there, tap;
    if (!device) fail(place);
    *device++ = 0;
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    there = open(place, O_RDONLY);
    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET)) fail(place);
    tap = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request)) fail(device);
    if (ioctl(tap, TUNSETOFFLOAD, OFFLOADS)) fail("TUNSETOFFLOAD");
    if (setns(home, CLONE_NEWNET)) fail("setns");
    close(home);
    close(there);
    return tap;
}

static void read_rule(char *text) {
    struct port *in = &ports[strtol(text, &text, 10)];
    while (*text++) {
        struct copy *copy = &in->copy[in->copies++];
        unsigned m[6];
        int used = 0;
        if (in->copies > MOST_COPIES ||
            sscanf(text, "%d=%x:%x:%x:%x:%x:%x%n", &copy->port, m, m + 1, m + 2, m + 3, m + 4, m + 5, &used) != 7) {
            errno = EINVAL;
            fail(text);
        }
        for (int i = 0; i < 6; i++) copy->mac[i] = m[i];
        text += used;
    }
}

static void open_ring(void) {
    struct io_uring_params wanted = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int files[MOST_PORTS];
    char *submissions, *completions;
    unsigned *indexes;
    ring.descriptor = syscall(SYS_io_uring_setup, RING, &wanted);
    if (ring.descriptor < 0) fail("io_uring_setup");
    for (int i = 0; i < port_count; i++) files[i] = ports[i].descriptor;
    if (syscall(SYS_io_uring_register, ring.descriptor, IORING_REGISTER_FILES, files, port_count)) fail("register");
    submissions = mmap(NULL, wanted.sq_off.array + wanted.sq_entries * sizeof(unsigned), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_POPULATE, ring.descriptor, IORING_OFF_SQ_RING);
    completions = mmap(NULL, wanted.cq_off.cqes + wanted.cq_entries * sizeof(struct io_uring_cqe),
                       PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.descriptor, IORING_OFF_CQ_RING);
    ring.entries = mmap(NULL, wanted.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, ring.descriptor, IORING_OFF_SQES);
    if (submissions == MAP_FAILED || completions == MAP_FAILED || ring.entries == MAP_FAILED) fail("mmap of the ring");
    ring.tail = (unsigned *)(submissions + wanted.sq_off.tail);
    ring.mask = (unsigned *)(submissions + wanted.sq_off.ring_mask);
    ring.completed = (unsigned *)(completions + wanted.cq_off.head);
    ring.filled = (unsigned *)(completions + wanted.cq_off.tail);
    ring.completion_mask = (unsigned *)(completions + wanted.cq_off.ring_mask);
    ring.completions = (struct io_uring_cqe *)(completions + wanted.cq_off.cqes);
    indexes = (unsigned *)(submissions + wanted.sq_off.array);
    for (unsigned i = 0; i < wanted.sq_entries; i++) indexes[i] = i;
}

/* Submits what was prepared, and waits until all of it is done. */
static void submit(unsigned count) {
    unsigned head, left = count;
    if (!count) return;
    __atomic_store_n(ring.tail, *ring.tail, __ATOMIC_RELEASE);
    while (left) {
        long taken = syscall(SYS_io_uring_enter, ring.descriptor, left, count, IORING_ENTER_GETEVENTS, NULL, 0);
        if (taken < 0 && errno != EINTR) fail("io_uring_enter");
        if (taken > 0) left -= taken;
    }
    for (head = *ring.completed; count; ) {
        unsigned tail = __atomic_load_n(ring.filled, __ATOMIC_ACQUIRE);
        for (; head != tail; head++, count--)
            counters[ring.completions[head & *ring.completion_mask].res > 0 ? WRITTEN : FAILED]++;
        __atomic_store_n(ring.completed, head, __ATOMIC_RELEASE);
        if (count && syscall(SYS_io_uring_enter, ring.descriptor, 0, count, IORING_ENTER_GETEVENTS, NULL, 0) < 0 &&
            errno != EINTR)
            fail("io_uring_enter");
    }
}

static void prepare_write(int port, uint8_t operation, const void *address, unsigned length) {
    ring.entries[*ring.tail & *ring.mask] = (struct io_uring_sqe){
        .opcode = operation, .flags = IOSQE_FIXED_FILE, .fd = port, .addr = (uintptr_t)address, .len = length};
    (*ring.tail)++;
}

static uint16_t get16(const uint8_t *at) { return at[0] << 8 | at[1]; }
static void put16(uint8_t *at, unsigned value) { at[0] = value >> 8, at[1] = value; }

static uint16_t folded_sum(const uint8_t *octets, int length, uint32_t sum) {
    for (int i = 0; i < length; i += 2) sum += get16(octets + i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Whether a frame is IPv4 without options, not a fragment, and has a UDP header. */
static int is_whole_udp(const uint8_t *frame, int length) {
    return length > PAYLOAD && get16(frame + ETHERTYPE) == 0x0800 && frame[IP] == 0x45 && frame[IP + 9] == 17 &&
           !(get16(frame + IP + 6) & 0x3fff);
}

/* The slot of a UDP packet's flow: of its addresses and ports, every bit of which counts. */
static int slot_of(const uint8_t *frame) {
    uint64_t addresses;
    uint32_t numbers;
    memcpy(&addresses, frame + IP + 12, 8);
    memcpy(&numbers, frame + UDP, 4);
    addresses = (addresses ^ numbers * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    return (addresses ^ addresses >> 32) % FLOWS;
}

/* The payload's length where a frame is a whole UDP datagram over IPv4 whose checksum is still to be finished; else 0. */
static int coalescable(const uint8_t *frame, int length) {
    int payload;
    if (!is_whole_udp(frame, length)) return 0;
    if (frame[0] != VIRTIO_NET_HDR_F_NEEDS_CSUM || frame[1] != VIRTIO_NET_HDR_GSO_NONE) return 0;
    payload = get16(frame + UDP + 4) - 8;
    return PAYLOAD + payload == length ? payload : 0;
}

/* Whether `next` is the packet that segmentation of `frame` would give after its last one. */
static int follows(const struct frame *frame, const uint8_t *next, int payload) {
    const uint8_t *first = frame->octets;
    return frame->segments && frame->segments < MOST_SEGMENTS && frame->payload == payload &&
           frame->length + payload <= VNET + 14 + 65535 && !memcmp(first + VNET, next + VNET, 14) &&
           first[IP + 1] == next[IP + 1] && !memcmp(first + IP + 6, next + IP + 6, 4) &&
           get16(next + IP + 4) == (uint16_t)(get16(first + IP + 4) + frame->segments) &&
           !memcmp(first + IP + 12, next + IP + 12, 12);
}

/* Writes the headers of several datagrams coalesced: segmented UDP with a partial checksum. */
static void finish(struct frame *frame) {
    uint8_t *octets = frame->octets;
    int total = frame->length - IP;
    struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
        .hdr_len = PAYLOAD - VNET, .gso_size = frame->payload, .csum_start = UDP - VNET, .csum_offset = 6};
    if (frame->segments < 2) return;
    memcpy(octets, &header, VNET);
    put16(octets + IP + 2, total);
    put16(octets + IP + 10, 0);
    put16(octets + IP + 10, ~folded_sum(octets + IP, 20, 0));
    put16(octets + UDP + 4, total - 20);
    put16(octets + UDP + 6, folded_sum(octets + IP + 12, 8, 17 + total - 20));
}

/* Reads a burst of one port into `frames`, coalescing where asked, and returns how many frames that makes. */
static int read_burst(int descriptor, uint8_t *memory, struct frame *frames, int coalesce) {
    static int16_t last_of[FLOWS];
    int count = 0, reads = 0;
    if (coalesce) memset(last_of, -1, sizeof last_of);
    for (; reads < BURST; reads++) {
        uint8_t *octets = memory + (size_t)count * SLOT;
        ssize_t length = read(descriptor, octets, SLOT);
        int payload;
        if (length <= 0) break;
        payload = coalesce ? coalescable(octets, length) : 0;
        if (payload) {
            int slot = slot_of(octets);
            struct frame *before = last_of[slot] >= 0 ? &frames[last_of[slot]] : NULL;
            if (before && follows(before, octets, payload)) {
                memcpy(before->octets + before->length, octets + PAYLOAD, payload);
                before->length += payload;
                before->segments++;
                counters[COALESCED]++;
                continue;
            }
            last_of[slot] = count;
        } else if (coalesce && is_whole_udp(octets, length)) {
            last_of[slot_of(octets)] = -1;
        } else if (coalesce) {
            memset(last_of, -1, sizeof last_of);
        }
        frames[count++] = (struct frame){octets, length, payload ? 1 : 0, payload};
    }
    counters[READ] += reads;
    return count;
}

static void forward(struct port *in, uint8_t *memory, int coalesce) {
    static struct frame frames[BURST];
    static uint8_t heads[RING][VNET + 14];
    static struct iovec parts[RING][2];
    int count = read_burst(in->descriptor, memory, frames, coalesce);
    unsigned writes = 0;
    for (int i = 0; i < count; i++) {
        struct frame *frame = &frames[i];
        finish(frame);
        if (writes + in->copies > RING) submit(writes), writes = 0;
        for (int k = 0; k < in->copies; k++, writes++) {
            struct copy *copy = &in->copy[k];
            if (in->copies == 1) {
                memcpy(frame->octets + VNET, copy->mac, 6);
                prepare_write(copy->port, IORING_OP_WRITE, frame->octets, frame->length);
                continue;
            }
            /* Each copy has a header of its own; the rest is written from where it was read. */
            memcpy(heads[writes], frame->octets, VNET + 14);
            memcpy(heads[writes] + VNET, copy->mac, 6);
            parts[writes][0] = (struct iovec){heads[writes], VNET + 14};
            parts[writes][1] = (struct iovec){frame->octets + VNET + 14, frame->length - VNET - 14};
            prepare_write(copy->port, IORING_OP_WRITEV, parts[writes], 2);
        }
    }
    submit(writes);
    counters[BURSTS]++;
}

int main(int count, char **words) {
    int coalesce = count > 1 && !strcmp(words[1], "coalesce"), waiting = epoll_create1(0), file, word = 3;
    struct epoll_event ready[MOST_PORTS];
    uint8_t *memory = mmap(NULL, (size_t)(BURST + 1) * SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (count < 6 || (!coalesce && strcmp(words[1], "batch"))) {
        fprintf(stderr, "usage: relay batch|coalesce COUNTERS PORT… -- RULE…\n");
        return 64;
    }
    file = open(words[2], O_RDWR | O_CREAT, 0600);
    if (file < 0 || ftruncate(file, 4096)) fail(words[2]);
    counters = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (memory == MAP_FAILED || counters == MAP_FAILED) fail("mmap");
    for (; word < count && strcmp(words[word], "--") && port_count < MOST_PORTS; word++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = port_count};
        ports[port_count].descriptor = *words[word] == '=' ? open_macvtap(words[word] + 1) : open_tap(words[word]);
        if (epoll_ctl(waiting, EPOLL_CTL_ADD, ports[port_count].descriptor, &event)) fail("epoll_ctl");
        port_count++;
    }
    for (word++; word < count; word++) read_rule(words[word]);
    open_ring();
    puts("forwarding");
    fflush(stdout);
    for (;;) {
        int events = epoll_wait(waiting, ready, MOST_PORTS, -1);
        for (int i = 0; i < events; i++) forward(&ports[ready[i].data.u32], memory, coalesce);
    }
}
