import Plan
import Reporting
import TopologyFiles

/// Turns a topology file into the plan of an appliance, the same one every time.
public enum Planner {
    /// The plan of `file`, under the file's name or `name`.
    ///
    /// - Parameters:
    ///   - name: A name from the command line.
    ///   - kept: The plan of the running topology: common parts keep their addresses, devices and counters.
    ///   - changes: Instances that were added and removed while it ran.
    /// - Throws: `TopologyError` with every mistake of the file, and the lines that collide.
    public static func plan(
        _ file: TopologyFile, name: String? = nil, keeping kept: AppliancePlan? = nil,
        changes: InstanceChanges = InstanceChanges()
    ) throws(TopologyError) -> AppliancePlan {
        try make(file, name: name, keeping: kept, changes: changes).plan
    }

    /// The plan of `file`, with the paths that its table was proved by. The other parameters are those of `plan`.
    ///
    /// - Parameter leavesPlaces: False if the places of removed interfaces are left out, for a picture.
    /// - Throws: `TopologyError` with every mistake of the file, and the lines that collide.
    public static func prove(
        _ file: TopologyFile, name: String? = nil, keeping kept: AppliancePlan? = nil,
        changes: InstanceChanges = InstanceChanges(), leavesPlaces: Bool = true
    ) throws(TopologyError) -> ProvedPlan {
        let (plan, proved) = try make(
            file, name: name, keeping: kept, changes: changes, leavesPlaces: leavesPlaces)
        let resolved = proved.routed.resolved
        return ProvedPlan(
            plan: plan, services: resolved.provedServices(proved.paths),
            unproved: resolved.unprovedEntries(proved.paths))
    }

    static func make(
        _ file: TopologyFile, name: String?, keeping kept: AppliancePlan?, changes: InstanceChanges,
        leavesPlaces: Bool = true
    ) throws(TopologyError) -> (plan: AppliancePlan, proved: ProvedTopology) {
        let diagnostics = Diagnostics(path: file.path, text: file.text, included: file.included)
        if let name, let (fault, hint) = NameForm.fault(of: name) {
            diagnostics.error(
                file.name.origin, "\(quoted(name)) cannot be the name of a topology: \(fault)", hint: hint)
        }
        let changed = file.changed(by: changes, diagnostics)
        try diagnostics.throwIfAny()
        let keeping = kept.map {
            KeptParts($0, named: name ?? file.name.value, leavesPlaces: leavesPlaces)
        }
        let proved = try TopologyResolver.prove(changed, name: name, keeping: keeping, diagnostics)
        proved.remark(diagnostics)
        let resolved = proved.routed.resolved
        let directory = file.path.lastIndex(of: "/").map { $0 == file.path.startIndex ? "/" : String(file.path[..<$0]) }
        var plan = AppliancePlan(
            name: resolved.name, directory: directory ?? ".", interfaces: resolved.interfacePlans(),
            nodes: proved.routed.nodes, table: proved.table, checks: resolved.checks, engines: resolved.enginesPlan(),
            applications: resolved.applicationPlans())
        plan.services = resolved.serviceAddresses()
        plan.givenAddresses = resolved.givenAddresses()
        plan.entryOrigins = resolved.entryOrigins()
        plan.impairments = resolved.impairments()
        plan.changes = changes
        plan.records = resolved.recordsPlan()
        plan.negotiation = resolved.negotiationPlan()
        plan.recordEntries = resolved.recordEntries(behind: file.services.count, 0)
        plan.remarks = (file.remarks + diagnostics.remarks).sorted { $0.origin < $1.origin }
        return (plan, proved)
    }
}
