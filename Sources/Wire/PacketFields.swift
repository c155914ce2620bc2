/// Where in a fragmented datagram a packet stands.
public enum FragmentPosition: UInt8, Sendable {
    /// A whole datagram.
    case whole
    /// The first fragment (offset 0, more to come).
    case first
    /// Any other fragment.
    case later
}

/// What an ICMP or ICMPv6 message is to the one who forwards it.
public enum ICMPMessage: UInt8, Sendable {
    /// The packet is not ICMP.
    case none
    /// ICMP type 8, ICMPv6 type 128.
    case echoRequest
    /// ICMP type 0, ICMPv6 type 129.
    case echoReply
    /// ICMP types 3, 4, 5, 11, 12; ICMPv6 types 0…127: it quotes the packet that it speaks of.
    case error
    /// ICMPv6 types 133…137 (RFC 4861).
    case neighbourDiscovery
    /// Every other type.
    case other
}

/// The addresses, protocol and ports of one packet: the whole one, or the one that an ICMP error quotes.
public struct FlowFields: Sendable, Equatable {
    /// The packet's source.
    public var source: IPAddress
    /// The packet's destination.
    public var destination: IPAddress
    /// The upper-layer protocol: IPv4's protocol, or the last next header of the IPv6 chain.
    public var protocolNumber: UInt8
    /// True where both ports were read: TCP, UDP, SCTP, DCCP or UDP-Lite, and not a fragment.
    public var hasPorts: Bool
    /// Host integer; 0 where `hasPorts` is false.
    public var sourcePort: UInt16
    /// Host integer; 0 where `hasPorts` is false.
    public var destinationPort: UInt16

    /// Every field empty.
    public init() {
        source = IPAddress(ipv4: 0)
        destination = IPAddress(ipv4: 0)
        protocolNumber = 0
        hasPorts = false
        sourcePort = 0
        destinationPort = 0
    }

    /// The same flow seen from its other end.
    @inlinable
    public var reversed: FlowFields {
        var flow = self
        swap(&flow.source, &flow.destination)
        swap(&flow.sourcePort, &flow.destinationPort)
        return flow
    }
}
