import Wire

/// The number of lines that a log takes: a few thousand at once, and then a fixed number a second.
///
/// A value without a clock.
struct LogRateLimit {
    /// Lines at once, and lines a second.
    static let burst = 2000
    /// See `burst`.
    static let rate = 100

    /// The room that one line takes: as much as comes back in the time between two lines.
    private static let line = Duration.seconds(1) / rate
    private var room = line * burst
    private var last: MonotonicTime?
    private(set) var leftOut = 0

    /// Whether a line is written that comes at `now`.
    ///
    /// - Returns: nil if it is left out; else how many lines before it were.
    mutating func take(at now: MonotonicTime) -> Int? {
        room = min(Self.line * Self.burst, room + max(.zero, now - (last ?? now)))
        last = now
        guard room >= Self.line else {
            leftOut += 1
            return nil
        }
        room -= Self.line
        defer { leftOut = 0 }
        return leftOut
    }
}
