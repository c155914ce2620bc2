/// A snapshot in memory that belongs to its reader alone, which follows patches.
///
/// What a patch changes is checked as the whole is, by the same rules, and nothing else: the rules are such that a record
/// that does not change stays sound. So the checks take as long as there are changed records.
///
/// - No patch makes a section shorter, or changes the length of a prefix. So what refers to a record still does.
/// - A hop refers to hops behind it alone, and new hops come behind all others. So reading onward from a hop still ends.
/// - The unused slots of each hash table are counted. One is always left, where a search ends.
public struct WritableSnapshot: @unchecked Sendable {
    private let memory: UnsafeMutableRawBufferPointer
    private var layout: CheckedLayout
    private var unused: UnusedSlots
    /// The snapshot. Valid until the next patch, and as long as the memory is.
    public private(set) var snapshot: Snapshot

    /// Checks a snapshot in full, as `Snapshot.init(validating:resting:)` does.
    ///
    /// - Parameter memory: Nobody else can write to it. It stays as long as this value is used.
    /// - Throws: `SnapshotError`: the first rule that the bytes break.
    public init(
        validating memory: UnsafeMutableRawBufferPointer, resting: @escaping () -> Void = {}
    ) throws(SnapshotError) {
        let checked = try SnapshotValidation.checked(UnsafeRawBufferPointer(memory), resting: resting)
        self.memory = memory
        layout = checked.layout
        unused = checked.unused
        snapshot = Snapshot(UnsafeRawBufferPointer(memory), checked.layout)
    }

    /// The same snapshot in another memory.
    ///
    /// - Parameter memory: Has the same bytes as the other's, and no patch was applied to either.
    public init(_ other: WritableSnapshot, in memory: UnsafeMutableRawBufferPointer) {
        precondition(memory.count == other.memory.count)
        self.memory = memory
        layout = other.layout
        unused = other.unused
        snapshot = Snapshot(UnsafeRawBufferPointer(memory), other.layout)
    }

    /// Applies a patch. Nobody may read this snapshot meanwhile.
    ///
    /// - Parameter patch: The output of `CompiledTable.change`, at an address that is a multiple of 8; nobody can write to it.
    /// - Throws: `SnapshotError`: the first rule that the snapshot would break. It is as it was then.
    public mutating func apply(_ patch: UnsafeRawBufferPointer) throws(SnapshotError) {
        let patch = try CheckedPatch(patch)
        guard patch.basis == layout.generation else {
            throw .otherTable(found: patch.basis, expected: layout.generation)
        }
        guard patch.counterCount >= layout.counterCount, patch.ruleCounterCount >= layout.ruleCounterCount else {
            throw .notASnapshot
        }
        let rooms = layout.rooms
        // What is written to one section must be no other's.
        for section in Section.allCases where layout.count(section) > rooms[section.rawValue] {
            throw .section(section.rawValue)
        }
        for part in patch.sections { try check(part, of: patch, rooms) }
        var undo: [(offset: Int, word: UInt64)] = []
        let (former, formerUnused) = (layout, unused)
        layout.generation = patch.generation
        layout.counterCount = patch.counterCount
        layout.ruleCounterCount = patch.ruleCounterCount
        do throws(SnapshotError) {
            var renewed: [PrefixIndexKind] = []
            for part in patch.sections { try write(part, of: patch, &undo, &renewed) }
            try validate(patch, former, renewed)
        } catch {
            for change in undo.reversed() {
                memory.storeBytes(of: change.word, toByteOffset: change.offset, as: UInt64.self)
            }
            (layout, unused) = (former, formerUnused)
            throw error
        }
        snapshot = Snapshot(UnsafeRawBufferPointer(memory), layout)
    }

    /// Checks where a part of a patch writes, before it does.
    private func check(
        _ part: PatchedSection, of patch: CheckedPatch, _ rooms: [Int]
    ) throws(SnapshotError) {
        let (section, present) = (part.section, layout.count(part.section))
        guard section.changes, part.count >= present, part.count == present || section.grows,
            part.count <= rooms[section.rawValue]
        else { throw .section(section.rawValue) }
        for place in 0..<part.records {
            let index = patch.word(part.word(place))
            guard index < UInt64(part.count), !section.onlyGrows || index >= UInt64(present) else {
                throw .record(section: section.rawValue, index: Int(truncatingIfNeeded: index & 0xFFFF_FFFF))
            }
        }
    }

    private mutating func write(
        _ part: PatchedSection, of patch: CheckedPatch, _ undo: inout [(offset: Int, word: UInt64)],
        _ renewed: inout [PrefixIndexKind]
    ) throws(SnapshotError) {
        let (section, present) = (part.section, layout.count(part.section))
        let rules = SnapshotValidation(bytes: UnsafeRawBufferPointer(memory), resting: {}, layout: layout)
        let tables = rules.tables(in: section)
        for place in 0..<part.records {
            let index = Int(patch.word(part.word(place)))
            let offset = layout.offset(section) + index * section.stride
            if index < present {
                for table in tables where rules.isUnused(table, index) { unused.counts[table.rawValue] -= 1 }
                guard section.keeps(rules, index, patch, part.word(place) + 1) else {
                    throw .record(section: section.rawValue, index: index)
                }
                if let kind = section.renewed(rules, index, patch, part.word(place) + 1) { renewed.append(kind) }
            }
            for field in 0..<section.stride / 8 {
                let word = offset + field * 8
                undo.append((word, rules.word(word)))
                memory.storeBytes(of: patch.word(part.word(place) + 1 + field), toByteOffset: word, as: UInt64.self)
            }
            for table in tables where rules.isUnused(table, index) { unused.counts[table.rawValue] += 1 }
        }
        layout.counts[section.rawValue] = part.count
    }

    /// Checks what was written, and what the sections have got behind their former ends.
    ///
    /// - Parameter renewed: The prefix indexes with other lengths: they read other slots.
    private mutating func validate(
        _ patch: CheckedPatch, _ former: CheckedLayout, _ renewed: [PrefixIndexKind]
    ) throws(SnapshotError) {
        var rules = SnapshotValidation(bytes: UnsafeRawBufferPointer(memory), resting: {}, layout: layout)
        for kind in renewed {
            try rules.checkPrefixIndex(kind)
            unused.counts[kind.rawValue] = rules.unused.counts[kind.rawValue]
        }
        for part in patch.sections {
            let section = part.section
            for place in 0..<part.records {
                let index = Int(patch.word(part.word(place)))
                guard index >= former.count(section) || rules.isSound(section, index) else {
                    throw .record(section: section.rawValue, index: index)
                }
            }
            for index in former.count(section)..<part.count where !rules.isSound(section, index) {
                throw .record(section: section.rawValue, index: index)
            }
            for table in rules.tables(in: section) where unused.counts[table.rawValue] < 1 {
                throw .section(section.rawValue)
            }
        }
        try rules.checkTargets(from: former.count(.targets))
        try rules.checkGroups(
            from: former.count(.groups), interval: former.count(.intervals), fragment: former.count(.fragments))
    }
}

/// The hash tables that patches write to.
enum PatchedTable: Int, CaseIterable {
    case source4, source6, destination4, destination6, claimed4, claimed6
    case claims, holders, groups

    /// The longest-prefix index that it is.
    var index: PrefixIndexKind? { PrefixIndexKind(rawValue: rawValue) }
}

/// How many slots of each table are unused.
struct UnusedSlots {
    var counts = [Int](repeating: 0, count: PatchedTable.allCases.count)
}

extension Section {
    /// True if a patch may write to it.
    var changes: Bool {
        switch self {
        case .interfaces, .macs, .prefixIndexes, .prefixSlots4, .prefixSlots6, .claims, .holders, .groupSlots,
            .accessPoints:
            true
        default: grows
        }
    }

    /// True if a patch only writes behind the records that are there.
    var onlyGrows: Bool {
        switch self {
        case .targets, .rewrites, .groups, .intervals, .fragments, .masks: true
        default: false
        }
    }

    /// True if a new record has what the one before must keep, so that records which refer to it stay sound.
    ///
    /// - Parameter word: Where the new record begins in the patch.
    fileprivate func keeps(_ rules: SnapshotValidation, _ index: Int, _ patch: CheckedPatch, _ word: Int) -> Bool {
        switch self {
        case .sourcePrefixes, .destinationPrefixes, .claimedPrefixes:
            // The length.
            return (rules.word(self, index, 0) ^ patch.word(word)) >> 32 & 0xFF == 0
        case .macs:
            return rules.word(self, index, 0) == patch.word(word)
        case .prefixIndexes:
            // Where the slots are.
            return (0...1).allSatisfy { rules.word(self, index, $0) == patch.word(word + $0) }
        case .interfaces:
            // All but the scopes.
            let kept: [UInt64] = [.max, .max, 0xFFFF_FFFF, ~0xFFFF_FFFF]
            return kept.enumerated().allSatisfy { field, mask in
                (rules.word(self, index, field) ^ patch.word(word + field)) & mask == 0
            }
        default: return true
        }
    }

    /// The index that gets other lengths of prefixes; nil if none does. The parameters are as for `keeps`.
    fileprivate func renewed(
        _ rules: SnapshotValidation, _ index: Int, _ patch: CheckedPatch, _ word: Int
    ) -> PrefixIndexKind? {
        guard self == .prefixIndexes else { return nil }
        let isSame = (2..<stride / 8).allSatisfy { field in
            let differing = rules.word(self, index, field) ^ patch.word(word + field)
            // The prefix of length zero is in the upper half of the first.
            return (field == 2 ? differing & 0xFFFF_FFFF : differing) == 0
        }
        return isSame ? nil : PrefixIndexKind(rawValue: index)
    }
}
