/// What the beginning of a frame says that it is, to whoever handles frames many at a time.
///
/// The plain kinds are whole TCP segments and UDP datagrams straight behind an IPv4 header without options or an IPv6
/// header without extension headers. That their fixed headers are there is known; of what they say, nothing has been
/// checked.
public enum FrameKind: UInt8, Sendable {
    /// Anything else.
    case other
    case udp4
    case tcp4
    case udp6
    case tcp6

    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    @inlinable @inline(__always)
    public init(_ start: UnsafeRawPointer, _ length: Int) {
        self = .other
        let frame = start + VirtioNetHeader.length
        let available = length &- VirtioNetHeader.length
        guard available >= Self.leastLength else { return }
        let type = frame.big16(EthernetView.typeOffset)
        let first = frame.octet(EthernetView.length)
        if type == EtherType.ipv4, first == 0x45 {
            // Neither "more fragments" nor an offset.
            guard frame.big16(20) & (IPv4View.moreFragmentsBit | IPv4View.fragmentOffsetMask) == 0 else { return }
            let number = frame.octet(23)
            if number == IPProtocol.udp {
                self = .udp4
            } else if number == IPProtocol.tcp, available >= 54 {
                self = .tcp4
            }
        } else if type == EtherType.ipv6, first >> 4 == 6 {
            let number = frame.octet(20)
            if number == IPProtocol.udp, available >= 62 {
                self = .udp6
            } else if number == IPProtocol.tcp, available >= 74 {
                self = .tcp6
            }
        }
    }

    /// Ethernet, IPv4 and UDP: the shortest of the plain kinds.
    @usableFromInline static let leastLength = 42

    /// The family of a plain kind's addresses.
    @inlinable @inline(__always)
    public var family: AddressFamily { rawValue >= FrameKind.udp6.rawValue ? .ipv6 : .ipv4 }

    /// True for the two kinds of TCP.
    @inlinable @inline(__always)
    public var isTCP: Bool { self == .tcp4 || self == .tcp6 }

    /// The protocol number of a plain kind.
    @inlinable @inline(__always)
    public var protocolNumber: UInt8 { isTCP ? IPProtocol.tcp : IPProtocol.udp }

    /// Where a plain kind's TCP or UDP header begins, from the Ethernet header on.
    @inlinable @inline(__always)
    public var transportOffset: Int { family == .ipv6 ? 54 : 34 }

    /// Where a plain kind's transport checksum stands, from its TCP or UDP header on.
    @inlinable @inline(__always)
    public var checksumOffset: Int { isTCP ? TCPView.checksumOffset : UDPView.checksumOffset }

    /// The octets of a plain kind's headers that a rewrite of addresses may edit, from the Ethernet header on.
    @inlinable @inline(__always)
    public var headerLength: Int {
        transportOffset &+ (isTCP ? TCPView.minimumLength : UDPView.length)
    }
}
