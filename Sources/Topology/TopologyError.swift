/// A place in a topology file: line and column, both counted from 1; columns count Unicode scalars.
public struct SourcePosition: Hashable, Sendable, Comparable {
    /// The line, from 1.
    public var line: Int
    /// The column, from 1, in Unicode scalars.
    public var column: Int

    /// Memberwise.
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// In the order of the text.
    public static func < (left: SourcePosition, right: SourcePosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// A value of the file, and where it stands.
public struct Located<Value> {
    /// The value.
    public var value: Value
    /// Where it stands.
    public var position: SourcePosition

    /// Memberwise.
    public init(_ value: Value, _ position: SourcePosition) {
        self.value = value
        self.position = position
    }

    func map<Other>(_ transform: (Value) -> Other) -> Located<Other> {
        Located<Other>(transform(value), position)
    }
}

extension Located: Sendable where Value: Sendable {}
extension Located: Equatable where Value: Equatable {}
extension Located: Hashable where Value: Hashable {}

/// Another place in the file that a mistake has to do with.
public struct RelatedPlace: Hashable, Sendable {
    /// Where it is.
    public var position: SourcePosition
    /// What it has to do with the mistake.
    public var label: String
    /// The line of the file.
    public var sourceLine: String

    /// Memberwise.
    public init(position: SourcePosition, label: String, sourceLine: String) {
        self.position = position
        self.label = label
        self.sourceLine = sourceLine
    }
}

/// How much something that was found in a topology file matters.
public enum Severity: String, Hashable, Sendable {
    /// The file is refused.
    case error
    /// The file does what it says, but that is rarely what was meant. It is shown, and only `validate --strict` refuses
    /// it.
    case remark
}

/// One mistake in a topology file, or a remark on it.
public struct TopologyProblem: Hashable, Sendable, CustomStringConvertible {
    /// Whether the file is refused for it.
    public var severity: Severity
    /// The file, as it was named on the command line.
    public var file: String
    /// Where the mistake is.
    public var position: SourcePosition
    /// What is wrong.
    public var message: String
    /// What would mend it, where that can be said.
    public var mend: String?
    /// The line of the file that the mistake is on.
    public var sourceLine: String
    /// The other lines that it has to do with.
    public var related: [RelatedPlace]
    /// A packet that shows what would go wrong, and its way until it does.
    public var example: String?

    /// The line, from 1.
    public var line: Int { position.line }
    /// The column, from 1.
    public var column: Int { position.column }

    /// Memberwise.
    public init(
        file: String, position: SourcePosition, message: String, mend: String?, sourceLine: String,
        related: [RelatedPlace] = [], example: String? = nil, severity: Severity = .error
    ) {
        self.severity = severity
        self.file = file
        self.position = position
        self.message = message
        self.mend = mend
        self.sourceLine = sourceLine
        self.related = related
        self.example = example
    }

    /// `file:line:column: error: message; mend`; of a remark `remark` in place of `error`.
    public var summary: String { told(severity.rawValue + ": ") }

    /// The summary without its second word, for what says itself which it is.
    public var note: String { told("") }

    private func told(_ word: String) -> String {
        "\(file):\(line):\(column): \(word)\(message)" + (mend.map { "; \($0)" } ?? "")
    }

    /// The summary, then the line itself with a caret under the column, as a compiler prints it; then the example, and
    /// the other places in the same way.
    public var description: String {
        var text = summary + Self.shown(sourceLine, column)
        if let example { text += "\n    example: \(example)" }
        for place in related {
            text += "\n\(file):\(place.position.line):\(place.position.column): note: \(place.label)"
            text += Self.shown(place.sourceLine, place.position.column)
        }
        return text
    }

    /// A line of the file with a caret under the column; of a long line, what is around the column.
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

/// Every mistake that was found in a topology file, in the order of the text.
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
/// `error` is for what cannot work or has two meanings; `remark` for what works as it is written and is hardly meant so.
final class Diagnostics {
    private let path: String
    private let lines: [Substring]
    private var problems: [TopologyProblem] = []
    /// The remarks, in the order in which they were made.
    private(set) var remarks: [TopologyProblem] = []
    private var positions: Set<SourcePosition> = []

    init(path: String, text: String) {
        self.path = path
        lines = Self.lines(of: text)
    }

    /// The lines of a text, as YAML breaks them (YAML 1.1, section 4.1.4).
    static func lines(of text: String) -> [Substring] {
        text.split(omittingEmptySubsequences: false, whereSeparator: endsLine)
    }

    /// True for what ends a line in YAML.
    static func endsLine(_ character: Character) -> Bool {
        switch character {
        case "\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": true
        default: false
        }
    }

    var isEmpty: Bool { problems.isEmpty }

    var count: Int { problems.count }

    /// Notes a mistake; a second one at the same place is taken for a consequence of the first.
    ///
    /// Where something is missing at the end, YAML says that it is missing on the line after it: the place is moved back
    /// to where the text ends.
    func error(
        _ position: SourcePosition, _ message: String, mend: String? = nil, related: [(SourcePosition, String)] = [],
        example: String? = nil
    ) {
        let position = inText(position)
        guard positions.insert(position).inserted else { return }
        problems.append(problem(position, message, mend, related, example))
    }

    /// Notes what works and is hardly meant; the same at the same place is noted once.
    ///
    /// It changes no exit status: `validate`, `run`, `up` and `test` tell it, and `validate --strict` refuses the file.
    func remark(
        _ position: SourcePosition, _ message: String, mend: String, related: [(SourcePosition, String)] = []
    ) {
        let position = inText(position)
        guard !remarks.contains(where: { $0.position == position && $0.message == message }) else { return }
        remarks.append(problem(position, message, mend, related, nil, .remark))
    }

    /// A place of the text: where something is missing behind its end, the end.
    private func inText(_ position: SourcePosition) -> SourcePosition {
        var position = position
        if position.line > lines.count || position.line == lines.count && lines.last?.isEmpty == true {
            let last = lines.lastIndex { !$0.isEmpty } ?? 0
            position = SourcePosition(line: last + 1, column: lines[last].unicodeScalars.count + 1)
        }
        position.column = min(position.column, lines[position.line - 1].unicodeScalars.count + 1)
        return position
    }

    /// Notes what a proof found. Several things may be wrong at one place; the same one is noted once.
    func finding(
        _ position: SourcePosition, _ message: String, mend: String, related: [(SourcePosition, String)],
        example: String?
    ) {
        positions.insert(position)
        guard !problems.contains(where: { $0.position == position && $0.message == message }) else { return }
        problems.append(problem(position, message, mend, related, example))
    }

    private func problem(
        _ position: SourcePosition, _ message: String, _ mend: String?, _ related: [(SourcePosition, String)],
        _ example: String?, _ severity: Severity = .error
    ) -> TopologyProblem {
        var places: [RelatedPlace] = []
        for (other, label) in related where other != position && !places.contains(where: { $0.position == other }) {
            places.append(RelatedPlace(position: other, label: label, sourceLine: line(of: other)))
        }
        return TopologyProblem(
            file: path, position: position, message: message, mend: mend, sourceLine: line(of: position),
            related: places, example: example, severity: severity)
    }

    private func line(of position: SourcePosition) -> String {
        let index = position.line - 1
        return lines.indices.contains(index) ? String(lines[index].prefix(8192)) : ""
    }

    /// Throws what was found, in the order of the text; returns where nothing was.
    func throwIfAny() throws(TopologyError) {
        guard !problems.isEmpty else { return }
        throw TopologyError(problems: problems.sorted { $0.position < $1.position })
    }
}
