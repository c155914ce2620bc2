import Engine
import Plan
import Testing
import Wire

@testable import Appliance
@testable import EngineControl

/// Who reads which queues, and how soon an engine is started again: without engines.
@Suite struct QueueSetAssignmentTests {
    @Test("each queue set has one reader wherever there is any, its own engine where that is fit")
    func everyCase() {
        for (engines, workers) in [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2), (4, 1), (16, 4)] {
            for number in 0..<min(2_000, Int(pow3(engines))) {
                var rest = number
                let fitness = (0..<engines).map { _ -> QueueSetAssignment.Fitness in
                    defer { rest /= 3 }
                    return [.absent, .drained, .fit][rest % 3]
                }
                let division = QueueSetAssignment(workers: workers, fitness: fitness)
                #expect(division.owners.count == engines * workers)
                let best = fitness.max() ?? .absent
                for (queueSet, owner) in division.owners.enumerated() {
                    guard best != .absent else {
                        #expect(owner == nil)
                        continue
                    }
                    #expect(owner.map { fitness[$0] } == best)
                    if fitness[queueSet / workers] == best { #expect(owner == queueSet / workers) }
                }
                // Nobody gets two more than another.
                let readers = fitness.indices.filter { best != .absent && fitness[$0] == best }
                let loads = readers.map { division.queueSets(of: $0).numbers.count }
                #expect((loads.max() ?? 0) - (loads.min() ?? 0) <= 1)
            }
        }
    }

    private func pow3(_ exponent: Int) -> Int { (0..<exponent).reduce(1) { product, _ in min(product * 3, 1 << 20) } }

    @Test("what moves is told by the two engines, there and back")
    func moves() {
        let all = QueueSetAssignment(workers: 2, fitness: [.fit, .fit, .fit])
        let without = QueueSetAssignment(workers: 2, fitness: [.absent, .fit, .fit])
        #expect(
            without.moves(since: all) == [
                QueueSetAssignment.Move(from: 0, to: 1, queueSets: QueueSets([0])),
                QueueSetAssignment.Move(from: 0, to: 2, queueSets: QueueSets([1])),
            ])
        #expect(all.moves(since: without).map(\.to) == [0, 0])
        #expect(all.moves(since: all).isEmpty)
        // What nobody could read has moved from nobody.
        let none = QueueSetAssignment(workers: 2, fitness: [.absent, .absent, .absent])
        #expect(all.moves(since: none).isEmpty && none.moves(since: all).isEmpty)
    }

    @Test("every queue belongs to the queue set that its plan says")
    func queues() {
        let byQueues = EnginesPlan(count: 3, workers: 2, sharing: .queues)
        #expect(byQueues.queues == 6)
        func queues(_ interfaces: Int, _ count: Int) -> [[Int32]] {
            Array(repeating: Array(repeating: 0, count: count), count: interfaces)
        }
        #expect(byQueues.queueSets(of: queues(2, 6)) == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]])
        // There were more of them before.
        #expect(byQueues.queueSets(of: queues(1, 8)) == [[0, 1, 2, 3, 4, 5, 0, 1]])
        let direction = EnginesPlan(count: 2, workers: 2, sharing: .direction, engineOfInterface: [0, 1, 0])
        #expect(direction.queues == 2)
        #expect(direction.queueSets(of: queues(3, 2)) == [[0, 1], [2, 3], [0, 1]])
        #expect(direction.queueSets(of: queues(2, 4)) == [[0, 1, 0, 1], [2, 3, 2, 3]])
        #expect(direction.queueSetCount == 4)
    }

    @Test("an engine that ends again and again is started more and more slowly, until one lives long")
    func backoff() {
        var backoff = RestartBackoff()
        var now = MonotonicTime(nanoseconds: 1_000_000_000)
        var pauses: [Duration] = []
        for _ in 0..<40 {
            let pause = backoff.ended(now: now, started: now + .milliseconds(-5))
            pauses.append(pause)
            now += pause + .milliseconds(10)
        }
        #expect(Array(pauses.prefix(5)) == [.zero, .zero, .zero, .zero, .seconds(1)])
        let waits = pauses.filter { $0 > .zero }
        #expect(Array(waits.prefix(6)) == [1, 2, 4, 8, 16, 30].map { Duration.seconds($0 as Int) })
        #expect(waits.allSatisfy { $0 <= .seconds(30) })
        now += .seconds(60)
        #expect(backoff.ended(now: now, started: now + .seconds(-50)) == .zero)
        for _ in 0..<3 { #expect(backoff.ended(now: now, started: now) == .zero) }
        #expect(backoff.ended(now: now, started: now) == .seconds(1))
    }
}
