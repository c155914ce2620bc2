/// A checked and compiled table. Its groups can change without compiling the rest again. So a change of an instance's
/// state reaches the engines in the time that copying takes. A few entries can change in the time that these take.
public struct CompiledTable: Sendable {
    /// The image, or its groups alone if there is an editor, which has the rest.
    private var image: SnapshotImage
    private var parts: CompiledParts?
    private var editor: SnapshotEditor?
    /// One more than the highest index of a counter.
    public var counterCount: Int { editor?.image.counterCount ?? image.counterCount }
    /// One more than the highest index of a counter of access lists.
    public var ruleCounterCount: Int { editor?.image.ruleCounterCount ?? image.ruleCounterCount }
    /// True if nodes may join groups.
    public let asksGroups: Bool
    /// The groups as they are in the bytes.
    public private(set) var groups: [InstanceGroup]

    /// - Parameter leavesRoom: True if the table may change (`change`). Its bytes are a quarter more then.
    /// - Throws: `TableError` with all problems of the table.
    public init(_ table: ForwardingTable, leavesRoom: Bool = false) throws(TableError) {
        let made = try TableCompiler.image(of: table, room: leavesRoom ? .quarter : .none)
        image = made.image
        if leavesRoom { parts = made.parts }
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
        var whole = image
        if let editor {
            whole = editor.image
            whole[.instanceGroups] = image[.instanceGroups]
            whole[.instanceSlots] = image[.instanceSlots]
        }
        whole.generation = generation
        return whole.bytes
    }

    /// The bytes of the groups alone. Engines read them beside a table that they already have.
    ///
    /// - Parameters:
    ///   - generation: The number that the groups are published under.
    ///   - table: The number that this table was published under, with any groups.
    public func groupBytes(generation: UInt64, of table: UInt64) -> [UInt8] {
        image.groupBytes(generation: generation, of: table)
    }

    // MARK: - Changes

    /// Changes the table where few of its entries change. Copies of this value change with it: use none of them any more,
    /// and this one neither if it throws.
    ///
    /// - Parameters:
    ///   - old: The table that this is compiled from, with any states of its groups.
    ///   - new: The table afterwards. It may have other states of the groups.
    ///   - patch: How its entries differ.
    ///   - basis: The number that the engines have the old one under.
    ///   - generation: The number that the new one is published under.
    /// - Returns: What turns the engines' snapshot into the new one (`WritableSnapshot.apply`), without states of groups.
    /// - Throws: `UnfitChange` if it has to be compiled anew.
    public mutating func change(
        from old: ForwardingTable, to new: ForwardingTable, by patch: TablePatch, basis: UInt64, generation: UInt64
    ) throws(UnfitChange) -> [UInt8] {
        do throws(Unfit) {
            let editor: SnapshotEditor
            if let made = self.editor { editor = made } else { editor = try edit(old) }
            try editor.change(from: old, to: new, by: patch)
            guard groups == new.groups || setGroups(new.groups) else { throw Unfit("the groups differ") }
            return SnapshotPatch.bytes(
                of: editor.image, changed: editor.takeChanges(), generation: generation, basis: basis)
        } catch {
            editor = nil
            parts = nil
            throw UnfitChange(reason: error.what)
        }
    }

    /// Makes ready what `change` needs, which takes as long as the table is large. `change` does it where that was not done.
    ///
    /// - Parameter table: The table that this is compiled from, with any states of its groups.
    public mutating func prepareForChanges(of table: ForwardingTable) {
        guard editor == nil, parts != nil else { return }
        editor = try? edit(table)
    }

    private mutating func edit(_ table: ForwardingTable) throws(Unfit) -> SnapshotEditor {
        guard let parts else { throw Unfit("no room was left for changes") }
        let made = SnapshotEditor(table, image, parts)
        // The editor is the only one that holds them from now on.
        self.parts = nil
        for section in Section.allCases where section != .instanceGroups && section != .instanceSlots {
            image[section] = []
        }
        editor = made
        return made
    }
}

/// Why a table has to be compiled anew after a change.
public struct UnfitChange: Error, Sendable, Hashable, CustomStringConvertible {
    let reason: String

    /// For the debug log.
    public var description: String { reason }
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
