import Reporting

/// Another place that a mistake has to do with.
public struct RelatedPlace: Hashable, Sendable {
    /// Its place.
    public var origin: SourceOrigin
    /// Its relation to the mistake.
    public var label: String
    /// The line of the file; empty for a record.
    public var sourceLine: String

    /// Memberwise.
    public init(origin: SourceOrigin, label: String, sourceLine: String) {
        self.origin = origin
        self.label = label
        self.sourceLine = sourceLine
    }
}

/// How much something that was found in a topology file matters.
public enum Severity: String, Hashable, Sendable {
    /// The file is refused.
    case error
    /// The file is valid, but it rarely means this. The remark is shown, and only `validate --strict` refuses the file.
    case remark
}

/// One mistake in a topology file, or a remark on it.
public struct TopologyProblem: Hashable, Sendable, CustomStringConvertible {
    /// Whether the file is refused for it.
    public var severity: Severity
    /// The file, as it was named on the command line.
    public var file: String
    /// The place of the mistake.
    public var origin: SourceOrigin
    /// The mistake.
    public var message: String
    /// The hint, if there is one.
    public var hint: String?
    /// The line of the file that the mistake is on; empty for a record.
    public var sourceLine: String
    /// The other lines that it has to do with.
    public var related: [RelatedPlace]
    /// A packet that shows the problem, and its way until then.
    public var example: String?

    /// The line, from 1; 0 for a record, which has none.
    public var line: Int { origin.lineNumber }
    /// The column, from 1; 0 for a record, which has none.
    public var column: Int { origin.columnNumber }

    /// Memberwise.
    public init(
        file: String, origin: SourceOrigin, message: String, hint: String?, sourceLine: String,
        related: [RelatedPlace] = [], example: String? = nil, severity: Severity = .error
    ) {
        self.severity = severity
        self.file = file
        self.origin = origin
        self.message = message
        self.hint = hint
        self.sourceLine = sourceLine
        self.related = related
        self.example = example
    }

    /// `file:line:column: error: message; hint`; of a remark `remark` in place of `error`, of a record its name in
    /// place of line and column.
    public var summary: String { text(severity.rawValue + ": ") }

    /// The summary without the word for its kind, for a caller that says the kind itself.
    public var note: String { text("") }

    private func text(_ word: String) -> String {
        "\(origin.head(in: file)): \(word)\(message)" + (hint.map { "; \($0)" } ?? "")
    }

    /// The summary, then the line itself with a caret under the column, as a compiler prints it; then the example, and
    /// the other places in the same way.
    public var description: String {
        var text = summary + Self.shown(sourceLine, column)
        if let example { text += "\n    example: \(example)" }
        for place in related {
            text += "\n\(place.origin.head(in: file)): note: \(place.label)"
            text += Self.shown(place.sourceLine, place.origin.columnNumber)
        }
        return text
    }

    /// A line of the file with a caret under the column; a long line is cut to the text around the column.
    private static func shown(_ sourceLine: String, _ column: Int) -> String {
        guard !sourceLine.isEmpty else { return "" }
        let scalars = Array(sourceLine.unicodeScalars)
        let start = scalars.count > longestLine ? max(0, min(column - 1, scalars.count) - longestLine / 2) : 0
        let before = printable(scalars[start..<max(start, min(column - 1, scalars.count))])
        let line = printable(scalars[start..<min(scalars.count, start + longestLine)])
        let padding = before.map {
            $0 == "\t" ? "\t" : String(repeating: " ", count: TextWidth.columns(String($0)))
        }.joined()
        let (left, right) = (start > 0 ? "…" : "", start + longestLine < scalars.count ? "…" : "")
        return "\n    \(left)\(line)\(right)\n    \(left.isEmpty ? "" : " ")\(padding)^"
    }

    /// In scalars.
    private static let longestLine = 160

    /// Control characters in a file must not reach the terminal.
    private static func printable(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var shown = String.UnicodeScalarView()
        shown.append(
            contentsOf: scalars.map { $0.properties.generalCategory == .control && $0 != "\t" ? "\u{FFFD}" : $0 })
        return String(shown)
    }
}
