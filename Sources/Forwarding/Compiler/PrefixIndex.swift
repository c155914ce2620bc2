import Wire

/// A longest-prefix index for the prefixes of one family: a hash table of prefixes and markers, searched by length.
struct PrefixIndex {
    /// The populated lengths above zero, ascending.
    private(set) var lengths: [UInt8] = []
    /// The identifier of the prefix of length zero; 0 if there is none.
    private(set) var fallback: UInt32 = 0
    /// The slots of the family's section.
    private(set) var words: [UInt64] = []
    /// Where searches start: the number of buckets of IPv4 slots, or of IPv6 slots.
    private(set) var places = 0

    private let set: PrefixSet
    private let identifiers: Range<Int>
    private let isFour: Bool

    init(_ set: PrefixSet, family: AddressFamily, _ room: SnapshotRoom) {
        self.set = set
        isFour = family == .ipv4
        let firstSix = set.prefixes.partitionPoint { $0.family == .ipv6 }
        identifiers = isFour ? 1..<firstSix + 1 : firstSix + 1..<set.prefixes.count + 1
        var populated = [Bool](repeating: false, count: 129)
        for identifier in identifiers { populated[set[UInt32(identifier)].length] = true }
        if populated[0] { fallback = UInt32(identifiers.lowerBound) }
        lengths = (1...128).filter { populated[$0] }.map { UInt8($0) }
        // A change may bring the first prefix of a family.
        guard !lengths.isEmpty || room.isAny else { return }
        // Markers are counted first, so that the table gets the right size.
        let reader = self
        var keys = identifiers.count
        reader.forEachMarker { _, _, _ in keys += 1 }
        allocate(room.with(keys))
        for identifier in identifiers {
            let prefix = set[UInt32(identifier)]
            if prefix.length > 0 { insert(prefix.address, length: prefix.length, best: UInt32(identifier)) }
        }
        reader.forEachMarker { address, length, best in insert(address, length: length, best: best) }
    }

    /// Calls `body` with every marker, its length and its best match. A marker is needed at every length at which the
    /// binary search for a prefix has to turn to longer ones, unless a prefix is there already.
    ///
    /// The best match is the longest prefix around the marker. It is one of the prefixes around the prefix.
    private func forEachMarker(_ body: (IPAddress, Int, UInt32) -> Void) {
        var forks = [[Int]](repeating: [], count: 129)
        for length in lengths { forks[Int(length)] = self.forks(to: Int(length)) }
        // Identifiers are in the order of addresses, so prefixes with a common marker follow each other.
        var latest = [IPAddress?](repeating: nil, count: 129)
        for identifier in identifiers {
            let prefix = set[UInt32(identifier)]
            for length in forks[prefix.length] {
                let marker = prefix.address.masked(to: length)
                guard latest[length] != marker else { continue }
                latest[length] = marker
                var best = set.parents[identifier]
                while best != 0, set[best].length > length { best = set.parents[Int(best)] }
                if best == 0 || set[best].length < length { body(marker, length, best) }
            }
        }
    }

    private func forks(to sought: Int) -> [Int] { Self.forks(to: sought, among: lengths) }

    /// The lengths at which a search for a prefix of a populated length turns to longer ones.
    static func forks(to sought: Int, among lengths: [UInt8]) -> [Int] {
        var forks: [Int] = []
        var (low, high) = (0, lengths.count)
        while low < high {
            let middle = (low + high) / 2
            let length = Int(lengths[middle])
            if length == sought { break }
            if length < sought {
                forks.append(length)
                low = middle + 1
            } else {
                high = middle
            }
        }
        return forks
    }

    private mutating func allocate(_ keys: Int) {
        if isFour {
            places = (keys * 5 / 3 + 1 + Layout.bucket - 1) / Layout.bucket
            words = Array(repeating: 0, count: places * Layout.bucket)
        } else {
            // This table is fuller than others, because its slots are the largest and a million entries must take less
            // than 100 octets each.
            places = keys * 10 / 7 + 1
            words = Array(repeating: UInt64(Layout.emptyLength), count: places * 3)
        }
    }

    private mutating func insert(_ address: IPAddress, length: Int, best: UInt32) {
        if isFour { insert4(address, length: length, best: best) } else { insert6(address, length: length, best: best) }
    }

    private mutating func insert4(_ address: IPAddress, length: Int, best: UInt32) {
        let key = address.low | UInt64(length) << 32
        var word = Layout.place(Layout.spread(key), of: UInt64(places)) * Layout.bucket
        while words[word] != 0 {
            if words[word] & Layout.keyMask4 == key { return }
            word = word + 1 == words.count ? 0 : word + 1
        }
        words[word] = key | UInt64(best) << 38
    }

    private mutating func insert6(_ address: IPAddress, length: Int, best: UInt32) {
        let hash = Layout.spread(high: address.high, low: address.low, tag: UInt64(length))
        var word = Layout.place(hash, of: UInt64(places)) * 3
        while true {
            let found = UInt32(truncatingIfNeeded: words[word + 2])
            if found == Layout.emptyLength { break }
            if found == UInt32(length), words[word] == address.high, words[word + 1] == address.low { return }
            word = word + 3 == words.count ? 0 : word + 3
        }
        words[word] = address.high
        words[word + 1] = address.low
        words[word + 2] = UInt64(low: UInt32(length), high: best)
    }
}

extension Array {
    /// The index of the first element for which `isSecond` is true. It must be true for all elements behind that one.
    fileprivate func partitionPoint(_ isSecond: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isSecond(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
