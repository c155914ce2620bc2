/// Traces and summaries as text for a terminal.
package enum TraceText {
    /// A duration in nanoseconds as a person reads it, with three digits: `850 ns`, `4.10 us`, `12.3 ms`, `120 s`.
    package static func time(_ nanoseconds: UInt64) -> String {
        switch nanoseconds {
        case ..<1_000: "\(nanoseconds) ns"
        case ..<1_000_000: "\(digits(nanoseconds, 1_000)) us"
        case ..<1_000_000_000: "\(digits(nanoseconds, 1_000_000)) ms"
        default: "\(digits(nanoseconds, 1_000_000_000)) s"
        }
    }

    /// The number of units, cut after its third digit.
    private static func digits(_ value: UInt64, _ unit: UInt64) -> String {
        let whole = value / unit
        let scale: UInt64 = whole < 10 ? 100 : whole < 100 ? 10 : 1
        guard scale > 1 else { return "\(whole)" }
        let rest = String(value % unit * scale / unit)
        return "\(whole)." + String(repeating: "0", count: (scale == 100 ? 2 : 1) - rest.count) + rest
    }

    /// One trace: its packet, each hop with its copies and times, bars, and its end.
    ///
    /// - Parameters:
    ///   - width: Columns of the terminal, at least 60; nil: a program reads the lines, and none is broken.
    ///   - measure: The columns that a text takes.
    package static func lines(
        _ trace: PacketTrace, width: Int? = 80, measure: @escaping (String) -> Int = { $0.count }
    ) -> [String] {
        let rows = TextRows(width: max(60, width ?? 80), measure: measure, isWhole: width == nil)
        var lines = rows.wrapped(headline(trace), indent: 4)
        for sentence in beginnings(trace) { lines += rows.wrapped("    \(sentence)", to: 4) }
        for hop in trace.hops { lines += hopLines(hop, rows) }
        lines += bars(trace, rows)
        lines += rows.wrapped("    \(ending(trace))", to: 4)
        for note in trace.notes { lines += rows.wrapped("    note: \(note)", to: 4) }
        return lines
    }

    private static func headline(_ trace: PacketTrace) -> String {
        let packet = trace.packet
        var text = "#\(trace.id) \(trace.from): \(packet.ends) \(packet.what), \(packet.length) octets"
        if packet.packets > 1 { text += " in \(packet.packets) segments" }
        if packet.fragments > 0 { text += " in the first of \(packet.fragments) fragments" }
        return text
    }

    private static func beginnings(_ trace: PacketTrace) -> [String] {
        var lines: [String] = []
        if let link = trace.answers { lines.append("answers #\(link.trace)\(guess(link.isGuess))") }
        switch trace.beginning {
        case .customer, .end: break
        case .made: lines.append("\(trace.from) made it; what went in before ends there")
        case .duplicate: lines.append("\(trace.from) let it out a second time")
        case .midway: lines.append("earlier records are missing")
        case .stranger:
            lines.append(
                trace.device.map { "it came from \($0)'s device, but not from its MAC address" }
                    ?? "the topology does not name its sender")
        }
        if let link = trace.follows { lines.append("after #\(link.trace)\(guess(link.isGuess))") }
        return lines
    }

    private static func guess(_ isGuess: Bool) -> String { isGuess ? " (a guess)" : "" }

    private static func hopLines(_ hop: TraceHop, _ rows: TextRows) -> [String] {
        var text = hop.entry ?? ""
        if let line = hop.line { text += " (line \(line))" }
        if let drop = hop.drop { text += "dropped: \(drop)" }
        if let inside = hop.inside { text += "\(text.isEmpty ? "" : "; ")\(time(inside)) inside" }
        if let translated = hop.translated { text += "; now \(translated)" }
        text += guess(hop.isGuess)
        var lines = row(hop.at, hop.interface, hop.from, text, rows)
        for copy in hop.copies {
            var text = copy.system
            if let engine = copy.engine { text += ", engine \(time(engine))" }
            if let rewritten = copy.rewritten { text += ", \(rewritten)" }
            lines += row(copy.at, copy.interface, copy.to.isEmpty ? "→ not written" : "→ \(copy.to)", text, rows)
        }
        return lines
    }

    private static func row(
        _ at: UInt64?, _ interface: String, _ node: String, _ text: String, _ rows: TextRows
    ) -> [String] {
        let names = max(8, min(16, (rows.width - 40) / 2))
        let head =
            "    " + rows.cell(at.map { "+\(time($0))" } ?? "", 11) + " " + rows.cell(interface, names) + " "
            + rows.cell(node, names) + " "
        let indent = 4 + 12 + 2 * (names + 1)
        let room = rows.narrowed(to: max(12, rows.width - indent))
        let pieces = room.wrapped(text, indent: 0)
        return (pieces.isEmpty ? [""] : pieces).enumerated().map { index, piece in
            trimmed((index == 0 ? head : String(repeating: " ", count: indent)) + piece)
        }
    }

    static func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }

    /// One bar for each time in the engine and in a node, on the line of the packet's whole time.
    private static func bars(_ trace: PacketTrace, _ rows: TextRows) -> [String] {
        var parts: [(name: String, from: UInt64, to: UInt64)] = []
        for hop in trace.hops {
            if let inside = hop.inside { parts.append((hop.from, hop.at - min(hop.at, inside), hop.at)) }
            if let last = hop.copies.filter({ $0.at != nil }).max(by: { $0.engine ?? 0 < $1.engine ?? 0 }),
                let at = last.at
            {
                parts.append(("engine", at - min(at, last.engine ?? 0), at))
            }
        }
        guard parts.count > 1, let whole = parts.map(\.to).max(), whole > 0 else { return [] }
        let columns = rows.width - 4 - 17 - 2 - 11
        return parts.map { name, from, to in
            "    " + rows.cell(name, 16) + " |" + rows.bar(from, to, of: whole, columns: columns) + "|"
                + rows.cell(time(to - from), 10, isRight: true)
        }
    }

    private static func ending(_ trace: PacketTrace) -> String {
        let end = trace.end
        let head = end.reason.map { "\(end.kind.rawValue), \($0)" } ?? end.kind.rawValue
        return "\(head): \(end.sentence)\(guess(end.isGuess))"
    }
}

extension TextRows {
    /// The text broken at blanks, with an indent for all lines that the text begins with itself.
    func wrapped(_ text: String, to indent: Int) -> [String] {
        let text = String(text.drop { $0 == " " })
        return narrowed(to: width - indent).wrapped(text, indent: 2).map { String(repeating: " ", count: indent) + $0 }
    }
}
