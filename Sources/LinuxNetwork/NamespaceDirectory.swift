import CLinux

/// /run/netns, where namespaces have names that `ip netns` knows.
///
/// `ip netns` needs the directory to be a shared mount of its own. If it is not yet one, an empty directory gets a
/// tmpfs. The source of the tmpfs names Tapline, so the last namespace's deletion can unmount it. A directory in use is
/// bound onto itself, as `ip netns` does. A lock on /run orders all this between processes.
enum NamespaceDirectory {
    static let directory = "/run/netns"
    private static let sourceWhereDirectoryWasMade = "tapline"
    private static let sourceWhereDirectoryWasThere = "tapline-mount"

    static func path(of name: String) throws(SystemError) -> String {
        guard !name.isEmpty, name.utf8.count < 256, name != ".", name != "..",
            !name.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 })
        else { throw SystemError("name a network namespace", "\"\(name)\"", errno: EINVAL) }
        return "\(directory)/\(name)"
    }

    /// True for a file on nsfs, false for the regular file that is left where nothing is mounted.
    static func isNamespace(_ descriptor: Int32) -> Bool {
        var status = statfs()
        return fstatfs(descriptor, &status) == 0 && UInt64(bitPattern: Int64(status.f_type)) == 0x6E73_6673
    }

    static func names() throws(SystemError) -> [String] {
        guard let stream = opendir(directory) else {
            let error = currentErrno()
            if error == ENOENT { return [] }
            throw SystemError("list the network namespaces in", directory, errno: error)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { UnsafeRawBufferPointer($0).text }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Mounts the calling thread's network namespace on a new file.
    static func publish(_ path: String, _ name: String) throws(SystemError) {
        let lock = try lock()
        defer { withExtendedLifetime(lock) {} }
        try prepare()
        let file = OwnedDescriptor(
            owning: try SystemError.checkErrno(
                clinux_open(path, O_RDONLY | O_CREAT | O_EXCL, 0), "publish the network namespace", name))
        _ = consume file
        guard mount("/proc/thread-self/ns/net", path, "none", UInt(MS_BIND), nil) == 0 else {
            let error = currentErrno()
            unlink(path)
            throw SystemError("publish the network namespace", name, errno: error)
        }
    }

    static func withdraw(_ path: String, _ name: String) throws(SystemError) {
        let lock = try lock()
        defer { withExtendedLifetime(lock) {} }
        if umount2(path, Int32(MNT_DETACH)) != 0 {
            let error = currentErrno()
            // EINVAL: nothing is mounted there; the file is stale.
            guard error == EINVAL else { throw SystemError("delete the network namespace", name, errno: error) }
        }
        try SystemError.checkErrno(unlink(path), "delete the network namespace", name)
        try removeWhereEmpty()
    }

    /// Takes the directory's mount away where it is Tapline's and nothing is in it any more.
    static func tidy() throws(SystemError) {
        let lock = try lock()
        defer { withExtendedLifetime(lock) {} }
        try removeWhereEmpty()
    }

    private static func lock() throws(SystemError) -> OwnedDescriptor {
        let run = OwnedDescriptor(
            owning: try SystemError.checkErrno(clinux_open("/run", O_RDONLY | O_DIRECTORY, 0), "open", "/run"))
        while flock(run.number, LOCK_EX) != 0 {
            let error = currentErrno()
            guard error == EINTR else { throw SystemError("lock", "/run", errno: error) }
        }
        return run
    }

    private static func prepare() throws(SystemError) {
        let made = mkdir(directory, 0o755) == 0
        if mount("", directory, "none", UInt(MS_SHARED | MS_REC), nil) == 0 { return }
        if try names().isEmpty {
            try SystemError.checkErrno(
                mount(
                    made ? sourceWhereDirectoryWasMade : sourceWhereDirectoryWasThere, directory, "tmpfs",
                    UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC), "mode=755"),
                "mount a directory on", directory)
        } else {
            try SystemError.checkErrno(
                mount(directory, directory, "none", UInt(MS_BIND | MS_REC), nil),
                "bind onto itself", directory)
        }
        try SystemError.checkErrno(
            mount("", directory, "none", UInt(MS_SHARED | MS_REC), nil), "share the mount", directory)
    }

    /// Takes the directory's mount away when it is Tapline's and nothing is left in it. One that is in use stays.
    private static func removeWhereEmpty() throws(SystemError) {
        guard try names().isEmpty, let source = try mountSource() else { return }
        guard source == sourceWhereDirectoryWasMade || source == sourceWhereDirectoryWasThere else { return }
        guard umount2(directory, 0) == 0 else { return }
        if source == sourceWhereDirectoryWasMade { rmdir(directory) }
    }

    /// The source that is mounted on the directory, as /proc/self/mountinfo names it (proc(5)); nil if nothing is.
    private static func mountSource() throws(SystemError) -> String? {
        var source: String?
        for line in try File.read("/proc/self/mountinfo").split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6, fields[4] == directory, let dash = fields.lastIndex(of: "-"),
                dash + 2 < fields.count
            else { continue }
            source = String(fields[dash + 2])
        }
        return source
    }
}
