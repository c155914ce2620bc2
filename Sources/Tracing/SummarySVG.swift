import Reporting

/// A summary as a picture: one drawing for each path, with a bar for each place where packets spent time. It needs no
/// script, font or style from outside.
package enum SummarySVG {
    private static let width = 960
    private static let left = 200
    private static let right = 250
    private static let row = 22

    /// The SVG document.
    ///
    /// - Parameter title: The topology's name.
    package static func document(_ report: TraceSummaryReport, title: String) -> String {
        var body = ""
        var y = 34
        body += text(12, y, "\(title): \(report.traces) packets followed", "title")
        y += 30
        for path in report.paths { body += drawing(path, &y) }
        let notes = report.counts
        if notes.lost > 0 || notes.evicted > 0 {
            body += text(12, y, "\(notes.lost) records lost, \(notes.evicted) packets given up", "note")
            y += row
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(y + 12)" viewBox="0 0 \(width) \(y + 12)" \
            role="img" font-family="sans-serif" font-size="13">
            <title>\(escaped(title)): paths and times of packets</title>
            <style>
            text { fill: #222 } .title { font-size: 17px; font-weight: bold } .path { font-weight: bold }
            .note { fill: #a33 } .number { text-anchor: end } .half { fill: #2a6fb0 } .most { fill: #9cc3e6 }
            .back { fill: none }
            @media (prefers-color-scheme: dark) { text { fill: #ddd } .note { fill: #f88 } .back { fill: #1b1b1b } }
            </style>
            <rect class="back" width="\(width)" height="\(y + 12)"/>
            \(body)</svg>

            """
    }

    private static func drawing(_ path: TraceSummaryReport.Path, _ y: inout Int) -> String {
        var body = ""
        for (index, line) in lines("\(path.path) (\(path.count))").enumerated() {
            body += text(index == 0 ? 12 : 28, y, line, "path")
            y += row
        }
        var parts = path.nodes.map { ($0.node, $0.times) }
        if path.engine.count > 0 { parts.append(("engine", path.engine)) }
        let longest = max(1, parts.map(\.1.p99).max() ?? 1)
        for (name, times) in parts {
            let room = Double(width - left - right)
            let half = Int(Double(times.p50) / Double(longest) * room)
            let most = Int(Double(times.p99) / Double(longest) * room)
            body += text(28, y, name, "name")
            body += "<rect class=\"most\" x=\"\(left)\" y=\"\(y - 12)\" width=\"\(max(1, most))\" height=\"14\"/>\n"
            body += "<rect class=\"half\" x=\"\(left)\" y=\"\(y - 12)\" width=\"\(max(1, half))\" height=\"14\">"
            body +=
                "<title>\(escaped(name)): p50 \(TraceText.time(times.p50)), p90 \(TraceText.time(times.p90)), p99 "
                + "\(TraceText.time(times.p99)), p99.9 \(TraceText.time(times.p999)), max \(TraceText.time(times.max))"
                + "</title></rect>\n"
            body += text(
                width - 12, y, "p50 \(TraceText.time(times.p50)), p99 \(TraceText.time(times.p99))", "number")
            y += row
        }
        y += 14
        return body
    }

    /// The path in lines that fit the picture.
    private static func lines(_ path: String) -> [String] {
        TextRows(width: 120, measure: { $0.count }).wrapped(path, indent: 0)
    }

    private static func text(_ x: Int, _ y: Int, _ text: String, _ style: String) -> String {
        "<text class=\"\(style)\" x=\"\(x)\" y=\"\(y)\">\(escaped(text))</text>\n"
    }

    static func escaped(_ text: String) -> String {
        var shown = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": shown += "&amp;"
            case "<": shown += "&lt;"
            case ">": shown += "&gt;"
            case "\"": shown += "&quot;"
            default: shown.unicodeScalars.append(HarmlessText.isHarmless(character) ? character : "\u{FFFD}")
            }
        }
        return shown
    }
}
