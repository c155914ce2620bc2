import Glibc
import Wire

/// Turns times of CLOCK_MONOTONIC into times since 1970.
///
/// The difference of the two clocks is taken once, so that times of one capture have the distances that they had: a step of
/// the wall clock, or its correction by NTP, changes nothing in a capture that runs. Times of two captures agree as well as the
/// wall clock did when they began.
public struct CaptureClock: Sendable, Hashable {
    /// What CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, in nanoseconds; modulo 2⁶⁴.
    public let offset: UInt64

    /// - Parameter offset: What the wall clock is ahead, in nanoseconds.
    public init(offset: UInt64) { self.offset = offset }

    /// The clocks as they are now. Of some readings, the one is taken that nothing interrupted.
    public init() {
        var best: (window: UInt64, offset: UInt64) = (.max, 0)
        for _ in 0..<8 {
            let before = Self.read(CLOCK_MONOTONIC)
            let wall = Self.read(CLOCK_REALTIME)
            let window = Self.read(CLOCK_MONOTONIC) &- before
            if window < best.window { best = (window, wall &- (before &+ window / 2)) }
        }
        offset = best.offset
    }

    /// Nanoseconds since 1970.
    public func nanoseconds(_ time: MonotonicTime) -> UInt64 { time.nanoseconds &+ offset }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }
}
