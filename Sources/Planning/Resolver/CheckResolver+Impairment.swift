import Plan
import Reporting
import TopologyFiles

extension CheckResolver {
    /// The link that a step names.
    func impaired(_ raw: RawImpairedPlace) -> ImpairmentPlace? {
        if let name = raw.service {
            let known = file.services.map(\.name.value)
            guard known.contains(name.value) else {
                diagnostics.error(
                    name.origin, "there is no service \(quoted(name.value))",
                    hint: Spelling.hint(for: name.value, among: known, kind: "services"))
                return nil
            }
            guard file.services.allSatisfy({ $0.name.value != name.value || $0.between.isEmpty }) else {
                diagnostics.error(
                    name.origin, "service \(quoted(name.value)) is between neighbours, and has no link of its own",
                    hint: "name one of its nodes, or the interface: { impair: { node: … } }")
                return nil
            }
            return .service(name.value)
        }
        if let node = raw.node {
            return place(RawPlace(node: node, interface: raw.interface)).map {
                .leg(node: $0.node, interface: file.interfaces[$0.interface].name.value)
            }
        }
        return raw.interface.flatMap { interface($0) }.map { .interface(file.interfaces[$0].name.value) }
    }
}

extension ResolvedTopology {
    /// The impaired links of the file: interfaces, legs in the order of the nodes, services.
    func impairments() -> [ImpairmentPlan] {
        var plans = file.interfaces.compactMap { interface in
            interface.impairment.map { ImpairmentPlan(place: .interface(interface.name.value), impairment: $0) }
        }
        for (node, resolved) in zip(file.nodes, legs) {
            // A leg of the plan may be on an interface of its own that was made of the one that the file names.
            for (leg, own) in zip(node.legs, resolved) {
                guard let impairment = leg.impairment else { continue }
                let interface = file.interfaces[own.interface].name.value
                plans.append(
                    ImpairmentPlan(place: .leg(node: node.name.value, interface: interface), impairment: impairment))
            }
        }
        plans += file.services.compactMap { service in
            service.impairment.map { ImpairmentPlan(place: .service(service.name.value), impairment: $0) }
        }
        return plans.filter { !$0.impairment.isNothing }
    }
}
