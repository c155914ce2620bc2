import Synchronization

/// What the control process does to the table: engines write to it, and end halfway, or are not what they were.
extension NeighbourTable {
    /// The slots that are being written to, and the sequence of each: what two looks some time apart agree on has been
    /// left halfway by a writer that is no more.
    public func unfinished() -> [Int: UInt64] {
        var found: [Int: UInt64] = [:]
        for slot in 0..<Self.slots {
            let sequence = load(64 + slot * 64)
            if sequence & 1 == 1 { found[slot] = sequence }
        }
        return found
    }

    /// Frees the slots that are as `unfinished` found them some time ago. Other writers may be at work.
    public func heal(_ unfinished: [Int: UInt64]) {
        for (slot, sequence) in unfinished where (0..<Self.slots).contains(slot) {
            free(64 + slot * 64, from: sequence)
        }
    }

    /// Forgets the neighbours of which `isForgotten` is true; engines ask anew for those whom they need. Slots that are being
    /// written to are left. Other writers may be at work.
    public func forget(where isForgotten: (NeighbourEntry) -> Bool) {
        for slot in 0..<Self.slots {
            let place = 64 + slot * 64
            let sequence = load(place)
            guard sequence & 1 == 0, let entry = entry(at: place), isForgotten(entry),
                (base + place).assumingMemoryBound(to: Atomic<UInt64>.self).pointee.compareExchange(
                    expected: sequence, desired: sequence &+ 1, ordering: .acquiringAndReleasing
                ).exchanged
            else { continue }
            free(place, from: sequence &+ 1)
        }
    }
}
