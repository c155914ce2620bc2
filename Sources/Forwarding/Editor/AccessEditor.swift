import Wire

/// The access lists in an image that is edited (`AccessTable`).
struct AccessEditor {
    /// The lists of each point, by tenant.
    fileprivate var places: [[String: AccessTable.Place]]
    /// The segments of each point's own addresses.
    fileprivate var owned: [Range<Int>]
    /// Records that nothing uses, by section, in ascending order. No two ranges touch.
    private var free: [Section: [Range<Int>]] = [:]

    init(_ table: AccessTable) { (places, owned) = (table.places, table.owned) }

    /// The first of some records that nothing uses, which are used from now on; nil if there are none.
    fileprivate mutating func take(_ count: Int, of section: Section) -> Int? {
        guard count > 0, let index = free[section]?.firstIndex(where: { $0.count >= count }),
            let range = free[section]?[index]
        else { return nil }
        if range.count == count {
            free[section]?.remove(at: index)
        } else {
            free[section]?[index] = range.lowerBound + count..<range.upperBound
        }
        return range.lowerBound
    }

    fileprivate mutating func release(_ records: Range<Int>, of section: Section) {
        guard !records.isEmpty else { return }
        var ranges = free[section, default: []]
        let place = ranges.firstIndex { $0.lowerBound > records.lowerBound } ?? ranges.count
        ranges.insert(records, at: place)
        for second in [place + 1, place] where second > 0 && second < ranges.count {
            guard ranges[second - 1].upperBound == ranges[second].lowerBound else { continue }
            ranges[second - 1] = ranges[second - 1].lowerBound..<ranges[second].upperBound
            ranges.remove(at: second)
        }
        free[section] = ranges
    }
}

/// Changes of access lists.
///
/// A list that changes gets records anew, which may be those that it had: an engine reads none of them before it has all
/// (`WritableSnapshot`).
extension SnapshotEditor {
    func replace(_ old: [AccessPoint], by new: [AccessPoint], _ table: ForwardingTable) throws(Unfit) {
        guard old.count == new.count,
            zip(old, new).allSatisfy({ $0.application == $1.application && $0.nodes == $1.nodes })
        else { throw Unfit("the applications with access lists differ") }
        let changed = new.indices.filter { old[$0].lists != new[$0].lists }
        guard !changed.isEmpty else { return }
        guard TableChecks(table).accessProblems(table).isEmpty else { throw Unfit("an access list breaks a rule") }
        image.ruleCounterCount = max(image.ruleCounterCount, table.ruleCounterCount)
        for point in changed { try replace(old[point].lists, by: new[point].lists, at: point) }
    }

    private func replace(_ old: [AccessList], by new: [AccessList], at point: Int) throws(Unfit) {
        let before = Dictionary(old.map { ($0.tenant, $0) }) { first, _ in first }
        let after = Set(new.map(\.tenant))
        var ownsOthers = false
        for list in old where !after.contains(list.tenant) {
            guard let place = access.places[point].removeValue(forKey: list.tenant) else {
                throw Unfit("an access list that goes is not there")
            }
            for (section, records) in place.parts { access.release(records, of: section) }
            put(.accessLists, place.record, AccessListWords.unused)
            access.release(place.record..<place.record + 1, of: .accessLists)
            ownsOthers = true
        }
        for list in new where before[list.tenant] != list {
            if let place = access.places[point][list.tenant] {
                for (section, records) in place.parts { access.release(records, of: section) }
                ownsOthers = ownsOthers || place.own != list.own
                access.places[point][list.tenant] = try put(list, at: place.record)
            } else {
                access.places[point][list.tenant] = try put(list, at: nil)
                ownsOthers = true
            }
        }
        guard ownsOthers else { return }
        access.release(access.owned[point], of: .accessAddresses)
        let segments = AccessTable.owned(Array(access.places[point].values))
        let first = try place(segments.words, in: .accessAddresses)
        access.owned[point] = first..<first + segments.words.count / 3
        for (field, word) in AccessTable.point(segments, first).enumerated() { put(.accessPoints, point, field, word) }
    }

    /// Writes a list.
    ///
    /// - Parameter record: Its record; nil if it is new.
    private func put(_ list: AccessList, at record: Int?) throws(Unfit) -> AccessTable.Place {
        let made = AccessListWords(list)
        var parts: [Section: Range<Int>] = [:]
        for (section, words) in made.parts {
            // Their own places follow.
            let first = try place(words, in: section)
            parts[section] = first..<first + words.count * 8 / section.stride
        }
        var place = AccessTable.Place(record: record ?? 0, own: list.own, parts: parts)
        for (section, words) in made.placed(at: parts.mapValues(\.lowerBound)) {
            if section != .accessLists {
                put(section, parts[section]?.lowerBound ?? 0, words)
            } else if let record {
                put(section, record, words)
            } else {
                place.record = try self.place(words, in: section)
            }
        }
        return place
    }

    private func put(_ section: Section, _ first: Int, _ words: [UInt64]) {
        let fields = section.stride / 8
        for (index, word) in words.enumerated() { put(section, first + index / fields, index % fields, word) }
    }

    /// Puts records where nothing uses the place, or behind the others.
    ///
    /// - Returns: The first.
    private func place(_ words: [UInt64], in section: Section) throws(Unfit) -> Int {
        guard !words.isEmpty else { return 0 }
        guard let first = access.take(words.count * 8 / section.stride, of: section) else {
            return try append(section, words)
        }
        put(section, first, words)
        return first
    }
}
