import ControlAPI
import EngineControl
import EventLoop
import Forwarding
import Reporting
import Wire

/// Tells which nodes join and leave groups, as events.
///
/// On the loop's thread.
final class GroupWatch {
    /// How often it looks. A node that joins and leaves in between is in no event.
    private static let interval = Duration.milliseconds(500)

    private unowned let control: ControlProcess
    private var joined: Set<GroupJoiner> = []
    private var isLooking = false

    init(_ control: ControlProcess) { self.control = control }

    /// Looks from now on, as long as the table lets nodes join groups.
    func begin() {
        guard !isLooking else { return }
        look()
    }

    private func look() {
        isLooking = false
        guard let fleet = control.fleet else { return }
        let table = control.table
        let joiners = table.joiners
        tell(fleet.joined(joiners), table)
        guard !joiners.isEmpty else { return }
        isLooking = true
        control.loop.after(Self.interval) { [weak self] in self?.look() }
    }

    private func tell(_ now: Set<GroupJoiner>, _ table: ForwardingTable) {
        guard now != joined else { return }
        let names = NodeNames(table)
        let order = { (one: GroupJoiner, other: GroupJoiner) in
            (one.interface, one.mac.bits, "\(one.group)") < (other.interface, other.mac.bits, "\(other.group)")
        }
        for (kind, changed) in [
            (EventKind.groupJoined, now.subtracting(joined)), (.groupLeft, joined.subtracting(now)),
        ] {
            for joiner in changed.sorted(by: order) {
                // A node that is gone leaves its groups, too.
                guard let node = names.node(joiner.mac, on: joiner.interface) else { continue }
                control.events.append(
                    ApplianceEvent(
                        kind, instance: node,
                        reason: "\(joiner.group) on \(table.interfaces[joiner.interface].name)"))
            }
        }
        joined = now
    }
}
