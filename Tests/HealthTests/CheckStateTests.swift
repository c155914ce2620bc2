import Seeds
import Testing
import Wire

@testable import Health

@Suite struct CheckStateTests {
    private let timing = CheckTiming(interval: 100, fastInterval: 20, timeout: 50, rise: 2, fall: 3)

    /// Makes one that begins at its due time and takes `took`.
    private func run(_ check: inout CheckState, passed: Bool, took: Duration = 1) -> CheckState.Outcome? {
        let now = check.due
        guard let number = check.begin(at: now) else { return nil }
        return check.conclude(number, passed: passed, at: now + took)
    }

    @Test func theFirstSuccessCounts() {
        var check = CheckState(timing, due: 0)
        #expect(check.verdict == .undecided && check.isInDoubt)
        let turn = run(&check, passed: true)
        #expect(turn == .changed && check.verdict == .passed && !check.isInDoubt && check.hasPassed)
    }

    @Test func fallsOnlyAfterEnoughFailuresInARow() {
        var check = CheckState(timing, due: 0)
        var turns: [CheckState.Outcome?] = []
        for passed in [true, false, false, true, false, false, false] { turns.append(run(&check, passed: passed)) }
        #expect(
            turns == [
                .changed, .doubted, CheckState.Outcome.none, CheckState.Outcome.none, .doubted, CheckState.Outcome.none,
                .changed,
            ])
        #expect(check.verdict == .failed)
        let rising = [run(&check, passed: true), run(&check, passed: true)]
        #expect(rising == [.doubted, .changed] && check.verdict == .passed)
        #expect(check.made == 9 && check.failed == 5)
    }

    @Test func looksMoreOftenWhileInDoubt() {
        var check = CheckState(timing, due: 0)
        _ = run(&check, passed: true)
        let first = check.due
        _ = run(&check, passed: true)
        #expect(check.due == first + 100)
        let second = check.due
        _ = run(&check, passed: false)
        #expect(check.due == second + 20)
        _ = run(&check, passed: false)
        #expect(check.due == second + 40)
    }

    @Test func aMissingAnswerIsAFailureAndALateOneIsNothing() {
        var check = CheckState(timing, due: 0)
        let number = check.begin(at: 0)!
        let before = check.overdue(at: 49)
        #expect(before == nil && check.nextTime == 50)
        let over = check.overdue(at: 50)
        #expect(over == number)
        let turn = check.conclude(number, passed: false, at: 50)
        let late = check.conclude(number, passed: true, at: 51)
        #expect(turn == .doubted && late == nil)
        #expect(check.failed == 1 && check.made == 1)
    }

    @Test func whoJudgesLateGrantsItOnce() {
        var check = CheckState(timing, due: 0)
        let number = check.begin(at: 0)!
        let granted = check.overdue(at: 500, lateness: 450)
        #expect(granted == nil && check.nextTime == 550, "no more than the timeout is granted")
        let over = check.overdue(at: 560, lateness: 10)
        #expect(over == number)
    }

    @Test func severalAreUnderWayWhereTheyCanBeToldApart() {
        var check = CheckState(
            CheckTiming(interval: 10, fastInterval: 5, timeout: 30, rise: 1, fall: 3, mostAtOnce: 2), due: 0)
        let one = check.begin(at: 0)!, two = check.begin(at: 5)!
        let three = check.begin(at: 10)
        #expect(three == nil && check.nextTime == 30)
        let newer = check.conclude(two, passed: true, at: 11)
        let older = check.conclude(one, passed: false, at: 30)
        #expect(newer == .changed && older == .doubted)
    }

    @Test func mistrustAsksForARise() {
        var check = CheckState(timing, due: 0)
        _ = run(&check, passed: true)
        let number = check.begin(at: check.due)!
        check.mistrust(at: 500)
        #expect(check.verdict == .failed && check.running.isEmpty && check.due == 500)
        let forgotten = check.conclude(number, passed: true, at: 501)
        #expect(forgotten == nil)
        _ = run(&check, passed: true)
        #expect(check.verdict == .failed)
        _ = run(&check, passed: true)
        #expect(check.verdict == .passed)
    }

    @Test func restsWhileThereIsNothingToLookAt() {
        var check = CheckState(timing, due: 0)
        check.pause()
        let none = check.begin(at: 10)
        #expect(check.nextTime == nil && none == nil)
        check.resume(at: 20)
        let next = check.nextTime, one = check.begin(at: 20)
        #expect(next == 20 && one != nil)
    }

    /// Whatever comes: the verdict is that of a plain reading of the last results, and the times are kept.
    @Test func isWhatAPlainReadingOfTheResultsSays() {
        let seed = Seed.drawn()
        var numbers = SeededGenerator(seed: seed)
        for round in 0..<2_000 {
            let timing = CheckTiming(
                interval: .microseconds(Int.random(in: 10...1_000, using: &numbers)),
                fastInterval: .microseconds(Int.random(in: 1...500, using: &numbers)),
                timeout: .microseconds(Int.random(in: 1...1_500, using: &numbers)),
                rise: .random(in: 1...4, using: &numbers), fall: .random(in: 1...4, using: &numbers),
                phase: .microseconds(Int.random(in: 0...999, using: &numbers)),
                mostAtOnce: .random(in: 1...4, using: &numbers))
            var check = CheckState(timing, due: 0)
            var results: [Bool] = []
            var expected = CheckState.Verdict.undecided
            var now: MonotonicTime = 0
            var begins: [MonotonicTime] = []
            for _ in 0..<60 {
                guard let next = check.nextTime else {
                    Issue.record("nothing is to come, seed \(seed), round \(round)")
                    return
                }
                now = max(now, next)
                var outcome: (number: UInt64, passed: Bool)?
                if let number = check.overdue(at: now) { outcome = (number, false) }
                if outcome == nil, let number = check.begin(at: now) {
                    if let last = begins.last {
                        #expect(
                            now - last >= min(timing.fastInterval, timing.interval / 2), "seed \(seed), round \(round)")
                    }
                    begins.append(now)
                    if Bool.random(using: &numbers) { outcome = (number, true) }
                }
                #expect(check.running.count <= timing.mostAtOnce)
                guard let outcome else { continue }
                now += .microseconds(Int.random(in: 0...3, using: &numbers))
                let before = expected
                let turn = check.conclude(outcome.number, passed: outcome.passed, at: now)
                results.append(outcome.passed)
                expected = Self.naiveVerdict(results, timing, before)
                #expect(check.verdict == expected, "seed \(seed), round \(round), \(results)")
                #expect((turn == .changed) == (expected != before), "seed \(seed), round \(round)")
                if expected != before { results = [] }
            }
        }
    }

    private static func naiveVerdict(
        _ results: [Bool], _ timing: CheckTiming, _ verdict: CheckState.Verdict
    ) -> CheckState.Verdict {
        let against = { (wanted: Bool) in results.reversed().prefix { $0 == wanted }.count }
        switch verdict {
        case .undecided:
            if results.last == true { return .passed }
            return against(false) >= timing.fall ? .failed : .undecided
        case .passed: return against(false) >= timing.fall ? .failed : .passed
        case .failed: return against(true) >= timing.rise ? .passed : .failed
        }
    }
}
