import Wire

/// An interface as the engine knows it.
public struct TableInterface: Hashable, Sendable {
    /// Its name in the topology.
    public var name: String
    /// The engine's MAC address on it.
    public var mac: MACAddress
    /// MAC addresses besides `mac` that frames for the engine may carry: the far ends of transparent applications.
    public var aliases: [MACAddress]
    /// The largest network-layer packet, in octets.
    public var mtu: Int
    /// The engine's own addresses, each with the prefix of the link. The engine answers ARP, neighbour discovery and
    /// echo for them. They are the sources of the ICMP errors that it sends on this interface. On every interface the
    /// engine also has fe80::1/64.
    public var addresses: [InterfaceAddress]
    /// True if the table's sources include all nodes there. Frames from any other MAC address are dropped.
    public var namesAll: Bool
    /// The other interface whose device has its frames, and how; nil: it has a device of its own.
    public var circuit: TableCircuit?
    /// The other interface whose packets have its frames; nil: it is no tunnel.
    public var tunnel: TableTunnel?

    /// Memberwise.
    public init(
        name: String, mac: MACAddress, aliases: [MACAddress] = [], mtu: Int = 1500, addresses: [InterfaceAddress] = [],
        namesAll: Bool = false, circuit: TableCircuit? = nil, tunnel: TableTunnel? = nil
    ) {
        self.name = name
        self.mac = mac
        self.aliases = aliases
        self.mtu = mtu
        self.addresses = addresses
        self.namesAll = namesAll
        self.circuit = circuit
        self.tunnel = tunnel
    }

    /// The name of a place among the interfaces that is free: an interface was there and was removed. A name of a
    /// file does not begin with a blank.
    public static func vacantName(_ place: Int) -> String { " vacant \(place)" }

    /// True for the name of a free place.
    public static func isVacant(_ name: String) -> Bool { name.utf8.first == UInt8(ascii: " ") }

    /// True if the place is free: nothing is sent there, and nothing comes from there. Interfaces that stay keep their
    /// places when another one is removed, so what is counted, noted or captured by a place stays right.
    public var isVacant: Bool { Self.isVacant(name) }

    /// True if an address is the broadcast address of one of the engine's networks on the interface.
    public func hasBroadcast(_ address: IPAddress) -> Bool {
        addresses.contains { link in
            link.address.family == .ipv4 && link.length < 31 && address.family == .ipv4
                && address.low == link.prefix.address.low + (1 << UInt64(32 - link.length)) - 1
        }
    }

    /// fe80::1, which the engine has on every interface.
    public static let linkLocal = IPAddress(ipv6High: 0xFE80_0000_0000_0000, low: 1)
}

/// A neighbour that the file names. It is resolved from the start, and no frame can change it.
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

/// A leg of an application, router or customer. Received interface and Ethernet source identify it.
public struct KnownSource: Hashable, Sendable {
    /// The index of the interface the leg is on.
    public var interface: Int
    /// The Ethernet source of the frames that come from it.
    public var mac: MACAddress
    /// The name of the node.
    public var node: String
    /// Its type. Packets of a passive application are dropped unless `mayEmit` is set.
    public var system: DestinationSystemType
    /// True if the file allows a passive application's active responses.
    public var mayEmit: Bool
    /// True if the node has been removed. Packets that still come from it have a counter of their own.
    public var isRemoved: Bool
    /// The prefixes that it may send from, besides link-local IPv6 addresses; nil for any.
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

/// An address or prefix that customers on `interface` send to. The engine answers ARP and neighbour discovery for it.
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

/// A node that may announce an address or prefix as its own: the end of a service, or a node with a network behind it.
///
/// Such a node sends ARP and neighbour discovery with the address as sender. If the address is claimed on the same
/// interface, that is no conflict with the engine, which answers all other nodes for it.
public struct AddressHolder: Hashable, Sendable {
    /// The index of the interface that the node is on.
    public var interface: Int
    /// The node's MAC address there.
    public var mac: MACAddress
    /// The prefix that it may announce.
    public var prefix: IPPrefix
    /// True if an announcement moves the address to the node at once, and only such holders may claim it (VRRP, CARP).
    public var moves: Bool

    /// Memberwise.
    public init(interface: Int, mac: MACAddress, prefix: IPPrefix, moves: Bool = false) {
        self.interface = interface
        self.mac = mac
        self.prefix = prefix
        self.moves = moves
    }
}

/// A node that gets a group's packets while it reports that it is in the group.
public struct GroupJoiner: Hashable, Sendable {
    /// The index of the interface that the node is on.
    public var interface: Int
    /// The node's MAC address there.
    public var mac: MACAddress
    /// The group.
    public var group: IPAddress

    /// Memberwise.
    public init(interface: Int, mac: MACAddress, group: IPAddress) {
        self.interface = interface
        self.mac = mac
        self.group = group
    }
}

/// A copy of every frame that arrives on one interface goes to another one, unchanged and before any check. So passive
/// applications also see frames that are dropped.
public struct Mirror: Hashable, Sendable {
    /// The index of the interface whose frames are copied.
    public var received: Int
    /// The index of the interface that the copies go to. Only passive applications may be on it.
    public var send: Int

    /// Memberwise.
    public init(received: Int, send: Int) {
        self.received = received
        self.send = send
    }
}

/// Everything that a packeting engine decides by: the distribution and sequencing entries, and all that they refer to.
/// `Snapshot` is its compiled form.
public struct ForwardingTable: Hashable, Sendable {
    /// The interfaces, at most 4,096. Every other interface index refers to this list.
    public var interfaces: [TableInterface]
    /// Both tables' entries in the order of the file.
    public var entries: [Entry]
    /// The neighbours that the file names.
    public var neighbours: [StaticNeighbour]
    /// The legs of the nodes that the file names.
    public var sources: [KnownSource]
    /// The service addresses, on the interfaces where customers may ask for them.
    public var claimed: [ClaimedAddress]
    /// The nodes that may announce other addresses than those that make them neighbours.
    public var holders: [AddressHolder]
    /// The interfaces whose frames are copied as they arrive. Entries send no further copies of these frames to passive
    /// applications on the same interface.
    public var mirrors: [Mirror]
    /// The groups of instances that hops choose from, with the state of their members. At most 1,024.
    public var groups: [InstanceGroup]
    /// The last eight octets (big-endian) of the health checks' own packets; 0 if there are none. The engine takes
    /// these packets out on every interface.
    public var heartbeatToken: UInt64
    /// The applications whose packets tenants' access lists judge. At most `AccessPoint.most`.
    public var access: [AccessPoint]

    /// The most nodes and groups that may be together in `joiners`.
    public static let mostJoiners = 1_024

    /// The nodes that may join a group, each with the group, from the entries.
    public var joiners: Set<GroupJoiner> { members { target, _ in target.whileJoined } }

    private func members(_ isWanted: (SendTarget, Entry) -> Bool) -> Set<GroupJoiner> {
        var members: Set<GroupJoiner> = []
        // Other entries of a table, of which there may be a million, are passed over without being copied.
        for index in entries.indices where entries[index].isBetween {
            let entry = entries[index]
            guard let destination = entry.destination, destination.isHost else { continue }
            for target in entry.targets where isWanted(target, entry) {
                guard case .mac(let mac) = target.address else { continue }
                members.insert(GroupJoiner(interface: target.interface, mac: mac, group: destination.address))
            }
        }
        return members
    }

    /// The engine's own addresses at which entries forward packets to a node that answers them, with what is forwarded as bits
    /// of `Layout`: questions for names (DNS), requests for mappings (PCP).
    var answeredAddresses: [IPAddress: UInt64] {
        var addresses: [IPAddress: UInt64] = [:]
        for index in entries.indices where entries[index].isBetween && entries[index].direction == .request {
            let ports = entries[index].servicePort.ports
            guard ports.count == 1, let destination = entries[index].destination, destination.isHost else { continue }
            let bit = Layout.answered(port: ports.lowerBound, entries[index].servicePort.protocolNumber)
            if bit != 0 { addresses[destination.address, default: 0] |= bit }
        }
        return addresses
    }

    /// The nodes whose reports of a group are theirs to make: `joiners`, and the members of the same groups that need
    /// not join. The order is the same for the same table.
    var reporters: [GroupJoiner] {
        let groups = Set(joiners.map(\.group))
        let reporters = members { target, entry in
            target.system != .passiveApplication && entry.destination.map { groups.contains($0.address) } == true
        }
        return reporters.sorted {
            ($0.interface, $0.mac.bits, $0.group.family.rawValue, $0.group.high, $0.group.low)
                < ($1.interface, $1.mac.bits, $1.group.family.rawValue, $1.group.high, $1.group.low)
        }
    }

    /// True if the engine rewrites addresses for some entry: a packet's addresses differ before and behind a hop.
    public var rewritesAddresses: Bool { entries.contains { $0.rewriteSource != nil } }

    /// True if the engine translates service ports.
    public var translatesPorts: Bool { entries.contains { !$0.outerShift.isNone } }

    /// Memberwise.
    public init(
        interfaces: [TableInterface] = [], entries: [Entry] = [], neighbours: [StaticNeighbour] = [],
        sources: [KnownSource] = [], claimed: [ClaimedAddress] = [],
        holders: [AddressHolder] = [], mirrors: [Mirror] = [], groups: [InstanceGroup] = [],
        heartbeatToken: UInt64 = 0, access: [AccessPoint] = []
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
        self.access = access
    }
}
