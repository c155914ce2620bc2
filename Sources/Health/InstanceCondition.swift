import Wire

/// The health of one instance, from its process, its links, its checks and its past.
///
/// It may take packets where its process is ready, every link is up, every check has passed, and damping does not keep
/// it out. The end of its process and the loss of a link count at once; afterwards its checks must rise anew.
public struct InstanceCondition: Sendable {
    /// The state of its process.
    public enum Process: Sendable, Hashable {
        /// There is no process to watch.
        case unwatched
        /// It has been started, and is not ready yet.
        case starting
        case ready
        /// It has ended. The text says how, as the end of a sentence.
        case ended(String)
    }

    /// The first obstacle to health, or that there is none.
    public enum Cause: Sendable, Hashable {
        case healthy
        case processStarting
        case processEnded(String)
        /// The link of this leg is down. The text says why, as the end of a sentence.
        case link(leg: Int, String)
        /// This check has failed.
        case check(Int)
        /// This check has not passed yet.
        case undecided(Int)
        /// It would be healthy, but went up and down too often.
        case suppressed
    }

    /// Its checks, in their order.
    public private(set) var checks: [CheckState]
    /// The state of its process.
    public private(set) var process: Process
    /// For each leg, why its link is down; nil if it is up.
    public private(set) var links: [String?]
    /// The present obstacle.
    public private(set) var cause: Cause
    /// When it became healthy or unhealthy.
    public private(set) var since: MonotonicTime
    /// True if it would be healthy, but went up and down too often.
    public var isSuppressed: Bool { cause == .suppressed }
    /// True if it may take packets.
    public var isHealthy: Bool { cause == .healthy }

    private var damping: Damping?
    private var wasSound = false

    /// An instance that is not healthy yet.
    ///
    /// - Parameters:
    ///   - process: The state of its process.
    ///   - legs: The number of its links. Each counts as up until an event says otherwise.
    ///   - checks: The times and thresholds of each check.
    ///   - damping: The damping, if there is one.
    ///   - now: The time now.
    public init(process: Process, legs: Int, checks: [CheckTiming], damping: Damping?, at now: MonotonicTime) {
        self.process = process
        self.checks = checks.map { CheckState($0, due: now) }
        links = Array(repeating: nil, count: legs)
        self.damping = damping
        since = now
        cause = .processStarting
        watchOrRest(at: now)
    }

    /// When it needs attention next by itself; nil if only an event can change it.
    public var reuseTime: MonotonicTime? { damping?.reuseTime }

    // MARK: - Events

    /// The process has been started.
    public mutating func processBegan(at now: MonotonicTime) {
        guard process != .unwatched else { return }
        process = .starting
        mistrust(at: now)
    }

    /// The process has ended. The text says how, as the end of a sentence.
    public mutating func processEnded(_ summary: String, at now: MonotonicTime) {
        guard process != .unwatched else { return }
        process = .ended(summary)
        mistrust(at: now)
    }

    /// The process is ready.
    public mutating func processReady(at now: MonotonicTime) {
        guard process != .unwatched, process != .ready else { return }
        process = .ready
        watchOrRest(at: now)
    }

    /// The link of a leg is up, or down for a reason.
    public mutating func link(leg: Int, isDown: String?, at now: MonotonicTime) {
        guard links.indices.contains(leg), links[leg] != isDown else { return }
        let isLoss = links[leg] == nil
        links[leg] = isDown
        if isLoss { mistrust(at: now) } else { watchOrRest(at: now) }
    }

    /// See `CheckState.nextTime`. Values that every probe needs are read in place, because a copy of a check's state
    /// counts references.
    public func nextTime(_ check: Int) -> MonotonicTime? { checks[check].nextTime }

    /// See `CheckState.began`.
    public func began(_ check: Int, _ number: UInt64) -> MonotonicTime? { checks[check].began(number) }

    /// True if a check makes probes now.
    public func isLooking(_ check: Int) -> Bool { checks[check].isLooking }

    /// Begins a probe if it is due; see `CheckState.begin`.
    public mutating func begin(_ check: Int, at now: MonotonicTime) -> UInt64? { checks[check].begin(at: now) }

    /// See `CheckState.overdue`.
    public mutating func overdue(_ check: Int, at now: MonotonicTime, lateness: Duration) -> UInt64? {
        checks[check].overdue(at: now, lateness: lateness)
    }

    /// Takes the result of a probe; see `CheckState.conclude`.
    public mutating func conclude(_ check: Int, _ number: UInt64, passed: Bool, at now: MonotonicTime) -> CheckState
        .Outcome?
    {
        checks[check].conclude(number, passed: passed, at: now)
    }

    private mutating func mistrust(at now: MonotonicTime) {
        for index in checks.indices { checks[index].mistrust(at: now) }
        watchOrRest(at: now)
    }

    /// Checks make probes only if there is something that could answer.
    private mutating func watchOrRest(at now: MonotonicTime) {
        let isThere = (process == .unwatched || process == .ready) && links.allSatisfy { $0 == nil }
        for index in checks.indices {
            if isThere { checks[index].resume(at: now) } else { checks[index].pause() }
        }
    }

    // MARK: - Conclusions

    /// Draws the conclusion from all events so far.
    ///
    /// - Returns: True if `cause` changed.
    public mutating func settle(at now: MonotonicTime) -> Bool {
        let sound = soundness
        if wasSound, sound != .healthy { damping?.fell(at: now) }
        wasSound = sound == .healthy
        damping?.advance(to: now)
        let next = sound == .healthy && damping?.isSuppressing == true ? .suppressed : sound
        guard next != cause else { return false }
        if (next == .healthy) != isHealthy { since = now }
        cause = next
        return true
    }

    /// Its cause without damping.
    private var soundness: Cause {
        switch process {
        case .starting: return .processStarting
        case .ended(let summary): return .processEnded(summary)
        case .unwatched, .ready: break
        }
        for (leg, reason) in links.enumerated() {
            if let reason { return .link(leg: leg, reason) }
        }
        if let failed = checks.firstIndex(where: { $0.verdict == .failed }) { return .check(failed) }
        if let open = checks.firstIndex(where: { $0.verdict == .undecided }) { return .undecided(open) }
        return .healthy
    }
}
