import ControlAPI
import Forwarding
import Plan
import Reporting
import Wire

/// The states of all instances of a topology, and the results: each instance's availability and weight in the table,
/// the applications that are down, and the events.
///
/// A pure value: times come in, events and groups go out.
package struct ApplicationStates: Sendable {
    /// The applications, as the file has them.
    package private(set) var applications: [ApplicationPlan] = []
    /// The groups, as the file has them: with its weights, and everything available.
    private(set) var fileGroups: [InstanceGroup] = []
    /// The instances by their nodes' names.
    package private(set) var instances: [String: InstanceState] = [:]
    /// The other nodes and their kinds, for messages to a caller that takes one for an instance.
    package var otherNodes: [String: String] = [:]
    /// The instances that may get packets.
    private var present: Set<String> = []
    /// True from when there may be connections that an instance that comes could take from others.
    package var isServing = false
    /// The applications that are up. An application that has never been up is not reported as down.
    private var up: Set<String> = []

    /// No instance is available before its health is heard of.
    package init(applications: [ApplicationPlan], groups: [InstanceGroup], at now: Moment) {
        _ = adopt(applications: applications, groups: groups, at: now)
    }

    /// Takes over another file's applications. Operators' settings of instances that stay remain.
    ///
    /// - Parameter health: The known health of instances, new ones included.
    package mutating func adopt(
        applications: [ApplicationPlan], groups: [InstanceGroup], health: [String: InstanceHealth] = [:],
        at now: Moment
    ) -> [ApplianceEvent] {
        self.applications = applications
        fileGroups = groups
        var kept: [String: InstanceState] = [:]
        for application in applications {
            for instance in application.instances {
                kept[instance.node] =
                    instances[instance.node]
                    ?? InstanceState(
                        application: application.name,
                        health: InstanceHealth(
                            isHealthy: false, reason: "it has never been ready", since: now.microseconds,
                            isSuppressed: false, checks: []))
                kept[instance.node]?.application = application.name
            }
        }
        instances = kept
        present.formIntersection(kept.keys)
        up.formIntersection(applications.map(\.name))
        var events: [ApplianceEvent] = []
        for (node, health) in health.sorted(by: { $0.key < $1.key }) { events += hear(health, of: node, at: now) }
        return events + judge(at: now)
    }

    // MARK: - Results

    /// The groups for the table.
    package var groups: [InstanceGroup] {
        var groups = fileGroups
        for application in applications {
            for instance in application.instances {
                guard let state = instances[instance.node], groups.indices.contains(instance.group),
                    groups[instance.group].members.indices.contains(instance.member)
                else { continue }
                groups[instance.group].members[instance.member].availability = state.availability
                if let weight = state.weight { groups[instance.group].members[instance.member].weight = weight }
            }
        }
        return groups
    }

    /// The application that an instance belongs to.
    package func application(of node: String) -> ApplicationPlan? {
        guard let name = instances[node]?.application else { return nil }
        return applications.first { $0.name == name }
    }

    /// True if too few of an application's instances are left. Of one whose instances each get a copy, when the
    /// last of them is gone.
    package func isDown(_ application: ApplicationPlan) -> Bool {
        Self.isDown(application, groups)
    }

    private static func isDown(_ application: ApplicationPlan, _ groups: [InstanceGroup]) -> Bool {
        let own = Set(application.instances.map(\.group)).filter(groups.indices.contains)
        return own.allSatisfy { groups[$0].isDown }
    }

    /// When the time of the next one that drains or joins is over.
    package var nextEnd: MonotonicTime? {
        let drains = instances.values.compactMap { $0.drain }.filter { !$0.isOver }.map(\.end)
        return (drains + instances.values.compactMap { $0.join?.end }).min()
    }

    // MARK: - Inputs

    /// Takes an instance's new health, from its process, links and checks.
    package mutating func hear(_ health: InstanceHealth, of node: String, at now: Moment) -> [ApplianceEvent] {
        guard let before = instances[node] else { return [] }
        var health = health
        if health.isHealthy == before.health.isHealthy { health.since = before.health.since }
        instances[node]?.health = health
        var events: [ApplianceEvent] = []
        func tell(_ kind: ApplianceEvent.Kind, _ reason: String) {
            events.append(
                ApplianceEvent(kind, application: before.application, instance: node, reason: reason))
        }
        if before.health.isHealthy != health.isHealthy {
            var reason = health.reason
            if health.isHealthy, let word = instances[node]?.reasonDown { reason += "; \(word), and gets no packets" }
            tell(health.isHealthy ? .instanceUp : .instanceDown, reason)
        }
        if health.isSuppressed, !before.health.isSuppressed { tell(.instanceSuppressed, health.reason) }
        return events + judge(at: now)
    }

    /// Ends the drains and joins whose time is over.
    package mutating func endTimes(at now: Moment) -> [ApplianceEvent] {
        for (node, state) in instances {
            if let join = state.join, join.end <= now.monotonic { instances[node]?.join = nil }
        }
        var events: [ApplianceEvent] = []
        for node in instances.keys.sorted() {
            guard let state = instances[node], let drain = state.drain, !drain.isOver, drain.end <= now.monotonic
            else { continue }
            instances[node]?.drain?.isOver = true
            events.append(
                ApplianceEvent(
                    .instanceDrained, application: state.application, instance: node,
                    reason: "its \(seconds(drain.time)) are over; it gets no packets until 'undrain'"))
        }
        return events + judge(at: now)
    }

    /// Carries out an operator's request.
    ///
    /// - Returns: The events for all listeners, and sentences without a full stop for the operator.
    /// - Throws: `ApplianceError` if there is no such instance, or if the operation is not possible now.
    package mutating func perform(
        _ operation: InstanceOperation, on node: String, at now: Moment
    ) throws(ApplianceError) -> (events: [ApplianceEvent], summary: [String]) {
        guard let before = instances[node], let application = application(of: node) else { throw noInstance(node) }
        var outcome: (kind: ApplianceEvent.Kind, reason: String)?
        var summary: [String] = []
        switch operation {
        case .drain(let given):
            guard before.disabled == nil else {
                throw ApplianceError(
                    .failed, "\(node) is disabled, so it cannot be drained", hint: "enable it first")
            }
            let time = given?.duration ?? .milliseconds(application.drainTime)
            instances[node]?.drain = InstanceState.Drain(began: now, time: time)
            outcome = (
                .instanceDraining, "no new connections if another can take them; nothing after \(seconds(time))"
            )
        case .undrain:
            guard before.drain != nil else { return ([], ["\(node) was not drained"] + rest(of: node)) }
            instances[node]?.drain = nil
            outcome = (.instanceUndrained, "it gets its share again")
        case .disable:
            guard before.disabled == nil else { return ([], ["\(node) is disabled already"] + rest(of: node)) }
            instances[node]?.disabled = now.microseconds
            outcome = (.instanceDisabled, "it gets no packets until 'enable'")
        case .enable:
            guard before.disabled != nil else { return ([], ["\(node) was not disabled"] + rest(of: node)) }
            instances[node]?.disabled = nil
            outcome = (.instanceEnabled, "it gets its share again")
        case .setWeight(let weight):
            if let weight, !RequestRange.weight.contains(weight) {
                throw ApplianceError(
                    .usage, "a weight must be 0…\(RequestRange.weight.upperBound), not \(weight)")
            }
            instances[node]?.weight = weight
            let share = weight ?? fileWeight(of: node)
            outcome = (.instanceWeightSet, "weight \(share)" + (weight == nil ? ", as in the file" : ""))
            if share == 0 { summary.append("it gets no share, unless no other of \(application.name) has one") }
            if application.redundancy == .activeStandby {
                summary.append("weights only apply if \(application.name) is balanced; it is active-standby")
            }
        }
        guard let outcome else { return ([], summary) }
        let what = ApplianceEvent(
            outcome.kind, application: application.name, instance: node, reason: outcome.reason)
        let events = [what] + judge(at: now)
        summary.insert("\(node): \(outcome.reason)", at: 0)
        if outcome.kind != .instanceDisabled, outcome.kind != .instanceDraining { summary += rest(of: node) }
        return (events, summary + follows(application, events))
    }

    /// The other reasons why an instance gets no packets.
    private func rest(of node: String) -> [String] {
        guard let state = instances[node] else { return [] }
        if state.disabled != nil { return ["it is disabled: 'enable' ends that"] }
        if state.drain?.isOver == true { return ["it is drained: 'undrain' ends that"] }
        guard !state.health.isHealthy else { return [] }
        return ["it gets no packets until it is healthy: \(state.health.reason)"]
    }

    /// The effects of an operation on the application as a whole.
    private func follows(_ application: ApplicationPlan, _ events: [ApplianceEvent]) -> [String] {
        if let down = events.first(where: { $0.event == .applicationDown })?.reason {
            return ["\(application.name) is down: \(down)"]
        }
        if let up = events.first(where: { $0.event == .applicationUp })?.reason {
            return ["\(application.name) is up: \(up)"]
        }
        guard !isDown(application) else { return ["\(application.name) is down: \(whyDown(application))"] }
        // A drain shows its effect only when it is over.
        var later = self
        for (node, state) in instances where state.drain != nil { later.instances[node]?.drain?.isOver = true }
        guard instances.values.contains(where: { $0.application == application.name && $0.drain?.isOver == false }),
            later.isDown(application)
        else { return [] }
        return ["\(application.name) is down when the drain is over: \(later.whyDown(application))"]
    }

    // MARK: - Down and up

    /// Finds out which instances join others, and which applications have gone down or come up.
    private mutating func judge(at now: Moment) -> [ApplianceEvent] {
        for application in applications { settleJoins(application, at: now) }
        let groups = groups
        var events: [ApplianceEvent] = []
        for application in applications {
            let isUp = !Self.isDown(application, groups)
            guard isUp != up.contains(application.name) else { continue }
            if isUp {
                up.insert(application.name)
                let reason = "\(counted(application)) up"
                events.append(ApplianceEvent(.applicationUp, application: application.name, reason: reason))
            } else {
                up.remove(application.name)
                events.append(
                    ApplianceEvent(
                        .applicationDown, application: application.name, reason: whyDown(application)))
            }
        }
        return events
    }

    /// An instance that joins working ones leaves them their flows, so no connection breaks.
    private mutating func settleJoins(_ application: ApplicationPlan, at now: Moment) {
        func isThere(_ node: String) -> Bool { (instances[node]?.availability ?? .down) != .down }
        for instance in application.instances {
            let node = instance.node
            guard isThere(node) else {
                present.remove(node)
                instances[node]?.join = nil
                continue
            }
            guard present.insert(node).inserted, isServing else { continue }
            let others = application.instances.contains { other in
                other.node != node && other.group == instance.group && present.contains(other.node)
                    && isThere(other.node)
            }
            if others {
                instances[node]?.join = InstanceState.Join(began: now, time: .milliseconds(application.drainTime))
            }
        }
        // If only joining instances are left, they take all flows at once.
        for group in Set(application.instances.map(\.group)) {
            let left = application.instances.map { $0.group == group ? $0.node : "" }.filter(present.contains)
            guard left.allSatisfy({ instances[$0]?.join != nil }) else { continue }
            for node in left { instances[node]?.join = nil }
        }
    }

    private func counted(_ application: ApplicationPlan) -> String {
        let all = application.instances.count
        let left = application.instances.count { instances[$0.node]?.availability != .down }
        if all == 1 { return left == 1 ? "its one instance is" : "its one instance is not" }
        return "\(left == 0 ? "none" : "\(left)") of its \(all) instances \(left < 2 ? "is" : "are")"
    }

    /// Why an application is down, instance by instance, and how its packets are treated.
    func whyDown(_ application: ApplicationPlan) -> String {
        let needed =
            application.instances.compactMap { instance in
                fileGroups.indices.contains(instance.group) ? fileGroups[instance.group].minimum : nil
            }.max() ?? 1
        var parts = ["\(counted(application)) up" + (needed > 1 ? ", but it needs \(needed)" : "")]
        let shown = 4
        let gone = application.instances.compactMap { instance in
            instances[instance.node]?.reasonDown.map { "\(instance.node): \($0)" }
        }
        parts += gone.prefix(shown)
        if gone.count > shown { parts.append("and \(gone.count - shown) more") }
        return parts.joined(separator: "; ") + "; \(application.downSummary)"
    }

    // MARK: - Contents

    /// The weight that the file gives an instance.
    package func fileWeight(of node: String) -> Int {
        guard let place = application(of: node)?.instances.first(where: { $0.node == node }),
            fileGroups.indices.contains(place.group), fileGroups[place.group].members.indices.contains(place.member)
        else { return 1 }
        return fileGroups[place.group].members[place.member].weight
    }

    /// The error for a name that no instance has.
    private func noInstance(_ name: String) -> ApplianceError {
        let names = applications.flatMap(\.instances).map(\.node)
        if let application = applications.first(where: { $0.name == name }) {
            let own = application.instances.map(\.node).joined(separator: ", ")
            return ApplianceError(
                .name, "\(name) is an application; name one of its instances", hint: "they are: \(own)")
        }
        if let kind = otherNodes[name] {
            return ApplianceError(
                .name, "\(name) is \(kind), not an instance that others can replace",
                hint: names.isEmpty
                    ? "give an application 'instances' or 'health' in the file"
                    : "the instances are: \(Self.listed(names))")
        }
        guard !names.isEmpty else {
            return ApplianceError(
                .name, "no application of this topology has several instances",
                hint: "give one 'instances' or 'health' in the file")
        }
        if let nearest = Spelling.nearest(to: name, among: names) {
            return ApplianceError(.name, "there is no instance '\(name)'", hint: "did you mean '\(nearest)'?")
        }
        return ApplianceError(
            .name, "there is no instance '\(name)'", hint: "the instances are: \(Self.listed(names))")
    }

    private static func listed(_ names: [String]) -> String {
        names.prefix(12).joined(separator: ", ") + (names.count > 12 ? " and others" : "")
    }
}

extension ApplicationPlan {
    /// The treatment of its packets while it is down.
    var downSummary: String {
        switch whenDown {
        case .drop, .spare: "its packets are dropped"
        case .bypass: redundancy == .copies ? "no copies are made for it" : "packets bypass it"
        case .skipRest: "packets go straight to the end of the chain"
        }
    }
}
