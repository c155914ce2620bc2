/// The number of lines that a log takes: a few thousand at once, and then a fixed number a second.
///
/// A value without a clock.
struct LogRateLimit {
    /// Lines at once, and lines a second.
    static let burst = 2000
    /// See `burst`.
    static let rate = 100

    private var room = LogRateLimit.burst * 1000
    private var last: Int?
    private(set) var leftOut = 0

    /// Whether a line is written that comes at `now`, in milliseconds of a clock that never steps back.
    ///
    /// - Returns: nil if it is left out; else how many lines before it were.
    mutating func take(at now: Int) -> Int? {
        // A thousandth of a line for each millisecond and line a second.
        let passed = min(max(0, now - (last ?? now)), Self.burst * 1000 / Self.rate)
        last = now
        room = min(Self.burst * 1000, room + passed * Self.rate)
        guard room >= 1000 else {
            leftOut += 1
            return nil
        }
        room -= 1000
        defer { leftOut = 0 }
        return leftOut
    }
}
