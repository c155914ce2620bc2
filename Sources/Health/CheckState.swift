import Wire

/// How often a check is made, how long it waits, and when it is believed.
public struct CheckTiming: Sendable, Hashable {
    /// From the beginning of one to the beginning of the next.
    public var interval: Duration
    /// The same while it is in doubt.
    public var fastInterval: Duration
    /// How long an answer may take.
    public var timeout: Duration
    /// Successes in a row that make what failed count as passed.
    public var rise: Int
    /// Failures in a row that make what passed count as failed.
    public var fall: Int
    /// Where in its interval a check that is at rest is made, 0..<interval: many checks of one interval are so spread.
    public var phase: Duration
    /// How many may be under way at once. More than one where each answer tells which of them it answers.
    public var mostAtOnce: Int

    /// The least of all times here.
    private static let least = Duration.microseconds(1)

    /// Memberwise; whatever is less than it can be becomes the least.
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

/// One check of one instance: when it is to be made, and what its results mean.
///
/// Times go in, verdicts come out; there is no clock here.
/// A verdict changes only after `rise` successes or `fall` failures in a row against it; the very first success counts
/// at once, so that an instance that has just begun is not kept waiting.
public struct CheckState: Sendable {
    /// What the results so far mean.
    public enum Verdict: Sendable, Hashable {
        /// Neither a success nor enough failures yet.
        case undecided
        case passed
        case failed
    }

    /// What a result changed.
    public enum Turn: Sendable, Hashable {
        /// Nothing.
        case none
        /// It is the first in a row that contradicts the verdict, or that leaves the check undecided.
        case doubted
        /// The verdict.
        case turned
    }

    /// One that is under way.
    public struct Running: Sendable, Hashable {
        /// Its number, counted from 1.
        public var number: UInt64
        /// When it began.
        public var began: MonotonicTime
        /// When it has failed, unless it is answered before.
        public var deadline: MonotonicTime
        /// True where the deadline has been moved because whoever judges was late.
        fileprivate var isExtended = false
    }

    /// How it is made.
    public let timing: CheckTiming
    /// What the results so far mean.
    public private(set) var verdict = Verdict.undecided
    /// Results in a row that contradict the verdict.
    public private(set) var streak = 0
    /// How many have had a result.
    public private(set) var made = 0
    /// How many of these failed.
    public private(set) var failed = 0
    /// True where one has ever passed.
    public private(set) var hasPassed = false
    /// When the next one is to begin.
    public private(set) var due: MonotonicTime
    /// Those under way, the oldest first.
    public private(set) var running: [Running] = []
    /// False while it makes no sense to look: `nextTime` is nil then.
    public private(set) var isLooking = true

    private var number: UInt64 = 0
    private var lastBegan: MonotonicTime

    /// A check that is first made at `due`.
    public init(_ timing: CheckTiming, due: MonotonicTime) {
        self.timing = timing
        self.due = due
        lastBegan = due
    }

    /// True while the verdict is not settled: then it is made more often.
    public var isInDoubt: Bool { verdict == .undecided || streak > 0 }

    /// When it has to be looked at next; nil: when something has happened.
    public var nextTime: MonotonicTime? {
        guard isLooking else { return nil }
        // Of those under way, mostly one or none: nothing is made for them.
        var next = running.count < timing.mostAtOnce ? due : MonotonicTime(nanoseconds: .max)
        for index in running.indices { next = min(next, running[index].deadline) }
        return next
    }

    /// When the one under way with a number began; nil where that one is not under way.
    public func began(_ number: UInt64) -> MonotonicTime? {
        for index in running.indices where running[index].number == number { return running[index].began }
        return nil
    }

    /// Begins one where it is time.
    ///
    /// - Returns: The number of it; nil where it is not time, or where enough are under way.
    public mutating func begin(at now: MonotonicTime) -> UInt64? {
        guard isLooking, now >= due, running.count < timing.mostAtOnce else { return nil }
        number += 1
        running.append(Running(number: number, began: now, deadline: now + timing.timeout))
        // The rhythm is kept where one is late, but none is made up for.
        due = isInDoubt ? now + timing.fastInterval : max(due + timing.interval, now + timing.interval / 2)
        lastBegan = now
        return number
    }

    /// The number of the oldest one whose time is over; its result is to be told next.
    ///
    /// - Parameters:
    ///   - now: A time up to which everything that has come in has been looked at.
    ///   - lateness: How late whoever judges was. What passed meanwhile is granted to every one under way, once and no
    ///     more than its timeout, for what answers may have been as late.
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

    /// The result of one that is under way; of any other (it was judged before) it changes nothing.
    ///
    /// - Returns: What it changed; nil where that one is not under way.
    public mutating func conclude(_ number: UInt64, passed: Bool, at now: MonotonicTime) -> Turn? {
        guard let index = running.firstIndex(where: { $0.number == number }) else { return nil }
        running.remove(at: index)
        made += 1
        if passed { hasPassed = true } else { failed += 1 }
        return weigh(passed, at: now)
    }

    private mutating func weigh(_ passed: Bool, at now: MonotonicTime) -> Turn {
        let wasInDoubt = isInDoubt
        switch (verdict, passed) {
        case (.passed, true), (.failed, false):
            streak = 0
            if wasInDoubt { rest(at: now) }
            return .none
        case (.undecided, true):
            return turn(to: .passed, at: now)
        case (.undecided, false), (.passed, false):
            streak += 1
            if streak >= timing.fall { return turn(to: .failed, at: now) }
        case (.failed, true):
            streak += 1
            if streak >= timing.rise { return turn(to: .passed, at: now) }
        }
        hurry(at: now)
        return streak == 1 ? .doubted : .none
    }

    private mutating func turn(to verdict: Verdict, at now: MonotonicTime) -> Turn {
        self.verdict = verdict
        streak = 0
        rest(at: now)
        return .turned
    }

    /// The next one sooner than it was to be.
    private mutating func hurry(at now: MonotonicTime) {
        due = min(due, max(now, lastBegan + timing.fastInterval))
    }

    /// The next one at the check's own place in its interval, at least half of it away.
    private mutating func rest(at now: MonotonicTime) {
        let earliest = now + timing.interval / 2
        let interval = UInt64(timing.interval.wholeNanoseconds)
        let since = (earliest.nanoseconds % interval + interval - UInt64(timing.phase.wholeNanoseconds)) % interval
        due = since == 0 ? earliest : earliest + .nanoseconds(Int64(interval - since))
    }

    // MARK: - What happens beside it

    /// What was known holds no longer (its process ended, a link went): it counts as failed until it has risen. Of
    /// those under way nobody asks any more.
    public mutating func mistrust(at now: MonotonicTime) {
        running = []
        verdict = verdict == .undecided ? .undecided : .failed
        streak = 0
        due = now
        lastBegan = now
    }

    /// There is nothing to look at for a while. Those under way are forgotten.
    public mutating func pause() {
        running = []
        isLooking = false
    }

    /// There is again something to look at, from now on.
    public mutating func resume(at now: MonotonicTime) {
        guard !isLooking else { return }
        isLooking = true
        due = now
    }
}
