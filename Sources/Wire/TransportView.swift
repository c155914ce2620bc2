/// Upper-layer protocol numbers (IANA) that the engine reads.
public enum IPProtocol {
    /// ICMP for IPv4.
    public static let icmp: UInt8 = 1
    /// TCP.
    public static let tcp: UInt8 = 6
    /// UDP.
    public static let udp: UInt8 = 17
    /// DCCP.
    public static let dccp: UInt8 = 33
    /// ICMP for IPv6.
    public static let icmpv6: UInt8 = 58
    /// No next header.
    public static let none: UInt8 = 59
    /// SCTP.
    public static let sctp: UInt8 = 132
    /// UDP-Lite.
    public static let udpLite: UInt8 = 136

    /// True for the protocols whose first four octets are the ports.
    @inlinable
    public static func hasPorts(_ number: UInt8) -> Bool {
        switch number {
        case tcp, udp, dccp, sctp, udpLite: true
        default: false
        }
    }

    /// The least octets a header of the protocol has; 0 for protocols that are passed unread.
    @inlinable
    static func minimumLength(_ number: UInt8, _ family: AddressFamily) -> Int {
        switch number {
        case tcp: 20
        case udp, udpLite: 8
        case dccp, sctp: 12
        case icmp: family == .ipv4 ? 8 : 0
        case icmpv6: family == .ipv6 ? 8 : 0
        default: 0
        }
    }

    /// The offset of the checksum field whose sum covers the network addresses; nil where none does.
    @inlinable
    public static func pseudoHeaderChecksumOffset(_ number: UInt8, _ family: AddressFamily) -> Int? {
        switch number {
        case tcp: 16
        case udp, udpLite, dccp: 6
        case icmpv6: family == .ipv6 ? 2 : nil
        default: nil
        }
    }
}

/// A TCP header (RFC 9293, section 3.1) whose first twenty octets are there.
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-------------------------------+-------------------------------+
///     |          source port          |       destination port        |
///     +-------------------------------+-------------------------------+
///     |                        sequence number                        |
///     +---------------------------------------------------------------+
///     |                    acknowledgment number                      |
///     +-------+-------+---------------+-------------------------------+
///     | offset| rsrvd |     flags     |            window             |
///     +-------+-------+---------------+-------------------------------+
///     |           checksum            |        urgent pointer         |
///     +-------------------------------+-------------------------------+
public struct TCPView: ~Escapable {
    /// The length of a header without options.
    public static let minimumLength = 20
    /// Offset of the checksum.
    public static let checksumOffset = 16
    /// Flag: no more data from the sender.
    public static let fin: UInt8 = 0x01
    /// Flag: the beginning of a connection.
    public static let syn: UInt8 = 0x02
    /// Flag: the connection is no more.
    public static let rst: UInt8 = 0x04
    /// Flag: what was sent is to be handed on at once.
    public static let psh: UInt8 = 0x08
    /// Flag: congestion was experienced (RFC 3168).
    public static let ece: UInt8 = 0x40
    /// Flag: the acknowledgment number counts.
    public static let ack: UInt8 = 0x10

    @usableFromInline let bytes: RawSpan
    @usableFromInline let offset: Int

    /// Nil where fewer than twenty octets follow `offset`.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan, at offset: Int) {
        guard offset >= 0, offset <= bytes.byteCount &- Self.minimumLength else { return nil }
        self.bytes = bytes
        self.offset = offset
    }

    /// The source port.
    @inlinable public var sourcePort: UInt16 { bytes.uncheckedUInt16(at: offset) }
    /// The destination port.
    @inlinable public var destinationPort: UInt16 { bytes.uncheckedUInt16(at: offset &+ 2) }
    /// The sequence number.
    @inlinable public var sequenceNumber: UInt32 { bytes.uncheckedUInt32(at: offset &+ 4) }
    /// The acknowledgment number.
    @inlinable public var acknowledgmentNumber: UInt32 { bytes.uncheckedUInt32(at: offset &+ 8) }
    /// The header's length in octets, as it says: 0…60.
    @inlinable public var headerLength: Int { Int(bytes.uncheckedUInt8(at: offset &+ 12) >> 4) << 2 }
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from bit 7 to bit 0.
    @inlinable public var flags: UInt8 { bytes.uncheckedUInt8(at: offset &+ 13) }
    /// The window, not scaled.
    @inlinable public var window: UInt16 { bytes.uncheckedUInt16(at: offset &+ 14) }
    /// The checksum.
    @inlinable public var checksum: UInt16 { bytes.uncheckedUInt16(at: offset &+ Self.checksumOffset) }
}

/// A UDP header (RFC 768), or a UDP-Lite one (RFC 3828), whose eight octets are there.
///
///     +-------------------------------+-------------------------------+
///     |          source port          |       destination port        |
///     +-------------------------------+-------------------------------+
///     |  length (UDP-Lite: coverage)  |           checksum            |
///     +-------------------------------+-------------------------------+
public struct UDPView: ~Escapable {
    /// The header's length in octets.
    public static let length = 8
    /// Offset of the checksum.
    public static let checksumOffset = 6

    @usableFromInline let bytes: RawSpan
    @usableFromInline let offset: Int

    /// Nil where fewer than eight octets follow `offset`.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan, at offset: Int) {
        guard offset >= 0, offset <= bytes.byteCount &- Self.length else { return nil }
        self.bytes = bytes
        self.offset = offset
    }

    /// The source port.
    @inlinable public var sourcePort: UInt16 { bytes.uncheckedUInt16(at: offset) }
    /// The destination port.
    @inlinable public var destinationPort: UInt16 { bytes.uncheckedUInt16(at: offset &+ 2) }
    /// Header and data in octets, as it says.
    @inlinable public var length: Int { Int(bytes.uncheckedUInt16(at: offset &+ 4)) }
    /// The checksum; zero for none.
    @inlinable public var checksum: UInt16 { bytes.uncheckedUInt16(at: offset &+ Self.checksumOffset) }
}

/// An ICMP (RFC 792) or ICMPv6 (RFC 4443) header whose first eight octets are there.
///
///     +---------------+---------------+-------------------------------+
///     |     type      |     code      |           checksum            |
///     +---------------+---------------+-------------------------------+
///     | by type: identifier and sequence number, MTU, pointer, unused |
///     +---------------------------------------------------------------+
public struct ICMPView: ~Escapable {
    /// The header's length in octets; an error's quote begins behind it.
    public static let length = 8
    /// Offset of the checksum.
    public static let checksumOffset = 2

    @usableFromInline let bytes: RawSpan
    @usableFromInline let offset: Int

    /// Nil where fewer than eight octets follow `offset`.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan, at offset: Int) {
        guard offset >= 0, offset <= bytes.byteCount &- Self.length else { return nil }
        self.bytes = bytes
        self.offset = offset
    }

    /// The type.
    @inlinable public var type: UInt8 { bytes.uncheckedUInt8(at: offset) }
    /// The code.
    @inlinable public var code: UInt8 { bytes.uncheckedUInt8(at: offset &+ 1) }
    /// The checksum.
    @inlinable public var checksum: UInt16 { bytes.uncheckedUInt16(at: offset &+ Self.checksumOffset) }
    /// The second word.
    @inlinable public var word: UInt32 { bytes.uncheckedUInt32(at: offset &+ 4) }

    /// What a message of `type` is to the one who forwards it.
    @inlinable
    public static func message(type: UInt8, _ family: AddressFamily) -> ICMPMessage {
        switch (family, type) {
        case (.ipv4, 0): .echoReply
        case (.ipv4, 8): .echoRequest
        case (.ipv4, 3), (.ipv4, 4), (.ipv4, 5), (.ipv4, 11), (.ipv4, 12): .error
        case (.ipv4, _): .other
        case (.ipv6, 0...127): .error
        case (.ipv6, 128): .echoRequest
        case (.ipv6, 129): .echoReply
        case (.ipv6, 133...137): .neighbourDiscovery
        case (.ipv6, _): .other
        }
    }
}
