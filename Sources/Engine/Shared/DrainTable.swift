import Forwarding
import Synchronization

/// The notes of engines about slots that change hands because an instance drains or has just come. All engines share
/// this memory. For each slot it says whether existing flows still use it, and whether it has moved to the instance
/// that gets new flows.
///
/// It is state of slots, not of flows, of a fixed size, and only kept while slots change hands: an octet for each of
/// the 65,536 slots of the first 64 groups. A slot moves with the first TCP connection that begins in it while no other
/// flow is seen there. After a long silence it moves with any packet. Resilient groups of hardware switches do the same
/// with an idle timer for each bucket. Here the SYN tells, too.
public struct DrainTable: @unchecked Sendable {
    /// The number of groups that there is room for. Instances of further groups keep everything until their time is
    /// over.
    public static let groups = 64
    /// The size of its memory, in octets.
    public static let size = groups * SlotTable.count

    /// Whether a packet begins its flow.
    enum Beginning {
        /// The first packet of a TCP connection.
        case opens
        /// A later packet of a TCP connection.
        case goesOn
        /// The packet does not tell.
        case unknown
    }

    static let moved: UInt8 = 1
    static let usedNow: UInt8 = 2
    static let usedBefore: UInt8 = 4
    /// Set after a slot has been watched for a whole period. Before that, silence means nothing.
    static let watched: UInt8 = 8

    private let base: UnsafeMutableRawPointer

    /// The table behind the neighbours, in a memory of `NeighbourTable.memorySize` octets.
    public init(behind neighbours: NeighbourTable) {
        base = neighbours.base + NeighbourTable.size
    }

    @inline(__always)
    private func octet(_ group: Int, _ slot: Int) -> UnsafeMutablePointer<Atomic<UInt8>> {
        (base + (group &* SlotTable.count &+ slot)).assumingMemoryBound(to: Atomic<UInt8>.self)
    }

    /// Whether a packet in a slot that changes hands goes to the instance that gets new flows.
    func moves(_ slot: Int, of group: Int, _ beginning: Beginning) -> Bool {
        guard group < Self.groups else { return false }
        let place = octet(group, slot)
        let known = place.pointee.load(ordering: .relaxed)
        if known & Self.moved != 0 { return true }
        let isSilent = known & (Self.usedNow | Self.usedBefore) == 0
        // A silent connection may continue. A new one says by its SYN that it begins.
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

    /// Forgets the notes about slots: all of a group, or those for which `isKept` is false.
    public func clear(_ group: Int, keeping isKept: (Int) -> Bool = { _ in false }) {
        guard group < Self.groups else { return }
        for slot in 0..<SlotTable.count where !isKept(slot) { octet(group, slot).pointee.store(0, ordering: .relaxed) }
    }

    /// Marks every slot of a group as used, until it is seen to be unused.
    public func markUsed(_ group: Int) {
        guard group < Self.groups else { return }
        for slot in 0..<SlotTable.count { octet(group, slot).pointee.store(Self.usedNow, ordering: .relaxed) }
    }

    /// Begins another period. A slot counts as used if it was used in this period or in the one before.
    public func beginPeriod(_ group: Int) {
        guard group < Self.groups else { return }
        for slot in 0..<SlotTable.count {
            let place = octet(group, slot)
            // Engines write at the same time, so none of their bits may be lost.
            if place.pointee.bitwiseAnd(~Self.usedNow, ordering: .relaxed).oldValue & Self.usedNow != 0 {
                place.pointee.bitwiseOr(Self.usedBefore | Self.watched, ordering: .relaxed)
            } else {
                place.pointee.bitwiseAnd(~Self.usedBefore, ordering: .relaxed)
                place.pointee.bitwiseOr(Self.watched, ordering: .relaxed)
            }
        }
    }

    /// The number of slots that have moved.
    public func movedSlots(_ group: Int) -> Int {
        guard group < Self.groups else { return 0 }
        return (0..<SlotTable.count).count { octet(group, $0).pointee.load(ordering: .relaxed) & Self.moved != 0 }
    }
}
