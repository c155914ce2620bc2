import ControlAPI
import EngineControl
import EventLoop
import Fabric
import Forwarding
import Logging
import Plan
import Reporting
import TopologyFiles
import Wire

/// Changes of the topology while it is up. Each works in a thread of its own.
extension ControlProcess {
    /// Makes the running topology equal to a file.
    ///
    /// - Parameters:
    ///   - settings: Values for the file's variables; nil: those that the running topology has.
    ///   - isTrial: True if the change is only to be reported, not made.
    ///   - drain: How long removed nodes keep their flows; nil: the usual time.
    func apply(
        _ path: String, settings: [String: String]? = nil, isTrial: Bool, drain: Duration?,
        tell: @escaping (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        // After the change, and also after one that was taken back: its node may be another one then.
        defer { renewKeepers() }
        return try changing(ChangeGate.change) { [self] (cancellation) throws(ApplianceError) in
            let current = try running()
            let fresh = try plan(of: path, settings, keeping: current)
            try ManagementCredentials.check(fresh.plan, besides: current)
            var report = try change(current, to: fresh, isTrial: isTrial, drain: drain, cancellation, tell)
            guard !isTrial else { return report }
            report.notes += try forgetCommandedImpairments(cancellation)
            try record.change { $0.file = path }
            loop.sync { self.topology.take(file: path) }
            happened(ApplianceEvent(.fileApplied, reason: path))
            return report
        }
    }

    /// After a change, and after one that was taken back: the nodes of those that answer may be others.
    private func renewKeepers() {
        recordKeeper?.renew()
        do throws(ApplianceError) { try attachments?.start() } catch { logger.error("\(error)") }
        do throws(ApplianceError) { try negotiate() } catch { logger.error("\(error)") }
    }

    /// The plan of a file as it is now, with the instances that operators or scaling added and removed.
    private func plan(
        of path: String, _ settings: [String: String]?, keeping current: AppliancePlan
    ) throws(ApplianceError) -> PlannedFile {
        let kept = loop.sync { self.topology.source.settings }
        let file = try PlanReader.file(path, settings: settings.map { FileSettings($0) } ?? kept)
        let read = try PlanReader.plan(file, name: name, keeping: current)
        let changes = current.changes.fitting(read.plan)
        if changes == InstanceChanges() { return read }
        return try PlanReader.plan(file, name: name, keeping: current, changes: changes)
    }

    /// The plan that runs.
    func running() throws(ApplianceError) -> AppliancePlan {
        guard record.phase == .up else { throw ApplianceError(.failed, "'\(name)' is not up", hint: "try again") }
        return loop.sync { self.plan }
    }

    /// Runs `body` while no other change is under way.
    func changing<Value>(
        _ what: String, _ body: (Cancellation) throws(ApplianceError) -> Value
    ) throws(ApplianceError) -> Value {
        let cancellation = try gate.enter(what)
        defer { gate.leave() }
        return try body(cancellation)
    }

    /// Changes the running topology from one plan to another, or reports what it would change.
    func change(
        _ current: AppliancePlan, to fresh: PlannedFile, isTrial: Bool, drain: Duration?,
        _ cancellation: Cancellation,
        _ tell: @escaping (Progress) -> Void
    ) throws(ApplianceError) -> ChangeReport {
        let started = monotonicTime()
        var planned = fresh
        planned.plan = fresh.plan.adopting(current)
        try avoidOthersNames(in: &planned.plan, besides: current)
        let (plan, adopted) = (planned.plan, planned)
        let change = TopologyChange(self, from: current, to: adopted, drain: drain, cancellation, tell: tell)
        if !change.difference.refusals.isEmpty {
            let refusals = change.difference.refusals
            throw ApplianceError(
                .file,
                "some differences cannot be applied while '\(name)' is up: "
                    + refusals.map(\.what).joined(separator: "; "),
                hint: refusals[0].hint)
        }
        let lines = change.difference.lines(plan)
        var kept = plan.table.entries.count
        if !isTrial {
            if change.difference.isEmpty {
                // Lines may have moved in the file; messages name them.
                loop.sync { self.topology.take(adopted) }
            } else {
                logger.info("changing: \(lines.joined(separator: "; "))")
                kept = try change.perform()
            }
            tellEvents(of: change.difference, current, plan)
            try publishImpairments(cancellation)
        }
        var report = ChangeReport(
            changes: lines, entries: plan.table.entries.count, kept: kept,
            time: monotonicTime() - started)
        report.notes = plan.remarks.map(\.note) + change.notes
        let before = Set(current.recordsSetAside)
        report.notes += plan.recordsSetAside.filter { !before.contains($0) }.map {
            "service \($0.record.id) is set aside: \($0.reasons.joined(separator: "; "))"
        }
        let listsBefore = Set(current.accessSetAside)
        report.notes += plan.accessSetAside.filter { !listsBefore.contains($0) }.map(\.note)
        let notesBefore = Set(current.accessLists.flatMap(\.notes))
        report.notes += plan.accessLists.flatMap(\.notes).filter { !notesBefore.contains($0) }
        return report
    }

    private func tellEvents(of difference: PlanDifference, _ before: AppliancePlan, _ after: AppliancePlan) {
        func tell(_ kind: ApplianceEvent.Kind, _ node: String, _ plan: AppliancePlan, _ reason: String) {
            let owner = plan.applications.first { $0.instances.contains { $0.node == node } }?.name
            happened(ApplianceEvent(kind, application: owner, instance: node, reason: reason))
        }
        for action in difference.actions {
            switch action {
            case .add(let node): tell(.instanceAdded, node, after, action.line(after))
            case .remove(let node): tell(.instanceRemoved, node, before, action.line(after))
            case .addInterface: happened(ApplianceEvent(.interfaceAdded, reason: action.line(after)))
            case .removeInterface: happened(ApplianceEvent(.interfaceRemoved, reason: action.line(after)))
            default: break
            }
        }
    }

    /// Renames new namespaces if another topology has their names.
    private func avoidOthersNames(
        in plan: inout AppliancePlan, besides current: AppliancePlan
    ) throws(ApplianceError) {
        let known = Set(NetworkBuilder.namespaces(of: current))
        let fresh = NetworkBuilder.namespaces(of: plan).filter { !known.contains($0) }
        let taken = try directory.othersNames(among: fresh)
        plan.avoid(taken)
    }

    /// Publishes the table of a plan and waits until every engine decides by it. An entry that equals one of the table
    /// before keeps its counters. The known state of instances stays.
    ///
    /// - Parameters:
    ///   - lingering: The entries of the table in force that stay beside it.
    ///   - patch: How its entries differ from those in force, if that is known.
    ///   - cause: Why, for events.
    /// - Returns: How many of its entries kept their counters.
    func publishAndWait(
        _ fresh: AppliancePlan, leaving lingering: LingeringEntries? = nil, patch: PlanPatch? = nil,
        cause: String = "the file was applied", _ cancellation: Cancellation
    ) throws(ApplianceError) -> Int {
        let kept = Box(0)
        try waiting(cancellation) { [self] done in
            guard fleet != nil, let applications else { return done(.failure(.noEngineYet)) }
            publisher.change(cause: cause) { [self] table in
                var next = fresh.table
                next.groups = applications.groups(of: fresh, health: watch.health(of: nodes))
                next.heartbeatToken = fresh.applications.isEmpty ? 0 : heartbeatToken
                next = lingering.map { next.with($0, from: table) } ?? next.with(leaversOf: table)
                if let patch, lingering == nil, let entries = patch.entries(of: fresh, insteadOf: table) {
                    kept.value = patch.table.kept(of: table.entries)
                    next.entries = entries
                    table = next
                    return patch.table
                }
                let (numbered, count) = next.keepingCounters(of: table)
                kept.value = count - (lingering?.entries.count ?? 0)
                table = numbered
                return nil
            } done: { [self] result in
                if case .success = result {
                    adopt(fresh)
                    groupWatch.begin()
                }
                done(result)
            }
        }
        return kept.value
    }

    /// Makes ready what the next change of a few entries or access lists needs. It does not wait for that.
    func prepareForChanges() {
        loop.submit { [self] in
            publisher.whenQuiet { [self] in fleet?.prepareForChanges(of: publisher.table) }
        }
    }

    /// A plan with the entries that are in force, if these are the plan's own: equal tables share their memory then.
    func sharing(_ fresh: AppliancePlan) -> AppliancePlan {
        loop.preconditionCurrent()
        var plan = fresh
        if publisher.table.entries.count == plan.table.entries.count { plan.table.entries = publisher.table.entries }
        return plan
    }

    /// Waits until the engines decide by all that has been said of instances until now.
    func awaitQuiet(_ cancellation: Cancellation) throws(ApplianceError) {
        try waiting(cancellation) { [publisher] done in publisher.whenQuiet { done(.success(())) } }
    }

    /// Runs `body` while no engine forwards: frames wait in the queues instead of going to a device that is down.
    func withoutForwarding<Value>(_ body: () throws(ApplianceError) -> Value) throws(ApplianceError) -> Value {
        let isQuiet = RaisedFlag()
        loop.sync { [self] in
            if let fleet { fleet.pause { isQuiet.raise() } } else { isQuiet.raise() }
        }
        // An engine that does not answer is the fleet's business.
        _ = isQuiet.wait(atMost: .seconds(1))
        defer { loop.sync { self.fleet?.resume() } }
        return try body()
    }

    /// Does something to an instance as an operator would, and waits until the engines decide by it.
    func operate(
        _ operation: InstanceOperation, on node: String, _ cancellation: Cancellation
    ) throws(ApplianceError) {
        try waiting(cancellation) { [self] done in
            guard let applications else { return done(.failure(.cancelled)) }
            applications.perform(operation, on: node) { result in done(result.map { _ in () }) }
        }
    }

    /// Has something done on the loop's thread, and waits until it says that it is done.
    func waiting(
        _ cancellation: Cancellation,
        _ body: @escaping (@escaping (Result<Void, ApplianceError>) -> Void) -> Void
    ) throws(ApplianceError) {
        let done = RaisedFlag()
        let outcome = Box<Result<Void, ApplianceError>>(.failure(.cancelled))
        let work = Box(body)
        loop.submit {
            work.value { result in
                outcome.value = result
                done.raise()
            }
        }
        // An engine that has just ended takes the table when its successor starts.
        while !done.wait(atMost: .milliseconds(100)) { try cancellation.check() }
        try outcome.value.get()
    }
}

extension ControlProcess {
    /// Publishes a file's table, if only the table and the checks differ.
    func reload(_ path: String, settings: [String: String]? = nil) throws(ApplianceError) -> ReloadReport {
        defer { renewKeepers() }
        return try changing(ChangeGate.change) { [self] (cancellation) throws(ApplianceError) in
            let current = try running()
            var fresh = try plan(of: path, settings, keeping: current)
            fresh.plan = fresh.plan.adopting(current)
            let beside = PlanDifference(from: current, to: fresh.plan).beside(current)
            guard beside.isEmpty else {
                throw ApplianceError(
                    .file, "the table is not the only difference: \(beside.joined(separator: "; "))",
                    hint: "'tapline apply \(name)' applies all changes")
            }
            var report = try change(current, to: fresh, isTrial: false, drain: nil, cancellation) { _ in }
            // An explicit request publishes the table even if it is the same: engines that were in doubt are not
            // afterwards.
            if report.changes.isEmpty { report.kept = try publishAndWait(fresh.plan, cancellation) }
            return ReloadReport(entries: report.entries, kept: report.kept)
        }
    }
}

/// How the entries of one plan's table became those of another.
struct PlanPatch {
    let table: TablePatch
    /// The entries of the plan before.
    let before: [Entry]

    /// The entries that take the place of those of a table in force.
    ///
    /// - Returns: nil if the table in force has not as many as the plan before.
    func entries(of fresh: AppliancePlan, insteadOf table: ForwardingTable) -> [Entry]? {
        // The same was done to the same already.
        before.isSame(as: table.entries) ? fresh.table.entries : self.table.patched(table.entries)
    }
}

extension PlanDifference {
    /// The changes of a plan that concern neither the table nor the checks, in words.
    fileprivate func beside(_ plan: AppliancePlan) -> [String] {
        refusals.map(\.what)
            + actions.compactMap { action in
                switch action {
                case .publish, .checks, .tenants, .access: nil
                case .bridge(let index), .reshape(let index, _): "interface \(plan.interfaces[index].name)"
                case .addInterface: "an interface is new"
                case .removeInterface(_, let title): "\(title) is gone"
                case .engines(let what): what.joined(separator: ", ")
                case .add(let node): "node \(node) is new"
                case .remove(let node): "node \(node) is gone"
                case .rebuild(let node, _), .restart(let node, _), .reload(let node, _), .alter(let node, _):
                    "node \(node)"
                case .application(let name, _): "application \(name)"
                case .impair(let place, _): "link \(place.text)"
                }
            }
    }
}
