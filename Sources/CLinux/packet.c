// Packet sockets with a ring of variable blocks (TPACKET_V3, linux/if_packet.h).
#include "clinux.h"
#include "frame.h"

#include <arpa/inet.h>
#include <linux/filter.h>

/// Nothing at all: what a socket hears between its making and its binding, from whatever device, is not wanted.
static int attach(int fd, struct sock_filter *code, size_t count) {
    struct sock_fprog program = {.len = (unsigned short)count, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

static int attach_matches(
    int fd, const struct clinux_word_match *matches, size_t count, unsigned short ether_type, unsigned int length) {
    // For each word: its family's EtherType, or version, and protocol, then the word itself. A mismatch goes on to the next one.
    enum { MAX_MATCHES = 64, PER_MATCH = 10 };
    struct sock_filter code[MAX_MATCHES * PER_MATCH + 4];
    unsigned short n = 0;
    if (count > MAX_MATCHES) return -E2BIG;
    for (size_t i = 0; i < count; i++) {
        const struct clinux_word_match *match = &matches[i];
        int is_v6 = match->family == AF_INET6;
        unsigned int network = match->network ? match->network : ETH_HLEN;
        // How much further than behind an Ethernet header.
        unsigned int more = network - ETH_HLEN;
        unsigned int start = is_v6 ? network + sizeof(struct ip6_hdr) : network;
        unsigned char left = is_v6 ? 6 : 7;
        if (match->network) {
            code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_B | BPF_ABS, network);
            code[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4);
        } else {
            code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETHERNET_FIELD(h_proto));
        }
        unsigned int family = match->network ? (is_v6 ? 6 : 4) : is_v6 ? ETH_P_IPV6 : ETH_P_IP;
        code[n++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, family, 0, (unsigned char)(left - 1));
        code[n++] = (struct sock_filter)BPF_STMT(
            BPF_LD | BPF_B | BPF_ABS, (is_v6 ? IPV6_FIELD(ip6_nxt) : IPV4_FIELD(protocol)) + more);
        code[n++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, match->protocol, 0, (unsigned char)(left - 3));
        if (is_v6) {
            code[n++] = (struct sock_filter)BPF_STMT(
                (match->is_half ? BPF_LD | BPF_H : BPF_LD | BPF_W) | BPF_ABS, start + match->offset);
        } else {
            code[n++] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, IPV4_VERSION_AND_LENGTH + more);
            code[n++] = (struct sock_filter)BPF_STMT(
                (match->is_half ? BPF_LD | BPF_H : BPF_LD | BPF_W) | BPF_IND, start + match->offset);
        }
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, match->value, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, length);
    }
    if (ether_type) {
        code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETHERNET_FIELD(h_proto));
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ether_type, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, length);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    return attach(fd, code, n);
}

static int everything(int fd, unsigned int length) {
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, length)};
    return attach(fd, code, 1);
}

int clinux_packet_open(const struct clinux_packet_ring *ring, void **memory) {
    // Bound to no protocol, it hears nothing until it is bound to the device.
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -errno;
    int version = TPACKET_V3;
    struct tpacket_req3 request;
    memset(&request, 0, sizeof request);
    request.tp_block_size = ring->block_size;
    request.tp_block_nr = ring->block_count;
    request.tp_frame_size = 2048;
    request.tp_frame_nr = ring->block_size / 2048 * ring->block_count;
    request.tp_retire_blk_tov = ring->retire_milliseconds;
    int result = 0;
    if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
        result = -errno;
    size_t size = (size_t)ring->block_size * ring->block_count;
    void *mapped = MAP_FAILED;
    if (result == 0) {
        mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED) result = -errno;
    }
    if (result == 0)
        result = ring->match_count ? attach_matches(
                                         fd, ring->matches, ring->match_count, ring->ether_type, ring->frame_length)
                                   : everything(fd, ring->frame_length);
    if (result == 0) {
        struct sockaddr_ll address;
        memset(&address, 0, sizeof address);
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = ring->device;
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) result = -errno;
    }
    if (result < 0) {
        if (mapped != MAP_FAILED) munmap(mapped, size);
        close(fd);
        return result;
    }
    *memory = mapped;
    return fd;
}

int clinux_packet_next(
    void *memory, const struct clinux_packet_ring *ring, struct clinux_packet_cursor *cursor,
    struct clinux_packet *packet) {
    struct tpacket_block_desc *block = (void *)((char *)memory + (size_t)cursor->block * ring->block_size);
    struct tpacket_hdr_v1 *header = &block->hdr.bh1;
    if (cursor->left == 0) {
        for (;;) {
            if (!(__atomic_load_n(&header->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return 0;
            if (header->num_pkts > 0) break;
            clinux_packet_release(memory, ring, cursor);
            block = (void *)((char *)memory + (size_t)cursor->block * ring->block_size);
            header = &block->hdr.bh1;
        }
        cursor->left = header->num_pkts;
        cursor->offset = header->offset_to_first_pkt;
    }
    struct tpacket3_hdr *frame = (void *)((char *)block + cursor->offset);
    struct sockaddr_ll *link = (void *)((char *)frame + TPACKET_ALIGN(sizeof *frame));
    packet->bytes = (char *)frame + frame->tp_mac;
    packet->captured = frame->tp_snaplen;
    packet->length = frame->tp_len;
    packet->nanoseconds = (uint64_t)frame->tp_sec * 1000000000u + frame->tp_nsec;
    packet->is_outgoing = link->sll_pkttype == PACKET_OUTGOING;
    packet->tag = frame->tp_status & TP_STATUS_VLAN_VALID
                      ? (frame->tp_status & TP_STATUS_VLAN_TPID_VALID ? frame->hv1.tp_vlan_tpid : ETH_P_8021Q) << 16 |
                            (frame->hv1.tp_vlan_tci & 0xFFFF)
                      : 0;
    packet->has_partial_checksum = (frame->tp_status & TP_STATUS_CSUMNOTREADY) != 0;
    cursor->offset += frame->tp_next_offset;
    cursor->left--;
    cursor->is_last = cursor->left == 0;
    return 1;
}

void clinux_packet_release(
    void *memory, const struct clinux_packet_ring *ring, struct clinux_packet_cursor *cursor) {
    struct tpacket_block_desc *block = (void *)((char *)memory + (size_t)cursor->block * ring->block_size);
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    cursor->block = (cursor->block + 1) % ring->block_count;
    cursor->left = 0;
    cursor->is_last = 0;
}

int clinux_packet_losses(int fd, unsigned int *losses) {
    struct tpacket_stats_v3 stats;
    socklen_t size = sizeof stats;
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0) return -errno;
    *losses = stats.tp_drops;
    return 0;
}

int clinux_raw_open(int family) {
    int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd < 0) return -errno;
    // Without it, the kernel refuses packets to broadcast addresses.
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on) == 0) return fd;
    int error = errno;
    close(fd);
    return -error;
}

int clinux_raw_send(int fd, const void *packet, size_t length, int family, const void *destination) {
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    socklen_t size;
    if (family == AF_INET6) {
        struct sockaddr_in6 *six = (void *)&address;
        six->sin6_family = AF_INET6;
        memcpy(&six->sin6_addr, destination, 16);
        size = sizeof *six;
    } else {
        struct sockaddr_in *four = (void *)&address;
        four->sin_family = AF_INET;
        memcpy(&four->sin_addr, destination, 4);
        size = sizeof *four;
    }
    ssize_t sent;
    do sent = sendto(fd, packet, length, 0, (struct sockaddr *)&address, size);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}
