/// Numbered packets that a check sends one after another, at a rate.
public struct ProbeTrainPlan: Sendable, Hashable {
    /// One of them. Their payload numbers them; of TCP, the sequence number does.
    public var packet: PacketPlan
    /// From one packet to the next, in nanoseconds.
    public var interval: UInt64
    /// The flows that the packets belong to: as many source ports, or identifiers of echo requests.
    public var flows: Int

    /// The rates that can be written, in packets a second.
    public static let rates = 1...10_000
    /// The most flows: each has a source port of its own.
    public static let mostFlows = 8_192

    /// Memberwise.
    public init(packet: PacketPlan, interval: UInt64, flows: Int) {
        self.packet = packet
        self.interval = interval
        self.flows = flows
    }
}

/// What may become of the packets of a train; nil: anything.
public struct TrainExpectation: Sendable, Hashable {
    /// The packets that did not arrive.
    public var lost: NumberExpectation?
    /// The packets that arrived behind one of their flow that was sent later (RFC 4737).
    public var reordered: NumberExpectation?
    /// The packets that arrived again.
    public var duplicated: NumberExpectation?

    /// Memberwise.
    public init(lost: NumberExpectation?, reordered: NumberExpectation?, duplicated: NumberExpectation?) {
        self.lost = lost
        self.reordered = reordered
        self.duplicated = duplicated
    }
}

/// Packets that a check sends to measure their paths.
public struct PathPlan: Sendable, Hashable {
    /// What is known of the times of all packets together.
    public enum Figure: String, Sendable, Hashable, CaseIterable {
        /// Half of the packets took no longer.
        case p50
        /// Nine tenths of them did not.
        case p90
        /// 99 % of them did not.
        case p99
        /// 99.9 % of them did not.
        case p999 = "p99.9"
        /// None did.
        case max
    }
    /// How long packets may be inside a node.
    public struct TimeBound: Sendable, Hashable {
        /// The node's or application's name; nil: the engine, all hops together.
        public var node: String?
        /// Which packets are meant.
        public var figure: Figure
        /// The expected time.
        public var time: TimeExpectation

        /// Memberwise.
        public init(node: String?, figure: Figure, time: TimeExpectation) {
            self.node = node
            self.figure = figure
            self.time = time
        }
    }
    /// The packets.
    public var train: ProbeTrainPlan
    /// How many of them are sent.
    public var count: Int
    /// What may become of them.
    public var expectation: TrainExpectation
    /// The number of distinct paths; nil: any.
    public var paths: NumberExpectation?
    /// The ways that the packets must take, each of them, and no others: the nodes that pass them on and the one that ends
    /// them; empty: any.
    public var through: [[String]]
    /// The times inside nodes.
    public var within: [TimeBound]
    /// The instances that `through` and `within` mean by the name of their application: any one of them.
    public var standIns: [String: String]

    /// How many packets can be sent.
    public static let counts = 1...100_000
    /// The most distinct paths that are told apart.
    public static let mostPaths = 256

    /// Memberwise.
    public init(
        train: ProbeTrainPlan, count: Int, expectation: TrainExpectation, paths: NumberExpectation?,
        through: [[String]],
        within: [TimeBound], standIns: [String: String]
    ) {
        self.train = train
        self.count = count
        self.expectation = expectation
        self.paths = paths
        self.through = through
        self.within = within
        self.standIns = standIns
    }
}

/// Packets that a check sends while its steps break something, to measure how long nothing arrives.
public struct OutagePlan: Sendable, Hashable {
    /// The packets.
    public var train: ProbeTrainPlan
    /// The steps, while which they are sent.
    public var steps: [StepPlan]
    /// What may become of them.
    public var expectation: TrainExpectation
    /// The longest time in which nothing arrived; nil: any.
    public var longestGap: TimeExpectation?
    /// True: an answer is an arrival; false: reaching the end of the chain is; nil: answers count if the packets before
    /// the steps were answered.
    public var countsAnswers: Bool?
    /// How long packets are sent after the steps, in milliseconds.
    public var settle: Int

    /// The most packets that can be sent.
    public static let mostPackets = 500_000
    /// How long packets are sent before the steps, in milliseconds.
    public static let lead = 300

    /// Memberwise.
    public init(
        train: ProbeTrainPlan, steps: [StepPlan], expectation: TrainExpectation, longestGap: TimeExpectation?,
        countsAnswers: Bool?, settle: Int
    ) {
        self.train = train
        self.steps = steps
        self.expectation = expectation
        self.longestGap = longestGap
        self.countsAnswers = countsAnswers
        self.settle = settle
    }
}
