import Synchronization

/// What the control process does to the table. Engines write to it, and may end halfway or become hostile.
extension NeighbourTable {
    /// The slots that are being written, and the sequence of each. If two calls some time apart return the same, a dead
    /// writer has left the slot halfway.
    public func unfinished() -> [Int: UInt64] {
        var found: [Int: UInt64] = [:]
        for slot in 0..<Self.slots {
            let sequence = load(64 + slot * 64)
            if sequence & 1 == 1 { found[slot] = sequence }
        }
        return found
    }

    /// Frees the slots that still are as `unfinished` found them some time ago. Other writers may be active.
    public func heal(_ unfinished: [Int: UInt64]) {
        for (slot, sequence) in unfinished where (0..<Self.slots).contains(slot) {
            free(64 + slot * 64, from: sequence)
        }
    }

    /// Forgets the neighbours for which `isForgotten` is true. Engines ask again for those that they need. Slots that
    /// are being written stay as they are. Other writers may be active.
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
