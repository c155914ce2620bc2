import Forwarding
import Wire

extension PlanBuilder {
    /// How an entry knows what comes from a node: the interface and the Ethernet source.
    struct Emission: Hashable {
        var interface: Int
        var mac: MACAddress
    }

    /// The leg that requests enter by, or leave by.
    private func leg(_ node: Int, _ side: ChainDirection) -> ResolvedLeg {
        side == .request ? legs[node][0] : legs[node][legs[node].count - 1]
    }

    /// Where a node's packets of a direction come from: requests from its far side, responses from its near side.
    func emission(_ node: Int, _ direction: ChainDirection) -> Emission {
        let own = direction == .request ? legs[node][legs[node].count - 1] : legs[node][0]
        let other = direction == .request ? legs[node][0] : legs[node][legs[node].count - 1]
        return Emission(interface: own.interface, mac: other.alias ?? own.mac)
    }

    /// How a node is sent packets of a direction: requests to its near side, responses to its far side.
    func target(_ node: Int, _ direction: ChainDirection) -> SendTarget {
        let own = leg(node, direction)
        let other = leg(node, direction == .request ? .response : .request)
        // A frame through a transparent application carries the engine's two aliases as its ends.
        return SendTarget(
            interface: own.interface, address: .mac(other.alias ?? own.mac), sourceMAC: own.alias,
            system: systems[node])
    }

    /// Adds the distribution and sequencing entries of a service, in the order in which a packet meets them.
    func addEntries(of service: ResolvedService) {
        for flow in flows(of: service) {
            addDistribution(service, flow)
            for place in service.chain.indices.dropLast() { addRequest(service, flow, place) }
            for place in service.chain.indices.reversed() { addResponse(service, flow, place) }
            for place in service.chain.indices {
                let passives = service.passives[place].filter { file.nodes[$0].activeResponses?.value == true }
                for passive in passives.flatMap({ members(of: $0) }) {
                    addActiveResponses(service, flow, passive, place)
                }
            }
        }
    }

    /// Every address with every service port, and with ICMP where the service has the address's echo.
    private func flows(of service: ResolvedService) -> [Flow] {
        service.raw.addresses.flatMap { address -> [Flow] in
            let family = address.value.family
            guard service.sides.contains(where: { $0.prefix.family == family }) else { return [] }
            var ports = service.raw.ports.map { $0.value.servicePort(family) }
            if hasImpliedICMP(service, address.value) { ports.append(PortSpecification.icmp.servicePort(family)) }
            return ports.map { Flow(address: address.value, port: $0) }
        }
    }

    private func hasImpliedICMP(_ service: ResolvedService, _ address: IPPrefix) -> Bool {
        let own = service.raw.ports.map(\.value)
        guard !own.contains(where: { $0.upperProtocol == .any || isICMP($0, address.family) }) else { return false }
        return !services.contains { other in
            guard other.index != service.index, other.raw.addresses.contains(where: { $0.value == address }),
                other.scopes.contains(where: { scope in service.scopes.contains(scope) })
            else { return false }
            return other.index < service.index || other.raw.ports.contains { isICMP($0.value, address.family) }
        }
    }

    private func isICMP(_ port: PortSpecification, _ family: AddressFamily) -> Bool {
        port.servicePort(family).protocolNumber == (family == .ipv4 ? 1 : 58)
    }

    private func add(_ service: ResolvedService, from node: Int, _ entry: Entry) {
        var entry = entry
        entry.counter = entries.count
        entries.append(entry)
        origins.append(
            EntryOrigin(
                position: service.raw.name.position, label: "service \(quoted(service.raw.name.value))",
                service: service.index, node: node < 0 ? node : lead(node)))
    }

    /// The address that requests get at the end of the chain, and answers lose; nil where nothing is rewritten, because
    /// the end has a MAC send address, or the service's address is its own.
    func rewritten(_ service: ResolvedService, _ node: Int, _ place: Int, _ flow: Flow) -> IPAddress? {
        guard place == service.chain.count - 1, file.nodes[node].networkAddress != nil, !isOwn(flow.address, node)
        else { return nil }
        return legs[node][0].address(flow.address.family)
    }

    /// True where a node has the address itself, on the leg that requests enter by.
    func isOwn(_ address: IPPrefix, _ node: Int) -> Bool {
        address.isHost && legs[node][0].addresses.contains { $0.address == address.address }
    }

    private func addDistribution(_ service: ResolvedService, _ flow: Flow) {
        let hops = onward(service, to: 0, flow)
        for scope in service.scopes where scope.source.map({ $0.family == flow.address.family }) ?? true {
            add(
                service, from: -1,
                Entry(
                    name: "\(service.raw.name.value).request.customers", kind: .distribution, direction: .request,
                    receivedInterface: scope.interface, sourceMAC: scope.node.map { emission($0, .request).mac },
                    source: scope.source, destination: flow.address,
                    servicePort: flow.port, hops: hops, counter: 0))
        }
    }

    /// The customers' addresses where only they tell services apart, else any.
    private func customers(
        _ service: ResolvedService, _ family: AddressFamily, named: Bool = false
    ) -> [IPPrefix?] {
        guard service.needsSource || named else { return [nil] }
        let sides = service.sides.map(\.prefix) + service.scopes.compactMap(\.source)
        return sides.filter { $0.family == family }.uniqued()
    }

    /// One entry for each instance that passes requests on.
    private func addRequest(_ service: ResolvedService, _ flow: Flow, _ place: Int) {
        let hops = onward(service, to: place + 1, flow)
        for node in members(of: service.chain[place]) {
            let emission = emission(node, .request)
            let named =
                isMistakable(node, emission, from: nil, to: flow.address, for: service.index)
                || !sidesWithin(service, flow.address, node).isEmpty
            for source in customers(service, flow.address.family, named: named) {
                add(
                    service, from: node,
                    Entry(
                        name: "\(service.raw.name.value).request.\(told(node))", kind: .sequencing,
                        direction: .request, receivedInterface: emission.interface, sourceMAC: emission.mac,
                        source: source, destination: flow.address, servicePort: flow.port, hops: hops, counter: 0))
            }
        }
    }

    /// The customers' networks inside a prefix that passes a node with one leg: their addresses tell requests from
    /// responses there.
    private func sidesWithin(_ service: ResolvedService, _ address: IPPrefix, _ node: Int) -> [IPPrefix] {
        guard legs[node].count == 1, lead(node) != service.chain.last else { return [] }
        return service.sides.map(\.prefix).filter { address.contains($0) }.uniqued()
    }

    /// One entry for each instance that answers, or passes answers on.
    private func addResponse(_ service: ResolvedService, _ flow: Flow, _ place: Int) {
        for node in members(of: service.chain[place]) {
            let emission = emission(node, .response)
            let own = rewritten(service, node, place, flow)
            var entry = Entry(
                name: "\(service.raw.name.value).response.\(told(node))", kind: .sequencing,
                direction: .response, receivedInterface: emission.interface, sourceMAC: emission.mac,
                source: own.map { IPPrefix(host: $0) } ?? flow.address, servicePort: flow.port,
                rewriteSource: own == nil ? nil : flow.address.address, hops: [], counter: 0)
            addResponses(service, flow, node, place, entry)
            // What one customer sends to another turns round here: passed on, it would come back as it is.
            for side in sidesWithin(service, flow.address, node) {
                entry.source = side
                addResponses(service, flow, node, place, entry)
            }
        }
    }

    private func addResponses(
        _ service: ResolvedService, _ flow: Flow, _ node: Int, _ place: Int, _ template: Entry
    ) {
        let family = flow.address.family
        let named =
            isMistakable(node, emission(node, .response), from: template.source, to: nil, for: service.index)
            || !sidesWithin(service, flow.address, node).isEmpty
        let destinations = self.destinations(service, place, family, named: named)
        var entry = template
        for destination in destinations {
            guard let hops = back(service, from: place, to: destination.side) else { continue }
            entry.destination = destination.prefix
            entry.hops = hops
            add(service, from: node, entry)
        }
        if destinations.contains(where: { $0.prefix == nil }) { addTranslated(service, from: node, place, template) }
    }

    /// Where answers from a place of the chain are for, as far as entries tell: customers where they may go straight
    /// there, and where only the customers' addresses tell services apart; else anybody.
    private func destinations(
        _ service: ResolvedService, _ place: Int, _ family: AddressFamily, named: Bool = false
    ) -> [(prefix: IPPrefix?, side: CustomerSide?)] {
        let sides = service.sides.filter { $0.prefix.family == family }.map { (Optional($0.prefix), Optional($0)) }
        guard place > 0 else { return sides }
        let named = customers(service, family, named: named).map { prefix in
            (prefix, prefix.flatMap { prefix in service.sides.first { $0.prefix.contains(prefix) } })
        }
        guard mayPassOver(service, before: place) else { return named }
        return sides + named.filter { pair in !sides.contains { $0.0 == pair.0 } }
    }

    /// What passes packets on may put its own address for the customers' (NAT): answers for that go back to the instance
    /// that did, whichever the flow would meet otherwise.
    private func addTranslated(_ service: ResolvedService, from node: Int, _ place: Int, _ template: Entry) {
        let before = service.chain[place - 1]
        guard members(of: before).count > 1, let family = template.source?.family else { return }
        var entry = template
        for member in members(of: before) {
            for address in legs[member][legs[member].count - 1].addresses where address.address.family == family {
                entry.destination = IPPrefix(host: address.address)
                entry.hops = copies(service.passives[place]) + [.target(target(member, .response))]
                add(service, from: node, entry)
            }
        }
    }

    /// What a passive application may say for itself: to either end, from its own place in the chain.
    private func addActiveResponses(_ service: ResolvedService, _ flow: Flow, _ passive: Int, _ place: Int) {
        let emission = emission(passive, .request)
        for source in customers(service, flow.address.family) {
            add(
                service, from: passive,
                Entry(
                    name: "\(service.raw.name.value).request.\(told(passive))", kind: .sequencing,
                    direction: .request, receivedInterface: emission.interface, sourceMAC: emission.mac,
                    source: source, destination: flow.address, servicePort: flow.port,
                    hops: [request(service, to: place, flow)], counter: 0))
        }
        var entry = Entry(
            name: "\(service.raw.name.value).response.\(told(passive))", kind: .sequencing, direction: .response,
            receivedInterface: emission.interface, sourceMAC: emission.mac, source: flow.address,
            servicePort: flow.port, hops: [], counter: 0)
        for destination in destinations(service, place, flow.address.family) {
            guard let hops = response(service, to: place - 1, destination.side) else { continue }
            entry.destination = destination.prefix
            entry.hops = hops
            add(service, from: passive, entry)
        }
    }
}
