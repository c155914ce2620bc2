import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Separates the packets of services that have addresses or applications in common.
extension ServiceResolver {
    /// Lets the narrower service address win where customers of a wider one are named one by one.
    ///
    /// The table compares a named source before the destination. So a service for all customers of an interface also
    /// gets the sources that a service with a wider address names there.
    func widened(_ found: [ResolvedService]) -> [ResolvedService] {
        var services = found
        let original = services.map(\.scopes)
        let addresses = services.map { $0.raw.addresses.map(\.value) }
        let prefixes = ServicePrefixes(addresses)
        let naming = original.map { $0.contains { $0.source != nil } }
        for index in services.indices {
            var extra: [Scope] = []
            let wider = Set(addresses[index].flatMap { prefixes.wider(than: $0) }).sorted()
            for other in wider where other != index && naming[other] {
                for scope in original[other] {
                    guard scope.node == nil, let source = scope.source, !original[index].contains(scope) else {
                        continue
                    }
                    let covered = original[index].contains {
                        $0.node == nil && $0.interface == scope.interface && ($0.source?.contains(source) ?? true)
                    }
                    if covered { extra.append(scope) }
                }
            }
            services[index].scopes = (services[index].scopes + extra).uniqued()
        }
        // If two services have one address and different customers, the customers tell them apart all the way.
        for prefix in Set(addresses.joined()) {
            let members = prefixes.having(prefix)
            guard members.count > 1 else { continue }
            let scopes = Set(original[members[0]])
            guard members.contains(where: { Set(original[$0]) != scopes }) else { continue }
            for member in members { services[member].needsSource = true }
        }
        separateOpeners(&services, addresses, prefixes)
        var asking = services.indices.filter { services[$0].needsSource }
        while let other = asking.popLast() {
            for index in prefixes.overlapping(addresses[other])
            where !services[index].needsSource && meet(services[index], services[other]) {
                services[index].needsSource = true
                asking.append(index)
            }
        }
        return services
    }

    /// True if packets of two services may have to be told apart by the customers' addresses. Not so if they leave a node
    /// with several legs by different ones: there the legs tell them apart, and an application may translate addresses.
    private func meet(_ one: ResolvedService, _ other: ResolvedService) -> Bool {
        let common = Set(one.chain).intersection(other.chain)
        guard common.contains(where: { legs[$0].count > 2 }) else { return true }
        return !senders(one).isDisjoint(with: senders(other))
    }

    /// A node and the leg by which it sends packets of a service.
    private struct SendingLeg: Hashable {
        var node: Int
        var leg: Int
    }

    /// The nodes of a chain with the legs by which they send. Answers to the customers name them in any case.
    private func senders(_ service: ResolvedService) -> Set<SendingLeg> {
        let requests = service.stops.dropLast().map { SendingLeg(node: $0.node, leg: $0.leave) }
        let answers = service.stops.dropFirst().map { SendingLeg(node: $0.node, leg: $0.enter) }
        return Set(requests + answers)
    }

    /// A proxy and its customers may pass one application on their way to overlapping addresses. Then only the source
    /// tells the proxy's packets from the customers'.
    private func separateOpeners(
        _ services: inout [ResolvedService], _ addresses: [[IPPrefix]], _ prefixes: ServicePrefixes
    ) {
        for index in services.indices where !services[index].openers.isEmpty {
            for other in prefixes.overlapping(addresses[index]) where other != index {
                let (mine, theirs) = (services[index], services[other])
                guard Set(mine.chain.dropLast()).contains(where: { theirs.chain.contains($0) }) else { continue }
                services[index].needsSource = true
                services[other].needsSource = true
            }
        }
    }

    /// Notes customers among the applications and routers whose packets would come back to them.
    func checkOpeners(of services: [ResolvedService]) {
        let openers = Set(services.flatMap(\.openers))
        for (index, node) in file.nodes.enumerated()
        where node.kind == .application && !openers.contains(index) && !followsMistakes {
            guard let prefix = node.prefixes.first else { continue }
            diagnostics.error(
                prefix.origin,
                "\(quoted(shownName(index))) sends from \(prefix.value) as a customer, but is a customer of no service",
                hint: "write a service with `from: \(shownName(index))`, or remove `prefixes`")
        }
        for service in services {
            for opener in service.openers {
                let position =
                    service.raw.from.first { $0.value == shownName(opener) }?.origin
                    ?? service.raw.name.origin
                for other in services where other.chain.last == lead(opener) {
                    let shared = service.raw.addresses.first { own in
                        other.raw.addresses.contains { $0.value.overlaps(own.value) }
                    }
                    guard let shared else { continue }
                    checkOpener(opener, of: service, endOf: other, shared.value, position)
                }
            }
        }
    }

    private func checkOpener(
        _ opener: Int, of service: ResolvedService, endOf other: ResolvedService, _ address: IPPrefix,
        _ position: SourceOrigin
    ) {
        let raw = file.nodes[opener]
        let name = quoted(shownName(opener))
        // A service for everything gives its end no address: what its `setup` does not take leaves it.
        let isServed = other.raw.addresses.contains { $0.value.length > 0 && $0.value.overlaps(address) }
        if raw.kind == .application, raw.networkAddress == nil, address.isHost, isServed {
            diagnostics.error(
                position,
                "\(name) has the address \(address) itself, where service \(quoted(other.raw.name.value)) "
                    + "\(other.raw.name.origin.place) ends at it: its packets for that address would never leave it",
                hint:
                    "give service \(quoted(service.raw.name.value)) another address, or add `send: network` to \(name)")
        } else if raw.kind == .router || !raw.prefixes.isEmpty,
            let shared = service.chain.first(where: { other.chain.contains($0) })
        {
            diagnostics.error(
                position,
                "packets to \(address) would pass \(quoted(shownName(shared))) before and behind the "
                    + "\(raw.kind.rawValue) \(name), for service \(quoted(other.raw.name.value)) "
                    + "\(other.raw.name.origin.place) and "
                    + "for \(quoted(service.raw.name.value)), and their contents do not show which",
                hint: "use another application for one of the two services")
        }
    }

    /// The packets that applications and routers send as customers.
    func openings(of services: [ResolvedService]) -> [Opening] {
        services.flatMap { service in
            service.scopes.flatMap { scope -> [Opening] in
                guard let node = scope.node else { return [] }
                return service.raw.addresses.compactMap { address in
                    guard scope.source.map({ $0.family == address.value.family }) ?? true else { return nil }
                    return Opening(
                        service: service.index, node: node, emission: emission(node, leg: scope.leg),
                        source: scope.source,
                        destination: address.value)
                }
            }
        }
    }
}
