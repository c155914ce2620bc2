/// Lets `rate` events a second pass, and `burst` at once (the virtual scheduling form of ITU-T I.371's GCRA).
struct TokenBucket {
    private let interval: UInt64
    private let tolerance: UInt64
    /// When the next event is due at the rate.
    private var due: UInt64 = 0

    /// - Parameter rate: Events a second, at least 1.
    init(rate: UInt64, burst: UInt64) {
        interval = 1_000_000_000 / max(1, rate)
        tolerance = interval * (max(1, burst) - 1)
    }

    /// True where one more may pass at `now` (nanoseconds of the monotonic clock).
    mutating func take(now: UInt64) -> Bool {
        guard due <= now &+ tolerance else { return false }
        due = max(due, now) &+ interval
        return true
    }
}
