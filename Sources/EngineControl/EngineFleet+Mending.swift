import Engine
import EventLoop
import Glibc
import Plan
import Wire

/// Putting right what an engine left behind, or changed, in what all of them share.
extension EngineFleet {
    /// The notes about neighbours of an engine that broke the protocol are not trusted. Notes with times in the future,
    /// of any engine, would never be asked for again.
    func forgetNeighbours(of process: EngineProcess) {
        // Others may be writing: what they note now is a moment later than this one.
        let limit = MonotonicTime.now + .seconds(1)
        let hasBroken = process.hasBroken
        neighbours.forget { hasBroken || max($0.updated, $0.requested) > limit }
        // What the nodes report again is true again.
        if hasBroken { memberships.askAgain(forgetting: true) }
    }

    /// Makes every queue nonblocking again. An engine that has ended, or hangs, may have changed that for all readers.
    ///
    /// - Returns: The corrections, as the end of a sentence; empty if there were none.
    func correctQueues() -> String {
        let queues = resources.queues
        guard let places = try? EngineLink.correctFlags(queues.flatMap { $0 }) else { return "" }
        return summary(ofCorrected: places, in: queues)
    }

    /// - Parameters:
    ///   - places: The queues that were corrected, counted through all interfaces.
    ///   - queues: The queues of each interface, as many for each.
    /// - Returns: The end of a sentence about them; empty if there are none.
    func summary(ofCorrected places: [Int], in queues: [[Int32]]) -> String {
        guard !places.isEmpty else { return "" }
        let queueCount = max(1, queues.first?.count ?? 1)
        let interfaces = Set(places.map { $0 / queueCount + 1 }).sorted().map(String.init).joined(separator: ", ")
        return
            "; the flags of \(places.count) queue\(places.count == 1 ? "" : "s") had been changed so that readers hang, "
            + "and were set again (interface \(interfaces))"
    }

    /// Frees what a writer that has ended left halfway in the neighbour table. Writers that live are done with a slot
    /// long before the second look.
    func healNeighbours() {
        let unfinished = neighbours.unfinished()
        guard !unfinished.isEmpty else { return }
        loop.after(.milliseconds(50)) { [neighbours] in neighbours.heal(unfinished) }
    }
}
