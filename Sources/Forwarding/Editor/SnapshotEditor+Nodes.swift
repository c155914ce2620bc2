import Wire

/// A node on an interface that may announce a prefix, as `holders` of a snapshot has it.
struct HolderKey: Hashable, Sendable {
    var station: UInt64
    var prefix: IPPrefix
}

/// How often a holder is in the table, and how often as one whose announcements move the address.
struct HolderUses: Sendable {
    var all = 0
    var moving = 0
}

/// Changes of what nodes have: claimed addresses, addresses that they announce, and addresses that they send from.
extension SnapshotEditor {
    // MARK: - Claims

    func claimKey(_ claim: ClaimedAddress) -> UInt64 {
        UInt64(claim.interface + 1) << 32 | UInt64(claimed.identifiers[claim.prefix] ?? 0)
    }

    func replace(_ removed: [ClaimedAddress], by added: [ClaimedAddress], _ table: ForwardingTable) throws(Unfit) {
        for claim in added {
            guard table.interfaces.indices.contains(claim.interface) else { throw Unfit("an interface is missing") }
            _ = try useClaimed(claim.prefix)
            let key = claimKey(claim)
            claims[key, default: 0] += 1
            let found = slot(ofClaim: key)
            if !found.isFound { try fill(slots(.claims), found.record, [key]) }
        }
        for claim in removed {
            let key = claimKey(claim)
            guard let before = claims[key] else { throw Unfit("a claim that goes is not there") }
            claims[key] = before == 1 ? nil : before - 1
            if before == 1 { empty(slots(.claims), slot(ofClaim: key).record) }
            dropClaimed(claim.prefix)
        }
    }

    private func slot(ofClaim key: UInt64) -> (record: Int, isFound: Bool) {
        let slots = slots(.claims)
        return find(slots, from: Int(truncatingIfNeeded: Layout.spread(key) & UInt64(slots.count - 1))) {
            word(.claims, $0, 0) == key
        }
    }

    // MARK: - Holders

    private func stations(of holder: AddressHolder) -> [UInt64] {
        let own = Layout.macKey(interface: holder.interface, bits: holder.mac.bits)
        return holder.moves ? [own, Layout.macKey(interface: holder.interface, bits: Layout.anyHolder)] : [own]
    }

    /// Notes a holder that comes (1) or goes (-1).
    ///
    /// - Returns: What of the image depends on it.
    @discardableResult
    func note(_ holder: AddressHolder, _ step: Int) -> [HolderKey] {
        stations(of: holder).map { station in
            let key = HolderKey(station: station, prefix: holder.prefix)
            var uses = holders[key] ?? HolderUses()
            uses.all += step
            if holder.moves { uses.moving += step }
            holders[key] = uses.all <= 0 ? nil : uses
            return key
        }
    }

    func replace(_ removed: [AddressHolder], by added: [AddressHolder], _ table: ForwardingTable) throws(Unfit) {
        var touched: Set<HolderKey> = []
        for holder in added {
            guard table.interfaces.indices.contains(holder.interface) else { throw Unfit("an interface is missing") }
            _ = try useClaimed(holder.prefix)
            touched.formUnion(note(holder, 1))
        }
        for holder in removed { touched.formUnion(note(holder, -1)) }
        for key in touched { try renew(key) }
        for holder in removed { dropClaimed(holder.prefix) }
    }

    /// Makes a slot say what is known of a holder. What nodes may join stays.
    private func renew(_ key: HolderKey) throws(Unfit) {
        guard let prefix = claimed.identifiers[key.prefix] else { throw Unfit("a holder that goes is not there") }
        let slots = slots(.holders)
        let home = Int(truncatingIfNeeded: Layout.holderHash(key.station, prefix) & UInt64(slots.count - 1))
        let found = find(slots, from: home) { record in
            word(.holders, record, 0) == key.station
                && UInt32(truncatingIfNeeded: word(.holders, record, 1)) == prefix
        }
        let isAny = key.station & Layout.anyHolder == Layout.anyHolder
        let uses = holders[key] ?? HolderUses()
        let flags =
            (uses.all > 0 && !isAny ? Layout.holderAnnounces : 0) | (uses.moving > 0 ? Layout.holderMoves : 0)
        let joins = Layout.holderJoins | Layout.holderReports
        let kept = found.isFound ? word(.holders, found.record, 1) & joins : 0
        if found.isFound {
            if flags | kept == 0 { return empty(slots, found.record) }
            put(.holders, found.record, 1, UInt64(prefix) | flags | kept)
        } else if flags != 0 {
            try fill(slots, found.record, [key.station, UInt64(prefix) | flags])
        }
    }
}
