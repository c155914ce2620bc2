import Wire

/// The state of a neighbour.
public enum NeighbourState: UInt8, Sendable, Hashable, CaseIterable {
    /// The slot is free.
    case empty
    /// It was asked for, and has not answered.
    case incomplete
    /// It has answered. When the answer is older than `NeighbourTable.reachableTime`, it is asked again while it is
    /// used.
    case resolved
    /// It did not answer. No worker asks again for `NeighbourTable.failedTime`.
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
    /// Its state.
    public var state: NeighbourState
    /// When the state was last confirmed, by CLOCK_MONOTONIC.
    public var updated: MonotonicTime
    /// When it was last asked for, by CLOCK_MONOTONIC; the clock's beginning: never.
    public var requested: MonotonicTime
    /// The number of requests since the last answer.
    public var tries: Int
    /// The sender whose packet or message made it known: interface<<48, and the MAC address if the table names it.
    public var owner: UInt64
}
