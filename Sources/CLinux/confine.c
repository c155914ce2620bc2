// The filter of system calls.
#include "clinux.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the seccomp filter knows x86_64 and aarch64"
#endif

#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif

enum { MOST_CODE = 512, MOST_CALLS = 64, MOST_ARGUMENTS = 3 };

struct program {
    struct sock_filter code[MOST_CODE];
    unsigned short length;
};

static void put(struct program *program, struct sock_filter step) { program->code[program->length++] = step; }

static void load_number(struct program *program) {
    put(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
}

/// Where the number is loaded: lets the call through where its arguments are as they must be, and goes on otherwise.
static void put_guarded(struct program *program, const struct clinux_call *call) {
    unsigned int rest = call->count;
    put(program, (struct sock_filter)BPF_JUMP(
                     BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)call->number, 0, (unsigned char)(3 * rest + 2)));
    for (unsigned int i = 0; i < call->count; i++) {
        const struct clinux_argument *argument = call->arguments + i;
        // The lower half of the argument comes first: both architectures are little-endian.
        unsigned int place = offsetof(struct seccomp_data, args) + 8 * argument->place;
        rest--;
        put(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place));
        put(program, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, argument->mask));
        put(program, (struct sock_filter)BPF_JUMP(
                         BPF_JMP | BPF_JEQ | BPF_K, argument->value, 0, (unsigned char)(3 * rest + 1)));
    }
    put(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    load_number(program);
}

/// Lets through the calls of the list; `otherwise` is what every other one meets.
static int confine(const struct clinux_call *calls, size_t count, unsigned int otherwise) {
    if (count > MOST_CALLS) return -E2BIG;
    size_t unconditional = 0, seen = 0;
    for (size_t i = 0; i < count; i++) {
        if (calls[i].count > MOST_ARGUMENTS) return -EINVAL;
        if (calls[i].count == 0) unconditional++;
    }
    struct program program = {.length = 0};
    put(&program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    put(&program, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0));
    put(&program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
    load_number(&program);
    // x32 calls carry bit 30 in their number and so equal none of these. Those without a guard come first: the kernel then
    // knows them by their number alone, and does not run the program for them (Linux 5.11).
    for (size_t i = 0; i < count; i++) {
        if (calls[i].count) continue;
        put(&program, (struct sock_filter)BPF_JUMP(
                          BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)calls[i].number, (unsigned char)(unconditional - seen), 0));
        seen++;
    }
    put(&program, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
    put(&program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    for (size_t i = 0; i < count; i++) {
        if (calls[i].count) put_guarded(&program, calls + i);
    }
    put(&program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise));
    struct sock_fprog filter = {.len = program.length, .filter = program.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -errno;
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    // A positive number is the thread that could not be brought under it.
    return result == 0 ? 0 : result > 0 ? -EBUSY : -errno;
}

int clinux_confine(const struct clinux_call *calls, size_t count) {
    return confine(calls, count, SECCOMP_RET_KILL_PROCESS);
}

int clinux_refuse_others(const struct clinux_call *calls, size_t count) {
    // As a kernel without the call: the C library then tries an older one, where there is one.
    return confine(calls, count, SECCOMP_RET_ERRNO | ENOSYS);
}
