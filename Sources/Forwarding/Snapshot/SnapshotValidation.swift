/// Why bytes are not a snapshot that this engine can use.
public enum SnapshotError: Error, Sendable, Hashable {
    /// There are fewer bytes than the header says, or than a header has.
    case tooShort
    /// The first byte is not at a multiple of 8.
    case misaligned
    /// The bytes do not start as a snapshot does.
    case notASnapshot
    /// Another version of the layout than `supported`.
    case version(found: UInt32, supported: UInt32)
    /// A section is not inside the bytes, or has an impossible size.
    case section(Int)
    /// The groups belong to the table of another generation.
    case otherTable(found: UInt64, expected: UInt64)
    /// A record points outside the bytes or into a loop.
    case record(section: Int, index: Int)
}

extension SnapshotError: CustomStringConvertible {
    /// What is wrong, for a person.
    public var description: String {
        switch self {
        case .tooShort: "the table snapshot is cut short"
        case .misaligned: "the table snapshot is not aligned to 8 octets"
        case .notASnapshot: "the bytes are not a table snapshot"
        case .version(let found, let supported):
            "the table snapshot has layout version \(found), and this engine reads \(supported)"
        case .section(let section): "section \(section) of the table snapshot does not fit into it"
        case .otherTable(let found, let expected):
            "the groups belong to table \(found), but the mapped table is \(expected)"
        case .record(let section, let index):
            "record \(index) in section \(section) of the table snapshot points nowhere"
        }
    }
}

/// The places of the sections of a snapshot.
struct CheckedLayout {
    var generation: UInt64 = 0
    var counterCount = 0
    var ruleCounterCount = 0
    var heartbeatToken: UInt64 = 0
    /// Octets of the snapshot.
    var size = 0
    var offsets = [Int](repeating: 0, count: Section.allCases.count)
    var counts = [Int](repeating: 0, count: Section.allCases.count)

    func offset(_ section: Section) -> Int { offsets[section.rawValue] }
    func count(_ section: Section) -> Int { counts[section.rawValue] }
    func mask(_ section: Section) -> UInt64 { UInt64(count(section) - 1) }
}

/// The only check of a snapshot. Unchecked reads rely on each of these rules.
struct SnapshotValidation {
    let bytes: UnsafeRawBufferPointer
    let resting: () -> Void
    var layout = CheckedLayout()

    /// The number of unused slots of the hash tables that patches write to.
    var unused = UnusedSlots()

    init(bytes: UnsafeRawBufferPointer, resting: @escaping () -> Void, layout: CheckedLayout = CheckedLayout()) {
        self.bytes = bytes
        self.resting = resting
        self.layout = layout
    }

    static func checked(
        _ bytes: UnsafeRawBufferPointer, resting: @escaping () -> Void
    ) throws(SnapshotError) -> (layout: CheckedLayout, unused: UnusedSlots) {
        var validation = SnapshotValidation(bytes: bytes, resting: resting)
        try validation.checkSections()
        try validation.checkInterfaces()
        try validation.checkInstanceGroups()
        try validation.checkTargets()
        try validation.checkEntries()
        try validation.checkHashTables()
        try validation.checkScopes()
        try validation.checkPrefixes()
        try validation.checkGroups()
        try validation.checkAccess()
        try validation.checkCircuits()
        try validation.checkTunnels()
        return (validation.layout, validation.unused)
    }

    // MARK: Reading

    func word(_ offset: Int) -> UInt64 { bytes.load(fromByteOffset: offset, as: UInt64.self) }

    func word(_ section: Section, _ index: Int, _ field: Int) -> UInt64 {
        word(layout.offset(section) &+ index &* section.stride &+ field &* 8)
    }

    func halves(_ section: Section, _ index: Int, _ field: Int) -> (low: Int, high: Int) {
        let word = word(section, index, field)
        return (Int(word & 0xFFFF_FFFF), Int(word >> 32))
    }

    /// Calls `isSound` with the index of every record, and throws at the first that is not.
    func all(_ section: Section, _ isSound: (Int) -> Bool) throws(SnapshotError) {
        try all(section, in: 0..<layout.count(section), isSound)
    }

    func all(_ section: Section, in range: Range<Int>, _ isSound: (Int) -> Bool) throws(SnapshotError) {
        for index in range {
            rest(after: index)
            guard isSound(index) else { throw .record(section: section.rawValue, index: index) }
        }
    }

    /// Rests after every few thousand records.
    @inline(__always)
    func rest(after index: Int) {
        if index & 0x1FFF == 0x1FFF { resting() }
    }

    /// Checks that a hash table has an unused slot, where every search ends. A masked one must have a power of two of
    /// slots.
    ///
    /// - Returns: How many it has.
    @discardableResult
    private func requireHashTable(
        _ section: Section, isMasked: Bool = false, in range: Range<Int>? = nil, isUnused: (Int) -> Bool
    ) throws(SnapshotError) -> Int {
        let range = range ?? 0..<layout.count(section)
        var unused = 0
        for index in range where isUnused(index) { unused += 1 }
        guard unused > 0, !isMasked || range.count & (range.count - 1) == 0 else { throw .section(section.rawValue) }
        return unused
    }

    private mutating func requireTable(
        _ table: PatchedTable, _ section: Section, isMasked: Bool = false, in range: Range<Int>? = nil
    ) throws(SnapshotError) {
        unused.counts[table.rawValue] = try requireHashTable(section, isMasked: isMasked, in: range) {
            self.isUnused(table, $0)
        }
    }

    func range(_ halves: (low: Int, high: Int), fits section: Section) -> Bool {
        halves.low + halves.high <= layout.count(section)
    }

    // MARK: Rules

    private mutating func checkSections() throws(SnapshotError) {
        guard bytes.count >= Layout.preambleSize, let base = bytes.baseAddress else { throw .tooShort }
        guard UInt(bitPattern: base) % 8 == 0 else { throw .misaligned }
        guard word(0) == Layout.magic else { throw .notASnapshot }
        let version = UInt32(truncatingIfNeeded: word(8))
        guard version == Layout.version else { throw .version(found: version, supported: Layout.version) }
        guard word(8) >> 32 == UInt64(Section.allCases.count) else { throw .notASnapshot }
        guard word(24) <= UInt64(bytes.count) else { throw .tooShort }
        let size = Int(word(24))
        layout.size = size
        layout.generation = word(16)
        guard word(32) <= 1 << 24 else { throw .notASnapshot }
        layout.counterCount = Int(word(32))
        layout.heartbeatToken = word(48)
        guard word(56) <= 1 << 24 else { throw .notASnapshot }
        layout.ruleCounterCount = Int(word(56))
        for section in Section.allCases {
            let offset = word(Layout.headerSize + section.rawValue * 16)
            let count = word(Layout.headerSize + section.rawValue * 16 + 8)
            guard offset % 8 == 0, offset >= UInt64(Layout.preambleSize), offset <= UInt64(size),
                count <= (UInt64(size) - offset) / UInt64(section.stride), count <= UInt64(UInt32.max)
            else { throw .section(section.rawValue) }
            layout.offsets[section.rawValue] = Int(offset)
            layout.counts[section.rawValue] = Int(count)
        }
    }

    private func checkInterfaces() throws(SnapshotError) {
        guard layout.count(.interfaces) <= Layout.maximumInterfaces else { throw .section(Section.interfaces.rawValue) }
        guard layout.count(.scopes) > 0 else { throw .section(Section.scopes.rawValue) }
        try all(.interfaces) { isInterface($0) }
        let interfaces = layout.count(.interfaces)
        try all(.mirrors) { word(.mirrors, $0, 0) < UInt64(interfaces) }
        try all(.addresses) { index in
            let tag = word(.addresses, index, 2)
            return isFamily(tag & 0xFF, length: tag >> 8)
        }
        let (four, six) = (Int(word(40) & 0xFFFF_FFFF), Int(word(40) >> 32))
        for fallback in [four, six] where fallback != Int(Layout.none) {
            guard fallback < layout.count(.addresses) else { throw .section(Section.addresses.rawValue) }
        }
    }

    func isInterface(_ index: Int) -> Bool {
        let addresses = (halves(.interfaces, index, 1).high, halves(.interfaces, index, 2).low)
        let (scopes, mirrors) = (layout.count(.scopes), halves(.interfaces, index, 3).high)
        return range(addresses, fits: .addresses) && halves(.interfaces, index, 2).high < scopes
            && halves(.interfaces, index, 3).low < scopes && range((mirrors >> 12, mirrors & 0xFFF), fits: .mirrors)
    }

    private func isFamily(_ family: UInt64, length: UInt64) -> Bool {
        family == 4 && length <= 32 || family == 6 && length <= 128
    }

    private func checkEntries() throws(SnapshotError) {
        try all(.entries) { isEntry($0) }
    }

    func isEntry(_ index: Int) -> Bool {
        let (first, counted) = halves(.entries, index, 0)
        let targets = (low: first, high: counted & Int(Layout.entryTargetsMask))
        let (tail, rewrite) = halves(.entries, index, 1)
        let family = tail >> 28
        return range(targets, fits: .targets) && tail & 0xFF_FFFF < layout.counterCount && tail >> 24 & 0xF < 8
            && (family == 0 && rewrite == 0 || family == 4 || family == 6 && rewrite < layout.count(.rewrites))
    }

    private mutating func checkHashTables() throws(SnapshotError) {
        try requireHashTable(.macs) { word(.macs, $0, 0) == Layout.emptyMAC }
        try all(.macs) { isMAC($0) }
        try all(.origins) { isOrigin($0) }
        try requireHashTable(.addressSlots, isMasked: true) { word(.addressSlots, $0, 2) == 0 }
        try requireTable(.claims, .claims, isMasked: true)
        try requireTable(.holders, .holders, isMasked: true)
        try requireTable(.groups, .groupSlots)
        try all(.groupSlots) { isGroup(.groupSlots, $0) }
    }

    func isMAC(_ index: Int) -> Bool {
        let (found, scopes) = (halves(.macs, index, 1), layout.count(.scopes))
        let system = UInt8(truncatingIfNeeded: word(.macs, index, 2) >> 8)
        return word(.macs, index, 0) == Layout.emptyMAC
            || found.low < scopes && found.high < scopes && DestinationSystemType(rawValue: system) != nil
                && isOrigins(word(.macs, index, 2))
    }

    func isOrigin(_ index: Int) -> Bool {
        let tag = word(.origins, index, 2)
        return isFamily(tag & 0xFF, length: tag >> 8)
    }

    /// True if the prefixes exist that the flags of a MAC address refer to.
    private func isOrigins(_ flags: UInt64) -> Bool {
        let (first, count) = (Int(flags >> 16 & 0xFF_FFFF), Int(flags >> 40))
        return flags & Layout.flagBound == 0
            ? first == 0 && count == 0 : range((first, count), fits: .origins)
    }

    /// True if the group in the third and fourth word of a record leads to an entry, or to a group of several entries.
    func isGroup(_ section: Section, _ index: Int) -> Bool {
        let head = word(section, index, 2)
        let place = halves(section, index, 3).low
        if head & Layout.groupIsOne != 0 { return place < layout.count(.entries) }
        return head & Layout.groupIsMany == 0 || place < layout.count(.groups)
    }

    private func checkScopes() throws(SnapshotError) {
        try all(.scopes) { isScope($0) }
    }

    func isScope(_ index: Int) -> Bool {
        halves(.scopes, index, 0).low < layout.count(.masks) && isGroup(.scopes, index)
    }

    private mutating func checkPrefixes() throws(SnapshotError) {
        for section in [Section.sourcePrefixes, .destinationPrefixes, .claimedPrefixes] {
            guard layout.count(section) > 0 else { throw .section(section.rawValue) }
            try all(section) { isPrefix(section, $0) }
        }
        guard layout.count(.prefixIndexes) == PrefixIndexKind.allCases.count else {
            throw .section(Section.prefixIndexes.rawValue)
        }
        for kind in PrefixIndexKind.allCases { try checkPrefixIndex(kind) }
    }

    func isPrefix(_ section: Section, _ index: Int) -> Bool {
        let (parent, high) = halves(section, index, 0)
        let length = high & 0xFF
        guard section == .claimedPrefixes ? high == length : isGroup(section, index) else { return false }
        // The first record stands for any prefix. A chain to it ends, because lengths decrease along it.
        if index == 0 { return parent == 0 && length == Int(Layout.anyBit) }
        return length <= 128 && parent < layout.count(section)
            && (parent == 0 || halves(section, parent, 0).high & 0xFF < length)
    }

    mutating func checkPrefixIndex(_ kind: PrefixIndexKind) throws(SnapshotError) {
        let section = kind.section
        let start = word(.prefixIndexes, kind.rawValue, 0)
        let places = word(.prefixIndexes, kind.rawValue, 1)
        let lengths = halves(.prefixIndexes, kind.rawValue, 2).low
        let count = UInt64(layout.count(section))
        guard start <= count, places <= (count - start) / kind.bucket, lengths <= Layout.maximumLengths,
            isPrefixIndex(kind.rawValue)
        else { throw .record(section: Section.prefixIndexes.rawValue, index: kind.rawValue) }
        // Without lengths, no slot is read.
        guard lengths > 0 else { return }
        var previous = 0
        for index in 0..<lengths {
            let offset =
                layout.offset(.prefixIndexes) + kind.rawValue * Section.prefixIndexes.stride + Layout.lengthsOffset
            let length = Int(bytes[offset + index])
            guard length > previous, length <= (kind.isFour ? 32 : 128) else {
                throw .record(section: Section.prefixIndexes.rawValue, index: kind.rawValue)
            }
            previous = length
        }
        let range = slots(of: kind)
        try requireTable(PatchedTable(kind), section, in: range)
        try all(section, in: range) { isPrefixSlot(kind, $0) }
    }

    /// Checks the groups of several entries, their intervals and fragments, from these records on.
    func checkGroups(
        from first: Int = 0, interval firstInterval: Int = 0, fragment firstFragment: Int = 0
    ) throws(SnapshotError) {
        let entries = layout.count(.entries)
        // Groups are in the order of their intervals and fragments, so that one pass reads every record once.
        var (interval, fragment) = (firstInterval, firstFragment)
        for index in first..<layout.count(.groups) {
            rest(after: index)
            let (requests, responses) = (halves(.groups, index, 0), halves(.groups, index, 1))
            let fragments = halves(.groups, index, 2)
            let other = halves(.groups, index, 3).low
            guard requests.low == interval, responses.low == interval + requests.high, fragments.low == fragment,
                range(responses, fits: .intervals), range(fragments, fits: .fragments),
                other == Int(Layout.none) || other < entries,
                isAscending(.intervals, requests), isAscending(.intervals, responses),
                isAscending(.fragments, fragments)
            else { throw .record(section: Section.groups.rawValue, index: index) }
            interval = responses.low + responses.high
            fragment += fragments.high
        }
        try all(.intervals, in: firstInterval..<layout.count(.intervals)) { index in
            let bounds = halves(.intervals, index, 0)
            return bounds.low <= bounds.high && halves(.intervals, index, 1).low < entries
        }
        try all(.fragments, in: firstFragment..<layout.count(.fragments)) { halves(.fragments, $0, 0).high < entries }
    }

    /// True if every record of a range starts after the one before it ends.
    private func isAscending(_ section: Section, _ range: (low: Int, high: Int)) -> Bool {
        guard range.high > 1 else { return true }
        return (range.low + 1..<range.low + range.high).allSatisfy { index in
            let before = halves(section, index - 1, 0)
            return halves(section, index, 0).low > (section == .intervals ? before.high : before.low)
        }
    }
}
