import Wire

/// The service port that an entry matches: the destination port of a request, the source port of a response.
public struct ServicePort: Hashable, Sendable {
    /// The upper-layer protocol; nil matches every one.
    public let protocolNumber: UInt8?
    /// The ports (host integers). 0…65535 means any port, or a protocol without ports.
    public let ports: ClosedRange<UInt16>

    /// Every protocol, every port.
    public static let any = ServicePort(protocolNumber: nil, ports: 0...65535)

    /// Ports of one protocol. Without `ports`, all of them.
    public init(protocolNumber: UInt8?, ports: ClosedRange<UInt16> = 0...65535) {
        self.protocolNumber = protocolNumber
        self.ports = ports
    }
}

extension ServicePort {
    /// The ports that these become; nil if they stay as they are.
    public func shifted(by shift: PortShift) -> ServicePort? {
        guard !shift.isNone, let ports = shift.applied(to: ports) else { return nil }
        return ServicePort(protocolNumber: protocolNumber, ports: ports)
    }
}

/// What a send address leads to.
public enum DestinationSystemType: UInt8, Sendable, Hashable, CaseIterable {
    case passiveApplication
    case inlineApplication
    case terminalApplication
    case router
    case customer
    case packetingEngine
}

/// Where a copy of a packet goes.
public enum SendAddress: Hashable, Sendable {
    /// Steer: the frame goes to this MAC address, and the packet inside is not touched.
    case mac(MACAddress)
    /// Rewrite: the packet's destination becomes this address, and the frame goes to the neighbour that has it.
    case network(IPAddress)
    /// The frame goes to the neighbour that has the packet's own destination, or to `via` if it is given.
    case neighbour(via: IPAddress?)
}

/// One copy that an entry sends.
public struct SendTarget: Hashable, Sendable {
    /// The index of the send interface in the table's interfaces.
    public var interface: Int
    /// The send address.
    public var address: SendAddress
    /// The Ethernet source, if it is not the send interface's own MAC address. Behind a transparent application, it
    /// distinguishes the application's frames from those of another.
    public var sourceMAC: MACAddress?
    /// What the send address leads to. A copy to a passive application never causes an ICMP error.
    public var system: DestinationSystemType
    /// True: packets to a group go there only while the node reports that it is in the group (IGMP, MLD). The entry's
    /// destination is a group then, and the send address a MAC address.
    public var whileJoined: Bool
    /// What turns the packet's service port into the one that the copy has. Fragments get no such copy.
    public var portShift: PortShift

    /// Memberwise.
    public init(
        interface: Int, address: SendAddress, sourceMAC: MACAddress? = nil, system: DestinationSystemType,
        whileJoined: Bool = false, portShift: PortShift = .none
    ) {
        self.interface = interface
        self.address = address
        self.sourceMAC = sourceMAC
        self.system = system
        self.whileJoined = whileJoined
        self.portShift = portShift
    }
}

/// The direction of a packet in its chain.
public enum ChainDirection: UInt8, Sendable, Hashable {
    /// From the customer: the destination is the service's side.
    case request
    /// To the customer: the source is the service's side.
    case response
}

extension ChainDirection {
    /// The side of a packet that the service port is on.
    @inlinable public var portSide: PortSide { self == .request ? .destination : .source }
}

/// The two tables: sequencing entries are tried first.
public enum EntryKind: UInt8, Sendable, Hashable {
    /// For packets from a customer.
    case distribution
    /// For packets from an application or a router of the chain.
    case sequencing
}

/// One entry of the distribution or the sequencing table, as a person would write it.
public struct Entry: Hashable, Sendable {
    /// The name in listings, counters and checks, for example `shop.request.firewall`. Several entries may share a name
    /// (one for each family, address or port). Listings add their counters.
    public var name: String
    /// Which table it is in.
    public var kind: EntryKind
    /// Which side the service is on. This tells which port is the service port.
    public var direction: ChainDirection
    /// The index of the received interface in the table's interfaces.
    public var receivedInterface: Int
    /// The Ethernet source that the frame must come from; nil for any.
    public var sourceMAC: MACAddress?
    /// The prefix that the packet's source must lie in; nil for any.
    public var source: IPPrefix?
    /// The prefix that the packet's destination must lie in; nil for any.
    public var destination: IPPrefix?
    /// The service port.
    public var servicePort: ServicePort
    /// The network address that the packet's source is rewritten to, when it comes out of an application with a network
    /// send address.
    public var rewriteSource: IPAddress?
    /// What turns the service port of its packets into the one that customers send to: access lists judge by that one.
    public var outerShift = PortShift.none
    /// True for an entry by hand. The engine answers ARP and neighbour discovery for what the entry forwards, to the
    /// nodes whose packets it takes. For a service's entries, the service addresses are claimed instead.
    public var isByHand = false
    /// True for an entry of nodes that are each other's neighbours: its packets are the sender's own, and end at its
    /// targets. As for an entry by hand, the engine answers ARP and neighbour discovery for what it forwards.
    public var isBetween = false
    /// The hops, at least one. Each gets a copy.
    public var hops: [Hop]
    /// The index of its counters in every worker's counter block. It is unique in the table, and stays the same from
    /// table to table.
    public var counter: Int

    /// Memberwise, with one copy for each target.
    public init(
        name: String, kind: EntryKind, direction: ChainDirection, receivedInterface: Int,
        sourceMAC: MACAddress? = nil, source: IPPrefix? = nil, destination: IPPrefix? = nil,
        servicePort: ServicePort = .any, rewriteSource: IPAddress? = nil, targets: [SendTarget], counter: Int
    ) {
        self.init(
            name: name, kind: kind, direction: direction, receivedInterface: receivedInterface, sourceMAC: sourceMAC,
            source: source, destination: destination, servicePort: servicePort, rewriteSource: rewriteSource,
            hops: targets.map { .target($0) }, counter: counter)
    }

    /// Memberwise.
    public init(
        name: String, kind: EntryKind, direction: ChainDirection, receivedInterface: Int,
        sourceMAC: MACAddress? = nil, source: IPPrefix? = nil, destination: IPPrefix? = nil,
        servicePort: ServicePort = .any, rewriteSource: IPAddress? = nil, hops: [Hop], counter: Int
    ) {
        self.name = name
        self.kind = kind
        self.direction = direction
        self.receivedInterface = receivedInterface
        self.sourceMAC = sourceMAC
        self.source = source
        self.destination = destination
        self.servicePort = servicePort
        self.rewriteSource = rewriteSource
        self.hops = hops
        self.counter = counter
    }

    /// Every target that a packet may go to, in the order of the hops. Setting it makes a hop of each target.
    public var targets: [SendTarget] {
        get { hops.flatMap(\.targets) }
        set { hops = newValue.map { .target($0) } }
    }
}
