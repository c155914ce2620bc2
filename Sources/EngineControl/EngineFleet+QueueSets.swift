import ControlAPI
import Engine
import EventLoop
import LinuxNetwork
import Plan
import Reporting

/// The assignment of queues to engines.
extension EngineFleet {
    /// Divides the queue sets anew among the engines that are there.
    func divide() {
        let before = division
        division = QueueSetAssignment(
            workers: plan.workers,
            fitness: members.map { member in
                guard member.process?.phase == .ready else { return .absent }
                return member.isDrained ? .drained : .fit
            })
        movesUnderWay += division.moves(since: before)
        hand()
    }

    /// Tells every process which queue sets to read, as far as that is possible now.
    ///
    /// A queue set is first taken from its former reader. The former reader says when it has sent on all frames that it
    /// had read. Then the new reader gets the queue set. So frames of one flow keep their order, and wait in the queues
    /// for that moment. A process that hangs or has ended is not waited for.
    func hand() {
        for process in living where process.phase == .ready {
            let member = members.firstIndex { $0.process === process }
            var wanted = member.map { division.queueSets(of: $0) } ?? QueueSets()
            for queueSet in wanted.numbers
            where !process.assigned.contains(queueSet) && isHeld(queueSet, besides: process) {
                wanted.remove(queueSet)
            }
            if isPaused || isSwitching { wanted = QueueSets() }
            if wanted != process.assigned { process.assign(wanted) }
        }
        if let paused, living.allSatisfy({ $0.phase != .ready || $0.isIdle }) {
            self.paused = nil
            paused()
        }
        if isSwitching, living.allSatisfy({ isFresh($0) || $0.phase != .ready || $0.isIdle }) { switchOver() }
        tellMoves()
        for process in living where process.phase == .ready && isRetired(process) && process.isIdle { retire(process) }
        let done = drains.filter { drain in members[drain.member].process.map(\.isIdle) ?? true }
        drains.removeAll { drain in done.contains { $0.member == drain.member } }
        for drain in done { drain.done(.success(())) }
    }

    /// Lets no engine read a queue until `resume()`. Frames wait in the queues meanwhile. `done` is called when all
    /// frames that were read have been sent on.
    package func pause(_ done: @escaping () -> Void) {
        loop.preconditionCurrent()
        isPaused = true
        paused = done
        hand()
    }

    /// Lets engines read the queues again.
    package func resume() {
        loop.preconditionCurrent()
        isPaused = false
        paused = nil
        hand()
    }

    /// True if another process reads a queue set, or may have frames of it that it has not sent on.
    private func isHeld(_ queueSet: Int, besides process: EngineProcess) -> Bool {
        living.contains {
            $0 !== process && $0.phase == .ready && ($0.assigned.contains(queueSet) || $0.confirmed.contains(queueSet))
        }
    }

    /// The process that has to read a queue set.
    private func reader(of queueSet: Int) -> EngineProcess? {
        division.owners[queueSet].flatMap { members[$0].process }
    }

    /// Ends a process that reads nothing any more, as soon as all that it has read is sent on.
    func retire(_ process: EngineProcess) {
        process.stop()
        loop.after(Self.stopTimeout) { [weak process] in
            if let process, process.phase == .leaving { process.end() }
        }
    }

    private func isRetired(_ process: EngineProcess) -> Bool {
        process !== spare && !isFresh(process)
            && !members.contains { $0.process === process || $0.successor === process }
    }

    private func tellMoves() {
        movesUnderWay.removeAll { move in
            // Another move reports queue sets that have gone elsewhere since.
            let current = move.queueSets.numbers.filter { division.owners[$0] == move.to }
            guard current.allSatisfy({ reader(of: $0)?.confirmed.contains($0) ?? false }) else { return false }
            guard !current.isEmpty else { return true }
            let isReturn = current.allSatisfy { $0 / plan.workers == move.to }
            events(
                ApplianceEvent(
                    .queuesMoved, engine: move.from + 1, share: Double(current.count) / Double(division.owners.count),
                    reason: "engine \(move.to + 1) reads "
                        + (isReturn
                            ? "its own queues again, in place of engine \(move.from + 1)"
                            : "the queues of engine \(move.from + 1)")))
            return true
        }
    }

    /// True if every queue is read.
    var isForwarding: Bool {
        division.owners.indices.allSatisfy { queueSet in
            guard let reader = reader(of: queueSet) else { return false }
            return reader.confirmed.contains(queueSet) && !reader.process.hasEnded
        }
    }
}
