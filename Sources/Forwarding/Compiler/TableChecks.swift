import Wire

/// The rules that a table must keep before it is compiled, except for ties.
struct TableChecks {
    private(set) var problems: [TableProblem] = []
    private let table: ForwardingTable

    init(_ table: ForwardingTable) {
        self.table = table
        checkInterfaces()
        checkNodes()
        checkGroups()
        checkEntries()
    }

    private func name(of interface: Int) -> String { table.interfaces[interface].name }

    /// Where an address is. Its text is only made if there is a problem.
    private enum Place {
        case entry(Int)
        case interface(Int)
        case neighbour(Int)
        case node(String)
    }

    private func text(_ place: Place) -> String {
        switch place {
        case .entry(let index): "\(table.entries.reference(index))"
        case .interface(let index): "interface \(name(of: index))"
        case .neighbour(let index): "interface \(name(of: index)): neighbour"
        case .node(let name): "node \(name)"
        }
    }

    private mutating func requireStation(_ mac: MACAddress, _ place: Place) {
        if mac.isMulticast || mac.isZero { problems.append(.macAddress(mac, place: text(place))) }
    }

    private mutating func requireHost(_ address: IPAddress, _ place: Place) {
        if address.isMulticast || address.isUnspecified || address.isLimitedBroadcast || address.isLoopback {
            problems.append(.address(address, place: text(place)))
        }
    }

    private mutating func checkInterfaces() {
        if table.interfaces.count > Layout.maximumInterfaces {
            problems.append(.tooManyInterfaces(table.interfaces.count))
        }
        for (index, interface) in table.interfaces.enumerated() {
            let place = Place.interface(index)
            requireStation(interface.mac, place)
            for alias in interface.aliases { requireStation(alias, place) }
            for address in interface.addresses { requireHost(address.address, place) }
            let least = interface.addresses.contains { $0.address.family == .ipv6 } ? 1280 : 576
            if !(least...65521).contains(interface.mtu) {
                problems.append(.mtu(interface: interface.name, interface.mtu))
            }
        }
        problems += circuitProblems(table)
        problems += tunnelProblems(table)
    }

    private mutating func checkNodes() {
        struct Station: Hashable {
            var interface: Int
            var address: IPAddress
        }
        struct Leg: Hashable {
            var interface: Int
            var mac: MACAddress
        }
        var stations: [Station: MACAddress] = [:]
        for neighbour in table.neighbours {
            guard table.interfaces.indices.contains(neighbour.interface) else {
                problems.append(.interface(neighbour.interface, place: "neighbour \(neighbour.address)"))
                continue
            }
            requireStation(neighbour.mac, .neighbour(neighbour.interface))
            requireHost(neighbour.address, .neighbour(neighbour.interface))
            let station = Station(interface: neighbour.interface, address: neighbour.address)
            if let known = stations.updateValue(neighbour.mac, forKey: station), known != neighbour.mac {
                problems.append(.neighbourTwice(interface: name(of: neighbour.interface), neighbour.address))
            }
        }
        var legs: [Leg: KnownSource] = [:]
        for source in table.sources {
            guard table.interfaces.indices.contains(source.interface) else {
                problems.append(.interface(source.interface, place: "node \(source.node)"))
                continue
            }
            requireStation(source.mac, .node(source.node))
            if table.interfaces[source.interface].mac == source.mac {
                problems.append(
                    .sourceTwice(
                        interface: name(of: source.interface), source.mac, nodes: ["the engine", source.node]))
            }
            let leg = Leg(interface: source.interface, mac: source.mac)
            if let known = legs.updateValue(source, forKey: leg), known != source {
                problems.append(
                    .sourceTwice(
                        interface: name(of: source.interface), source.mac, nodes: [known.node, source.node]))
            }
        }
        for claim in table.claimed where !table.interfaces.indices.contains(claim.interface) {
            problems.append(.interface(claim.interface, place: "service address \(claim.prefix)"))
        }
        for mirror in table.mirrors {
            for interface in [mirror.received, mirror.send] where !table.interfaces.indices.contains(interface) {
                problems.append(.interface(interface, place: "a mirror"))
            }
        }
        for holder in table.holders where !table.interfaces.indices.contains(holder.interface) {
            problems.append(.interface(holder.interface, place: "the holder of \(holder.prefix)"))
        }
    }

    private mutating func checkGroups() {
        let joiners = table.joiners.count
        if joiners > ForwardingTable.mostJoiners { problems.append(.tooManyJoiners(joiners)) }
        if table.groups.count > Layout.maximumGroups { problems.append(.tooManyGroups(table.groups.count)) }
        for group in table.groups {
            let members = group.members
            if !(1...Layout.maximumMembers).contains(members.count) {
                problems.append(.group(group.name, "it has \(members.count), but must have 1 to 4096"))
            }
            if Set(members.map(\.name)).count != members.count {
                problems.append(.group(group.name, "two of them have the same name"))
            }
            for member in members where !(0...1_000).contains(member.weight) {
                problems.append(.group(group.name, "a weight of \(member.weight) is outside 0 to 1000"))
            }
        }
    }

    /// Checks hops and the hops that they choose between.
    ///
    /// - Returns: The depth of nested choices, and the largest number of copies.
    private mutating func check(_ hops: [Hop], _ entry: Entry, _ index: Int) -> (depth: Int, copies: Int) {
        var (depth, copies) = (0, 0)
        for hop in hops {
            switch hop {
            case .target(let target):
                check(target, entry, index)
                copies += 1
            case .instance(let group, let targets, let otherwise):
                if Set(targets.map(\.portShift)).count > 1 {
                    problems.append(.portsOfInstances(table.entries.reference(index)))
                }
                if !table.groups.indices.contains(group) || table.groups[group].members.count != targets.count {
                    problems.append(.entryGroup(table.entries.reference(index), group: group))
                }
                for target in targets { check(target, entry, index) }
                var down = (depth: 0, copies: 1)
                if case .hops(let hops) = otherwise { down = check(hops, entry, index) }
                depth = max(depth, down.depth + 1)
                copies += max(1, down.copies)
            case .whether(let group, let up, let down):
                if !table.groups.indices.contains(group) {
                    problems.append(.entryGroup(table.entries.reference(index), group: group))
                }
                let (first, second) = (check(up, entry, index), check(down, entry, index))
                depth = max(depth, first.depth + 1, second.depth + 1)
                copies += max(first.copies, second.copies)
            }
        }
        return (depth, copies)
    }

    private mutating func checkEntries() {
        // One bit for each counter that is in use.
        var counters = [UInt64](repeating: 0, count: 1 << 18)
        let entries = table.entries
        for (index, entry) in entries.enumerated() {
            let reference = { entries.reference(index) }
            let counter = entry.counter
            if !(0..<1 << 24).contains(counter) || counters[counter >> 6] >> UInt64(counter & 63) & 1 != 0 {
                problems.append(.counter(reference(), counter))
            } else {
                counters[counter >> 6] |= 1 << UInt64(counter & 63)
            }
            if !table.interfaces.indices.contains(entry.receivedInterface) {
                problems.append(.entryInterface(reference(), interface: entry.receivedInterface))
            }
            if let mac = entry.sourceMAC { requireStation(mac, .entry(index)) }
            if let source = entry.source, let destination = entry.destination, source.family != destination.family {
                problems.append(.mixedFamilies(reference()))
            }
            if entry.servicePort.ports != 0...65535, !entry.servicePort.protocolHasPorts {
                problems.append(.portsWithoutProtocol(reference()))
            }
            if let rewrite = entry.rewriteSource { requireRewrite(rewrite, entry, index) }
            requireShift(entry.outerShift, entry, index)
            if entry.hops.isEmpty { problems.append(.noTargets(reference())) }
            let (depth, copies) = check(entry.hops, entry, index)
            if depth > Layout.maximumDepth || max(copies, entry.hops.count) > Layout.maximumCopies {
                problems.append(.tooManyChoices(reference()))
            }
        }
    }

    private mutating func requireRewrite(_ address: IPAddress, _ entry: Entry, _ index: Int) {
        requireHost(address, .entry(index))
        if (entry.source ?? entry.destination)?.family != address.family {
            problems.append(.rewriteAcrossFamilies(table.entries.reference(index), address))
        }
    }

    /// Ports can be shifted if the protocol has a checksum that follows, and if no port passes the last one.
    private mutating func requireShift(_ shift: PortShift, _ entry: Entry, _ index: Int) {
        guard !shift.isNone else { return }
        guard entry.servicePort.canBeShifted, shift.applied(to: entry.servicePort.ports) != nil else {
            problems.append(.portShift(table.entries.reference(index)))
            return
        }
    }

    private mutating func check(_ target: SendTarget, _ entry: Entry, _ index: Int) {
        requireShift(target.portShift, entry, index)
        if !table.interfaces.indices.contains(target.interface) {
            problems.append(.entryInterface(table.entries.reference(index), interface: target.interface))
        }
        if let mac = target.sourceMAC { requireStation(mac, .entry(index)) }
        switch target.address {
        case .mac(let mac):
            requireStation(mac, .entry(index))
        case .network(let address):
            requireRewrite(address, entry, index)
            // A passive application returns nothing, so nothing has to be restored.
            if target.system != .passiveApplication, entry.destination?.isHost != true {
                problems.append(.rewriteOfPrefix(table.entries.reference(index), address))
            }
        case .neighbour(let via):
            if let via { requireHost(via, .entry(index)) }
        }
    }
}

extension ServicePort {
    /// True if an engine can turn these ports into others. SCTP's checksum (CRC32c) is over the whole packet, so that no change
    /// of a port can be made up for in it.
    public var canBeShifted: Bool {
        switch protocolNumber {
        case 6, 17, 33, 136: true
        default: false
        }
    }

    /// True for the protocols whose ports a packet's `FlowFields` hold.
    var protocolHasPorts: Bool {
        switch protocolNumber {
        case 6, 17, 33, 132, 136: true
        default: false
        }
    }
}
