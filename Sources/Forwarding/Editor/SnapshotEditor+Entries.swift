import Wire

/// Entries with one scope, source prefix and destination prefix, by their records.
struct GroupKey: Hashable, Sendable {
    var scope: UInt32
    var source: UInt32
    var destination: UInt32
}

extension GroupTable.ScopeKey {
    init(_ entry: Entry) {
        self.init(kind: entry.kind, interface: entry.receivedInterface, mac: entry.sourceMAC)
    }
}

/// Changes of entries.
extension SnapshotEditor {
    /// Takes entries out of the image, and puts others in.
    ///
    /// - Parameter table: The table afterwards.
    func replace(_ removed: [Entry], by added: [Entry], of table: ForwardingTable) throws(Unfit) {
        try check(removed, added, table)
        var touched: Set<GroupKey> = []
        var fresh: [UInt32: Entry] = [:]
        for entry in removed {
            let counter = UInt32(entry.counter)
            guard let key = key(of: entry), entry.counter < places.count, places[entry.counter] != Layout.none else {
                throw Unfit("an entry that goes is not there")
            }
            // A sender that nothing names any more is a stranger.
            guard entry.sourceMAC.map({ isKnown($0, on: entry.receivedInterface) }) ?? true else {
                throw Unfit("only entries name the sender of one that goes")
            }
            leave(counter, key)
            touched.insert(key)
            freeEntries.append(Int(places[entry.counter]))
            places[entry.counter] = Layout.none
        }
        for (entry, words) in zip(added, try words(of: added, table)) {
            let scope = try useScope(GroupTable.ScopeKey(entry))
            let key = GroupKey(
                scope: scope, source: try useSource(entry.source),
                destination: try useDestination(entry.destination))
            while places.count <= entry.counter { places.append(Layout.none) }
            guard places[entry.counter] == Layout.none else { throw Unfit("two entries have one counter") }
            places[entry.counter] = UInt32(try place(words))
            image.counterCount = max(image.counterCount, entry.counter + 1)
            fresh[UInt32(entry.counter)] = entry
            join(UInt32(entry.counter), key)
            touched.insert(key)
            try mark(entry, scope)
        }
        try rebuild(touched, fresh, table)
        for entry in removed {
            dropSource(entry.source)
            dropDestination(entry.destination)
        }
    }

    /// The rules of `TableChecks`, for what is new. A table that breaks one is compiled, which says what is wrong.
    private func check(_ removed: [Entry], _ added: [Entry], _ table: ForwardingTable) throws(Unfit) {
        guard !(removed + added).contains(where: \.isBetween) else { throw Unfit("entries between nodes differ") }
        let part = ForwardingTable(interfaces: table.interfaces, entries: added, groups: table.groups)
        guard TableChecks(part).problems.isEmpty else { throw Unfit("an entry breaks a rule") }
    }

    private func key(of entry: Entry) -> GroupKey? {
        var (source, destination): (UInt32, UInt32) = (0, 0)
        if let prefix = entry.source {
            guard let known = sources.identifiers[prefix] else { return nil }
            source = known
        }
        if let prefix = entry.destination {
            guard let known = destinations.identifiers[prefix] else { return nil }
            destination = known
        }
        return scopes[GroupTable.ScopeKey(entry)].map { GroupKey(scope: $0, source: source, destination: destination) }
    }

    func join(_ counter: UInt32, _ key: GroupKey) {
        guard let first = groups[key] else { return groups[key] = counter }
        // The order decides nothing; a fixed one makes equal images.
        groups[key] = min(first, counter)
        others[key, default: []].append(max(first, counter))
    }

    private func leave(_ counter: UInt32, _ key: GroupKey) {
        if groups[key] == counter {
            groups[key] = others[key]?.popLast()
        } else {
            others[key]?.removeAll { $0 == counter }
        }
        if others[key]?.isEmpty == true { others[key] = nil }
    }

    /// The number of a scope. One that is new gets a record, and its sender leads to it.
    private func useScope(_ key: GroupTable.ScopeKey) throws(Unfit) -> UInt32 {
        if let known = scopes[key] { return known }
        // The lengths come with the entry. Those of no entry are there, for scope 0.
        let scope = UInt32(try append(.scopes, [word(.scopes, 0, 0) & 0xFFFF_FFFF, 0, 0, 0]))
        if let mac = key.mac {
            try lead(mac, on: key.interface, to: scope, key.kind)
        } else {
            let field = key.kind == .sequencing ? 2 : 3
            let kept = word(.interfaces, key.interface, field)
            put(
                .interfaces, key.interface, field,
                key.kind == .sequencing
                    ? kept & 0xFFFF_FFFF | UInt64(scope) << 32 : kept & ~0xFFFF_FFFF | UInt64(scope))
        }
        scopes[key] = scope
        return scope
    }

    // MARK: - Records of entries

    private func words(of entries: [Entry], _ table: ForwardingTable) throws(Unfit) -> [[UInt64]] {
        var part = table
        part.entries = entries
        let (targets, rewrites) = (hops.targets.words.count, hops.rewrites.words.count)
        let words = hops.words(of: part.withoutMirroredCopies.entries)
        try append(.targets, hops.targets.words[targets...])
        try append(.rewrites, hops.rewrites.words[rewrites...])
        return entries.indices.map { Array(words[$0 * 2..<$0 * 2 + 2]) }
    }

    private func place(_ words: [UInt64]) throws(Unfit) -> Int {
        guard let record = freeEntries.popLast() else { return try append(.entries, words) }
        for (field, word) in words.enumerated() { put(.entries, record, field, word) }
        return record
    }

    /// Notes the lengths of an entry's prefixes in its scope. Lengths of entries that go stay: they cost a search a step.
    private func mark(_ entry: Entry, _ scope: UInt32) throws(Unfit) {
        let family = entry.source?.family ?? entry.destination?.family
        let lengths = [entry.source, entry.destination].map { $0?.length ?? Int(Layout.anyBit) }
        let record = Int(word(.scopes, Int(scope), 0) & 0xFFFF_FFFF)
        var mask = (0..<12).map { word(.masks, record, $0) }
        let before = mask
        for (side, length) in lengths.enumerated() {
            if family != .ipv6 { mask[side * 3 + length / 64] |= 1 << UInt64(length % 64) }
            if family != .ipv4 { mask[6 + side * 3 + length / 64] |= 1 << UInt64(length % 64) }
        }
        guard mask != before else { return }
        // Scopes share masks, so this one gets another.
        var place =
            (0..<count(.masks)).first { other in (0..<12).allSatisfy { word(.masks, other, $0) == mask[$0] } } ?? -1
        if place < 0 { place = try append(.masks, mask) }
        put(.scopes, Int(scope), 0, word(.scopes, Int(scope), 0) & ~0xFFFF_FFFF | UInt64(place))
    }

    // MARK: - Groups of entries

    private func rebuild(
        _ keys: Set<GroupKey>, _ fresh: [UInt32: Entry], _ table: ForwardingTable
    ) throws(Unfit) {
        var members: [UInt32: Entry] = [:]
        for key in keys {
            guard let first = groups[key] else { continue }
            for counter in [first] + others[key, default: []] { members[counter] = fresh[counter] }
        }
        let missing = keys.flatMap { key in groups[key].map { [$0] + others[key, default: []] } ?? [] }
            .filter { fresh[$0] == nil }
        if !missing.isEmpty {
            let wanted = Set(missing)
            for index in table.entries.indices where wanted.contains(UInt32(table.entries[index].counter)) {
                members[UInt32(table.entries[index].counter)] = table.entries[index]
            }
        }
        for key in keys.sorted(by: { ($0.scope, $0.source, $0.destination) < ($1.scope, $1.source, $1.destination) }) {
            guard let first = groups[key] else {
                take(key)
                continue
            }
            var entries: [Entry] = []
            for counter in [first] + others[key, default: []] {
                guard let entry = members[counter] else { throw Unfit("an entry of a group is not in the table") }
                entries.append(entry)
            }
            try put(key, entries.count == 1 ? sole(entries[0]) : several(entries))
        }
    }

    private func sole(_ entry: Entry) -> (head: UInt64, tail: UInt64) {
        GroupTable.sole(Int(places[entry.counter]), entry.direction, entry.servicePort)
    }

    /// Adds the records of a group of several entries.
    private func several(_ entries: [Entry]) throws(Unfit) -> (head: UInt64, tail: UInt64) {
        let group = GroupTable(
            entries, sources: PrefixSet(entries.map(\.source)), destinations: PrefixSet(entries.map(\.destination)))
        guard group.problems.isEmpty else { throw Unfit("entries tie") }
        func place(_ member: UInt64) -> UInt64 { UInt64(places[entries[Int(member)].counter]) }
        var (intervals, fragments, words) = (group.intervals, group.fragments, group.groups)
        for index in stride(from: 1, to: intervals.count, by: 2) {
            intervals[index] = intervals[index] & ~0xFFFF_FFFF | place(intervals[index] & 0xFFFF_FFFF)
        }
        for index in fragments.indices {
            fragments[index] = fragments[index] & 0xFFFF_FFFF | place(fragments[index] >> 32) << 32
        }
        let (interval, fragment) = (UInt64(count(.intervals)), UInt64(count(.fragments)))
        words[0] += interval
        words[1] += interval
        words[2] += fragment
        if words[3] & 0xFFFF_FFFF != UInt64(Layout.none) { words[3] = place(words[3] & 0xFFFF_FFFF) }
        try append(.intervals, intervals)
        try append(.fragments, fragments)
        return (Layout.groupIsMany, UInt64(try append(.groups, words)))
    }

    /// The place of a group: the record whose third and fourth word it is.
    private func place(of key: GroupKey) -> (section: Section, record: Int)? {
        if key.source | key.destination == 0 { return (.scopes, Int(key.scope)) }
        let (source, destination) = (Int(key.source), Int(key.destination))
        if word(.destinationPrefixes, destination, 1) == UInt64(low: key.scope, high: key.source) {
            return (.destinationPrefixes, destination)
        }
        if word(.sourcePrefixes, source, 1) == UInt64(low: key.scope, high: key.destination) {
            return (.sourcePrefixes, source)
        }
        let found = search(key)
        return found.isFound ? (.groupSlots, found.record) : nil
    }

    private func search(_ key: GroupKey) -> (record: Int, isFound: Bool) {
        let slots = slots(.groups)
        let hash = Layout.groupHash(scope: key.scope, source: key.source, destination: key.destination)
        return find(slots, from: Layout.place(hash, of: UInt64(slots.count))) { record in
            word(.groupSlots, record, 0) == UInt64(low: key.scope, high: key.source)
                && word(.groupSlots, record, 1) == UInt64(key.destination)
        }
    }

    /// Takes a group out of its place.
    private func take(_ key: GroupKey) {
        guard let (section, record) = place(of: key) else { return }
        if section == .groupSlots { return empty(slots(.groups), record) }
        for field in (section == .scopes ? 2 : 1)..<4 { put(section, record, field, 0) }
    }

    /// Puts a group into its place, or into the first that is free, as `GroupTable.place` does.
    private func put(_ key: GroupKey, _ group: (head: UInt64, tail: UInt64)) throws(Unfit) {
        let (source, destination) = (Int(key.source), Int(key.destination))
        let found: (section: Section, record: Int)
        if let known = place(of: key) {
            found = known
        } else if destination != 0, word(.destinationPrefixes, destination, 1) == 0 {
            found = (.destinationPrefixes, destination)
            put(.destinationPrefixes, destination, 1, UInt64(low: key.scope, high: key.source))
        } else if source != 0, word(.sourcePrefixes, source, 1) == 0 {
            found = (.sourcePrefixes, source)
            put(.sourcePrefixes, source, 1, UInt64(low: key.scope, high: key.destination))
        } else {
            for (section, record) in [
                (Section.scopes, Int(key.scope)), (.sourcePrefixes, source), (.destinationPrefixes, destination),
            ] {
                put(section, record, 0, word(section, record, 0) | Layout.hasSlots)
            }
            return try fill(
                slots(.groups), search(key).record,
                [UInt64(low: key.scope, high: key.source), UInt64(destination), group.head, group.tail])
        }
        put(found.section, found.record, 2, group.head)
        put(found.section, found.record, 3, group.tail)
    }
}
