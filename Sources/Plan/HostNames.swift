import Reporting
import Wire

extension AppliancePlan {
    /// Beyond so many nodes a node's hosts file names services alone: every node has a file of its own.
    static let mostNamedNodes = 1000

    /// The names that all nodes have in their hosts files: each node by its name, and each service of the file as
    /// `NAME.service`. Services of tenants are not in them: they are no other tenant's to see, their names have a slash, and
    /// an instruction would write every node's file anew.
    public var hostNames: [HostPlan] {
        var names: [HostPlan] = []
        if nodes.count <= Self.mostNamedNodes {
            for node in nodes {
                let name = HostPlan.name(of: node.name)
                names += node.legs.flatMap(\.addresses).map { HostPlan(address: $0.address, name: name) }
            }
        }
        for service in entryOrigins where service.isService && service.origin.record == nil {
            let name = HostPlan.name(of: service.name) + ".service"
            names += service.addresses.filter(\.isHost).map { HostPlan(address: $0.address, name: name) }
        }
        return names
    }
}

extension HostPlan {
    /// A name of the file as a hosts file can have it: blanks would end the name, and # the line (hosts(5)).
    public static func name(of name: String) -> String {
        String(name.map { $0.isWhitespace || $0 == "#" ? "-" : $0 })
    }
}
