/// EtherTypes that the engine knows.
public enum EtherType {
    /// IPv4.
    public static let ipv4: UInt16 = 0x0800
    /// ARP.
    public static let arp: UInt16 = 0x0806
    /// IPv6.
    public static let ipv6: UInt16 = 0x86DD
}

/// An Ethernet II header (IEEE 802.3) whose fourteen octets are there.
///
///     +-----------------------------------------------+
///     |           destination (6 octets)              |
///     +-----------------------------------------------+
///     |             source (6 octets)                 |
///     +---------------+-------------------------------+
///     | EtherType (2) |  payload …
///     +---------------+
public struct EthernetView: ~Escapable {
    /// The header's length in octets.
    public static let length = 14
    /// Offset of the destination.
    public static let destinationOffset = 0
    /// Offset of the source.
    public static let sourceOffset = 6
    /// Offset of the EtherType.
    public static let typeOffset = 12

    @usableFromInline let bytes: RawSpan

    /// Nil where `bytes` is shorter than the header.
    @inlinable
    @_lifetime(copy bytes)
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= Self.length else { return nil }
        self.bytes = bytes
    }

    /// The destination.
    @inlinable public var destination: MACAddress { bytes.uncheckedMAC(at: Self.destinationOffset) }
    /// The source.
    @inlinable public var source: MACAddress { bytes.uncheckedMAC(at: Self.sourceOffset) }
    /// The EtherType.
    @inlinable public var type: UInt16 { bytes.uncheckedUInt16(at: Self.typeOffset) }

    /// Writes destination and source over the first twelve octets of `frame`, which must be there (checked).
    @inlinable
    public static func rewrite(_ frame: inout MutableRawSpan, destination: MACAddress, source: MACAddress) {
        frame.store(destination, at: destinationOffset)
        frame.store(source, at: sourceOffset)
    }

    /// Writes a whole header to the first fourteen octets of `frame`, which must be there (checked).
    @inlinable
    public static func write(
        _ frame: inout MutableRawSpan, destination: MACAddress, source: MACAddress, type: UInt16
    ) {
        rewrite(&frame, destination: destination, source: source)
        frame.store(type, at: typeOffset)
    }
}
