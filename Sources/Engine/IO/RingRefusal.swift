import CLinux

/// Why the kernel refuses io_uring, or a ring has failed, with the setting behind it and what to do.
public struct RingRefusal: Sendable, Hashable {
    /// The errno of the call.
    public let errno: Int32
    /// The sysctl kernel.io_uring_disabled; nil if the kernel has none (before 6.6).
    let disabled: Int?
    /// The sysctl kernel.io_uring_group; nil if the kernel has none (before 6.6).
    let group: Int?

    /// - Parameter proc: The mount point of /proc, with the sysctls.
    public init(errno: Int32, proc: String = "/proc") {
        self.errno = errno
        disabled = Self.number("\(proc)/sys/kernel/io_uring_disabled")
        group = Self.number("\(proc)/sys/kernel/io_uring_group")
    }

    /// The refusal of a ring like the engine's on this machine; nil if it is permitted.
    public static func tried() -> RingRefusal? {
        var null = clinux_open("/dev/null", O_WRONLY, 0)
        guard null >= 0 else { return nil }
        defer { close(null) }
        return withUnsafeMutablePointer(to: &null) { file in
            do throws(EngineError) {
                _ = try WriteRing(queues: UnsafeMutableBufferPointer(start: file, count: 1))
                return nil
            } catch {
                return RingRefusal(errno: error.errno)
            }
        }
    }

    /// The error of an engine that must write with io_uring.
    var error: EngineError {
        EngineError(
            "write by io_uring", because: "\(summary): \(hint.map { "\($0), or" } ?? "") let it write one by one")
    }

    /// The kernel's text, and the setting behind it.
    public var summary: String {
        let setting: String? =
            switch (errno, disabled) {
            case (EPERM, 2?): "kernel.io_uring_disabled is 2"
            case (EPERM, 1?): "kernel.io_uring_disabled is 1, and kernel.io_uring_group is \(group ?? -1)"
            case (EPERM, _), (EACCES, _): "a seccomp filter or a security module forbids it"
            case (ENOSYS, _): "the kernel is built without it, or a seccomp filter hides it"
            case (EINVAL, _): "the kernel is older than 5.10, and cannot confine a ring"
            default: nil
            }
        return EngineError.text(of: errno) + (setting.map { " (\($0))" } ?? "")
    }

    /// What to do; nil if that is unknown.
    public var hint: String? {
        switch (errno, disabled) {
        case (EPERM, 1?), (EPERM, 2?): "sysctl -w kernel.io_uring_disabled=0"
        case (EPERM, _), (EACCES, _): "let the container's seccomp profile allow io_uring_setup, _enter and _register"
        case (ENOSYS, _), (EINVAL, _): "use a kernel of version 5.10 or later with io_uring"
        case (ENOMEM, _): "raise the limit of locked memory (ulimit -l), or the control group's of memory"
        case (EMFILE, _), (ENFILE, _): "raise the limit of open files (ulimit -n)"
        default: nil
        }
    }

    /// The number in a small file; nil if there is none.
    private static func number(_ path: String) -> Int? {
        let descriptor = clinux_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 32, alignment: 1) { buffer in
            let count = read(descriptor, buffer.baseAddress!, 32)
            guard count > 0 else { return nil }
            return Int(String(decoding: buffer[..<count].prefix { $0 > 32 }, as: UTF8.self))
        }
    }
}
