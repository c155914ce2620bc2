import CLinux

/// Why the kernel refuses io_uring to an engine that insists on it, and what would mend it.
enum RingRefusal {
    /// One sentence for the errno that making the ring failed with.
    static func error(_ errno: Int32) -> EngineError {
        EngineError("write by io_uring", because: reason(errno) + "; or let it write one by one")
    }

    private static func reason(_ errno: Int32) -> String {
        switch errno {
        case ENOSYS: "this kernel is built without it (CONFIG_IO_URING)"
        case EPERM, EACCES:
            if let level = disabledLevel, level != "0" {
                "the sysctl kernel.io_uring_disabled is \(level): set it to 0"
            } else {
                "a seccomp filter or security module forbids it, as those of containers often do: allow it there"
            }
        case EINVAL: "this kernel is older than Linux 5.10, from which on a ring can be confined: take a newer one"
        case ENOMEM: "there is no memory for it: raise RLIMIT_MEMLOCK (ulimit -l) or the control group's limit"
        case EMFILE, ENFILE: "there are more queues than a process may have open: raise RLIMIT_NOFILE (ulimit -n)"
        default: EngineError.text(of: errno)
        }
    }

    /// What the sysctl says; nil on kernels that lack it.
    private static var disabledLevel: String? {
        let descriptor = clinux_open("/proc/sys/kernel/io_uring_disabled", O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var byte: UInt8 = 0
        guard read(descriptor, &byte, 1) == 1 else { return nil }
        return String(UnicodeScalar(byte))
    }
}
