import Reporting

// The protocol between the control process and a packeting engine: one message per datagram of a SOCK_SEQPACKET socket,
// fixed fields in the machine's byte order (both ends are the same machine and the same build), descriptors beside it.
//
//     offset 0   magic "TAPL" (UInt32)   4  version (UInt16)   6  kind (UInt16)   8  eight UInt64 fields
//            72  payload: length (UInt16), then up to 438 octets: UTF-8 text, one octet for each queue set, or numbers
//
//     control → engine                                         descriptors
//     hello        interfaces, queues of each, workers,        counters, neighbours, table
//                  generation, octets of table, octets of
//                  counters, the first worker's block in them,
//                  the tuning's word; payload: the user and
//                  group to become, MiB to spare (UInt32 each)
//     queues       index of the first; payload: the queue set  the queues: every one of interface 0, then of
//                  of each                                     interface 1 …
//     table        generation, octets of table, octets of      those whose octets are not 0: table, new counters,
//                  counters, octets of groups, 1 if the table   groups. Without a table, the one in force gets other
//                  is a patch of the one in force               groups; without groups, it has its own, and beside a
//                                                              patch those that it has.
//     assign       number; payload: the queue sets to read from
//                  now on, and no others
//     observe      number, octets of observers, octets of       those whose octets are not 0: observers, rings.
//                  rings of this engine, their place in the             Without observers, nothing is captured.
//                  rings' memory
//     impair       number, octets of links, octets of their     those whose octets are not 0: links, counters.
//                  counters, the first worker's block in them           Without links, nothing is impaired.
//     ping         number
//     stop
//
//     engine → control
//     ready        pid, effective capabilities, no_new_privs, seccomp mode, generation, microseconds since its start.
//                  It reads nothing yet.
//     applied      generation: every worker decides by it, and the table and counters before are unmapped
//     refused      generation; text: why. The table in force stays.
//     assigned     number: every worker reads its part of the queue sets, and has sent on all frames of others
//     observed     number, 1 if it refuses the observers; text: why. Every worker captures for these observers from
//                  now on, or, after a refusal, for those before
//     impaired     number, 1 if it refuses the links; text: why. Every worker's frames cross these links from now on, or,
//                  after a refusal, those before
//     pong         number: every worker has completed a turn since the ping

/// One message, in either direction.
public struct ControlMessage: Sendable, Hashable {
    /// The type of the message.
    public enum Kind: UInt16, Sendable {
        case hello = 1
        case queues
        case table
        case assign
        case ping
        case stop
        case ready
        case applied
        case refused
        case assigned
        case pong
        case observe
        case observed
        case impair
        case impaired
    }

    /// The version of this protocol. Both ends refuse any other.
    public static let version: UInt16 = 8
    /// The size of every message, in octets.
    static let length = 512
    static let magic: UInt32 = 0x4C50_4154
    static let payloadCapacity = 438
    /// Where the parts are, as above.
    private enum Offset {
        static let version = 4
        static let kind = 6
        static let fields = 8
        static let payloadLength = 72
        static let payload = 74
    }

    /// The type of the message.
    var kind: Kind
    /// The fields, in the order above.
    var fields: [UInt64]
    /// Text for a person, or one octet for each queue set.
    var payload: [UInt8]

    init(_ kind: Kind, _ fields: [UInt64] = [], payload: [UInt8] = []) {
        self.kind = kind
        self.fields = fields + Array(repeating: 0, count: max(0, 8 - fields.count))
        self.payload = payload
    }

    init(_ kind: Kind, _ fields: [UInt64] = [], text: String) {
        self.init(kind, fields, payload: Array(text.utf8.prefix(Self.payloadCapacity)))
    }

    /// The payload as text that is safe to show.
    var text: String { HarmlessText.reading(payload, most: Self.payloadCapacity) }

    /// The datagram.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.length)
        func put<Value: FixedWidthInteger>(_ value: Value) {
            withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
        }
        put(Self.magic)
        put(Self.version)
        put(kind.rawValue)
        for field in fields.prefix(8) { put(field) }
        put(UInt16(min(payload.count, Self.payloadCapacity)))
        bytes += payload.prefix(Self.payloadCapacity)
        bytes += Array(repeating: 0, count: Self.length - bytes.count)
        return bytes
    }

    /// Reads a datagram; nil if it is not of this protocol and version.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.length, bytes.loadUnaligned(as: UInt32.self) == Self.magic,
            bytes.loadUnaligned(fromByteOffset: Offset.version, as: UInt16.self) == Self.version,
            let kind = Kind(rawValue: bytes.loadUnaligned(fromByteOffset: Offset.kind, as: UInt16.self))
        else { return nil }
        let count = Int(bytes.loadUnaligned(fromByteOffset: Offset.payloadLength, as: UInt16.self))
        guard count <= Self.payloadCapacity else { return nil }
        self.kind = kind
        fields = (0..<8).map { bytes.loadUnaligned(fromByteOffset: Offset.fields + $0 * 8, as: UInt64.self) }
        payload = Array(bytes[Offset.payload..<Offset.payload + count])
    }
}
