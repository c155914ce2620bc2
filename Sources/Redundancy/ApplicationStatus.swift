import ControlAPI
import Forwarding
import Plan
import Wire

extension ApplicationStates {
    /// The report for `status`, one item per application.
    ///
    /// - Parameter health: The last results of instances' checks, if known.
    package func report(at now: Moment, health: [String: InstanceHealth] = [:]) -> [StatusReport.Application] {
        let groups = groups
        // Shares are of new flows; a draining instance has the share of its old flows.
        let shares = groups.map { group -> [Double] in
            guard !group.isDown else { return [] }
            let now = group.slots().shares(members: group.members.count)
            let new = group.slotsForNew()?.shares(members: group.members.count) ?? now
            return group.members.indices.map { group.members[$0].availability == .draining ? now[$0] : new[$0] }
        }
        return applications.map { application in
            let own = application.instances.map(\.group).filter(groups.indices.contains)
            let isDown = isDown(application)
            return StatusReport.Application(
                name: application.name, type: application.type, state: isDown ? "down" : "up",
                redundancy: application.redundancy.rawValue, whenDown: application.whenDown.rawValue,
                reason: isDown ? whyDown(application) : nil, minimum: own.map { groups[$0].minimum }.max() ?? 1,
                active: own.first.flatMap { groups[$0].active },
                instances: application.instances.compactMap { instance in
                    guard groups.indices.contains(instance.group),
                        groups[instance.group].members.indices.contains(instance.member)
                    else { return nil }
                    let member = groups[instance.group].members[instance.member]
                    let dealt = shares[instance.group]
                    let share = dealt.indices.contains(instance.member) ? dealt[instance.member] : 0
                    return report(member, share, health[member.name], at: now)
                })
        }
    }

    private func report(
        _ member: GroupMember, _ share: Double, _ health: InstanceHealth?, at now: Moment
    ) -> StatusReport.Instance? {
        guard let state = instances[member.name] else { return nil }
        let (word, since): (String, Int) =
            if let disabled = state.disabled {
                ("taken-out", disabled)
            } else if let drain = state.drain, drain.isOver {
                ("drained", drain.began.microseconds + Int(drain.time.wholeMicroseconds))
            } else if !state.health.isHealthy {
                (state.health.isSuppressed ? "suppressed" : "down", state.health.since)
            } else if let drain = state.drain {
                ("draining", drain.began.microseconds)
            } else {
                (share > 0 ? "active" : "standby", state.health.since)
            }
        return StatusReport.Instance(
            name: member.name, state: word, reason: (health ?? state.health).reason, since: since,
            isHealthy: state.health.isHealthy, share: share, weight: member.weight,
            fileWeight: fileWeight(of: member.name), priority: member.priority,
            drainLeft: state.drain.flatMap { $0.isOver ? nil : max(.zero, $0.end - now.monotonic) },
            joinLeft: share > 0 ? state.join.map { max(.zero, $0.end - now.monotonic) } : nil,
            checks: (health ?? state.health).checks)
    }
}
