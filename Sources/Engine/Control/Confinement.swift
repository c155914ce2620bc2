import CLinux

/// What the engine gives up before its first frame, and what is left to it.
enum Confinement {
    /// Enters it, with one thread running; the workers' threads inherit it.
    ///
    /// - Parameter writesByRing: Whether a worker has a ring to enable and to submit to. Making one is never allowed.
    static func enter(writesByRing: Bool) throws(EngineError) {
        let capacity = 64
        var calls = [Int32](repeating: 0, count: capacity)
        let count = clinux_engine_calls(&calls, capacity, writesByRing ? 1 : 0)
        var guardedCount = 0
        let guarded = clinux_engine_guarded_calls(writesByRing ? 1 : 0, &guardedCount)
        let result = clinux_confine(calls, count, guarded, guardedCount)
        guard result >= 0 else { throw EngineError("give up every privilege", errno: -result) }
    }

    /// What `/proc/self/status` says, read through a descriptor opened before the filter forbade `open`.
    static func report(_ status: Int32) -> (capabilities: UInt64, noNewPrivileges: Bool, seccompMode: Int) {
        guard status >= 0 else { return (.max, false, 0) }
        defer { close(status) }
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
