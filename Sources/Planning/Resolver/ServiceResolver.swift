import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Finds the applications and customers of services, and the part of each node in their chains.
struct ServiceResolver: AddressStage, Diagnosing {
    let addressed: AddressedTopology
    let diagnostics: Diagnostics

    /// Finds the applications and customers of a service. Reports what is wrong with it, and then returns nil.
    func resolve(_ raw: RawService, _ index: Int) -> ResolvedService? {
        let before = diagnostics.count
        var service = ResolvedService(index: index, raw: raw)
        checkAddresses(of: raw)
        var pending = passivesToDistribute(raw)
        var seen: Set<Int> = []
        for (place, name) in raw.sequence.enumerated() {
            guard let node = listed(name.name) else { continue }
            let isEnd = place == raw.sequence.count - 1
            let isCopied = file.nodes[node].passive && !(isEnd && endsAt(name, node))
            guard let stop = stop(node, name, isEnd: isEnd || isCopied) else { continue }
            if isCopied {
                if !pending.contains(stop) { pending.append(stop) }
                continue
            }
            guard seen.insert(node).inserted else {
                diagnostics.error(
                    name.origin, "\(quoted(name.value)) is in the sequence twice: its packets would run in a loop",
                    hint: "remove one; a packet passes an application once each way")
                continue
            }
            service.stops.append(stop)
            service.passives.append(pending)
            pending = []
        }
        checkChain(of: raw, service.chain)
        checkDistribution(of: raw, head: service.chain.first, isSound: diagnostics.count == before)
        resolveScopes(&service)
        checkOneArmed(of: service)
        checkTranslations(of: raw, service.chain)
        checkJudges(of: service)
        guard diagnostics.count == before, !service.chain.isEmpty else { return nil }
        guard (service.chain + service.listeners).allSatisfy({ !legs[$0].isEmpty }) else { return nil }
        checkAnnounced(service)
        return diagnostics.count == before ? service : nil
    }

    /// True if a sequence ends at a further leg of a passive application: `{ ids: management }`.
    private func endsAt(_ stop: RawStop, _ node: Int) -> Bool {
        guard let name = stop.enter?.value else { return false }
        return legs[node].dropFirst().contains { $0.role == name }
    }

    private func checkAddresses(of raw: RawService) {
        for address in raw.addresses {
            guard let fault = unusable(address.value) ?? unusableOnLinks(address.value) else { continue }
            diagnostics.error(
                address.origin, "\(address.value) cannot be a service address: it \(fault)",
                hint: "choose unicast addresses that customers can send to")
        }
        for (index, address) in raw.addresses.enumerated()
        where raw.addresses[..<index].contains(where: { $0.value == address.value }) {
            diagnostics.error(address.origin, "the address \(address.value) is given twice", hint: "remove one")
        }
        for port in raw.ports {
            let families = Set(raw.addresses.map(\.value.family)).sorted { $0.rawValue < $1.rawValue }
            guard case .number(let number) = port.value.upperProtocol,
                families.contains(where: { HeaderChain.isStepped(over: number, $0) })
            else { continue }
            diagnostics.error(
                port.origin,
                "protocol \(number) is a header before the packet's own protocol: engines look behind it, so no packet "
                    + "would match the service port",
                hint: "name the protocol behind it, such as tcp/80, or write `any`")
        }
        for (index, port) in raw.ports.enumerated()
        where raw.ports[..<index].contains(where: { earlier in
            earlier.value.servicePort(.ipv4).ties(with: port.value.servicePort(.ipv4))
        }) {
            diagnostics.error(
                port.origin, "the service port overlaps with one before it in the list",
                hint: "combine the two, or remove one")
        }
    }

    func passivesToDistribute(_ raw: RawService) -> [Stop] {
        raw.distribute.compactMap { name in
            nodeIndex[name.value].flatMap { file.nodes[$0].passive ? stop($0, name, isEnd: true) : nil }
        }.uniqued()
    }

    /// For each passive application, the legs that copies reach it by: its first one, and those that services name.
    func copyLegs(_ copies: [Stop]) -> [Int: Set<Int>] {
        var found: [Int: Set<Int>] = [:]
        for node in file.nodes.indices where file.nodes[node].passive { found[node] = [0] }
        for stop in copies {
            for member in members(of: stop.node) { found[member, default: []].insert(stop.enter) }
        }
        return found
    }

    func checkDistribution(of raw: RawService, head: Int?, isSound: Bool) {
        var seen: Set<String> = []
        for name in raw.distribute {
            guard let node = listed(name.name) else { continue }
            if !seen.insert("\(name.value) \(name.enter?.value ?? "")").inserted {
                diagnostics.error(name.origin, "\(quoted(name.value)) is in `distribute` twice", hint: "remove one")
            } else if !file.nodes[node].passive, let head, node != head, !followsMistakes, isSound {
                diagnostics.error(
                    name.origin,
                    "\(quoted(name.value)) would get a copy, and later the packet itself: it is neither passive nor the "
                        + "head of the sequence, \(quoted(shownName(head)))",
                    hint: "remove it from `distribute`, or move it to the front of `sequence`")
            }
        }
    }

    private func checkChain(of raw: RawService, _ chain: [Int]) {
        guard let last = raw.sequence.last, let lastNode = nodeIndex[last.value] else { return }
        if file.nodes[lastNode].passive {
            guard !endsAt(last, lastNode) else { return }
            let further = legs[lastNode].dropFirst().first.map {
                "; to reach it by a further leg, write { \(last.value): \($0.role) }"
            }
            diagnostics.error(
                last.origin, "the sequence ends at \(quoted(last.value)), which is passive and never answers",
                hint: "end it at a terminal application or a router; for copies, name it in `distribute`"
                    + (further ?? ""))
            return
        }
        if file.nodes[lastNode].transparent {
            diagnostics.error(
                last.origin, "the sequence ends at \(quoted(last.value)), which is transparent and never answers",
                hint: "end it at a terminal application or a router")
        }
        for name in raw.sequence.dropLast() {
            guard let index = nodeIndex[name.value], chain.contains(index) else { continue }
            let node = file.nodes[index]
            if node.kind == .router {
                diagnostics.error(
                    name.origin, "\(quoted(name.value)) is a router in the middle of a sequence",
                    hint: "end the sequence at it, and give the networks behind it a service with "
                        + "`from: \(name.value)`; or describe it as an application with `in` and `out`")
            } else if node.networkAddress != nil {
                diagnostics.error(
                    name.origin,
                    "\(quoted(name.value)) has a network send address in the middle of a sequence: what it sends on no "
                        + "longer has the service address",
                    hint: "end the sequence at it, and give its further packets a service with `from: \(name.value)`; "
                        + "or remove `send: network`")
            }
        }
        checkEnd(of: raw, last, lastNode)
    }

    private func checkEnd(of raw: RawService, _ last: RawStop, _ lastNode: Int) {
        let node = file.nodes[lastNode]
        guard node.kind == .application, !node.transparent else { return }
        if node.networkAddress != nil, let prefix = raw.addresses.first(where: { !$0.value.isHost }) {
            diagnostics.error(
                last.origin,
                "the service address \(prefix.value) is a prefix, and \(quoted(last.value)) has a network send address: "
                    + "a destination that was not one address could not be restored",
                hint:
                    "remove `send: network` from \(place(lastNode)), end the sequence at a router, or list "
                    + "the addresses one by one")
        }
        guard node.networkAddress != nil,
            let leg = legs[lastNode].first(where: { $0.role == last.enter?.value }) ?? legs[lastNode].first
        else { return }
        for family in AddressFamily.allCases {
            let addresses = raw.addresses.filter { $0.value.family == family }
            if addresses.count > 1 {
                diagnostics.error(
                    addresses[1].origin,
                    "\(quoted(last.value)) has a network send address: its answers for \(addresses[0].value) and "
                        + "\(addresses[1].value) cannot be told apart",
                    hint: "remove `send: network` from \(place(lastNode)), or make two services and "
                        + "applications of it")
            }
            if let address = addresses.first, leg.address(family) == nil {
                diagnostics.error(
                    address.origin,
                    "\(quoted(last.value)) \(place(lastNode).place) has a network send address and none of the "
                        + "family of \(address.value)",
                    hint: "give it, or its interface, an address of that family")
            }
        }
    }

    /// With one leg alone, only the customers' addresses tell the requests for a prefix from the responses.
    private func checkOneArmed(of service: ResolvedService) {
        for stop in service.stops.dropLast()
        where stop.enter == stop.leave && file.nodes[stop.node].legs.count <= legs[stop.node].count {
            let node = stop.node
            let prefixes = service.sides.map(\.prefix)
            guard let address = service.raw.addresses.first(where: { !$0.value.isHost && prefixes.contains($0.value) })
            else { continue }
            diagnostics.error(
                service.raw.sequence.first { $0.value == shownName(node) }?.origin ?? place(node),
                "\(quoted(shownName(node))) \(place(node).place) has one interface, and both the customers and the "
                    + "service are \(address.value): nothing distinguishes its requests from its responses",
                hint: "give it a second interface: attach: { in: …, out: … }")
        }
    }

    /// The kind of each node: by its place in the chains, else by its interfaces.
    func systems(_ services: [ResolvedService]) -> [DestinationSystemType] {
        let inner = Set(services.flatMap { $0.chain.dropLast() })
        let ends = Set(services.compactMap(\.chain.last))
        return file.nodes.enumerated().map { index, node in
            switch node.kind {
            case .customer: .customer
            case .router: .router
            case .application:
                node.passive
                    ? .passiveApplication
                    : inner.contains(lead(index))
                        || (!ends.contains(lead(index)) && hasWayThrough(node))
                        ? .inlineApplication : .terminalApplication
            }
        }
    }

    /// True if a node has a leg to pass requests on by, beside the one that they reach it by.
    private func hasWayThrough(_ node: RawNode) -> Bool {
        node.legs.count > 1 && (node.legs.last?.name == "out" || node.legs[0].name != "in")
    }

    /// Notes policies that a place in a chain leaves no sense.
    func checkPolicies(_ services: [ResolvedService]) {
        for application in applications {
            guard let policy = application.raw.whenDown, policy.value == .bypass || policy.value == .skipRest,
                !application.raw.template.passive,
                let service = services.first(where: { $0.chain.last == application.members[0] })
            else { continue }
            diagnostics.error(
                policy.origin,
                "service \(quoted(service.raw.name.value)) \(service.raw.name.origin.place) ends at "
                    + "\(quoted(application.raw.name.value)): if it is bypassed, no node can answer",
                hint: "write `when-down: drop`, and `answer: unreachable` or `reset` to tell the customers")
        }
    }

    /// The legs of a node that a service's packets pass.
    private func passed(_ service: ResolvedService, _ node: Int) -> [ResolvedLeg] {
        let stops = (service.stops + service.passives.joined()).filter { $0.node == node }
        let places = stops.flatMap { [$0.enter, $0.leave] } + service.openingLegs(of: node)
        return places.uniqued().sorted().map { legs[node][$0] }
    }

    /// Notes interfaces of the chain that cannot carry the service's packets.
    func checkCarriage(of service: ResolvedService) {
        for family in service.families.sorted(by: { $0.rawValue < $1.rawValue }) {
            guard let address = service.raw.addresses.first(where: { $0.value.family == family }) else { continue }
            let hops = service.chain + service.listeners + service.openers
            for node in hops.uniqued() {
                for leg in passed(service, node) {
                    let interface = file.interfaces[leg.interface]
                    if family == .ipv6, interface.mtu.value < 1280 {
                        diagnostics.error(
                            interface.mtu.origin,
                            "an MTU of \(interface.mtu.value) cannot carry IPv6, and service "
                                + "\(quoted(service.raw.name.value)) \(service.raw.name.origin.place) has "
                                + "\(address.value)",
                            hint: "write 1280 or more")
                    }
                    let isRouted =
                        !file.nodes[node].transparent
                        && (!file.nodes[node].passive || !service.listeners.contains(node))
                    let isTunnel = interface.tunnel != nil
                    if family == .ipv4, isRouted, gateway(.ipv4, on: leg.interface) == nil {
                        diagnostics.error(
                            interface.name.origin,
                            "\(isTunnel ? "the tunnel" : "interface") \(quoted(interface.name.value)) has no IPv4 "
                                + "address, and "
                                + "\(quoted(shownName(node))) on it must send packets of "
                                + "\(address.value) to the engine",
                            hint: isTunnel
                                ? "add `gateway: 198.18.5.1/24`, the engine's address inside, to its `remote`"
                                : "add `address: …`, or make the application transparent")
                    }
                }
            }
        }
    }
}
