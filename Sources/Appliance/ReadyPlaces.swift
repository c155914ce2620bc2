import ControlAPI
import Plan

extension ReadyReport.Place {
    /// The nodes of a plan with their addresses, then its services with theirs.
    static func all(of plan: AppliancePlan) -> [ReadyReport.Place] {
        let nodes = plan.nodes.map { node in
            ReadyReport.Place(
                name: node.name, kind: node.type ?? node.kind.rawValue,
                addresses: node.legs.flatMap(\.addresses).map { "\($0)" }, ports: [])
        }
        let services = plan.services.map {
            ReadyReport.Place(name: $0.name, kind: "service", addresses: $0.addresses, ports: $0.ports)
        }
        return nodes + services
    }
}
