import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Services of which the ports alone say which way a datagram goes: its later fragments have none.
extension Remarker {
    /// Remarks once for each service that only the first fragment of a datagram tells from an earlier service.
    func remarkOnFragments() {
        let addresses = services.map { $0.raw.addresses.map(\.value) }
        let prefixes = ServicePrefixes(addresses)
        for (number, service) in services.enumerated() {
            let earlier = prefixes.overlapping(addresses[number]).prefix { $0 < number }.map { services[$0] }
            guard let other = earlier.first(where: { dividesFragments(service, $0) }) else { continue }
            diagnostics.remark(
                datagrams(of: service).first?.origin ?? service.raw.name.origin,
                "only the ports tell UDP to \(quoted(service.raw.name.value)) from UDP to "
                    + "\(quoted(other.raw.name.value)), and later fragments have none: they follow the first fragment of "
                    + "their datagram, and are dropped (fragment-undecided) where it does not come within a second",
                hint:
                    "give the services an address each, or let both have one chain, where large datagrams must not depend "
                    + "on their first fragment")
        }
    }

    private func dividesFragments(_ one: ResolvedService, _ other: ResolvedService) -> Bool {
        guard one.stops != other.stops || one.passives != other.passives,
            one.scopes.contains(where: { own in other.scopes.contains { mayBeOneCustomer(own, $0) } })
        else { return false }
        let (own, others) = (datagrams(of: one), datagrams(of: other))
        // Without a port of UDP there are no datagrams, unless the service is for everything.
        guard own.isEmpty == one.raw.ports.isEmpty, others.isEmpty == other.raw.ports.isEmpty else { return false }
        return Set(own.map(\.value.ports)) != Set(others.map(\.value.ports))
    }

    private func mayBeOneCustomer(_ one: Scope, _ other: Scope) -> Bool {
        guard one.interface == other.interface, one.node == other.node else { return false }
        guard let source = one.source, let another = other.source else { return true }
        return source.overlaps(another)
    }

    /// The ports of UDP: other protocols with ports divide their data themselves.
    private func datagrams(of service: ResolvedService) -> [Located<PortSpecification>] {
        service.raw.ports.filter { $0.value.upperProtocol == .number(17) || $0.value.upperProtocol == .any }
    }
}
