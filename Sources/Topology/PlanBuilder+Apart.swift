import Forwarding
import Wire

/// What tells the packets of services apart that have addresses or applications in common.
extension PlanBuilder {
    /// What an application or router sends as a customer, from the leg where it does.
    struct Opening {
        var service: Int
        var node: Int
        var emission: Emission
        /// nil: everything.
        var source: IPPrefix?
        var destination: IPPrefix
    }

    /// Lets the narrower service address win where customers of a wider one are named one by one.
    ///
    /// A named source is looked at before the destination. So a service for all customers of an interface also gets the
    /// sources that a service with a wider address names there.
    func widenScopes() {
        let original = services.map(\.scopes)
        for index in services.indices {
            var extra: [Scope] = []
            for other in services.indices where other != index && original[other].contains(where: { $0.source != nil })
            {
                let isWider = services[other].raw.addresses.contains { wide in
                    services[index].raw.addresses.contains { wide.value != $0.value && wide.value.contains($0.value) }
                }
                guard isWider else { continue }
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
        // Where two services have one address and different customers, the customers tell them apart all the way.
        var groups: [IPPrefix: [Int]] = [:]
        for (index, service) in services.enumerated() {
            for address in service.raw.addresses { groups[address.value, default: []].append(index) }
        }
        for members in groups.values where members.count > 1 {
            let scopes = Set(original[members[0]])
            guard members.contains(where: { Set(original[$0]) != scopes }) else { continue }
            for member in members { services[member].needsSource = true }
        }
        separateOpeners()
        guard services.contains(where: \.needsSource) else { return }
        var changed = true
        while changed {
            changed = false
            let asking = services.filter(\.needsSource).flatMap { $0.raw.addresses.map(\.value) }
            for index in services.indices where !services[index].needsSource {
                guard
                    services[index].raw.addresses.contains(where: { own in asking.contains { $0.overlaps(own.value) } })
                else { continue }
                services[index].needsSource = true
                changed = true
            }
        }
    }

    /// A proxy and its customers may pass one application on their way to overlapping addresses: then only the source
    /// tells the proxy's packets from those of the customers.
    private func separateOpeners() {
        for index in services.indices where !services[index].openers.isEmpty {
            for other in services.indices where other != index {
                let (mine, theirs) = (services[index], services[other])
                guard Set(mine.chain.dropLast()).contains(where: { theirs.chain.contains($0) }),
                    mine.raw.addresses.contains(where: { own in
                        theirs.raw.addresses.contains { $0.value.overlaps(own.value) }
                    })
                else { continue }
                services[index].needsSource = true
                services[other].needsSource = true
            }
        }
    }

    /// Notes customers among the applications and routers whose packets would come back to them.
    func checkOpeners() {
        let openers = Set(services.flatMap(\.openers))
        for (index, node) in file.nodes.enumerated()
        where node.kind == .application && !openers.contains(index) && !followsMistakes {
            guard let prefix = node.prefixes.first else { continue }
            diagnostics.error(
                prefix.position,
                "\(quoted(told(index))) sends from \(prefix.value) as a customer, but is a customer of no service",
                mend: "write a service with `from: \(told(index))`, or remove `prefixes`")
        }
        for service in services {
            for opener in service.openers {
                let position =
                    service.raw.from.first { $0.value == told(opener) }?.position
                    ?? service.raw.name.position
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
        _ position: SourcePosition
    ) {
        let raw = file.nodes[opener]
        let name = quoted(told(opener))
        if raw.kind == .application, raw.networkAddress == nil, address.isHost {
            diagnostics.error(
                position,
                "\(name) has the address \(address) itself, where service \(quoted(other.raw.name.value)) on line "
                    + "\(other.raw.name.position.line) ends at it: its packets for that address would never leave it",
                mend:
                    "give service \(quoted(service.raw.name.value)) another address, or add `send: network` to \(name)")
        } else if raw.kind == .router || !raw.prefixes.isEmpty,
            let shared = service.chain.first(where: { other.chain.contains($0) })
        {
            diagnostics.error(
                position,
                "packets to \(address) would pass \(quoted(told(shared))) before and behind the "
                    + "\(raw.kind.rawValue) \(name), for service \(quoted(other.raw.name.value)) on line "
                    + "\(other.raw.name.position.line) and "
                    + "for \(quoted(service.raw.name.value)), and their contents do not show which",
                mend: "use another application for one of the two services")
        }
    }

    /// Finds what applications and routers send as customers.
    func resolveOpenings() {
        openings = services.flatMap { service in
            service.scopes.flatMap { scope -> [Opening] in
                guard let node = scope.node else { return [] }
                return service.raw.addresses.compactMap { address in
                    guard scope.source.map({ $0.family == address.value.family }) ?? true else { return nil }
                    return Opening(
                        service: service.index, node: node, emission: emission(node, .request), source: scope.source,
                        destination: address.value)
                }
            }
        }
    }

    /// True where a node also sends packets as a customer that only the customers' addresses tell from these.
    func isMistakable(
        _ node: Int, _ emission: Emission, from source: IPPrefix?, to destination: IPPrefix?, for service: Int
    ) -> Bool {
        openings.contains { opening in
            opening.node == node && opening.emission == emission && opening.service != service
                && (source.map { own in opening.source?.overlaps(own) ?? (own.family == opening.destination.family) }
                    ?? true)
                && (destination.map { $0.overlaps(opening.destination) } ?? true)
        }
    }

    /// Notes what an application or router sends as a customer, and the table takes for a part of another service.
    func findShadows() {
        let opened = entries.indices.compactMap { index in
            entries[index].kind == .distribution && origins[index].service != nil
                ? place(index).map { (index: index, place: $0) } : nil
        }
        guard !opened.isEmpty else { return }
        let places = Set(opened.map(\.place))
        var passed: [Emission: [Int]] = [:]
        for index in entries.indices where entries[index].kind == .sequencing && origins[index].service != nil {
            if let place = place(index), places.contains(place) { passed[place, default: []].append(index) }
        }
        var told: Set<[SourcePosition]> = []
        for (index, place) in opened {
            for other in passed[place] ?? [] where Self.shadows(entries[other], entries[index]) {
                guard told.insert([origins[index].position, origins[other].position]).inserted else { continue }
                tellShadow(index, other)
            }
        }
    }

    /// Where an entry's packets come from, where it names a MAC address.
    private func place(_ entry: Int) -> Emission? {
        entries[entry].sourceMAC.map { Emission(interface: entries[entry].receivedInterface, mac: $0) }
    }

    /// True where all that an opening sends may also be what another service's sequencing entry takes.
    private static func shadows(_ shadow: Entry, _ entry: Entry) -> Bool {
        if let own = shadow.source, let source = entry.source, !own.overlaps(source) { return false }
        if let own = shadow.source, let other = entry.destination, own.family != other.family { return false }
        if let own = shadow.destination {
            guard let destination = entry.destination, own.contains(destination) else { return false }
        }
        let (left, right) = (shadow.servicePort, entry.servicePort)
        guard left.protocolNumber == nil || right.protocolNumber == nil || left.protocolNumber == right.protocolNumber
        else { return false }
        if shadow.direction == .request { return left.ports.overlaps(right.ports) }
        // The answers' source port tells them, unless it may be any.
        return left.ports == 0...65535
    }

    private func tellShadow(_ index: Int, _ other: Int) {
        let (opening, shadow) = (origins[index], origins[other])
        let node = legsOn[entries[index].receivedInterface].first {
            emission($0.node, .request).mac == entries[index].sourceMAC
        }
        // A side that is told to be missing, or to be the other one, is why.
        guard !followsMistakes, node.map({ file.nodes[$0.node].outLeg == nil || legs[$0.node].count > 1 }) ?? true
        else { return }
        let name = node.map { quoted(told($0.node)) } ?? "the application"
        let interface = quoted(file.interfaces[entries[index].receivedInterface].name.value)
        let isAnswer = entries[other].direction == .response
        let isSingle = node.map { legs[$0.node].count == 1 } ?? false
        diagnostics.error(
            opening.position,
            "\(name) sends requests of \(opening.label) on interface \(interface), where it also sends "
                + "\(isAnswer ? "its answers" : "its passed packets") of \(shadow.label) on line "
                + "\(shadow.position.line), and nothing distinguishes the two",
            mend: isSingle
                ? "give it a second interface for its requests: attach: { in: …, out: … }"
                : "give one of the two services another address, other ports or other customers")
    }
}
