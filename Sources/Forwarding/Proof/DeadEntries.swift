import Wire

/// Finds the entries that can never match.
extension Proof {
    /// A node that may send what an entry matches. `sources` is nil if it may send from any address.
    private struct Sender {
        var emitter: Emitter
        var sources: [IPPrefix]?
    }

    mutating func findDeadEntries() {
        var senders: [Int: [Sender]] = [:]
        for (index, entry) in world.table.entries.enumerated() {
            if let destination = entry.destination, destination.isHost, world.isOwnAddress(destination.address),
                !entry.isBetween
            {
                findings.append(.dead(entry: index, .ownAddress(destination.address), example: nil))
                continue
            }
            let found: [Sender]
            if let mac = entry.sourceMAC {
                switch sender(mac, on: entry.receivedInterface) {
                case .success(let sender): found = [sender]
                case .failure(let dead):
                    findings.append(.dead(entry: index, dead.reason, example: nil))
                    continue
                }
            } else {
                if senders[entry.receivedInterface] == nil {
                    senders[entry.receivedInterface] = anySenders(on: entry.receivedInterface)
                }
                found = senders[entry.receivedInterface] ?? []
                if found.isEmpty {
                    let isDeserted = world.stations.on[entry.receivedInterface].isEmpty
                    findings.append(.dead(entry: index, isDeserted ? .noNode : .silencedInterface, example: nil))
                    continue
                }
            }
            if let (reason, example) = whyDead(index, entry, found) {
                findings.append(.dead(entry: index, reason, example: example))
            }
        }
    }

    private struct NoSender: Error { var reason: DeadReason }

    private func sender(_ mac: MACAddress, on interface: Int) -> Result<Sender, NoSender> {
        guard let leg = world.stations.leg(mac, on: interface) else {
            if world.stations.vouchedMACs[interface].contains(mac) {
                return .success(Sender(emitter: Emitter(node: nil, interface: interface, mac: mac), sources: nil))
            }
            return .failure(NoSender(reason: .unknownSource(mac, owner: world.stations.owner(of: mac))))
        }
        if world.nodes[leg.node].isSilenced(leg.leg) { return .failure(NoSender(reason: .silencedSource(leg.node))) }
        return .success(sender(leg, on: interface))
    }

    private func sender(_ leg: Stations.Leg, on interface: Int) -> Sender {
        let node = world.nodes[leg.node]
        let emitter = world.stations.emitter(leg)
        guard node.system == .customer else { return Sender(emitter: emitter, sources: nil) }
        let addresses = node.legs[leg.leg].addresses.filter { !($0.family == .ipv6 && $0.isLinkLocal) }
        let own = node.prefixes + node.mayHave + addresses.map { IPPrefix(host: $0) }
        return Sender(emitter: emitter, sources: world.isJudged(emitter) ? own : links(of: interface) + own)
    }

    private func links(of interface: Int) -> [IPPrefix] {
        world.table.interfaces[interface].addresses.map(\.prefix)
    }

    /// The possible senders on an interface: each sender whose MAC address an entry names. Of the others, one that may
    /// use any address, and one for all customers.
    private func anySenders(on interface: Int) -> [Sender] {
        let named = Set(world.table.entries.filter { $0.receivedInterface == interface }.compactMap(\.sourceMAC))
        var senders: [Sender] = []
        var single: [Sender] = []
        var combined: Sender?
        for leg in world.stations.on[interface] where !world.nodes[leg.node].isSilenced(leg.leg) {
            let sender = sender(leg, on: interface)
            if named.contains(sender.emitter.mac) {
                single.append(sender)
            } else if let sources = sender.sources {
                combined = Sender(
                    emitter: combined?.emitter ?? sender.emitter, sources: (combined?.sources ?? []) + sources)
            } else if !senders.contains(where: { $0.sources == nil }) {
                senders.append(sender)
            }
        }
        for mac in world.stations.vouchedMACs[interface] {
            single.append(Sender(emitter: Emitter(node: nil, interface: interface, mac: mac), sources: nil))
        }
        if let combined {
            senders.append(Sender(emitter: combined.emitter, sources: Array(Set(combined.sources ?? []))))
        }
        return senders + single
    }

    /// Looks for one packet that the entry decides.
    ///
    /// - Returns: nil if there is one. Else the reason why there is none, and a packet that the entry would have
    ///   matched.
    private mutating func whyDead(
        _ index: Int, _ entry: Entry, _ senders: [Sender]
    ) -> (DeadReason, example: FlowFields?)? {
        var winners: [Int] = []
        var example: FlowFields?
        var isSent = false
        let family = (entry.source ?? entry.destination)?.family
        for sender in senders {
            for source in sources(of: entry, family, from: sender) {
                for from in pieces.representatives(in: source) {
                    let everywhere = entry.destination ?? .everything(from.family)
                    for to in pieces.representatives(in: everywhere) {
                        isSent = true
                        let flows = classes.classes(from: from, to: to)
                            .flows(from: from, to: to, entry.servicePort, entry.direction)
                        for flow in flows {
                            guard case .forward(let winner) = world.decide(flow, from: sender.emitter) else { continue }
                            if winner == index { return nil }
                            example = example ?? flow
                            if winners.isEmpty, covers(winner, entry) { return (.shadowed(by: [winner]), flow) }
                            if winners.count < 8, !winners.contains(winner) { winners.append(winner) }
                        }
                    }
                }
            }
        }
        if !winners.isEmpty { return (.shadowed(by: winners), example) }
        if isSent { return (.noNode, nil) }
        if let source = entry.source { return (.sourceElsewhere(owner(of: source)), nil) }
        return (.family(family ?? .ipv4), nil)
    }

    /// True if a sequencing entry takes all packets that a distribution entry matches. Then no packet has to be tried.
    private func covers(_ winner: Int, _ entry: Entry) -> Bool {
        let other = world.table.entries[winner]
        guard other.kind == .sequencing, entry.kind == .distribution,
            other.sourceMAC == nil || other.sourceMAC == entry.sourceMAC, other.servicePort == .any
        else { return false }
        func holds(_ wide: IPPrefix?, _ narrow: IPPrefix?) -> Bool {
            guard let wide else { return true }
            return narrow.map { wide.contains($0) } ?? false
        }
        return holds(other.source, entry.source) && holds(other.destination, entry.destination)
    }

    /// The node with an address in a prefix, on any interface.
    private func owner(of prefix: IPPrefix) -> Int? {
        if prefix.isHost { return world.stations.owner(of: prefix.address) }
        return world.nodes.firstIndex { node in
            node.prefixes.contains { $0.overlaps(prefix) }
                || node.legs.contains { leg in leg.addresses.contains { prefix.contains($0) } }
        }
    }

    /// The sources that a sender may use and an entry matches.
    private func sources(of entry: Entry, _ family: AddressFamily?, from sender: Sender) -> [IPPrefix] {
        let families = family.map { [$0] } ?? AddressFamily.allCases
        guard var allowed = sender.sources else {
            return entry.source.map { [$0] } ?? families.map { IPPrefix.everything($0) }
        }
        // Every node has a link-local IPv6 address, and sends from it only to its own link.
        let linkLocal = IPPrefix(TableInterface.linkLocal, length: 10)
        if entry.source != nil || entry.destination?.overlaps(linkLocal) ?? true
            || entry.destination?.address.isMulticast == true
        {
            allowed.append(linkLocal)
        }
        // A host that has no address yet sends to all from the unspecified one.
        if entry.destination?.address.isLimitedBroadcast ?? false {
            allowed.append(IPPrefix(host: IPAddress(ipv4: 0)))
        }
        // So may an entry say.
        if let source = entry.source, source.isHost, source.address.isUnspecified { return [source] }
        return allowed.compactMap { prefix in
            guard families.contains(prefix.family) else { return nil }
            guard let source = entry.source else { return prefix }
            return source.contains(prefix) ? prefix : prefix.contains(source) ? source : nil
        }
    }
}
