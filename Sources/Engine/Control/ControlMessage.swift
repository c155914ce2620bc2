// The protocol between the control process and a packeting engine: one message per datagram of a SOCK_SEQPACKET socket,
// fixed fields in the machine's byte order (both ends are the same machine and the same build), descriptors beside it.
//
//     offset 0   magic "TAPL" (UInt32)   4  version (UInt16)   6  kind (UInt16)   8  eight UInt64 fields
//            72  text: length (UInt16), then up to 438 octets of UTF-8
//
//     control → engine                                         descriptors
//     hello        interfaces, workers, generation, octets of   counters, neighbours, table
//                  table, octets of counters, queues
//     queues       index of the first                           the queues: interface 0's of each worker, then interface 1's …
//     table        generation, octets of table, octets of       table, then the new counters where their octets are not 0
//                  counters
//     stop
//
//     engine → control
//     ready        pid, effective capabilities, no_new_privs, seccomp mode, generation, microseconds since its start
//     applied      generation: every worker decides by it, and the table and counters before are unmapped
//     refused      generation; text: why. What was in force stays in force.

/// One message, either way.
public struct ControlMessage: Sendable, Hashable {
    /// What it says.
    public enum Kind: UInt16, Sendable {
        case hello = 1
        case queues
        case table
        case stop
        case ready
        case applied
        case refused
    }

    /// Of this protocol: both ends refuse any other.
    public static let version: UInt16 = 1
    /// Octets of every message.
    static let length = 512
    static let magic: UInt32 = 0x4C50_4154
    static let textCapacity = 438

    /// What it says.
    var kind: Kind
    /// Its fields, in the order above.
    var fields: [UInt64]
    /// For a person.
    var text: String

    init(_ kind: Kind, _ fields: [UInt64] = [], text: String = "") {
        self.kind = kind
        self.fields = fields + Array(repeating: 0, count: max(0, 8 - fields.count))
        self.text = text
    }

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
        let text = Array(text.utf8.prefix(Self.textCapacity))
        put(UInt16(text.count))
        bytes += text
        bytes += Array(repeating: 0, count: Self.length - bytes.count)
        return bytes
    }

    /// Reads a datagram; nil where it is none of this protocol and version.
    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.length, bytes.loadUnaligned(as: UInt32.self) == Self.magic,
            bytes.loadUnaligned(fromByteOffset: 4, as: UInt16.self) == Self.version,
            let kind = Kind(rawValue: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self))
        else { return nil }
        let count = Int(bytes.loadUnaligned(fromByteOffset: 72, as: UInt16.self))
        guard count <= Self.textCapacity else { return nil }
        self.kind = kind
        fields = (0..<8).map { bytes.loadUnaligned(fromByteOffset: 8 + $0 * 8, as: UInt64.self) }
        text = String(decoding: bytes[74..<74 + count], as: UTF8.self)
    }
}
