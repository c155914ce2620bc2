import Wire

/// The groups of a table in memory of their own. So instances can go up and down without copying, mapping or checking
/// anything else again.
///
/// ```
/// header        magic, version, generation, size, generation of the table that they belong to, groups, records of
///               slots, 0
/// groups        as the section `instanceGroups`, at octet 64
/// slots         as the section `instanceSlots`, at the next multiple of 64
/// ```
extension Snapshot {
    /// A table with other groups than its own. It reads both memories, so the caller keeps both mapped and unchanged.
    ///
    /// - Parameters:
    ///   - table: A checked table with its own groups. It is not checked again.
    ///   - groups: The output of `CompiledTable.groupBytes`, at an address that is a multiple of 8.
    ///   - resting: See `init(validating:resting:)`.
    /// - Throws: `SnapshotError` if they are not groups of this table.
    public init(
        _ table: Snapshot, groups: UnsafeRawBufferPointer, resting: @escaping () -> Void = {}
    ) throws(SnapshotError) {
        let layout = try SnapshotValidation.checkGroups(groups, of: table, resting: resting)
        self.init(
            table, groups, groups: layout.offset(.instanceGroups), slots: layout.offset(.instanceSlots),
            generation: layout.generation)
    }

    /// A table that a patch has made, with the groups that the table before has. No patch changes the members of groups.
    ///
    /// - Parameter before: Of the same memory of groups, which the caller keeps mapped and unchanged, or of its own.
    public init(_ table: Snapshot, keeping before: Snapshot) {
        precondition(table.groupCount == before.groupCount)
        guard before.groupBytes.baseAddress != before.bytes.baseAddress else {
            self = table
            return
        }
        self.init(
            table, before.groupBytes, groups: before.instanceGroups, slots: before.instanceSlots,
            generation: table.generation)
    }

    private init(
        _ table: Snapshot, _ memory: UnsafeRawBufferPointer, groups: Int, slots: Int, generation: UInt64
    ) {
        bytes = table.bytes
        groupBytes = memory
        self.generation = generation
        interfaceCount = table.interfaceCount
        entryCount = table.entryCount
        counterCount = table.counterCount
        ruleCounterCount = table.ruleCounterCount
        interfaces = table.interfaces
        addresses = table.addresses
        macs = table.macs
        macCount = table.macCount
        addressSlots = table.addressSlots
        addressMask = table.addressMask
        scopes = table.scopes
        masks = table.masks
        prefixIndexes = table.prefixIndexes
        prefixSlots4 = table.prefixSlots4
        prefixSlots6 = table.prefixSlots6
        sourcePrefixes = table.sourcePrefixes
        destinationPrefixes = table.destinationPrefixes
        claimedPrefixes = table.claimedPrefixes
        claims = table.claims
        claimMask = table.claimMask
        mirrors = table.mirrors
        origins = table.origins
        accessPoints = table.accessPoints
        accessPointCount = table.accessPointCount
        accessLists = table.accessLists
        accessRules = table.accessRules
        accessAddresses = table.accessAddresses
        accessPorts = table.accessPorts
        accessVectors = table.accessVectors
        circuits = table.circuits
        circuitPlaces = table.circuitPlaces
        circuitCount = table.circuitCount
        tunnels = table.tunnels
        tunnelPlaces = table.tunnelPlaces
        tunnelCount = table.tunnelCount
        holders = table.holders
        holderMask = table.holderMask
        groupSlots = table.groupSlots
        groupSlotCount = table.groupSlotCount
        self.groups = table.groups
        intervals = table.intervals
        fragments = table.fragments
        entries = table.entries
        rewrites = table.rewrites
        targets = table.targets
        instanceGroups = groups
        instanceSlots = slots
        heartbeatToken = table.heartbeatToken
        asksGroups = table.asksGroups
        groupCount = table.groupCount
    }
}

extension SnapshotValidation {
    /// The only check of groups in memory of their own. It applies the rules for a table's own groups. It also checks
    /// that they belong to `table`, because the table's hops rely on the number of members.
    static func checkGroups(
        _ bytes: UnsafeRawBufferPointer, of table: Snapshot, resting: @escaping () -> Void
    ) throws(SnapshotError) -> CheckedLayout {
        var validation = SnapshotValidation(bytes: bytes, resting: resting)
        guard bytes.count >= Layout.headerSize, let base = bytes.baseAddress else { throw .tooShort }
        guard UInt(bitPattern: base) % 8 == 0 else { throw .misaligned }
        guard validation.word(0) == Layout.groupsMagic else { throw .notASnapshot }
        guard validation.word(8) == UInt64(Layout.version) else {
            throw .version(found: UInt32(truncatingIfNeeded: validation.word(8)), supported: Layout.version)
        }
        guard validation.word(24) <= UInt64(bytes.count) else { throw .tooShort }
        guard validation.word(32) == table.generation else {
            throw .otherTable(found: validation.word(32), expected: table.generation)
        }
        validation.layout.generation = validation.word(16)
        var offset = UInt64(Layout.headerSize)
        for (section, field) in [(Section.instanceGroups, 40), (.instanceSlots, 48)] {
            let count = validation.word(field)
            guard offset <= validation.word(24), count <= (validation.word(24) - offset) / UInt64(section.stride) else {
                throw .section(section.rawValue)
            }
            validation.layout.offsets[section.rawValue] = Int(offset)
            validation.layout.counts[section.rawValue] = Int(count)
            offset +=
                (count * UInt64(section.stride) + UInt64(Layout.line) - 1) / UInt64(Layout.line) * UInt64(Layout.line)
        }
        guard validation.layout.count(.instanceGroups) == table.groupCount else {
            throw .section(Section.instanceGroups.rawValue)
        }
        let checked = validation
        try checked.all(.instanceGroups) { index in
            checked.halves(.instanceGroups, index, 0).low
                == Int(Snapshot.lowHalf(table.word(table.instanceGroups &+ index &* 32)))
        }
        try checked.checkInstanceGroups()
        return checked.layout
    }
}

extension SnapshotImage {
    /// The groups alone, for the table that was published as `table`.
    func groupBytes(generation: UInt64, of table: UInt64) -> [UInt8] {
        let align = { (size: Int) in (size + Layout.line - 1) / Layout.line * Layout.line }
        let (groups, slots) = (self[.instanceGroups], self[.instanceSlots])
        let size = Layout.headerSize + align(groups.count * 8) + align(slots.count * 8)
        let header = [
            Layout.groupsMagic, UInt64(Layout.version), generation, UInt64(size), table,
            UInt64(groups.count * 8 / Section.instanceGroups.stride),
            UInt64(slots.count * 8 / Section.instanceSlots.stride), 0,
        ]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size)
        for words in [header, groups, slots] {
            words.withUnsafeBytes { bytes.append(contentsOf: $0) }
            for _ in bytes.count..<align(bytes.count) { bytes.append(0) }
        }
        return bytes
    }
}
