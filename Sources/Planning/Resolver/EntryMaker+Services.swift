import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The distribution and sequencing entries of services.
extension EntryMaker {
    /// The entries of a service, in the order in which a packet meets them.
    func entries(of service: ResolvedService) -> [MadeEntry] {
        flows(of: service).flatMap { flow -> [MadeEntry] in
            let places = service.chain.indices
            return distribution(service, flow) + places.dropLast().flatMap { requests(service, flow, $0) }
                + places.reversed().flatMap { responses(service, flow, $0) }
                + places.flatMap { place in
                    service.passives[place].filter { file.nodes[$0.node].activeResponses?.value == true }
                        .flatMap { stop in
                            members(of: stop.node).flatMap { activeResponses(service, flow, $0, stop.enter, place) }
                        }
                }
        }
    }

    /// Every address with every service port, and with ICMP if the service has the address's echo.
    private func flows(of service: ResolvedService) -> [Flow] {
        service.raw.addresses.flatMap { address -> [Flow] in
            let family = address.value.family
            guard service.sides.contains(where: { $0.prefix.family == family }) else { return [] }
            var flows = service.raw.ports.map { port in
                Flow(
                    address: address.value, port: port.value.servicePort(family), specification: port,
                    translatedFrom: place(of: port.value, in: service))
            }
            if hasImpliedICMP(service, address.value) {
                flows.append(Flow(address: address.value, port: PortSpecification.icmp.servicePort(family)))
            }
            return flows
        }
    }

    /// The first place of a chain whose application has other ports; nil if none has.
    private func place(of port: PortSpecification, in service: ResolvedService) -> Int? {
        guard let translation = port.translation else { return nil }
        let named = translation.at.flatMap { nodeIndex[$0] }.flatMap { service.chain.firstIndex(of: $0) }
        return named ?? service.chain.count - 1
    }

    /// An entry of a service, with the ports that packets have at the place of the chain that they come from.
    ///
    /// - Parameters:
    ///   - place: The place; -1 for customers.
    ///   - entry: The entry with the customers' port, and with hops that translate from there.
    private func made(
        _ service: ResolvedService, from node: Int, _ flow: Flow, at place: Int, _ entry: Entry
    ) -> MadeEntry {
        var entry = entry
        let back = flow.shift(at: place).reversed
        if !back.isNone {
            entry.servicePort = flow.port(at: place)
            entry.outerShift = back
            entry.hops = entry.hops.map { $0.shifted(by: back) }
        }
        return MadeEntry(
            entry: entry,
            basis: EntryBasis(
                origin: service.raw.name.origin, label: "service \(quoted(service.raw.name.value))",
                service: service.index, node: node < 0 ? node : lead(node), port: flow.specification))
    }

    /// The address that requests get at the end of the chain, and answers lose; nil if nothing is rewritten, because
    /// the end has a MAC send address, or the service's address is its own.
    func rewritten(_ service: ResolvedService, _ node: Int, _ place: Int, _ flow: Flow) -> IPAddress? {
        let leg = service.stops[place].enter
        guard place == service.chain.count - 1, file.nodes[node].networkAddress != nil,
            !isOwn(flow.address, node, leg: leg)
        else { return nil }
        return legs[node][leg].address(flow.address.family)
    }

    /// True if a node also sends packets as a customer that only the customers' addresses tell from these.
    func isMistakable(
        _ node: Int, _ emission: Emission, from source: IPPrefix?, to destination: IPPrefix?, for service: Int
    ) -> Bool {
        served.openings.contains { opening in
            opening.node == node && opening.emission == emission && opening.service != service
                && (source.map { own in opening.source?.overlaps(own) ?? (own.family == opening.destination.family) }
                    ?? true)
                && (destination.map { $0.overlaps(opening.destination) } ?? true)
        }
    }

    private func distribution(_ service: ResolvedService, _ flow: Flow) -> [MadeEntry] {
        let hops = onward(service, to: 0, flow)
        return service.scopes.filter { $0.source.map { $0.family == flow.address.family } ?? true }.map { scope in
            made(
                service, from: -1, flow, at: -1,
                Entry(
                    name: "\(service.raw.name.value).request.customers", kind: .distribution, direction: .request,
                    receivedInterface: scope.interface, sourceMAC: scope.node.map { emission($0, leg: scope.leg).mac },
                    source: scope.source, destination: flow.address,
                    servicePort: flow.port, hops: hops, counter: 0))
        }
    }

    /// The customers' addresses if only they tell services apart, else any.
    private func customers(
        _ service: ResolvedService, _ family: AddressFamily, named: Bool = false
    ) -> [IPPrefix?] {
        guard service.needsSource || named else { return [nil] }
        let sides = service.sides.map(\.prefix) + service.scopes.compactMap(\.source)
        return sides.filter { $0.family == family }.uniqued()
    }

    /// One entry for each instance that passes requests on.
    private func requests(_ service: ResolvedService, _ flow: Flow, _ place: Int) -> [MadeEntry] {
        let hops = onward(service, to: place + 1, flow)
        return members(of: service.chain[place]).flatMap { node -> [MadeEntry] in
            let emission = emission(service.stops[place], .request, of: node)
            let named =
                isMistakable(node, emission, from: nil, to: flow.address, for: service.index)
                || !sidesWithin(service, flow.address, place).isEmpty
            return customers(service, flow.address.family, named: named).map { source in
                made(
                    service, from: node, flow, at: place,
                    Entry(
                        name: "\(service.raw.name.value).request.\(shownName(node))", kind: .sequencing,
                        direction: .request, receivedInterface: emission.interface, sourceMAC: emission.mac,
                        source: source, destination: flow.address, servicePort: flow.port, hops: hops, counter: 0))
            }
        }
    }

    /// The customers' networks inside a prefix that enters and leaves a node by one leg: their addresses tell requests
    /// from responses there.
    private func sidesWithin(_ service: ResolvedService, _ address: IPPrefix, _ place: Int) -> [IPPrefix] {
        let stop = service.stops[place]
        guard stop.enter == stop.leave, place < service.stops.count - 1 else { return [] }
        return service.sides.map(\.prefix).filter { address.contains($0) }.uniqued()
    }

    /// One entry for each instance that answers, or passes answers on.
    private func responses(_ service: ResolvedService, _ flow: Flow, _ place: Int) -> [MadeEntry] {
        members(of: service.chain[place]).flatMap { node -> [MadeEntry] in
            let emission = emission(service.stops[place], .response, of: node)
            let own = rewritten(service, node, place, flow)
            var entry = Entry(
                name: "\(service.raw.name.value).response.\(shownName(node))", kind: .sequencing,
                direction: .response, receivedInterface: emission.interface, sourceMAC: emission.mac,
                source: own.map { IPPrefix(host: $0) } ?? flow.address, servicePort: flow.port,
                rewriteSource: own == nil ? nil : flow.address.address, hops: [], counter: 0)
            let usual = responses(service, flow, node, place, entry)
            // Packets from one customer to another turn round here: passed on, they would come back unchanged.
            return usual
                + sidesWithin(service, flow.address, place).flatMap { side -> [MadeEntry] in
                    entry.source = side
                    return responses(service, flow, node, place, entry)
                }
        }
    }

    private func responses(
        _ service: ResolvedService, _ flow: Flow, _ node: Int, _ place: Int, _ template: Entry
    ) -> [MadeEntry] {
        let family = flow.address.family
        let named =
            isMistakable(
                node, emission(service.stops[place], .response, of: node), from: template.source, to: nil,
                for: service.index)
            || !sidesWithin(service, flow.address, place).isEmpty
        let destinations = self.destinations(service, place, family, named: named)
        let answers = destinations.compactMap { destination -> MadeEntry? in
            guard let hops = back(service, from: place, flow, to: destination.side) else { return nil }
            var entry = template
            entry.destination = destination.prefix
            entry.hops = hops
            return made(service, from: node, flow, at: place, entry)
        }
        guard destinations.contains(where: { $0.prefix == nil }) else { return answers }
        return answers + translated(service, from: node, place, flow, template)
    }

    /// The destinations of answers from a place of the chain, as far as entries name them. They are customers if
    /// answers may go straight there, or if only the customers' addresses tell services apart; else any.
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

    /// An inline application may put its own address in place of the customers' (NAT). Answers for that address go back
    /// to the instance that did so, whichever instance the flow would meet otherwise.
    private func translated(
        _ service: ResolvedService, from node: Int, _ place: Int, _ flow: Flow, _ template: Entry
    ) -> [MadeEntry] {
        let before = service.stops[place - 1]
        guard members(of: before.node).count > 1, let family = template.source?.family else { return [] }
        return members(of: before.node).flatMap { member in
            legs[member][before.leave].addresses.filter { $0.address.family == family }.map { address in
                var entry = template
                entry.destination = IPPrefix(host: address.address)
                var target = target(before, .response, of: member)
                target.portShift = flow.shift(at: place - 1)
                entry.hops = copies(service.passives[place], flow.shift(at: place - 1)) + [.target(target)]
                return made(service, from: node, flow, at: place, entry)
            }
        }
    }

    /// The packets that a passive application may send itself: to either end, from its own place in the chain.
    private func activeResponses(
        _ service: ResolvedService, _ flow: Flow, _ passive: Int, _ leg: Int, _ place: Int
    ) -> [MadeEntry] {
        let emission = emission(passive, leg: leg)
        let requests = customers(service, flow.address.family).map { source in
            made(
                service, from: passive, flow, at: place - 1,
                Entry(
                    name: "\(service.raw.name.value).request.\(shownName(passive))", kind: .sequencing,
                    direction: .request, receivedInterface: emission.interface, sourceMAC: emission.mac,
                    source: source, destination: flow.address, servicePort: flow.port,
                    hops: [request(service, to: place, flow)], counter: 0))
        }
        let template = Entry(
            name: "\(service.raw.name.value).response.\(shownName(passive))", kind: .sequencing, direction: .response,
            receivedInterface: emission.interface, sourceMAC: emission.mac, source: flow.address,
            servicePort: flow.port, hops: [], counter: 0)
        return requests
            + destinations(service, place, flow.address.family).compactMap { destination -> MadeEntry? in
                guard let hops = response(service, to: place - 1, flow, destination.side) else { return nil }
                var entry = template
                entry.destination = destination.prefix
                entry.hops = hops
                return made(service, from: passive, flow, at: place - 1, entry)
            }
    }
}
