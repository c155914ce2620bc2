import Wire

/// A node's leg as a proof sees it.
public struct ProofLeg: Hashable, Sendable {
    /// The index of the interface that it is on.
    public var interface: Int
    /// The MAC address that frames reach it by, and come from it with; for a transparent application the engine's
    /// address on its other side.
    public var mac: MACAddress
    /// The addresses that the engine knows it by.
    public var addresses: [IPAddress]

    /// Memberwise.
    public init(interface: Int, mac: MACAddress, addresses: [IPAddress] = []) {
        self.interface = interface
        self.mac = mac
        self.addresses = addresses
    }
}

/// What a node does with packets, as far as a proof has to know.
public struct ProofNode: Hashable, Sendable {
    /// Its name in the topology.
    public var name: String
    /// What it is: passive applications keep what they get, inline ones pass it on by their other leg (or the only
    /// one), all others answer.
    public var system: DestinationSystemType
    /// True for a bump in the wire, which can tell nobody that a packet is too big.
    public var isTransparent: Bool
    /// True for a passive application whose active responses the file allows.
    public var mayEmit: Bool
    /// Its legs, the one that requests enter by first.
    public var legs: [ProofLeg]
    /// The networks behind a customer.
    public var prefixes: [IPPrefix]
    /// The service addresses that it has beside those of its legs.
    public var served: [IPAddress]

    /// Memberwise.
    public init(
        name: String, system: DestinationSystemType, isTransparent: Bool = false, mayEmit: Bool = false,
        legs: [ProofLeg], prefixes: [IPPrefix] = [], served: [IPAddress] = []
    ) {
        self.name = name
        self.system = system
        self.isTransparent = isTransparent
        self.mayEmit = mayEmit
        self.legs = legs
        self.prefixes = prefixes
        self.served = served
    }

    /// True where nothing that it emits is forwarded.
    var isSilenced: Bool { system == .passiveApplication && !mayEmit }
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

/// A table, and the nodes around it: what a proof is about.
public struct ProofSubject: Sendable {
    /// What the engine is to decide by.
    public var table: ForwardingTable
    /// Every node.
    public var nodes: [ProofNode]
    /// For each entry, which service it was made for; nil for entries by hand. Empty: all are by hand.
    public var owners: [Int?]
    /// The targets whose system type the file gives itself: it vouches for what is there.
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
