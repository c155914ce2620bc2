import Engine
import EventLoop
import Forwarding
import Wire

/// The members of groups that nodes join.
extension EngineFleet {
    /// The members of groups, which engines note.
    var memberships: MembershipTable { MembershipTable(behind: neighbours) }

    /// Those of some nodes and groups that are together now: the node has reported the group, and that still holds.
    package func joined(_ joiners: Set<GroupJoiner>) -> Set<GroupJoiner> {
        guard !joiners.isEmpty else { return [] }
        let now = MonotonicTime.now.nanoseconds
        return joiners.filter { memberships.isMember($0.mac, $0.group, on: $0.interface, now: now) }
    }
}
