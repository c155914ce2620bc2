/// The instances that were added to and removed from a running topology, beside its file.
public struct InstanceChanges: Sendable, Hashable {
    /// For each application: the instances that were added, made as its others are.
    public var added: [String: [String]]
    /// The instances that were removed.
    public var removed: Set<String>

    /// Memberwise.
    public init(added: [String: [String]] = [:], removed: Set<String> = []) {
        self.added = added
        self.removed = removed
    }
}

extension InstanceChanges {
    /// The part of these changes that still fits a file. An application that is gone keeps no instances. An instance
    /// that the file itself names by now is no longer a change.
    ///
    /// - Parameter plan: The file's plan without any changes.
    public func fitting(_ plan: AppliancePlan) -> InstanceChanges {
        let names = Set(plan.nodes.map(\.name))
        let applications = Set(plan.applications.map(\.name))
        var fitting = InstanceChanges(removed: removed.intersection(plan.applications.flatMap(\.instances).map(\.node)))
        for (application, instances) in added where applications.contains(application) {
            let left = instances.filter { !names.contains($0) }
            if !left.isEmpty { fitting.added[application] = left }
        }
        return fitting
    }

    /// These with one instance more.
    public func adding(_ instance: String, to application: String) -> InstanceChanges {
        var changes = self
        if changes.removed.remove(instance) == nil { changes.added[application, default: []].append(instance) }
        return changes
    }

    /// These with one instance less.
    public func removing(_ instance: String) -> InstanceChanges {
        var changes = self
        for (application, instances) in changes.added where instances.contains(instance) {
            let left = instances.filter { $0 != instance }
            changes.added[application] = left.isEmpty ? nil : left
            return changes
        }
        changes.removed.insert(instance)
        return changes
    }
}
