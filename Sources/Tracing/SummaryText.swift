import Reporting

extension TraceText {
    /// A summary as a table: for each path its count, and the times in the engine and in each application, with bars.
    ///
    /// - Parameters:
    ///   - width: Columns of the terminal, at least 72; nil: a program reads the lines, and none is broken.
    ///   - measure: The columns that a text takes.
    package static func lines(
        _ report: TraceSummaryReport, width: Int? = 80, measure: @escaping (String) -> Int = { $0.count }
    ) -> [String] {
        let rows = TextRows(width: max(72, width ?? 80), measure: measure, isWhole: width == nil)
        var lines = rows.wrapped(totals(report), indent: 4)
        for path in report.paths { lines += [""] + self.lines(path, rows) }
        if !report.ownDrops.isEmpty { lines.append("") }
        for drop in report.ownDrops {
            lines += rows.wrapped(
                "\(Plural.counted(drop.packets, "packet")) that \(drop.rule.node) made itself: \(drop.rule.sentence)",
                indent: 4)
        }
        return lines + warnings(report.counts).flatMap { rows.wrapped($0, indent: 4) }
    }

    private static func totals(_ report: TraceSummaryReport) -> String {
        let ends = report.ends.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.value) \($0.key)" }
        var text = "\(Plural.counted(report.traces, "packet")) on \(Plural.counted(report.paths.count, "path"))"
        if !ends.isEmpty { text += ": \(ends.joined(separator: ", "))" }
        let drops = report.drops.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }
        if !drops.isEmpty { text += " (\(drops.joined(separator: ", ")))" }
        return text
    }

    private static func warnings(_ counts: PacketTracer.Counts) -> [String] {
        var lines: [String] = []
        if counts.lost > 0 {
            lines.append(
                "note: \(Plural.counted(counts.lost, "record")) did not fit the ring and were lost; follow fewer packets "
                    + "with a filter or --sample")
        }
        if counts.evicted > 0 {
            lines.append(
                "note: \(Plural.counted(counts.evicted, "packet was", "packets were")) followed no further, because too "
                    + "many were under way; follow fewer with a filter or --sample")
        }
        return lines.isEmpty ? [] : [""] + lines
    }

    private static func lines(_ path: TraceSummaryReport.Path, _ rows: TextRows) -> [String] {
        var head = "\(path.path): \(Plural.counted(path.count, "packet"))"
        if path.guesses > 0 { head += ", \(path.guesses) in part a guess" }
        var parts: [(String, LatencyFigures)] = path.nodes.map { ($0.node, $0.times) }
        if path.engine.count > 0 { parts.append(("engine", path.engine)) }
        if parts.count > 0 { parts.append(("whole way", path.whole)) }
        var lines = rows.wrapped(head, indent: 4)
        guard !parts.isEmpty else { return lines }
        let name = rows.width - 4 - 5 * 10
        lines.append(
            trimmed(
                "    " + rows.cell("time in", name)
                    + ["p50", "p90", "p99", "p99.9", "max"].map { rows.cell($0, 10, isRight: true) }.joined()))
        for (part, figures) in parts {
            let values = [figures.p50, figures.p90, figures.p99, figures.p999, figures.max]
            lines.append(
                "    " + rows.cell(rows.cut(part, name - 1), name)
                    + values.map { rows.cell(time($0), 10, isRight: true) }.joined())
        }
        return lines + bars(parts.dropLast().map { ($0.0, $0.1.p50) }, rows)
    }

    /// The medians one behind another.
    private static func bars(_ parts: [(String, UInt64)], _ rows: TextRows) -> [String] {
        let whole = parts.reduce(0) { $0 + $1.1 }
        guard whole > 0 else { return [] }
        let columns = rows.width - 4 - 17 - 2 - 6
        var from: UInt64 = 0
        return parts.map { name, time in
            defer { from += time }
            let share = "\((time * 200 / whole + 1) / 2) %"
            return "    " + rows.cell(name, 16) + " |" + rows.bar(from, from + time, of: whole, columns: columns) + "|"
                + rows.cell(share, 6, isRight: true)
        }
    }
}
