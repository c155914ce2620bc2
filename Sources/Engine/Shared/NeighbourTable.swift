import Synchronization
import Wire

/// The neighbours that the file does not name, in shared memory. It outlives the engine, and several workers share it.
///
/// ```
/// 0     header (64 octets): magic, version, slots, lessons (UInt64 each)
/// 64    slots of 64 octets: sequence, tag, high, low, mac | state<<48 | tries<<56, updated, requested, owner
/// ```
///
/// A neighbour is in one of the eight slots of the set that its address hashes to. So lookups and insertions never take
/// longer, whatever frames ask for. If a set is full, the sender that brought the most of it gives up one slot, so no
/// sender can fill the table for others.
///
/// A writer makes a slot's sequence odd, writes, and makes it even again. A reader that sees an odd or a changed
/// sequence takes the slot for empty, and asks again with the next packet. If a writer was killed halfway, the slot
/// stays odd until it is healed. A living writer that finds its slot healed empties it, because another one may have
/// written there meanwhile.
public struct NeighbourTable: @unchecked Sendable {
    /// The number of neighbours that fit.
    public static let slots = 4_096
    /// The size of the table, in octets.
    public static let size = 64 + slots * 64
    /// How long an answer is valid without asking again: 30 s (RFC 4861, REACHABLE_TIME).
    public static let reachableTime = Duration.seconds(30)
    /// The time between two requests: 1 s (RFC 4861, RETRANS_TIMER).
    public static let retryTime = Duration.seconds(1)
    /// The number of requests before a neighbour counts as unreachable.
    public static let maximumTries = 3
    /// How long a failed neighbour is not asked for again: 1 s.
    public static let failedTime = Duration.seconds(1)

    // The same in nanoseconds, as packets are judged by them.
    private static let reachable: UInt64 = 30_000_000_000
    private static let retry: UInt64 = 1_000_000_000
    private static let failure: UInt64 = 1_000_000_000

    static let magic: UInt64 = 0x6269_6E2D_6C70_6174  // "tapl-nib"
    static let version: UInt64 = 1
    static let ways = 8
    static let sets = slots / ways

    let base: UnsafeMutableRawPointer
    /// The size of the whole memory, in octets: the table, the notes of engines about slots that change hands, and the
    /// members of groups.
    public static let memorySize = size + DrainTable.size + MembershipTable.size

    /// The table in memory of `memorySize` octets, which stay mapped. Zeroed memory is an empty table.
    public init(memory: UnsafeMutableRawPointer) {
        base = memory
    }

    /// Writes the header into fresh memory.
    public func initialize() {
        store(0, Self.magic)
        store(8, Self.version)
        store(16, UInt64(Self.slots))
    }

    /// True if the header is of this version.
    public var isValid: Bool {
        load(0) == Self.magic && load(8) == Self.version && load(16) == UInt64(Self.slots)
    }

    /// How many new neighbours were learnt so far; it only rises. A worker that holds frames for neighbours sees by it
    /// whether one of them may have answered, to any worker of any engine.
    @inline(__always)
    var lessons: UInt64 {
        (base + Self.lessonsOffset).assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring)
    }

    private static let lessonsOffset = 24

    /// Writes a slot whose neighbour has just answered.
    func learn(_ entry: NeighbourEntry, at place: Int) -> Lesson {
        guard write(entry, at: place) else { return .unasked }
        (base + Self.lessonsOffset).assumingMemoryBound(to: Atomic<UInt64>.self).pointee
            .wrappingAdd(1, ordering: .releasing)
        return .learned
    }

    /// Empties a slot whose sequence is this odd one, and makes it even.
    func free(_ place: Int, from odd: UInt64) {
        let sequence = (base + place).assumingMemoryBound(to: Atomic<UInt64>.self)
        // Another odd value: from here on this writer owns the slot.
        guard
            sequence.pointee.compareExchange(
                expected: odd, desired: odd &+ 2, ordering: .acquiringAndReleasing
            ).exchanged
        else { return }
        atomicMemoryFence(ordering: .releasing)
        store(place + 8, 0)
        store(place + 32, 0)
        _ = sequence.pointee.compareExchange(
            expected: odd &+ 2, desired: odd &+ 3, ordering: .acquiringAndReleasing)
    }

    // MARK: - Slots

    @inline(__always)
    func load(_ offset: Int) -> UInt64 {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .relaxed)
    }

    @inline(__always)
    private func store(_ offset: Int, _ value: UInt64) {
        (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self).pointee.store(value, ordering: .relaxed)
    }

    @inline(__always)
    static func tag(_ interface: Int, _ address: IPAddress) -> UInt64 {
        1 << 63 | UInt64(address.family.rawValue) << 32 | UInt64(UInt32(truncatingIfNeeded: interface))
    }

    @inline(__always)
    static func firstSlot(_ tag: UInt64, _ address: IPAddress) -> Int {
        var hash = (address.low ^ tag &* 0x9E37_79B9_7F4A_7C15) &* 0xD6E8_FEB8_6659_FD93
        hash = (hash ^ hash >> 32 ^ address.high) &* 0xD6E8_FEB8_6659_FD93
        return Int(truncatingIfNeeded: (hash >> 32) % UInt64(sets)) &* ways
    }

    func entry(at place: Int) -> NeighbourEntry? {
        let sequence = (base + place).assumingMemoryBound(to: Atomic<UInt64>.self)
        for _ in 0..<4 {
            let before = sequence.pointee.load(ordering: .acquiring)
            guard before & 1 == 0 else { continue }
            let tag = load(place + 8)
            let high = load(place + 16)
            let low = load(place + 24)
            let word = load(place + 32)
            let updated = load(place + 40)
            let requested = load(place + 48)
            let owner = load(place + 56)
            atomicMemoryFence(ordering: .acquiring)
            guard sequence.pointee.load(ordering: .relaxed) == before else { continue }
            guard tag >> 63 == 1, let family = AddressFamily(rawValue: UInt8(truncatingIfNeeded: tag >> 32)),
                let state = NeighbourState(rawValue: UInt8(truncatingIfNeeded: word >> 48)), state != .empty
            else { return nil }
            return NeighbourEntry(
                interface: Int(UInt32(truncatingIfNeeded: tag)),
                address: IPAddress(family: family, high: high, low: low),
                mac: MACAddress(bits: word), state: state, updated: MonotonicTime(nanoseconds: updated),
                requested: MonotonicTime(nanoseconds: requested),
                tries: Int(word >> 56), owner: owner)
        }
        return nil
    }

    /// Writes a slot, unless another writer is active there.
    private func write(_ entry: NeighbourEntry, at place: Int) -> Bool {
        let sequence = (base + place).assumingMemoryBound(to: Atomic<UInt64>.self)
        let before = sequence.pointee.load(ordering: .relaxed)
        guard before & 1 == 0,
            sequence.pointee.compareExchange(
                expected: before, desired: before &+ 1, ordering: .acquiringAndReleasing
            ).exchanged
        else { return false }
        atomicMemoryFence(ordering: .releasing)
        store(place + 8, Self.tag(entry.interface, entry.address))
        store(place + 16, entry.address.high)
        store(place + 24, entry.address.low)
        store(
            place + 32,
            entry.mac.bits | UInt64(entry.state.rawValue) << 48 | UInt64(UInt8(clamping: entry.tries)) << 56)
        store(place + 40, entry.updated.nanoseconds)
        store(place + 48, entry.requested.nanoseconds)
        store(place + 56, entry.owner)
        if sequence.pointee.compareExchange(
            expected: before &+ 1, desired: before &+ 2, ordering: .acquiringAndReleasing
        ).exchanged {
            return true
        }
        let now = sequence.pointee.load(ordering: .relaxed)
        if now & 1 == 0,
            sequence.pointee.compareExchange(
                expected: now, desired: now &+ 1, ordering: .acquiringAndReleasing
            ).exchanged
        {
            free(place, from: now &+ 1)
        }
        return false
    }

    func find(_ interface: Int, _ address: IPAddress) -> (place: Int, entry: NeighbourEntry)? {
        let tag = Self.tag(interface, address)
        let first = Self.firstSlot(tag, address)
        for way in 0..<Self.ways {
            let place = 64 &+ (first &+ way) &* 64
            guard load(place + 8) == tag, load(place + 24) == address.low, let entry = entry(at: place),
                entry.interface == interface, entry.address == address
            else { continue }
            return (place, entry)
        }
        return nil
    }

    /// A slot of the set for a new neighbour: a free one, the one that is needed least, or one of the sender that has
    /// the most in the set. nil if all are in use, and no sender has more than its part.
    func place(forNew address: IPAddress, tag: UInt64, for owner: UInt64, now: UInt64) -> Int? {
        let first = Self.firstSlot(tag, address)
        var best: Int?
        var bestAge: UInt64 = 0
        var owners = SIMD8<UInt64>(repeating: 0)
        for way in 0..<Self.ways {
            let place = 64 &+ (first &+ way) &* 64
            guard load(place) & 1 == 0 else { continue }
            guard let entry = entry(at: place) else { return place }
            owners[way] = entry.owner
            let age = now &- min(now, max(entry.updated, entry.requested).nanoseconds)
            let limit = entry.state == .resolved ? Self.reachable : Self.retry &* 4
            if age > limit, age > bestAge {
                best = place
                bestAge = age
            }
        }
        return best ?? surplus(in: first, owners, for: owner)
    }

    /// The slot that the sender with the most of a full set gives up: its oldest without an answer. If all have
    /// answered, its oldest, provided that the asking sender has at least two fewer.
    private func surplus(in first: Int, _ owners: SIMD8<UInt64>, for owner: UInt64) -> Int? {
        var counts = SIMD8<UInt8>(repeating: 0)
        var own: UInt8 = 0
        for way in 0..<Self.ways {
            for other in 0..<Self.ways where owners[other] == owners[way] { counts[way] &+= 1 }
            if owners[way] == owner { own &+= 1 }
        }
        let most = counts.max()
        guard most > own || owners.indices.contains(where: { counts[$0] == most && owners[$0] == owner }) else {
            return nil
        }
        var best: Int?
        var bestUpdated = MonotonicTime(nanoseconds: .max)
        var bestIsResolved = true
        for way in 0..<Self.ways where counts[way] == most && (most > own || owners[way] == owner) {
            let place = 64 &+ (first &+ way) &* 64
            guard load(place) & 1 == 0, let entry = entry(at: place) else { continue }
            let isResolved = entry.state == .resolved
            if isResolved, most < own &+ 2 { continue }
            if best == nil || (bestIsResolved && !isResolved)
                || (bestIsResolved == isResolved && entry.updated < bestUpdated)
            {
                (best, bestUpdated, bestIsResolved) = (place, entry.updated, isResolved)
            }
        }
        return best
    }

    // MARK: - Lookups of the workers

    /// What happens to a packet for a neighbour.
    enum Resolution: Equatable {
        /// Send it there.
        case resolved(MACAddress)
        /// Send it there, and ask this neighbour whether it still has the address.
        case stale(MACAddress)
        /// The packet waits. If `ask` is set, ask all.
        case wait(ask: Bool)
        /// It does not answer.
        case failed
        /// There is no room for the request.
        case full
        /// A request would be due, but the sender may cause no more of them.
        case limited
    }

    /// The MAC address of a neighbour that `resolve` would return as resolved. Notes nothing.
    func known(_ address: IPAddress, on interface: Int, now: UInt64) -> MACAddress? {
        guard let (_, found) = find(interface, address), found.state == .resolved,
            now &- min(now, found.updated.nanoseconds) < Self.reachable
                || now &- min(now, found.requested.nanoseconds) < Self.retry
        else { return nil }
        return found.mac
    }

    /// Looks a neighbour up. If the result says to ask, the request is noted.
    ///
    /// - Parameters:
    ///   - owner: The sender of the packet; see `NeighbourEntry.owner`.
    ///   - mayAsk: Whether that sender may cause a request. It is only called if a request is due.
    @inline(__always)
    func resolve(
        _ address: IPAddress, on interface: Int, for owner: UInt64, now: UInt64, mayAsk: @autoclosure () -> Bool
    ) -> Resolution {
        guard let (place, found) = find(interface, address) else {
            guard mayAsk() else { return .limited }
            let tag = Self.tag(interface, address)
            guard let place = self.place(forNew: address, tag: tag, for: owner, now: now) else { return .full }
            let entry = NeighbourEntry(
                interface: interface, address: address, mac: MACAddress(bits: 0), state: .incomplete,
                updated: MonotonicTime(nanoseconds: now),
                requested: MonotonicTime(nanoseconds: now), tries: 1, owner: owner)
            return write(entry, at: place) ? .wait(ask: true) : .full
        }
        var entry = found
        switch found.state {
        case .resolved:
            guard now &- min(now, found.updated.nanoseconds) >= Self.reachable else { return .resolved(found.mac) }
            guard now &- min(now, found.requested.nanoseconds) >= Self.retry, mayAsk() else {
                return .resolved(found.mac)
            }
            if found.tries >= Self.maximumTries {
                entry.state = .incomplete
                entry.mac = MACAddress(bits: 0)
                entry.tries = 1
                entry.requested = MonotonicTime(nanoseconds: now)
                _ = write(entry, at: place)
                return .wait(ask: true)
            }
            entry.tries += 1
            entry.requested = MonotonicTime(nanoseconds: now)
            return write(entry, at: place) ? .stale(found.mac) : .resolved(found.mac)
        case .incomplete:
            guard now &- min(now, found.requested.nanoseconds) >= Self.retry else { return .wait(ask: false) }
            if found.tries >= Self.maximumTries {
                entry.state = .failed
                entry.updated = MonotonicTime(nanoseconds: now)
                _ = write(entry, at: place)
                return .failed
            }
            guard mayAsk() else { return .wait(ask: false) }
            entry.tries += 1
            entry.requested = MonotonicTime(nanoseconds: now)
            return .wait(ask: write(entry, at: place))
        case .failed, .empty:
            guard now &- min(now, found.updated.nanoseconds) >= Self.failure, mayAsk() else { return .failed }
            entry.state = .incomplete
            entry.tries = 1
            entry.requested = MonotonicTime(nanoseconds: now)
            return .wait(ask: write(entry, at: place))
        }
    }

    /// The result of a frame's claim.
    enum Lesson: Equatable {
        /// It is known now, and was not before.
        case learned
        /// It was known.
        case confirmed
        /// It was not asked for.
        case unasked
        /// Another host has the address, and was heard of lately.
        case conflict
    }

    /// Learns a neighbour's address from an answer to a request of the engine, or from a request to the engine.
    ///
    /// - Parameters:
    ///   - owner: The sender of the message; see `NeighbourEntry.owner`.
    ///   - evenUnasked: False for answers: only requested ones are believed. True for requests to the engine: their
    ///     sender is about to get an answer, so it is noted without a request.
    func learn(
        _ address: IPAddress, on interface: Int, mac: MACAddress, for owner: UInt64, evenUnasked: Bool, now: UInt64
    ) -> Lesson {
        guard let (place, found) = find(interface, address) else {
            guard evenUnasked else { return .unasked }
            let tag = Self.tag(interface, address)
            guard let place = self.place(forNew: address, tag: tag, for: owner, now: now) else { return .unasked }
            let entry = NeighbourEntry(
                interface: interface, address: address, mac: mac, state: .resolved,
                updated: MonotonicTime(nanoseconds: now), requested: MonotonicTime(nanoseconds: 0),
                tries: 0, owner: owner)
            return learn(entry, at: place)
        }
        var entry = found
        switch found.state {
        case .resolved:
            if found.mac != mac {
                // A neighbour that was heard of lately keeps its address. One that is being asked for may have moved.
                guard now &- min(now, found.updated.nanoseconds) >= Self.reachable else { return .conflict }
                guard evenUnasked || found.tries > 0 else { return .unasked }
            } else if !evenUnasked, found.tries == 0 {
                return .unasked
            }
            entry.mac = mac
            entry.updated = MonotonicTime(nanoseconds: now)
            entry.tries = 0
            _ = write(entry, at: place)
            return .confirmed
        case .incomplete, .failed, .empty:
            if found.state != .incomplete, !evenUnasked { return .unasked }
            entry.mac = mac
            entry.state = .resolved
            entry.updated = MonotonicTime(nanoseconds: now)
            entry.tries = 0
            return learn(entry, at: place)
        }
    }

    /// All neighbours in the table, for listings.
    public func entries() -> [NeighbourEntry] {
        (0..<Self.slots).compactMap { entry(at: 64 + $0 * 64) }
    }
}
