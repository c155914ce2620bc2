import Forwarding
import Synchronization

/// What engines note of the slots of instances that drain, in memory that all of them share: whether something that was
/// there already still uses a slot, and whether the slot has gone over to the instance that gets what is new.
///
/// It is state of slots, not of flows, of a fixed size, and only kept while somebody drains: an octet for each of the
/// 65,536 slots of the first 64 groups. A slot goes over with the first TCP connection that begins in it while nothing
/// else is seen to use it. The switches' resilient groups do it so, with the difference that here the SYN tells.
public struct DrainTable: @unchecked Sendable {
    /// The groups that there is room for; instances of further ones keep everything until their time is over.
    public static let groups = 64
    /// Octets of its memory.
    public static let size = groups * SlotTable.count

    static let moved: UInt8 = 1
    static let usedNow: UInt8 = 2
    static let usedBefore: UInt8 = 4

    private let base: UnsafeMutableRawPointer

    /// The table behind the neighbours, in memory of `NeighbourTable.memorySize` octets.
    public init(behind neighbours: NeighbourTable) {
        base = neighbours.base + NeighbourTable.size
    }

    @inline(__always)
    private func octet(_ group: Int, _ slot: Int) -> UnsafeMutablePointer<Atomic<UInt8>> {
        (base + (group &* SlotTable.count &+ slot)).assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    /// Whether a packet in the slot of an instance that drains goes to the one that gets what is new.
    ///
    /// - Parameter opens: True for the first segment of a TCP connection.
    func moves(_ slot: Int, of group: Int, opens: Bool) -> Bool {
        guard group < Self.groups else { return false }
        let place = octet(group, slot)
        let known = place.pointee.load(ordering: .relaxed)
        if known & Self.moved != 0 { return true }
        if opens {
            guard known & (Self.usedNow | Self.usedBefore) == 0 else { return false }
            place.pointee.bitwiseOr(Self.moved, ordering: .relaxed)
            return true
        }
        if known & Self.usedNow == 0 { place.pointee.bitwiseOr(Self.usedNow, ordering: .relaxed) }
        return false
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
            let known = place.pointee.load(ordering: .relaxed)
            guard known & (Self.usedNow | Self.usedBefore) != 0 else { continue }
            // Engines write beside this: no bit of theirs may be lost.
            if known & Self.usedNow != 0 {
                place.pointee.bitwiseOr(Self.usedBefore, ordering: .relaxed)
                place.pointee.bitwiseAnd(~Self.usedNow, ordering: .relaxed)
            } else {
                place.pointee.bitwiseAnd(~Self.usedBefore, ordering: .relaxed)
            }
        }
    }

    /// How many slots have gone over.
    public func movedSlots(_ group: Int) -> Int {
        guard group < Self.groups else { return 0 }
        return (0..<SlotTable.count).count { octet(group, $0).pointee.load(ordering: .relaxed) & Self.moved != 0 }
    }
}
