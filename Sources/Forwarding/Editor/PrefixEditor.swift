import Wire

/// The prefixes of one side in an image that is edited, with their longest-prefix indexes (`PrefixIndex`).
struct PrefixEditor {
    let section: Section
    /// The identifier of each prefix.
    private(set) var identifiers: [IPPrefix: UInt32] = [:]
    /// How often each is used, by identifier.
    fileprivate var uses: [Int]
    /// Identifiers that nothing uses, by the length that their records keep.
    fileprivate var free: [Int: [UInt32]] = [:]
    /// The markers, and how many prefixes need each.
    fileprivate var markers: [IPPrefix: Int] = [:]
    /// The indexes of both families, and their populated lengths.
    private var four: Side
    private var six: Side

    fileprivate struct Side {
        var kind: PrefixIndexKind
        var lengths: [UInt8]
        /// The lengths where a search for a prefix of a length turns to longer ones, by that length.
        var forks: [[Int]]
        /// True if a prefix of a length can be found.
        var knows: [Bool]

        init(_ kind: PrefixIndexKind, _ words: [UInt64]) {
            self.kind = kind
            let record = kind.rawValue * Section.prefixIndexes.stride / 8
            let count = Int(words[record + 2] & 0xFFFF_FFFF)
            lengths = (0..<count).map { place in
                UInt8(truncatingIfNeeded: words[record + Layout.lengthsOffset / 8 + place / 8] >> UInt64(place % 8 * 8))
            }
            (forks, knows) = (Array(repeating: [], count: 129), Array(repeating: false, count: 129))
            knows[0] = true
            for length in lengths {
                forks[Int(length)] = PrefixIndex.forks(to: Int(length), among: lengths)
                knows[Int(length)] = true
            }
        }
    }

    init(
        _ set: PrefixSet, _ section: Section, _ four: PrefixIndexKind, _ six: PrefixIndexKind, _ words: [UInt64]
    ) {
        self.section = section
        let (four, six) = (Side(four, words), Side(six, words))
        (self.four, self.six) = (four, six)
        uses = Array(repeating: 0, count: set.prefixes.count + 1)
        for identifier in set.identifiers { uses[Int(identifier)] += 1 }
        identifiers.reserveCapacity(set.prefixes.count)
        for (place, prefix) in set.prefixes.enumerated() {
            identifiers[prefix] = UInt32(place + 1)
            for length in (prefix.family == .ipv4 ? four : six).forks[prefix.length] {
                markers[IPPrefix(prefix.address, length: length), default: 0] += 1
            }
        }
    }

    fileprivate func side(_ family: AddressFamily) -> Side { family == .ipv4 ? four : six }

    /// Takes over an index with other lengths, which needs other markers.
    ///
    /// - Parameter words: The records of all indexes.
    fileprivate mutating func renew(_ family: AddressFamily, _ words: [UInt64]) {
        let fresh = Side(side(family).kind, words)
        if family == .ipv4 { four = fresh } else { six = fresh }
        markers = markers.filter { $0.key.family != family }
        for prefix in identifiers.keys where prefix.family == family {
            for length in fresh.forks[prefix.length] {
                markers[IPPrefix(prefix.address, length: length), default: 0] += 1
            }
        }
    }

    /// The identifier of the longest prefix around this one, besides itself; 0 if there is none.
    fileprivate func parent(of prefix: IPPrefix) -> UInt32 {
        for length in side(prefix.family).lengths.reversed() where length < prefix.length {
            if let found = identifiers[IPPrefix(prefix.address, length: Int(length))] { return found }
        }
        return prefix.length == 0 ? 0 : identifiers[.everything(prefix.family)] ?? 0
    }
}

extension SnapshotEditor {
    func useSource(_ prefix: IPPrefix?) throws(Unfit) -> UInt32 {
        guard let prefix else { return 0 }
        return try use(prefix, &sources)
    }

    func useDestination(_ prefix: IPPrefix?) throws(Unfit) -> UInt32 {
        guard let prefix else { return 0 }
        return try use(prefix, &destinations)
    }

    func useClaimed(_ prefix: IPPrefix) throws(Unfit) -> UInt32 { try use(prefix, &claimed) }

    func dropSource(_ prefix: IPPrefix?) { if let prefix { drop(prefix, &sources) } }

    func dropDestination(_ prefix: IPPrefix?) { if let prefix { drop(prefix, &destinations) } }

    func dropClaimed(_ prefix: IPPrefix) { drop(prefix, &claimed) }

    // MARK: - Using

    /// Uses a prefix once more. One that is new gets a record, and a slot in the index.
    private func use(_ prefix: IPPrefix, _ set: inout PrefixEditor) throws(Unfit) -> UInt32 {
        if let known = set.identifiers[prefix] {
            set.uses[Int(known)] += 1
            return known
        }
        if !set.side(prefix.family).knows[prefix.length] { try learn(prefix, &set) }
        let side = set.side(prefix.family)
        let parent = set.parent(of: prefix)
        let head = UInt64(low: parent, high: UInt32(prefix.length))
        let identifier: UInt32
        if let free = set.free[prefix.length]?.popLast() {
            identifier = free
            put(set.section, Int(free), 0, head)
        } else {
            let fields = set.section.stride / 8
            identifier = UInt32(try append(set.section, [head] + Array(repeating: 0, count: fields - 1)))
            set.uses.append(0)
        }
        set.uses[Int(identifier)] = 1
        if !prefix.isHost { adopt(prefix, identifier, insteadOf: nil, set) }
        set.add(prefix, identifier)
        if prefix.length == 0 {
            putFallback(side.kind, identifier)
            return identifier
        }
        try putSlot(side.kind, prefix, identifier)
        for length in side.forks[prefix.length] {
            let marker = IPPrefix(prefix.address, length: length)
            set.markers[marker, default: 0] += 1
            guard findSlot(side.kind, marker) == nil else { continue }
            var best = parent
            while best != 0, self.length(set.section, best) > length { best = self.parent(set.section, best) }
            try putSlot(side.kind, marker, best)
        }
        return identifier
    }

    /// The most slots of an index that is made anew in place: more take longer than they save.
    private static let mostRenewed = 1 << 18

    /// Makes an index know the length of a prefix. Searches turn elsewhere then, so all of its slots are made anew.
    private func learn(_ prefix: IPPrefix, _ set: inout PrefixEditor) throws(Unfit) {
        let side = set.side(prefix.family)
        let table = PatchedTable(side.kind)
        guard slots(table).count <= Self.mostRenewed else { throw Unfit("no prefix has \(prefix.length) bits") }
        guard slots(table).count > 0 else { throw Unfit("no prefix is of the family") }
        let record = side.kind.rawValue
        let lengths = (side.lengths + [UInt8(prefix.length)]).sorted()
        put(.prefixIndexes, record, 2, word(.prefixIndexes, record, 2) & ~0xFFFF_FFFF | UInt64(lengths.count))
        var fields = [UInt64](repeating: 0, count: (Section.prefixIndexes.stride - Layout.lengthsOffset) / 8)
        for (place, length) in lengths.enumerated() { fields[place / 8] |= UInt64(length) << UInt64(place % 8 * 8) }
        for (field, word) in fields.enumerated() {
            put(.prefixIndexes, record, Layout.lengthsOffset / 8 + field, word)
        }
        clear(table)
        set.renew(prefix.family, image[.prefixIndexes])
        for (known, identifier) in set.identifiers where known.family == prefix.family && known.length > 0 {
            try putSlot(side.kind, known, identifier)
        }
        for marker in set.markers.keys where marker.family == prefix.family && set.identifiers[marker] == nil {
            try putSlot(side.kind, marker, set.parent(of: marker))
        }
    }

    /// Uses a prefix once less. One that nothing uses leaves the index, and its record waits for another.
    private func drop(_ prefix: IPPrefix, _ set: inout PrefixEditor) {
        guard let identifier = set.identifiers[prefix] else { return }
        set.uses[Int(identifier)] -= 1
        guard set.uses[Int(identifier)] == 0 else { return }
        let side = set.side(prefix.family)
        let parent = self.parent(set.section, identifier)
        set.remove(prefix, identifier)
        if !prefix.isHost { adopt(prefix, parent, insteadOf: identifier, set) }
        if prefix.length == 0 { return putFallback(side.kind, 0) }
        if let slot = findSlot(side.kind, prefix) {
            // Searches for longer prefixes still turn here.
            if set.markers[prefix] != nil { putBest(side.kind, slot, parent) } else { emptySlot(side.kind, slot) }
        }
        for length in side.forks[prefix.length] {
            let marker = IPPrefix(prefix.address, length: length)
            let left = set.markers[marker, default: 1] - 1
            set.markers[marker] = left == 0 ? nil : left
            guard left == 0, set.identifiers[marker] == nil, let slot = findSlot(side.kind, marker) else { continue }
            emptySlot(side.kind, slot)
        }
    }

    /// Has the prefixes and markers in a prefix lead to `parent`, which is the longest prefix around them now.
    ///
    /// - Parameter former: The longest one around them before; nil for any shorter one.
    private func adopt(_ prefix: IPPrefix, _ parent: UInt32, insteadOf former: UInt32?, _ set: PrefixEditor) {
        func isFormer(_ found: UInt32) -> Bool {
            former.map { $0 == found } ?? (found == 0 || length(set.section, found) < prefix.length)
        }
        for (child, identifier) in set.identifiers where child.length > prefix.length && prefix.contains(child) {
            let head = word(set.section, Int(identifier), 0)
            guard isFormer(UInt32(truncatingIfNeeded: head)) else { continue }
            put(set.section, Int(identifier), 0, head & ~0xFFFF_FFFF | UInt64(parent))
        }
        let kind = set.side(prefix.family).kind
        for marker in set.markers.keys
        where marker.length > prefix.length && prefix.contains(marker) && set.identifiers[marker] == nil {
            guard let slot = findSlot(kind, marker), isFormer(best(kind, slot)) else { continue }
            putBest(kind, slot, parent)
        }
    }

    private func parent(_ section: Section, _ identifier: UInt32) -> UInt32 {
        UInt32(truncatingIfNeeded: word(section, Int(identifier), 0))
    }

    private func length(_ section: Section, _ identifier: UInt32) -> Int {
        Int(word(section, Int(identifier), 0) >> 32 & 0xFF)
    }

    // MARK: - Slots

    private func putFallback(_ kind: PrefixIndexKind, _ identifier: UInt32) {
        let tail = word(.prefixIndexes, kind.rawValue, 2)
        put(.prefixIndexes, kind.rawValue, 2, tail & 0xFFFF_FFFF | UInt64(identifier) << 32)
    }

    private func search(_ kind: PrefixIndexKind, _ prefix: IPPrefix) -> (slots: Slots, record: Int, isFound: Bool) {
        let slots = slots(PatchedTable(kind))
        let (address, length) = (prefix.address, UInt64(prefix.length))
        if kind.isFour {
            let key = address.low | length << 32
            let buckets = UInt64(slots.count / Layout.bucket)
            let home = Layout.place(Layout.spread(key), of: buckets) * Layout.bucket
            let found = find(slots, from: home) { word(.prefixSlots4, $0, 0) & Layout.keyMask4 == key }
            return (slots, found.record, found.isFound)
        }
        let hash = Layout.spread(high: address.high, low: address.low, tag: length)
        let found = find(slots, from: Layout.place(hash, of: UInt64(slots.count))) { record in
            word(.prefixSlots6, record, 2) & 0xFFFF_FFFF == length && word(.prefixSlots6, record, 0) == address.high
                && word(.prefixSlots6, record, 1) == address.low
        }
        return (slots, found.record, found.isFound)
    }

    private func findSlot(_ kind: PrefixIndexKind, _ prefix: IPPrefix) -> Int? {
        let found = search(kind, prefix)
        return found.isFound ? found.record : nil
    }

    private func best(_ kind: PrefixIndexKind, _ slot: Int) -> UInt32 {
        UInt32(
            truncatingIfNeeded: kind.isFour ? word(.prefixSlots4, slot, 0) >> 38 : word(.prefixSlots6, slot, 2) >> 32)
    }

    private func putBest(_ kind: PrefixIndexKind, _ slot: Int, _ best: UInt32) {
        if kind.isFour {
            put(.prefixSlots4, slot, 0, word(.prefixSlots4, slot, 0) & Layout.keyMask4 | UInt64(best) << 38)
        } else {
            put(.prefixSlots6, slot, 2, word(.prefixSlots6, slot, 2) & 0xFFFF_FFFF | UInt64(best) << 32)
        }
    }

    private func putSlot(_ kind: PrefixIndexKind, _ prefix: IPPrefix, _ best: UInt32) throws(Unfit) {
        let found = search(kind, prefix)
        if found.isFound { return putBest(kind, found.record, best) }
        let (address, length) = (prefix.address, UInt64(prefix.length))
        try fill(
            found.slots, found.record,
            kind.isFour
                ? [address.low | length << 32 | UInt64(best) << 38]
                : [address.high, address.low, length | UInt64(best) << 32])
    }

    private func emptySlot(_ kind: PrefixIndexKind, _ slot: Int) { empty(slots(PatchedTable(kind)), slot) }
}

extension PrefixEditor {
    fileprivate mutating func add(_ prefix: IPPrefix, _ identifier: UInt32) { identifiers[prefix] = identifier }

    fileprivate mutating func remove(_ prefix: IPPrefix, _ identifier: UInt32) {
        identifiers[prefix] = nil
        free[prefix.length, default: []].append(identifier)
    }
}
