import Engine
import EventLoop
import Forwarding

/// Looks after what engines note of slots that change hands: that it is right before a table tells engines to
/// go by it, and that what was used counts as unused when it has been for long enough.
///
/// On the loop's thread.
package final class DrainNotes {
    private let table: DrainTable
    private let loop: EventLoop
    private var groups: [InstanceGroup] = []
    private var timer: Int?

    /// The time without a packet after which a slot may go over, once to twice as long, in milliseconds: longer than a
    /// connection that is at work is silent, even where it waits for a lost segment to be sent again (RFC 6298).
    private static let stretch = 1000

    package init(_ table: DrainTable, loop: EventLoop) {
        self.table = table
        self.loop = loop
    }

    /// Makes the notes right for a table that is about to be handed to engines.
    package func prepare(for next: [InstanceGroup]) {
        loop.preconditionCurrent()
        for (index, group) in next.enumerated().prefix(DrainTable.groups) {
            let before = groups.indices.contains(index) ? groups[index] : nil
            guard group != before, let new = group.slotsForNew() else { continue }
            let drained = before.map { $0.name == group.name && $0.slotsForNew() != nil } ?? false
            if drained {
                // Who drains or joins has changed: what has gone over stays so where it still can.
                let now = group.slots()
                table.clear(index) { now.owners[$0] != new.owners[$0] }
            } else if group.hashing == .addresses {
                // All that a customer does is in one slot, and a connection that is silent now may be open.
                table.markUsed(index)
            } else {
                table.clear(index)
            }
        }
        groups = next
        arm()
    }

    private var changing: [Int] { groups.indices.filter { groups[$0].isChangingHands } }

    private func arm() {
        guard timer == nil, !changing.isEmpty else { return }
        timer = loop.after(milliseconds: Self.stretch) { [weak self] in
            guard let self else { return }
            self.timer = nil
            for group in self.changing { self.table.beginPeriod(group) }
            self.arm()
        }
    }
}
