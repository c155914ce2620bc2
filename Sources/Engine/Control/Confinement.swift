import CLinux

/// The privileges that the engine gives up before its first frame, and the rest that it keeps.
///
/// 1. Rings and event descriptors are made, with the privileges that this may need.
/// 2. The process leaves the machine and loses every privilege, before it reads memory that other engines write to.
/// 3. The workers' threads are started. Then the filter of system calls applies to all of them. So the filter has to
///    permit nothing that makes a thread, a ring or a descriptor.
struct Confinement: ~Copyable {
    private let status: Int32
    private let size: Int32

    /// Call it while there is a /proc and only one thread.
    init() {
        clinux_share_one_heap()
        status = clinux_open("/proc/self/status", O_RDONLY, 0)
        size = clinux_open("/proc/self/statm", O_RDONLY, 0)
    }

    deinit {
        for descriptor in [status, size] where descriptor >= 0 { close(descriptor) }
    }

    /// Leaves the machine. Only one thread may run. If the kernel refuses something, the control process decides what
    /// follows: it checks from outside.
    ///
    /// - Parameter user: The user and group that the process becomes; 0 leaves them as they are.
    /// - Returns: True if the process now has that user.
    /// - Throws: `EngineError` if no_new_privs or the capabilities cannot be set.
    func isolate(user: UInt32) throws(EngineError) -> Bool {
        let result = clinux_isolate(user)
        guard result >= 0 else { throw EngineError("give up every privilege", errno: -result) }
        return UInt32(result) & CLINUX_APART_USER.rawValue != 0
    }

    /// Limits the process, and applies the filter to all its threads.
    ///
    /// - Parameters:
    ///   - writesByRing: Whether a worker has a ring to submit to.
    ///   - room: The address space beyond the present use, in octets. The C library and the next tables need it.
    ///   - threads: The number of running threads; nil if the user is not the process's own.
    /// - Throws: `EngineError` if a limit or the filter is refused.
    func enter(writesByRing: Bool, room: Int, threads: Int?) throws(EngineError) {
        // These descriptors were opened last. Since then three have been closed, as many as a message brings: a table,
        // counters and groups.
        let descriptors = UInt32(max(status, size, 0)) + 1
        let limited = clinux_limit_self(size, UInt64(room), descriptors, UInt32(threads ?? 0))
        guard limited >= 0 else { throw EngineError("limit itself", errno: -limited) }
        var count = 0
        let calls = clinux_engine_calls(writesByRing ? 1 : 0, &count)
        let result = clinux_confine(calls, count)
        guard result >= 0 else { throw EngineError("give up the system calls that it does not need", errno: -result) }
    }

    /// The present values of the process in `/proc/self/status`.
    func report() -> (capabilities: UInt64, noNewPrivileges: Bool, seccompMode: Int) {
        guard status >= 0 else { return (.max, false, 0) }
        var bytes = [UInt8](repeating: 0, count: 8_192)
        let count = read(status, &bytes, bytes.count)
        guard count > 0 else { return (.max, false, 0) }
        let lines = bytes[..<count].split(separator: UInt8(ascii: "\n"))
        func value(_ key: String) -> String {
            for line in lines where line.starts(with: key.utf8) {
                return String(
                    decoding: line.dropFirst(key.utf8.count + 1).drop { $0 == 9 || $0 == 32 }, as: UTF8.self)
            }
            return ""
        }
        return (
            UInt64(value("CapEff"), radix: 16) ?? .max, value("NoNewPrivs") == "1", Int(value("Seccomp")) ?? 0
        )
    }
}
