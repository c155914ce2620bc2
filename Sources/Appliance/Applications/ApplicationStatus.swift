import Forwarding
import Topology

extension StatusReport {
    /// An application whose health is looked after.
    public struct Application: Codable, Sendable {
        /// Its name.
        public var name: String
        /// What it is, in the file's words.
        public var type: String?
        /// `up` or `down`.
        public var state: String
        /// `active-standby`, `balance` or `copies`.
        public var redundancy: String
        /// `spare`, `bypass`, `skip-rest` or `drop`: what becomes of its packets while it is down.
        public var whenDown: String
        /// Why it is down and what becomes of its packets now, for a person; nil while it is up.
        public var reason: String?
        /// Fewer instances that are not down than these, and it is down.
        public var minimum: Int
        /// How many are active at once, the others being spares; nil: all.
        public var active: Int?
        /// Its instances in the order of the file.
        public var instances: [Instance]
    }

    /// One instance of an application.
    public struct Instance: Codable, Sendable {
        /// Its node.
        public var name: String
        /// `active` (it has a share), `standby` (it would take one), `draining`, `drained`, `taken-out`, `suppressed`
        /// (it flaps, and is kept out), `down`.
        public var state: String
        /// Why it is as it is, for a person.
        public var reason: String
        /// Microseconds since 1970: since when that is so.
        public var since: Int
        /// Whether its process, links and checks say that it may take packets, whatever operators say.
        public var isHealthy: Bool
        /// Its share of its application's flows, 0…1; of copies, 1 where it gets them.
        public var share: Double
        /// Its weight now.
        public var weight: Int
        /// Its weight in the file.
        public var fileWeight: Int
        /// Its priority.
        public var priority: Int
        /// While it drains: the milliseconds until it gets nothing.
        public var drainLeft: Int?
        /// While it gets what begins, and nothing that others have: the milliseconds until it has its whole share.
        public var joinLeft: Int?
        /// Its health checks in the order of the file.
        public var checks: [InstanceHealth.Check]
    }
}

extension ApplicationStates {
    /// What `status` tells, application by application.
    ///
    /// - Parameter health: What instances' checks have seen last, where that is known.
    func report(at now: Moment, health: [String: InstanceHealth] = [:]) -> [StatusReport.Application] {
        let groups = groups
        // What begins is what counts: of what drains, what it has.
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
            if let takenOut = state.takenOut {
                ("taken-out", takenOut)
            } else if let drain = state.drain, drain.isOver {
                ("drained", drain.began.microseconds + drain.time * 1000)
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
            drainLeft: state.drain.flatMap { $0.isOver ? nil : max(0, $0.end - now.milliseconds) },
            joinLeft: share > 0 ? state.join.map { max(0, $0.end - now.milliseconds) } : nil,
            checks: (health ?? state.health).checks)
    }
}
