/// An IPv6 header (RFC 8200, section 3) whose forty octets are there.
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
public struct IPv6View: ~Escapable {
    /// The header's length in octets.
    public static let length = 40
    /// Offset of the payload length.
    public static let payloadLengthOffset = 4
    /// Offset of the next header.
    public static let nextHeaderOffset = 6
    /// Offset of the hop limit.
    public static let hopLimitOffset = 7
    /// Offset of the source.
    public static let sourceOffset = 8
    /// Offset of the destination.
    public static let destinationOffset = 24

    @usableFromInline let bytes: RawSpan
    @usableFromInline let offset: Int

    /// Nil where fewer than forty octets follow `offset`.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan, at offset: Int) {
        guard offset >= 0, offset <= bytes.byteCount &- Self.length else { return nil }
        self.bytes = bytes
        self.offset = offset
    }

    /// 6 in an IPv6 header.
    @inlinable public var version: UInt8 { bytes.uncheckedUInt8(at: offset) >> 4 }
    /// DSCP and ECN.
    @inlinable public var trafficClass: UInt8 { UInt8(truncatingIfNeeded: bytes.uncheckedUInt16(at: offset) >> 4) }
    /// The flow label, 20 bits.
    @inlinable public var flowLabel: UInt32 { bytes.uncheckedUInt32(at: offset) & 0xF_FFFF }
    /// The octets after the header, as it says.
    @inlinable public var payloadLength: Int { Int(bytes.uncheckedUInt16(at: offset &+ Self.payloadLengthOffset)) }
    /// The first of the chain's next headers.
    @inlinable public var nextHeader: UInt8 { bytes.uncheckedUInt8(at: offset &+ Self.nextHeaderOffset) }
    /// Hops left.
    @inlinable public var hopLimit: UInt8 { bytes.uncheckedUInt8(at: offset &+ Self.hopLimitOffset) }
    /// The source.
    @inlinable public var source: IPAddress { bytes.uncheckedIPv6(at: offset &+ Self.sourceOffset) }
    /// The destination.
    @inlinable public var destination: IPAddress { bytes.uncheckedIPv6(at: offset &+ Self.destinationOffset) }

    /// Writes a header at `offset` of `frame`, where it must fit (checked).
    ///
    /// - Parameter payloadLength: The octets after the header.
    public static func write(
        _ frame: inout MutableRawSpan, at offset: Int, source: IPAddress, destination: IPAddress,
        nextHeader: UInt8, payloadLength: Int, hopLimit: UInt8, trafficClass: UInt8 = 0
    ) {
        frame.store(0x6000_0000 | UInt32(trafficClass) << 20, at: offset)
        frame.store(UInt16(truncatingIfNeeded: payloadLength), at: offset + payloadLengthOffset)
        frame.store(nextHeader, at: offset + nextHeaderOffset)
        frame.store(hopLimit, at: offset + hopLimitOffset)
        frame.store(source, at: offset + sourceOffset)
        frame.store(destination, at: offset + destinationOffset)
    }
}
