#include "view.h"

#include <limits.h>
#include <sys/syscall.h>

// Libraries before glibc 2.36 lack these.
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/// struct mount_attr (linux/mount.h), which older headers lack.
struct attributes {
    uint64_t set, clear, propagation, user_namespace;
};
enum { ATTRIBUTE_READ_ONLY = 1 };

int clinux_make_directories(const char *path, int all) {
    char copy[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof copy) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(copy, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (copy[i] != '/' && !(copy[i] == 0 && all)) continue;
        char kept = copy[i];
        copy[i] = 0;
        // A folder that is there may be on a file system that is read-only.
        if (mkdir(copy, 0755) < 0 && errno != EEXIST && errno != EROFS) return -1;
        copy[i] = kept;
    }
    return 0;
}

int clinux_copy_of_tree(const char *path) {
    return (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | AT_RECURSIVE | O_CLOEXEC);
}

int clinux_attach_copy(int copy, const char *target) {
    return (int)syscall(SYS_move_mount, copy, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
}

int clinux_make_read_only(int copy, const char *path) {
    struct attributes attributes = {.set = ATTRIBUTE_READ_ONLY};
    unsigned int flags = AT_RECURSIVE | (path ? 0 : AT_EMPTY_PATH);
    long result = syscall(SYS_mount_setattr, path ? AT_FDCWD : copy, path ? path : "", flags, &attributes, sizeof attributes);
    // Before Linux 5.12, and where a filter forbids the call, one mount after another would have to be found; the file system
    // of the root is the one that matters.
    if (result < 0 && (errno == ENOSYS || errno == EPERM)) {
        if (!path) return 0;
        return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
    }
    return (int)result;
}

void clinux_note_private(struct clinux_view *view, const char *path) {
    struct stat status;
    if (view->device_count < CLINUX_VIEW_DEVICES && stat(path, &status) == 0) view->devices[view->device_count++] = status.st_dev;
}

static int is_private(const struct clinux_view *view, const char *path) {
    struct stat status;
    if (stat(path, &status) < 0) return 0;
    for (size_t i = 0; i < view->device_count; i++) {
        if (view->devices[i] == status.st_dev) return 1;
    }
    return 0;
}

int clinux_open_store(struct clinux_view *view) {
    if (mount("tapline", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1g") < 0) return -1;
    view->store = open("/run", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (view->store < 0) return -1;
    clinux_note_private(view, "/run");
    return 0;
}

/// The decimal digits of a number, at `text`; returns the end.
static char *digits(char *text, int number) {
    char reversed[12];
    int count = 0;
    do reversed[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0) *text++ = reversed[--count];
    return text;
}

/// `/proc/self/fd/STORE/KINDNUMBER`: the store is found where the node's /run covers it, too.
static void store_path(char *text, const struct clinux_view *view, char kind) {
    text = stpcpy(text, "/proc/self/fd/");
    text = digits(text, view->store);
    *text++ = '/';
    *text++ = kind;
    *digits(text, view->layers) = 0;
}

/// A folder of the store with the owner and the permissions of another one.
static int make_in_store(const char *path, const char *like) {
    struct stat status;
    if (stat(like, &status) < 0) return -1;
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    if (mkdir(path, 0755) < 0) return -1;
    // A user namespace may not know the owner.
    if (chown(path, status.st_uid, status.st_gid) < 0 && errno != EINVAL && errno != EPERM) return -1;
    return chmod(path, status.st_mode & 07777);
}

/// Mounts what is at `lower` below a new folder of the store.
static int mount_layer(struct clinux_view *view, const char *lower, const char *target) {
    char upper[64], work[64], options[PATH_MAX + 256];
    view->layers++;
    store_path(upper, view, 'u');
    store_path(work, view, 'w');
    if (make_in_store(upper, lower) < 0 || mkdir(work, 0755) < 0) return -1;
    // A comma or a colon would end the path (Documentation/filesystems/overlayfs.rst).
    char *end = stpcpy(options, "lowerdir=");
    for (const char *c = lower; *c; c++) {
        if (end - options >= PATH_MAX) {
            errno = ENAMETOOLONG;
            return -1;
        }
        if (*c == ',' || *c == ':' || *c == '\\') *end++ = '\\';
        *end++ = *c;
    }
    end = stpcpy(stpcpy(end, ",upperdir="), upper);
    stpcpy(stpcpy(end, ",workdir="), work);
    if (mount("tapline", target, "overlay", MS_NODEV, options) < 0) return -1;
    clinux_note_private(view, target);
    return 0;
}

int clinux_layer(struct clinux_view *view, const char *path) { return mount_layer(view, path, path); }

int clinux_layer_opened(struct clinux_view *view, int opened, const char *path) {
    char lower[64];
    *digits(stpcpy(lower, "/proc/self/fd/"), opened) = 0;
    return mount_layer(view, lower, path);
}

int clinux_empty(struct clinux_view *view, const char *path, mode_t mode) {
    char own[64];
    view->layers++;
    store_path(own, view, 'e');
    if (mkdir(own, 0755) < 0 || chmod(own, mode) < 0) return -1;
    return mount(own, path, NULL, MS_BIND, NULL);
}

/// The nearest folder above a path that is there; its length. 0 on an error.
static size_t folder_above(const char *path, char *folder) {
    size_t length = strlen(path);
    if (length >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return 0;
    }
    memcpy(folder, path, length + 1);
    while (length > 0) {
        while (length > 0 && folder[length - 1] != '/') length--;
        while (length > 1 && folder[length - 1] == '/') length--;
        folder[length] = 0;
        struct stat status;
        if (stat(folder, &status) == 0) {
            if (S_ISDIR(status.st_mode)) return length;
            errno = ENOTDIR;
            return 0;
        }
        if (errno != ENOENT) return 0;
        if (length == 1) break;
    }
    errno = ENOENT;
    return 0;
}

int clinux_make_target(struct clinux_view *view, const char *target) {
    struct stat status;
    if (stat(target, &status) == 0) {
        if (!S_ISDIR(status.st_mode)) return 0;
        errno = EISDIR;
        return -1;
    }
    char folder[PATH_MAX];
    size_t length = folder_above(target, folder);
    if (length == 0) return -1;
    if (!is_private(view, folder)) {
        // A layer over the root itself would be seen by nobody.
        if (length == 1) {
            errno = ENOENT;
            return -1;
        }
        if (clinux_layer(view, folder) < 0) return -1;
    }
    // A link that leads nowhere could lead to the machine.
    if (lstat(target, &status) == 0 && S_ISLNK(status.st_mode) && unlink(target) < 0) return -1;
    if (clinux_make_directories(target, 0) < 0) return -1;
    int fd = open(target, O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

/// Makes a folder of the new root where it has none.
static int make_folder(const char *path) { return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0; }

int clinux_enter_root(struct clinux_view *view, const char *root) {
    if (mkdir("/run/root", 0755) < 0 || mount_layer(view, root, "/run/root") < 0) return -1;
    static const char *const folders[] = {"/run/root/proc", "/run/root/sys", "/run/root/dev", "/run/root/run", "/run/root/tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (make_folder(folders[i]) < 0) return -1;
    }
    chmod("/run/root/tmp", 01777);
    // In a user namespace the kernel mounts a new /proc and /sys only while the old ones are seen.
    if (mount("proc", "/run/root/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) return -1;
    if (mount("sysfs", "/run/root/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) return -1;
    if (mount("/dev", "/run/root/dev", NULL, MS_BIND | MS_REC, NULL) < 0) return -1;
    if (chdir("/run/root") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0) return -1;
    return chdir("/");
}
