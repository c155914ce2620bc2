import Wire

/// Customers whose packets the table treats alike. One represents all.
struct Origin {
    /// The nodes. The first one represents all.
    var members: [Int]
    var emitter: Emitter
    /// The source address of its packets.
    var address: IPAddress
    /// True for an address of its own, false for one that represents many.
    var isOwn = true
}

/// The nodes that can send requests to the engine, and their addresses.
struct Origins {
    /// On each interface: its customers.
    private var customers: [[Origin]]
    private var byAddress: [[IPAddress: [Int]]]
    private let world: ProofWorld

    /// The addresses of up to two customers of each kind.
    private(set) var examples: [IPAddress] = []

    /// - Parameter told: The pieces that entries distinguish sources and destinations by.
    init(_ world: ProofWorld, named: AddressPieces) {
        self.world = world
        var pieces = named
        let count = world.table.interfaces.count
        customers = Array(repeating: [], count: count)
        byAddress = Array(repeating: [:], count: count)
        let singled = Self.singledOut(world)
        let namedMACs = Set(world.table.entries.compactMap(\.sourceMAC))
        struct Class: Hashable {
            var interface: Int
            var isOwn: Bool
            var around: [IPPrefix]
            var family: AddressFamily
            var single: Int?
        }
        var known: [Class: Int] = [:]
        for (index, node) in world.nodes.enumerated() where node.system == .customer {
            for (place, leg) in node.legs.enumerated() {
                let emitter = world.stations.emitter(Stations.Leg(node: index, leg: place))
                let own = leg.addresses.filter { !($0.family == .ipv6 && $0.isLinkLocal) }
                let behind = place == 0 ? node.prefixes.flatMap { pieces.representatives(in: $0) } : []
                for (number, address) in (own + behind).enumerated() {
                    let key = Class(
                        interface: leg.interface, isOwn: number < own.count, around: named.around(address),
                        family: address.family,
                        single: singled.contains(index) || namedMACs.contains(leg.mac) ? index : nil)
                    if let class_ = known[key] {
                        if customers[leg.interface][class_].members.last != index {
                            if customers[leg.interface][class_].members.count == 1 { examples.append(address) }
                            customers[leg.interface][class_].members.append(index)
                        }
                        continue
                    }
                    known[key] = customers[leg.interface].count
                    byAddress[leg.interface][address, default: []].append(customers[leg.interface].count)
                    examples.append(address)
                    customers[leg.interface].append(
                        Origin(members: [index], emitter: emitter, address: address, isOwn: key.isOwn))
                }
            }
        }
    }

    /// The nodes that some entry names as a target. To the table, they are not like others.
    private static func singledOut(_ world: ProofWorld) -> Set<Int> {
        var found: Set<Int> = []
        for entry in world.table.entries {
            for target in entry.targets {
                switch target.address {
                case .mac(let mac):
                    if let leg = world.stations.leg(mac, on: target.interface) { found.insert(leg.node) }
                case .network(let address), .neighbour(let address?):
                    if let leg = world.stations.leg(address, on: target.interface) { found.insert(leg.node) }
                case .neighbour(nil): break
                }
            }
        }
        return found
    }

    /// True if customers are on the interface.
    func hasCustomers(on interface: Int) -> Bool { !customers[interface].isEmpty }

    /// The senders of packets that an entry may match.
    ///
    /// Applications and routers count if the entry names them, or if there are no others. Neighbours reach each other from
    /// their own addresses: nothing is promised to what lies behind them.
    func matching(_ entry: Entry, _ pieces: inout AddressPieces) -> [Origin] {
        let interface = entry.receivedInterface
        let family = (entry.source ?? entry.destination)?.family
        func fits(_ origin: Origin) -> Bool {
            (entry.sourceMAC.map { $0 == origin.emitter.mac } ?? true)
                && (origin.isOwn || !entry.isBetween)
                && (entry.source?.contains(origin.address) ?? true)
                && (family ?? origin.address.family) == origin.address.family
        }
        if let source = entry.source, source.isHost, let exact = byAddress[interface][source.address] {
            let found = exact.map { customers[interface][$0] }.filter(fits)
            if !found.isEmpty { return found }
        }
        let found = customers[interface].filter(fits)
        guard found.isEmpty, entry.kind == .distribution || entry.isBetween else { return found }
        if entry.sourceMAC == nil, hasCustomers(on: interface) { return [] }
        var others: [Origin] = []
        for leg in world.stations.on[interface] {
            let node = world.nodes[leg.node]
            let emitter = world.stations.emitter(leg)
            guard node.system != .customer, !node.isSilenced(leg.leg) else { continue }
            guard entry.sourceMAC.map({ $0 == emitter.mac }) ?? true else { continue }
            var addresses = node.legs[leg.leg].addresses.filter { address in
                !(address.family == .ipv6 && address.isLinkLocal) && (entry.source?.contains(address) ?? true)
                    && (family ?? address.family) == address.family
            }
            if addresses.isEmpty, let source = entry.source {
                addresses = pieces.representatives(in: source).filter { world.stations.owner(of: $0) == nil }
            }
            if node.system == .router, entry.source == nil, !entry.isBetween {
                // Every address may lie behind a router.
                let families = family.map { [$0] } ?? AddressFamily.allCases
                addresses += families.compactMap { pieces.representatives(in: .everything($0)).first }
            }
            others += addresses.map { address in
                Origin(
                    members: [leg.node], emitter: emitter, address: address,
                    isOwn: world.stations.has(leg.node, address))
            }
        }
        return others
    }
}
