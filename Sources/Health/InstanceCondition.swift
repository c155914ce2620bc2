import Wire

/// What the process, the links, the checks and the past of one instance say together.
///
/// It may take packets where its process is ready, every link is up, every check has passed, and damping does not keep
/// it out. The end of its process and the loss of a link count at once; afterwards its checks must rise anew.
public struct InstanceCondition: Sendable {
    /// What its process does.
    public enum Process: Sendable, Hashable {
        /// There is none to watch.
        case unwatched
        /// It has been started, and has not been said to be ready.
        case starting
        case ready
        /// It is gone; how, as the end of a sentence.
        case ended(String)
    }

    /// The first thing that keeps it out, or that nothing does.
    public enum Cause: Sendable, Hashable {
        case healthy
        case processStarting
        case processEnded(String)
        /// The link of this leg is down; why, as the end of a sentence.
        case link(leg: Int, String)
        /// This check has failed.
        case check(Int)
        /// This check has not passed yet.
        case undecided(Int)
        /// It would be healthy, and came and went too often.
        case suppressed
    }

    /// Its checks, in their order.
    public private(set) var checks: [CheckState]
    /// What its process does.
    public private(set) var process: Process
    /// For each leg, why its link is down; nil where it is up.
    public private(set) var links: [String?]
    /// What keeps it out.
    public private(set) var cause: Cause
    /// When it became or ceased to be healthy.
    public private(set) var since: MonotonicTime
    /// True where it would be healthy, and is kept out because it came and went too often.
    public var isSuppressed: Bool { cause == .suppressed }
    /// True where it may take packets.
    public var isHealthy: Bool { cause == .healthy }

    private var damping: Damping?
    private var wasSound = false

    /// One that is not healthy yet.
    ///
    /// - Parameters:
    ///   - process: What its process does.
    ///   - legs: How many links it has; each counts as up until told otherwise.
    ///   - checks: How each check is made.
    public init(process: Process, legs: Int, checks: [CheckTiming], damping: Damping?, at now: MonotonicTime) {
        self.process = process
        self.checks = checks.map { CheckState($0, due: now) }
        links = Array(repeating: nil, count: legs)
        self.damping = damping
        since = now
        cause = .processStarting
        watchOrRest(at: now)
    }

    /// When it has to be looked at next, by itself; nil: when something has happened.
    public var reuseTime: MonotonicTime? { damping?.reuseTime }

    // MARK: - What happens

    /// The process has been started.
    public mutating func processBegan(at now: MonotonicTime) {
        guard process != .unwatched else { return }
        process = .starting
        mistrust(at: now)
    }

    /// The process has ended; how, as the end of a sentence.
    public mutating func processEnded(_ told: String, at now: MonotonicTime) {
        guard process != .unwatched else { return }
        process = .ended(told)
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

    /// See `CheckState.nextTime`. What is asked for at every probe is asked for in place: a copy of a check's state counts
    /// references.
    public func nextTime(_ check: Int) -> MonotonicTime? { checks[check].nextTime }

    /// See `CheckState.began`.
    public func began(_ check: Int, _ number: UInt64) -> MonotonicTime? { checks[check].began(number) }

    /// True where a check looks at anything now.
    public func isLooking(_ check: Int) -> Bool { checks[check].isLooking }

    /// Begins a check where it is time; see `CheckState.begin`.
    public mutating func begin(_ check: Int, at now: MonotonicTime) -> UInt64? { checks[check].begin(at: now) }

    /// See `CheckState.overdue`.
    public mutating func overdue(_ check: Int, at now: MonotonicTime, lateness: Duration) -> UInt64? {
        checks[check].overdue(at: now, lateness: lateness)
    }

    /// The result of a check; see `CheckState.conclude`.
    public mutating func conclude(_ check: Int, _ number: UInt64, passed: Bool, at now: MonotonicTime) -> CheckState
        .Turn?
    {
        checks[check].conclude(number, passed: passed, at: now)
    }

    private mutating func mistrust(at now: MonotonicTime) {
        for index in checks.indices { checks[index].mistrust(at: now) }
        watchOrRest(at: now)
    }

    /// Checks are made only where there is something that could answer.
    private mutating func watchOrRest(at now: MonotonicTime) {
        let isThere = (process == .unwatched || process == .ready) && links.allSatisfy { $0 == nil }
        for index in checks.indices {
            if isThere { checks[index].resume(at: now) } else { checks[index].pause() }
        }
    }

    // MARK: - What follows

    /// Draws the conclusion from all that has happened.
    ///
    /// - Returns: True where `cause` changed.
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

    /// Its cause, the past aside.
    private var soundness: Cause {
        switch process {
        case .starting: return .processStarting
        case .ended(let told): return .processEnded(told)
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
