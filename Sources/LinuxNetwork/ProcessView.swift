import CLinux

/// The file system as a process sees it.
package enum ProcessView {
    /// True if a path leads to something for a process, in its mounts and from its root.
    ///
    /// - Throws: The kernel's refusal to look (EACCES, ELOOP, ENAMETOOLONG).
    package static func exists(_ path: String, for pid: Int32) throws(SystemError) -> Bool {
        try SystemError.check(clinux_exists_for(pid, path), "look for", path) == 1
    }
}
