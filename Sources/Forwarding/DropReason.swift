import Wire

/// Why a frame, or one copy of it, was dropped. Each reason has one counter in every worker's block, at its raw value.
public enum DropReason: UInt8, CaseIterable, Sendable, Hashable {
    // The frame makes no sense.
    case badOffloadHeader
    case truncatedFrame
    case truncatedNetworkHeader
    case badNetworkHeader
    case lyingLength
    case badHeaderChecksum
    case headerChainTooLong
    case badFragment
    case truncatedUpperHeader
    case badSourceAddress
    case badDestinationAddress
    case badQuote
    case unsupportedEthertype
    case looped

    // The headers of an encapsulation make no sense (`EncapsulationFault`), or are of no circuit.
    case truncatedTag
    case reservedVLAN
    case tooManyTags
    case truncatedLabelStack
    case labelStackTooDeep
    case reservedLabel
    case labelExpired
    case notAPacket
    case truncatedControlWord
    case badControlWord
    case truncatedPseudoWire
    case truncatedFrameRelay
    case badFrameRelayAddress
    case badFrameRelayProtocol
    case badFrameRelayStatus
    case badInverseARP
    case truncatedLLC
    case badLLC
    case unknownCircuit

    // The headers of a tunnel make no sense (`TunnelFault`), are of no tunnel, or say that the frame may not leave it.
    case truncatedTunnel
    case badTunnelHeader
    case badTunnelChecksum
    case tunnelFragment
    case servicePathEnded
    case unknownTunnel
    case wrongServicePath
    case wrongTunnelPeer
    case nestedTunnel
    case tunnelCongestion

    // The frame makes sense, but the engine must not forward it.
    case notForUs
    case passiveEmission
    case toTheEngine
    case badNeighbourMessage
    case neighbourConflict
    case neighbourNotOurs
    case spoofedSource
    case badGroupMessage
    case groupNotOpen

    // No entry of the table says where it goes.
    case noService
    case portNotServed
    case noSequencingEntry
    case removedNode
    case multicastNotServed

    // The table says where it goes, but it cannot get there.
    case applicationDown
    case noMember
    case accessDenied
    case fragmentUndecided
    case neighbourUnresolved
    case neighbourQueueFull
    case neighbourTableFull
    case tooBig
    case copyTooBig
    case rewriteImpossible
    case fragmentOfTranslatedPort
    case tapFull
    case sendFailed
    case interfaceGone
    case notCarried

    // The file, or a command, asks for an impaired link.
    case impairedLoss
    case impairedQueue

    // Frames that the engine itself would have sent.
    case errorRateLimited
    case errorForbidden
    case answerRateLimited

    // Frames that every kernel sends by itself when a device comes up. They are counted apart, because nothing is lost.
    case housekeeping

    /// The number of reasons: the counters that a worker's block has for them.
    @inlinable
    public static var count: Int { Int(DropReason.housekeeping.rawValue) + 1 }

    /// The stable name of the reason, for listings, checks and metrics.
    public var name: String { declaration.name }

    /// What happened, as one sentence for a person.
    public var sentence: String { declaration.sentence }

    /// True if an entry took the packet before it, or a copy of it, was dropped. All other frames are dropped before an
    /// entry is found.
    public var followsEntry: Bool {
        switch self {
        case .applicationDown, .noMember, .accessDenied, .neighbourUnresolved, .neighbourQueueFull, .neighbourTableFull,
            .tooBig,
            .copyTooBig,
            .rewriteImpossible, .fragmentOfTranslatedPort, .tapFull, .sendFailed, .interfaceGone, .notCarried,
            .impairedLoss, .impairedQueue:
            true
        case .badOffloadHeader, .truncatedFrame, .truncatedNetworkHeader, .badNetworkHeader, .lyingLength,
            .badHeaderChecksum, .headerChainTooLong, .badFragment, .truncatedUpperHeader, .badSourceAddress,
            .badDestinationAddress, .badQuote, .unsupportedEthertype, .looped, .truncatedTag, .reservedVLAN,
            .tooManyTags, .truncatedLabelStack, .labelStackTooDeep, .reservedLabel, .labelExpired, .notAPacket,
            .truncatedControlWord, .badControlWord, .truncatedPseudoWire, .truncatedFrameRelay, .badFrameRelayAddress,
            .badFrameRelayProtocol, .badFrameRelayStatus, .badInverseARP, .truncatedLLC, .badLLC, .unknownCircuit,
            .truncatedTunnel, .badTunnelHeader, .badTunnelChecksum, .tunnelFragment, .servicePathEnded,
            .unknownTunnel, .wrongServicePath, .wrongTunnelPeer, .nestedTunnel, .tunnelCongestion,
            .notForUs, .passiveEmission,
            .toTheEngine, .badNeighbourMessage, .neighbourConflict, .neighbourNotOurs, .spoofedSource,
            .badGroupMessage, .groupNotOpen, .noService, .portNotServed, .noSequencingEntry, .removedNode,
            .multicastNotServed, .fragmentUndecided,
            .errorRateLimited, .errorForbidden, .answerRateLimited, .housekeeping:
            false
        }
    }

    private var declaration: (name: String, sentence: String) {
        switch self {
        case .badOffloadHeader:
            ("bad-offload-header", "The device's offload header does not fit the frame behind it.")
        case .truncatedFrame:
            ("truncated-frame", "The frame is too short for its Ethernet header, or too long for a buffer.")
        case .truncatedNetworkHeader:
            ("truncated-network-header", "The frame ends inside its IP, ARP or extension header.")
        case .badNetworkHeader:
            (
                "bad-network-header",
                "The IP header is invalid: its version, length, options or order, a source route (IPv4, or IPv6's type 0), or a hop limit of zero."
            )
        case .lyingLength:
            ("lying-length", "The packet's length field exceeds its frame.")
        case .badHeaderChecksum:
            ("bad-header-checksum", "The IPv4 header checksum is wrong.")
        case .headerChainTooLong:
            (
                "header-chain-too-long",
                "The packet has more than 8 extension or authentication headers, or more than 256 octets of them."
            )
        case .badFragment:
            ("bad-fragment", "The fragment ends beyond 65,535 octets, or is empty, or its length is no multiple of 8.")
        case .truncatedUpperHeader:
            ("truncated-upper-header", "The packet ends inside its TCP, UDP or ICMP header.")
        case .badSourceAddress:
            ("bad-source-address", "No host can have the Ethernet or IP source: a group, zero or loopback address.")
        case .badDestinationAddress:
            (
                "bad-destination-address",
                "No packet between hosts has this IP destination: it is a loopback address or zero."
            )
        case .badQuote:
            ("bad-quote", "The ICMP error quotes too little of a packet to identify its flow.")
        case .unsupportedEthertype:
            ("unsupported-ethertype", "The frame carries neither ARP nor IPv4 nor IPv6.")
        case .looped:
            ("looped", "The frame carries the engine's own MAC address as its source: it came back unchanged.")
        case .truncatedTag: ("truncated-tag", "The frame ends inside a VLAN tag.")
        case .reservedVLAN: ("reserved-vlan", "The VLAN of the tag is 0 or 4095, which no circuit has.")
        case .tooManyTags: ("too-many-tags", "The frame has more than two VLAN tags.")
        case .truncatedLabelStack:
            (
                "truncated-label-stack",
                "The frame ends before the label with the bottom-of-stack bit."
            )
        case .labelStackTooDeep:
            (
                "label-stack-too-deep",
                "The label stack has more than 8 entries, or more than 3 labels besides null and entropy labels."
            )
        case .reservedLabel: ("reserved-label", "A special-purpose label is where it may not be.")
        case .labelExpired: ("label-expired", "The TTL of the top label is used up.")
        case .notAPacket:
            (
                "not-a-packet",
                "The circuit's frame carries neither IPv4 nor IPv6, or not the one that explicit null says."
            )
        case .truncatedControlWord:
            (
                "truncated-control-word",
                "The frame ends inside the control word of its pseudo-wire."
            )
        case .badControlWord:
            (
                "bad-control-word",
                "The control word of the pseudo-wire is not that of a whole frame, or states a length that the frame does not have."
            )
        case .truncatedPseudoWire:
            (
                "truncated-pseudo-wire",
                "The frame inside the pseudo-wire is shorter than its header."
            )
        case .truncatedFrameRelay: ("truncated-frame-relay", "The frame ends inside its frame relay header.")
        case .badFrameRelayAddress: ("bad-frame-relay-address", "The frame relay address does not have two octets.")
        case .badFrameRelayProtocol: ("bad-frame-relay-protocol", "The frame relay header names neither IPv4 nor IPv6.")
        case .badFrameRelayStatus:
            ("bad-frame-relay-status", "The frame on a DLCI of status messages is no enquiry that can be answered.")
        case .badInverseARP:
            ("bad-inverse-arp", "The inverse ARP message is no request, or one of nobody.")
        case .truncatedLLC: ("truncated-llc", "The frame ends inside its ATM or LLC header.")
        case .badLLC: ("bad-llc", "The LLC header names neither IPv4 nor IPv6.")
        case .unknownCircuit:
            (
                "unknown-circuit",
                "No circuit of the interface has the frame's VLANs, labels, DLCI or virtual channel."
            )
        case .truncatedTunnel:
            (
                "truncated-tunnel",
                "The frame ends inside the UDP, VXLAN, Geneve or NSH header of its tunnel, or inside the inner Ethernet header."
            )
        case .badTunnelHeader:
            (
                "bad-tunnel-header",
                "A header of the tunnel has a version, flag, length or protocol that the engine does not take, or an unknown "
                    + "critical option."
            )
        case .badTunnelChecksum:
            ("bad-tunnel-checksum", "The checksum of the tunnel's IP or UDP header is wrong.")
        case .tunnelFragment:
            ("tunnel-fragment", "A tunnel's packet came in fragments, which the engine does not put together.")
        case .servicePathEnded:
            ("service-path-ended", "The service index of the network service header is 0.")
        case .unknownTunnel:
            (
                "unknown-tunnel", "No tunnel of the interface has the frame's network identifier, or service path."
            )
        case .wrongServicePath:
            (
                "wrong-service-path",
                "The service path or index of the network service header is not the one behind the application."
            )
        case .wrongTunnelPeer:
            ("wrong-tunnel-peer", "The packet has a tunnel's network identifier, but does not come from its far end.")
        case .nestedTunnel:
            ("nested-tunnel", "The frame inside the tunnel is for another tunnel of the same interface.")
        case .tunnelCongestion:
            (
                "tunnel-congestion",
                "The tunnel met congestion, and the inner packet's sender does not understand the mark (RFC 6040)."
            )
        case .notForUs:
            ("not-for-us", "The frame's Ethernet destination is not the engine's.")
        case .passiveEmission:
            ("passive-emission", "A passive application sent something, and the file does not allow it to.")
        case .toTheEngine:
            (
                "to-the-engine",
                "The packet is for one of the engine's own addresses, which only answer echo."
            )
        case .badNeighbourMessage:
            ("bad-neighbour-message", "The ARP or neighbour discovery message breaks the rules of its protocol.")
        case .neighbourConflict:
            (
                "neighbour-conflict",
                "An ARP or neighbour discovery message claims the address of the engine, a service or a named node."
            )
        case .neighbourNotOurs:
            ("neighbour-not-ours", "An ARP or neighbour discovery message is about another host.")
        case .spoofedSource:
            (
                "spoofed-source",
                "The sender may not use this source: no node of the interface has the MAC address, or the address is "
                    + "neither the customer's own nor in its `prefixes`. `anti-spoofing: off` at the customer or at the "
                    + "interface lets it pass."
            )
        case .badGroupMessage:
            (
                "bad-group-message",
                "A report of groups (IGMP, MLD) breaks the rules of its protocol, or its records do not fit the packet."
            )
        case .groupNotOpen:
            ("group-not-open", "A node reports that it is in a group that the file does not let it join.")
        case .noService:
            ("no-service", "No service on the received interface has the packet's destination.")
        case .portNotServed:
            ("port-not-served", "The destination is a service address, but the service does not have the port.")
        case .noSequencingEntry:
            ("no-sequencing-entry", "An application or router sent a packet that no sequencing entry matches.")
        case .removedNode:
            (
                "removed-node",
                "A removed node sent it after the time for its removal was over."
            )
        case .multicastNotServed:
            ("multicast-not-served", "The destination is a multicast or broadcast address that no entry matches.")
        case .applicationDown:
            (
                "application-down",
                "The next application has too few instances left, and the file says to drop."
            )
        case .noMember:
            ("no-member", "No node has joined the group that the packet is for, and the service has `members: joined`.")
        case .accessDenied:
            (
                "access-denied",
                "A rule of a tenant's access list, or its default, denies the packet at the next application. `tapline "
                    + "tables` counts the packets of each rule."
            )
        case .fragmentUndecided:
            (
                "fragment-undecided",
                "The ports decide where packets to this address go. Only the first fragment has them, and it did not "
                    + "come."
            )
        case .neighbourUnresolved:
            ("neighbour-unresolved", "The next hop did not answer ARP or neighbour discovery.")
        case .neighbourQueueFull:
            ("neighbour-queue-full", "Too many packets of the sender already wait for next hops to be resolved.")
        case .neighbourTableFull:
            ("neighbour-table-full", "The table of learnt neighbours has no room for another.")
        case .tooBig:
            ("too-big", "The packet is larger than the send interface's MTU and may not be fragmented.")
        case .copyTooBig:
            ("copy-too-big", "The copy for a passive application is larger than the send interface's MTU.")
        case .rewriteImpossible:
            (
                "rewrite-impossible",
                "The packet's address cannot be rewritten: an authentication, routing or home address header binds it "
                    + "to its present address, or its headers do not say what to change."
            )
        case .fragmentOfTranslatedPort:
            (
                "fragment-of-translated-port",
                "The service port is translated at the next application. Fragments behind the first have no ports, so no "
                    + "fragment goes there."
            )
        case .tapFull:
            ("tap-full", "The send interface's queue was full.")
        case .sendFailed:
            ("send-failed", "The kernel refused the frame.")
        case .interfaceGone:
            ("interface-gone", "The send interface is down or gone.")
        case .notCarried:
            ("not-carried", "The circuit's encapsulation carries IP packets alone, and this is another frame.")
        case .impairedLoss:
            ("impaired-loss", "An impairment of its interface, leg or service lost the packet.")
        case .impairedQueue:
            (
                "impaired-queue",
                "Too many packets waited already for the rate of an impairment, or in the memory for delayed packets."
            )
        case .errorRateLimited:
            ("error-rate-limited", "An ICMP error was not sent, because its receiver got too many just before.")
        case .errorForbidden:
            ("error-forbidden", "An ICMP error was not sent, because the standard forbids an error about this packet.")
        case .answerRateLimited:
            (
                "answer-rate-limited",
                "The engine did not send an echo answer or a neighbour message, because its receiver had caused too "
                    + "many just before."
            )
        case .housekeeping:
            (
                "housekeeping",
                "A node's kernel asked for routers, announced its groups, or checked whether an address is free, as every "
                    + "kernel does by itself: nothing is lost."
            )
        }
    }
}
