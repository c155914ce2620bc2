import Wire

/// An interface as the engine knows it.
public struct TableInterface: Hashable, Sendable {
    /// Its name in the topology.
    public var name: String
    /// The engine's MAC address on it.
    public var mac: MACAddress
    /// MAC addresses beside `mac` that frames for the engine may carry: the far ends of transparent applications.
    public var aliases: [MACAddress]
    /// The largest network-layer packet in octets.
    public var mtu: Int
    /// The engine's own addresses, each with the prefix of the link. The engine answers ARP, neighbour discovery and
    /// echo for them, and is the source of the ICMP errors that it sends on this interface. On every interface the
    /// engine has fe80::1/64 beside these.
    public var addresses: [InterfaceAddress]
    /// True where the table's sources are all the nodes there: what comes from another MAC address is dropped.
    public var namesAll: Bool

    /// Memberwise.
    public init(
        name: String, mac: MACAddress, aliases: [MACAddress] = [], mtu: Int = 1500, addresses: [InterfaceAddress] = [],
        namesAll: Bool = false
    ) {
        self.name = name
        self.mac = mac
        self.aliases = aliases
        self.mtu = mtu
        self.addresses = addresses
        self.namesAll = namesAll
    }

    /// fe80::1, which the engine has on every interface.
    public static let linkLocal = IPAddress(ipv6High: 0xFE80_0000_0000_0000, low: 1)
}

/// A neighbour that the file names: resolved from the start, and no frame can change it.
public struct StaticNeighbour: Hashable, Sendable {
    /// The index of the interface it is on.
    public var interface: Int
    /// Its network address.
    public var address: IPAddress
    /// Its MAC address.
    public var mac: MACAddress

    /// Memberwise.
    public init(interface: Int, address: IPAddress, mac: MACAddress) {
        self.interface = interface
        self.address = address
        self.mac = mac
    }
}

/// A leg of an application, router or customer: who a frame comes from, by received interface and Ethernet source.
public struct KnownSource: Hashable, Sendable {
    /// The index of the interface the leg is on.
    public var interface: Int
    /// The Ethernet source of the frames that come from it.
    public var mac: MACAddress
    /// The name of the node.
    public var node: String
    /// What it is. What a passive application emits is dropped unless `mayEmit`.
    public var system: DestinationSystemType
    /// True where the file allows a passive application's active responses.
    public var mayEmit: Bool
    /// True where the node has been taken away: what still comes from it is counted as that.
    public var isRemoved: Bool
    /// The addresses that it may send from, link-local IPv6 ones aside; nil: any.
    public var origins: [IPPrefix]?

    /// Memberwise.
    public init(
        interface: Int, mac: MACAddress, node: String, system: DestinationSystemType, mayEmit: Bool = false,
        isRemoved: Bool = false, origins: [IPPrefix]? = nil
    ) {
        self.interface = interface
        self.mac = mac
        self.node = node
        self.system = system
        self.mayEmit = mayEmit
        self.isRemoved = isRemoved
        self.origins = origins
    }
}

/// An address or prefix that customers on `interface` send to: the engine answers ARP and neighbour discovery for it.
public struct ClaimedAddress: Hashable, Sendable {
    /// The index of the interface it is claimed on.
    public var interface: Int
    /// The service address.
    public var prefix: IPPrefix

    /// Memberwise.
    public init(interface: Int, prefix: IPPrefix) {
        self.interface = interface
        self.prefix = prefix
    }
}

/// A node that may announce an address or prefix as its own: the end of a service, or who has a network behind it.
///
/// Such a node sends ARP and neighbour discovery with the address as sender; where the address is claimed on the same
/// interface, that is no conflict with the engine, which answers for it to everybody else.
public struct AddressHolder: Hashable, Sendable {
    /// The index of the interface that the node is on.
    public var interface: Int
    /// The node's MAC address there.
    public var mac: MACAddress
    /// What it may announce.
    public var prefix: IPPrefix

    /// Memberwise.
    public init(interface: Int, mac: MACAddress, prefix: IPPrefix) {
        self.interface = interface
        self.mac = mac
        self.prefix = prefix
    }
}

/// Everything that arrives on one interface goes to another one, as it arrived and before it is looked at: for passive
/// applications that see what is dropped, too.
public struct Mirror: Hashable, Sendable {
    /// The index of the interface whose frames are copied.
    public var received: Int
    /// The index of the interface that they go to, on which only passive applications are.
    public var send: Int

    /// Memberwise.
    public init(received: Int, send: Int) {
        self.received = received
        self.send = send
    }
}

/// All that a packeting engine decides by: the distribution and the sequencing entries, and what they stand on.
/// `Snapshot` is its compiled form.
public struct ForwardingTable: Hashable, Sendable {
    /// The interfaces; every other index counts into them. At most 4,096.
    public var interfaces: [TableInterface]
    /// Both tables' entries in the order of the file.
    public var entries: [Entry]
    /// The neighbours that the file names.
    public var neighbours: [StaticNeighbour]
    /// The legs of the nodes that the file names.
    public var sources: [KnownSource]
    /// The service addresses, where customers may ask for them.
    public var claimed: [ClaimedAddress]
    /// The nodes that may announce addresses beside those by which they are neighbours.
    public var holders: [AddressHolder]
    /// What is copied as it arrives. Entries send no further copies of that to passive applications on the same interface.
    public var mirrors: [Mirror]
    /// The groups of instances that hops choose from, with what is up and down of them. At most 1,024.
    public var groups: [InstanceGroup]
    /// The last eight octets (big-endian) of the health checks' own packets, which the engine takes out wherever they
    /// come in; 0: there are none.
    public var heartbeatToken: UInt64

    /// Memberwise.
    public init(
        interfaces: [TableInterface] = [], entries: [Entry] = [], neighbours: [StaticNeighbour] = [],
        sources: [KnownSource] = [], claimed: [ClaimedAddress] = [],
        holders: [AddressHolder] = [], mirrors: [Mirror] = [], groups: [InstanceGroup] = [],
        heartbeatToken: UInt64 = 0
    ) {
        self.interfaces = interfaces
        self.entries = entries
        self.neighbours = neighbours
        self.sources = sources
        self.claimed = claimed
        self.holders = holders
        self.mirrors = mirrors
        self.groups = groups
        self.heartbeatToken = heartbeatToken
    }
}
