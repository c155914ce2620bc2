// The user and the capabilities of a program, between clone and exec.
#include "rights.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static int set_capabilities(uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    for (int half = 0; half < 2; half++) {
        data[half].permitted = data[half].effective = (uint32_t)(permitted >> (32 * half));
        data[half].inheritable = (uint32_t)(inheritable >> (32 * half));
    }
    return syscall(SYS_capset, &header, data) < 0 ? -1 : 0;
}

/// What this process may use now.
static int get_capabilities(uint64_t *permitted) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0) return -1;
    *permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
    return 0;
}

/// The calls themselves: the C library's would ask other threads, which this process has none of, to do the same.
static int change_user(const struct clinux_rights *rights, uint64_t kept) {
    if (syscall(SYS_setgroups, rights->group_count, rights->groups) < 0) return -1;
    if (syscall(SYS_setresgid, rights->group, rights->group, rights->group) < 0) return -1;
    // The user goes, what is permitted stays for a moment.
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -1;
    if (syscall(SYS_setresuid, rights->user, rights->user, rights->user) < 0) return -1;
    if (set_capabilities(kept, kept) < 0) return -1;
    for (int capability = 0; capability < 64; capability++) {
        if (!(kept >> capability & 1)) continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) return -1;
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 : 0;
}

int clinux_take_rights(const struct clinux_rights *rights) {
    uint64_t permitted;
    if (get_capabilities(&permitted) < 0) return -1;
    // Inherited ones would come back with the next program.
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -1;
    for (int capability = 0; capability < 64; capability++) {
        if (rights->bounding >> capability & 1 || prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 1) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return -1;
    }
    // Root gets by exec what the bounding set has; another user what is kept.
    if (rights->changes_user) return change_user(rights, rights->kept & permitted);
    return set_capabilities(permitted, 0);
}
