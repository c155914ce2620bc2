import Wire

/// The entries of a table by scope (table, received interface, Ethernet source), source prefix and destination prefix,
/// and each group's service ports flattened into disjoint intervals.
struct GroupTable {
    /// What a scope stands for.
    struct ScopeKey: Hashable {
        var kind: EntryKind
        var interface: Int
        /// nil for entries that any Ethernet source matches.
        var mac: MACAddress?
    }

    private(set) var scopes: [ScopeKey: UInt32] = [:]
    /// The length masks: 12 words for each scope, and 12 of zero for the scope 0 that nothing is in.
    private(set) var scopeWords: [UInt64] = Array(repeating: 0, count: 12)
    private(set) var slots: HashSlots
    private(set) var groups: [UInt64] = []
    private(set) var intervals: [UInt64] = []
    private(set) var fragments: [UInt64] = []
    private(set) var problems: [TableProblem] = []

    private struct Row {
        var scope: UInt32
        var source: UInt32
        var destination: UInt32
        var entry: UInt32
    }

    init(_ entries: [Entry], sources: PrefixSet, destinations: PrefixSet) {
        slots = HashSlots(entries: 0, empty: [0, 0])
        var rows: [Row] = []
        rows.reserveCapacity(entries.count)
        var last: (key: ScopeKey, scope: UInt32)?
        for (index, entry) in entries.enumerated() {
            let key = ScopeKey(kind: entry.kind, interface: entry.receivedInterface, mac: entry.sourceMAC)
            let scope = last?.key == key ? last!.scope : self.scope(key)
            last = (key, scope)
            mark(scope, entry)
            rows.append(
                Row(
                    scope: scope, source: sources.identifiers[index], destination: destinations.identifiers[index],
                    entry: UInt32(index)))
        }
        rows.sort { left, right in
            if left.scope != right.scope { return left.scope < right.scope }
            if left.source != right.source { return left.source < right.source }
            if left.destination != right.destination { return left.destination < right.destination }
            return left.entry < right.entry
        }
        var starts: [Int] = []
        for index in rows.indices {
            if index == 0 || rows[index].scope != rows[index - 1].scope || rows[index].source != rows[index - 1].source
                || rows[index].destination != rows[index - 1].destination
            {
                starts.append(index)
            }
        }
        slots = HashSlots(entries: starts.count, empty: [0, 0])
        for (number, start) in starts.enumerated() {
            let end = number + 1 < starts.count ? starts[number + 1] : rows.count
            insert(rows[start], group: number)
            addGroup(rows[start..<end].map { Int($0.entry) }, entries)
        }
    }

    /// The scope of a key, made on first use.
    private mutating func scope(_ key: ScopeKey) -> UInt32 {
        if let known = scopes[key] { return known }
        let new = UInt32(scopes.count + 1)
        scopes[key] = new
        scopeWords += Array(repeating: 0, count: 12)
        return new
    }

    /// Notes the lengths of an entry's prefixes in its scope.
    private mutating func mark(_ scope: UInt32, _ entry: Entry) {
        let families: [AddressFamily] =
            if let family = entry.source?.family ?? entry.destination?.family { [family] } else { [.ipv4, .ipv6] }
        for family in families {
            for (side, prefix) in [entry.source, entry.destination].enumerated() {
                let bit = prefix?.length ?? Int(Layout.anyBit)
                scopeWords[Int(scope) * 12 + (family == .ipv6 ? 6 : 0) + side * 3 + bit / 64] |= 1 << UInt64(bit % 64)
            }
        }
    }

    private mutating func insert(_ row: Row, group: Int) {
        let hash = Layout.groupHash(scope: row.scope, source: row.source, destination: row.destination)
        // Every group is new: rows were sorted by the same key.
        let (word, _) = slots.slot(hash: hash) { _ in false }
        slots[word] = UInt64(low: row.scope, high: row.source)
        slots[word + 1] = UInt64(low: row.destination, high: UInt32(group))
    }

    private mutating func addGroup(_ members: [Int], _ entries: [Entry]) {
        let requests = flatten(members.filter { entries[$0].direction == .request }, entries)
        let responses = flatten(members.filter { entries[$0].direction == .response }, entries)
        findCrossTies(members, entries)
        let fragmentStart = fragments.count
        let other = addFragments(members, entries)
        groups.append(UInt64(low: requests.lowerBound / 2, high: requests.count / 2))
        groups.append(UInt64(low: responses.lowerBound / 2, high: responses.count / 2))
        groups.append(UInt64(low: fragmentStart, high: fragments.count - fragmentStart))
        groups.append(UInt64(other))
    }

    /// Appends the disjoint intervals of entries of one direction, the narrowest entry of each; the range of words.
    private mutating func flatten(_ members: [Int], _ entries: [Entry]) -> Range<Int> {
        let start = intervals.count
        let sorted =
            members.count < 2
            ? members
            : members.sorted { left, right in
                let (a, b) = (entries[left].servicePort.interval, entries[right].servicePort.interval)
                return (a.lowerBound, b.upperBound, left) < (b.lowerBound, a.upperBound, right)
            }
        // Of two that overlap one contains the other, or they tie; so those open at a place are nested.
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

    /// Appends what is left of the open entries that end before `limit`; where the next piece starts.
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

    /// A request and a response of one group that are equally narrow both match a packet that has a port of each.
    private mutating func findCrossTies(_ members: [Int], _ entries: [Entry]) {
        guard members.count > 1 else { return }
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

    /// Appends the entry of each protocol for packets without ports; the entry of every other protocol, or none.
    private mutating func addFragments(_ members: [Int], _ entries: [Entry]) -> UInt32 {
        var other = Layout.none
        if members.count == 1 {
            guard let number = entries[members[0]].servicePort.protocolNumber else { return UInt32(members[0]) }
            fragments.append(UInt64(low: UInt32(number), high: UInt32(members[0])))
            return other
        }
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
        for (number, member) in chosen.sorted(by: { $0.key < $1.key }) {
            fragments.append(UInt64(low: UInt32(number), high: UInt32(member)))
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

    /// How wide it is: 0 for one port; the lesser of two wins.
    var rank: UInt32 { interval.upperBound - interval.lowerBound }

    /// True where packets without ports go by this one rather than by `other` of the same protocol.
    func precedes(_ other: ServicePort) -> Bool {
        let (any, otherAny) = (ports == 0...65535, other.ports == 0...65535)
        if any != otherAny { return any }
        return (ports.lowerBound, rank) < (other.ports.lowerBound, other.rank)
    }
}

extension [Entry] {
    /// How a problem speaks of the entry at `index`.
    func reference(_ index: Int) -> EntryReference {
        EntryReference(index: index, name: self[index].name)
    }
}
