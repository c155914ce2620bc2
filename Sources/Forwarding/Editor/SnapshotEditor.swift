import Wire

/// What a change has that an image cannot take in place: the whole table is compiled then.
struct Unfit: Error {
    /// Why, for the debug log.
    let what: String

    init(_ what: String) { self.what = what }
}

/// Changes the image of a table where few of its entries change, in the time that these take. The image decides as one that
/// was compiled from the changed table.
///
/// - Records of entries and prefixes that go are used again by others that come. Records of other sections stay unused until
///   the table is compiled again.
/// - Hash tables lose a slot by moving later ones up, so that no search gets longer.
/// - What is rare is not done here: an interface, a neighbour, another application with access lists, more than there is room
///   for. `Unfit` says so, and the editor must not be used any more.
///
/// On one thread at a time.
final class SnapshotEditor: @unchecked Sendable {
    /// The image with all changes. Its groups of instances are those that it was compiled with.
    var image: SnapshotImage
    var hops: HopTable
    var sources: PrefixEditor
    var destinations: PrefixEditor
    var claimed: PrefixEditor
    var scopes: [GroupTable.ScopeKey: UInt32]
    /// The record of the entry that has a counter; none if there is no such entry.
    var places: [UInt32]
    /// Records of entries that are gone.
    var freeEntries: [Int] = []
    /// The counter of the first entry of each group of entries, and those of the others where there are several.
    var groups: [GroupKey: UInt32] = [:]
    var others: [GroupKey: [UInt32]] = [:]
    /// How often each claim and each holder is in the table.
    var claims: [UInt64: Int] = [:]
    var holders: [HolderKey: HolderUses] = [:]
    var origins: OriginEditor
    var access: AccessEditor
    /// How many slots of a hash table are used.
    private var used: [PatchedTable: Int] = [:]
    /// The most records that there is room for, by section.
    private let limits: [Int]
    /// The records that changed since `takeChanges`.
    private var dirty: [Set<Int>] = Array(repeating: [], count: Section.allCases.count)

    /// - Parameters:
    ///   - image: Compiled from `table` with room.
    ///   - parts: What it was made from.
    init(_ table: ForwardingTable, _ image: SnapshotImage, _ parts: CompiledParts) {
        self.image = image
        hops = parts.hops
        let words = image[.prefixIndexes]
        sources = PrefixEditor(parts.sources, .sourcePrefixes, .source4, .source6, words)
        destinations = PrefixEditor(parts.destinations, .destinationPrefixes, .destination4, .destination6, words)
        claimed = PrefixEditor(parts.claimed, .claimedPrefixes, .claimed4, .claimed6, words)
        var scopes: [GroupTable.ScopeKey: UInt32] = [:]
        for (place, key) in parts.scopes.enumerated() { scopes[key] = UInt32(place + 1) }
        self.scopes = scopes
        places = Array(repeating: Layout.none, count: image.counterCount)
        origins = OriginEditor(table.sources, parts.origins)
        access = AccessEditor(parts.access)
        limits = Section.allCases.map { image.room.octets(of: $0, holding: image[$0].count * 8) / $0.stride }
        groups.reserveCapacity(table.entries.count)
        for (index, entry) in table.entries.enumerated() {
            places[entry.counter] = UInt32(index)
            let key = GroupKey(
                scope: scopes[GroupTable.ScopeKey(entry)] ?? 0, source: parts.sources.identifiers[index],
                destination: parts.destinations.identifiers[index])
            join(UInt32(entry.counter), key)
        }
        for claim in table.claimed { claims[claimKey(claim), default: 0] += 1 }
        for holder in table.holders { note(holder, 1) }
        for table in PatchedTable.allCases { used[table] = countUsed(table) }
    }

    // MARK: - Records

    func count(_ section: Section) -> Int { image[section].count * 8 / section.stride }

    func word(_ section: Section, _ record: Int, _ field: Int) -> UInt64 {
        image[section][record * (section.stride / 8) + field]
    }

    func put(_ section: Section, _ record: Int, _ field: Int, _ word: UInt64) {
        let place = record * (section.stride / 8) + field
        guard image[section][place] != word else { return }
        image[section][place] = word
        dirty[section.rawValue].insert(record)
    }

    /// Adds records behind the others.
    ///
    /// - Returns: The index of the first.
    @discardableResult
    func append(_ section: Section, _ words: some Collection<UInt64>) throws(Unfit) -> Int {
        let (first, added) = (count(section), words.count * 8 / section.stride)
        guard first + added <= limits[section.rawValue] else { throw Unfit("section \(section) is full") }
        image[section] += words
        for record in first..<first + added { dirty[section.rawValue].insert(record) }
        return first
    }

    /// The records that changed since the last call.
    func takeChanges() -> [(section: Section, records: [Int])] {
        let changes = Section.allCases.compactMap { section in
            dirty[section.rawValue].isEmpty ? nil : (section, dirty[section.rawValue].sorted())
        }
        dirty = Array(repeating: [], count: Section.allCases.count)
        return changes
    }

    // MARK: - Hash tables

    /// The slots of a hash table.
    struct Slots {
        var table: PatchedTable
        var section: Section
        var first: Int
        var count: Int
    }

    func slots(_ table: PatchedTable) -> Slots {
        switch table {
        case .claims: return Slots(table: table, section: .claims, first: 0, count: count(.claims))
        case .holders: return Slots(table: table, section: .holders, first: 0, count: count(.holders))
        case .groups: return Slots(table: table, section: .groupSlots, first: 0, count: count(.groupSlots))
        case .source4, .source6, .destination4, .destination6, .claimed4, .claimed6:
            let kind = table.index ?? .source4
            return Slots(
                table: table, section: kind.section, first: Int(word(.prefixIndexes, kind.rawValue, 0)),
                count: Int(word(.prefixIndexes, kind.rawValue, 1) * kind.bucket))
        }
    }

    private func isUnused(_ slots: Slots, _ record: Int) -> Bool {
        switch slots.section {
        case .holders: word(.holders, record, 0) == Layout.emptyMAC
        case .prefixSlots6: UInt32(truncatingIfNeeded: word(.prefixSlots6, record, 2)) == Layout.emptyLength
        default: word(slots.section, record, 0) == 0
        }
    }

    /// The slot, counted from the first, where the search for what is in a slot starts.
    private func home(_ slots: Slots, _ record: Int) -> Int {
        let first = word(slots.section, record, 0)
        switch slots.section {
        case .claims: return Int(truncatingIfNeeded: Layout.spread(first) & UInt64(slots.count - 1))
        case .holders:
            let prefix = UInt32(truncatingIfNeeded: word(.holders, record, 1))
            return Int(truncatingIfNeeded: Layout.holderHash(first, prefix) & UInt64(slots.count - 1))
        case .groupSlots:
            let hash = Layout.groupHash(
                scope: UInt32(truncatingIfNeeded: first), source: UInt32(truncatingIfNeeded: first >> 32),
                destination: UInt32(truncatingIfNeeded: word(.groupSlots, record, 1)))
            return Layout.place(hash, of: UInt64(slots.count))
        case .prefixSlots4:
            let buckets = UInt64(slots.count / Layout.bucket)
            return Layout.place(Layout.spread(first & Layout.keyMask4), of: buckets) * Layout.bucket
        default:
            let tail = word(.prefixSlots6, record, 2)
            let hash = Layout.spread(high: first, low: word(.prefixSlots6, record, 1), tag: tail & 0xFFFF_FFFF)
            return Layout.place(hash, of: UInt64(slots.count))
        }
    }

    /// Empties all slots of a hash table.
    func clear(_ table: PatchedTable) {
        let slots = slots(table)
        for record in slots.first..<slots.first + slots.count where !isUnused(slots, record) {
            for field in 0..<slots.section.stride / 8 {
                put(slots.section, record, field, Self.unusedWord(slots.section, field))
            }
        }
        used[table] = 0
    }

    private func countUsed(_ table: PatchedTable) -> Int {
        let slots = slots(table)
        return (slots.first..<slots.first + slots.count).count { !isUnused(slots, $0) }
    }

    /// The slot that `matches`, or the unused one where the search for it ends.
    ///
    /// - Parameter home: The slot where the search starts, counted from the first.
    func find(_ slots: Slots, from home: Int, _ matches: (Int) -> Bool) -> (record: Int, isFound: Bool) {
        var place = home
        while true {
            let record = slots.first + place
            if isUnused(slots, record) { return (record, false) }
            if matches(record) { return (record, true) }
            place = place + 1 == slots.count ? 0 : place + 1
        }
    }

    /// Fills an unused slot.
    func fill(_ slots: Slots, _ record: Int, _ words: [UInt64]) throws(Unfit) {
        let before = used[slots.table, default: 0]
        // Searches stay short.
        guard (before + 1) * 4 <= slots.count * 3 else { throw Unfit("hash table \(slots.table) is full") }
        used[slots.table] = before + 1
        for (field, word) in words.enumerated() { put(slots.section, record, field, word) }
    }

    /// Empties a slot. Later ones that a search would no longer find move up.
    func empty(_ slots: Slots, _ record: Int) {
        used[slots.table, default: 0] -= 1
        let fields = slots.section.stride / 8
        var hole = record - slots.first
        var next = hole
        while true {
            next = next + 1 == slots.count ? 0 : next + 1
            if isUnused(slots, slots.first + next) { break }
            let way = (next - home(slots, slots.first + next) + slots.count) % slots.count
            guard way >= (next - hole + slots.count) % slots.count else { continue }
            for field in 0..<fields {
                put(slots.section, slots.first + hole, field, word(slots.section, slots.first + next, field))
            }
            hole = next
        }
        for field in 0..<fields { put(slots.section, slots.first + hole, field, Self.unusedWord(slots.section, field)) }
    }

    private static func unusedWord(_ section: Section, _ field: Int) -> UInt64 {
        switch section {
        case .holders: field == 0 ? Layout.emptyMAC : 0
        case .prefixSlots6: UInt64(Layout.emptyLength)
        default: 0
        }
    }
}
