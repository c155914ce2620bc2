import ControlAPI
import EngineControl
import EventLoop
import Forwarding
import Plan
import Redundancy
import Reporting
import Wire

/// Combines what the health checks and the operators report about instances, and keeps the table in step with it. It
/// publishes each change at once. It logs each change and its consequence as an event.
///
/// On the loop's thread.
final class ApplicationControl {
    private(set) var states: ApplicationStates
    private let publisher: TablePublisher
    private let loop: EventLoop
    private let tell: EventSink
    private var timer: Int?
    private var isRetrying = false

    /// How long a table that could not be published waits for the next try.
    private static let pause = Duration.seconds(1)

    /// - Parameter publisher: Its table gets the groups as they are: nothing is available before it is heard of.
    init(plan: AppliancePlan, publisher: TablePublisher, loop: EventLoop, tell: @escaping EventSink) {
        states = ApplicationStates(applications: plan.applications, groups: plan.table.groups, at: .now)
        states.otherNodes = Self.otherNodes(of: plan)
        self.publisher = publisher
        self.loop = loop
        self.tell = tell
        publisher.published = { [weak self] in self?.published($0, $1, $2) }
        publish(cause: "no instance has reported yet") { _ in }
    }

    /// The nodes that are no instances, with their kinds.
    private static func otherNodes(of plan: AppliancePlan) -> [String: String] {
        let instances = Set(plan.applications.flatMap(\.instances).map(\.node))
        var others: [String: String] = [:]
        for node in plan.nodes where !instances.contains(node.name) {
            others[node.name] =
                switch node.kind {
                case .customer: "a customer"
                case .router: "a router"
                case .application: "an application without instances and health checks"
                }
        }
        return others
    }

    // MARK: - What happens

    /// Takes the health of an instance: its process, links and checks. Ignores other nodes.
    func hear(_ health: InstanceHealth, of node: String) {
        loop.preconditionCurrent()
        let events = states.hear(health, of: node, at: .now)
        announce(events)
        publish(cause: "\(node): \(health.reason)") { _ in }
    }

    /// Carries out an operator's request. Calls `done` with the report when the engines decide by it.
    func perform(
        _ operation: InstanceOperation, on node: String,
        done: @escaping (Result<OperationReport, ApplianceError>) -> Void
    ) {
        loop.preconditionCurrent()
        do throws(ApplianceError) {
            let (events, summary) = try states.perform(operation, on: node, at: .now)
            announce(events)
            endTimes()
            let report = OperationReport(
                instance: node, application: states.instances[node]?.application ?? "", summary: summary)
            publish(cause: summary.first ?? node) { result in done(result.map { report }) }
        } catch {
            done(.failure(error))
        }
    }

    /// The groups of another file's plan, with the known state of its instances.
    ///
    /// - Parameter health: The known health of the instances, including new ones.
    func groups(of plan: AppliancePlan, health: [String: InstanceHealth]) -> [InstanceGroup] {
        loop.preconditionCurrent()
        var next = states
        _ = next.adopt(applications: plan.applications, groups: plan.table.groups, health: health, at: .now)
        return next.groups
    }

    /// Goes on with another file's plan, whose table is in force with the groups that `groups(of:health:)` gave.
    func adopt(_ plan: AppliancePlan, health: [String: InstanceHealth]) {
        loop.preconditionCurrent()
        announce(
            states.adopt(applications: plan.applications, groups: plan.table.groups, health: health, at: .now))
        states.otherNodes = Self.otherNodes(of: plan)
        publish(cause: "instances have changed meanwhile") { _ in }
    }

    /// The topology is up: from here on there may be connections.
    func beginServing() {
        loop.preconditionCurrent()
        states.isServing = true
    }

    // MARK: - What follows

    private func announce(_ events: [ApplianceEvent]) {
        for event in events { tell(event) }
    }

    private func publish(cause: String, done: @escaping (Result<Void, ApplianceError>) -> Void) {
        publisher.change(
            groupsOnly: true, cause: cause,
            { [weak self] table in
                guard let self else { return }
                table.ownGroups(self.states.groups)
            },
            done: { [weak self] result in
                if case .failure = result { self?.retryLater() }
                done(result)
            })
        armTimer()
    }

    /// Tries again to publish a table that could not be published: an instance that is down must not stay in the table.
    private func retryLater() {
        guard !isRetrying else { return }
        isRetrying = true
        loop.after(Self.pause) { [weak self] in
            guard let self else { return }
            self.isRetrying = false
            if !self.publisher.table.groups.starts(with: self.states.groups) {
                self.publish(cause: "another try") { _ in }
            }
        }
    }

    private func endTimes() {
        announce(states.endTimes(at: .now))
    }

    private func armTimer() {
        if let timer { loop.cancel(timer) }
        timer = nil
        guard let end = states.nextEnd else { return }
        timer = loop.after(end - monotonicTime()) { [weak self] in
            guard let self else { return }
            self.endTimes()
            self.publish(cause: "the time of a draining or joining instance is over") { _ in }
        }
    }

    /// A table is in force: says which flows meet another instance now.
    private func published(_ before: ForwardingTable, _ now: ForwardingTable, _ reason: String) {
        // With one instance, or with none left, no flow has moved to another.
        let old = Dictionary(before.groups.map { ($0.name, $0) }) { first, _ in first }
        var changed: [(was: InstanceGroup, now: InstanceGroup, event: ApplianceEvent)] = []
        for group in now.groups where group.members.count > 1 && !group.isDown {
            guard let was = old[group.name], was != group, !was.isDown else { continue }
            changed.append((was, group, ApplianceEvent(.flowsMoved, application: group.name, reason: reason)))
        }
        guard !changed.isEmpty else { return }
        // Comparing all slots takes longer than anything that waits for this thread.
        let (compared, tell) = (changed, tell)
        let work: @Sendable () -> Void = {
            for (was, now, event) in compared {
                var event = event
                event.share = was.shareMoved(to: now)
                if event.share != 0 { tell(event) }
            }
        }
        do throws(ApplianceError) { try startThread(work) } catch { work() }
    }
}

extension ForwardingTable {
    /// Replaces the groups of the plan. Groups that an earlier table left for a while stand behind them, and stay.
    fileprivate mutating func ownGroups(_ fresh: [InstanceGroup]) {
        groups.replaceSubrange(..<min(fresh.count, groups.count), with: fresh)
    }
}
