/// The kind of a frame by its first octets, for code that handles frames in batches.
///
/// The fast path's kinds are whole TCP segments and UDP datagrams. They follow an IPv4 header without options or an
/// IPv6 header without extension headers. Their fixed headers are complete, but their values have not been checked. A
/// kind says nothing of the octets before the network header: all lengths count from there.
public enum FrameKind: UInt8, Sendable {
    /// Anything else.
    case other
    case udp4
    case tcp4
    case udp6
    case tcp6

    /// The kind of a frame whose packet begins right behind the Ethernet header.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    @inlinable @inline(__always)
    public init(_ start: UnsafeRawPointer, _ length: Int) {
        let available = length &- VirtioNetHeader.length &- EthernetHeader.length
        guard available >= Self.leastLength else {
            self = .other
            return
        }
        let frame = start + VirtioNetHeader.length
        self.init(
            packet: frame + EthernetHeader.length, available, etherType: frame.big(EthernetHeader.type))
    }

    /// The kind of a packet that begins anywhere in a frame.
    ///
    /// - Parameters:
    ///   - packet: The network header.
    ///   - available: The octets that are there; at least `leastLength` (not checked).
    ///   - etherType: The packet's EtherType, from the headers before it.
    @inlinable @inline(__always)
    public init(packet: UnsafeRawPointer, _ available: Int, etherType: UInt16) {
        self = .other
        if etherType == EtherType.ipv4, packet.big(IPv4Header.versionAndIHL) == IPv4Header.plainVersionAndIHL {
            // The flag "more fragments" and the offset must be zero.
            let place = packet.big(IPv4Header.flagsAndFragmentOffset)
            guard place & (IPv4View.moreFragmentsBit | IPv4View.fragmentOffsetMask) == 0 else { return }
            let number = packet.big(IPv4Header.protocol)
            if number == IPProtocol.udp {
                self = .udp4
            } else if number == IPProtocol.tcp, available >= IPv4Header.minimumLength &+ TCPHeader.minimumLength {
                self = .tcp4
            }
        } else if etherType == EtherType.ipv6, packet.big(IPv6Header.version) >> 4 == 6 {
            let number = packet.big(IPv6Header.nextHeader)
            if number == IPProtocol.udp, available >= IPv6Header.length &+ UDPHeader.length {
                self = .udp6
            } else if number == IPProtocol.tcp, available >= IPv6Header.length &+ TCPHeader.minimumLength {
                self = .tcp6
            }
        }
    }

    /// The octets of IPv4 and UDP headers: the shortest packet of the fast path's kinds.
    @inlinable public static var leastLength: Int { IPv4Header.minimumLength &+ UDPHeader.length }

    /// The family of a kind of the fast path's addresses.
    @inlinable @inline(__always)
    public var family: AddressFamily { rawValue >= FrameKind.udp6.rawValue ? .ipv6 : .ipv4 }

    /// True for the two kinds of TCP.
    @inlinable @inline(__always)
    public var isTCP: Bool { self == .tcp4 || self == .tcp6 }

    /// The protocol number of a kind of the fast path.
    @inlinable @inline(__always)
    public var protocolNumber: UInt8 { isTCP ? IPProtocol.tcp : IPProtocol.udp }

    /// The octets of a kind of the fast path's network header, behind which its TCP or UDP header begins.
    @inlinable @inline(__always)
    public var networkLength: Int { family == .ipv6 ? IPv6Header.length : IPv4Header.minimumLength }

    /// The offset of a fast-path packet's transport checksum from its TCP or UDP header, in octets.
    @inlinable @inline(__always)
    public var checksumOffset: Int { isTCP ? TCPHeader.checksum.offset : UDPHeader.checksum.offset }

    /// The octets of a fast-path packet's headers that a rewrite of addresses may edit, from the network header on.
    @inlinable @inline(__always)
    public var headerLength: Int {
        networkLength &+ (isTCP ? TCPHeader.minimumLength : UDPHeader.length)
    }
}
