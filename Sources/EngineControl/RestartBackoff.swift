import Wire

/// The time until an engine that ended is started again: none, unless it ends too often.
package struct RestartBackoff {
    /// Ends within a second that make the next start wait, and for how long.
    static let mostEnds = 5
    private static let shortestPause = Duration.seconds(1)
    private static let longestPause = Duration.seconds(30)
    /// An engine that lived for this time is not part of a series any more.
    private static let goodLife = Duration.seconds(10)
    /// Ends within a minute that make the next start wait, too: a series may be slow.
    static let mostEndsSlowly = 20
    private static let slowSeries = Duration.seconds(60)

    private var ends: [MonotonicTime] = []
    private var pause = RestartBackoff.shortestPause

    package init() {}

    /// Notes the end of an engine that was started at `started`.
    ///
    /// - Returns: How long the next start waits.
    package mutating func ended(now: MonotonicTime, started: MonotonicTime) -> Duration {
        if now - started >= Self.goodLife { pause = Self.shortestPause }
        ends = ends.filter { now - $0 < Self.slowSeries } + [now]
        let isSeries = ends.count { now - $0 < .seconds(1) } >= Self.mostEnds || ends.count >= Self.mostEndsSlowly
        return isSeries ? failed() : .zero
    }

    /// Notes that not even a start was possible.
    ///
    /// - Returns: How long the next one waits.
    package mutating func failed() -> Duration {
        defer { pause = min(pause * 2, Self.longestPause) }
        return pause
    }
}
