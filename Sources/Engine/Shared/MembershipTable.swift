import Forwarding
import Synchronization
import Wire

/// Which nodes have joined which groups, as their own reports say. All engines and workers share this memory, and the
/// control process reads it.
///
/// It has a fixed size. Engines enter only a node and a group that the table in force allows together, so no node can
/// fill it: the file's pairs always have places, and a pair that is over leaves its place to another.
public struct MembershipTable: @unchecked Sendable {
    /// The places: four for each pair that a file may have.
    static let slots = 4 * ForwardingTable.mostJoiners
    /// The places that are looked at for one pair.
    private static let reach = 64
    /// The most nanoseconds that one worker's clock is ahead of another's: each reads it once in a turn.
    private static let clockDifference: UInt64 = 1_000_000_000
    /// The size of its memory, in octets: the time of the next query, and two words for each place.
    public static let size = 64 + slots * 16

    private let base: UnsafeMutableRawPointer

    /// The table behind the drains, in a memory of `NeighbourTable.memorySize` octets.
    public init(behind neighbours: NeighbourTable) {
        base = neighbours.base + NeighbourTable.size + DrainTable.size
    }

    private func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// The number that stands for a node and a group; never 0. Two pairs of a table have the same number only if a
    /// 64-bit hash collides.
    private static func key(_ mac: MACAddress, _ group: IPAddress, on interface: Int) -> UInt64 {
        var hash = mac.bits ^ UInt64(truncatingIfNeeded: interface) << 48 ^ UInt64(group.family.rawValue) << 60
        hash = (hash ^ group.high) &* 0x9E37_79B9_7F4A_7C15
        hash = (hash ^ hash >> 29 ^ group.low) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
        hash = hash &* 0xD6E8_FEB8_6659_FD93
        return max(1, hash ^ hash >> 32)
    }

    /// True if the node with `mac` on `interface` is in `group`.
    ///
    /// - Parameter now: The monotonic clock in nanoseconds.
    public func isMember(_ mac: MACAddress, _ group: IPAddress, on interface: Int, now: UInt64) -> Bool {
        let key = Self.key(mac, group, on: interface)
        var slot = Int(truncatingIfNeeded: key % UInt64(Self.slots))
        for _ in 0..<Self.reach {
            let held = word(64 &+ slot &* 16).pointee.load(ordering: .acquiring)
            if held == 0 { return false }
            if held == key, holds(slot, now: now) { return true }
            slot = slot &+ 1 == Self.slots ? 0 : slot &+ 1
        }
        return false
    }

    /// True if the time of a place is one that a report of before `now` can have given it. An engine may write any time
    /// into this memory.
    private func holds(_ slot: Int, now: UInt64) -> Bool {
        let time = word(72 &+ slot &* 16).pointee.load(ordering: .relaxed)
        return time > now && time &- now <= GroupQuery.membership + Self.clockDifference
    }

    /// Notes that a node is in a group until `time`.
    ///
    /// - Returns: False if there is no place.
    @discardableResult
    func join(_ mac: MACAddress, _ group: IPAddress, on interface: Int, until time: UInt64, now: UInt64) -> Bool {
        let key = Self.key(mac, group, on: interface)
        let first = Int(truncatingIfNeeded: key % UInt64(Self.slots))
        // Its own place first: it may lie behind one that has become free.
        if forEachPlace(of: key, { word(72 &+ $0 &* 16).pointee.store(time, ordering: .relaxed) }) { return true }
        var slot = first
        for _ in 0..<Self.reach {
            let place = word(64 &+ slot &* 16)
            let held = place.pointee.load(ordering: .acquiring)
            if held == 0 || !holds(slot, now: now),
                place.pointee.compareExchange(expected: held, desired: key, ordering: .acquiringAndReleasing).exchanged
            {
                word(72 &+ slot &* 16).pointee.store(time, ordering: .sequentiallyConsistent)
                // Until it had a time, the place looked free: another worker may have given it to another pair.
                if place.pointee.load(ordering: .sequentiallyConsistent) == key { return true }
            }
            slot = slot &+ 1 == Self.slots ? 0 : slot &+ 1
        }
        return false
    }

    /// Notes that a node is no longer in a group.
    func leave(_ mac: MACAddress, _ group: IPAddress, on interface: Int) {
        _ = forEachPlace(of: Self.key(mac, group, on: interface)) {
            word(72 &+ $0 &* 16).pointee.store(0, ordering: .relaxed)
        }
    }

    private func forEachPlace(of key: UInt64, _ body: (Int) -> Void) -> Bool {
        var slot = Int(truncatingIfNeeded: key % UInt64(Self.slots))
        var isFound = false
        for _ in 0..<Self.reach {
            let held = word(64 &+ slot &* 16).pointee.load(ordering: .acquiring)
            if held == 0 { break }
            if held == key {
                body(slot)
                isFound = true
            }
            slot = slot &+ 1 == Self.slots ? 0 : slot &+ 1
        }
        return isFound
    }

    // MARK: - The querier

    /// True for one worker of all engines, if a query is due. It asks then.
    func takesQuery(now: UInt64) -> Bool {
        let due = word(0).pointee.load(ordering: .relaxed)
        // A query that is further away than any worker puts it is due, too.
        guard now >= due || due &- now > GroupQuery.interval + Self.clockDifference else { return false }
        // Two queries close together at the start (RFC 3376, section 8.6), then at the usual interval.
        let asked = word(8).pointee.load(ordering: .relaxed)
        let next = now &+ (asked < 2 ? 1_000_000_000 : GroupQuery.interval)
        guard word(0).pointee.compareExchange(expected: due, desired: next, ordering: .acquiringAndReleasing).exchanged
        else { return false }
        word(8).pointee.store(asked &+ 1, ordering: .relaxed)
        return true
    }

    /// Makes queries due at once: nodes that a new table lets join have not been asked.
    ///
    /// - Parameter forgetting: True: nobody is in a group until it reports so again.
    public func askAgain(forgetting: Bool = false) {
        if forgetting {
            for slot in 0..<Self.slots { word(72 &+ slot &* 16).pointee.store(0, ordering: .relaxed) }
        }
        word(8).pointee.store(0, ordering: .relaxed)
        word(0).pointee.store(0, ordering: .relaxed)
    }
}
