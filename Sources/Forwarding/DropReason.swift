/// Why a frame, or one copy of it, went nowhere. Each reason has one counter in every worker's block, at its raw value.
public enum DropReason: UInt8, CaseIterable, Sendable, Hashable {
    // What came in makes no sense.
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

    // It makes sense, and is not for the engine to forward.
    case notForUs
    case passiveEmission
    case toTheEngine
    case badNeighbourMessage
    case neighbourConflict
    case neighbourNotOurs
    case spoofedSource

    // Nothing in the table says where it goes.
    case noService
    case portNotServed
    case noSequencingEntry
    case removedNode
    case multicastNotServed

    // The table says where it goes, and it does not get there.
    case applicationDown
    case fragmentUndecided
    case neighbourUnresolved
    case neighbourQueueFull
    case neighbourTableFull
    case tooBig
    case copyTooBig
    case rewriteImpossible
    case tapFull
    case sendFailed
    case interfaceGone

    // What the engine itself would have sent.
    case errorRateLimited
    case errorForbidden
    case answerRateLimited

    // What every kernel says by itself when a device comes up, counted apart: nothing is lost with it.
    case housekeeping

    /// The number of reasons: the counters that a worker's block has for them.
    @inlinable
    public static var count: Int { Int(DropReason.housekeeping.rawValue) + 1 }

    /// The stable name that listings, checks and metrics know the reason by.
    public var name: String { declaration.name }

    /// What happened, for a person.
    public var sentence: String { declaration.sentence }

    private var declaration: (name: String, sentence: String) {
        switch self {
        case .badOffloadHeader:
            ("bad-offload-header", "The device's offload header does not fit the frame behind it.")
        case .truncatedFrame:
            ("truncated-frame", "The frame is too short for its Ethernet header, or too long for a buffer.")
        case .truncatedNetworkHeader:
            ("truncated-network-header", "The frame ends inside of its IP, ARP or extension header.")
        case .badNetworkHeader:
            (
                "bad-network-header",
                "The IP header is impossible: its version, length, options or order, a source route (IPv4, or IPv6's type 0), or a hop limit of zero."
            )
        case .lyingLength:
            ("lying-length", "The packet says that it is longer than its frame.")
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
            ("truncated-upper-header", "The packet ends inside of its TCP, UDP or ICMP header.")
        case .badSourceAddress:
            ("bad-source-address", "The Ethernet or IP source is one that nobody can have: a group, zero or loopback.")
        case .badDestinationAddress:
            (
                "bad-destination-address",
                "The IP destination is one that no packet between hosts has: loopback, or none at all."
            )
        case .badQuote:
            ("bad-quote", "The ICMP error quotes too little of a packet to tell which flow it speaks of.")
        case .unsupportedEthertype:
            ("unsupported-ethertype", "The frame carries neither ARP nor IPv4 nor IPv6.")
        case .looped:
            ("looped", "The frame carries the engine's own MAC address as its source: it came back unchanged.")
        case .notForUs:
            ("not-for-us", "The frame's Ethernet destination is not the engine's.")
        case .passiveEmission:
            ("passive-emission", "A passive application sent something, and the file does not allow it to.")
        case .toTheEngine:
            (
                "to-the-engine",
                "The packet is for one of the engine's own addresses, which answer echo and nothing else."
            )
        case .badNeighbourMessage:
            ("bad-neighbour-message", "The ARP or neighbour discovery message breaks the rules of its protocol.")
        case .neighbourConflict:
            (
                "neighbour-conflict",
                "An ARP or neighbour discovery message claims the address of the engine, a service or a named node."
            )
        case .neighbourNotOurs:
            ("neighbour-not-ours", "An ARP or neighbour discovery message asks for, or tells of, somebody else.")
        case .spoofedSource:
            (
                "spoofed-source",
                "The sender's place cannot have the source: the MAC address is no node's of the interface, or the address is "
                    + "neither the customer's own nor in its `prefixes`. `anti-spoofing: off` at the customer or at the "
                    + "interface lets it pass."
            )
        case .noService:
            ("no-service", "Nobody serves the packet's destination for the interface that it came in on.")
        case .portNotServed:
            ("port-not-served", "The destination is a service address, and the service has no such port.")
        case .noSequencingEntry:
            ("no-sequencing-entry", "An application or router sent a packet that no sequencing entry takes further.")
        case .removedNode:
            (
                "removed-node",
                "A node that has been taken out of the topology sent it, after the time that its removal was given."
            )
        case .multicastNotServed:
            ("multicast-not-served", "The destination is a multicast or broadcast address that no entry serves.")
        case .applicationDown:
            (
                "application-down",
                "Too few instances of the application that is next are left, and the file says to drop."
            )
        case .fragmentUndecided:
            (
                "fragment-undecided",
                "By their ports, packets to this address go to different applications, and the first fragment, which has "
                    + "them, did not come."
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
            ("copy-too-big", "A copy for a passive application is larger than the send interface's MTU.")
        case .rewriteImpossible:
            (
                "rewrite-impossible",
                "The packet cannot carry a rewritten address: an authentication, routing or home address header binds it "
                    + "to the one that it has, or its headers do not say what to change."
            )
        case .tapFull:
            ("tap-full", "The send interface's queue was full.")
        case .sendFailed:
            ("send-failed", "The kernel refused the frame.")
        case .interfaceGone:
            ("interface-gone", "The send interface is down or gone.")
        case .errorRateLimited:
            ("error-rate-limited", "An ICMP error was due and not sent, because its receiver got too many just before.")
        case .errorForbidden:
            ("error-forbidden", "An ICMP error was due and not sent, because of what it would have answered.")
        case .answerRateLimited:
            (
                "answer-rate-limited",
                "An echo or neighbour message of the engine's own was not sent: the sender that it was for had caused too "
                    + "many just before."
            )
        case .housekeeping:
            (
                "housekeeping",
                "A node's kernel asked for routers, told of its groups, or looked whether an address is free, as every "
                    + "kernel does by itself: nothing is lost."
            )
        }
    }
}
