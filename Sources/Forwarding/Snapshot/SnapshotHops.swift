import Wire

/// Where one copy goes, as the engine reads it.
public enum HopRecord: Sendable {
    /// To one place.
    case target(TargetRecord)
    /// To an instance of a group.
    case instance(InstanceChoice)
    /// To these hops. The group's state has decided already.
    case hops(Range<Int>)
}

/// A choice between the instances of a group.
public struct InstanceChoice: Sendable {
    /// The index of the group.
    public let group: Int
    /// The index of the first member's target.
    @usableFromInline let first: Int
    /// What the members' targets add to the service port. Flows are hashed with the port that the application sees, which is
    /// the same in both directions.
    public let portShift: PortShift

    @inlinable
    init(group: Int, first: Int, portShift: PortShift) {
        self.group = group
        self.first = first
        self.portShift = portShift
    }
}

/// What a group says about one packet.
public enum InstanceDecision: Sendable, Hashable {
    /// The member that it goes to.
    case member(Int)
    /// The slot changes hands: `member` keeps its existing flows, and `new` gets the new ones.
    case changes(slot: Int, member: Int, new: Int)
}

extension Snapshot {
    /// The hop at `index`, which is one of an `EntryRecord`'s `targets` or of a hop's own.
    @inlinable @inline(__always)
    public func hop(_ index: Int) -> HopRecord {
        let record = targets &+ index &* 32
        let head = word(record)
        let kind = UInt8(truncatingIfNeeded: head >> 32)
        if kind < Layout.kindInstance { return .target(target(index)) }
        let group = Int(UInt16(truncatingIfNeeded: head))
        let isDown = Self.highHalf(groupWord(instanceGroups &+ group &* 32)) & Layout.groupDown != 0
        if kind == Layout.kindInstance, !isDown {
            return .instance(
                InstanceChoice(
                    group: group, first: Int(Self.lowHalf(word(record &+ 8))),
                    portShift: PortShift(UInt16(truncatingIfNeeded: head >> Layout.targetShiftShift))))
        }
        let range = word(isDown ? record &+ 16 : record &+ 8)
        let first = Int(Self.lowHalf(range))
        return .hops(Range(uncheckedBounds: (first, first &+ Int(Self.highHalf(range)))))
    }

    /// The answer to the sender if the hop at `index` goes to an instance and its group is down; nil if that is no
    /// drop.
    @inlinable
    public func downAnswer(_ index: Int) -> DownAnswer? {
        let head = word(targets &+ index &* 32)
        guard UInt8(truncatingIfNeeded: head >> 32) == Layout.kindInstance else { return nil }
        return DownAnswer(rawValue: UInt8(truncatingIfNeeded: head >> 40))
    }

    /// The instance that a packet goes to.
    ///
    /// - Parameters:
    ///   - flow: The addresses outside the application that they are hashed for, in either direction.
    @inlinable
    public func decide(_ choice: InstanceChoice, _ flow: FlowFields) -> InstanceDecision {
        let record = instanceGroups &+ choice.group &* 32
        let flags = Self.highHalf(groupWord(record))
        let tables = groupWord(record &+ 16)
        let soles = groupWord(record &+ 24)
        if flags & Layout.groupDrains == 0, Self.lowHalf(tables) == Layout.none {
            return .member(Int(Self.lowHalf(soles)))
        }
        let hashing = FlowHashing(rawValue: UInt8(truncatingIfNeeded: flags >> 8)) ?? .addresses
        let slot = flow.slot(hashing, seed: groupWord(record &+ 8))
        let now = owner(of: slot, in: Self.lowHalf(tables), else: Self.lowHalf(soles))
        guard flags & Layout.groupDrains != 0 else { return .member(now) }
        let new = owner(of: slot, in: Self.highHalf(tables), else: Self.highHalf(soles))
        return now == new ? .member(now) : .changes(slot: slot, member: now, new: new)
    }

    @inlinable @inline(__always)
    func owner(of slot: Int, in table: UInt32, else sole: UInt32) -> Int {
        if table == Layout.none { return Int(sole) }
        let record = instanceSlots &+ (Int(table) &+ slot >> 2) &* 8
        return Int(UInt16(truncatingIfNeeded: groupWord(record) >> UInt64((slot & 3) &* 16)))
    }

    /// The target of one of the members that a choice is between.
    @inlinable
    public func target(_ choice: InstanceChoice, member: Int) -> TargetRecord {
        target(choice.first &+ member)
    }

    /// Whether a copy by the hops at `hops` may go to a node on `interface` that may get errors: any node but a passive
    /// application, whatever is up or down.
    public func reach(_ hops: Range<Int>, _ interface: Int) -> Bool {
        for index in hops {
            let record = targets &+ index &* 32
            if UInt8(truncatingIfNeeded: word(record) >> 32) < Layout.kindInstance {
                let target = target(index)
                if target.interface == interface, target.system != .passiveApplication { return true }
            } else if reach(range(record &+ 8), interface) || reach(range(record &+ 16), interface) {
                return true
            }
        }
        return false
    }

    private func range(_ offset: Int) -> Range<Int> {
        let range = word(offset)
        let first = Int(Self.lowHalf(range))
        return first..<first &+ Int(Self.highHalf(range))
    }
}
