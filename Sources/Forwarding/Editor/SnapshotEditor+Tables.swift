/// Changes of a whole table.
extension SnapshotEditor {
    /// Makes the image one of the new table.
    func change(from old: ForwardingTable, to new: ForwardingTable, by patch: TablePatch) throws(Unfit) {
        guard old.interfaces == new.interfaces, old.neighbours == new.neighbours, old.mirrors == new.mirrors,
            old.heartbeatToken == new.heartbeatToken
        else { throw Unfit("the interfaces or nodes differ") }
        let (removed, added) = try entries(from: old, to: new, by: patch)
        let holders = differences(from: old.holders, to: new.holders)
        let claims = differences(from: old.claimed, to: new.claimed)
        let count = [
            removed.count, added.count, holders.removed.count, holders.added.count, claims.removed.count,
            claims.added.count,
        ].reduce(0, +)
        guard count <= 1_024 || count * 8 <= old.entries.count else { throw Unfit("too much differs") }
        try judge(holders.removed + holders.added, new, fresh: Set(added.map(\.counter)))
        try replace(removed, by: added, of: new)
        try replace(claims.removed, by: claims.added, new)
        try replace(holders.removed, by: holders.added, new)
        try replace(old.sources, by: new.sources)
        try replace(old.access, by: new.access, new)
    }

    /// Takes over which targets access lists judge: where they do, the holder of an address tells which application an entry
    /// leads to.
    ///
    /// - Parameter fresh: The counters of entries whose words are still to be made.
    private func judge(_ holders: [AddressHolder], _ table: ForwardingTable, fresh: Set<Int>) throws(Unfit) {
        let judged = holders.filter(hops.judges)
        guard !judged.isEmpty else { return }
        let isKept = table.entries.contains { entry in
            !fresh.contains(entry.counter) && judged.contains { entry.leads(to: $0) }
        }
        guard !isKept else { throw Unfit("the holders of addresses differ where access lists judge") }
        hops.judge(by: table)
    }

    private func entries(
        from old: ForwardingTable, to new: ForwardingTable, by patch: TablePatch
    ) throws(Unfit) -> (removed: [Entry], added: [Entry]) {
        guard patch.count == old.entries.count else { throw Unfit("the table before has other entries") }
        var (removed, added): ([Entry], [Entry]) = ([], [])
        var moved = 0
        for span in patch.spans {
            removed += old.entries[span.range]
            let start = span.range.lowerBound + moved
            guard start + span.entries.count <= new.entries.count else { throw Unfit("the table has other entries") }
            added += new.entries[start..<start + span.entries.count]
            moved += span.entries.count - span.range.count
        }
        guard new.entries.count == old.entries.count + moved else { throw Unfit("the table has other entries") }
        return (removed, added)
    }
}
