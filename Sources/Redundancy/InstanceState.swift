import ControlAPI
import Forwarding
import Reporting
import Wire

/// One instant, on the clock that never steps back and on the one that people read.
package struct Moment: Sendable, Hashable {
    /// On the clock that never steps back.
    package var monotonic: MonotonicTime
    /// Microseconds since 1970.
    package var microseconds: Int

    /// Memberwise.
    package init(monotonic: MonotonicTime, microseconds: Int) {
        self.monotonic = monotonic
        self.microseconds = microseconds
    }
}

/// The state of one instance, by its health and by operators. Health never overrides an operator, and an operator never
/// overrides health.
package struct InstanceState: Sendable, Hashable {
    /// It gets no new flows, and its old flows end.
    package struct Drain: Sendable, Hashable {
        /// When it began.
        package var began: Moment
        /// How long it keeps what does not tell its beginning.
        package var time: Duration
        /// True once that time is over.
        var isOver = false

        /// When that time is over, on the monotonic clock.
        package var end: MonotonicTime { began.monotonic + time }
    }

    /// It has come, or come back, beside others that work: what they have is left to them for a while.
    package struct Join: Sendable, Hashable {
        /// When it came.
        package var began: Moment
        /// For how long.
        package var time: Duration

        /// When that time is over, on the monotonic clock.
        package var end: MonotonicTime { began.monotonic + time }
    }

    /// Its application.
    package var application: String
    /// The health by its process, links and checks.
    package var health: InstanceHealth
    /// When an operator took it out, in microseconds since 1970; nil if none has.
    package var disabled: Int?
    /// The drain that an operator has asked for; nil if it does not drain.
    package var drain: Drain?
    /// Set while it gets new flows only; nil if it has its whole share, or none.
    package var join: Join?
    /// Its weight in an operator's word; nil: the file's.
    package var weight: Int?

    /// The availability in the table.
    package var availability: Availability {
        if disabled != nil || drain?.isOver == true || !health.isHealthy { return .down }
        if drain != nil { return .draining }
        return join == nil ? .up : .joining
    }

    /// Why it gets nothing, as the end of a sentence; nil if it may get packets.
    var reasonDown: String? {
        if disabled != nil { return "it is disabled" }
        if drain?.isOver == true { return "it is drained" }
        return health.isHealthy ? nil : health.reason
    }
}
