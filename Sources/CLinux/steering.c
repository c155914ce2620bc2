// The program by which a TAP's frames find their queue (TUNSETSTEERINGEBPF).
#include "clinux.h"
#include "frame.h"

#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef TUNSETSTEERINGEBPF
#define TUNSETSTEERINGEBPF _IOR('T', 224, int)
#endif

// One line each: what the kernel's own headers for tests call by the same names.
#define OPERATION(code_, to, from, off_, imm_) \
    ((struct bpf_insn){.code = (code_), .dst_reg = (to), .src_reg = (from), .off = (off_), .imm = (imm_)})
#define WITH(operation, to, imm_) OPERATION(BPF_ALU64 | (operation) | BPF_K, to, 0, 0, imm_)
#define BY(operation, to, from) OPERATION(BPF_ALU64 | (operation) | BPF_X, to, from, 0, 0)
// From the frame at a constant place, or `offset` octets behind the one in register `from`, in host order, to register 0;
// where the frame has no such place the program ends with queue 0. They destroy registers 1 to 5.
#define LOAD(size, offset) OPERATION(BPF_LD | BPF_ABS | (size), 0, 0, 0, offset)
#define LOAD_BEHIND(size, from, offset) OPERATION(BPF_LD | BPF_IND | (size), 0, from, 0, offset)

enum { R0, R1, R6 = 6, R7, R8, R9 };
enum { CAPACITY = 96 };
// Odd numbers without a pattern.
enum { FACTOR = 0x2545F491, OTHER_FACTOR = 0x5851F42D, LAST_FACTOR = 0x4C957F2D };

struct program {
    struct bpf_insn code[CAPACITY];
    int length;
};

static int add(struct program *program, struct bpf_insn operation) {
    program->code[program->length] = operation;
    return program->length++;
}

/// A jump forward, where register `reg` is `value`, to a place that `land` names later.
static int jump_if(struct program *program, int reg, int value) {
    return add(program, OPERATION(BPF_JMP | BPF_JEQ | BPF_K, reg, 0, 0, value));
}

static int jump(struct program *program) { return add(program, OPERATION(BPF_JMP | BPF_JA, 0, 0, 0, 0)); }

static void land(struct program *program, int from) {
    program->code[from].off = (short)(program->length - from - 1);
}

/// Takes two values into the hash in register 9, the same whichever is which: registers 8 and 0.
static void mix(struct program *program) {
    add(program, BY(BPF_MOV, R7, R8));
    add(program, BY(BPF_XOR, R7, R0));
    add(program, WITH(BPF_MUL, R7, OTHER_FACTOR));
    add(program, BY(BPF_ADD, R8, R0));
    add(program, WITH(BPF_MUL, R9, FACTOR));
    add(program, BY(BPF_ADD, R9, R8));
    add(program, BY(BPF_ADD, R9, R7));
}

static void mix_words(struct program *program, int source, int destination) {
    add(program, LOAD(BPF_W, source));
    add(program, BY(BPF_MOV, R8, R0));
    add(program, LOAD(BPF_W, destination));
    mix(program);
}

static void write_program(struct program *program) {
    static const int with_ports[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP};
    enum { PROTOCOLS = sizeof with_ports / sizeof *with_ports };
    int finish[8], finishes = 0, ports[PROTOCOLS];

    add(program, BY(BPF_MOV, R6, R1));
    add(program, WITH(BPF_MOV, R9, 0));
    add(program, LOAD(BPF_H, ETHERNET_FIELD(h_proto)));
    int ipv4 = jump_if(program, R0, ETH_P_IP);
    int ipv6 = jump_if(program, R0, ETH_P_IPV6);
    finish[finishes++] = jump(program);

    land(program, ipv4);
    mix_words(program, IPV4_FIELD(saddr), IPV4_FIELD(daddr));
    // "More fragments" or an offset.
    add(program, LOAD(BPF_H, IPV4_FIELD(frag_off)));
    add(program, WITH(BPF_AND, R0, IP_MF | IP_OFFMASK));
    int whole = jump_if(program, R0, 0);
    finish[finishes++] = jump(program);
    land(program, whole);
    add(program, LOAD(BPF_B, IPV4_FIELD(protocol)));
    add(program, BY(BPF_MOV, R7, R0));
    add(program, LOAD(BPF_B, IPV4_VERSION_AND_LENGTH));
    add(program, WITH(BPF_AND, R0, IPV4_LENGTH_MASK));
    add(program, WITH(BPF_LSH, R0, 2));
    add(program, BY(BPF_MOV, R8, R0));
    int known = jump(program);

    land(program, ipv6);
    for (int word = 0; word < (int)sizeof(struct in6_addr); word += 4)
        mix_words(program, IPV6_FIELD(ip6_src) + word, IPV6_FIELD(ip6_dst) + word);
    add(program, LOAD(BPF_B, IPV6_FIELD(ip6_nxt)));
    add(program, BY(BPF_MOV, R7, R0));
    add(program, WITH(BPF_MOV, R8, sizeof(struct ip6_hdr)));

    // Register 7: the protocol; register 8: the octets of the network header.
    land(program, known);
    for (int i = 0; i < PROTOCOLS; i++) ports[i] = jump_if(program, R7, with_ports[i]);
    finish[finishes++] = jump(program);
    for (int i = 0; i < PROTOCOLS; i++) land(program, ports[i]);
    // Both ports, the first octets of all four protocols' headers.
    add(program, LOAD_BEHIND(BPF_W, R8, ETH_HLEN));
    add(program, BY(BPF_MOV, R8, R0));
    add(program, WITH(BPF_RSH, R8, 16));
    add(program, WITH(BPF_AND, R0, 0xFFFF));
    mix(program);

    for (int i = 0; i < finishes; i++) land(program, finish[i]);
    add(program, BY(BPF_MOV, R0, R9));
    add(program, WITH(BPF_RSH, R0, 29));
    add(program, BY(BPF_XOR, R0, R9));
    add(program, WITH(BPF_MUL, R0, LAST_FACTOR));
    add(program, WITH(BPF_RSH, R0, 32));
    add(program, OPERATION(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

int clinux_steering_load(void) {
    struct program program = {.length = 0};
    write_program(&program);
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attributes.insns = (uint64_t)(uintptr_t)program.code;
    attributes.insn_cnt = (uint32_t)program.length;
    // Nothing in it is only for the GPL's.
    attributes.license = (uint64_t)(uintptr_t) "";
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
    return fd < 0 ? -errno : fd;
}

int clinux_tap_set_steering(int fd, int program) {
    return ioctl(fd, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
}
