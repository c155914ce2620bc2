import CLinux

/// The file system as a process sees it.
package enum ProcessView {
    /// True if a path leads to something for a process, in its mounts and from its root.
    ///
    /// - Throws: The kernel's refusal to look (EACCES, ELOOP, ENAMETOOLONG).
    package static func exists(_ path: String, for pid: Int32) throws(SystemError) -> Bool {
        try SystemError.check(clinux_exists_for(pid, path), "look for", path) == 1
    }

    /// Opens a file to read it, as a process sees it that has `root` as its root directory. Links do not lead out of that.
    ///
    /// - Parameter root: A folder; /proc/PID/root is that of a process, with its mounts.
    /// - Throws: The kernel's refusal (ENOENT, EACCES, ELOOP).
    package static func open(_ path: String, below root: String) throws(SystemError) -> OwnedDescriptor {
        OwnedDescriptor(owning: try SystemError.check(clinux_open_below(root, path), "open", "\(root)\(path)"))
    }
}
