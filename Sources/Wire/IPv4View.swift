/// An IPv4 header (RFC 791) whose first twenty octets are there.
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
public struct IPv4View: ~Escapable {
    /// The length of a header without options.
    public static let minimumLength = 20
    /// Offset of the total length.
    public static let totalLengthOffset = 2
    /// Offset of the identification.
    public static let identificationOffset = 4
    /// Offset of flags and fragment offset.
    public static let fragmentOffset = 6
    /// Offset of the time to live.
    public static let timeToLiveOffset = 8
    /// Offset of the protocol.
    public static let protocolOffset = 9
    /// Offset of the header checksum.
    public static let checksumOffset = 10
    /// Offset of the source.
    public static let sourceOffset = 12
    /// Offset of the destination.
    public static let destinationOffset = 16
    /// In the word at `fragmentOffset`: do not fragment.
    public static let dontFragmentBit: UInt16 = 0x4000
    /// In the word at `fragmentOffset`: more fragments follow.
    public static let moreFragmentsBit: UInt16 = 0x2000
    /// In the word at `fragmentOffset`: the offset in units of eight octets.
    public static let fragmentOffsetMask: UInt16 = 0x1FFF

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

    /// 4 in an IPv4 header.
    @inlinable public var version: UInt8 { bytes.uncheckedUInt8(at: offset) >> 4 }
    /// The header's length in octets, as it says: 0…60.
    @inlinable public var headerLength: Int { Int(bytes.uncheckedUInt8(at: offset) & 0xF) << 2 }
    /// Type of service: DSCP and ECN.
    @inlinable public var typeOfService: UInt8 { bytes.uncheckedUInt8(at: offset &+ 1) }
    /// Header and data in octets, as it says.
    @inlinable public var totalLength: Int { Int(bytes.uncheckedUInt16(at: offset &+ Self.totalLengthOffset)) }
    /// What fragments of one datagram share.
    @inlinable public var identification: UInt16 { bytes.uncheckedUInt16(at: offset &+ Self.identificationOffset) }
    /// Flags and fragment offset in one word.
    @inlinable public var fragmentWord: UInt16 { bytes.uncheckedUInt16(at: offset &+ Self.fragmentOffset) }
    /// The data's place in the datagram, in octets.
    @inlinable public var dataOffset: Int { Int(fragmentWord & Self.fragmentOffsetMask) << 3 }
    /// The DF flag.
    @inlinable public var dontFragment: Bool { fragmentWord & Self.dontFragmentBit != 0 }
    /// The MF flag.
    @inlinable public var moreFragments: Bool { fragmentWord & Self.moreFragmentsBit != 0 }
    /// Hops left.
    @inlinable public var timeToLive: UInt8 { bytes.uncheckedUInt8(at: offset &+ Self.timeToLiveOffset) }
    /// The upper-layer protocol.
    @inlinable public var protocolNumber: UInt8 { bytes.uncheckedUInt8(at: offset &+ Self.protocolOffset) }
    /// The header checksum.
    @inlinable public var checksum: UInt16 { bytes.uncheckedUInt16(at: offset &+ Self.checksumOffset) }
    /// The source.
    @inlinable public var source: IPAddress { bytes.uncheckedIPv4(at: offset &+ Self.sourceOffset) }
    /// The destination.
    @inlinable public var destination: IPAddress { bytes.uncheckedIPv4(at: offset &+ Self.destinationOffset) }

    /// Where in a fragmented datagram the packet stands.
    @inlinable public var fragment: FragmentPosition {
        dataOffset != 0 ? .later : moreFragments ? .first : .whole
    }

    /// True where the header's sum is right. The header must be there whole: `headerLength` octets.
    @inlinable public var checksumIsValid: Bool {
        if headerLength == Self.minimumLength {
            let sum =
                bytes.uncheckedUInt32(at: offset).wide &+ bytes.uncheckedUInt32(at: offset &+ 4).wide
                &+ bytes.uncheckedUInt32(at: offset &+ 8).wide &+ bytes.uncheckedUInt32(at: offset &+ 12).wide
                &+ bytes.uncheckedUInt32(at: offset &+ 16).wide
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
        identification: UInt16 = 0, fragmentWord: UInt16 = IPv4View.dontFragmentBit
    ) {
        frame.store(0x45 as UInt8, at: offset)
        frame.store(typeOfService, at: offset + 1)
        frame.store(UInt16(truncatingIfNeeded: totalLength), at: offset + totalLengthOffset)
        frame.store(identification, at: offset + identificationOffset)
        frame.store(fragmentWord, at: offset + fragmentOffset)
        frame.store(timeToLive, at: offset + timeToLiveOffset)
        frame.store(protocolNumber, at: offset + protocolOffset)
        frame.store(source.ipv4Bits, at: offset + sourceOffset)
        frame.store(destination.ipv4Bits, at: offset + destinationOffset)
        writeChecksum(&frame, at: offset, headerLength: minimumLength)
    }

    /// Computes the header checksum anew. The header must lie in `frame` (checked).
    public static func writeChecksum(_ frame: inout MutableRawSpan, at offset: Int, headerLength: Int) {
        frame.store(0 as UInt16, at: offset + checksumOffset)
        frame.store(~InternetChecksum.sum(frame.bytes, offset..<offset + headerLength), at: offset + checksumOffset)
    }
}

extension UInt32 {
    @inlinable var wide: UInt64 { UInt64(self) }
}
