import ControlAPI
import Tracing
import Wire

extension TracedNetwork {
    /// The words that a control process gave. Addresses that are none are left out.
    package init(_ description: NetworkDescription) {
        var entries: [Int: EntryName] = [:]
        for entry in description.entries {
            entries[entry.counter] = EntryName(name: entry.name, service: entry.service, line: entry.line)
        }
        self.init(
            interfaces: description.interfaces,
            nodes: description.nodes.map { node in
                Node(
                    name: node.name, kind: NodeKind(rawValue: node.kind) ?? .terminal,
                    legs: node.legs.map { leg in
                        Leg(
                            interface: leg.interface, macs: leg.macs.compactMap { MACAddress($0) },
                            addresses: leg.addresses.compactMap { IPAddress($0) })
                    }, prefixes: node.prefixes.compactMap { IPPrefix($0) }, application: node.application)
            }, entries: entries,
            services: description.services.map { service in
                Service(
                    name: service.name, addresses: service.addresses.compactMap { IPPrefix($0) },
                    applications: service.applications)
            }, rules: Dictionary(description.rules.map { ($0.counter, $0.words) }) { first, _ in first },
            given: description.given.compactMap { given in
                IPPrefix(given.prefix).map {
                    Given(prefix: $0, expression: given.expression, owner: given.owner)
                }
            })
    }
}
