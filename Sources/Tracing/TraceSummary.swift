/// All traces together: each distinct path with its count, and the times in the engine and in each application.
package struct TraceSummary: Sendable {
    /// A path, and the times of the packets that took it.
    struct Path: Sendable {
        var steps: [String]
        var count: UInt64 = 0
        var guesses: UInt64 = 0
        var packets: UInt64 = 0
        var example: UInt64
        var engine = LatencyHistogram()
        var whole = LatencyHistogram()
        /// In the order of the way.
        var nodes: [(node: String, times: LatencyHistogram)] = []
    }

    /// The most paths that are told apart. All others count as one.
    package static let mostPaths = 256
    static let others = "other paths"
    private var index: [[String]: Int] = [:]
    private(set) var paths: [Path] = []
    /// The paths that were taken last, each with a trace that took it.
    private var recent: [(trace: PacketTrace, place: Int)] = []
    private static let mostRecent = 4
    private var ends: [TraceEnd.Kind: UInt64] = [:]
    private var reasons: [String: UInt64] = [:]
    private var answers: UInt64 = 0
    private var own: [RuleVerdict: UInt64] = [:]

    /// Empty.
    package init() {}

    /// Counts a trace.
    package mutating func add(_ trace: PacketTrace) {
        let place = place(of: trace)
        paths[place].count += 1
        paths[place].packets += UInt64(trace.packet.packets)
        if trace.isGuess { paths[place].guesses += 1 }
        if trace.hops.contains(where: { !$0.copies.isEmpty }) { paths[place].engine.record(trace.engineTime) }
        paths[place].whole.record(trace.took)
        if paths[place].steps != [Self.others] {
            for hop in trace.hops {
                guard let time = hop.inside else { continue }
                if let known = paths[place].nodes.firstIndex(where: { $0.node == hop.from }) {
                    paths[place].nodes[known].times.record(time)
                } else {
                    var times = LatencyHistogram()
                    times.record(time)
                    paths[place].nodes.append((hop.from, times))
                }
            }
        }
        ends[trace.end.kind, default: 0] += 1
        if let reason = trace.end.reason { reasons[reason, default: 0] += 1 }
        if trace.answers != nil { answers += 1 }
    }

    /// The index of the path that a trace took.
    private mutating func place(of trace: PacketTrace) -> Int {
        // Packets come in flows: nearly always one of the last paths is taken again.
        if let known = recent.firstIndex(where: { $0.trace.hasPath(of: trace) }) { return recent[known].place }
        let steps = trace.steps
        let known = index[steps] ?? (index.count >= Self.mostPaths ? index[[Self.others]] : nil)
        if let known {
            note(trace, known)
            return known
        }
        let new = index.count >= Self.mostPaths ? [Self.others] : steps
        paths.append(Path(steps: new, example: trace.id))
        index[new] = paths.count - 1
        note(trace, paths.count - 1)
        return paths.count - 1
    }

    private mutating func note(_ trace: PacketTrace, _ place: Int) {
        if recent.count >= Self.mostRecent { recent.removeFirst() }
        recent.append((trace, place))
    }

    /// Counts a packet that a node made itself and dropped. The engine never sees it, so it has no trace.
    package mutating func add(own verdict: RuleVerdict) {
        guard own[verdict] != nil || own.count < Self.mostPaths else { return }
        own[verdict, default: 0] += 1
    }

    /// The summary as numbers: the paths by their counts, the most frequent first.
    package func report(_ counts: PacketTracer.Counts = PacketTracer.Counts()) -> TraceSummaryReport {
        let sorted = paths.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
        return TraceSummaryReport(
            traces: paths.reduce(0) { $0 + $1.count }, answers: answers,
            ends: Dictionary(uniqueKeysWithValues: ends.map { ($0.key.rawValue, $0.value) }), drops: reasons,
            paths: sorted.map { _, path in
                TraceSummaryReport.Path(
                    path: path.steps.joined(separator: " → "), steps: path.steps, count: path.count,
                    packets: path.packets, guesses: path.guesses, example: path.example, whole: path.whole.figures,
                    engine: path.engine.figures,
                    nodes: path.nodes.map { TraceSummaryReport.NodeTimes(node: $0.node, times: $0.times.figures) })
            },
            ownDrops: own.map { TraceSummaryReport.OwnDrop(rule: $0.key, packets: $0.value) }.sorted {
                ($1.packets, $0.rule.sentence) < ($0.packets, $1.rule.sentence)
            }, counts: counts)
    }
}

/// A summary as JSON shows it. Times are nanoseconds.
package struct TraceSummaryReport: Codable, Sendable, Hashable {
    /// The times inside of one node.
    package struct NodeTimes: Codable, Sendable, Hashable {
        /// The node.
        package var node: String
        /// From the write to it to the read of what came out.
        package var times: LatencyFigures
    }

    /// A path.
    package struct Path: Codable, Sendable, Hashable {
        /// `alice → ids, fw → web`.
        package var path: String
        /// Its steps.
        package var steps: [String]
        /// The traces that took it.
        package var count: UInt64
        /// The packets of these: segments of a superframe count each.
        package var packets: UInt64
        /// The traces among them of which a part is a guess.
        package var guesses: UInt64
        /// The number of the first of these traces.
        package var example: UInt64
        /// From the first read to the last write or read.
        package var whole: LatencyFigures
        /// The time in the engine, of all hops together.
        package var engine: LatencyFigures
        /// The applications and routers in the order of the way.
        package var nodes: [NodeTimes]
    }

    /// Packets that a node made itself, and that its own nftables dropped.
    package struct OwnDrop: Codable, Sendable, Hashable {
        /// Where.
        package var rule: RuleVerdict
        /// How many.
        package var packets: UInt64
    }

    /// All traces.
    package var traces: UInt64
    /// Those that answer another one.
    package var answers: UInt64
    /// The traces by the kind of their end.
    package var ends: [String: UInt64]
    /// The dropped ones by the reason's name.
    package var drops: [String: UInt64]
    /// The distinct paths.
    package var paths: [Path]
    /// What nodes dropped of their own packets, if nftables was asked: these have no trace.
    package var ownDrops: [OwnDrop] = []
    /// What the tracer has counted.
    package var counts: PacketTracer.Counts
}
