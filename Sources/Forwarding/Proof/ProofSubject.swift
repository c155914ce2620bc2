import Wire

/// A node's leg as a proof sees it.
public struct ProofLeg: Hashable, Sendable {
    /// The index of the interface that it is on.
    public var interface: Int
    /// The MAC address of its frames, in both directions. For a transparent application, it is the engine's address on
    /// the application's other side.
    public var mac: MACAddress
    /// The addresses that the engine knows it by.
    public var addresses: [IPAddress]
    /// Its type, if it is another than the node's: a passive application's further legs are as those of a server.
    public var system: DestinationSystemType?
    /// Addresses that the node has announced, so that packets find it. It sends from its own.
    public var announced: [IPAddress]

    /// Memberwise.
    public init(
        interface: Int, mac: MACAddress, addresses: [IPAddress] = [], system: DestinationSystemType? = nil,
        announced: [IPAddress] = []
    ) {
        self.announced = announced
        self.interface = interface
        self.mac = mac
        self.addresses = addresses
        self.system = system
    }
}

/// What a node does with packets, as far as a proof needs it.
public struct ProofNode: Hashable, Sendable {
    /// Its name in the topology.
    public var name: String
    /// Its type. Passive applications keep packets. Inline applications pass them on by their other leg, by their only
    /// one, or by the leg that their routes tell. All other nodes answer.
    public var system: DestinationSystemType
    /// True for a bump in the wire, which cannot send an error about a packet that is too big.
    public var isTransparent: Bool
    /// True for a passive application whose active responses the file allows.
    public var mayEmit: Bool
    /// Its legs. The first is the one that requests enter by.
    public var legs: [ProofLeg]
    /// The networks behind a customer.
    public var prefixes: [IPPrefix]
    /// The service addresses that it has, besides the addresses of its legs.
    public var served: [IPAddress]
    /// Addresses that a customer may have besides those of its legs.
    public var mayHave: [IPPrefix]
    /// True for a customer that stands for all hosts of its prefixes, which are its leg's neighbours.
    public var isCrowd = false
    /// The routes that decide by which leg it passes a packet on; nil: by its other leg, or by its only one.
    public var routes: [ProofRoute]?

    /// Memberwise.
    public init(
        name: String, system: DestinationSystemType, isTransparent: Bool = false, mayEmit: Bool = false,
        legs: [ProofLeg], prefixes: [IPPrefix] = [], served: [IPAddress] = [], routes: [ProofRoute]? = nil,
        mayHave: [IPPrefix] = []
    ) {
        self.mayHave = mayHave
        self.name = name
        self.system = system
        self.isTransparent = isTransparent
        self.mayEmit = mayEmit
        self.legs = legs
        self.prefixes = prefixes
        self.served = served
        self.routes = routes
    }

    /// Its type for packets that reach it, or leave it, by a leg.
    func system(_ leg: Int) -> DestinationSystemType { legs[leg].system ?? system }

    /// True if none of the packets that it sends by a leg is forwarded.
    func isSilenced(_ leg: Int) -> Bool { system(leg) == .passiveApplication && !mayEmit }

    /// The leg by which it passes a packet on; nil: it has no route there.
    func exit(from leg: Int, to destination: IPAddress) -> Int? {
        guard let routes else { return legs.count == 2 ? 1 - leg : leg }
        return routes.filter { $0.destination.contains(destination) }
            .max { $0.destination.length < $1.destination.length }?.leg
    }

    /// The legs by which it may pass on packets that reach it by a leg.
    func exits(from leg: Int) -> [Int] {
        routes.map { Array(Set($0.map(\.leg))).sorted() } ?? [legs.count == 2 ? 1 - leg : leg]
    }
}

/// A route of a node as a proof sees it.
public struct ProofRoute: Hashable, Sendable {
    /// The destination.
    public var destination: IPPrefix
    /// The index of the leg that its packets leave by.
    public var leg: Int

    /// Memberwise.
    public init(destination: IPPrefix, leg: Int) {
        self.destination = destination
        self.leg = leg
    }
}

/// One target of one entry.
public struct TargetPlace: Hashable, Sendable {
    /// The index of the entry.
    public var entry: Int
    /// The index among its targets.
    public var target: Int

    /// Memberwise.
    public init(entry: Int, target: Int) {
        self.entry = entry
        self.target = target
    }
}

/// The subject of a proof: a table, and the nodes around it.
public struct ProofSubject: Sendable {
    /// The table that the engine will decide by.
    public var table: ForwardingTable
    /// Every node.
    public var nodes: [ProofNode]
    /// For each entry, the index of the service that it was made for; nil for entries by hand. Empty if all entries are
    /// by hand.
    public var owners: [Int?]
    /// The targets whose system type is given in the file. The file vouches for them.
    public var vouched: Set<TargetPlace>

    /// Memberwise.
    public init(
        table: ForwardingTable, nodes: [ProofNode], owners: [Int?] = [], vouched: Set<TargetPlace> = []
    ) {
        self.table = table
        self.nodes = nodes
        self.owners = owners
        self.vouched = vouched
    }
}
