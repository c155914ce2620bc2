/// The most that programs may use.
public struct LimitsPlan: Sendable, Hashable {
    /// Memory, in octets.
    public var memory: UInt64?
    /// Time of processors, in percent of one.
    public var processor: Int?
    /// Processes and threads.
    public var processes: Int?
    /// Open files of each process.
    public var files: Int?

    /// None.
    public init() {}

    /// True if something is limited that a control group can limit.
    public var needsGroup: Bool { memory != nil || processor != nil || processes != nil }

    /// An amount of memory, for a person: `256 MiB`.
    public static func text(octets: UInt64) -> String {
        for (unit, shift) in [("GiB", UInt64(30)), ("MiB", 20), ("KiB", 10)] where octets % (1 << shift) == 0 {
            return "\(octets >> shift) \(unit)"
        }
        return "\(octets) octets"
    }

    /// The octets of an amount as the file has it: `256M`, `1 GiB`, `4096K`; nil if it is none. K, M and G are powers of
    /// 1024.
    public static func octets(_ text: String) -> UInt64? {
        let number = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(number.count).drop { $0 == " " }.lowercased()
        let shift: UInt64? =
            switch unit {
            case "k", "kb", "kib": 10
            case "m", "mb", "mib": 20
            case "g", "gb", "gib": 30
            default: nil
            }
        guard let shift, let value = UInt64(number), value <= UInt64.max >> (shift + 1) else { return nil }
        return value << shift
    }
}
