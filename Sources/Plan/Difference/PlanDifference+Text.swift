extension PlanDifference {
    /// Each action as a line for a person.
    ///
    /// - Parameter plan: The new plan, whose interfaces the actions count.
    public func lines(_ plan: AppliancePlan) -> [String] {
        actions.map { $0.line(plan) }
    }
}

extension PlanDifference.Action {
    /// For a person.
    public func line(_ plan: AppliancePlan) -> String {
        switch self {
        case .addInterface(let interface): "\(plan.interfaces[interface].title) is added"
        case .removeInterface(_, let title): "\(title) is removed"
        case .engines(let what): "engines: \(what.joined(separator: ", "))"
        case .bridge(let interface): "interface \(plan.interfaces[interface].name) gets a bridge"
        case .reshape(let interface, let what):
            "interface \(plan.interfaces[interface].name) changes: \(what.joined(separator: ", "))"
        case .add(let node): "node \(node) is added"
        case .rebuild(let node, let because): "node \(node) is rebuilt: \(because.joined(separator: ", "))"
        case .restart(let node, let because): "node \(node) is restarted: \(because.joined(separator: ", "))"
        case .reload(let node, let because): "node \(node) reloads: \(because.joined(separator: ", "))"
        case .alter(let node, let what): "node \(node) changes while it runs: \(what.joined(separator: ", "))"
        case .publish(let change): "table: \(change.summary)"
        case .remove(let node): "node \(node) is removed"
        case .application(let name, let what): "application \(name): \(what.joined(separator: ", "))"
        case .impair(let place, let impairment):
            "link \(place.text): " + (impairment.map { "impaired, \($0.text)" } ?? "not impaired any more")
        case .access(let application, let what): "access lists of \(application): \(what.joined(separator: ", "))"
        case .tenants(let what): what.joined(separator: ", ")
        case .checks(let before, let after):
            before == after ? "checks: different ones" : "checks: \(after) in place of \(before)"
        }
    }
}

extension PlanDifference.TableChange {
    fileprivate var summary: String {
        let entries = [(added, "new"), (removed, "gone"), (kept, "as before")].filter { $0.0 > 0 }
        return (entries.isEmpty ? "no entries" : "entries: " + entries.map { "\($0) \($1)" }.joined(separator: ", "))
    }
}
