/// Where in a fragmented datagram a packet stands.
public enum FragmentPosition: UInt8, Sendable {
    /// A whole datagram.
    case whole
    /// The first fragment (offset 0, more to come).
    case first
    /// Any other fragment.
    case later
}

/// The meaning of an ICMP or ICMPv6 message for forwarding.
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
public struct FlowFields: Sendable, Hashable {
    /// The packet's source.
    public var source: IPAddress
    /// The packet's destination.
    public var destination: IPAddress
    /// The upper-layer protocol: IPv4's protocol, or the last next header of the IPv6 chain.
    public var protocolNumber: UInt8
    /// True if both ports were read: TCP, UDP, SCTP, DCCP or UDP-Lite, and not a fragment.
    public var hasPorts: Bool
    /// Host integer; 0 if `hasPorts` is false.
    public var sourcePort: UInt16
    /// Host integer; 0 if `hasPorts` is false.
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

    /// In few words.
    public func hash(into hasher: inout Hasher) {
        let numbers = UInt64(protocolNumber) << 40 | UInt64(hasPorts ? 1 : 0) << 32 | UInt64(sourcePort) << 16
        if source.family == .ipv4, destination.family == .ipv4 {
            hasher.combine(source.low << 32 | destination.low)
        } else {
            hasher.combine(source)
            hasher.combine(destination)
        }
        hasher.combine(numbers | UInt64(destinationPort))
    }

    /// True for group messages that a host's kernel sends by itself:
    ///
    /// - IGMP (RFC 3376),
    /// - ICMPv6 to all routers (ff02::2, router solicitations of RFC 4861),
    /// - ICMPv6 to all MLDv2 routers (ff02::16, reports of RFC 3810).
    public var isHousekeeping: Bool {
        if destination.family == .ipv4 { return protocolNumber == IPProtocol.igmp && destination.isMulticast }
        return protocolNumber == IPProtocol.icmpv6 && destination.high == 0xFF02 << 48
            && (destination.low == 2 || destination.low == 0x16)
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

/// Everything that forwarding asks of one frame, read in one pass without allocation.
///
/// `parse` fills it in; a value can be used again for the next frame. All offsets count octets from the beginning
/// of the Ethernet header.
public struct PacketFields: Sendable {
    /// The most that `headerLength` can be, in octets.
    public static let maximumHeaderLength = 512

    /// The Ethernet destination.
    public var destinationMAC = MACAddress(bits: 0)
    /// The Ethernet source.
    public var sourceMAC = MACAddress(bits: 0)
    /// The EtherType, a host integer.
    public var etherType: UInt16 = 0

    /// IPv4 or IPv6; the fields from here on hold after the verdict `packet`.
    public var family = AddressFamily.ipv4
    /// Addresses, protocol and ports of the packet. For an IPv6 fragment the protocol is the one that the fragment
    /// header names. So all fragments of a datagram are looked up alike.
    public var flow = FlowFields()
    /// The protocol that Linux' packet filters see (`meta l4proto` of nftables): that of the first header behind the IPv4 header,
    /// or behind those of IPv6's extension headers that they step over. These are hop-by-hop options, routing, fragment and
    /// destination options. Behind authentication, mobility, Host Identity and Shim6 headers they do not look. nil for a later
    /// fragment whose fragment header names an extension header: nobody can tell what follows that.
    public var filterProtocol: UInt8?
    /// Where in a fragmented datagram the packet stands.
    public var fragment = FragmentPosition.whole
    /// The identification that all fragments of a datagram share, if this is a fragment; else not set.
    public var identification: UInt32 = 0
    /// IPv4's DF flag; true for IPv6, which routers never fragment.
    public var dontFragment = false
    /// TTL or hop limit, as received.
    public var hopLimit: UInt8 = 0
    /// Where the network header begins: 14 right behind an Ethernet header.
    public var networkOffset = EthernetView.length
    /// Where the upper-layer header begins; for a later fragment, where its data begins.
    public var transportOffset = 0
    /// The protocol of the header at `transportOffset`; unlike `flow.protocolNumber` behind all extension headers.
    public var transportProtocol: UInt8 = 0
    /// The offset after the packet's last octet. The rest of the frame is Ethernet padding.
    public var end = 0
    /// The number of leading octets that a rewrite may read or write: through the transport header's fixed part, and
    /// for ICMP errors through the quoted one's; no more than `maximumHeaderLength`, and never beyond `end`.
    public var headerLength = 0

    /// The headers that forbid rewriting an address. Headers that every rewrite updates do not count.
    public var bindings: AddressBindings = []

    var hasFirstPorts = false
    var firstSourcePort: UInt16 = 0
    var firstDestinationPort: UInt16 = 0

    /// The kind of ICMP message; `none` for other protocols and later fragments.
    public var message = ICMPMessage.none
    /// The ICMP type, where `message` is not `none`.
    public var icmpType: UInt8 = 0
    /// The ICMP code, where `message` is not `none`.
    public var icmpCode: UInt8 = 0

    /// True if `message` is `error` and the quoted packet was read: always, except in a first fragment, whose later
    /// fragments could not be looked up by the quote.
    public var hasQuoted = false
    /// The flow of the quoted packet; holds where `hasQuoted` is true. It has no ports where the quote stops short of
    /// them.
    public var quoted = FlowFields()
    /// Where in a fragmented datagram the quoted packet stands.
    public var quotedFragment = FragmentPosition.whole
    /// The headers that forbid rewriting an address of the quoted packet.
    public var quotedBindings: AddressBindings = []
    /// Where the quoted network header begins.
    public var quotedNetworkOffset = 0
    /// Where the quoted upper-layer header begins, which may be `quotedEnd`.
    public var quotedTransportOffset = 0
    /// The protocol of the header at `quotedTransportOffset`.
    public var quotedTransportProtocol: UInt8 = 0
    /// The offset after the last octet of the quoted packet that is there. Extensions (RFC 4884) may follow.
    public var quotedEnd = 0

    /// Every field empty.
    public init() {}

    /// The flow that tables are asked for: an ICMP error belongs to the flow that it answers, which is the quoted one
    /// seen from its other end.
    @inlinable
    public var lookupFlow: FlowFields {
        hasQuoted ? quoted.reversed : flow
    }

    /// The ports of a first fragment, if its protocol has ports and is the one that all its fragments name.
    public var firstPorts: (source: UInt16, destination: UInt16)? {
        fragment == .first && hasFirstPorts && transportProtocol == flow.protocolNumber
            ? (firstSourcePort, firstDestinationPort) : nil
    }

    /// The ports of a packet that has them: of a whole one, or of a first fragment, even behind headers that later fragments do
    /// not have.
    public var readPorts: (source: UInt16, destination: UInt16)? {
        if flow.hasPorts { return (flow.sourcePort, flow.destinationPort) }
        return fragment == .first && hasFirstPorts ? (firstSourcePort, firstDestinationPort) : nil
    }

    /// The octets of the network packet, header included.
    @inlinable
    public var packetLength: Int { end &- networkOffset }
}
