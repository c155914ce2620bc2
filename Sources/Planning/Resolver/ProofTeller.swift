import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Proves the table, and reports the findings of the proof in the words of the file.
struct ProofTeller: EntryStage, Diagnosing {
    let planned: PlannedEntries
    /// The nodes with their routes.
    let nodes: [NodePlan]
    let diagnostics: Diagnostics

    /// Proves the table; its findings become mistakes of the file.
    ///
    /// - Returns: The paths that were proved, in the order of the entries; none if anything was found.
    func prove(_ table: ForwardingTable) -> [ProvedPath] {
        let result: Prover.Result
        do throws(TableError) {
            result = try Prover.prove(
                ProofSubject(
                    table: table, nodes: proofNodes(), owners: bases.map(\.service), vouched: planned.vouched))
        } catch {
            for problem in error.problems { tell(problem) }
            return []
        }
        for finding in withoutConsequences(withoutHalfDead(result.findings)) { tell(finding) }
        return result.findings.isEmpty ? result.paths : []
    }

    /// The nodes, as a proof sees them.
    private func proofNodes() -> [ProofNode] {
        let served = servedAddresses()
        return file.nodes.enumerated().map { index, node in
            ProofNode(
                name: node.name.value, system: systems[index], isTransparent: node.transparent,
                mayEmit: legs[index].indices.contains {
                    system(index, leg: $0) == .passiveApplication && maySend(index, leg: $0)
                },
                legs: legs[index].enumerated().map { place, leg in
                    let other = legs[index][across(index, place)]
                    let addresses = leg.addresses.map(\.address) + [GeneratedNames.linkLocal(leg.mac)]
                    return ProofLeg(
                        interface: leg.interface, mac: other.alias ?? leg.mac,
                        addresses: node.transparent ? [] : addresses, system: system(index, leg: place),
                        announced: announced(index, leg: place))
                },
                prefixes: node.prefixes.map(\.value), served: served[index] ?? [],
                routes: isPassedByRoutes(index) ? proofRoutes(nodes[index]) : nil,
                mayHave: node.mayHave.map(\.value))
        } + beyond.map(hosts)
    }

    private func hosts(beyond interface: Int) -> ProofNode {
        let raw = file.interfaces[interface]
        let taken = Set(
            raw.addresses.map(\.value.value.address)
                + legsOn[interface].flatMap { legs[$0.node][$0.leg].addresses.map(\.address) })
        let own = raw.behind.compactMap { prefix in
            (1...UInt64(taken.count + 2)).lazy.map { prefix.value.address.advanced(by: $0) }
                .first { prefix.value.contains(IPPrefix(host: $0)) && !taken.contains($0) }
        }
        // No device has it: the first octet says that it is locally administered, the others are the interface's.
        let mac = MACAddress(bits: named.interfaces.engineMACs[interface].bits ^ 1)
        var hosts = ProofNode(
            name: "hosts behind \(raw.device?.value ?? raw.name.value)", system: .customer,
            legs: [ProofLeg(interface: interface, mac: mac, addresses: own + [GeneratedNames.linkLocal(mac)])],
            prefixes: raw.behind.map(\.value))
        hosts.isCrowd = true
        return hosts
    }

    /// The addresses that a node may announce on a leg. In a proof, the first instance has done so.
    private func announced(_ node: Int, leg: Int) -> [IPAddress] {
        guard file.nodes[node].announced != nil, lead(node) == node else { return [] }
        return services.flatMap { service -> [IPAddress] in
            guard let stop = service.stop(of: node), stop.enter == leg || stop.leave == leg else { return [] }
            let isEnd = service.stops.last == stop
            return service.raw.addresses.compactMap {
                announcedAddress(stop, leg: leg, $0.value, isEnd: isEnd)
            }
        }.uniqued()
    }

    /// The networks of a node's links, and its routes.
    private func proofRoutes(_ node: NodePlan) -> [ProofRoute] {
        node.legs.enumerated().flatMap { place, leg in
            leg.addresses.map { ProofRoute(destination: $0.prefix, leg: place) }
        } + node.routes.map { ProofRoute(destination: $0.destination, leg: $0.leg) }
    }

    /// The part of the file's text that several entries of the table share.
    private struct DeadGroup: Hashable {
        var origin: SourceOrigin
        var name: String
        var port: ServicePort
        var side: IPPrefix?
    }

    /// The findings without dead entries of a group that has a live one. One statement of the file may become several
    /// entries, one for each customer or address. One match among them is enough.
    private func withoutHalfDead(_ findings: [ProofFinding]) -> [ProofFinding] {
        var dead: Set<Int> = []
        for case .dead(let entry, _, _) in findings { dead.insert(entry) }
        guard !dead.isEmpty else { return findings }
        var alive: Set<DeadGroup> = []
        for index in entries.indices where !dead.contains(index) { alive.insert(deadGroup(index)) }
        var reported: Set<DeadGroup> = []
        return findings.filter { finding in
            guard case .dead(let entry, _, _) = finding else { return true }
            let group = deadGroup(entry)
            return !alive.contains(group) && reported.insert(group).inserted
        }
    }

    /// The findings without consequences of other findings:
    /// - answers that are lost because an entry sends them to an empty place
    /// - answers to an interface that no node sends requests from
    private func withoutConsequences(_ findings: [ProofFinding]) -> [ProofFinding] {
        var mismatched: Set<Int> = []
        for case .mismatch(let place, _) in findings { mismatched.insert(place.entry) }
        var deserted: Set<Int> = []
        for case .dead(let entry, .noNode, _) in findings { deserted.insert(entries[entry].receivedInterface) }
        return findings.filter { finding in
            if case .mismatch(let place, .noNode) = finding {
                return !deserted.contains(entries[place.entry].targets[place.target].interface)
            }
            guard case .unanswered(_, .nobody, _, let answer) = finding, let last = answer.hops.last else {
                return true
            }
            return !mismatched.contains(last.entry)
        }
    }

    private func deadGroup(_ index: Int) -> DeadGroup {
        let entry = entries[index]
        var port = entry.servicePort
        if port.protocolNumber == 58 { port = ServicePort(protocolNumber: 1) }
        // A service's customers are many, its addresses each count; of a node's addresses by hand, any.
        let isService = bases[index].service != nil
        let side = entry.direction == .request ? entry.destination : entry.source
        return DeadGroup(
            origin: bases[index].origin, name: entry.name, port: port, side: isService ? side : nil)
    }

    // MARK: Reasons why a table cannot be compiled

    private func tell(_ problem: TableProblem) {
        let references: [EntryReference]
        switch problem {
        case .tie(let first, let second): references = [second, first]
        case .noTargets(let entry), .entryInterface(let entry, _), .mixedFamilies(let entry),
            .rewriteAcrossFamilies(let entry, _), .rewriteOfPrefix(let entry, _), .portsWithoutProtocol(let entry),
            .portShift(let entry), .portsOfInstances(let entry),
            .counter(let entry, _), .entryGroup(let entry, _), .tooManyChoices(let entry):
            references = [entry]
        case .macAddress, .address, .tooManyInterfaces, .mtu, .circuit,
            .tunnel, .interface, .neighbourTwice,
            .sourceTwice,
            .tooManyGroups, .tooManyJoiners, .group, .tooManyAccessPoints, .accessNode, .accessList:
            references = []
        }
        if case .tie(let first, let second) = problem {
            let (left, right) = (bases[first.index], bases[second.index])
            diagnostics.finding(
                right.origin,
                "\(right.label) and \(left.label) \(left.origin.place) match the same packets on interface "
                    + "\(quoted(file.interfaces[entries[second.index].receivedInterface].name.value)) where a request's "
                    + "port meets a response's, and neither is more specific",
                hint: "give one of them another source, destination or service port",
                related: [(left.origin, "\(left.label) is here")],
                example: "\(sample(second.index)): \(first.name) and \(second.name) both take it")
            return
        }
        diagnostics.finding(
            references.first.map { bases[$0.index].origin } ?? file.name.origin, "\(problem)",
            hint: "change what the entry matches or sends", related: [],
            example: references.first.map { sample($0.index) })
    }
}
