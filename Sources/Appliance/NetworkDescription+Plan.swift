import ControlAPI
import EngineControl
import Forwarding
import Nodes
import Plan
import Tracing
import Wire

extension AppliancePlan {
    /// For each interface: the kind of its device, if it carries circuits. That of an underlay of tunnels alone is not told.
    var circuitLinks: [Encapsulation.Link?] {
        let carriers = Set(table.interfaces.compactMap(\.circuit?.carrier))
        return interfaces.enumerated().map { index, interface in carriers.contains(index) ? interface.link : nil }
    }
}

extension NetworkDescription {
    /// The names of a plan's parts.
    ///
    /// - Parameters:
    ///   - entries: Whether the entries' names are wanted, too.
    ///   - folder: The folder of a node on this machine.
    init(_ plan: AppliancePlan, entries: Bool, folder: (String) -> String?) {
        let network = TracedNetwork(plan)
        self.init(
            name: plan.name, interfaces: network.interfaces,
            nodes: network.nodes.map { node in
                Node(
                    name: node.name, kind: node.kind.rawValue, type: plan.nodes.first { $0.name == node.name }?.type,
                    legs: node.legs.map { leg in
                        Leg(
                            interface: leg.interface, macs: leg.macs.map { "\($0)" },
                            addresses: leg.addresses.map { "\($0)" })
                    }, prefixes: node.prefixes.map { "\($0)" }, folder: folder(node.name),
                    application: node.application)
            },
            entries: entries
                ? network.entries.sorted { $0.key < $1.key }.map {
                    Entry(counter: $0.key, name: $0.value.name, service: $0.value.service, line: $0.value.line)
                } : [],
            services: network.services.map {
                Service(name: $0.name, addresses: $0.addresses.map { "\($0)" }, applications: $0.applications)
            })
        carriers = plan.circuitLinks.enumerated().compactMap { index, link in
            link.map { Carrier(interface: index, link: Self.word($0)) }
        }
        if entries {
            rules = network.rules.sorted { $0.key < $1.key }.map { Rule(counter: $0.key, words: $0.value) }
            given = network.given.map {
                Given(prefix: "\($0.prefix)", expression: $0.expression, owner: $0.owner)
            }
        }
    }

    private static func word(_ link: Encapsulation.Link) -> String {
        switch link {
        case .ethernet: "ethernet"
        case .frameRelay: "frame-relay"
        case .atm: "atm"
        }
    }
}
