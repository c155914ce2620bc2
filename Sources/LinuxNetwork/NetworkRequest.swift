import CNetlink

/// A request to the kernel to change links, addresses, routes or rules: what it can have changed of that for which the
/// kernel names nobody.
public struct NetworkRequest: Sendable, Hashable {
    /// The netlink message, or its beginning; empty where it is not known.
    private let octets: [UInt8]

    init(octets: [UInt8]) { self.octets = octets }

    /// One of which nothing is known.
    public static let unknown = NetworkRequest(octets: [])

    /// A change of a link's, by its number.
    public static func link(_ index: Int32) -> NetworkRequest {
        var octets = [UInt8](repeating: 0, count: 32)
        octets[4] = UInt8(RTM_SETLINK)
        withUnsafeBytes(of: index) { octets.replaceSubrange(20..<24, with: $0) }
        return NetworkRequest(octets: octets)
    }

    /// The message's type; nil where it is not known.
    private var type: Int? { octets.count < 24 ? nil : Int(octets[4]) | Int(octets[5]) << 8 }

    /// False where it only asks. Types come in fours (new, delete, get, set) from RTM_NEWLINK on.
    public var changes: Bool { type.map { $0 >= Int(RTM_NEWLINK) && $0 & 3 != 2 } ?? true }

    /// The device: ifinfomsg and ifaddrmsg have its number at the same place; 0 where the name says which.
    private var device: Int32 { octets.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 20, as: Int32.self) } }

    /// True where it can have made a difference for which nobody is named.
    func concerns(_ difference: NetworkPicture.Difference) -> Bool {
        guard let type else { return true }
        switch type & ~3 {
        case Int(RTM_NEWLINK):
            switch difference {
            case .device(let index): return device == 0 || index == device
            // What is on a device goes with its state; what comes with that by itself is the kernel's.
            case .added(let record): return record.isKernels && record.device == device
            case .gone(let record): return record.device == nil || record.device == device
            }
        case Int(RTM_NEWADDR):
            switch difference {
            case .device: return false
            case .added(let record), .gone(let record):
                guard record.device == device || record.device == nil else { return false }
                return record.kind != .address || record.isKernels || names(record)
            }
        case Int(RTM_NEWROUTE):
            // One that is replaced goes without a word.
            if case .gone(let record) = difference { return record.kind == .route && names(record) }
            return false
        default: return false
        }
    }

    /// True where the address or destination of a record is in the message.
    private func names(_ record: NetworkPicture.Record) -> Bool {
        guard let wanted = record.ownAddress else { return true }
        guard octets.count >= wanted.count else { return false }
        return (0...octets.count - wanted.count).contains { octets[$0..<$0 + wanted.count].elementsEqual(wanted) }
    }
}
