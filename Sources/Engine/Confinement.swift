import CLinux

/// What the engine gives up before its first frame, and what is left to it.
enum Confinement {
    /// Enters it, with one thread running; the workers' threads inherit it.
    static func enter() throws(EngineError) {
        let result = withUnsafeTemporaryAllocation(of: Int32.self, capacity: 64) { numbers in
            clinux_confine(numbers.baseAddress, clinux_engine_calls(numbers.baseAddress, 64))
        }
        guard result >= 0 else { throw EngineError("give up every privilege", errno: -result) }
    }

    /// What `/proc/self/status` says, read through a descriptor opened before the filter forbade `open`.
    static func report(_ status: Int32) -> (capabilities: UInt64, noNewPrivileges: Bool, seccompMode: Int) {
        guard status >= 0 else { return (.max, false, 0) }
        defer { close(status) }
        var bytes = [UInt8](repeating: 0, count: 8_192)
        let count = read(status, &bytes, bytes.count)
        guard count > 0 else { return (.max, false, 0) }
        func value(_ key: String) -> Substring {
            let text = String(decoding: bytes[..<count], as: UTF8.self)
            for line in text.split(separator: "\n") where line.hasPrefix(key) {
                return line.dropFirst(key.count).drop { $0 == ":" || $0 == "\t" || $0 == " " }
            }
            return ""
        }
        return (
            UInt64(value("CapEff"), radix: 16) ?? .max, value("NoNewPrivs") == "1", Int(value("Seccomp")) ?? 0
        )
    }
}
