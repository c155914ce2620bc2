// User namespaces: becoming root in one's own, and trying whether the machine lets one.
#include "clinux.h"

#include <linux/if_tun.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

static int write_small(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t wrote = write(fd, text, strlen(text));
    int error = errno;
    close(fd);
    return wrote < 0 ? -error : 0;
}

static int map_alone(const char *path, unsigned int id) {
    char line[32];
    snprintf(line, sizeof line, "0 %u 1\n", id);
    return write_small(path, line);
}

/// Runs newuidmap or newgidmap: 0 inside is `id`, 1 and on are the subordinate ones. Returns 0 where it did.
static int map_by_program(const char *program, pid_t target, unsigned int id, const struct clinux_id_range *range) {
    char words[5][24];
    snprintf(words[0], sizeof words[0], "%d", target);
    snprintf(words[1], sizeof words[1], "%u", id);
    snprintf(words[2], sizeof words[2], "%lu", range->first);
    snprintf(words[3], sizeof words[3], "%lu", range->count);
    char *const arguments[] = {(char *)program, words[0], "0", words[1], "1", "1", words[2], words[3], NULL};
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) {
        // What it complains about is told by what then does not work.
        int empty = open("/dev/null", O_RDWR);
        if (empty >= 0) dup2(empty, 2);
        execvp(program, arguments);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) return -errno;
    }
    return status == 0 ? 0 : -EPERM;
}

int clinux_become_root(
    const struct clinux_id_range *users, const struct clinux_id_range *groups, enum clinux_user_stage *stage) {
    unsigned int user = geteuid(), group = getegid();
    *stage = CLINUX_USER_STAGE_UNSHARE;
    int go[2], done[2];
    pid_t helper = -1, self = getpid();
    // newuidmap must be run from outside of the namespace: by a child that stays there.
    if (users->count && groups->count) {
        if (pipe2(go, O_CLOEXEC) < 0) return -errno;
        if (pipe2(done, O_CLOEXEC) < 0) {
            int error = errno;
            close(go[0]);
            close(go[1]);
            return -error;
        }
        helper = fork();
        if (helper == 0) {
            close(go[1]);
            char mapped = 0;
            if (read(go[0], &mapped, 1) == 1) {
                mapped = (char)((map_by_program("newuidmap", self, user, users) == 0 ? 1 : 0) |
                                (map_by_program("newgidmap", self, group, groups) == 0 ? 2 : 0));
                if (write(done[1], &mapped, 1) != 1) _exit(1);
            }
            _exit(0);
        }
        close(go[0]);
        close(done[1]);
    }
    int result = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : 0;
    char mapped = 0;
    if (helper > 0) {
        if (result == 0 && write(go[1], "", 1) == 1) {
            while (read(done[0], &mapped, 1) < 0 && errno == EINTR) continue;
        }
        close(go[1]);
        close(done[0]);
        while (waitpid(helper, NULL, 0) < 0 && errno == EINTR) continue;
    }
    if (result < 0) return result;
    *stage = CLINUX_USER_STAGE_MAP;
    if (!(mapped & 1) && (result = map_alone("/proc/self/uid_map", user)) < 0) return result;
    if (!(mapped & 2)) {
        if ((result = write_small("/proc/self/setgroups", "deny")) < 0 && result != -ENOENT) return result;
        if ((result = map_alone("/proc/self/gid_map", group)) < 0) return result;
    }
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) return -errno;
    *stage = CLINUX_USER_STAGE_NONE;
    return mapped == 3;
}

struct trial {
    int stage;
    int error;
};

__attribute__((noreturn)) static void tell(int pipe, enum clinux_user_stage stage, int error) {
    struct trial trial = {.stage = stage, .error = error};
    ssize_t ignored = write(pipe, &trial, sizeof trial);
    (void)ignored;
    _exit(0);
}

/// In the new namespaces: what a node is made of.
__attribute__((noreturn)) static void try_node(int pipe) {
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("tapline", "/run", "tmpfs", 0, NULL) < 0)
        tell(pipe, CLINUX_USER_STAGE_MOUNT, errno);
    int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun < 0) tell(pipe, CLINUX_USER_STAGE_TUN_OPEN, errno);
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "trial");
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(tun, TUNSETIFF, &request) < 0) tell(pipe, CLINUX_USER_STAGE_TUN_MAKE, errno);
    if (mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        tell(pipe, CLINUX_USER_STAGE_SYS, errno);
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        tell(pipe, CLINUX_USER_STAGE_PROC, errno);
    tell(pipe, CLINUX_USER_STAGE_NONE, 0);
}

int clinux_alone_in_user_namespace(void) {
    unsigned int user = geteuid(), group = getegid();
    if (unshare(CLONE_NEWUSER) < 0) return -errno;
    int result = map_alone("/proc/self/uid_map", user);
    if (result == 0) result = write_small("/proc/self/setgroups", "deny");
    return result == 0 ? map_alone("/proc/self/gid_map", group) : result;
}

__attribute__((noreturn)) static void try_user(int pipe, unsigned int user, unsigned int group) {
    if (unshare(CLONE_NEWUSER) < 0) tell(pipe, CLINUX_USER_STAGE_UNSHARE, errno);
    int result = map_alone("/proc/self/uid_map", user);
    if (result == 0) result = write_small("/proc/self/setgroups", "deny");
    if (result == 0) result = map_alone("/proc/self/gid_map", group);
    if (result < 0) tell(pipe, CLINUX_USER_STAGE_MAP, -result);
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) < 0) tell(pipe, CLINUX_USER_STAGE_NAMESPACES, errno);
    pid_t child = clinux_fork();
    if (child < 0) tell(pipe, CLINUX_USER_STAGE_NAMESPACES, errno);
    if (child == 0) try_node(pipe);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
    _exit(0);
}

int clinux_try_user_namespace(enum clinux_user_stage *stage) {
    *stage = CLINUX_USER_STAGE_UNSHARE;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    unsigned int user = geteuid(), group = getegid();
    pid_t child = clinux_fork();
    if (child == 0) {
        close(ends[0]);
        try_user(ends[1], user, group);
    }
    int error = errno;
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return -error;
    }
    struct trial trial;
    ssize_t count;
    do count = read(ends[0], &trial, sizeof trial);
    while (count < 0 && errno == EINTR);
    close(ends[0]);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
    if (count != sizeof trial) return -ECHILD;
    *stage = (enum clinux_user_stage)trial.stage;
    return -trial.error;
}
