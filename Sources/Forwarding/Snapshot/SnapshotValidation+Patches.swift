/// The rules of single records, for snapshots that follow patches.
extension SnapshotValidation {
    /// The slots of a longest-prefix index.
    func slots(of kind: PrefixIndexKind) -> Range<Int> {
        let start = Int(word(.prefixIndexes, kind.rawValue, 0))
        return start..<start + Int(word(.prefixIndexes, kind.rawValue, 1) * kind.bucket)
    }

    func isPrefixIndex(_ index: Int) -> Bool {
        guard let kind = PrefixIndexKind(rawValue: index) else { return false }
        return halves(.prefixIndexes, index, 2).high < layout.count(kind.prefixes)
    }

    func isPrefixSlot(_ kind: PrefixIndexKind, _ index: Int) -> Bool {
        let count = layout.count(kind.prefixes)
        if kind.isFour { return word(.prefixSlots4, index, 0) >> 38 < UInt64(count) }
        let (length, best) = halves(.prefixSlots6, index, 2)
        return length == Int(Layout.emptyLength) || best < count
    }

    /// The hash tables whose slots are in a section.
    func tables(in section: Section) -> [PatchedTable] {
        switch section {
        case .claims: [.claims]
        case .holders: [.holders]
        case .groupSlots: [.groups]
        // Without lengths, no slot of an index is read.
        case .prefixSlots4, .prefixSlots6:
            PrefixIndexKind.allCases.filter { $0.section == section && halves(.prefixIndexes, $0.rawValue, 2).low > 0 }
                .map { PatchedTable($0) }
        default: []
        }
    }

    /// True if a record is a slot of a hash table, and unused: a search ends there.
    func isUnused(_ table: PatchedTable, _ index: Int) -> Bool {
        switch table {
        case .claims: return word(.claims, index, 0) == 0
        case .holders: return word(.holders, index, 0) == Layout.emptyMAC
        case .groups: return word(.groupSlots, index, 0) == 0
        case .source4, .destination4, .claimed4, .source6, .destination6, .claimed6:
            guard let kind = table.index, slots(of: kind).contains(index) else { return false }
            return kind.isFour
                ? word(.prefixSlots4, index, 0) == 0
                : halves(.prefixSlots6, index, 2).low == Int(Layout.emptyLength)
        }
    }

    /// True if a record keeps the rules of its section, as far as they are about records by themselves.
    func isSound(_ section: Section, _ index: Int) -> Bool {
        switch section {
        case .entries: isEntry(index)
        case .macs: isMAC(index)
        case .origins: isOrigin(index)
        case .scopes: isScope(index)
        case .sourcePrefixes, .destinationPrefixes, .claimedPrefixes: isPrefix(section, index)
        case .prefixIndexes: isPrefixIndex(index)
        case .groupSlots: isGroup(.groupSlots, index)
        case .interfaces: isInterface(index)
        case .accessPoints, .accessLists, .accessRules, .accessAddresses, .accessPorts, .accessVectors:
            isAccess(section, index)
        case .prefixSlots4, .prefixSlots6:
            tables(in: section).allSatisfy { table in
                guard let kind = table.index else { return true }
                return !slots(of: kind).contains(index) || isPrefixSlot(kind, index)
            }
        // Anything may be in these, or the records are checked together.
        default: true
        }
    }
}

extension PatchedTable {
    init(_ kind: PrefixIndexKind) { self = PatchedTable(rawValue: kind.rawValue)! }
}

extension CheckedLayout {
    /// The most records of each section that end before the next section begins; less than there are if two sections
    /// overlap.
    var rooms: [Int] {
        let order = Section.allCases.sorted { (offset($0), $0.rawValue) < (offset($1), $1.rawValue) }
        var rooms = [Int](repeating: 0, count: order.count)
        var end = size
        for section in order.reversed() {
            rooms[section.rawValue] = (end - offset(section)) / section.stride
            end = offset(section)
        }
        return rooms
    }
}
