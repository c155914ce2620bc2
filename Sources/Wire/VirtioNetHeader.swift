/// The ten octets before each frame of a TAP opened with `IFF_VNET_HDR` (virtio 1.2, section 5.1.6; linux/virtio_net.h).
///
///      0               1               2               3
///     +---------------+---------------+-------------------------------+
///     |     flags     |   gso_type    |            hdr_len            |
///     +---------------+---------------+-------------------------------+
///     |            gso_size           |          csum_start           |
///     +-------------------------------+-------------------------------+
///     |          csum_offset          |
///     +-------------------------------+
///
/// The 16-bit fields are in the host's byte order.
///
/// A device that takes segments in tunnels has a longer header (`longLength`), which also says where the outer UDP header and the
/// inner network header begin. The engine has the ten octets of it alone (`shorten`, `lengthen`). In those of a segment in a tunnel,
/// `hdr_len`, which is a hint, is the place of the inner network header. The outer one is behind the outer addresses.
public struct VirtioNetHeader: Sendable, Equatable {
    /// The header's length in octets.
    public static let length = 10
    /// `flags`.
    @inlinable public static var flags: HeaderField<UInt8> { HeaderField(0) }
    /// `gso_type`.
    @inlinable public static var gsoType: HeaderField<UInt8> { HeaderField(1) }
    /// `hdr_len`.
    @inlinable public static var headerLength: HeaderField<UInt16> { HeaderField(2) }
    /// `gso_size`.
    @inlinable public static var gsoSize: HeaderField<UInt16> { HeaderField(4) }
    /// `csum_start`.
    @inlinable public static var checksumStart: HeaderField<UInt16> { HeaderField(6) }
    /// `csum_offset`.
    @inlinable public static var checksumOffset: HeaderField<UInt16> { HeaderField(8) }
    /// Flag: the transport checksum is partial.
    public static let needsChecksum: UInt8 = 1
    /// Flag: the checksum has been validated.
    public static let dataValid: UInt8 = 2
    /// `gsoType`: one packet.
    public static let gsoNone: UInt8 = 0
    /// `gsoType`: TCP over IPv4 to be segmented.
    public static let gsoTCPv4: UInt8 = 1
    /// `gsoType`: UDP to be fragmented (UFO).
    public static let gsoUDP: UInt8 = 3
    /// `gsoType`: TCP over IPv6 to be segmented.
    public static let gsoTCPv6: UInt8 = 4
    /// `gsoType`: UDP to be segmented (USO).
    public static let gsoUDPL4: UInt8 = 5
    /// Bit of `gsoType`: the TCP segments have ECN set.
    public static let gsoECN: UInt8 = 0x80
    /// Bit of `gsoType`: the segments are in a tunnel over UDP and IPv4.
    public static let gsoTunnel4: UInt8 = 0x20
    /// Bit of `gsoType`: the segments are in a tunnel over UDP and IPv6.
    public static let gsoTunnel6: UInt8 = 0x40
    /// Either of these bits.
    public static let gsoTunnel = gsoTunnel4 | gsoTunnel6
    /// Flag: the outer UDP checksum of segments in a tunnel is partial. Without it, they have none.
    public static let tunnelChecksum: UInt8 = 8

    /// `needsChecksum`, `dataValid`.
    public var flags: UInt8 = 0
    /// One of the `gso…` constants, with or without `gsoECN`.
    public var gsoType: UInt8 = 0
    /// The length of the headers that each segment repeats, in octets; a hint.
    public var headerLength: UInt16 = 0
    /// The payload octets of each segment.
    public var gsoSize: UInt16 = 0
    /// The offset in the frame where the checksum's coverage begins.
    public var checksumStart: UInt16 = 0
    /// The offset of the checksum field from `checksumStart`, in octets.
    public var checksumOffset: UInt16 = 0

    /// No offload: all zero.
    @inlinable
    public init() {}

    /// Reads the header at the beginning of `bytes`; nil if that is shorter than ten octets.
    @inlinable
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.length else { return nil }
        flags = bytes.unsafeLoadUnaligned(fromByteOffset: Self.flags.offset, as: UInt8.self)
        gsoType = bytes.unsafeLoadUnaligned(fromByteOffset: Self.gsoType.offset, as: UInt8.self)
        headerLength = bytes.unsafeLoadUnaligned(fromByteOffset: Self.headerLength.offset, as: UInt16.self)
        gsoSize = bytes.unsafeLoadUnaligned(fromByteOffset: Self.gsoSize.offset, as: UInt16.self)
        checksumStart = bytes.unsafeLoadUnaligned(fromByteOffset: Self.checksumStart.offset, as: UInt16.self)
        checksumOffset = bytes.unsafeLoadUnaligned(fromByteOffset: Self.checksumOffset.offset, as: UInt16.self)
    }

    /// Writes the header to the first ten octets of `bytes`, which must be there (checked).
    @inlinable
    public func write(into bytes: inout MutableRawSpan) {
        bytes.storeBytes(of: flags, toByteOffset: Self.flags.offset, as: UInt8.self)
        bytes.storeBytes(of: gsoType, toByteOffset: Self.gsoType.offset, as: UInt8.self)
        bytes.storeBytes(of: headerLength, toByteOffset: Self.headerLength.offset, as: UInt16.self)
        bytes.storeBytes(of: gsoSize, toByteOffset: Self.gsoSize.offset, as: UInt16.self)
        bytes.storeBytes(of: checksumStart, toByteOffset: Self.checksumStart.offset, as: UInt16.self)
        bytes.storeBytes(of: checksumOffset, toByteOffset: Self.checksumOffset.offset, as: UInt16.self)
    }

    /// True if the frame is to be segmented.
    @inlinable
    public var isSegmented: Bool { gsoType & ~Self.gsoECN != Self.gsoNone }

    /// The state of the transport checksum field of the packet at `fields`.
    ///
    /// It is partial only if the coverage begins at the packet's own transport header. Inside a tunnel another header's
    /// checksum is unfinished, and the one that a rewrite edits is full.
    @inlinable
    public func checksumState(of fields: PacketFields) -> ChecksumState {
        flags & Self.needsChecksum != 0 && Int(checksumStart) == fields.transportOffset ? .partial : .full
    }
}
