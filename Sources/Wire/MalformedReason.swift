/// Why a frame cannot be read, and so is neither forwarded nor answered.
public enum MalformedReason: UInt8, Error, Sendable, Hashable, CaseIterable {
    case truncatedEthernet
    /// The Ethernet source is a group address or zero.
    case badSourceMAC
    case truncatedARP
    /// Not IPv4 over Ethernet, neither request nor reply, or an invalid sender.
    case badARP
    case truncatedIPv4
    case badIPv4Version
    case badIPv4HeaderLength
    /// Less than the header, or more than the frame.
    case badIPv4TotalLength
    case badIPv4HeaderChecksum
    case badIPv4Options
    case truncatedIPv6
    case badIPv6Version
    /// More than the frame.
    case badIPv6PayloadLength
    case truncatedExtensionHeader
    /// A hop-by-hop header that is not the first, or two fragment headers.
    case misplacedExtensionHeader
    /// More than eight extension headers or authentication headers, more than 256 octets of them, or headers beyond
    /// `PacketFields.maximumHeaderLength`.
    case headerChainTooLong
    /// A forbidden source route that is not used up: IPv4's options (RFC 7126), IPv6's routing header of type 0 (RFC
    /// 5095). Routing headers of other types are passed.
    case sourceRouted
    /// A fragment with one of these faults:
    ///
    /// - It would end beyond 65,535 octets.
    /// - Its length is not a multiple of eight octets although more fragments follow.
    /// - It would overwrite the TCP header of the first (RFC 1858).
    case badFragment
    case truncatedTransport
    /// Less than the least header, or more than the packet.
    case badTCPOffset
    /// Less than the header, or more than the packet.
    case badUDPLength
    case truncatedICMP
    /// An ICMP error that does not quote a packet (RFC 792, RFC 4443).
    case badQuotedPacket
    /// A hop limit of zero, which may not be sent.
    case hopLimitZero
    /// A multicast or broadcast source address.
    case sourceIsMulticast
    /// A loopback source outside of a host.
    case loopbackAddress
    /// A loopback or unspecified destination outside of a host.
    case badDestination
    /// Neighbour discovery that RFC 4861 says to discard.
    case badNeighbourMessage
    /// A report of groups that IGMP's or MLD's standards say to discard, or whose records do not fit the packet.
    case badGroupMessage
}

extension MalformedReason: CustomStringConvertible {
    /// One clause for a person, without a full stop.
    public var description: String {
        switch self {
        case .truncatedEthernet: "the frame is shorter than an Ethernet header"
        case .badSourceMAC: "the Ethernet source is a group address or zero"
        case .truncatedARP: "the ARP packet is cut short"
        case .badARP: "the ARP packet is not a request or a reply of a possible IPv4 sender"
        case .truncatedIPv4: "the IPv4 header is cut short"
        case .badIPv4Version: "the version in the IPv4 header is not 4"
        case .badIPv4HeaderLength: "the IPv4 header length is below 20 octets or beyond the packet"
        case .badIPv4TotalLength: "the IPv4 total length does not fit the frame"
        case .badIPv4HeaderChecksum: "the IPv4 header checksum is wrong"
        case .badIPv4Options: "the IPv4 options cannot be read"
        case .truncatedIPv6: "the IPv6 header is cut short"
        case .badIPv6Version: "the version in the IPv6 header is not 6"
        case .badIPv6PayloadLength: "the IPv6 payload length is more than the frame holds"
        case .truncatedExtensionHeader: "an extension or authentication header is cut short"
        case .misplacedExtensionHeader: "an IPv6 extension header is where it may not be"
        case .headerChainTooLong: "there are more than 8 headers, or more than 256 octets of them"
        case .sourceRouted: "the packet is source-routed"
        case .badFragment: "the fragment's offset or length is impossible"
        case .truncatedTransport: "the transport header is cut short"
        case .badTCPOffset: "the TCP data offset does not fit the packet"
        case .badUDPLength: "the UDP length does not fit the packet"
        case .truncatedICMP: "the ICMP header is cut short"
        case .badQuotedPacket: "the ICMP error does not quote a packet"
        case .hopLimitZero: "the hop limit is zero"
        case .sourceIsMulticast: "the source is a multicast or broadcast address"
        case .loopbackAddress: "a loopback source is outside of a host"
        case .badDestination: "the destination is a loopback or unspecified address"
        case .badNeighbourMessage: "the neighbour discovery message is not valid"
        case .badGroupMessage: "the report of groups is not valid"
        }
    }
}

/// The result of parsing a frame.
public enum ParseVerdict: Sendable, Equatable {
    /// An IPv4 or IPv6 packet, whose fields are filled in.
    case packet
    /// ARP; only the Ethernet fields are filled in. `ARPFields` reads the rest.
    case arp
    /// Another EtherType, VLAN tags among them; only the Ethernet fields are filled in.
    case unsupported
    /// Not to be forwarded; what is filled in beyond the Ethernet fields may be nothing.
    case malformed(MalformedReason)
}
