import Wire

/// Prefixes of both families, numbered from 1 so that a prefix comes after every one that encloses it. 0 is any.
struct PrefixSet {
    /// The prefix with identifier `index + 1`.
    private(set) var prefixes: [IPPrefix] = []
    /// For each identifier the identifier of the next shorter prefix around it; 0 for none.
    private(set) var parents: [UInt32] = [0]
    /// For each of the given places the identifier of its prefix; 0 where it has none.
    private(set) var identifiers: [UInt32]

    /// - Parameter given: The prefix at each place, in any order, with repetitions.
    init(_ given: [IPPrefix?]) {
        identifiers = Array(repeating: 0, count: given.count)
        var places: [(prefix: IPPrefix, place: Int)] = []
        for (place, prefix) in given.enumerated() {
            if let prefix { places.append((prefix, place)) }
        }
        places.sort { left, right in
            let (a, b) = (left.prefix, right.prefix)
            if a.address.family != b.address.family { return a.address.family == .ipv4 }
            if a.address.high != b.address.high { return a.address.high < b.address.high }
            if a.address.low != b.address.low { return a.address.low < b.address.low }
            return a.length < b.length
        }
        // In this order the prefixes around one are those still open when it comes.
        var open: [UInt32] = []
        for (prefix, place) in places {
            if prefixes.last != prefix {
                while let last = open.last, !self[last].contains(prefix) { open.removeLast() }
                prefixes.append(prefix)
                parents.append(open.last ?? 0)
                open.append(UInt32(prefixes.count))
            }
            identifiers[place] = UInt32(prefixes.count)
        }
    }

    subscript(identifier: UInt32) -> IPPrefix { prefixes[Int(identifier) - 1] }

    /// The records of a section of prefixes.
    var words: [UInt64] {
        var words = [UInt64(low: 0, high: Layout.anyBit)]
        words.reserveCapacity(parents.count)
        for identifier in 1..<max(parents.count, 1) {
            words.append(UInt64(low: parents[identifier], high: UInt32(prefixes[identifier - 1].length)))
        }
        return words
    }
}

/// A longest-prefix index for the prefixes of one family: a hash table of prefixes and markers, searched by length.
struct PrefixIndex {
    /// The populated lengths above zero, ascending.
    private(set) var lengths: [UInt8] = []
    /// The identifier of the prefix of length zero; 0 where there is none.
    private(set) var fallback: UInt32 = 0
    /// high; low; length | best<<32 for each slot.
    private(set) var slots: [UInt64] = []
    private var capacity = 0
    private var used = 0

    var mask: UInt64 { UInt64(capacity - 1) }

    init(_ set: PrefixSet, family: AddressFamily) {
        var populated = [Bool](repeating: false, count: 129)
        var count = 0
        for prefix in set.prefixes where prefix.family == family {
            populated[prefix.length] = true
            count += 1
        }
        lengths = (1...128).filter { populated[$0] }.map { UInt8($0) }
        allocate(count * 2)
        for (index, prefix) in set.prefixes.enumerated() where prefix.family == family {
            if prefix.length == 0 {
                fallback = UInt32(index + 1)
            } else {
                insert(prefix.address, length: prefix.length, best: UInt32(index + 1))
            }
        }
        for (index, prefix) in set.prefixes.enumerated() where prefix.family == family && prefix.length > 0 {
            insertMarkers(of: prefix, identifier: UInt32(index + 1), in: set)
        }
    }

    /// A marker at every length at which the binary search for `prefix` has to turn to longer ones. The best match so
    /// far at a marker is among the prefixes around `prefix`, since those around the marker are around it too.
    private mutating func insertMarkers(of prefix: IPPrefix, identifier: UInt32, in set: PrefixSet) {
        var (low, high) = (0, lengths.count)
        while low < high {
            let middle = (low + high) / 2
            let length = Int(lengths[middle])
            if length == prefix.length { return }
            guard length < prefix.length else {
                high = middle
                continue
            }
            let marker = prefix.address.masked(to: length)
            if !contains(marker, length: length) {
                var best = set.parents[Int(identifier)]
                while best != 0, set[best].length > length { best = set.parents[Int(best)] }
                insert(marker, length: length, best: best)
            }
            low = middle + 1
        }
    }

    private mutating func allocate(_ wanted: Int) {
        capacity = 2
        while capacity < wanted { capacity *= 2 }
        slots = Array(repeating: 0, count: capacity * 3)
        for slot in 0..<capacity { slots[slot * 3 + 2] = UInt64(Layout.emptyLength) }
        used = 0
    }

    private func slot(_ address: IPAddress, length: Int) -> (word: Int, isNew: Bool) {
        var index = Layout.hash(high: address.high, low: address.low, tag: UInt64(length)) & mask
        while true {
            let word = Int(index) * 3
            let found = UInt32(truncatingIfNeeded: slots[word + 2])
            if found == Layout.emptyLength { return (word, true) }
            if found == UInt32(length), slots[word] == address.high, slots[word + 1] == address.low {
                return (word, false)
            }
            index = (index + 1) & mask
        }
    }

    private func contains(_ address: IPAddress, length: Int) -> Bool {
        !slot(address, length: length).isNew
    }

    private mutating func insert(_ address: IPAddress, length: Int, best: UInt32) {
        if (used + 1) * 2 > capacity { grow() }
        let (word, isNew) = slot(address, length: length)
        guard isNew else { return }
        slots[word] = address.high
        slots[word + 1] = address.low
        slots[word + 2] = UInt64(low: UInt32(length), high: best)
        used += 1
    }

    private mutating func grow() {
        let old = slots
        let kept = used
        allocate(capacity * 2)
        for start in stride(from: 0, to: old.count, by: 3) {
            let length = UInt32(truncatingIfNeeded: old[start + 2])
            guard length != Layout.emptyLength else { continue }
            var index = Layout.hash(high: old[start], low: old[start + 1], tag: UInt64(length)) & mask
            while UInt32(truncatingIfNeeded: slots[Int(index) * 3 + 2]) != Layout.emptyLength {
                index = (index + 1) & mask
            }
            for field in 0..<3 { slots[Int(index) * 3 + field] = old[start + field] }
        }
        used = kept
    }
}
