/// A checked and compiled table. Its groups can change without compiling the rest again. So a change of an instance's
/// state reaches the engines in the time that copying takes.
public struct CompiledTable: Sendable {
    private var image: SnapshotImage
    /// One more than the highest index of a counter.
    public var counterCount: Int { image.counterCount }
    /// One more than the highest index of a counter of access lists.
    public var ruleCounterCount: Int { image.ruleCounterCount }
    /// True if nodes may join groups.
    public let asksGroups: Bool
    /// The groups as they are in the bytes.
    public private(set) var groups: [InstanceGroup]

    /// - Throws: `TableError` with all problems of the table.
    public init(_ table: ForwardingTable) throws(TableError) {
        image = try TableCompiler.image(of: table)
        groups = table.groups
        asksGroups = !table.joiners.isEmpty
    }

    /// Sets other availabilities, weights and priorities of the same groups with the same members.
    ///
    /// - Returns: False if the groups or members differ. Then nothing was changed, and you have to compile the table
    ///   anew.
    public mutating func setGroups(_ changed: [InstanceGroup]) -> Bool {
        let isSame =
            changed.count == groups.count
            && zip(changed, groups).allSatisfy { $0.members.map(\.name) == $1.members.map(\.name) }
        guard isSame else { return false }
        image.setGroups(changed)
        groups = changed
        return true
    }

    /// The bytes that engines read through a `Snapshot`. The same table and generation give the same bytes.
    ///
    /// - Parameter generation: The number that the table is published under.
    public func bytes(generation: UInt64) -> [UInt8] {
        var image = image
        image.generation = generation
        return image.bytes
    }

    /// The bytes of the groups alone. Engines read them beside a table that they already have.
    ///
    /// - Parameters:
    ///   - generation: The number that the groups are published under.
    ///   - table: The number that this table was published under, with any groups.
    public func groupBytes(generation: UInt64, of table: UInt64) -> [UInt8] {
        image.groupBytes(generation: generation, of: table)
    }
}

extension SnapshotImage {
    /// Replaces the groups, and deals out the slots of groups that have changed.
    mutating func setGroups(_ groups: [InstanceGroup]) {
        self[.instanceGroups] = []
        self[.instanceSlots] = []
        var dealt: [InstanceGroup: GroupSlots] = [:]
        for group in groups {
            let slots = dealtGroups[group] ?? GroupSlots(group)
            dealt[group] = slots
            var flags = UInt32(group.hashing.rawValue) << 8
            if group.isDown { flags |= Layout.groupDown }
            if slots.new != nil { flags |= Layout.groupDrains }
            let now = add(slots.now)
            let new = slots.new.map { add($0) } ?? now
            self[.instanceGroups] += [
                UInt64(low: UInt32(group.members.count), high: flags), group.seed,
                UInt64(low: now.first, high: new.first), UInt64(low: now.sole, high: new.sole),
            ]
        }
        dealtGroups = dealt
    }

    /// Adds a table of slots, unless one member has all slots.
    private mutating func add(_ slots: DealtSlots) -> (first: UInt32, sole: UInt32) {
        switch slots {
        case .sole(let member): return (Layout.none, member == SlotTable.nobody ? Layout.none : UInt32(member))
        case .words(let words):
            let first = UInt32(self[.instanceSlots].count)
            self[.instanceSlots] += words
            return (first, Layout.none)
        }
    }
}

/// The slots of one table as a snapshot has them.
enum DealtSlots: Sendable {
    /// One member has all slots.
    case sole(UInt16)
    /// Four members in each word.
    case words([UInt64])

    init(_ table: SlotTable) {
        if let sole = table.sole {
            self = .sole(sole)
            return
        }
        self = .words(
            table.owners.withUnsafeBytes { bytes in
                (0..<Layout.slotRecords).map { bytes.load(fromByteOffset: $0 * 8, as: UInt64.self) }
            })
    }
}

/// The slots of a group: for existing flows, and for new flows if slots change hands.
struct GroupSlots: Sendable {
    let now: DealtSlots
    let new: DealtSlots?

    init(_ group: InstanceGroup) {
        now = DealtSlots(group.slots())
        new = group.slotsForNew().map { DealtSlots($0) }
    }
}
