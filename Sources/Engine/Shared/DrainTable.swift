import Forwarding
import Synchronization

/// What engines note of slots that change hands, because an instance drains or has just come, in memory that all of them
/// share: whether something that was there already still uses a slot, and whether the slot has gone over to the instance
/// that gets what is new.
///
/// It is state of slots, not of flows, of a fixed size, and only kept while slots change hands: an octet for each of the
/// 65,536 slots of the first 64 groups. A slot goes over with the first TCP connection that begins in it while nothing
/// else is seen to use it, or with any packet once it has been silent for long. The switches' resilient groups do it so
/// (with an idle timer for each bucket), with the difference that here the SYN tells.
public struct DrainTable: @unchecked Sendable {
    /// The groups that there is room for; instances of further ones keep everything until their time is over.
    public static let groups = 64
    /// Octets of its memory.
    public static let size = groups * SlotTable.count

    /// What a packet tells of whether its flow begins.
    enum Beginning {
        /// It is the first of a TCP connection.
        case opens
        /// It is a later one of a TCP connection.
        case goesOn
        /// It does not tell.
        case unknown
    }

    static let moved: UInt8 = 1
    static let usedNow: UInt8 = 2
    static let usedBefore: UInt8 = 4
    /// Set once a slot has been looked at for a whole stretch of time: before, silence means nothing.
    static let watched: UInt8 = 8

    private let base: UnsafeMutableRawPointer

    /// The table behind the neighbours, in memory of `NeighbourTable.memorySize` octets.
    public init(behind neighbours: NeighbourTable) {
        base = neighbours.base + NeighbourTable.size
    }

    @inline(__always)
    private func octet(_ group: Int, _ slot: Int) -> UnsafeMutablePointer<Atomic<UInt8>> {
        (base + (group &* SlotTable.count &+ slot)).assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    /// Whether a packet in a slot that changes hands goes to the one that gets what is new.
    func moves(_ slot: Int, of group: Int, _ beginning: Beginning) -> Bool {
        guard group < Self.groups else { return false }
        let place = octet(group, slot)
        let known = place.pointee.load(ordering: .relaxed)
        if known & Self.moved != 0 { return true }
        let isSilent = known & (Self.usedNow | Self.usedBefore) == 0
        // A connection that has been silent may go on: it says so itself when it begins.
        let goesOver =
            switch beginning {
            case .opens: isSilent
            case .unknown: isSilent && known & Self.watched != 0
            case .goesOn: false
            }
        if goesOver {
            place.pointee.bitwiseOr(Self.moved, ordering: .relaxed)
        } else if known & Self.usedNow == 0 {
            place.pointee.bitwiseOr(Self.usedNow, ordering: .relaxed)
        }
        return goesOver
    }

    // MARK: - The control process's part

    /// Forgets what was noted of slots: all of a group, or those that `isKept` says no to.
    public func clear(_ group: Int, keeping isKept: (Int) -> Bool = { _ in false }) {
        guard group < Self.groups else { return }
        for slot in 0..<SlotTable.count where !isKept(slot) { octet(group, slot).pointee.store(0, ordering: .relaxed) }
    }

    /// Takes every slot of a group for used until it is seen not to be.
    public func markUsed(_ group: Int) {
        guard group < Self.groups else { return }
        for slot in 0..<SlotTable.count { octet(group, slot).pointee.store(Self.usedNow, ordering: .relaxed) }
    }

    /// Begins another stretch of time: a slot counts as used where it was in this one or in the one before.
    public func turn(_ group: Int) {
        guard group < Self.groups else { return }
        for slot in 0..<SlotTable.count {
            let place = octet(group, slot)
            // Engines write beside this: no bit of theirs may be lost.
            if place.pointee.bitwiseAnd(~Self.usedNow, ordering: .relaxed).oldValue & Self.usedNow != 0 {
                place.pointee.bitwiseOr(Self.usedBefore | Self.watched, ordering: .relaxed)
            } else {
                place.pointee.bitwiseAnd(~Self.usedBefore, ordering: .relaxed)
                place.pointee.bitwiseOr(Self.watched, ordering: .relaxed)
            }
        }
    }

    /// How many slots have gone over.
    public func movedSlots(_ group: Int) -> Int {
        guard group < Self.groups else { return 0 }
        return (0..<SlotTable.count).count { octet(group, $0).pointee.load(ordering: .relaxed) & Self.moved != 0 }
    }
}
