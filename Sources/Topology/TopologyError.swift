import Reporting

/// A value of the topology, and its place.
public struct Located<Value> {
    /// The value.
    public var value: Value
    /// Its place.
    public var origin: SourceOrigin

    /// Memberwise.
    public init(_ value: Value, _ origin: SourceOrigin) {
        self.value = value
        self.origin = origin
    }

    func map<Other>(_ transform: (Value) -> Other) -> Located<Other> {
        Located<Other>(transform(value), origin)
    }
}

extension Located: Sendable where Value: Sendable {}
extension Located: Equatable where Value: Equatable {}
extension Located: Hashable where Value: Hashable {}

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

/// Every mistake that was found in a topology file, in the order of the text; mistakes in records come last.
public struct TopologyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The mistakes, at least one.
    public var problems: [TopologyProblem]

    /// Memberwise.
    public init(problems: [TopologyProblem]) {
        self.problems = problems
    }

    /// All of them, as a compiler prints them.
    public var description: String {
        problems.map(\.description).joined(separator: "\n")
    }
}

/// Collects the mistakes of one file while it is read and planned, and the remarks on it.
///
/// `error` is for a part that cannot work or has two meanings; `remark` for a part that works but is hardly intended.
final class Diagnostics {
    private let path: String
    private let lines: [Substring]
    private var problems: [TopologyProblem] = []
    /// The remarks, in the order in which they were made.
    private(set) var remarks: [TopologyProblem] = []
    private var origins: Set<SourceOrigin> = []

    init(path: String, text: String) {
        self.path = path
        lines = Self.lines(of: text)
    }

    /// The lines of a text, as YAML breaks them (YAML 1.1, section 4.1.4).
    static func lines(of text: String) -> [Substring] {
        text.split(omittingEmptySubsequences: false, whereSeparator: endsLine)
    }

    /// True for a character that ends a line in YAML.
    static func endsLine(_ character: Character) -> Bool {
        switch character {
        case "\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": true
        default: false
        }
    }

    var isEmpty: Bool { problems.isEmpty }

    var count: Int { problems.count }

    /// Reports a mistake; a second one at the same place counts as a consequence of the first.
    ///
    /// If something is missing at the end, YAML puts the mistake on the line after it: this moves the place back to the
    /// end of the text.
    func error(
        _ origin: SourceOrigin, _ message: String, hint: String? = nil, related: [(SourceOrigin, String)] = [],
        example: String? = nil
    ) {
        let origin = inText(origin)
        guard origins.insert(origin).inserted else { return }
        problems.append(problem(origin, message, hint, related, example))
    }

    /// Reports a part that works but is hardly intended; the same remark at the same place is reported once.
    ///
    /// It changes no exit status: `validate`, `run`, `up` and `test` show it, and `validate --strict` refuses the file.
    func remark(
        _ origin: SourceOrigin, _ message: String, hint: String, related: [(SourceOrigin, String)] = []
    ) {
        let origin = inText(origin)
        guard !remarks.contains(where: { $0.origin == origin && $0.message == message }) else { return }
        remarks.append(problem(origin, message, hint, related, nil, .remark))
    }

    /// A place in the text; a place behind the end becomes the end.
    private func inText(_ origin: SourceOrigin) -> SourceOrigin {
        guard case .line(var position) = origin else { return origin }
        if position.line > lines.count || position.line == lines.count && lines.last?.isEmpty == true {
            let last = lines.lastIndex { !$0.isEmpty } ?? 0
            position = SourcePosition(line: last + 1, column: lines[last].unicodeScalars.count + 1)
        }
        position.column = min(position.column, lines[position.line - 1].unicodeScalars.count + 1)
        return .line(position)
    }

    /// Reports a finding of a proof. Several findings may be at one place; the same one is reported once.
    func finding(
        _ origin: SourceOrigin, _ message: String, hint: String, related: [(SourceOrigin, String)],
        example: String?
    ) {
        origins.insert(origin)
        guard !problems.contains(where: { $0.origin == origin && $0.message == message }) else { return }
        problems.append(problem(origin, message, hint, related, example))
    }

    private func problem(
        _ origin: SourceOrigin, _ message: String, _ hint: String?, _ related: [(SourceOrigin, String)],
        _ example: String?, _ severity: Severity = .error
    ) -> TopologyProblem {
        var places: [RelatedPlace] = []
        for (other, label) in related where other != origin && !places.contains(where: { $0.origin == other }) {
            places.append(RelatedPlace(origin: other, label: label, sourceLine: line(of: other)))
        }
        return TopologyProblem(
            file: path, origin: origin, message: message, hint: hint, sourceLine: line(of: origin),
            related: places, example: example, severity: severity)
    }

    private func line(of origin: SourceOrigin) -> String {
        let index = origin.lineNumber - 1
        return lines.indices.contains(index) ? String(lines[index].prefix(8192)) : ""
    }

    /// Throws the mistakes that were found, in the order of the text; returns if there are none.
    func throwIfAny() throws(TopologyError) {
        guard !problems.isEmpty else { return }
        throw TopologyError(problems: problems.sorted { $0.origin < $1.origin })
    }
}
