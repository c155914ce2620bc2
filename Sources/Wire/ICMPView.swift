/// An ICMP (RFC 792) or ICMPv6 (RFC 4443) header.
///
///     +---------------+---------------+-------------------------------+
///     |     type      |     code      |           checksum            |
///     +---------------+---------------+-------------------------------+
///     | by type: identifier and sequence number, MTU, pointer, unused |
///     +---------------------------------------------------------------+
public enum ICMPHeader: FixedHeaderLayout {
    /// The header's length in octets; an error's quote begins behind it.
    public static let length = 8
    /// The type.
    @inlinable public static var type: HeaderField<UInt8> { HeaderField(0) }
    /// The code.
    @inlinable public static var code: HeaderField<UInt8> { HeaderField(1) }
    /// The checksum.
    @inlinable public static var checksum: HeaderField<UInt16> { HeaderField(2) }
    /// Echo request and reply: the identifier.
    @inlinable public static var identifier: HeaderField<UInt16> { HeaderField(4) }
    /// Echo request and reply: the sequence number.
    @inlinable public static var sequenceNumber: HeaderField<UInt16> { HeaderField(6) }
    /// Packet too big: the MTU (RFC 4443, section 3.2); fragmentation needed: the lower half is the next hop's MTU
    /// (RFC 1191, section 4). Other errors have zero here, or a pointer.
    @inlinable public static var mtu: HeaderField<UInt32> { word }
    /// The second word, which each type has a use of its own for.
    @inlinable public static var word: HeaderField<UInt32> { HeaderField(4) }
}

/// An ICMP or ICMPv6 header whose first eight octets are there.
public typealias ICMPView = HeaderView<ICMPHeader>

extension HeaderView where Header == ICMPHeader {
    /// The type of an echo request (RFC 792, RFC 4443 section 4.1).
    @inlinable public static func echoRequest(_ family: AddressFamily) -> UInt8 { family == .ipv4 ? 8 : 128 }
    /// The type of an echo reply (RFC 792, RFC 4443 section 4.2).
    @inlinable public static func echoReply(_ family: AddressFamily) -> UInt8 { family == .ipv4 ? 0 : 129 }

    /// The type.
    @inlinable public var type: UInt8 { self[Header.type] }
    /// The code.
    @inlinable public var code: UInt8 { self[Header.code] }
    /// The checksum.
    @inlinable public var checksum: UInt16 { self[Header.checksum] }
    /// The second word, which each type has a use of its own for.
    @inlinable public var word: UInt32 { self[Header.word] }

    /// The meaning of a message of `type` for forwarding.
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
