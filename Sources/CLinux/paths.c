// Paths as another process sees them.
#include "clinux.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif

int clinux_exists_for(pid_t pid, const char *path) {
    char root[32] = "/proc/", digits[12];
    int n = 0;
    size_t length = 6;
    do digits[n++] = (char)('0' + pid % 10);
    while ((pid /= 10) > 0);
    while (n > 0) root[length++] = digits[--n];
    memcpy(root + length, "/root", 6);
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -errno;
    // Links lead where they lead for that process, and never out of its root.
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int file = (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    int error = errno;
    close(folder);
    if (file < 0) return error == ENOENT || error == ENOTDIR ? 0 : -error;
    close(file);
    return 1;
}
