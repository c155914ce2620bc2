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

    /// What one address and one service port of a service need, to name an entry by.
    private struct Flow {
        var address: IPPrefix
        var port: ServicePort
    }

    /// Adds the distribution and sequencing entries of a service, in the order in which a packet meets them.
    func addEntries(of service: ResolvedService) {
        for flow in flows(of: service) {
            addDistribution(service, flow)
            for place in service.chain.indices.dropLast() { addRequest(service, flow, place) }
            for place in service.chain.indices.reversed() { addResponse(service, flow, place) }
            for place in service.chain.indices {
                for passive in service.passives[place] where file.nodes[passive].activeResponses?.value == true {
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
                service: service.index, node: node))
    }

    private func copies(_ nodes: [Int]) -> [SendTarget] {
        nodes.map { target($0, .request) }
    }

    /// The last hop rewrites the destination where the application has a network send address.
    private func next(_ service: ResolvedService, _ place: Int, _ flow: Flow) -> SendTarget {
        let node = service.chain[place]
        var target = target(node, .request)
        if let address = rewritten(service, place, flow) { target.address = .network(address) }
        return target
    }

    /// The address that requests get at the end of the chain, and answers lose; nil where nothing is rewritten, because
    /// the end has a MAC send address, or the service's address is its own.
    private func rewritten(_ service: ResolvedService, _ place: Int, _ flow: Flow) -> IPAddress? {
        let node = service.chain[place]
        guard place == service.chain.count - 1, file.nodes[node].networkAddress != nil, !isOwn(flow.address, node)
        else { return nil }
        return legs[node][0].address(flow.address.family)
    }

    /// True where a node has the address itself, on the leg that requests enter by.
    func isOwn(_ address: IPPrefix, _ node: Int) -> Bool {
        address.isHost && legs[node][0].addresses.contains { $0.address == address.address }
    }

    private func addDistribution(_ service: ResolvedService, _ flow: Flow) {
        let targets = copies(service.passives[0]) + [next(service, 0, flow)]
        for scope in service.scopes where scope.source.map({ $0.family == flow.address.family }) ?? true {
            add(
                service, from: -1,
                Entry(
                    name: "\(service.raw.name.value).request.customers", kind: .distribution, direction: .request,
                    receivedInterface: scope.interface, sourceMAC: scope.node.map { emission($0, .request).mac },
                    source: scope.source, destination: flow.address,
                    servicePort: flow.port, targets: targets, counter: 0))
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

    private func addRequest(_ service: ResolvedService, _ flow: Flow, _ place: Int) {
        let node = service.chain[place]
        let emission = emission(node, .request)
        let targets = copies(service.passives[place + 1]) + [next(service, place + 1, flow)]
        let named =
            isMistakable(node, emission, from: nil, to: flow.address, for: service.index)
            || !sidesWithin(service, flow.address, node).isEmpty
        for source in customers(service, flow.address.family, named: named) {
            add(
                service, from: node,
                Entry(
                    name: "\(service.raw.name.value).request.\(file.nodes[node].name.value)", kind: .sequencing,
                    direction: .request, receivedInterface: emission.interface, sourceMAC: emission.mac,
                    source: source, destination: flow.address, servicePort: flow.port, targets: targets, counter: 0))
        }
    }

    /// The customers' networks inside a prefix that passes a node with one leg: their addresses tell requests from
    /// responses there.
    private func sidesWithin(_ service: ResolvedService, _ address: IPPrefix, _ node: Int) -> [IPPrefix] {
        guard legs[node].count == 1, node != service.chain.last else { return [] }
        return service.sides.map(\.prefix).filter { address.contains($0) }.uniqued()
    }

    private func addResponse(_ service: ResolvedService, _ flow: Flow, _ place: Int) {
        let node = service.chain[place]
        let emission = emission(node, .response)
        let own = rewritten(service, place, flow)
        var entry = Entry(
            name: "\(service.raw.name.value).response.\(file.nodes[node].name.value)", kind: .sequencing,
            direction: .response, receivedInterface: emission.interface, sourceMAC: emission.mac,
            source: own.map { IPPrefix(host: $0) } ?? flow.address, servicePort: flow.port,
            rewriteSource: own == nil ? nil : flow.address.address, targets: [], counter: 0)
        addResponses(service, flow, place, entry)
        // What one customer sends to another turns round here: passed on, it would come back as it is.
        for side in sidesWithin(service, flow.address, node) {
            entry.source = side
            addResponses(service, flow, place, entry)
        }
    }

    private func addResponses(_ service: ResolvedService, _ flow: Flow, _ place: Int, _ template: Entry) {
        let node = service.chain[place]
        let emission = emission(node, .response)
        guard place > 0 else {
            addToCustomers(service, from: node, template, copies(service.passives[0]), flow.address.family)
            return
        }
        var entry = template
        entry.targets = copies(service.passives[place]) + [target(service.chain[place - 1], .response)]
        let named =
            isMistakable(node, emission, from: entry.source, to: nil, for: service.index)
            || !sidesWithin(service, flow.address, node).isEmpty
        for destination in customers(service, flow.address.family, named: named) {
            entry.destination = destination
            add(service, from: node, entry)
        }
    }

    private func addToCustomers(
        _ service: ResolvedService, from node: Int, _ template: Entry, _ copies: [SendTarget], _ family: AddressFamily
    ) {
        var entry = template
        for side in service.sides where side.prefix.family == family {
            entry.destination = side.prefix
            let answer =
                side.node.map { target($0, .response) }
                ?? SendTarget(interface: side.interface, address: .neighbour(via: side.via), system: .customer)
            entry.targets = copies + [answer]
            add(service, from: node, entry)
        }
    }

    /// What a passive application may say for itself: to either end, from its own place in the chain.
    private func addActiveResponses(_ service: ResolvedService, _ flow: Flow, _ passive: Int, _ place: Int) {
        let emission = emission(passive, .request)
        let name = file.nodes[passive].name.value
        for source in customers(service, flow.address.family) {
            add(
                service, from: passive,
                Entry(
                    name: "\(service.raw.name.value).request.\(name)", kind: .sequencing, direction: .request,
                    receivedInterface: emission.interface, sourceMAC: emission.mac, source: source,
                    destination: flow.address, servicePort: flow.port,
                    targets: [next(service, place, flow)], counter: 0))
        }
        let response = Entry(
            name: "\(service.raw.name.value).response.\(name)", kind: .sequencing, direction: .response,
            receivedInterface: emission.interface, sourceMAC: emission.mac, source: flow.address,
            servicePort: flow.port, targets: [], counter: 0)
        if place > 0 {
            var entry = response
            entry.targets = [target(service.chain[place - 1], .response)]
            for destination in customers(service, flow.address.family) {
                entry.destination = destination
                add(service, from: passive, entry)
            }
        } else {
            addToCustomers(service, from: passive, response, [], flow.address.family)
        }
    }
}
