import Wire

/// The times and thresholds of a check.
public struct CheckTiming: Sendable, Hashable {
    /// The time from the beginning of one probe to the beginning of the next.
    public var interval: Duration
    /// The same time while the check is in doubt.
    public var fastInterval: Duration
    /// How long an answer may take.
    public var timeout: Duration
    /// The successes in a row after which a failed check counts as passed.
    public var rise: Int
    /// The failures in a row after which a passed check counts as failed.
    public var fall: Int
    /// The place of a probe in its interval while the check is not in doubt, 0..<interval. It spreads many checks of
    /// one interval.
    public var phase: Duration
    /// The largest number of probes at once. It may be more than one if each answer names its probe.
    public var mostAtOnce: Int

    /// The least of all times here.
    private static let least = Duration.microseconds(1)

    /// Memberwise. Values below their minimum become the minimum.
    public init(
        interval: Duration, fastInterval: Duration, timeout: Duration, rise: Int, fall: Int, phase: Duration = .zero,
        mostAtOnce: Int = 1
    ) {
        self.interval = max(Self.least, interval)
        self.fastInterval = min(max(Self.least, fastInterval), self.interval)
        self.timeout = max(Self.least, timeout)
        self.rise = max(1, rise)
        self.fall = max(1, fall)
        self.phase = .nanoseconds(max(0, phase.wholeNanoseconds) % self.interval.wholeNanoseconds)
        self.mostAtOnce = max(1, mostAtOnce)
    }
}

/// One check of one instance: when the next probe is due, and what the results mean.
///
/// Times go in, verdicts come out; there is no clock here.
/// A verdict changes only after `rise` successes or `fall` failures in a row against it; the very first success counts
/// at once, so that an instance that has just begun is not kept waiting.
public struct CheckState: Sendable {
    /// The meaning of the results so far.
    public enum Verdict: Sendable, Hashable {
        /// There was no success yet, and there were not enough failures.
        case undecided
        case passed
        case failed
    }

    /// The change that a result caused.
    public enum Outcome: Sendable, Hashable {
        /// Nothing.
        case none
        /// The result is the first in a row that contradicts the verdict, or it leaves the check undecided.
        case doubted
        /// The verdict changed.
        case changed
    }

    /// A probe under way.
    public struct Running: Sendable, Hashable {
        /// Its number, counted from 1.
        public var number: UInt64
        /// When it began.
        public var began: MonotonicTime
        /// When it counts as failed unless an answer comes before.
        public var deadline: MonotonicTime
        /// True if the deadline was moved because the judging thread was late.
        fileprivate var isExtended = false
    }

    /// The times and thresholds.
    public let timing: CheckTiming
    /// The meaning of the results so far.
    public private(set) var verdict = Verdict.undecided
    /// The number of results in a row that contradict the verdict.
    public private(set) var streak = 0
    /// The number of probes with a result.
    public private(set) var made = 0
    /// The number of failed probes.
    public private(set) var failed = 0
    /// True if a probe has ever passed.
    public private(set) var hasPassed = false
    /// When the next probe is due.
    public private(set) var due: MonotonicTime
    /// The probes under way, the oldest first.
    public private(set) var running: [Running] = []
    /// False while probes make no sense. Then `nextTime` is nil.
    public private(set) var isLooking = true

    private var number: UInt64 = 0
    private var lastBegan: MonotonicTime

    /// A check whose first probe is due at `due`.
    public init(_ timing: CheckTiming, due: MonotonicTime) {
        self.timing = timing
        self.due = due
        lastBegan = due
    }

    /// True while the verdict is not settled. Then probes are more frequent.
    public var isInDoubt: Bool { verdict == .undecided || streak > 0 }

    /// When the check needs attention next; nil if only an event can change it.
    public var nextTime: MonotonicTime? {
        guard isLooking else { return nil }
        // Mostly one probe or none is under way, so no collection is made.
        var next = running.count < timing.mostAtOnce ? due : MonotonicTime(nanoseconds: .max)
        for index in running.indices { next = min(next, running[index].deadline) }
        return next
    }

    /// When the probe with this number began; nil if it is not under way.
    public func began(_ number: UInt64) -> MonotonicTime? {
        for index in running.indices where running[index].number == number { return running[index].began }
        return nil
    }

    /// Begins a probe if it is due.
    ///
    /// - Returns: The number of the probe; nil if none is due, or if enough are under way.
    public mutating func begin(at now: MonotonicTime) -> UInt64? {
        guard isLooking, now >= due, running.count < timing.mostAtOnce else { return nil }
        number += 1
        running.append(Running(number: number, began: now, deadline: now + timing.timeout))
        // The rhythm stays after a late probe, but missed probes are not made up for.
        due = isInDoubt ? now + timing.fastInterval : max(due + timing.interval, now + timing.interval / 2)
        lastBegan = now
        return number
    }

    /// The number of the oldest probe whose time is over. Call `conclude` for it next.
    ///
    /// - Parameters:
    ///   - now: A time up to which all arrived frames have been read.
    ///   - lateness: How late the judging thread was. Every probe under way gets this time in
    ///     addition, once and at most its timeout, because answers may have been read as late.
    public mutating func overdue(at now: MonotonicTime, lateness: Duration = .zero) -> UInt64? {
        for index in running.indices where running[index].deadline <= now {
            if lateness > .zero, !running[index].isExtended {
                running[index].isExtended = true
                running[index].deadline = now + min(lateness, timing.timeout)
                continue
            }
            return running[index].number
        }
        return nil
    }

    /// Takes the result of a probe. If the probe is not under way (it was judged before), nothing changes.
    ///
    /// - Returns: The change; nil if the probe is not under way.
    public mutating func conclude(_ number: UInt64, passed: Bool, at now: MonotonicTime) -> Outcome? {
        guard let index = running.firstIndex(where: { $0.number == number }) else { return nil }
        running.remove(at: index)
        made += 1
        if passed { hasPassed = true } else { failed += 1 }
        return judge(passed, at: now)
    }

    private mutating func judge(_ passed: Bool, at now: MonotonicTime) -> Outcome {
        let wasInDoubt = isInDoubt
        switch (verdict, passed) {
        case (.passed, true), (.failed, false):
            streak = 0
            if wasInDoubt { rest(at: now) }
            return .none
        case (.undecided, true):
            return change(to: .passed, at: now)
        case (.undecided, false), (.passed, false):
            streak += 1
            if streak >= timing.fall { return change(to: .failed, at: now) }
        case (.failed, true):
            streak += 1
            if streak >= timing.rise { return change(to: .passed, at: now) }
        }
        hurry(at: now)
        return streak == 1 ? .doubted : .none
    }

    private mutating func change(to verdict: Verdict, at now: MonotonicTime) -> Outcome {
        self.verdict = verdict
        streak = 0
        rest(at: now)
        return .changed
    }

    /// Makes the next probe earlier.
    private mutating func hurry(at now: MonotonicTime) {
        due = min(due, max(now, lastBegan + timing.fastInterval))
    }

    /// Puts the next probe at the check's own place in its interval, at least half an interval away.
    private mutating func rest(at now: MonotonicTime) {
        let earliest = now + timing.interval / 2
        let interval = UInt64(timing.interval.wholeNanoseconds)
        let since = (earliest.nanoseconds % interval + interval - UInt64(timing.phase.wholeNanoseconds)) % interval
        due = since == 0 ? earliest : earliest + .nanoseconds(Int64(interval - since))
    }

    // MARK: - Other events

    /// The last verdict is no longer valid, because the process ended or a link went down. The check counts as failed
    /// until it has risen. The probes under way are forgotten.
    public mutating func mistrust(at now: MonotonicTime) {
        running = []
        verdict = verdict == .undecided ? .undecided : .failed
        streak = 0
        due = now
        lastBegan = now
    }

    /// Stops probing for a while. The probes under way are forgotten.
    public mutating func pause() {
        running = []
        isLooking = false
    }

    /// Starts probing again, from now on.
    public mutating func resume(at now: MonotonicTime) {
        guard !isLooking else { return }
        isLooking = true
        due = now
    }
}
