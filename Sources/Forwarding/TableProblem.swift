import Wire

/// An entry that a problem names.
public struct EntryReference: Sendable, Hashable, CustomStringConvertible {
    /// Its index in the table's entries.
    public let index: Int
    /// Its name.
    public let name: String

    /// Memberwise.
    public init(index: Int, name: String) {
        self.index = index
        self.name = name
    }

    /// The name, and the index from 0 that distinguishes entries with the same name.
    public var description: String { "\(name) (#\(index))" }
}

/// One reason why a table cannot be compiled.
public enum TableProblem: Sendable, Hashable {
    /// Both entries match the same packets, and neither is more specific.
    case tie(EntryReference, EntryReference)
    /// An entry that sends nothing.
    case noTargets(EntryReference)
    /// An entry names an interface that the table does not have.
    case entryInterface(EntryReference, interface: Int)
    /// Source and destination are of different families.
    case mixedFamilies(EntryReference)
    /// A rewritten address is not of the family of the packets that the entry matches, or the entry matches both.
    case rewriteAcrossFamilies(EntryReference, IPAddress)
    /// The destination is rewritten, but is not a single address. On the way back nothing tells which address to
    /// restore.
    case rewriteOfPrefix(EntryReference, IPAddress)
    /// Ports are given without a protocol, or for a protocol without ports.
    case portsWithoutProtocol(EntryReference)
    /// Ports are translated, but the entry matches other packets than those of a range of ports of TCP, UDP, DCCP or UDP-Lite, or
    /// a port would pass 65535.
    case portShift(EntryReference)
    /// Ports are translated differently for instances of one application.
    case portsOfInstances(EntryReference)
    /// The index of a counter is negative, above 2^24, or used by another entry.
    case counter(EntryReference, Int)
    /// A MAC address that no single station can have.
    case macAddress(MACAddress, place: String)
    /// A network address that no host can have.
    case address(IPAddress, place: String)
    /// More than 4,096 interfaces.
    case tooManyInterfaces(Int)
    /// The MTU is not in 576…65521, or is below 1280 with IPv6 addresses beside it.
    case mtu(interface: String, Int)
    /// A circuit that breaks a rule of `TableCircuit`.
    case circuit(interface: String, String)
    /// A tunnel that breaks a rule of `TableTunnel`.
    case tunnel(interface: String, String)
    /// A neighbour, source or claim names an interface that the table does not have.
    case interface(Int, place: String)
    /// Two MAC addresses for one neighbour.
    case neighbourTwice(interface: String, IPAddress)
    /// More than 1,024 groups of instances.
    case tooManyGroups(Int)
    /// More than `ForwardingTable.mostJoiners` pairs of a node and a group that it may join.
    case tooManyJoiners(Int)
    /// A group without instances, with more than 4,096, with two of one name, or with a weight outside of 0…1,000.
    case group(String, String)
    /// An entry names a group that the table does not have, or has not one target for each of its members.
    case entryGroup(EntryReference, group: Int)
    /// An entry's choices are nested too deep, or one packet could have too many copies.
    case tooManyChoices(EntryReference)
    /// Two nodes have one MAC address on an interface, or a node has the engine's.
    case sourceTwice(interface: String, MACAddress, nodes: [String])
    /// More than `AccessPoint.most` applications with access lists.
    case tooManyAccessPoints(Int)
    /// A node of two applications with access lists.
    case accessNode(String, applications: [String])
    /// An access list that breaks a rule of `AccessList`.
    case accessList(application: String, tenant: String, String)
}

extension TableProblem: CustomStringConvertible {
    /// What is wrong, and what to do, for a person.
    public var description: String {
        switch self {
        case .tie(let first, let second):
            "\(first) and \(second) match the same packets and neither is more specific: "
                + "give one of them a received interface, prefix or port of its own"
        case .noTargets(let entry):
            "\(entry) sends nothing: give it a send interface and a send address"
        case .entryInterface(let entry, let interface):
            "\(entry) names interface #\(interface), which does not exist"
        case .mixedFamilies(let entry):
            "\(entry) has a source of one address family and a destination of the other"
        case .rewriteAcrossFamilies(let entry, let address):
            "\(entry) rewrites to \(address), but also matches packets of the other address family: "
                + "give it a source or destination of the same family"
        case .rewriteOfPrefix(let entry, let address):
            "\(entry) rewrites a whole prefix of destinations to \(address), but nothing can restore them on the way "
                + "back: use a MAC send address, or one destination"
        case .portsWithoutProtocol(let entry):
            "\(entry) has service ports, but no protocol with ports (TCP, UDP, SCTP, DCCP, UDP-Lite)"
        case .portShift(let entry):
            "\(entry) translates service ports, and matches more than a range of ports of TCP, UDP, DCCP or UDP-Lite, or "
                + "translates beyond port 65535"
        case .portsOfInstances(let entry):
            "\(entry) translates service ports differently for instances of one application"
        case .counter(let entry, let counter):
            "\(entry) has counter \(counter), which another entry has or which is out of range"
        case .macAddress(let mac, let place):
            "\(place): \(mac) is not a MAC address that one station can have"
        case .address(let address, let place):
            "\(place): \(address) is not an address that one host can have"
        case .tooManyInterfaces(let count):
            "\(count) interfaces: the limit is \(Layout.maximumInterfaces)"
        case .tunnel(let interface, let fault): "interface \(interface) cannot be that tunnel: \(fault)"
        case .circuit(let interface, let fault): "interface \(interface) cannot be that circuit: \(fault)"
        case .mtu(let interface, let mtu):
            "interface \(interface): an MTU of \(mtu) is outside 576 to 65521 (1280 to 65521 with IPv6 addresses)"
        case .interface(let interface, let place):
            "\(place) names interface #\(interface), which does not exist"
        case .neighbourTwice(let interface, let address):
            "interface \(interface): neighbour \(address) has two MAC addresses"
        case .tooManyJoiners(let count):
            "nodes may join groups in \(count) ways, and there may be \(ForwardingTable.mostJoiners): name the members "
                + "of some services, instead of `joined`"
        case .tooManyGroups(let count):
            "\(count) applications with instances: the limit is \(Layout.maximumGroups)"
        case .group(let name, let reason): "the instances of \(name): \(reason)"
        case .entryGroup(let entry, let group):
            "\(entry) chooses from group #\(group), which does not exist or has another number of instances"
        case .tooManyChoices(let entry):
            "\(entry) passes too many applications that can be bypassed, or makes more than "
                + "\(Layout.maximumCopies) copies"
        case .sourceTwice(let interface, let mac, let nodes):
            "interface \(interface): \(nodes.joined(separator: " and ")) both have the MAC address \(mac)"
        case .tooManyAccessPoints(let count):
            "\(count) applications with access lists: the limit is \(AccessPoint.most)"
        case .accessNode(let node, let applications):
            "\(applications.joined(separator: " and ")) both have access lists for the node \(node)"
        case .accessList(let application, let tenant, let reason):
            "the access list of \(tenant) at \(application): \(reason)"
        }
    }
}

/// All problems of a table, in the order of its entries.
public struct TableError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The problems, at least one.
    public let problems: [TableProblem]

    /// - Parameter problems: At least one problem.
    public init(problems: [TableProblem]) {
        self.problems = problems
    }

    /// One problem per line.
    public var description: String { problems.map(\.description).joined(separator: "\n") }
}
