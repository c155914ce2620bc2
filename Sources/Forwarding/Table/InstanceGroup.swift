/// What of a packet decides which instance of a group gets it. Whatever is chosen, both directions of a flow agree.
public enum FlowHashing: UInt8, Sendable, Hashable, CaseIterable {
    /// The two addresses and the protocol: every fragment goes where its datagram's others go, and all that two hosts
    /// say to each other meets one instance.
    case addresses
    /// The ports too, of protocols that do not leave fragmenting to IP (TCP, SCTP, DCCP); of others as `addresses`.
    case sessions
    /// The ports too, wherever a packet has them; what comes in fragments goes by its addresses.
    case ports
}

/// Whether an instance takes packets.
public enum Availability: UInt8, Sendable, Hashable {
    /// It takes its share.
    case up
    /// It has just come, or come back: it gets new TCP connections, and what the others have is left to them.
    case joining
    /// It keeps what it has, and gets no new TCP connections where another instance can take them.
    case draining
    /// It gets nothing.
    case down
}

/// One instance of a group.
public struct GroupMember: Hashable, Sendable {
    /// The instance's node; with the group's seed it decides which flows are its own, whoever else is there.
    public var name: String
    /// Its share of the flows beside the others' weights: 0…1,000.
    public var weight: Int
    /// Where only some are active: the higher ones are. Between equals the order of the file decides.
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

/// Instances of one application, of which each packet meets one.
public struct InstanceGroup: Hashable, Sendable {
    /// The application.
    public var name: String
    /// What of a packet decides.
    public var hashing: FlowHashing
    /// Groups of different seeds share the same flows differently.
    public var seed: UInt64
    /// How many are active at once, the others being spares; nil: all.
    public var active: Int?
    /// Fewer that are not down than these, and the group is down; at least 1.
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

    /// True where too few instances are left.
    public var isDown: Bool {
        members.count { $0.availability != .down } < max(1, minimum)
    }
}

/// What the sender of a packet is told where an application that is down takes no more.
public enum DownAnswer: UInt8, Sendable, Hashable, CaseIterable {
    /// Nothing.
    case silence
    /// ICMP: the host cannot be reached (IPv4 type 3 code 1, IPv6 type 1 code 3).
    case unreachable
    /// To a TCP segment a reset, to all else as `unreachable`.
    case reset
}

/// Where an entry sends: a copy each.
public indirect enum Hop: Hashable, Sendable {
    /// To one place.
    case target(SendTarget)
    /// To the instance of a group that the packet belongs to.
    ///
    /// - Parameters:
    ///   - group: The index of the group in the table.
    ///   - targets: One for each member, in their order.
    ///   - otherwise: What happens where the group is down.
    case instance(group: Int, targets: [SendTarget], otherwise: Otherwise)
    /// One way while a group is not down, and another while it is.
    case whether(group: Int, up: [Hop], down: [Hop])

    /// What happens to a copy for a group that is down.
    public enum Otherwise: Hashable, Sendable {
        /// It is dropped, and its sender told so or not.
        case drop(DownAnswer)
        /// It goes elsewhere; nowhere where the list is empty, which is no drop.
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
}
