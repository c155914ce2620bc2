import Wire

/// The rules that access lists must keep.
extension TableChecks {
    func accessProblems(_ table: ForwardingTable) -> [TableProblem] {
        var problems: [TableProblem] = []
        if table.access.count > AccessPoint.most { problems.append(.tooManyAccessPoints(table.access.count)) }
        var counters: Set<Int> = []
        var nodes: [String: String] = [:]
        for point in table.access {
            for node in point.nodes.sorted() {
                if let other = nodes.updateValue(point.application, forKey: node) {
                    problems.append(.accessNode(node, applications: [other, point.application]))
                }
            }
            var owned = PrefixOwners()
            for list in point.lists {
                var faults = Self.faults(of: list)
                if let other = owned.add(list.own, of: list.tenant) {
                    faults.append("it shares addresses with \(other)'s, so nothing tells which one judges")
                }
                for counter in [list.counter] + list.rules.map(\.counter)
                where !(0..<1 << 24).contains(counter) || !counters.insert(counter).inserted {
                    faults.append("counter \(counter) is another rule's, or out of range")
                }
                problems += faults.map { .accessList(application: point.application, tenant: list.tenant, $0) }
            }
        }
        return problems
    }

    private static func faults(of list: AccessList) -> [String] {
        var faults: [String] = []
        if list.rules.count > AccessPoint.mostRules {
            faults.append("it has \(list.rules.count) rules, and the limit is \(AccessPoint.mostRules)")
        }
        let own = TableCompiler.disjoint(list.own)
        for (index, rule) in list.rules.enumerated() {
            let place = "rule \(index + 1)"
            if !own.contains(where: { $0.contains(rule.own) }) {
                faults.append("\(place): its own side \(rule.own) is not in the list's own addresses")
            }
            if let remote = rule.remote, remote.family != rule.own.family {
                faults.append("\(place): \(rule.own) and \(remote) are of different address families")
            }
            if case .ports(let number, _, _) = rule.matter, !IPProtocol.hasPorts(number) {
                faults.append(
                    "\(place) has ports, but protocol \(number) has none (TCP, UDP, SCTP, DCCP and UDP-Lite do)")
            }
        }
        return faults
    }
}

/// Which tenant a prefix belongs to.
private struct PrefixOwners {
    private var owners: [(prefix: IPPrefix, tenant: String)] = []

    /// Adds a tenant's prefixes.
    ///
    /// - Returns: Another tenant that has some of their addresses.
    mutating func add(_ prefixes: [IPPrefix], of tenant: String) -> String? {
        let other = owners.first { owner in prefixes.contains { $0.overlaps(owner.prefix) } }?.tenant
        owners += prefixes.map { ($0, tenant) }
        return other
    }
}
