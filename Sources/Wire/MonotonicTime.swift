/// A point in time on a clock that never steps back, such as CLOCK_MONOTONIC of Linux.
///
/// Only times of one clock can be compared. The clock's beginning has no meaning.
public struct MonotonicTime: Sendable, Hashable {
    /// Nanoseconds since the beginning of the clock.
    public let nanoseconds: UInt64

    /// - Parameter nanoseconds: Nanoseconds since the beginning of the clock.
    @inlinable @inline(__always)
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The time `duration` after this one. It stops at the beginning and at the end of the clock, 584 years apart.
    public func advanced(by duration: Duration) -> MonotonicTime {
        let step = duration.wholeNanoseconds
        if step < 0 { return MonotonicTime(nanoseconds: nanoseconds - min(nanoseconds, step.magnitude)) }
        let (sum, isBeyond) = nanoseconds.addingReportingOverflow(UInt64(step))
        return MonotonicTime(nanoseconds: isBeyond ? .max : sum)
    }

    /// How long after this time `other` is; negative where it is before.
    public func duration(to other: MonotonicTime) -> Duration {
        other >= self
            ? .nanoseconds(Int64(clamping: other.nanoseconds - nanoseconds))
            : .nanoseconds(-Int64(clamping: nanoseconds - other.nanoseconds))
    }
}

extension MonotonicTime: Comparable {
    /// By the clock.
    @inlinable
    public static func < (first: MonotonicTime, second: MonotonicTime) -> Bool {
        first.nanoseconds < second.nanoseconds
    }

    /// The time `duration` later.
    public static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime { time.advanced(by: duration) }

    /// The time `duration` later.
    public static func += (time: inout MonotonicTime, duration: Duration) { time = time.advanced(by: duration) }

    /// How long after `second` `first` is.
    public static func - (first: MonotonicTime, second: MonotonicTime) -> Duration { second.duration(to: first) }
}

extension Duration {
    /// Whole nanoseconds, cut towards zero; the nearest that 64 bits hold.
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, isBeyond) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !isBeyond else { return seconds < 0 ? .min : .max }
        let (sum, isOver) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return isOver ? (seconds < 0 ? .min : .max) : sum
    }

    /// Whole milliseconds, cut towards zero; the nearest that 64 bits hold.
    public var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        let (product, isBeyond) = Int(seconds).multipliedReportingOverflow(by: 1_000)
        guard !isBeyond else { return seconds < 0 ? .min : .max }
        let (sum, isOver) = product.addingReportingOverflow(Int(attoseconds / 1_000_000_000_000_000))
        return isOver ? (seconds < 0 ? .min : .max) : sum
    }

    /// The milliseconds for a system call that waits this long, rounded up: no wait ends too early. 0 where the time is
    /// over; the nearest that 32 bits hold.
    public var waitMilliseconds: Int32 {
        guard self > .zero else { return 0 }
        let whole = wholeMilliseconds
        return Int32(clamping: whole < Int(Int32.max) && self > .milliseconds(whole) ? whole + 1 : whole)
    }

    /// Whole microseconds, cut towards zero; the nearest that 64 bits hold.
    public var wholeMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, isBeyond) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !isBeyond else { return seconds < 0 ? .min : .max }
        let (sum, isOver) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000)
        return isOver ? (seconds < 0 ? .min : .max) : sum
    }
}
