import CLinux

/// The user and group that an engine runs as: a number that no other process has.
public enum EngineIdentity {
    /// Users that systemd's list of numbers (UIDS-GIDS) leaves unused, as every distribution's accounts do.
    static let first: UInt32 = 0x7000_0000
    /// The same where so few are mapped, in a user namespace or a container: numbers behind those of services.
    static let firstOfFew: UInt32 = 0x8000
    static let fewCount: UInt32 = 0x4000

    /// The number for a process; 0 where there is none but the caller's own: a user namespace with one user.
    ///
    /// - Parameters:
    ///   - pid: The process, as the caller's PID namespace counts: no other has that number, so none has the user.
    ///   - proc: Where the maps of the caller's user namespace are.
    public static func user(of pid: Int32, proc: String = "/proc") -> UInt32 {
        let maps = ["uid_map", "gid_map"].map { ranges("\(proc)/self/\($0)") }
        let number = UInt32(clamping: pid)
        for candidate in [first &+ number, firstOfFew &+ number % fewCount] {
            let isMapped = maps.allSatisfy { map in map.contains { $0.contains(UInt64(candidate)) } }
            if isMapped { return candidate }
        }
        return 0
    }

    /// The numbers that are mapped, as user_namespaces(7) writes them: first inside, first outside, count.
    private static func ranges(_ path: String) -> [Range<UInt64>] {
        let descriptor = clinux_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16_384)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return [] }
        return bytes[..<count].split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = line.split(separator: UInt8(ascii: " ")).compactMap {
                UInt64(String(decoding: $0, as: UTF8.self))
            }
            guard fields.count == 3, fields[2] > 0 else { return nil }
            return fields[0]..<fields[0] + fields[2]
        }
    }
}
