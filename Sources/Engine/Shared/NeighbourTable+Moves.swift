import Wire

extension NeighbourTable {
    /// Gives an address that moves to the node that announces it, whatever node had it. It is in force for every worker
    /// of every engine with the next packet.
    ///
    /// - Parameter owner: The sender of the announcement; see `NeighbourEntry.owner`.
    func move(_ address: IPAddress, on interface: Int, to mac: MACAddress, for owner: UInt64, now: UInt64) {
        let tag = Self.tag(interface, address)
        // Another worker may be writing the slot, and an announcement may come only once.
        for _ in 0..<64 {
            guard let place = find(interface, address)?.place ?? place(forNew: address, tag: tag, for: owner, now: now)
            else { return }
            let entry = NeighbourEntry(
                interface: interface, address: address, mac: mac, state: .resolved,
                updated: MonotonicTime(nanoseconds: now), requested: MonotonicTime(nanoseconds: 0), tries: 0,
                owner: owner)
            if learn(entry, at: place) == .learned { return }
        }
    }
}
