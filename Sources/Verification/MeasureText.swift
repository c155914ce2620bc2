import ControlAPI
import Plan
import Reporting
import Tracing
import Wire

/// What numbered packets have measured, for people and for reports.
struct MeasureText {
    let train: ProbeTrainPlan
    let outcome: ProbeRun.Outcome
    let sums: ProbeMeasures.Sums
    /// True if answers count as arrivals.
    let answersCount: Bool
    /// What an outage measures beside: its longest gap, and the paths before and after.
    var outage: (longestGap: ClosedRange<UInt64>, before: String?, after: String?)?

    /// The most paths that are listed.
    private static let mostPaths = 32
    /// How late a sender may be without being told.
    private static let lateness: UInt64 = 5_000_000

    init(_ train: ProbeTrainPlan, _ outcome: ProbeRun.Outcome, _ sums: ProbeMeasures.Sums, answersCount: Bool) {
        self.train = train
        self.outcome = outcome
        self.sums = sums
        self.answersCount = answersCount
    }

    private var measures: ProbeMeasures { outcome.measures }

    /// True if there is an order to judge: some flow has several packets.
    private var hasOrder: Bool { train.packet.protocolNumber != IPProtocol.tcp || train.flows < sums.sent }

    private var paths: [ProbeMeasures.Path] {
        measures.paths.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
            .map(\.element)
    }

    private var times: [(node: String, figures: LatencyFigures)] {
        var nodes: [String] = []
        for node in paths.flatMap(\.way) where measures.inside[node] != nil && !nodes.contains(node) {
            nodes.append(node)
        }
        nodes += measures.inside.keys.filter { !nodes.contains($0) }.sorted()
        return nodes.map { ($0, measures.inside[$0]?.figures ?? LatencyHistogram().figures) }
            + (measures.engine.count > 0 ? [("engine", measures.engine.figures)] : [])
    }

    /// Everything in one line.
    var summary: String {
        var parts = ["\(Plural.counted(sums.sent, "packet")) sent, \(sums.lost) lost"]
        if answersCount { parts[0] += " (there and back)" } else if outage != nil { parts[0] += " (one way)" }
        if sums.unknown > 0 { parts.append("\(sums.unknown) unknown") }
        if let outage { parts.append("longest gap \(TraceText.time(outage.longestGap.upperBound))") }
        parts.append(hasOrder ? "\(sums.reordered) reordered" : "order not judged: one packet in each flow")
        parts.append("\(measures.duplicated) duplicated")
        parts.append(Plural.counted(measures.paths.count, "path"))
        var text = parts.joined(separator: ", ")
        if let outage {
            if let before = outage.before { text += "; before: \(before)" }
            if let after = outage.after { text += "; after: \(after == outage.before ? "the same" : after)" }
        } else {
            for (node, figures) in times where node != "engine" {
                text += "; \(node) p50 \(TraceText.time(figures.p50)), p99 \(TraceText.time(figures.p99))"
            }
        }
        if sums.latest > Self.lateness {
            text += "; the sender was late by up to \(TraceText.time(sums.latest))"
            if outage != nil, sums.silence > 0 {
                text += ", and \(TraceText.time(sums.silence)) in which it sent nothing do not count"
            }
        }
        return text
    }

    /// The paths with their packets, and what else is to be said.
    var table: [String] {
        let shown = paths.prefix(Self.mostPaths)
        var rows = shown.map { (count: "\($0.count)", text: $0.path) }
        let unseen = sums.sent - outcome.refused - measures.known
        if outcome.refused > 0 {
            let reason = outcome.refusal.map { ": \($0)" } ?? ""
            rows.append(("\(outcome.refused)", "\(train.packet.from) → not sent\(reason)"))
        }
        if unseen > 0 { rows.append(("\(unseen)", "\(train.packet.from) → no engine has read them")) }
        let width = rows.map(\.count.count).max() ?? 0
        var lines = rows.map { String(repeating: " ", count: width - $0.count.count) + "\($0.count)  \($0.text)" }
        if paths.count > shown.count { lines.append("(and \(paths.count - shown.count) more paths)") }
        for (what, count) in measures.answers.sorted(by: { ($1.value, $0.key) < ($0.value, $1.key) }).prefix(6) {
            lines.append("\(count) were answered: \(what)")
        }
        if sums.unanswered > 0 {
            lines.append("\(sums.unanswered) of the lost packets reached the end of the chain, and were not answered")
        }
        if measures.guesses > 0 { lines.append("\(measures.guesses) of the traces are in part a guess") }
        return lines
    }

    /// For reports.
    func measurement(_ kind: CheckMeasurement.Kind, line: Int) -> CheckMeasurement {
        CheckMeasurement(
            kind: kind, line: line, summary: summary, from: train.packet.from, to: "\(train.packet.destination)",
            answersCount: answersCount, sent: sums.sent, arrived: sums.arrived, lost: sums.lost, unknown: sums.unknown,
            reordered: sums.reordered, duplicated: measures.duplicated, longestGap: outage?.longestGap.upperBound,
            late: sums.latest,
            paths: paths.prefix(Self.mostPaths).map { CheckMeasurement.Path(path: $0.path, count: $0.count) },
            times: times.map { node, figures in
                CheckMeasurement.Times(
                    node: node, count: figures.count, p50: figures.p50, p90: figures.p90, p99: figures.p99,
                    p999: figures.p999, max: figures.max)
            })
    }
}
