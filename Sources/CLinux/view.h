// What a node sees of the machine's files. Every function here is async-signal-safe: it runs between clone and exec.
#ifndef CLINUX_VIEW_H
#define CLINUX_VIEW_H

#include "clinux.h"

enum { CLINUX_VIEW_DEVICES = 512, CLINUX_MOST_BINDS = 512 };

/// The private part of a node's files: a tmpfs that holds what is written into overlays, and the file systems that are the
/// node's own.
struct clinux_view {
    int store;
    int layers;
    size_t device_count;
    dev_t devices[CLINUX_VIEW_DEVICES];
};

/// Makes the directories on the way to `path` (all but its last part), and the last too where `all`.
int clinux_make_directories(const char *path, int all);
/// A copy of the mounts at a path and below it, attached nowhere yet. -1 and errno.
int clinux_copy_of_tree(const char *path);
int clinux_attach_copy(int copy, const char *target);
/// Makes a copy of mounts read-only, or everything below a path. -1 and errno.
int clinux_make_read_only(int copy, const char *path);
/// Mounts the store over /run, which the node's own /run covers later.
int clinux_open_store(struct clinux_view *view);
/// Notes that everything on the file system at a path is the node's own.
void clinux_note_private(struct clinux_view *view, const char *path);
/// Puts a private layer over a folder: what is there is seen, what is written goes to the store.
int clinux_layer(struct clinux_view *view, const char *path);
/// The same for a mount that has been covered: `opened` is a descriptor of it.
int clinux_layer_opened(struct clinux_view *view, int opened, const char *path);
/// Puts an empty folder of the store over a folder.
int clinux_empty(struct clinux_view *view, const char *path, mode_t mode);
/// Makes a file to mount on where there is none, without touching the machine's files.
int clinux_make_target(struct clinux_view *view, const char *target);
/// Enters the root directory that the node has in place of the machine's.
int clinux_enter_root(struct clinux_view *view, const char *root);

#endif
