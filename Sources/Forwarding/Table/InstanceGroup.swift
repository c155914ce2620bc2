import Wire

/// The parts of a packet that decide which instance of a group gets it. Both directions of a flow always agree.
public enum FlowHashing: UInt8, Sendable, Hashable, CaseIterable {
    /// The two addresses and the protocol. All fragments of a datagram meet the same instance, and so do all packets
    /// between two hosts.
    case addresses
    /// Also the ports, for protocols that do not leave fragmenting to IP (TCP, SCTP, DCCP). For others the same as
    /// `addresses`.
    case sessions
    /// Also the ports, if a packet has them. Fragments go by their addresses.
    case ports
}

/// Whether an instance takes packets.
public enum Availability: UInt8, Sendable, Hashable {
    /// It takes its share.
    case up
    /// It has just come, or come back. It gets new TCP connections, and the others keep their existing flows.
    case joining
    /// It keeps its existing flows. It gets no new TCP connections if another instance can take them.
    case draining
    /// It gets no packets.
    case down
}

/// One instance of a group.
public struct GroupMember: Hashable, Sendable {
    /// The instance's node. With the group's seed, it decides which flows belong to the instance, whatever the other
    /// members are.
    public var name: String
    /// Its share of the flows relative to the others' weights: 0…1,000.
    public var weight: Int
    /// If only some instances are active, those with the highest priority are. Between equals, the order of the file
    /// decides.
    public var priority: Int
    /// Whether it takes packets.
    public var availability: Availability

    /// Memberwise.
    public init(name: String, weight: Int = 1, priority: Int = 100, availability: Availability = .up) {
        self.name = name
        self.weight = weight
        self.priority = priority
        self.availability = availability
    }
}

/// The instances of one application. Each packet meets one of them.
public struct InstanceGroup: Hashable, Sendable {
    /// The application.
    public var name: String
    /// The parts of a packet that decide.
    public var hashing: FlowHashing
    /// Groups of different seeds distribute the same flows differently.
    public var seed: UInt64
    /// How many instances are active at once; the others are spares. nil for all.
    public var active: Int?
    /// The least number of members that must not be down, at least 1. With fewer, the group is down.
    public var minimum: Int
    /// The instances; at most 4,096.
    public var members: [GroupMember]

    /// Memberwise.
    public init(
        name: String, hashing: FlowHashing = .sessions, seed: UInt64 = 0, active: Int? = nil, minimum: Int = 1,
        members: [GroupMember]
    ) {
        self.name = name
        self.hashing = hashing
        self.seed = seed
        self.active = active
        self.minimum = minimum
        self.members = members
    }

    /// True if too few instances are left.
    public var isDown: Bool {
        members.count { $0.availability != .down } < max(1, minimum)
    }
}

/// What the sender of a packet gets if an application is down.
public enum DownAnswer: UInt8, Sendable, Hashable, CaseIterable {
    /// No answer.
    case silence
    /// ICMP: the host cannot be reached (IPv4 type 3 code 1, IPv6 type 1 code 3).
    case unreachable
    /// A reset for a TCP segment, for all else the same as `unreachable`.
    case reset
}

/// Where an entry sends its copies, one for each hop.
public indirect enum Hop: Hashable, Sendable {
    /// To one place.
    case target(SendTarget)
    /// To the instance of a group that the packet belongs to.
    ///
    /// - Parameters:
    ///   - group: The index of the group in the table.
    ///   - targets: One for each member, in their order.
    ///   - otherwise: What happens if the group is down.
    case instance(group: Int, targets: [SendTarget], otherwise: Otherwise)
    /// One list of hops while a group is up, and another while it is down.
    case whether(group: Int, up: [Hop], down: [Hop])

    /// What happens to a copy for a group that is down.
    public enum Otherwise: Hashable, Sendable {
        /// The copy is dropped, and its sender may get an answer.
        case drop(DownAnswer)
        /// The copy goes to these hops. If the list is empty it goes nowhere, which is no drop.
        case hops([Hop])
    }

    /// Every target that a packet may go to, whatever is up or down.
    public var targets: [SendTarget] {
        switch self {
        case .target(let target): [target]
        case .instance(_, let targets, .drop): targets
        case .instance(_, let targets, .hops(let hops)): targets + hops.flatMap(\.targets)
        case .whether(_, let up, let down): (up + down).flatMap(\.targets)
        }
    }

    /// The same hop, with service ports that are translated further.
    public func shifted(by shift: PortShift) -> Hop {
        func shifted(_ target: SendTarget) -> SendTarget {
            var target = target
            target.portShift = target.portShift.then(shift)
            return target
        }
        func shifted(_ hops: [Hop]) -> [Hop] { hops.map { $0.shifted(by: shift) } }
        switch self {
        case .target(let target): return .target(shifted(target))
        case .instance(let group, let targets, .drop(let answer)):
            return .instance(group: group, targets: targets.map(shifted), otherwise: .drop(answer))
        case .instance(let group, let targets, .hops(let hops)):
            return .instance(group: group, targets: targets.map(shifted), otherwise: .hops(shifted(hops)))
        case .whether(let group, let up, let down):
            return .whether(group: group, up: shifted(up), down: shifted(down))
        }
    }
}
