/// A UDP header (RFC 768), or a UDP-Lite one (RFC 3828).
///
///     +-------------------------------+-------------------------------+
///     |          source port          |       destination port        |
///     +-------------------------------+-------------------------------+
///     |  length (UDP-Lite: coverage)  |           checksum            |
///     +-------------------------------+-------------------------------+
public enum UDPHeader: FixedHeaderLayout {
    /// The header's length in octets.
    public static let length = 8
    /// The source port.
    @inlinable public static var sourcePort: HeaderField<UInt16> { PortHeader.sourcePort }
    /// The destination port.
    @inlinable public static var destinationPort: HeaderField<UInt16> { PortHeader.destinationPort }
    /// Header and data in octets; for UDP-Lite the checksum coverage.
    @inlinable public static var datagramLength: HeaderField<UInt16> { HeaderField(4) }
    /// The checksum; zero for none.
    @inlinable public static var checksum: HeaderField<UInt16> { HeaderField(6) }
}

/// A UDP or UDP-Lite header whose eight octets are there.
public typealias UDPView = HeaderView<UDPHeader>

extension HeaderView where Header == UDPHeader {
    /// The source port.
    @inlinable public var sourcePort: UInt16 { self[Header.sourcePort] }
    /// The destination port.
    @inlinable public var destinationPort: UInt16 { self[Header.destinationPort] }
    /// Header and data in octets, as the field "length" says.
    @inlinable public var length: Int { Int(self[Header.datagramLength]) }
    /// The checksum; zero for none.
    @inlinable public var checksum: UInt16 { self[Header.checksum] }
}
