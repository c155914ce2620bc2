/// The time until an engine that ended is started again: none, unless it ends too often.
struct RestartBackoff {
    /// Ends within a second that make the next start wait, and for how long, in milliseconds.
    static let mostEnds = 5
    private static let shortestPause = 1000
    private static let longestPause = 30_000
    /// An engine that lived for this time, in milliseconds, is not part of a series any more.
    private static let goodLife = 10_000
    /// Ends within a minute that make the next start wait, too: a series may be slow.
    static let mostEndsSlowly = 20
    private static let slowSeries = 60_000

    private var ends: [Int] = []
    private var pause = RestartBackoff.shortestPause

    /// Notes the end of an engine that was started at `started`. Both times are in milliseconds of a clock that never
    /// steps back.
    ///
    /// - Returns: How many milliseconds the next start waits.
    mutating func ended(now: Int, started: Int) -> Int {
        if now - started >= Self.goodLife { pause = Self.shortestPause }
        ends = ends.filter { now - $0 < Self.slowSeries } + [now]
        let isSeries = ends.count { now - $0 < 1000 } >= Self.mostEnds || ends.count >= Self.mostEndsSlowly
        return isSeries ? failed() : 0
    }

    /// Notes that not even a start was possible.
    ///
    /// - Returns: How many milliseconds the next one waits.
    mutating func failed() -> Int {
        defer { pause = min(pause * 2, Self.longestPause) }
        return pause
    }
}
