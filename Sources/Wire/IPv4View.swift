/// An IPv4 header (RFC 791, section 3.1).
///
///      0                   1                   2                   3
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
///     +-------+-------+---------------+-------------------------------+
///     |version|  IHL  |type of service|         total length          |
///     +-------+-------+---------------+-----+-------------------------+
///     |        identification         |flags|     fragment offset     |
///     +---------------+---------------+-----+-------------------------+
///     |      TTL      |    protocol   |        header checksum        |
///     +---------------+---------------+-------------------------------+
///     |                            source                             |
///     +---------------------------------------------------------------+
///     |                          destination                          |
///     +---------------------------------------------------------------+
///     |                 options (0…40 octets), padding                |
///     +---------------------------------------------------------------+
public enum IPv4Header: HeaderLayout {
    /// The length of a header without options, in octets.
    public static let minimumLength = 20
    /// Version and header length (IHL, in units of four octets), four bits each.
    @inlinable public static var versionAndIHL: HeaderField<UInt8> { HeaderField(0) }
    /// Type of service: DSCP and ECN.
    @inlinable public static var typeOfService: HeaderField<UInt8> { HeaderField(1) }
    /// Header and data in octets.
    @inlinable public static var totalLength: HeaderField<UInt16> { HeaderField(2) }
    /// The number that all fragments of one datagram share.
    @inlinable public static var identification: HeaderField<UInt16> { HeaderField(4) }
    /// Three flags, and the fragment offset in units of eight octets.
    @inlinable public static var flagsAndFragmentOffset: HeaderField<UInt16> { HeaderField(6) }
    /// Hops left.
    @inlinable public static var timeToLive: HeaderField<UInt8> { HeaderField(8) }
    /// The upper-layer protocol.
    @inlinable public static var `protocol`: HeaderField<UInt8> { HeaderField(9) }
    /// The checksum of the header alone.
    @inlinable public static var headerChecksum: HeaderField<UInt16> { HeaderField(10) }
    /// The source address.
    @inlinable public static var sourceAddress: HeaderField<UInt32> { HeaderField(12) }
    /// The destination address.
    @inlinable public static var destinationAddress: HeaderField<UInt32> { HeaderField(16) }
    /// The source address and the destination address behind it.
    static let addresses = HeaderField<UInt64>(12)

    /// `versionAndIHL` of a header without options.
    @inlinable static var plainVersionAndIHL: UInt8 { 0x45 }
}

/// An IPv4 header whose first twenty octets are there.
public typealias IPv4View = HeaderView<IPv4Header>

extension HeaderView where Header == IPv4Header {
    /// In `flagsAndFragmentOffset`: do not fragment.
    @inlinable public static var dontFragmentBit: UInt16 { 0x4000 }
    /// In `flagsAndFragmentOffset`: more fragments follow.
    @inlinable public static var moreFragmentsBit: UInt16 { 0x2000 }
    /// In `flagsAndFragmentOffset`: the offset in units of eight octets.
    @inlinable public static var fragmentOffsetMask: UInt16 { 0x1FFF }

    /// 4 in an IPv4 header.
    @inlinable public var version: UInt8 { self[Header.versionAndIHL] >> 4 }
    /// The header's length in octets, as it says: 0…60.
    @inlinable public var headerLength: Int { Int(self[Header.versionAndIHL] & 0xF) << 2 }
    /// Type of service: DSCP and ECN.
    @inlinable public var typeOfService: UInt8 { self[Header.typeOfService] }
    /// Header and data in octets, as it says.
    @inlinable public var totalLength: Int { Int(self[Header.totalLength]) }
    /// The number that all fragments of one datagram share.
    @inlinable public var identification: UInt16 { self[Header.identification] }
    /// Flags and fragment offset in one word.
    @inlinable public var flagsAndFragmentOffset: UInt16 { self[Header.flagsAndFragmentOffset] }
    /// The data's place in the datagram, in octets.
    @inlinable public var fragmentOffset: Int { Int(flagsAndFragmentOffset & Self.fragmentOffsetMask) << 3 }
    /// The DF flag.
    @inlinable public var dontFragment: Bool { flagsAndFragmentOffset & Self.dontFragmentBit != 0 }
    /// The MF flag.
    @inlinable public var moreFragments: Bool { flagsAndFragmentOffset & Self.moreFragmentsBit != 0 }
    /// Hops left.
    @inlinable public var timeToLive: UInt8 { self[Header.timeToLive] }
    /// The upper-layer protocol.
    @inlinable public var `protocol`: UInt8 { self[Header.protocol] }
    /// The header checksum.
    @inlinable public var headerChecksum: UInt16 { self[Header.headerChecksum] }
    /// The source address.
    @inlinable public var sourceAddress: IPAddress { IPAddress(ipv4: self[Header.sourceAddress]) }
    /// The destination address.
    @inlinable public var destinationAddress: IPAddress { IPAddress(ipv4: self[Header.destinationAddress]) }

    /// Where in a fragmented datagram the packet stands.
    @inlinable public var fragment: FragmentPosition {
        fragmentOffset != 0 ? .later : moreFragments ? .first : .whole
    }

    /// True if the header's sum is right. The header must be there whole: `headerLength` octets.
    @inlinable public var headerChecksumIsValid: Bool {
        if headerLength == Self.minimumLength {
            // All five words, without looking at their meaning.
            var sum: UInt64 = 0
            for word in 0..<5 { sum &+= UInt64(self[HeaderField<UInt32>(word &* 4)]) }
            return InternetChecksum.fold(sum) == 0xFFFF
        }
        guard offset &+ headerLength <= bytes.byteCount else { return false }
        return InternetChecksum.sum(bytes, offset..<offset &+ headerLength) == 0xFFFF
    }

    /// Writes a header of twenty octets, checksum included, at `offset` of `frame`, where it must fit (checked).
    ///
    /// - Parameter totalLength: Header and data in octets.
    public static func write(
        _ frame: inout MutableRawSpan, at offset: Int, source: IPAddress, destination: IPAddress,
        protocolNumber: UInt8, totalLength: Int, timeToLive: UInt8, typeOfService: UInt8 = 0,
        identification: UInt16 = 0, flagsAndFragmentOffset: UInt16 = IPv4View.dontFragmentBit
    ) {
        frame.store(Header.plainVersionAndIHL, to: Header.versionAndIHL, at: offset)
        frame.store(typeOfService, to: Header.typeOfService, at: offset)
        frame.store(UInt16(truncatingIfNeeded: totalLength), to: Header.totalLength, at: offset)
        frame.store(identification, to: Header.identification, at: offset)
        frame.store(flagsAndFragmentOffset, to: Header.flagsAndFragmentOffset, at: offset)
        frame.store(timeToLive, to: Header.timeToLive, at: offset)
        frame.store(protocolNumber, to: Header.protocol, at: offset)
        frame.store(source.ipv4Bits, to: Header.sourceAddress, at: offset)
        frame.store(destination.ipv4Bits, to: Header.destinationAddress, at: offset)
        writeHeaderChecksum(&frame, at: offset, headerLength: minimumLength)
    }

    /// Computes the header checksum anew. The header must lie in `frame` (checked).
    public static func writeHeaderChecksum(_ frame: inout MutableRawSpan, at offset: Int, headerLength: Int) {
        frame.store(0, to: Header.headerChecksum, at: offset)
        let sum = InternetChecksum.sum(frame.bytes, offset..<offset + headerLength)
        frame.store(~sum, to: Header.headerChecksum, at: offset)
    }
}
