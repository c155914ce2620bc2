import Reporting

/// Asks for a sample.
package struct SampleRequest: ControlCommand {
    package typealias Answer = Sample
    package enum CodingKeys: CodingKey, CaseIterable { case timesOneIn }

    /// Have the times in applications measured, of one flow in this many, for some minutes from now on; nil: do not.
    package var timesOneIn: Int?

    package init(timesOneIn: Int? = nil) { self.timesOneIn = timesOneIn }

    package var request: ControlRequest { .sample(self) }

    /// - Throws: `ApplianceError` if the value is out of its range.
    package func check(_ key: CodingKeys) throws(ApplianceError) {
        switch key {
        case .timesOneIn: try RequestCheck.check(timesOneIn, key, RequestRange.oneIn)
        }
    }
}

/// Everything that a topology counts, and how it is, at one moment. Status, tables, live rates and metrics come from it.
///
/// Counters never go back while the topology lives, also if engines or applications are restarted. There is one exception:
/// a counter that a change of the table, of a node or of its checks makes anew begins at 0.
public struct Sample: Codable, Sendable {
    /// Packets and octets.
    public struct Traffic: Codable, Sendable, Hashable {
        /// The number of packets.
        public var packets: UInt64
        /// Octets of their frames, from the Ethernet header on. For rules of access lists: from the network header on.
        public var bytes: UInt64

        /// Memberwise.
        public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
            self.packets = packets
            self.bytes = bytes
        }
    }

    /// The entries of one name, summed as checks do.
    public struct Entry: Codable, Sendable, Hashable {
        /// Their name.
        public var name: String
        /// `distribution` or `sequencing`.
        public var kind: String
        /// The service that they are made of; nil for entries by hand.
        public var service: String?
        /// The packets that they have taken.
        public var traffic: Traffic

        /// Memberwise.
        public init(name: String, kind: String, service: String? = nil, traffic: Traffic) {
            self.name = name
            self.kind = kind
            self.service = service
            self.traffic = traffic
        }
    }

    /// A service.
    public struct Service: Codable, Sendable, Hashable {
        /// Its name.
        public var name: String
        /// What its distribution entries have taken from customers.
        public var requests: Traffic
        /// The answers on their last hop, to customers.
        public var responses: Traffic

        /// Memberwise.
        public init(name: String, requests: Traffic = Traffic(), responses: Traffic = Traffic()) {
            self.name = name
            self.requests = requests
            self.responses = responses
        }
    }

    /// A rule of a tenant's access list, or a list's default.
    public struct AccessRule: Codable, Sendable, Hashable {
        /// The application whose packets it judges.
        public var application: String
        /// The tenant.
        public var tenant: String
        /// The tenant's number of the rule, from 1; nil for packets that match no rule.
        public var rule: Int?
        /// The packets that it decided about.
        public var traffic: Traffic

        /// Memberwise.
        public init(application: String, tenant: String, rule: Int?, traffic: Traffic = Traffic()) {
            self.application = application
            self.tenant = tenant
            self.rule = rule
            self.traffic = traffic
        }
    }

    /// The drops of an interface; its traffic is in `status`, in the same order.
    public struct InterfaceDrops: Codable, Sendable, Hashable {
        /// Packets received that were dropped.
        public var received: UInt64
        /// Packets that could not be sent.
        public var sent: UInt64

        /// Memberwise.
        public init(received: UInt64, sent: UInt64) {
            self.received = received
            self.sent = sent
        }
    }

    /// What processes use.
    public struct ProcessUse: Codable, Sendable, Hashable {
        /// Processor time in milliseconds. It never goes back: what cannot be known any more of ended processes is left out.
        public var processorMilliseconds: UInt64
        /// Resident memory in octets. Memory that processes share counts once for each.
        public var memoryBytes: UInt64
        /// How many processes.
        public var processes: Int

        /// Memberwise.
        public init(processorMilliseconds: UInt64 = 0, memoryBytes: UInt64 = 0, processes: Int = 0) {
            self.processorMilliseconds = processorMilliseconds
            self.memoryBytes = memoryBytes
            self.processes = processes
        }
    }

    /// The work of one engine, by all processes that have served as it.
    public struct Engine: Codable, Sendable, Hashable {
        /// From 1.
        public var number: Int
        /// Packets received.
        public var packets: UInt64
        /// Frames that were coalesced with frames before them.
        public var coalesced: UInt64
        /// Turns of its workers: batches of frames, and turns without one.
        public var turns: UInt64
        /// nil if nothing is known of its process.
        public var use: ProcessUse?

        /// Memberwise.
        public init(number: Int, packets: UInt64, coalesced: UInt64, turns: UInt64, use: ProcessUse? = nil) {
            self.number = number
            self.packets = packets
            self.coalesced = coalesced
            self.turns = turns
            self.use = use
        }
    }

    /// The processes of a node.
    public struct Node: Codable, Sendable, Hashable {
        /// Its name.
        public var name: String
        /// Of all processes in its PID namespace.
        public var use: ProcessUse

        /// Memberwise.
        public init(name: String, use: ProcessUse) {
            self.name = name
            self.use = use
        }
    }

    /// The time that packets spent in an instance of an application, as a histogram. Only some flows are measured, and only
    /// while somebody asks for it.
    public struct TimeInApplication: Codable, Sendable, Hashable {
        /// A bucket of the histogram.
        public struct Bucket: Codable, Sendable, Hashable {
            /// Its upper bound in nanoseconds, itself included; nil: no bound, the last bucket.
            public var atMost: UInt64?
            /// Packets in this bucket, and in no other.
            public var packets: UInt64

            /// Memberwise.
            public init(atMost: UInt64?, packets: UInt64) {
                self.atMost = atMost
                self.packets = packets
            }
        }
        /// The application.
        public var application: String
        /// The instance; an application with one instance has its name.
        public var instance: String
        /// When counting began, in microseconds since 1970.
        public var since: Int
        /// By rising bounds; the last has none.
        public var buckets: [Bucket]
        /// The sum of all times, in nanoseconds.
        public var sum: UInt64

        /// Memberwise.
        public init(application: String, instance: String, since: Int, buckets: [Bucket], sum: UInt64) {
            self.application = application
            self.instance = instance
            self.since = since
            self.buckets = buckets
            self.sum = sum
        }
    }

    /// The version of this format.
    public var version = 1
    /// When the counters were read, in microseconds since 1970.
    public var time: Int
    /// The same on a clock that never steps: rates divide by its differences. In microseconds.
    public var clock: UInt64
    /// How everything is.
    public var status: StatusReport
    /// The version of the newest table: it rises with each table that is published.
    public var tableVersion: UInt64
    /// By name in the order of the table.
    public var entries: [Entry]
    /// In the order of the file.
    public var services: [Service]
    /// In the order of `status.interfaces`.
    public var interfaces: [InterfaceDrops]
    /// Frames by every reason, also those of 0 frames and housekeeping.
    public var drops: [StatusReport.Drop]
    /// In the order of their numbers.
    public var engines: [Engine]
    /// The control process itself.
    public var control: ProcessUse?
    /// In the order of the plan.
    public var nodes: [Node]
    /// In the order of the plan. Empty if nobody has asked for these times.
    public var timesInApplications: [TimeInApplication] = []
    /// By application, tenant and order. Empty if the engines judge by no list.
    public var accessRules: [AccessRule] = []

    /// Memberwise.
    public init(
        time: Int, clock: UInt64, status: StatusReport, tableVersion: UInt64, entries: [Entry] = [],
        services: [Service] = [], interfaces: [InterfaceDrops] = [], drops: [StatusReport.Drop] = [],
        engines: [Engine] = [], control: ProcessUse? = nil, nodes: [Node] = [],
        timesInApplications: [TimeInApplication] = []
    ) {
        self.time = time
        self.clock = clock
        self.status = status
        self.tableVersion = tableVersion
        self.entries = entries
        self.services = services
        self.interfaces = interfaces
        self.drops = drops
        self.engines = engines
        self.control = control
        self.nodes = nodes
        self.timesInApplications = timesInApplications
    }
}
