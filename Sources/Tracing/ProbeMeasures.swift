/// What checks measure with numbered packets: paths, loss, order, duplicates, gaps and times.
///
/// The sender says what it sent and when; finished traces say what became of it. So a packet that no engine has read counts
/// as well. All times are nanoseconds of the machine's monotonic clock.
package struct ProbeMeasures: Sendable {
    /// What became of a packet.
    package enum Fate: UInt8, Sendable {
        /// No engine has read it.
        case unseen
        /// It was dropped or refused, or did not come out of a node.
        case lost
        /// Records are missing, so nobody can tell.
        case unknown
        /// It reached the end of its chain, or what answered it in mid-chain.
        case arrived
    }

    /// One packet.
    struct Probe: Sendable {
        var flow: Int
        var sent: UInt64
        var fate = Fate.unseen
        var arrived: UInt64 = 0
        var answered: UInt64 = 0
        /// The places in the order of arrivals, which tell those of one time apart.
        var arrivalOrder = 0
        var answerOrder = 0
        var path: Int32 = -1
    }

    /// A path, and the packets that took it.
    package struct Path: Sendable {
        /// `alice → ids, fw → web`.
        package var path: String
        /// The nodes that passed the packets on, and the one that ended them.
        package var way: [String]
        /// The packets.
        package var count: Int
        /// The first of them.
        package var example: PacketTrace
    }

    /// The time from one packet to the next that the sender keeps to.
    package let interval: UInt64
    private(set) var probes: [Probe] = []
    private var order = 0
    private var pathIndex: [String: Int32] = [:]
    /// The distinct paths in the order of their first packets.
    package private(set) var paths: [Path] = []
    /// Packets that came out of an application, or from their sender, a second time.
    package private(set) var duplicated = 0
    /// The first packet that came again.
    package private(set) var duplicate: PacketTrace?
    /// The first packet that arrived behind a later one of its flow.
    package private(set) var late: PacketTrace?
    private var newest: [Int: Int] = [:]
    /// The times in each application and router.
    package private(set) var inside: [String: LatencyHistogram] = [:]
    /// The slowest packet in each of them.
    package private(set) var slowest: [String: PacketTrace] = [:]
    /// The time in the engine, of all hops together.
    package private(set) var engine = LatencyHistogram()
    /// From the first read to the arrival.
    package private(set) var whole = LatencyHistogram()
    /// Packets of whose traces a part is a guess.
    package private(set) var guesses = 0
    /// What other packets answered to these: `icmp port unreachable`, with their numbers.
    package private(set) var answers: [String: Int] = [:]
    /// The first traces of packets that did not arrive, and of those that nobody can tell of.
    package private(set) var examples: [PacketTrace] = []
    /// The packets whose fate is known.
    package private(set) var known = 0
    /// The packets that were answered.
    package private(set) var answered = 0

    /// The most traces that are kept of lost packets.
    private static let mostExamples = 2
    /// The most paths that are told apart.
    private let mostPaths: Int
    /// The first packet that arrived after the longest time in which none did.
    package private(set) var behindGap: PacketTrace?
    private var lastArrival: UInt64 = 0
    private var gap: UInt64 = 0

    /// - Parameters:
    ///   - interval: The time from one packet to the next that the sender keeps to.
    ///   - mostPaths: The most distinct paths that are told apart.
    package init(interval: UInt64, mostPaths: Int = 256) {
        self.interval = interval
        self.mostPaths = mostPaths
    }

    /// The packets that were sent.
    package var sent: Int { probes.count }

    /// Counts the next packet: it has the number `sent` before the call.
    package mutating func send(flow: Int, at time: UInt64) { probes.append(Probe(flow: flow, sent: time)) }

    /// When a packet was sent.
    package func time(of number: Int) -> UInt64 { probes[number].sent }

    /// Takes the trace of a packet from its sender on.
    package mutating func end(_ trace: PacketTrace, of number: Int) {
        guard probes.indices.contains(number) else { return }
        guard probes[number].path < 0 else {
            if trace.hasArrived { repeats(trace) }
            return
        }
        order += 1
        // What nobody can tell of has no path that could be compared.
        if trace.end.kind == .unknown { probes[number].path = .max } else { note(trace, number) }
        let isLate = probes[number].fate == .arrived
        if !isLate { known += 1 }
        switch trace.end.kind {
        case .unknown: if !isLate { probes[number].fate = .unknown }
        case _ where trace.hasArrived:
            let at = trace.began + (trace.end.at ?? trace.took)
            whole.record(at - trace.began)
            if !isLate {
                arrive(number, at)
                noteGap(trace, before: at)
                if late == nil, number < newest[probes[number].flow] ?? 0 { late = trace }
                newest[probes[number].flow] = max(number, newest[probes[number].flow] ?? 0)
            }
        default: if !isLate { probes[number].fate = .lost }
        }
        if probes[number].fate != .arrived, examples.count < Self.mostExamples { examples.append(trace) }
    }

    private mutating func note(_ trace: PacketTrace, _ number: Int) {
        // Whether a packet answers another one has no bearing on its path.
        if trace.end.isGuess || trace.hops.contains(where: \.isGuess) { guesses += 1 }
        for (node, time) in trace.nodeTimes {
            if time >= inside[node]?.max ?? 0 { slowest[node] = trace }
            inside[node, default: .init()].record(time)
        }
        engine.record(trace.engineTime)
        let path = trace.path
        if let index = pathIndex[path] {
            paths[Int(index)].count += 1
            probes[number].path = index
        } else if paths.count < mostPaths {
            probes[number].path = Int32(paths.count)
            pathIndex[path] = probes[number].path
            paths.append(Path(path: path, way: trace.way, count: 1, example: trace))
        } else {
            probes[number].path = Int32(mostPaths)
        }
    }

    /// Keeps the packet if a longer time without arrivals than any before ends with it.
    private mutating func noteGap(_ trace: PacketTrace, before time: UInt64) {
        defer { lastArrival = max(lastArrival, time) }
        guard lastArrival > 0, time > lastArrival, time - lastArrival > gap else { return }
        gap = time - lastArrival
        behindGap = trace
    }

    private mutating func arrive(_ number: Int, _ time: UInt64) {
        probes[number].fate = .arrived
        probes[number].arrived = time
        probes[number].arrivalOrder = order
    }

    /// Takes a later part of a packet's way: it came out of a node after its trace had ended there.
    package mutating func goOn(_ trace: PacketTrace, of number: Int) {
        guard probes.indices.contains(number), trace.hasArrived, probes[number].fate != .arrived else { return }
        order += 1
        if probes[number].path < 0 { known += 1 }
        let at = trace.began + (trace.end.at ?? trace.took)
        arrive(number, at)
        noteGap(trace, before: at)
        examples.removeAll { $0.digest != nil && $0.digest == trace.digest }
    }

    /// Takes a packet that came again.
    package mutating func repeats(_ trace: PacketTrace) {
        duplicated += 1
        if duplicate == nil { duplicate = trace }
    }

    /// Takes an answer that has reached the sender.
    ///
    /// - Parameter time: When; nil for an error or a reset, which is no answer of what was asked.
    package mutating func answer(_ what: String, to number: Int, at time: UInt64?) {
        guard probes.indices.contains(number) else { return }
        answers[what, default: 0] += 1
        guard let time, probes[number].answered == 0 else { return }
        order += 1
        answered += 1
        probes[number].answered = time
        probes[number].answerOrder = order
    }

    /// How many of the first packets were answered.
    package func answered(ofFirst count: Int) -> Int { probes.prefix(count).count { $0.answered > 0 } }

    /// How many of the first packets arrived.
    package func arrived(ofFirst count: Int) -> Int { probes.prefix(count).count { $0.fate == .arrived } }

    /// The path of the last packet that arrived of the first ones.
    package func lastPath(ofFirst count: Int) -> String? {
        let last = probes.prefix(count).last { probe in
            let path = Int(probe.path)
            return paths.indices.contains(path) && paths[path].example.hasArrived
        }
        return last.map { paths[Int($0.path)].path }
    }
}

extension PacketTrace {
    /// True if the packet reached an end that is no loss of it.
    package var hasArrived: Bool {
        switch end.kind {
        case .delivered, .copied, .engine: true
        case .answered: end.isRefusal != true
        case .dropped, .filtered, .vanished, .incomplete, .unknown: false
        }
    }

    /// The nodes that got the packet one after another, copies for passive applications left out.
    package var way: [String] {
        hops.flatMap { hop in hop.copies.filter { $0.at != nil && $0.system != "passive" }.map(\.to) }
    }
}
