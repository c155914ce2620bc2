import Wire

/// What is known of a neighbour.
public enum NeighbourState: UInt8, Sendable, Hashable, CaseIterable {
    /// The slot is free.
    case empty
    /// Asked for, not answered.
    case incomplete
    /// Answered; older than `NeighbourTable.reachableTime` it is asked again while it is used.
    case resolved
    /// Not answered: for `NeighbourTable.failedTime` nobody asks again.
    case failed
}

/// One neighbour, as read from the table.
public struct NeighbourEntry: Sendable, Hashable {
    /// The index of the interface that it is on.
    public var interface: Int
    /// Its network address.
    public var address: IPAddress
    /// Its MAC address; zero unless it was resolved.
    public var mac: MACAddress
    /// What is known of it.
    public var state: NeighbourState
    /// When the state was last confirmed, by CLOCK_MONOTONIC.
    public var updated: MonotonicTime
    /// When it was last asked for, by CLOCK_MONOTONIC; the clock's beginning: never.
    public var requested: MonotonicTime
    /// Requests since the last answer.
    public var tries: Int
    /// Whose packet or message made it known: the sender's interface<<48, and its MAC address where the table names it.
    public var owner: UInt64
}
