/// Asks how everything is.
package struct StatusRequest: ControlCommand {
    package typealias Answer = StatusReport
    package typealias CodingKeys = NoKeys

    package init() {}

    package var request: ControlRequest { .status(self) }
}

/// The output of `tapline status --json` for one topology. The keys are stable.
public struct StatusReport: Codable, Sendable {
    /// The state of a topology as a whole.
    public enum State: String, Codable, Sendable {
        case starting
        case up
        case stopping
        /// The control process is gone; `down` takes away its leftovers.
        case dead
        /// The control process is there and does not answer; `down` ends it.
        case hung
    }
    /// The packeting engine; several engines are shown as one.
    public struct Engine: Codable, Sendable {
        /// The first one's; nil while there is none.
        public var pid: Int32?
        /// `running` if all are; else the state of the first that is not, as in `NumberedEngine`.
        public var state: String
        /// How often a process has begun to serve as an engine, summed.
        public var starts: Int
        /// How the last one ended.
        public var lastEnd: String?
        /// The number of workers, summed.
        public var workers: Int
        /// Tables published since the first.
        public var tables: Int
        /// How all engines write frames: `io_uring` or `write`. If they differ, it is the slower way; nil before that
        /// is known.
        public var writes: String?
        /// The reason why it writes frames one by one, if the file asks for neither way.
        public var writesBecause: String?
        /// Whether frames of one flow that are found together are coalesced.
        public var coalescing: Bool
        /// The number of frames that were coalesced with frames before them.
        public var joined: UInt64
        /// Queues of devices that were deleted under an engine, which reads them no longer.
        public var closedQueues: UInt64
        /// How often workers have gone round: once for each time that there was something to do.
        public var turns: UInt64
        /// `normal` or `low`.
        public var latency: String

        /// Memberwise.
        package init(
            pid: Int32? = nil, state: String, starts: Int, lastEnd: String? = nil, workers: Int, tables: Int,
            writes: String? = nil, writesBecause: String? = nil, coalescing: Bool, joined: UInt64, closedQueues: UInt64,
            turns: UInt64, latency: String
        ) {
            self.pid = pid
            self.state = state
            self.starts = starts
            self.lastEnd = lastEnd
            self.workers = workers
            self.tables = tables
            self.writes = writes
            self.writesBecause = writesBecause
            self.coalescing = coalescing
            self.joined = joined
            self.closedQueues = closedQueues
            self.turns = turns
            self.latency = latency
        }
    }
    /// One of the packeting engines.
    public struct NumberedEngine: Codable, Sendable {
        /// From 1.
        public var number: Int
        /// nil while there is none.
        public var pid: Int32?
        /// `running`, `starting`, `draining`, `drained`, `replacing`, or `waiting`. It is `waiting` if it died so often
        /// that the next start waits.
        public var state: String
        /// The queue sets that it reads, from 0: its own, and the sets of engines that read none.
        public var queues: [Int]
        /// Packets that its process has received so far.
        public var packets: UInt64
        /// How often a process has begun to serve as this engine.
        public var starts: Int
        /// How the one before ended.
        public var lastEnd: String?
        /// `io_uring` or `write`: how it writes frames; nil before that is known.
        public var writes: String?
        /// The reason why it writes frames one by one, if the file asks for neither way.
        public var writesBecause: String?

        /// Memberwise.
        package init(
            number: Int, pid: Int32? = nil, state: String, queues: [Int], packets: UInt64, starts: Int,
            lastEnd: String? = nil, writes: String? = nil, writesBecause: String? = nil
        ) {
            self.number = number
            self.pid = pid
            self.state = state
            self.queues = queues
            self.packets = packets
            self.starts = starts
            self.lastEnd = lastEnd
            self.writes = writes
            self.writesBecause = writesBecause
        }
    }
    /// One claimed interface.
    public struct Interface: Codable, Sendable {
        /// Its name.
        public var name: String
        /// The engine's MAC address on it.
        public var mac: String
        /// The largest network-layer packet, in octets.
        public var mtu: Int
        /// The engine's addresses on it.
        public var addresses: [String]
        /// The nodes on it.
        public var nodes: [String]
        /// Packets that came from its nodes.
        public var receivedPackets: UInt64
        /// Octets of the frames that came from its nodes.
        public var receivedBytes: UInt64
        /// Packets sent to its nodes.
        public var sentPackets: UInt64
        /// Octets of the frames sent to its nodes.
        public var sentBytes: UInt64
        /// Frames from its nodes that found the TAP's ring full: the kernel dropped them before the engine read them.
        public var ringDrops: UInt64
        /// The device of the machine that is bound to it.
        public var device: String?
        /// Why that device carries nothing; nil while it does.
        public var deviceFault: String?
        /// The headers before its packets: `vlan 100`; nil if it is no circuit.
        public var encapsulation: String?
        /// The interface whose device has its frames, if it is a circuit.
        public var carrier: String?

        /// Memberwise.
        package init(
            name: String, mac: String, mtu: Int, addresses: [String], nodes: [String], receivedPackets: UInt64,
            receivedBytes: UInt64, sentPackets: UInt64, sentBytes: UInt64, ringDrops: UInt64, device: String? = nil,
            deviceFault: String? = nil, encapsulation: String? = nil, carrier: String? = nil
        ) {
            self.name = name
            self.mac = mac
            self.mtu = mtu
            self.addresses = addresses
            self.nodes = nodes
            self.receivedPackets = receivedPackets
            self.receivedBytes = receivedBytes
            self.sentPackets = sentPackets
            self.sentBytes = sentBytes
            self.ringDrops = ringDrops
            self.device = device
            self.deviceFault = deviceFault
            self.encapsulation = encapsulation
            self.carrier = carrier
        }
    }
    /// A node's device.
    public struct Leg: Codable, Sendable {
        /// The interface that it is on.
        public var interface: String
        /// Its name in the file, or `port` for a node with one leg.
        public var role: String
        /// Its name inside the node.
        public var device: String
        /// Its MAC address.
        public var mac: String
        /// Its network addresses.
        public var addresses: [String]
        /// The headers before its packets: `vlan 100`; nil if the interface is no circuit.
        public var encapsulation: String?

        /// Memberwise.
        package init(
            interface: String, role: String, device: String, mac: String, addresses: [String],
            encapsulation: String? = nil
        ) {
            self.interface = interface
            self.role = role
            self.device = device
            self.mac = mac
            self.addresses = addresses
            self.encapsulation = encapsulation
        }
    }
    /// One of a node's programs beside its `run` command.
    public struct Program: Codable, Sendable {
        /// Its name in the file.
        public var name: String
        /// As a node's.
        public var state: String
        /// The process number of its command in the host's namespace.
        public var pid: Int32?
        /// How often its command was started again.
        public var restarts: Int
        /// How its command last ended.
        public var lastEnd: String?

        /// Memberwise.
        package init(name: String, state: String, pid: Int32? = nil, restarts: Int, lastEnd: String? = nil) {
            self.name = name
            self.state = state
            self.pid = pid
            self.restarts = restarts
            self.lastEnd = lastEnd
        }
    }
    /// One node.
    public struct Node: Codable, Sendable {
        /// Its name.
        public var name: String
        /// `customer`, `application` or `router`.
        public var kind: String
        /// The application's type in the file.
        public var type: String?
        /// The network namespace, as `ip netns` shows it. Of an attached node: where the file says that it is.
        public var namespace: String
        /// True if somebody else made the namespace.
        public var isAttached: Bool
        /// Why the namespace, which somebody else made, is gone; nil while it is there.
        public var absence: String?
        /// `idle` (nothing runs in it), `waiting`, `setup`, `starting`, `ready`, `restarting`, `ended`, `failed`.
        public var state: String
        /// The process number of its `run` command in the host's namespace.
        public var pid: Int32?
        /// How often its `run` command was started again.
        public var restarts: Int
        /// How its `run` command last ended.
        public var lastEnd: String?
        /// Its programs beside the `run` command.
        public var programs: [Program]
        /// Its devices.
        public var legs: [Leg]

        /// Memberwise.
        package init(
            name: String, kind: String, type: String? = nil, namespace: String, isAttached: Bool = false,
            absence: String? = nil, state: String, pid: Int32? = nil, restarts: Int, lastEnd: String? = nil,
            programs: [Program] = [], legs: [Leg]
        ) {
            self.name = name
            self.kind = kind
            self.type = type
            self.namespace = namespace
            self.isAttached = isAttached
            self.absence = absence
            self.state = state
            self.pid = pid
            self.restarts = restarts
            self.lastEnd = lastEnd
            self.programs = programs
            self.legs = legs
        }
    }
    /// Frames dropped for one reason.
    public struct Drop: Codable, Sendable {
        /// The reason's stable name.
        public var reason: String
        /// The event, as one sentence for a person.
        public var sentence: String
        /// How many.
        public var frames: UInt64
        /// The last dropped frame that could be read.
        public var last: Dropped?

        /// Memberwise.
        package init(reason: String, sentence: String, frames: UInt64, last: Dropped? = nil) {
            self.reason = reason
            self.sentence = sentence
            self.frames = frames
            self.last = last
        }
    }

    /// A frame that was dropped: its sender, and its content in short.
    public struct Dropped: Codable, Sendable, Hashable {
        /// The node that it came from; nil if no node has its Ethernet source.
        public var node: String?
        /// Its Ethernet source.
        public var mac: String
        /// The interface that it came in on.
        public var interface: String
        /// The packet's source. For ARP and neighbour discovery, the address that the sender claims.
        public var source: String?
        /// The packet's destination. For ARP and neighbour discovery, the address that the message is about.
        public var destination: String?

        /// Memberwise.
        package init(
            node: String? = nil, mac: String, interface: String, source: String? = nil, destination: String? = nil
        ) {
            self.node = node
            self.mac = mac
            self.interface = interface
            self.source = source
            self.destination = destination
        }
    }

    /// The version of this format.
    public var version = 1
    /// Its name.
    public var name: String
    /// How it is.
    public var state: State
    /// This run's identity, as in the ownership marks.
    public var run: String
    /// The topology file.
    public var file: String
    /// The control process.
    public var pid: Int32?
    /// Seconds since 1970.
    public var since: Int
    /// The packeting engine; nil if there is none.
    public var engine: Engine?
    /// Each of the packeting engines.
    public var engines: [NumberedEngine] = []
    /// The applications whose health Tapline looks after, in the order of the file.
    public var applications: [Application] = []
    /// The claimed interfaces.
    public var interfaces: [Interface]
    /// The nodes, in the order of the plan.
    public var nodes: [Node]
    /// The reasons that have counted anything.
    public var drops: [Drop]
    /// Frames that are in no reason of `drops`: the frames that every kernel sends by itself (router solicitations, MLD
    /// and IGMP reports, duplicate address detection).
    public var housekeeping: UInt64? = nil
    /// The impaired links.
    public var impairments: [Impairment]? = nil
    /// The groups that nodes join; nil if there are none.
    public var groups: [Group]? = nil
    /// The management address; nil: there is none.
    public var management: Management? = nil
    /// How many service ports applications asked for and have; nil: none may ask.
    public var mappings: Int? = nil
    /// Differences from the built state, one sentence with its hint each: a device that is gone, a namespace without a
    /// name.
    public var problems: [String] = []
    /// Parts that work, but not as well as they could, one sentence each.
    public var remarks: [String] = []

    /// The report of a topology whose state cannot be read.
    public init(unreadable name: String) {
        self.name = name
        state = .dead
        run = ""
        file = ""
        since = 0
        interfaces = []
        nodes = []
        drops = []
        problems = ["its state cannot be read; 'tapline down \(name)' takes away everything with its mark"]
    }

    /// Memberwise.
    public init(
        name: String, state: State, run: String, file: String, pid: Int32?, since: Int, engine: Engine?,
        interfaces: [Interface], nodes: [Node], drops: [Drop]
    ) {
        self.name = name
        self.state = state
        self.run = run
        self.file = file
        self.pid = pid
        self.since = since
        self.engine = engine
        self.interfaces = interfaces
        self.nodes = nodes
        self.drops = drops
    }
}
