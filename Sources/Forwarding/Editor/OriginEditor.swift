import Wire

/// The lists of prefixes that nodes may send from, in an image that is edited (`OriginLists`).
struct OriginEditor {
    struct List {
        var records: Range<Int>
        var isDisjoint: Bool
        /// How many of the table's sources have it.
        var users: Int
    }

    fileprivate var lists: [List] = []
    /// The list of each source, by its place in the table; nil if it may send from anywhere.
    fileprivate var listOf: [Int?]

    init(_ sources: [KnownSource], _ made: OriginLists) {
        var places: [[IPPrefix]: Int] = [:]
        listOf = []
        for source in sources {
            guard let origins = source.origins, let list = made.lists[origins] else {
                listOf.append(nil)
                continue
            }
            let place = places[origins] ?? lists.count
            if place == lists.count {
                places[origins] = place
                lists.append(List(records: list.records, isDisjoint: list.isDisjoint, users: 0))
            }
            lists[place].users += 1
            listOf.append(place)
        }
    }
}

extension SnapshotEditor {
    /// Changes what nodes may send from. Nothing else of the sources may differ.
    func replace(_ old: [KnownSource], by new: [KnownSource]) throws(Unfit) {
        guard old.count == new.count, old.count == origins.listOf.count else { throw Unfit("the nodes differ") }
        /// What becomes of each list, and how many sources want that.
        var wanted: [Int: (origins: [IPPrefix], users: Int)] = [:]
        for index in new.indices where old[index] != new[index] {
            var same = old[index]
            same.origins = new[index].origins
            guard same == new[index], let list = origins.listOf[index], let after = new[index].origins else {
                throw Unfit("node \(new[index].node) differs")
            }
            if let other = wanted[list] {
                guard other.origins == after else { throw Unfit("nodes with one list get two") }
                wanted[list] = (after, other.users + 1)
            } else {
                wanted[list] = (after, 1)
                try change(list, from: old[index].origins ?? [], to: after)
            }
        }
        for (list, wish) in wanted where wish.users != origins.lists[list].users {
            throw Unfit("nodes with one list get two")
        }
        for index in new.indices where wanted[origins.listOf[index] ?? -1] != nil { putPlace(of: new[index], index) }
    }

    /// Has the record of a source's MAC address lead to its list.
    private func putPlace(of source: KnownSource, _ index: Int) {
        guard let list = origins.listOf[index], let record = station(source.mac, on: source.interface) else { return }
        put(.macs, record, 2, word(.macs, record, 2) & 0xFFFF | OriginLists.flags(origins.lists[list].records))
    }

    /// The record of a MAC address on an interface.
    private func station(_ mac: MACAddress, on interface: Int) -> Int? {
        let key = Layout.macKey(interface: interface, bits: mac.bits)
        let slots = UInt64(count(.macs))
        var record = Layout.place(Layout.spread(key), of: slots)
        while word(.macs, record, 0) != key {
            if word(.macs, record, 0) == Layout.emptyMAC { return nil }
            record = record + 1 == Int(slots) ? 0 : record + 1
        }
        return record
    }

    /// True if the table names a node, or the engine, by a MAC address.
    func isKnown(_ mac: MACAddress, on interface: Int) -> Bool {
        station(mac, on: interface).map { word(.macs, $0, 2) & (Layout.flagKnown | Layout.flagOwn) != 0 } ?? false
    }

    /// Has a sender lead to a scope that is new.
    func lead(_ mac: MACAddress, on interface: Int, to scope: UInt32, _ kind: EntryKind) throws(Unfit) {
        guard isKnown(mac, on: interface), let record = station(mac, on: interface) else {
            throw Unfit("only entries name the sender of a new one")
        }
        put(.macs, record, 1, word(.macs, record, 1) | UInt64(scope) << (kind == .sequencing ? 0 : 32))
    }

    private func change(_ list: Int, from old: [IPPrefix], to new: [IPPrefix]) throws(Unfit) {
        let (removed, added) = differences(from: old, to: new)
        let isSimple =
            origins.lists[list].isDisjoint && removed.count + added.count <= 64
            && removed.allSatisfy { remove($0, from: origins.lists[list].records) }
            && added.allSatisfy { insert($0, into: origins.lists[list].records) }
        guard !isSimple else { return }
        let disjoint = TableCompiler.disjoint(new)
        origins.lists[list].isDisjoint = disjoint.count == new.count
        let words = OriginLists.records(disjoint, image.room)
        let records = origins.lists[list].records
        if words.count / 3 > records.count || records.isEmpty {
            let first = try append(.origins, words)
            guard first < 1 << 24 else { throw Unfit("section origins is full") }
            origins.lists[list].records = first..<first + words.count / 3
            return
        }
        // What is left over repeats the last one.
        guard !words.isEmpty else { return origins.lists[list].records = records.lowerBound..<records.lowerBound }
        for (place, record) in records.enumerated() {
            let source = min(place, words.count / 3 - 1)
            for field in 0..<3 { put(.origins, record, field, words[source * 3 + field]) }
        }
    }

    private func prefix(_ record: Int) -> IPPrefix {
        let tail = word(.origins, record, 2)
        let address = IPAddress(
            family: tail & 0xFF == 4 ? .ipv4 : .ipv6, high: word(.origins, record, 0), low: word(.origins, record, 1))
        return IPPrefix(address, length: Int(tail >> 8 & 0xFF))
    }

    private func putPrefix(_ prefix: IPPrefix, _ record: Int) {
        for (field, word) in OriginLists.record(prefix).enumerated() { put(.origins, record, field, word) }
    }

    /// The first record of a list that comes behind a prefix.
    private func place(_ wanted: IPPrefix, in records: Range<Int>) -> Int {
        var (low, high) = (records.lowerBound, records.upperBound)
        while low < high {
            let middle = (low + high) / 2
            let found = prefix(middle)
            if (found.family.rawValue, found.address, found.length)
                <= (wanted.family.rawValue, wanted.address, wanted.length)
            {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// Puts a prefix into the place of the nearest repetition.
    ///
    /// - Returns: False if it overlaps with another, or no record is there twice.
    private func insert(_ wanted: IPPrefix, into records: Range<Int>) -> Bool {
        let place = place(wanted, in: records)
        if place > records.lowerBound, prefix(place - 1).overlaps(wanted) { return false }
        if place < records.upperBound, prefix(place).overlaps(wanted) { return false }
        func isTwice(_ record: Int) -> Bool {
            record >= records.lowerBound && record + 1 < records.upperBound
                && (0..<3).allSatisfy { word(.origins, record, $0) == word(.origins, record + 1, $0) }
        }
        func move(_ from: Int, _ to: Int) {
            for field in 0..<3 { put(.origins, to, field, word(.origins, from, field)) }
        }
        for distance in 0..<records.count {
            if isTwice(place + distance) {
                for record in stride(from: place + distance, through: place, by: -1) { move(record, record + 1) }
                putPrefix(wanted, place)
                return true
            }
            let before = place - 2 - distance
            if isTwice(before) {
                for record in stride(from: before + 1, to: place - 1, by: 1) { move(record + 1, record) }
                putPrefix(wanted, place - 1)
                return true
            }
        }
        return false
    }

    /// Puts what is before a prefix, or behind it, into its place.
    ///
    /// - Returns: False if it is not there, or nothing else is.
    private func remove(_ wanted: IPPrefix, from records: Range<Int>) -> Bool {
        let end = place(wanted, in: records)
        var start = end
        while start > records.lowerBound, prefix(start - 1) == wanted { start -= 1 }
        guard start < end else { return false }
        let other = start > records.lowerBound ? start - 1 : end
        guard records.contains(other) else { return false }
        let left = prefix(other)
        for record in start..<end { putPrefix(left, record) }
        return true
    }
}

/// What differs between two lists, if what goes and what comes is little: what is new comes last.
///
/// - Returns: The elements of the first without those that go, and those that come behind them, are the second.
func differences<Element: Equatable>(from old: [Element], to new: [Element]) -> (removed: [Element], added: [Element]) {
    var removed: [Element] = []
    var next = 0
    for element in old {
        if next < new.count, new[next] == element { next += 1 } else { removed.append(element) }
    }
    return (removed, Array(new[next...]))
}
