/// An IPv6 header (RFC 8200, section 3).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-------+---------------+---------------------------------------+
///     |version| traffic class |              flow label               |
///     +-------+---------------+-------+---------------+---------------+
///     |        payload length         |  next header  |   hop limit   |
///     +-------------------------------+---------------+---------------+
///     |                      source (16 octets)                       |
///     +---------------------------------------------------------------+
///     |                    destination (16 octets)                    |
///     +---------------------------------------------------------------+
public enum IPv6Header: FixedHeaderLayout {
    /// The header's length in octets.
    public static let length = 40
    /// Version (4 bits), traffic class (8 bits) and flow label (20 bits).
    @inlinable public static var versionTrafficClassAndFlowLabel: HeaderField<UInt32> { HeaderField(0) }
    /// The octet that begins with the version.
    @inlinable static var version: HeaderField<UInt8> { HeaderField(0) }
    /// The octets after the header.
    @inlinable public static var payloadLength: HeaderField<UInt16> { HeaderField(4) }
    /// The first of the chain's next headers.
    @inlinable public static var nextHeader: HeaderField<UInt8> { HeaderField(6) }
    /// Hops left.
    @inlinable public static var hopLimit: HeaderField<UInt8> { HeaderField(7) }
    /// The source address.
    @inlinable public static var sourceAddress: HeaderField<IPAddress> { HeaderField(8) }
    /// The destination address.
    @inlinable public static var destinationAddress: HeaderField<IPAddress> { HeaderField(24) }
}

/// An IPv6 header whose forty octets are there.
public typealias IPv6View = HeaderView<IPv6Header>

extension HeaderView where Header == IPv6Header {
    /// 6 in an IPv6 header.
    @inlinable public var version: UInt8 {
        self[Header.version] >> 4
    }
    /// DSCP and ECN.
    @inlinable public var trafficClass: UInt8 {
        UInt8(truncatingIfNeeded: self[Header.versionTrafficClassAndFlowLabel] >> 20)
    }
    /// The flow label, 20 bits.
    @inlinable public var flowLabel: UInt32 { self[Header.versionTrafficClassAndFlowLabel] & 0xF_FFFF }
    /// The octets after the header, as it says.
    @inlinable public var payloadLength: Int { Int(self[Header.payloadLength]) }
    /// The first of the chain's next headers.
    @inlinable public var nextHeader: UInt8 { self[Header.nextHeader] }
    /// Hops left.
    @inlinable public var hopLimit: UInt8 { self[Header.hopLimit] }
    /// The source address.
    @inlinable public var sourceAddress: IPAddress { self[Header.sourceAddress] }
    /// The destination address.
    @inlinable public var destinationAddress: IPAddress { self[Header.destinationAddress] }

    /// Writes a header at `offset` of `frame`, where it must fit (checked).
    ///
    /// - Parameter payloadLength: The octets after the header.
    public static func write(
        _ frame: inout MutableRawSpan, at offset: Int, source: IPAddress, destination: IPAddress,
        nextHeader: UInt8, payloadLength: Int, hopLimit: UInt8, trafficClass: UInt8 = 0
    ) {
        frame.store(
            0x6000_0000 | UInt32(trafficClass) << 20, to: Header.versionTrafficClassAndFlowLabel, at: offset)
        frame.store(UInt16(truncatingIfNeeded: payloadLength), to: Header.payloadLength, at: offset)
        frame.store(nextHeader, to: Header.nextHeader, at: offset)
        frame.store(hopLimit, to: Header.hopLimit, at: offset)
        frame.store(source, to: Header.sourceAddress, at: offset)
        frame.store(destination, to: Header.destinationAddress, at: offset)
    }
}
