import Reporting

/// The progress of a command. It travels from a detached control process to the command that started it.
public enum Progress: Codable, Sendable {
    /// The current step.
    case step(String)
    /// A line that stays on the screen: a warning, or a repair.
    case note(String)
    /// A check has ended.
    case check(CheckReport)
    /// All is up.
    case ready(ReadyReport)
    /// Every check has ended, and the topology stays up until it is taken away.
    case kept
    /// It ends with this error, and everything has been taken away.
    case failed(ApplianceError)
}

/// The topology that is up.
public struct ReadyReport: Codable, Sendable {
    /// Its name.
    public var name: String
    /// How many nodes there are.
    public var nodes: Int
    /// How many interfaces there are.
    public var interfaces: Int
    /// How many entries the table has.
    public var entries: Int
    /// How long it took.
    public var time: Milliseconds
    /// The addresses of the nodes, then of the services, in the order of the file.
    public var places: [Place]?

    /// Memberwise.
    package init(name: String, nodes: Int, interfaces: Int, entries: Int, time: Duration, places: [Place]? = nil) {
        self.name = name
        self.nodes = nodes
        self.interfaces = interfaces
        self.entries = entries
        self.time = Milliseconds(time)
        self.places = places
    }

    private enum CodingKeys: String, CodingKey {
        case name, nodes, interfaces, entries, places
        case time = "milliseconds"
    }

    /// A node or a service, with its addresses.
    public struct Place: Codable, Sendable, Hashable {
        /// Its name.
        public var name: String
        /// `customer`, `router`, `service`, or an application's type.
        public var kind: String
        /// Its network addresses, or a service's prefixes.
        public var addresses: [String]
        /// A service's ports as the file has them; none: every one.
        public var ports: [String]

        /// Memberwise.
        package init(name: String, kind: String, addresses: [String], ports: [String]) {
            self.name = name
            self.kind = kind
            self.addresses = addresses
            self.ports = ports
        }
    }
}

/// How a check ended.
public struct CheckReport: Codable, Sendable {
    /// In the file's words.
    public var name: String
    /// The line of the file, from 1; 0 for a record.
    public var line: Int
    /// The included file that the line is in; nil: the topology file.
    public var file: String?
    /// The record that it is written in; nil: it is written in the file.
    public var record: SourceRecord?
    /// Whether it held.
    public var passed: Bool
    /// How long it took.
    public var time: Milliseconds
    /// The expectation that did not hold.
    public var expected: String?
    /// The actual result, bounded.
    public var came: [String]
    /// Evidence that may explain a failure: the ends of logs, counters, captures.
    public var evidence: [Evidence] = []
    /// What its packets measured, whether it held or not.
    public var measured: [CheckMeasurement] = []

    /// Memberwise.
    package init(
        name: String, origin: SourceOrigin, passed: Bool, time: Duration, expected: String? = nil, came: [String],
        evidence: [Evidence] = [], measured: [CheckMeasurement] = []
    ) {
        self.name = name
        line = origin.lineNumber
        file = origin.position?.file
        record = origin.record
        self.passed = passed
        self.time = Milliseconds(time)
        self.expected = expected
        self.came = came
        self.evidence = evidence
        self.measured = measured
    }

    /// Where it is written: `line 7`, `line 7 of common.yaml`, or `check record 17`.
    public var place: String { record?.name ?? "line \(line)" + (file.map { " of \($0)" } ?? "") }

    private enum CodingKeys: String, CodingKey {
        case name, line, file, record, passed, expected, came, evidence, measured
        case time = "milliseconds"
    }

    /// One thing that may explain why a check did not hold.
    public struct Evidence: Codable, Sendable {
        /// Its title: `log of firewall`, `drops`.
        public var title: String
        /// Its lines, bounded.
        public var lines: [String]
        /// True for the way of one packet.
        package var isTrace: Bool { title.hasPrefix("trace of ") }

        /// Memberwise.
        public init(title: String, lines: [String]) {
            self.title = title
            self.lines = lines
        }
    }
}

/// Takes the progress; called from any thread.
public typealias ProgressSink = @Sendable (Progress) -> Void
