import Forwarding
import Plan
import Reporting
import Tracing
import Wire

extension TracedNetwork {
    /// The words of a plan: names of interfaces, nodes, entries and services.
    package init(_ plan: AppliancePlan) {
        let nodes = Self.nodes(plan)
        let origins = plan.entryOrigins
        var entries: [Int: EntryName] = [:]
        var applications: [String: [String]] = [:]
        // Many entries share a name.
        var found: [String: EntryOrigin] = [:]
        for entry in plan.table.entries {
            let origin =
                found[entry.name] ?? origins.first { !$0.isService && $0.name == entry.name }
                ?? origins.filter { $0.isService && entry.name.hasPrefix("\($0.name).") }
                .max { $0.name.count < $1.name.count }
            found[entry.name] = origin
            let service = origin.flatMap { $0.isService ? $0.name : nil }
            entries[entry.counter] = EntryName(
                name: entry.name, service: service, line: origin?.origin.ownLineNumber ?? 0)
            guard let service else { continue }
            for target in entry.targets {
                for node in nodes where node.kind != .customer && Self.leads(target, to: node) {
                    if applications[service]?.contains(node.name) != true {
                        applications[service, default: []].append(node.name)
                    }
                }
            }
        }
        self.init(
            interfaces: plan.interfaces.map(\.name), nodes: nodes, entries: entries,
            services: origins.filter(\.isService).map {
                Service(name: $0.name, addresses: $0.addresses, applications: applications[$0.name] ?? [])
            }, rules: Self.rules(plan.table.access),
            given: plan.givenAddresses.map {
                Given(prefix: $0.prefix, expression: $0.expression, owner: $0.owner)
            })
    }

    private static func rules(_ points: [AccessPoint]) -> [Int: String] {
        var rules: [Int: String] = [:]
        for point in points {
            for list in point.lists {
                let place = "\(list.tenant)'s access list at \(point.application)"
                rules[list.counter] = "the default of \(place)"
                for (index, rule) in list.rules.enumerated() {
                    rules[rule.counter] = "rule \(list.number(of: index)) of \(place)"
                }
            }
        }
        return rules
    }

    private static func nodes(_ plan: AppliancePlan) -> [Node] {
        var systems: [String: Set<DestinationSystemType>] = [:]
        var prefixes: [String: [IPPrefix]] = [:]
        for source in plan.table.sources {
            systems[source.node, default: []].insert(source.system)
            prefixes[source.node, default: []] += source.origins ?? []
        }
        var applications: [String: String] = [:]
        for application in plan.applications {
            for instance in application.instances where instance.node != application.name {
                applications[instance.node] = application.name
            }
        }
        return plan.nodes.map { node in
            let legs = node.legs.map { leg in
                // Frames out of a transparent application carry the MAC address that the engine sent them with.
                let sources = plan.table.sources.filter { $0.node == node.name && $0.interface == leg.interface }
                return Leg(
                    interface: leg.interface, macs: [leg.mac] + leg.deliverToo + sources.map(\.mac),
                    addresses: leg.addresses.map(\.address))
            }
            let own = Set(legs.flatMap(\.addresses).map { IPPrefix(host: $0) })
            return Node(
                name: node.name, kind: kind(node, systems[node.name] ?? []), legs: legs,
                prefixes: (prefixes[node.name] ?? []).filter { !own.contains($0) && !$0.address.isLinkLocal },
                application: applications[node.name])
        }
    }

    /// An application that is a customer, too, is what it is for its own customers.
    private static func kind(_ node: NodePlan, _ systems: Set<DestinationSystemType>) -> NodeKind {
        switch node.kind {
        case .customer: .customer
        case .router: .router
        case .application:
            systems.contains(.inlineApplication)
                ? .inline : systems.contains(.passiveApplication) ? .passive : .terminal
        }
    }

    private static func leads(_ target: SendTarget, to node: Node) -> Bool {
        node.legs.contains { leg in
            guard leg.interface == target.interface else { return false }
            switch target.address {
            case .mac(let mac): return leg.macs.contains(mac)
            case .network(let address): return leg.addresses.contains(address)
            case .neighbour: return false
            }
        }
    }
}
