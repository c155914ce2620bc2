import Wire

/// The entries of a table, ordered by scope (table, received interface, Ethernet source), source prefix and destination
/// prefix. The service ports of each group are flattened into disjoint intervals.
struct GroupTable {
    /// The parts of a scope.
    struct ScopeKey: Hashable {
        var kind: EntryKind
        var interface: Int
        /// nil for entries that match any Ethernet source.
        var mac: MACAddress?

        /// interface | has a MAC address | MAC address | kind, from the upper bits down.
        fileprivate var bits: UInt64 {
            let upper = UInt64(truncatingIfNeeded: interface) << 50 | (mac == nil ? 0 : 1 << 49)
            return upper | (mac?.bits ?? 0) << 1 | UInt64(kind == .distribution ? 1 : 0)
        }
    }

    /// The parts of each scope, from scope 1 on. The scopes of one interface and Ethernet source follow each other.
    private(set) var scopes: [ScopeKey] = []
    /// The records of the scopes. Scope 0 is empty.
    private(set) var scopeWords: [UInt64] = []
    /// The length masks that scopes refer to.
    private(set) var masks: [UInt64] = []
    /// The records of the prefixes of each side, with the groups that are stored there.
    private(set) var sourceWords: [UInt64]
    private(set) var destinationWords: [UInt64]
    /// The groups that are stored nowhere else.
    private(set) var slots = HashSlots(entries: 0, shape: .placed, empty: [0, 0, 0, 0])
    private(set) var groups: [UInt64] = []
    private(set) var intervals: [UInt64] = []
    private(set) var fragments: [UInt64] = []
    private(set) var problems: [TableProblem] = []

    /// The lengths of one scope's prefixes: a bit each, as a record of `masks` has them.
    private struct Lengths: Hashable {
        var four = SideLengths()
        var six = SideLengths()

        var words: [UInt64] { four.source.words + four.destination.words + six.source.words + six.destination.words }
    }

    private struct SideLengths: Hashable {
        var source = LengthSet()
        var destination = LengthSet()
    }

    private struct LengthSet: Hashable {
        var words: [UInt64] { [low, high, beyond] }
        private var low: UInt64 = 0
        private var high: UInt64 = 0
        private var beyond: UInt64 = 0

        mutating func insert(_ length: Int) {
            switch length {
            case ..<64: low |= 1 << UInt64(length)
            case ..<128: high |= 1 << UInt64(length - 64)
            default: beyond |= 1 << UInt64(length - 128)
            }
        }
    }

    /// A group, with its two words, before it has its place.
    private struct Group {
        var scope: UInt32
        var source: UInt32
        var destination: UInt32
        var head: UInt64
        var tail: UInt64
    }

    private var made: [Group] = []
    private var lengths: [Lengths] = [Lengths()]

    init(_ entries: [Entry], sources: PrefixSet, destinations: PrefixSet) {
        sourceWords = Self.records(of: sources)
        destinationWords = Self.records(of: destinations)
        let scopeOf = numberScopes(entries)
        for index in entries.indices { mark(scopeOf[index], entries[index].source, entries[index].destination) }
        var order = RadixOrder((0..<UInt32(entries.count)).map { $0 })
        order.sort { UInt64(low: destinations.identifiers[$0], high: sources.identifiers[$0]) }
        order.sort { UInt64(scopeOf[$0]) }
        var start = 0
        while start < order.indices.count {
            let first = Int(order.indices[start])
            var end = start + 1
            while end < order.indices.count {
                let next = Int(order.indices[end])
                guard scopeOf[next] == scopeOf[first], sources.identifiers[next] == sources.identifiers[first],
                    destinations.identifiers[next] == destinations.identifiers[first]
                else { break }
                end += 1
            }
            let (head, tail) =
                end == start + 1
                ? Self.sole(first, entries[first].direction, entries[first].servicePort)
                : addGroup(order.indices[start..<end].map { Int($0) }, entries)
            made.append(
                Group(
                    scope: scopeOf[first], source: sources.identifiers[first],
                    destination: destinations.identifiers[first], head: head, tail: tail))
            start = end
        }
    }

    /// The records of prefixes, before any group is stored there.
    private static func records(of set: PrefixSet) -> [UInt64] {
        var words: [UInt64] = []
        words.reserveCapacity(set.parents.count * 4)
        for word in set.words {
            words.append(word)
            for _ in 1..<4 { words.append(0) }
        }
        return words
    }

    /// Stores each group in its place. A group without prefixes goes into its scope's record. Other groups go into the
    /// record of their destination, or of their source, if it is free. All remaining groups go into the hash table.
    /// Call it once, for a table without problems.
    mutating func place(_ room: SnapshotRoom) {
        var rest: [Group] = []
        for group in made {
            if group.source | group.destination == 0 {
                put(group, at: Int(group.scope) * 4 + 2, in: &scopeWords)
            } else if group.destination != 0, destinationWords[Int(group.destination) * 4 + 1] == 0 {
                destinationWords[Int(group.destination) * 4 + 1] = UInt64(low: group.scope, high: group.source)
                put(group, at: Int(group.destination) * 4 + 2, in: &destinationWords)
            } else if group.source != 0, sourceWords[Int(group.source) * 4 + 1] == 0 {
                sourceWords[Int(group.source) * 4 + 1] = UInt64(low: group.scope, high: group.destination)
                put(group, at: Int(group.source) * 4 + 2, in: &sourceWords)
            } else {
                rest.append(group)
            }
        }
        slots = HashSlots(entries: room.with(rest.count), shape: .placed, empty: [0, 0, 0, 0])
        for group in rest {
            scopeWords[Int(group.scope) * 4] |= Layout.hasSlots
            sourceWords[Int(group.source) * 4] |= Layout.hasSlots
            destinationWords[Int(group.destination) * 4] |= Layout.hasSlots
            let hash = Layout.groupHash(scope: group.scope, source: group.source, destination: group.destination)
            // No two groups have the same key, so every group is new.
            let (word, _) = slots.slot(hash: hash) { _ in false }
            slots[word] = UInt64(low: group.scope, high: group.source)
            slots[word + 1] = UInt64(group.destination)
            slots[word + 2] = group.head
            slots[word + 3] = group.tail
        }
        var known: [Lengths: Int] = [:]
        for (scope, lengths) in lengths.enumerated() {
            let index = known[lengths] ?? known.count
            if index == known.count { masks += lengths.words }
            known[lengths] = index
            scopeWords[scope * 4] |= UInt64(index)
        }
        made = []
    }

    private func put(_ group: Group, at word: Int, in words: inout [UInt64]) {
        words[word] = group.head
        words[word + 1] = group.tail
    }

    /// The two words of a group of one entry.
    static func sole(
        _ index: Int, _ direction: ChainDirection, _ port: ServicePort
    ) -> (head: UInt64, tail: UInt64) {
        let interval = port.interval
        let flags = Layout.groupIsOne | (direction == .response ? Layout.groupIsResponse : 0)
        return (UInt64(interval.lowerBound) | UInt64(interval.upperBound) << 24 | flags, UInt64(index))
    }

    /// Makes the scopes.
    ///
    /// - Returns: The scope of each entry.
    private mutating func numberScopes(_ entries: [Entry]) -> [UInt32] {
        var scopeOf = [UInt32](repeating: 0, count: entries.count)
        var order = RadixOrder((0..<UInt32(entries.count)).map { $0 })
        let key = { (index: Int) in
            ScopeKey(
                kind: entries[index].kind, interface: entries[index].receivedInterface,
                mac: entries[index].sourceMAC)
        }
        order.sort { key($0).bits }
        for index in order.indices {
            let key = key(Int(index))
            if scopes.last != key {
                scopes.append(key)
                lengths.append(Lengths())
            }
            scopeOf[Int(index)] = UInt32(scopes.count)
        }
        scopeWords = Array(repeating: 0, count: (scopes.count + 1) * 4)
        return scopeOf
    }

    /// Notes the lengths of an entry's prefixes in its scope.
    private mutating func mark(_ scope: UInt32, _ source: IPPrefix?, _ destination: IPPrefix?) {
        let family = source?.family ?? destination?.family
        let (source, destination) = (source?.length ?? Int(Layout.anyBit), destination?.length ?? Int(Layout.anyBit))
        if family != .ipv6 {
            lengths[Int(scope)].four.source.insert(source)
            lengths[Int(scope)].four.destination.insert(destination)
        }
        if family != .ipv4 {
            lengths[Int(scope)].six.source.insert(source)
            lengths[Int(scope)].six.destination.insert(destination)
        }
    }

    /// Adds a group of several entries.
    private mutating func addGroup(_ members: [Int], _ entries: [Entry]) -> (head: UInt64, tail: UInt64) {
        let requests = flatten(members.filter { entries[$0].direction == .request }, entries)
        let responses = flatten(members.filter { entries[$0].direction == .response }, entries)
        findCrossTies(members, entries)
        let fragmentStart = fragments.count
        let other = addFragments(members, entries)
        groups.append(UInt64(low: requests.lowerBound / 2, high: requests.count / 2))
        groups.append(UInt64(low: responses.lowerBound / 2, high: responses.count / 2))
        groups.append(UInt64(low: fragmentStart, high: fragments.count - fragmentStart))
        groups.append(UInt64(other))
        return (Layout.groupIsMany, UInt64(groups.count / 4 - 1))
    }

    /// Appends the disjoint intervals of entries of one direction, with the narrowest entry of each. Returns the range
    /// of words.
    private mutating func flatten(_ members: [Int], _ entries: [Entry]) -> Range<Int> {
        let start = intervals.count
        let sorted = members.sorted { left, right in
            let (a, b) = (entries[left].servicePort.interval, entries[right].servicePort.interval)
            return (a.lowerBound, b.upperBound, left) < (b.lowerBound, a.upperBound, right)
        }
        // If two overlap, one contains the other, or they tie. So the entries that are open at a place are nested.
        var open: [Int] = []
        var cursor: UInt32 = 0
        for member in sorted {
            let interval = entries[member].servicePort.interval
            cursor = close(&open, before: interval.lowerBound, from: cursor, entries)
            if let top = open.last {
                let around = entries[top].servicePort.interval
                if interval == around || interval.upperBound > around.upperBound {
                    problems.append(.tie(entries.reference(top), entries.reference(member)))
                    continue
                }
                if cursor < interval.lowerBound { append(cursor...(interval.lowerBound - 1), top, entries) }
            }
            open.append(member)
            cursor = interval.lowerBound
        }
        _ = close(&open, before: .max, from: cursor, entries)
        return start..<intervals.count
    }

    /// Appends the rest of the open entries that end before `limit`. Returns where the next piece starts.
    private mutating func close(
        _ open: inout [Int], before limit: UInt32, from start: UInt32, _ entries: [Entry]
    ) -> UInt32 {
        var cursor = start
        while let top = open.last, entries[top].servicePort.interval.upperBound < limit {
            let last = entries[top].servicePort.interval.upperBound
            if cursor <= last { append(cursor...last, top, entries) }
            cursor = last + 1
            open.removeLast()
        }
        return cursor
    }

    private mutating func append(_ piece: ClosedRange<UInt32>, _ entry: Int, _ entries: [Entry]) {
        intervals.append(UInt64(low: piece.lowerBound, high: piece.upperBound))
        intervals.append(UInt64(low: UInt32(entry), high: entries[entry].servicePort.rank))
    }

    /// Finds ties between a request and a response of one group: equally narrow entries that both match a packet with a
    /// port of each.
    private mutating func findCrossTies(_ members: [Int], _ entries: [Entry]) {
        struct Width: Hashable {
            var protocolNumber: UInt8?
            var rank: UInt32
        }
        let width = { (entry: Entry) in
            Width(protocolNumber: entry.servicePort.protocolNumber, rank: entry.servicePort.rank)
        }
        var requests: [Width: Int] = [:]
        for member in members where entries[member].direction == .request {
            requests[width(entries[member])] = requests[width(entries[member])] ?? member
        }
        for member in members where entries[member].direction == .response {
            guard let request = requests[width(entries[member])] else { continue }
            problems.append(.tie(entries.reference(request), entries.reference(member)))
        }
    }

    /// Appends the entry of each protocol for packets without ports. Returns the entry for every other protocol, or
    /// none.
    private mutating func addFragments(_ members: [Int], _ entries: [Entry]) -> UInt32 {
        var other = Layout.none
        var chosen: [UInt8: Int] = [:]
        for member in members {
            guard let number = entries[member].servicePort.protocolNumber else {
                if other == Layout.none { other = UInt32(member) }
                continue
            }
            if let known = chosen[number], !entries[member].servicePort.precedes(entries[known].servicePort) {
                continue
            }
            chosen[number] = member
        }
        guard !chosen.isEmpty else { return other }
        var (differing, covered): (Set<UInt8>, Set<UInt8>) = ([], [])
        func compare(_ member: Int, _ number: UInt8, with known: Int) {
            let (one, two) = (entries[member], entries[known])
            if one.rewriteSource != two.rewriteSource || one.outerShift != two.outerShift || one.hops != two.hops {
                differing.insert(number)
            }
        }
        for member in members {
            guard let number = entries[member].servicePort.protocolNumber, let known = chosen[number] else { continue }
            if entries[member].servicePort.ports == 0...65535 { covered.insert(number) }
            if member != known { compare(member, number, with: known) }
        }
        for (number, member) in chosen.sorted(by: { $0.key < $1.key }) {
            // The entry for every protocol takes the ports that the entries of this protocol leave.
            if other != Layout.none, !covered.contains(number) {
                covered.insert(number)
                compare(Int(other), number, with: member)
            }
            let flags =
                (differing.contains(number) ? Layout.fragmentDiffers : 0)
                | (covered.contains(number) ? Layout.fragmentIsCovered : 0)
            fragments.append(UInt64(low: UInt32(number) << 8 | UInt32(flags), high: UInt32(member)))
        }
        return other
    }
}

extension ServicePort {
    /// The protocol and ports as one range of integers: protocol<<16 | port.
    var interval: ClosedRange<UInt32> {
        guard let protocolNumber else { return 0...0xFF_FFFF }
        let upper = UInt32(protocolNumber) << 16
        return (upper | UInt32(ports.lowerBound))...(upper | UInt32(ports.upperBound))
    }

    /// The width of the interval: 0 for one port. The smaller one wins.
    var rank: UInt32 { interval.upperBound - interval.lowerBound }

    /// True if packets without ports match this one rather than `other` of the same protocol.
    func precedes(_ other: ServicePort) -> Bool {
        let (any, otherAny) = (ports == 0...65535, other.ports == 0...65535)
        if any != otherAny { return any }
        return (ports.lowerBound, rank) < (other.ports.lowerBound, other.rank)
    }
}

extension [Entry] {
    /// How messages name the entry at `index`.
    func reference(_ index: Int) -> EntryReference {
        EntryReference(index: index, name: self[index].name)
    }
}
