import ControlAPI
import Forwarding
import Plan
import Wire

extension TableListing {
    /// - Parameters:
    ///   - joined: The nodes that are in groups which they join; nil if no engine hears them.
    ///   - counts: Packets and bytes by counter index; nil if no engine counts.
    ///   - rules: The same of the rules of access lists.
    public init(
        name: String, table: ForwardingTable, joined: Set<GroupJoiner>? = nil,
        counts: ((Int) -> (packets: UInt64, bytes: UInt64))? = nil,
        rules: ((Int) -> (packets: UInt64, bytes: UInt64))? = nil
    ) {
        let nodes = NodeNames(table)
        let row = { (entry: Entry) in
            Row(entry, table: table, nodes: nodes, joined: joined, counts: counts?(entry.counter))
        }
        self.init(
            name: name, distribution: table.entries.filter { $0.kind == .distribution }.map(row),
            sequencing: table.entries.filter { $0.kind == .sequencing }.map(row),
            access: table.access.flatMap { AccessRow.rows(of: $0, counts: rules) })
    }
}

/// The owners of MAC and network addresses, by interface.
struct NodeNames {
    private var byMAC: [KnownKey<MACAddress>: String] = [:]
    private var byAddress: [KnownKey<IPAddress>: String] = [:]

    private struct KnownKey<Address: Hashable>: Hashable {
        var interface: Int
        var address: Address
    }

    init(_ table: ForwardingTable) {
        for source in table.sources {
            byMAC[KnownKey(interface: source.interface, address: source.mac)] = source.node
        }
        for neighbour in table.neighbours {
            let node = byMAC[KnownKey(interface: neighbour.interface, address: neighbour.mac)]
            byAddress[KnownKey(interface: neighbour.interface, address: neighbour.address)] = node
        }
    }

    func node(_ mac: MACAddress, on interface: Int) -> String? {
        byMAC[KnownKey(interface: interface, address: mac)]
    }

    func node(_ address: IPAddress, on interface: Int) -> String? {
        byAddress[KnownKey(interface: interface, address: address)]
    }
}

extension TableListing.Row {
    init(
        _ entry: Entry, table: ForwardingTable, nodes: NodeNames, joined: Set<GroupJoiner>?,
        counts: (packets: UInt64, bytes: UInt64)?
    ) {
        let interface = { (index: Int) in
            table.interfaces.indices.contains(index) ? table.interfaces[index].name : "#\(index)"
        }
        let listing = CopyListing(
            table: table, nodes: nodes, group: entry.destination?.address, port: entry.servicePort, joined: joined)
        self.init(
            name: entry.name, direction: entry.direction == .request ? "request" : "response",
            receivedInterface: interface(entry.receivedInterface), sourceMAC: entry.sourceMAC?.description,
            sourceNode: entry.sourceMAC.flatMap { nodes.node($0, on: entry.receivedInterface) },
            source: entry.source?.description, destination: entry.destination?.description,
            servicePort: entry.servicePort.listed, rewriteSource: entry.rewriteSource?.description,
            copies: entry.hops.flatMap { listing.copies($0) }, packets: counts?.packets, bytes: counts?.bytes)
    }
}

/// Lists the copies of hops, including conditional ones.
private struct CopyListing {
    let table: ForwardingTable
    let nodes: NodeNames
    /// The entry's destination, if it is a group.
    let group: IPAddress?
    /// The service port of the packets that come in.
    let port: ServicePort
    let joined: Set<GroupJoiner>?

    /// - Parameter conditions: The conditions under which the hop is gone: `firewall down`.
    func copies(_ hop: Hop, when conditions: [String] = []) -> [TableListing.Copy] {
        switch hop {
        case .target(let target): return [copy(target, conditions)]
        case .instance(let group, let targets, let otherwise):
            let name = self.name(group)
            let alternatives = targets.map { target in
                var copy = copy(target, conditions)
                if targets.count > 1 { copy.oneOf = name }
                return copy
            }
            guard case .hops(let hops) = otherwise else { return alternatives }
            return alternatives + hops.flatMap { copies($0, when: conditions + ["\(name) down"]) }
        case .whether(let group, let up, let down):
            let name = self.name(group)
            return up.flatMap { copies($0, when: conditions + ["\(name) up"]) }
                + down.flatMap { copies($0, when: conditions + ["\(name) down"]) }
        }
    }

    private func name(_ group: Int) -> String {
        table.groups.indices.contains(group) ? table.groups[group].name : "#\(group)"
    }

    private func copy(_ target: SendTarget, _ conditions: [String]) -> TableListing.Copy {
        var address: String
        var node: String?
        var conditions = conditions
        if target.whileJoined, let group, case .mac(let mac) = target.address {
            let joiner = GroupJoiner(interface: target.interface, mac: mac, group: group)
            // Nothing depends on a node that is in the group now.
            if joined?.contains(joiner) != true { conditions.append("it joins") }
        }
        switch target.address {
        case .mac(let mac):
            address = mac.description
            // A transparent application is known by the MAC address that its frames come with at its far end.
            node = nodes.node(mac, on: target.interface)
        case .network(let network):
            address = network.description
            node = nodes.node(network, on: target.interface)
        case .neighbour(let via?):
            address = "neighbour \(via)"
            node = nodes.node(via, on: target.interface)
        case .neighbour(nil):
            address = "neighbour"
        }
        let interfaces = table.interfaces
        let index = target.interface
        return TableListing.Copy(
            sendInterface: interfaces.indices.contains(index) ? interfaces[index].name : "#\(index)",
            sendAddress: address, node: node, rewritePort: port.shifted(by: target.portShift)?.listed,
            sourceMAC: target.sourceMAC?.description,
            destinationSystemType: target.system.listed,
            when: conditions.isEmpty ? nil : conditions.joined(separator: ", "))
    }
}

extension ServicePort {
    /// As the topology file writes it: `tcp/80`, `udp/5000-5010`, `icmp`, `any`.
    public var listed: String {
        guard let protocolNumber else { return "any" }
        let name: String
        switch protocolNumber {
        case 1: name = "icmp"
        case 6: name = "tcp"
        case 17: name = "udp"
        case 33: name = "dccp"
        case 58: name = "icmpv6"
        case 132: name = "sctp"
        case 136: name = "udplite"
        default: name = "\(protocolNumber)"
        }
        if ports == 0...65535 { return name }
        return ports.count == 1 ? "\(name)/\(ports.lowerBound)" : "\(name)/\(ports.lowerBound)-\(ports.upperBound)"
    }
}

extension DestinationSystemType {
    /// In words, as listings show it.
    public var listed: String {
        switch self {
        case .passiveApplication: "passive application"
        case .inlineApplication: "inline application"
        case .terminalApplication: "terminal application"
        case .router: "router"
        case .customer: "customer"
        case .packetingEngine: "packeting engine"
        }
    }
}
