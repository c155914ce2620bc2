import Forwarding
import Plan
import TopologyFiles
import Wire

/// A topology as a picture has it: interfaces, nodes, and the arrows of each service's requests and responses.
public struct Diagram: Sendable {
    /// The formats that a diagram is written in.
    public enum Format: String, Sendable, CaseIterable {
        case mermaid
        case dot
        case svg
    }

    struct Interface {
        var name: String
        var addresses: [String]
        var mtu: Int
    }

    struct Node {
        var name: String
        /// Its description, in a few words.
        var caption: String
        /// Its network addresses; of instances that share the work, the first one's.
        var addresses: [String]
        /// The interfaces that it is on, as indices, the near one first.
        var interfaces: [Int]
        var isCustomer: Bool
        /// The nodes of the plan that it stands for.
        var members: [String]
    }

    /// One copy of one hop.
    struct Arrow: Hashable {
        var from: Int
        var receivedInterface: Int
        var sendInterface: Int
        var to: Int
        /// The index of the service.
        var service: Int
        var isResponse: Bool
        /// True for a copy that a passive application keeps.
        var isCopy: Bool
    }

    let name: String
    let interfaces: [Interface]
    let nodes: [Node]
    let services: [String]
    /// The place of each service: its addresses and prefixes, then its ports.
    let serviceAddresses: [[String]]
    let arrows: [Arrow]
    /// For each arrow the names of its entries.
    let entries: [Arrow: [String]]

    /// The picture of a plan whose table was proved.
    public init(_ proved: ProvedPlan) {
        let plan = proved.plan
        name = plan.name
        interfaces = plan.table.interfaces.map { interface in
            Interface(name: interface.name, addresses: interface.addresses.map(\.description), mtu: interface.mtu)
        }
        var systems: [String: DestinationSystemType] = [:]
        for source in plan.table.sources where systems[source.node] != .passiveApplication {
            systems[source.node] = source.system
        }
        // Instances that share the work of one application are one box.
        let shared = plan.applications.filter { $0.redundancy != .copies && $0.instances.count > 1 }
        let boxes = plan.nodes.compactMap { node -> (node: NodePlan, application: ApplicationPlan?)? in
            guard let application = shared.first(where: { $0.instances.contains { $0.node == node.name } }) else {
                return (node, nil)
            }
            return application.instances[0].node == node.name ? (node, application) : nil
        }
        nodes = boxes.map { node, application in
            let system = systems[node.name]
            var caption = [node.type ?? node.kind.rawValue]
            switch system {
            case .passiveApplication: caption.append("passive")
            case .inlineApplication: caption.append("inline")
            case .terminalApplication: caption.append("terminal")
            default: break
            }
            if let application { caption.append(Self.instances(application)) }
            return Node(
                name: application?.name ?? node.name, caption: caption.joined(separator: ", "),
                addresses: node.legs.flatMap(\.addresses).map { "\($0.address)" },
                interfaces: node.legs.map(\.interface), isCustomer: node.kind == .customer,
                members: application?.instances.map(\.node) ?? [node.name])
        }
        services = proved.services.map(\.name)
        serviceAddresses = proved.services.map { service in
            let ports = service.paths.flatMap(\.servicePorts).uniqued()
            return service.paths.flatMap(\.destinations).uniqued() + ports
        }
        let drawn = Self.arrows(proved, nodes)
        arrows = drawn.map(\.arrow).uniqued()
        entries = Dictionary(grouping: drawn, by: \.arrow).mapValues { $0.map(\.entry).uniqued() }
    }

    /// How instances share the work, and the first few of them.
    private static func instances(_ application: ApplicationPlan) -> String {
        let names = application.instances.map(\.node)
        let more = names.count > 4 ? " and \(names.count - 3) more" : ""
        let shown = names.prefix(names.count > 4 ? 3 : 4).joined(separator: ", ")
        return "\(application.redundancy.rawValue): \(shown)\(more)"
    }

    private static func arrows(_ proved: ProvedPlan, _ nodes: [Node]) -> [(arrow: Arrow, entry: String)] {
        var nodeIndex: [String: Int] = [:]
        for (index, node) in nodes.enumerated() {
            nodeIndex[node.name] = index
            // Instances that are customers of a service send as themselves.
            for member in node.members { nodeIndex[member] = index }
        }
        var interfaceIndex: [String: Int] = [:]
        for (index, interface) in proved.plan.interfaces.enumerated() { interfaceIndex[interface.name] = index }
        var arrows: [(arrow: Arrow, entry: String)] = []
        for (service, proof) in proved.services.enumerated() {
            for path in proof.paths {
                for (isResponse, hops) in [(false, path.request), (true, path.response)] {
                    for hop in hops {
                        // The diagram shows the way while nothing is down.
                        for copy in hop.copies where copy.condition == nil {
                            let from = hop.from.compactMap { nodeIndex[$0] }
                            let to = copy.to.compactMap { nodeIndex[$0] }
                            guard let received = interfaceIndex[hop.receivedInterface],
                                let send = interfaceIndex[copy.sendInterface]
                            else { continue }
                            for source in from {
                                for target in to {
                                    let arrow = Arrow(
                                        from: source, receivedInterface: received, sendInterface: send, to: target,
                                        service: service, isResponse: isResponse, isCopy: copy.isPassive)
                                    arrows.append((arrow, hop.entry))
                                }
                            }
                        }
                    }
                }
            }
        }
        return arrows
    }

    /// The diagram as a text in a format.
    public func text(_ format: Format) -> String {
        switch format {
        case .mermaid: mermaid
        case .dot: dot
        case .svg: svg
        }
    }

    /// A colour for each service, in hexadecimal digits: most eyes can tell them apart, and they are dark enough on
    /// white.
    func colour(_ service: Int) -> String {
        let colours = ["#0060a8", "#b85000", "#007050", "#a0408c", "#806000", "#3048c0", "#b02030", "#406070"]
        return colours[service % colours.count]
    }

    /// The interfaces from the customers on along the paths, then all others.
    var interfaceOrder: [Int] {
        let requests = arrows.filter { !$0.isResponse }
        let onPaths = requests.flatMap { [$0.receivedInterface, $0.sendInterface] }
        return (onPaths + Array(interfaces.indices)).uniqued()
    }
}
