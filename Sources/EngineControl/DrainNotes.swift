import Engine
import EventLoop
import Forwarding

/// Manages the engines' notes of slots that change hands. The notes are right before a table tells engines to use them.
/// A used slot counts as unused when it has had no packet for long enough.
///
/// On the loop's thread.
package final class DrainNotes {
    private let table: DrainTable
    private let loop: EventLoop
    private var groups: [InstanceGroup] = []
    private var timer: Int?

    /// The time without a packet after which a slot may go over; it takes once to twice as long. A
    /// busy connection is never silent for that long, even while a lost segment waits to be sent again (RFC 6298).
    private static let stretch = Duration.seconds(1)

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
                // The draining or joining instances have changed. Slots that have gone over stay so if they still can.
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
        timer = loop.after(Self.stretch) { [weak self] in
            guard let self else { return }
            self.timer = nil
            for group in self.changing { self.table.beginPeriod(group) }
            self.arm()
        }
    }
}
