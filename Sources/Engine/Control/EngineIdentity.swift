import CLinux

/// The user and group that an engine runs as. No other process has this number.
public enum EngineIdentity {
    /// The first of the users that systemd's list of numbers (UIDS-GIDS) leaves unused. Distributions leave them
    /// unused, too.
    static let first: UInt32 = 0x7000_0000
    /// The first number if few are mapped, in a user namespace or a container. It comes after the numbers of services.
    static let firstOfFew: UInt32 = 0x8000
    static let fewCount: UInt32 = 0x4000

    /// The number for a process; 0 if there is none but the caller's own, as in a user namespace with one user.
    ///
    /// - Parameters:
    ///   - pid: The process number in the caller's PID namespace. No other process has that number, so none has the
    ///     user.
    ///   - proc: The mount point of /proc, with the maps of the caller's user namespace.
    public static func user(of pid: Int32, proc: String = "/proc") -> UInt32 {
        let maps = ["uid_map", "gid_map"].map { ranges("\(proc)/self/\($0)") }
        let number = UInt32(clamping: pid)
        for candidate in [first &+ number, firstOfFew &+ number % fewCount] {
            let isMapped = maps.allSatisfy { map in map.contains { $0.contains(UInt64(candidate)) } }
            if isMapped { return candidate }
        }
        return 0
    }

    /// The mapped numbers, as user_namespaces(7) writes them: first inside, first outside, count.
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
