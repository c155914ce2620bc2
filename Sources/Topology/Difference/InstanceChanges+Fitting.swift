extension InstanceChanges {
    /// What of these changes still has a meaning for a file: an application that is gone keeps no instances, and one
    /// that the file names by now is no longer beside it.
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
