import ControlAPI
import EventLoop
import Plan
import Reporting
import TopologyFiles

/// Instances that are added and removed while the topology is up, beside the file.
extension ControlProcess {
    /// Adds an instance to an application, built like its other instances.
    ///
    /// - Parameter instance: Its name; nil: the application's name with the next number.
    func add(
        _ application: String, _ instance: String?, tell: @escaping (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        try changing(ChangeGate.change) { [self] (cancellation) throws(ApplianceError) in
            try add(application, instance, cancellation, tell)
        }
    }

    /// As `add`, for who is in the gate already.
    func add(
        _ application: String, _ instance: String?, _ cancellation: Cancellation,
        _ tell: @escaping (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        let current = try running()
        let names = current.applications.map(\.name)
        guard names.contains(application) else {
            throw ApplianceError(
                .name, "there is no application '\(application)' with instances in '\(name)'",
                hint: names.isEmpty
                    ? "give one 'instances' in the file" : Self.hint(application, names))
        }
        let source = loop.sync { self.topology.source }
        let fresh = instance ?? source.nextInstance(of: application, besides: current.nodes.map(\.name))
        if current.nodes.contains(where: { $0.name == fresh }) {
            throw ApplianceError(.name, "'\(name)' already has a node '\(fresh)'", hint: "choose another name")
        }
        let changes = current.changes.adding(fresh, to: application)
        return try change(current, by: changes, drain: nil, cancellation, tell)
    }

    /// Removes an instance of an application.
    ///
    /// - Parameter drain: How long it keeps its flows; nil: it gets nothing new from now on, and its
    ///   remaining packets are forwarded for the usual time.
    func remove(
        _ instance: String, drain: Duration?, tell: @escaping (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        try changing(ChangeGate.change) { [self] (cancellation) throws(ApplianceError) in
            try remove(instance, drain: drain, cancellation, tell)
        }
    }

    /// As `remove`, for who is in the gate already.
    func remove(
        _ instance: String, drain: Duration?, _ cancellation: Cancellation, _ tell: @escaping (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        let current = try running()
        guard let owner = current.applications.first(where: { $0.instances.contains { $0.node == instance } }) else {
            let names = current.applications.flatMap(\.instances).map(\.node)
            let isNode = current.nodes.contains { $0.name == instance }
            throw ApplianceError(
                .name,
                isNode
                    ? "the node '\(instance)' is not an instance of an application"
                    : "there is no instance '\(instance)' in '\(name)'",
                hint: isNode
                    ? "remove it from the file, and 'tapline apply \(name)'"
                    : Self.hint(instance, names))
        }
        guard owner.instances.count > 1 else {
            throw ApplianceError(
                .failed, "'\(instance)' is the last instance of '\(owner.name)'",
                hint: "remove the application from the file, and 'tapline apply \(name)'")
        }
        return try change(current, by: current.changes.removing(instance), drain: drain, cancellation, tell)
    }

    /// The names that were probably meant, else all names.
    private static func hint(_ word: String, _ names: [String]) -> String {
        if let nearest = Spelling.nearest(to: word, among: names) { return "did you mean '\(nearest)'?" }
        return names.isEmpty ? "no application has instances" : "there are: \(names.sorted().joined(separator: ", "))"
    }

    private func change(
        _ current: AppliancePlan, by changes: InstanceChanges, drain: Duration?, _ cancellation: Cancellation,
        _ tell: @escaping (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        let source = loop.sync { self.topology.source }
        var fresh = try PlanReader.plan(source, name: name, keeping: current, changes: changes)
        fresh.cause = "an application has other instances"
        return try change(current, to: fresh, isTrial: false, drain: drain, cancellation, tell)
    }
}
