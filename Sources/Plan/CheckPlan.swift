import Forwarding
import Reporting
import Wire

/// One check of the file: its name, and its steps in order.
///
/// A check that is written without `steps` has one.
public struct CheckPlan: Sendable, Hashable {
    /// Its name in the file.
    public var name: String
    /// Where it is written: a line of the file, or a record.
    public var origin: SourceOrigin
    /// Its steps, in order; the first that does not hold ends the check.
    public var steps: [StepPlan]
    /// True if the file lists the steps, so that a message has to say which of them it means.
    public var listsSteps: Bool

    /// Memberwise.
    public init(name: String, origin: SourceOrigin, steps: [StepPlan], listsSteps: Bool = false) {
        self.name = name
        self.origin = origin
        self.steps = steps
        self.listsSteps = listsSteps
    }
}

/// One step of a check.
public struct StepPlan: Sendable, Hashable {
    /// An action, or a look at something.
    public enum Action: Sendable, Hashable {
        /// A shell command inside a node: its exit status and its output (standard output and error together).
        case command(CommandPlan, CommandExpectation)
        /// A shell command that runs beside the next steps, under a name.
        case start(name: String, CommandPlan)
        /// The end of a command that was started, and its output.
        case finish(name: String, CommandExpectation)
        /// A log of a node, or a file in its folder.
        case log(LogSource, TextExpectation, CountingStart)
        /// The packets or bytes of all entries with this name.
        case entry(name: String, packets: NumberExpectation?, bytes: NumberExpectation?, CountingStart)
        /// The frames that the engine carried and dropped on an interface.
        case interface(index: Int, [InterfaceCounter: NumberExpectation], CountingStart)
        /// The frames dropped for a reason, by the reason's name.
        case drops(reason: String, frames: NumberExpectation, CountingStart)
        /// A packet, and the nodes that it and its answer must reach.
        case packet(PacketPlan)
        /// Packets whose paths, losses, order and times are measured.
        case path(PathPlan)
        /// Packets that are sent while steps break something.
        case outage(OutagePlan)
        /// Nothing, for so many milliseconds.
        case wait(Int)
        /// Captures on a node's device from now on.
        case capture(CapturePlace)
        /// The content of a capture.
        case captured(CapturePlace, FrameFilter, frames: NumberExpectation?, bytes: NumberExpectation?)
        /// How an instance of an application stands in the table, and why.
        case instance(String, InstanceExpectation)
        /// How often something happened.
        case event(EventExpectation, CountingStart)
        /// A service port that an application asked for.
        case mapping(MappingExpectation)
        /// Something breaks, is repaired, or is done as an operator does it.
        case fault(FaultPlan)
        /// A link is impaired from now on, or no more.
        case impair(ImpairmentStep)
        /// The operator asks the process that keeps tenants' records.
        case instruct(InstructionStep, CommandExpectation)
    }
    /// Where it is written: a line of the file, or a record.
    public var origin: SourceOrigin
    /// The step in a few words, for messages: `on alice: curl http://…`.
    public var summary: String
    /// Its action, or its look at something.
    public var action: Action
    /// How long it may take to hold, tried again meanwhile, in milliseconds; 0: it must hold at once.
    public var within: Int
    /// How long one try may take, in milliseconds.
    public var timeout: Int

    /// Memberwise.
    public init(
        origin: SourceOrigin, summary: String, action: Action, within: Int = 0, timeout: Int = 30_000
    ) {
        self.origin = origin
        self.summary = summary
        self.action = action
        self.within = within
        self.timeout = timeout
    }

    /// The step and, behind it, those while which it measures.
    package var withInnerSteps: [StepPlan] {
        if case .outage(let outage) = action { return [self] + outage.steps.flatMap(\.withInnerSteps) }
        return [self]
    }
}

/// A request of the operator to the process that keeps tenants' records, and where its answer goes.
public struct InstructionStep: Sendable, Hashable {
    /// `GET`, `PUT`, `POST` or `DELETE`.
    public var method: String
    /// The path, with its query.
    public var target: InstructionTarget
    /// JSON; nil: none.
    public var body: String?
    /// The node that gets the answer's body, and the file in its folder (`$TAPLINE_DIR`); nil: nobody.
    public var into: LogSource?

    /// Memberwise.
    public init(method: String, target: InstructionTarget, body: String? = nil, into: LogSource? = nil) {
        self.method = method
        self.target = target
        self.body = body
        self.into = into
    }
}

/// What has been written in a node.
public struct LogSource: Sendable, Hashable {
    /// The node's name.
    public var node: String
    /// One of its programs; nil: its own commands.
    public var program: String?
    /// A file in its folder (`$TAPLINE_DIR`) in place of a log.
    public var file: String?

    /// Memberwise.
    public init(node: String, program: String? = nil, file: String? = nil) {
        self.node = node
        self.program = program
        self.file = file
    }
}

/// From when on something is counted.
public enum CountingStart: String, Sendable, Hashable, CaseIterable {
    /// Since the topology came up.
    case start
    /// Since the check that asks began.
    case check
}

/// A shell command inside a node.
public struct CommandPlan: Sendable, Hashable {
    /// The node's name.
    public var node: String
    /// The command that `/bin/sh -c` runs.
    public var command: String
    /// True if it may change the node's links, addresses and routes and end its processes: all is put back in order
    /// when the check ends, and the check does not fail by it.
    public var alters: Bool

    /// Memberwise.
    public init(node: String, command: String, alters: Bool = false) {
        self.node = node
        self.command = command
        self.alters = alters
    }
}

extension StepPlan {
    /// The files that the step, or a step in it, looks at since the check began, each with its node.
    package var filesSinceCheck: [(node: String, file: String)] {
        switch action {
        case .log(let log, _, .check): log.file.map { [(log.node, $0)] } ?? []
        case .outage(let outage): outage.steps.flatMap(\.filesSinceCheck)
        default: []
        }
    }
}

/// The expected end and output of a command.
public struct CommandExpectation: Sendable, Hashable {
    /// The exit status; nil for any.
    public var status: NumberExpectation?
    /// Standard output and error together.
    public var output: TextExpectation

    /// Memberwise.
    public init(status: NumberExpectation? = NumberExpectation(.equal, 0), output: TextExpectation = TextExpectation())
    {
        self.status = status
        self.output = output
    }
}

/// A counter of the engine or the TAP for one interface; the raw value is the file's key.
public enum InterfaceCounter: String, Sendable, Hashable, CaseIterable {
    /// Packets from the nodes.
    case received
    /// Octets of the frames from the nodes.
    case receivedBytes = "received-bytes"
    /// Frames from the nodes that were dropped.
    case receivedDrops = "received-drops"
    /// Frames from the nodes that the kernel dropped before the engine read them.
    case ringDrops = "ring-drops"
    /// Packets to the nodes.
    case sent
    /// Octets of the frames to the nodes.
    case sentBytes = "sent-bytes"
    /// Frames to the nodes that could not be written.
    case sentDrops = "sent-drops"
}

/// A packet that a check sends, and the nodes that it and its answer must reach.
public struct PacketPlan: Sendable, Hashable {
    /// The node that sends it.
    public var from: String
    /// Its source address: the node's own, or one that the file gives.
    public var source: IPAddress
    /// Its destination.
    public var destination: IPAddress
    /// TCP (a connection's first segment), UDP, ICMP or ICMPv6 (an echo request), or another protocol without ports.
    public var protocolNumber: UInt8
    /// The destination port; 0 if the protocol has none.
    public var port: UInt16
    /// The source port; nil for an unused one.
    public var sourcePort: UInt16?
    /// Its payload; nil: octets that tell it from all other packets.
    public var payload: [UInt8]?
    /// Its length in octets with its network header; nil: as it comes out.
    public var size: Int?
    /// The TTL or hop limit.
    public var hopLimit: UInt8
    /// IPv4's DF flag.
    public var dontFragment: Bool
    /// The nodes that it reaches, and no others: stage by stage, within a stage in any order.
    public var reaches: [[String]]
    /// Whom the answer to it reaches, in the same way; nil if it does not matter.
    public var answer: [[String]]?
    /// The instances that `reaches` and `answer` mean by the name of their application: any one of them.
    public var standIns: [String: String]

    /// Memberwise.
    public init(
        from: String, source: IPAddress, destination: IPAddress, protocolNumber: UInt8, port: UInt16 = 0,
        sourcePort: UInt16? = nil, payload: [UInt8]? = nil, size: Int? = nil, hopLimit: UInt8 = 64,
        dontFragment: Bool = false, reaches: [[String]], answer: [[String]]? = nil, standIns: [String: String] = [:]
    ) {
        self.from = from
        self.source = source
        self.destination = destination
        self.protocolNumber = protocolNumber
        self.port = port
        self.sourcePort = sourcePort
        self.payload = payload
        self.size = size
        self.hopLimit = hopLimit
        self.dontFragment = dontFragment
        self.reaches = reaches
        self.answer = answer
        self.standIns = standIns
    }
}

/// A node's device on an interface, as the place of a capture.
public struct CapturePlace: Sendable, Hashable {
    /// The node's name.
    public var node: String
    /// The index of the interface in the plan.
    public var interface: Int

    /// Memberwise.
    public init(node: String, interface: Int) {
        self.node = node
        self.interface = interface
    }
}

/// The frames of a capture that count: a frame must meet every given condition.
public struct FrameFilter: Sendable, Hashable {
    /// Which way a frame passes the node's device.
    public enum Direction: String, Sendable, Hashable, CaseIterable {
        /// To the node.
        case `in`
        /// From the node.
        case out
    }
    /// The upper-layer protocol and the port of either end.
    public var port: PortSpecification?
    /// Prefixes, one of which must hold the source.
    public var source: [IPPrefix]
    /// Prefixes, one of which must hold the destination.
    public var destination: [IPPrefix]
    /// Texts that the packet's octets, its headers among them, must contain.
    public var contains: [String]
    /// Which way it passes.
    public var direction: Direction?

    /// Memberwise.
    public init(
        port: PortSpecification? = nil, source: [IPPrefix] = [], destination: [IPPrefix] = [],
        contains: [String] = [], direction: Direction? = nil
    ) {
        self.port = port
        self.source = source
        self.destination = destination
        self.contains = contains
        self.direction = direction
    }
}
