import ControlAPI
import Plan
import Reporting
import Tracing

/// What was measured, compared with what was expected.
struct Judgement {
    let text: MeasureText
    /// The expectations that do not hold, each after "expected".
    private(set) var unmet: [String] = []
    /// What came instead, beside the measurement.
    private(set) var came: [String] = []
    private(set) var evidence: [CheckReport.Evidence] = []
    private var shown: Set<UInt64> = []

    /// The most traces, and the most lines of each.
    private static let mostTraces = 4
    private static let mostLines = 60
    private static let columns = 100

    init(_ text: MeasureText) { self.text = text }

    private var measures: ProbeMeasures { text.outcome.measures }
    private var sums: ProbeMeasures.Sums { text.sums }

    /// Takes what makes the measurement worth nothing.
    mutating func refuse(_ expected: String, _ came: String) {
        unmet.append(expected)
        self.came.append(came)
        explain(measures.examples, "a packet that did not arrive")
    }

    /// Compares loss, order and duplicates.
    mutating func judge(_ expectation: TrainExpectation) {
        if let lost = expectation.lost, !compare("lost", lost, sums.lost...(sums.lost + sums.unknown)) {
            explain(measures.examples, "a packet that did not arrive")
        }
        if let reordered = expectation.reordered,
            !compare("reordered", reordered, sums.reordered...(sums.reordered + sums.unknown))
        {
            explain(measures.late.map { [$0] } ?? [], "a packet that arrived behind a later one")
        }
        if let expected = expectation.duplicated {
            let count = measures.duplicated
            let more = sums.unknown > 0 || !text.outcome.isWhole ? sums.sent : 0
            if !compare("duplicated", expected, count...(count + more)) {
                explain(measures.duplicate.map { [$0] } ?? [], "a packet that came again")
            }
        }
    }

    /// Compares a number of which only the two ends may be known; false if it does not hold for certain.
    @discardableResult
    mutating func compare(_ what: String, _ expected: NumberExpectation, _ range: ClosedRange<Int>) -> Bool {
        let ends = [range.lowerBound, range.upperBound].map { expected.holds(for: UInt64($0)) }
        let isExact = range.lowerBound == range.upperBound
        let isBetween = range.contains(Int(clamping: expected.value)) && !isExact
        let isCertain = ends[0] && ends[1] && !(expected.comparison == .notEqual && isBetween)
        if isCertain { return true }
        unmet.append("\(what) \(expected.summary)")
        if ends[0] || ends[1] || (expected.comparison == .equal && isBetween) { cannotTell(what) }
        return false
    }

    /// Compares the longest time in which nothing arrived.
    mutating func judge(longestGap expected: TimeExpectation) {
        guard !compare("longest-gap", expected, sums.longestGap) else { return }
        explain(measures.examples, "a packet that did not arrive")
        explain(measures.behindGap.map { [$0] } ?? [], "the first packet behind the longest gap")
    }

    /// Shows what became of packets, beside an expectation that is no measured one.
    mutating func explainLoss() { explain(measures.examples, "a packet that did not arrive") }

    /// Compares a time of which only the two ends may be known; false if it does not hold for certain.
    private mutating func compare(_ what: String, _ expected: TimeExpectation, _ range: ClosedRange<UInt64>) -> Bool {
        let ends = [range.lowerBound, range.upperBound].map { expected.holds(for: $0) }
        guard !ends[0] || !ends[1] else { return true }
        unmet.append("\(what) \(expected.summary)")
        if ends[0] || ends[1] { cannotTell(what) }
        let least =
            range.lowerBound < range.upperBound ? " or less, but at least \(TraceText.time(range.lowerBound))" : ""
        came.append("\(what): \(TraceText.time(range.upperBound))\(least)")
        return false
    }

    private mutating func cannotTell(_ what: String) {
        let records = text.outcome.lostRecords
        var line = "cannot tell \(what == "lost" ? "how many were lost" : "it (\(what))"): "
        line += "\(Plural.counted(sums.unknown, "packet")) may have arrived or not"
        if records > 0 {
            let lost = Plural.counted(records, "record")
            line += ", because \(lost) of the engines could not be read in time; send slower (`rate`)"
        }
        if !came.contains(line) { came.append(line) }
    }

    /// Compares the ways of the packets that arrived.
    mutating func judge(through ways: [[String]], _ standIns: [String: String]) {
        guard !ways.isEmpty else { return }
        let taken = measures.paths.filter(\.example.hasArrived)
        func named(_ path: ProbeMeasures.Path) -> [String] {
            path.way.map { node in ways.joined().contains(node) ? node : standIns[node] ?? node }
        }
        let others = taken.filter { !ways.contains(named($0)) }
        let missing = ways.filter { way in !taken.contains { named($0) == way } }
        guard !others.isEmpty || !missing.isEmpty else { return }
        unmet.append("that packets go through " + ways.map(Self.way).joined(separator: " or ") + ", and no other way")
        came += missing.map { "no packet went through \(Self.way($0))" }
        came += others.map { "\(Plural.counted($0.count, "packet")) went through \(Self.way($0.way))" }
        explain(others.map(\.example), "a packet that went another way")
    }

    private static func way(_ nodes: [String]) -> String { nodes.isEmpty ? "no node" : nodes.joined(separator: " → ") }

    /// Compares the time inside a node.
    mutating func judge(_ bound: PathPlan.TimeBound, _ standIns: [String: String]) {
        let name = bound.node ?? "engine"
        var times = bound.node == nil ? measures.engine : LatencyHistogram()
        let nodes = measures.inside.keys.filter { $0 == bound.node || standIns[$0] == bound.node }
        if bound.node != nil { for node in nodes { times.add(measures.inside[node] ?? LatencyHistogram()) } }
        guard times.count > 0 else {
            unmet.append("\(name) \(bound.figure.rawValue) \(bound.time.summary)")
            came.append("no packet came out of \(name)")
            return
        }
        let time = times.figures.time(bound.figure)
        guard !bound.time.holds(for: time) else { return }
        unmet.append("\(name) \(bound.figure.rawValue) \(bound.time.summary)")
        let packets = Plural.counted(times.count, "packet")
        came.append("\(name) \(bound.figure.rawValue): \(TraceText.time(time)) of \(packets)")
        let slow = nodes.compactMap { measures.slowest[$0] }
        explain(Array(slow.prefix(1)), "the slowest packet in \(name)")
    }

    /// Shows traces, each once.
    mutating func explain(_ traces: [PacketTrace], _ title: String) {
        for trace in traces where shown.count < Self.mostTraces && shown.insert(trace.id).inserted {
            let lines = TraceText.lines(trace, width: Self.columns)
            evidence.append(
                CheckReport.Evidence(title: "trace of \(title)", lines: Array(lines.prefix(Self.mostLines))))
        }
    }
}

extension LatencyFigures {
    /// The time of a figure.
    func time(_ figure: PathPlan.Figure) -> UInt64 {
        switch figure {
        case .p50: p50
        case .p90: p90
        case .p99: p99
        case .p999: p999
        case .max: max
        }
    }
}
