/// How long removed nodes of a running topology have to end.
struct RemovalTime {
    /// How long a removal waits by default. Applications seldom hold packets for longer, and you
    /// hardly notice the wait.
    static let usual = Duration.seconds(1)

    /// How long instances keep their flows, and get no new ones, before the table changes.
    var drain: Duration
    /// How long the remaining packets of nodes are forwarded after that.
    var linger: Duration
    /// True if a person asked for the time: then the removal waits even if no packet could come.
    var isAsked: Bool

    /// - Parameters:
    ///   - drain: As a person asks for it; nil: nothing was said. `.zero` waits for nothing.
    ///   - instancesOnly: True if only instances go, whose flows have had that time before.
    init(_ drain: Duration?, instancesOnly: Bool) {
        self.drain = drain ?? .zero
        linger = drain.map { instancesOnly ? min($0, Self.usual) : $0 } ?? Self.usual
        isAsked = drain != nil && !instancesOnly
    }
}
