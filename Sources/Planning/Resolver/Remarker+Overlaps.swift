import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Parts that lie within others.
extension Remarker {
    /// A service port within another one of its service has no effect, unless an application has it elsewhere.
    func remarkOnPorts() {
        for service in file.services {
            for (index, port) in service.ports.enumerated() {
                let others = service.ports.enumerated().filter { $0.offset != index }.map(\.element)
                guard let around = others.first(where: { isWithin(port.value, $0.value) }) else { continue }
                diagnostics.remark(
                    port.origin, "\(port.value) is within \(around.value), which the service has, too",
                    hint: "remove \(port.value)", related: [(around.origin, "\(around.value) is here")])
            }
        }
    }

    private func isWithin(_ one: PortSpecification, _ other: PortSpecification) -> Bool {
        guard one != other, one.translation == nil, other.translation == nil else { return false }
        if other.upperProtocol == .any { return true }
        return one.upperProtocol == other.upperProtocol && one.ports.clamped(to: other.ports) == one.ports
    }

    /// A network behind a customer around that of another interface. Nodes of that interface keep packets for it on
    /// their link, and the customer may send from their addresses.
    func remarkOnPrefixes() {
        for (index, node) in file.nodes.enumerated() where node.kind == .customer {
            let own = Set(legs[index].map(\.interface))
            for prefix in node.prefixes {
                let served = services.filter { service in
                    service.scopes.contains { scope in
                        scope.source.map { prefix.value.contains($0) } ?? own.contains(scope.interface)
                    }
                }
                for (number, interface) in file.interfaces.enumerated() where !own.contains(number) {
                    guard
                        let link = interface.addresses.map(\.value.value.prefix).first(where: {
                            $0 != prefix.value && prefix.value.contains($0)
                        }), let effect = effect(of: link, number, on: served, quoted(node.name.value))
                    else { continue }
                    diagnostics.remark(
                        prefix.origin,
                        "\(prefix.value) behind \(quoted(node.name.value)) includes \(link), the network of interface "
                            + "\(quoted(interface.name.value)) \(interface.name.origin.place): \(effect)",
                        hint: "write the networks that are behind it, without that one",
                        related: [(interface.name.origin, "the interface is here")])
                }
            }
        }
    }

    /// What it means that a network is on a link and behind a customer; nil: nothing.
    private func effect(
        of link: IPPrefix, _ interface: Int, on services: [ResolvedService], _ customer: String
    ) -> String? {
        let stops = services.flatMap(\.chain).map { lead($0) }
        if let stop = stops.first(where: { legs[$0].contains { $0.interface == interface } }) {
            return "answers to \(link) stay on the link of \(quoted(shownName(stop))), so hosts with such addresses "
                + "behind \(customer) get none"
        }
        guard let other = legsOn[interface].first(where: { file.nodes[$0.node].kind == .customer }) else { return nil }
        return "the engine takes packets with addresses of \(quoted(shownName(other.node))) from \(customer), too"
    }
}
