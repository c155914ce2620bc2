/// How long what is removed from a running topology has to end.
struct RemovalTime {
    /// How long a removal waits by default, in milliseconds. Applications seldom hold packets for longer, and you
    /// hardly notice the wait.
    static let usual = 1_000

    /// How long instances keep what they have, and get nothing new, before the table is another.
    var drain: Int
    /// How long what nodes still hold is forwarded after that.
    var linger: Int
    /// True if a person asked for the time: then it is waited for even where nothing could come.
    var isAsked: Bool

    /// - Parameters:
    ///   - drain: In milliseconds, as a person asks for it; nil: nothing was said. 0 waits for nothing.
    ///   - instancesOnly: True if only instances go, whose flows have had that time before.
    init(_ drain: Int?, instancesOnly: Bool) {
        self.drain = drain ?? 0
        linger = drain.map { instancesOnly ? min($0, Self.usual) : $0 } ?? Self.usual
        isAsked = drain != nil && !instancesOnly
    }
}
