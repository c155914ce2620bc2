/// How long removed nodes of a running topology have to end.
struct RemovalTime {
    /// How long a removal waits by default, in milliseconds. Applications seldom hold packets for longer, and you
    /// hardly notice the wait.
    static let usual = 1_000

    /// How long instances keep their flows, and get no new ones, before the table changes, in milliseconds.
    var drain: Int
    /// How long the remaining packets of nodes are forwarded after that, in milliseconds.
    var linger: Int
    /// True if a person asked for the time: then the removal waits even if no packet could come.
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
