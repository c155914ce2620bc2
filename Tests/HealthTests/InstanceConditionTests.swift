import Seeds
import Testing
import Wire

@testable import Health

@Suite struct InstanceConditionTests {
    private let timing = CheckTiming(interval: 100, fastInterval: 20, timeout: 50, rise: 2, fall: 3)

    private func instance(
        process: InstanceCondition.Process = .unwatched, checks: Int = 1, damping: Damping? = nil
    ) -> InstanceCondition {
        InstanceCondition(
            process: process, legs: 2, checks: Array(repeating: timing, count: checks), damping: damping, at: 0)
    }

    /// Makes every check once; returns the time afterwards.
    private func pass(_ instance: inout InstanceCondition, _ passed: Bool = true, at now: MonotonicTime)
        -> MonotonicTime
    {
        var now = now
        for index in instance.checks.indices {
            now = max(now, instance.checks[index].nextTime ?? now)
            if let number = instance.begin(index, at: now) {
                _ = instance.conclude(index, number, passed: passed, at: now)
            }
        }
        return now
    }

    private func settle(_ instance: inout InstanceCondition, at now: MonotonicTime) -> Bool { instance.settle(at: now) }

    @Test func withNothingToLookAtItIsHealthyAtOnce() {
        var instance = instance(checks: 0)
        #expect(settle(&instance, at: 1) && instance.isHealthy && instance.since == 1)
        #expect(!settle(&instance, at: 2))
    }

    @Test func everyCheckHasToPass() {
        var instance = instance(checks: 3)
        #expect(settle(&instance, at: 0) && instance.cause == .undecided(0))
        for index in 0..<3 {
            #expect(!instance.isHealthy)
            let number = instance.begin(index, at: 10)!
            _ = instance.conclude(index, number, passed: true, at: 11)
            _ = instance.settle(at: 11)
        }
        #expect(instance.isHealthy)
    }

    @Test func theEndOfTheProcessCountsAtOnceAndChecksRiseAnew() {
        var instance = instance(process: .starting)
        #expect(instance.checks[0].nextTime == nil, "what is not ready is not asked")
        instance.processReady(at: 5)
        var now = pass(&instance, at: 5)
        #expect(settle(&instance, at: now) && instance.isHealthy)
        instance.processEnded("was ended by signal 9", at: now + 1)
        #expect(settle(&instance, at: now + 1))
        #expect(instance.cause == .processEnded("was ended by signal 9") && instance.since == now + 1)
        instance.processBegan(at: now + 10)
        instance.processReady(at: now + 20)
        now = pass(&instance, at: now + 20)
        _ = instance.settle(at: now)
        #expect(!instance.isHealthy, "two successes make it rise")
        now = pass(&instance, at: now)
        #expect(settle(&instance, at: now) && instance.isHealthy)
    }

    @Test func oneLegDownIsTheInstanceDown() {
        for leg in 0..<2 {
            var instance = instance()
            var now = pass(&instance, at: 0)
            _ = instance.settle(at: now)
            instance.link(leg: leg, isDown: "is gone", at: now)
            #expect(settle(&instance, at: now) && instance.cause == .link(leg: leg, "is gone"))
            #expect(instance.checks[0].nextTime == nil)
            instance.link(leg: leg, isDown: nil, at: now + 5)
            _ = instance.settle(at: now + 5)
            #expect(!instance.isHealthy)
            for _ in 0..<2 { now = pass(&instance, at: now + 5) }
            #expect(settle(&instance, at: now) && instance.isHealthy)
        }
    }

    @Test func whatFlapsIsKeptOutUntilItIsCalm() {
        var instance = instance(checks: 0, damping: Damping(suppress: 3_500, reuse: 1_000, halfLife: 8_000_000))
        _ = instance.settle(at: 0)
        var now: MonotonicTime = 0
        for fall in 1...4 {
            now += 100_000
            instance.link(leg: 0, isDown: "is gone", at: now)
            _ = instance.settle(at: now)
            instance.link(leg: 0, isDown: nil, at: now + 1)
            _ = instance.settle(at: now + 1)
            #expect(instance.isSuppressed == (fall == 4), "after \(fall) falls")
            #expect(instance.isHealthy == (fall < 4))
        }
        let reuse = instance.reuseTime!
        // The penalty is a little less than 4,000: two half-lives, less what has passed.
        #expect(((15_000_000 as Duration)...16_000_000).contains(reuse - now))
        #expect(!settle(&instance, at: reuse + -10_000) && !instance.isHealthy)
        #expect(settle(&instance, at: reuse) && instance.isHealthy && instance.reuseTime == nil)
    }

    @Test func dampingAgreesWithThePowerOfTwo() {
        // 2^-(n/8) for n in 0...8, from a table of logarithms.
        let known = [1.0, 0.917004, 0.840896, 0.771105, 0.707107, 0.648420, 0.594604, 0.545254, 0.5]
        for (eighth, value) in known.enumerated() {
            for whole in 0..<6 {
                let halved = Damping.halved(Double(eighth) / 8 + Double(whole))
                #expect(abs(halved * Double(1 << whole) - value) < 1e-6)
            }
        }
    }

    /// However it flaps: it is kept out only above the limit, let in at the time that was foretold, and never kept out
    /// longer than the ceiling allows.
    @Test func dampingLetsInWhenItSaid() {
        let seed = Seed.drawn()
        var numbers = SeededGenerator(seed: seed)
        for _ in 0..<500 {
            let halfLife = Int.random(in: 1_000...10_000_000, using: &numbers)
            let reuse = Int.random(in: 100...2_000, using: &numbers)
            let suppress = reuse + Int.random(in: 0...4_000, using: &numbers)
            var damping = Damping(suppress: suppress, reuse: reuse, halfLife: .microseconds(halfLife))
            var now: MonotonicTime = 0
            for _ in 0..<Int.random(in: 1...40, using: &numbers) {
                now += .microseconds(Int.random(in: 0...halfLife, using: &numbers))
                damping.advance(to: now)
                damping.fell(at: now)
            }
            guard let reuseTime = damping.reuseTime else {
                #expect(damping.penalty(at: now) <= Double(suppress), "seed \(seed)")
                continue
            }
            #expect(reuseTime - now <= .microseconds(max(Damping.longest, 6) * halfLife + 2), "seed \(seed)")
            damping.advance(to: reuseTime + .microseconds(-(halfLife / 500 + 2)))
            #expect(damping.isSuppressing, "seed \(seed)")
            damping.advance(to: reuseTime)
            #expect(!damping.isSuppressing, "seed \(seed)")
        }
    }

    @Test func theQueueGivesTheEarliestFirst() {
        let seed = Seed.drawn()
        var numbers = SeededGenerator(seed: seed)
        var queue = TimeQueue()
        var plain: [MonotonicTime] = []
        for step in 0..<5_000 {
            if Bool.random(using: &numbers) || plain.isEmpty {
                let time = MonotonicTime(nanoseconds: .random(in: 0...500, using: &numbers))
                queue.insert(step, at: time)
                plain.append(time)
            } else {
                let least = plain.min()!
                #expect(queue.first?.time == least, "seed \(seed)")
                queue.removeFirst()
                plain.remove(at: plain.firstIndex(of: least)!)
            }
            #expect(queue.count == plain.count)
        }
    }
}
