import Forwarding
import Reporting
import Wire

/// How the instances of an application divide its work.
public enum Redundancy: String, Sendable, Codable, Hashable, CaseIterable {
    /// The first ones by priority work, the others wait.
    case activeStandby = "active-standby"
    /// All work, each on flows of its own.
    case balance
    /// Each gets every packet, as passive applications do.
    case copies
}

/// The fate of packets for an application without a working instance.
public enum DownPolicy: String, Sendable, Codable, Hashable, CaseIterable {
    /// Spare instances take over; with none left the packets are dropped.
    case spare
    /// The application is left out, the rest of the chain is not.
    case bypass
    /// It and all applications after it but the last are left out.
    case skipRest = "skip-rest"
    /// The packets are dropped.
    case drop
}

/// An application whose health Tapline looks after: with its instances, or as the one instance of itself.
public struct ApplicationPlan: Sendable, Hashable {
    /// The name in the file.
    public var name: String
    /// Where it is described: a line of the file, or a record.
    public var origin: SourceOrigin
    /// Its type, in the file's words.
    public var type: String?
    /// How its instances divide the work.
    public var redundancy: Redundancy
    /// Its instances in the order of the file.
    public var instances: [InstancePlan]
    /// The checks that decide whether an instance is healthy, beside its process and its links.
    public var health: [HealthCheckPlan]
    /// The damping that keeps a flapping instance out; nil: none.
    public var damping: DampingPlan?
    /// The fate of its packets when it is down.
    public var whenDown: DownPolicy
    /// How long a drained instance keeps flows whose start cannot be seen (everything but TCP), in milliseconds.
    public var drainTime: Int
    /// When instances are added and removed by themselves; nil: never.
    public var scale: ScalePlan?

    /// Memberwise.
    public init(
        name: String, origin: SourceOrigin, type: String? = nil, redundancy: Redundancy, instances: [InstancePlan],
        health: [HealthCheckPlan] = [], damping: DampingPlan? = DampingPlan(), whenDown: DownPolicy = .drop,
        drainTime: Int = 30_000, scale: ScalePlan? = nil
    ) {
        self.name = name
        self.origin = origin
        self.type = type
        self.redundancy = redundancy
        self.instances = instances
        self.health = health
        self.damping = damping
        self.whenDown = whenDown
        self.drainTime = drainTime
        self.scale = scale
    }
}

/// One instance: a node, and its place in the table.
public struct InstancePlan: Sendable, Hashable {
    /// The node.
    public var node: String
    /// The index of its group in the table, and its index among the group's members.
    public var group: Int
    /// See `group`.
    public var member: Int

    /// Memberwise.
    public init(node: String, group: Int, member: Int) {
        self.node = node
        self.group = group
        self.member = member
    }
}

/// One way to look whether an instance is healthy, and when to believe it.
public struct HealthCheckPlan: Sendable, Hashable {
    /// The probe of a check.
    public enum Probe: Sendable, Hashable {
        /// A neighbour on its leg answers for its address: ARP for IPv4, neighbour discovery for IPv6. nil: each
        /// instance's own address there (`NodePlan.probedAddress`).
        case neighbour(leg: Int, address: IPAddress?)
        /// An ICMP echo to an address of its leg is answered there; nil as with `neighbour`.
        case echo(leg: Int, address: IPAddress?)
        /// A TCP connection inside the node.
        case tcp(address: IPAddress, port: UInt16)
        /// A GET inside the node, answered with the status, and with a body that contains the given text, if any.
        case http(address: IPAddress, port: UInt16, path: String, host: String, status: Int, body: String?)
        /// A shell command inside the node that exits with status 0.
        case command(String)
        /// Something that is asked inside the node.
        case question(NodeQuestion)
        /// A packet through the node, from one leg to the other.
        case heartbeat(HeartbeatPlan)
    }
    /// Its name in messages: `heartbeat`, `tcp 80`.
    public var name: String
    /// Where it is written: a line of the file, or a record. A default has the place of its application.
    public var origin: SourceOrigin
    /// The probe.
    public var probe: Probe
    /// The time between two, in milliseconds: 10 or more.
    public var interval: Int
    /// The time between two checks while the instance is in doubt, in milliseconds. It is in doubt if it counts as up
    /// and one check failed, or counts as down and one succeeded.
    public var fastInterval: Int
    /// How long an answer may take, in milliseconds.
    public var timeout: Int
    /// Successes in a row that make it up.
    public var rise: Int
    /// Failures in a row that make it down.
    public var fall: Int
    /// Of a probe that differs from instance to instance: the probe of each, by its node. Empty: all have the same one.
    public var ownProbes: [String: Probe] = [:]

    /// The same with the probe of one instance.
    public func of(instance node: String) -> HealthCheckPlan {
        var plan = self
        plan.probe = ownProbes[node] ?? probe
        plan.ownProbes = [:]
        return plan
    }

    /// Memberwise.
    public init(
        name: String, origin: SourceOrigin, probe: Probe, interval: Int, fastInterval: Int, timeout: Int, rise: Int,
        fall: Int
    ) {
        self.name = name
        self.origin = origin
        self.probe = probe
        self.interval = interval
        self.fastInterval = fastInterval
        self.timeout = timeout
        self.rise = rise
        self.fall = fall
    }
}

/// A packet that is sent into the `in` leg of an instance and expected at its `out` leg; its answer goes the other way.
/// It ends in the appliance's token, by which the engine knows it everywhere.
public struct HeartbeatPlan: Sendable, Hashable {
    /// The upper-layer protocol.
    public enum Kind: Sendable, Hashable {
        /// Echo request and reply.
        case icmp
        /// A datagram and one with the ports exchanged.
        case udp(source: UInt16, destination: UInt16)
    }
    /// True if it must *not* come out: an instance that lets it through has failed.
    public var isNegative: Bool
    /// The upper-layer protocol.
    public var kind: Kind
    /// The source of the packet that goes in, which is the destination of the packet that goes back.
    public var source: IPAddress
    /// The destination.
    public var destination: IPAddress
    /// Octets of the network-layer packet, padded to these: up to 242.
    public var size: Int
    /// IPv4's time to live, IPv6's hop limit.
    public var hopLimit: Int
    /// IPv4's type of service, IPv6's traffic class.
    public var trafficClass: Int

    /// Memberwise.
    public init(
        isNegative: Bool = false, kind: Kind = .icmp, source: IPAddress, destination: IPAddress, size: Int = 84,
        hopLimit: Int = 64, trafficClass: Int = 0
    ) {
        self.isNegative = isNegative
        self.kind = kind
        self.source = source
        self.destination = destination
        self.size = size
        self.hopLimit = hopLimit
        self.trafficClass = trafficClass
    }
}

/// Keeps a flapping instance out (as route flap damping does, RFC 2439). Each time the instance goes down it earns a
/// penalty of 1,000, which halves with time.
public struct DampingPlan: Sendable, Hashable {
    /// Above this it is kept down, however healthy.
    public var suppress: Int
    /// Below this it may come back.
    public var reuse: Int
    /// In milliseconds.
    public var halfLife: Int

    /// Memberwise. Four falls within a few seconds suppress; some 15 s of calm later it may come back.
    public init(suppress: Int = 3_500, reuse: Int = 1_000, halfLife: Int = 8_000) {
        self.suppress = suppress
        self.reuse = reuse
        self.halfLife = halfLife
    }
}

/// When an application gets one instance more, built as its others are, and when one goes that came so.
public struct ScalePlan: Sendable, Hashable {
    /// Packets per second and instance that reach its first leg, above which one more instance is needed; nil: no
    /// limit.
    public var rate: Int?
    /// Percent of one processor that an instance's processes use, above which one more instance is needed; nil: no
    /// limit.
    public var processor: Int?
    /// How long it must be so, in milliseconds, before anything is done.
    public var patience: Int
    /// The most instances that there may be.
    public var most: Int

    /// Memberwise.
    public init(rate: Int? = nil, processor: Int? = nil, patience: Int = 5_000, most: Int) {
        self.rate = rate
        self.processor = processor
        self.patience = patience
        self.most = most
    }
}

/// The packeting engines of a topology.
public struct EnginesPlan: Sendable, Hashable {
    /// How engines share the load.
    public enum Sharing: String, Sendable, Codable, Hashable, CaseIterable {
        /// Each has queues of every TAP, among which the kernel divides flows.
        case queues
        /// One engine takes the interfaces on which requests come in, the other the interfaces on which answers do.
        case direction
    }
    /// How a batch of frames is written.
    public enum Writing: String, Sendable, Codable, Hashable, CaseIterable {
        /// By io_uring if the kernel lets the engine, else one by one.
        case automatic = "auto"
        /// With io_uring: one system call for all writes of a batch.
        case ring = "io_uring"
        /// One system call for each write.
        case plain = "write"
    }
    /// The behaviour of an idle engine.
    public enum Latency: String, Sendable, Codable, Hashable, CaseIterable {
        /// It sleeps at once.
        case normal
        /// It looks for more frames for a bounded time first.
        case low
    }
    /// Their number: 1…16; 2 if they share by direction.
    public var count: Int
    /// The workers of each.
    public var workers: Int
    /// How they share the load.
    public var sharing: Sharing
    /// For each interface, the engine that takes it (0 or 1), if the engines share by direction; else empty.
    public var engineOfInterface: [Int]
    /// How each writes frames.
    public var writing: Writing
    /// Whether each coalesces frames of one flow that it finds in one batch.
    public var coalesces: Bool
    /// The behaviour of each engine when it is idle.
    public var latency: Latency

    /// Memberwise.
    public init(
        count: Int = 1, workers: Int = 1, sharing: Sharing = .queues, engineOfInterface: [Int] = [],
        writing: Writing = .automatic, coalesces: Bool = true, latency: Latency = .normal
    ) {
        self.count = count
        self.workers = workers
        self.sharing = sharing
        self.engineOfInterface = engineOfInterface
        self.writing = writing
        self.coalesces = coalesces
        self.latency = latency
    }

    /// The queues of each TAP.
    public var queues: Int { sharing == .queues ? count * workers : workers }
}
