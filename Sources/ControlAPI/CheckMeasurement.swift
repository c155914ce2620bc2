/// What the numbered packets of a check measured. The keys are stable; times are nanoseconds.
public struct CheckMeasurement: Codable, Sendable, Hashable {
    /// What measured.
    public enum Kind: String, Codable, Sendable, Hashable {
        case path, outage
    }

    /// A distinct path.
    public struct Path: Codable, Sendable, Hashable {
        /// `alice → ids, fw → web`.
        public var path: String
        /// The packets that took it.
        public var count: Int

        /// Memberwise.
        public init(path: String, count: Int) {
            self.path = path
            self.count = count
        }
    }

    /// The times inside one node, or the engine.
    public struct Times: Codable, Sendable, Hashable {
        /// The node; `engine` for the engine, all hops together.
        public var node: String
        /// The packets.
        public var count: UInt64
        /// Half of them took no longer.
        public var p50: UInt64
        /// 90 % of them took no longer.
        public var p90: UInt64
        /// 99 % of them took no longer.
        public var p99: UInt64
        /// 99.9 % of them took no longer.
        public var p999: UInt64
        /// The longest time.
        public var max: UInt64

        /// Memberwise.
        public init(node: String, count: UInt64, p50: UInt64, p90: UInt64, p99: UInt64, p999: UInt64, max: UInt64) {
            self.node = node
            self.count = count
            self.p50 = p50
            self.p90 = p90
            self.p99 = p99
            self.p999 = p999
            self.max = max
        }
    }

    /// What measured.
    public var kind: Kind
    /// The line of the file, from 1; 0 for a record.
    public var line: Int
    /// All of it in one line.
    public var summary: String
    /// The sender.
    public var from: String
    /// The destination.
    public var to: String
    /// True if answers counted as arrivals; false: reaching the end of the chain did.
    public var answersCount: Bool
    /// Packets that were sent.
    public var sent: Int
    /// Those that arrived.
    public var arrived: Int
    /// Those that did not.
    public var lost: Int
    /// Those that nobody can tell of.
    public var unknown: Int
    /// Those that arrived behind one of their flow that was sent later.
    public var reordered: Int
    /// Those that arrived again.
    public var duplicated: Int
    /// The longest time in which nothing arrived; of an outage alone.
    public var longestGap: UInt64?
    /// The longest time that the sender was late by.
    public var late: UInt64
    /// The distinct paths, the most frequent first, at most 32.
    public var paths: [Path]
    /// The times in each node that packets passed, and in the engine.
    public var times: [Times]

    /// Memberwise.
    public init(
        kind: Kind, line: Int, summary: String, from: String, to: String, answersCount: Bool, sent: Int, arrived: Int,
        lost: Int, unknown: Int, reordered: Int, duplicated: Int, longestGap: UInt64?, late: UInt64, paths: [Path],
        times: [Times]
    ) {
        self.kind = kind
        self.line = line
        self.summary = summary
        self.from = from
        self.to = to
        self.answersCount = answersCount
        self.sent = sent
        self.arrived = arrived
        self.lost = lost
        self.unknown = unknown
        self.reordered = reordered
        self.duplicated = duplicated
        self.longestGap = longestGap
        self.late = late
        self.paths = paths
        self.times = times
    }
}
