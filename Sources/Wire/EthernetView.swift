/// EtherTypes that the engine knows.
public enum EtherType {
    /// IPv4.
    public static let ipv4: UInt16 = 0x0800
    /// ARP.
    public static let arp: UInt16 = 0x0806
    /// IPv6.
    public static let ipv6: UInt16 = 0x86DD
}

/// An Ethernet II header (IEEE 802.3).
///
///     +-----------------------------------------------+
///     |        destination address (6 octets)         |
///     +-----------------------------------------------+
///     |           source address (6 octets)           |
///     +---------------+-------------------------------+
///     |    type (2)   |  payload …
///     +---------------+
public enum EthernetHeader: FixedHeaderLayout {
    /// The header's length in octets.
    public static let length = 14
    /// The destination MAC address.
    @inlinable public static var destinationAddress: HeaderField<MACAddress> { HeaderField(0) }
    /// The source MAC address.
    @inlinable public static var sourceAddress: HeaderField<MACAddress> { HeaderField(6) }
    /// The EtherType.
    @inlinable public static var type: HeaderField<UInt16> { HeaderField(12) }
}

/// An Ethernet II header that is there.
public typealias EthernetView = HeaderView<EthernetHeader>

extension HeaderView where Header == EthernetHeader {
    /// The destination MAC address.
    @inlinable public var destinationAddress: MACAddress { self[Header.destinationAddress] }
    /// The source MAC address.
    @inlinable public var sourceAddress: MACAddress { self[Header.sourceAddress] }
    /// The EtherType.
    @inlinable public var type: UInt16 { self[Header.type] }

    /// Writes both addresses over the first twelve octets of `frame`, which must be there (checked).
    @inlinable
    public static func rewrite(_ frame: inout MutableRawSpan, destination: MACAddress, source: MACAddress) {
        frame.store(destination, to: Header.destinationAddress, at: 0)
        frame.store(source, to: Header.sourceAddress, at: 0)
    }

    /// Writes a whole header to the first fourteen octets of `frame`, which must be there (checked).
    @inlinable
    public static func write(
        _ frame: inout MutableRawSpan, destination: MACAddress, source: MACAddress, type: UInt16
    ) {
        rewrite(&frame, destination: destination, source: source)
        frame.store(type, to: Header.type, at: 0)
    }
}

/// Both Ethernet addresses of a frame as they lie there, to compare two frames.
public struct EthernetAddresses: Sendable, Equatable {
    /// The destination, and the first two octets of the source, in the machine's order.
    @usableFromInline let first: UInt64
    /// The last four octets of the source, in the machine's order.
    @usableFromInline let rest: UInt32

    /// Two zero addresses.
    @inlinable @inline(__always)
    public init() { (first, rest) = (0, 0) }

    /// - Parameter frame: An Ethernet header, which must be there (not checked).
    @inlinable @inline(__always)
    public init(of frame: UnsafeRawPointer) {
        first = frame.raw(EthernetHeader.destinationAddress.offset)
        rest = frame.raw(EthernetHeader.destinationAddress.offset &+ 8)
    }

    /// The destination.
    public var destination: MACAddress { MACAddress(bits: first.bigEndian >> 16) }
    /// The source.
    public var source: MACAddress { MACAddress(bits: first.bigEndian << 32 | UInt64(rest.bigEndian)) }
}
