/// An application whose packets the engine judges by access lists: everything that it sends to one of the application's nodes,
/// requests and answers, in either direction of a chain and by entries by hand.
///
/// A target leads to such a node if its send address is
///
/// - a MAC address of the node (`ForwardingTable.sources`),
/// - a network address of the node, or one that it may announce (`neighbours`, `holders`),
/// - the packet's own destination, and the node has, or may announce, every destination of the entry.
///
/// Targets for a wider prefix of destinations do not, although the node's own address may be in it.
public struct AccessPoint: Hashable, Sendable {
    /// The application.
    public var application: String
    /// Its nodes: each instance. No two points share a node.
    public var nodes: Set<String>
    /// The lists in force, at most one of a tenant. Without lists nothing is judged.
    public var lists: [AccessList]

    /// Memberwise.
    public init(application: String, nodes: Set<String>, lists: [AccessList]) {
        self.application = application
        self.nodes = nodes
        self.lists = lists
    }

    /// The largest number of points in a table.
    public static let most = 4_096
    /// The largest number of rules in a list.
    public static let mostRules = 1_000
}

extension ForwardingTable {
    /// One more than the highest index of a counter of access lists. These counters are apart from those of entries.
    public var ruleCounterCount: Int {
        access.reduce(0) { count, point in
            point.lists.reduce(count) { max($0, $1.counter + 1, ($1.rules.lazy.map(\.counter).max() ?? -1) + 1) }
        }
    }

    /// The list that counts by a counter, and the index of its rule; the rule is nil for what matched none.
    public func accessRule(counter: Int) -> (point: AccessPoint, list: AccessList, rule: Int?)? {
        for point in access {
            for list in point.lists {
                if list.counter == counter { return (point, list, nil) }
                if let rule = list.rules.firstIndex(where: { $0.counter == counter }) { return (point, list, rule) }
            }
        }
        return nil
    }

    /// Nodes that stay for a while, and are no longer named, are judged by the lists that are in force.
    mutating func addAccessNodes(of before: ForwardingTable) {
        let known = access.reduce(into: Set<String>()) { $0.formUnion($1.nodes) }
        for point in before.access {
            guard let place = access.firstIndex(where: { $0.application == point.application }) else { continue }
            access[place].nodes.formUnion(point.nodes.subtracting(known))
        }
    }
}
