import Wire

/// How flows are shared among instances, and how many flows move when an instance is lost, comes back, is added or gets
/// more weight. The numbers are counted over flows, not computed.
public struct BalanceMeasurement: Sendable, Hashable {
    /// What happened to the group.
    public enum Change: String, Sendable, Hashable, CaseIterable {
        /// One instance goes down.
        case lost
        /// A second instance goes down.
        case lostAnother = "lost another"
        /// One instance is added.
        case added
        /// One instance gets twice its weight.
        case weighed
    }
    /// What one change moved.
    public struct Movement: Sendable, Hashable {
        /// What happened.
        public var change: Change
        /// The part of all flows, 0…1, that moved to or from the instance that changed.
        public var concerned: Double
        /// The part of all flows, 0…1, that moved between two other instances. It should be 0.
        public var others: Double
    }

    /// The number of instances.
    public var instances: Int
    /// How many flows were counted.
    public var flows: Int
    /// The largest number of flows of an instance, as a part of what its weight promises.
    public var most: Double
    /// The smallest number of flows of an instance, as a part of what its weight promises.
    public var least: Double
    /// What each change moved.
    public var movements: [Movement]

    /// Counts `flows` TCP flows of random addresses and ports.
    ///
    /// - Parameters:
    ///   - weights: One for each instance, 1…1,000; at least two.
    ///   - flows: The number of flows.
    ///   - seed: The seed of the group and of the flows.
    public init(weights: [Int], flows: Int, seed: UInt64) {
        let group = Self.group(weights, seed)
        let packets = Self.flows(flows, seed)
        let before = Self.owners(of: packets, in: group)
        instances = weights.count
        self.flows = flows
        var counts = [Int](repeating: 0, count: weights.count)
        for owner in before { counts[owner] += 1 }
        let total = Double(weights.reduce(0, +))
        let parts = zip(counts, weights).map { Double($0) / (Double(flows) * Double($1) / total) }
        most = parts.max() ?? 0
        least = parts.min() ?? 0
        let victim = Int(Layout.mix(seed) % UInt64(weights.count))
        var lost = group
        lost.members[victim].availability = .down
        let afterLoss = Self.owners(of: packets, in: lost)
        movements = [Self.movement(.lost, victim, before, afterLoss)]
        if weights.count > 2 {
            let another = (victim + 1) % weights.count
            var fewer = lost
            fewer.members[another].availability = .down
            movements.append(
                Self.movement(.lostAnother, another, afterLoss, Self.owners(of: packets, in: fewer)))
        }
        let more = Self.group(weights + [weights[victim]], seed)
        movements.append(
            Self.movement(.added, weights.count, before, Self.owners(of: packets, in: more)))
        var heavier = group
        heavier.members[victim].weight = min(1_000, weights[victim] * 2)
        movements.append(Self.movement(.weighed, victim, before, Self.owners(of: packets, in: heavier)))
    }

    /// A group with one instance for each weight.
    public static func group(_ weights: [Int], _ seed: UInt64) -> InstanceGroup {
        InstanceGroup(
            name: "measured", hashing: .ports, seed: seed,
            members: weights.enumerated().map { GroupMember(name: "instance-\($0 + 1)", weight: $1) })
    }

    private static func flows(_ count: Int, _ seed: UInt64) -> [FlowFields] {
        (0..<count).map { index in
            let first = Layout.mix(seed &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15)
            let second = Layout.mix(first)
            var flow = FlowFields()
            flow.source = IPAddress(ipv4: UInt32(truncatingIfNeeded: first))
            flow.destination = IPAddress(ipv4: 0xCB00_7100 | UInt32(truncatingIfNeeded: first >> 56))
            flow.protocolNumber = 6
            flow.hasPorts = true
            flow.sourcePort = UInt16(truncatingIfNeeded: second)
            flow.destinationPort = [80, 443, 8080, 5432][Int(second >> 62)]
            return flow
        }
    }

    private static func owners(of packets: [FlowFields], in group: InstanceGroup) -> [Int] {
        let slots = group.slots()
        return packets.map { Int(slots.owners[$0.slot(group.hashing, seed: group.seed)]) }
    }

    private static func movement(
        _ change: Change, _ member: Int, _ before: [Int], _ after: [Int]
    ) -> Movement {
        var (concerned, others) = (0, 0)
        for (old, new) in zip(before, after) where old != new {
            if old == member || new == member { concerned += 1 } else { others += 1 }
        }
        let all = Double(Swift.max(1, before.count))
        return Movement(change: change, concerned: Double(concerned) / all, others: Double(others) / all)
    }
}
