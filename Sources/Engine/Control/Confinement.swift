import CLinux

/// What the engine gives up before its first frame, and what is left to it.
///
/// It goes in three steps. Rings and event descriptors are made with the privileges that making them may need. Then the
/// process leaves the machine and loses every privilege, before it looks at memory that other engines write to. Then the
/// workers' threads are started, and the filter of system calls comes down on all of them: so the filter need let through
/// nothing that makes a thread, a ring or a descriptor.
struct Confinement: ~Copyable {
    private let status: Int32
    private let size: Int32

    /// To be made while there is a /proc and one thread.
    init() {
        clinux_share_one_heap()
        status = clinux_open("/proc/self/status", O_RDONLY, 0)
        size = clinux_open("/proc/self/statm", O_RDONLY, 0)
    }

    deinit {
        for descriptor in [status, size] where descriptor >= 0 { close(descriptor) }
    }

    /// Leaves the machine, with one thread running. What the kernel does not grant is the control process's to judge: it
    /// looks from outside.
    ///
    /// - Parameter user: The user and group that the process becomes; 0: it stays what it is.
    /// - Returns: True where it is that user now.
    func isolate(user: UInt32) throws(EngineError) -> Bool {
        let result = clinux_isolate(user)
        guard result >= 0 else { throw EngineError("give up every privilege", errno: -result) }
        return UInt32(result) & CLINUX_APART_USER.rawValue != 0
    }

    /// Limits the process and brings the filter down on all its threads.
    ///
    /// - Parameters:
    ///   - writesByRing: Whether a worker has a ring to submit to.
    ///   - room: Octets of address space beyond what is in use, for what the C library and the next tables need.
    ///   - threads: Those that run; nil: the user is not the process's own.
    func enter(writesByRing: Bool, room: Int, threads: Int?) throws(EngineError) {
        // These were opened last. Since then three have been closed, which is as many as a message brings: a table, counters
        // and groups.
        let descriptors = UInt32(max(status, size, 0)) + 1
        let limited = clinux_limit_self(size, UInt64(room), descriptors, UInt32(threads ?? 0))
        guard limited >= 0 else { throw EngineError("limit itself", errno: -limited) }
        var count = 0
        let calls = clinux_engine_calls(writesByRing ? 1 : 0, &count)
        let result = clinux_confine(calls, count)
        guard result >= 0 else { throw EngineError("give up the system calls that it does not need", errno: -result) }
    }

    /// What `/proc/self/status` says of the process by now.
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
