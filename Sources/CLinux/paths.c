// Paths as another process sees them.
#include "clinux.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

// Links lead where they lead below `root`, and never out of it.
static int open_below(const char *root, const char *path, unsigned long long flags) {
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -errno;
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int file = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    int error = errno;
    close(folder);
    return file < 0 ? -error : file;
}

int clinux_open_below(const char *root, const char *path) { return open_below(root, path, O_RDONLY | O_NONBLOCK); }

int clinux_exists_for(pid_t pid, const char *path) {
    char root[32] = "/proc/", digits[12];
    int n = 0;
    size_t length = 6;
    do digits[n++] = (char)('0' + pid % 10);
    while ((pid /= 10) > 0);
    while (n > 0) root[length++] = digits[--n];
    memcpy(root + length, "/root", 6);
    int file = open_below(root, path, O_PATH);
    if (file < 0) return file == -ENOENT || file == -ENOTDIR ? 0 : file;
    close(file);
    return 1;
}
