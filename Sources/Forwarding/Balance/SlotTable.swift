/// The member that each of the 65,536 slots belongs to. The same members, seed and weights give the same table, in
/// every engine and after every restart.
///
/// Every member claims slots one after another, in an order that depends only on its name and the group's seed. A
/// member of twice the weight claims twice as often. A slot belongs to the first member that claims it. This is
/// rendezvous hashing (Thaler and Ravishankar, 1998): dealing the slots out finds the highest score of each slot, in a
/// time that does not grow with the number of members.
///
/// As in rendezvous hashing, a member that goes changes no other member's slots, and a new member only takes the slots
/// that become its own. In Maglev's table (Eisenbud and others, 2016) members take the next free slot instead, so
/// others' slots change. The price is evenness: shares scatter around the weights like those of as many random flows.
public struct SlotTable: Sendable, Hashable {
    /// The number of slots.
    public static let count = 65_536
    /// The owner of a slot without a member.
    public static let nobody: UInt16 = .max

    /// The member of each slot.
    public let owners: [UInt16]

    /// One participant: its key, its weight, and the member that its slots belong to.
    struct Claimant {
        var key: UInt64
        var weight: Int
        var owner: UInt16
    }

    /// Deals the slots out to claimants. Their order only decides between two claims of one slot at the same time.
    init(_ claimants: [Claimant]) {
        let claimants = claimants.filter { $0.weight > 0 }
        guard claimants.count > 1 else {
            owners = [UInt16](repeating: claimants.first?.owner ?? Self.nobody, count: Self.count)
            return
        }
        let schedule = Self.schedule(claimants.map(\.weight))
        let names = claimants.map(\.owner)
        let keys = claimants.map { Layout.mix($0.key) }
        owners = [UInt16](unsafeUninitializedCapacity: Self.count) { owners, initialized in
            owners.initialize(repeating: Self.nobody)
            initialized = Self.count
            schedule.withUnsafeBufferPointer { schedule in
                keys.withUnsafeBufferPointer { keys in
                    Self.deal(schedule, keys, names, into: owners)
                }
            }
        }
    }

    /// Goes through the schedule again and again until every slot has been claimed.
    private static func deal(
        _ schedule: UnsafeBufferPointer<UInt16>, _ keys: UnsafeBufferPointer<UInt64>, _ names: [UInt16],
        into owners: UnsafeMutableBufferPointer<UInt16>
    ) {
        // Each draw serves four claims of 16 bits.
        withUnsafeTemporaryAllocation(of: (made: UInt64, draw: UInt64).self, capacity: keys.count) { claims in
            claims.initialize(repeating: (0, 0))
            var left = count
            while left > 0 {
                for claimant in schedule {
                    let place = Int(claimant)
                    let made = claims[place].made
                    if made & 3 == 0 {
                        claims[place].draw = Layout.mix(keys[place] &+ (made >> 2 &+ 1) &* 0x9E37_79B9_7F4A_7C15)
                    }
                    let slot = Int(UInt16(truncatingIfNeeded: claims[place].draw))
                    claims[place] = (made &+ 1, claims[place].draw >> 16)
                    guard owners[slot] == nobody else { continue }
                    owners[slot] = names[place]
                    left &-= 1
                }
            }
        }
    }

    /// The order of the claims within one unit of time. A claimant of weight w claims at 1/w, 2/w … w/w. If a claimant
    /// comes or goes, the order of the others stays.
    static func schedule(_ weights: [Int]) -> [UInt16] {
        let divisor = weights.reduce(0) { greatestCommonDivisor($0, $1) }
        let weights = weights.map { $0 / Swift.max(1, divisor) }
        if weights.allSatisfy({ $0 == 1 }) { return (0..<weights.count).map { UInt16($0) } }
        let total = weights.reduce(0, +)
        // Sorted by time into as many drawers as there are claims, and then within each drawer.
        var drawers = [[(claimant: Int, claim: Int)]](repeating: [], count: total)
        for (claimant, weight) in weights.enumerated() {
            for claim in 1...Swift.max(1, weight) where claim <= weight {
                drawers[(claim * total - 1) / weight].append((claimant, claim))
            }
        }
        var schedule: [UInt16] = []
        schedule.reserveCapacity(total)
        for drawer in drawers {
            let sorted = drawer.sorted { left, right in
                let (first, second) = (left.claim * weights[right.claimant], right.claim * weights[left.claimant])
                return first == second ? left.claimant < right.claimant : first < second
            }
            for entry in sorted { schedule.append(UInt16(entry.claimant)) }
        }
        return schedule
    }

    private static func greatestCommonDivisor(_ first: Int, _ second: Int) -> Int {
        second == 0 ? first : greatestCommonDivisor(second, first % second)
    }

    /// The member that has every slot, if there is one.
    var sole: UInt16? { owners.allSatisfy { $0 == owners[0] } ? owners[0] : nil }

    /// The part of all slots that each of `members` members has, 0…1.
    public func shares(members: Int) -> [Double] {
        var counts = [Int](repeating: 0, count: members)
        for owner in owners where owner != Self.nobody { counts[Int(owner)] += 1 }
        return counts.map { Double($0) / Double(Self.count) }
    }
}

extension InstanceGroup {
    /// The member of each slot. All members take part that are not down. Members that have just come take part only if
    /// there are no others.
    public func slots() -> SlotTable {
        let areOld = members.contains { $0.availability == .up || $0.availability == .draining }
        return slots { $0 != .down && !(areOld && $0 == .joining) }
    }

    /// The member that gets the new flows of each slot. Members that have just come take part, draining ones do not.
    /// nil if no slot changes hands, or if no member would be left.
    public func slotsForNew() -> SlotTable? {
        guard isChangingHands, members.contains(where: { $0.availability == .up || $0.availability == .joining })
        else { return nil }
        let new = slots { $0 == .up || $0 == .joining }
        return new == slots() ? nil : new
    }

    /// True while a member drains or has just come.
    public var isChangingHands: Bool {
        members.contains { $0.availability == .draining || $0.availability == .joining }
    }

    /// The part of all slots, 0…1, whose member is another one in `other`, a group of the same members.
    public func shareMoved(to other: InstanceGroup) -> Double {
        let (before, after) = (isDown ? nil : slots(), other.isDown ? nil : other.slots())
        guard let before, let after else { return before == nil && after == nil ? 0 : 1 }
        let moved = zip(before.owners, after.owners).count {
            ($0 == SlotTable.nobody ? nil : members[Int($0)].name)
                != ($1 == SlotTable.nobody ? nil : other.members[Int($1)].name)
        }
        return Double(moved) / Double(SlotTable.count)
    }

    private func slots(_ takesPart: (Availability) -> Bool) -> SlotTable {
        let present = members.indices.filter { takesPart(members[$0].availability) }
        guard let active else {
            // A weight of zero means no share, unless all members have zero.
            let isWeighted = present.contains { members[$0].weight > 0 }
            return SlotTable(
                present.map { index in
                    SlotTable.Claimant(
                        key: Self.key(members[index].name, seed), weight: isWeighted ? members[index].weight : 1,
                        owner: UInt16(index))
                })
        }
        return SlotTable(
            seats(active, present).enumerated().compactMap { seat, member in
                member.map {
                    SlotTable.Claimant(key: Self.key("seat \(seat)", seed), weight: 1, owner: UInt16($0))
                }
            })
    }

    /// The member in each seat. Slots are dealt out to seats, so that a spare takes over exactly the slots of the
    /// member that it replaces.
    private func seats(_ active: Int, _ present: [Int]) -> [Int?] {
        let ranked = members.indices.sorted {
            (-members[$0].priority, $0) < (-members[$1].priority, $1)
        }
        let homes = ranked.prefix(max(1, active))
        var spares = ranked.dropFirst(max(1, active)).filter(present.contains).makeIterator()
        return homes.map { present.contains($0) ? $0 : spares.next() }
    }

    /// The key of a member. Its place in the file does not matter.
    private static func key(_ name: String, _ seed: UInt64) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 ^ Layout.mix(seed)
        for octet in name.utf8 { hash = (hash ^ UInt64(octet)) &* 0x0000_0100_0000_01B3 }
        return hash
    }
}
