import Plan
import Reporting
import Wire

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
package final class Diagnostics {
    /// The topology file, as messages show it.
    let path: String
    private let lines: [Substring]
    /// The lines of the included files, by the paths in their places.
    private var included: [String: [Substring]] = [:]
    private var problems: [TopologyProblem] = []
    /// The remarks, in the order in which they were made.
    package private(set) var remarks: [TopologyProblem] = []
    private var origins: Set<SourceOrigin> = []

    /// - Parameters:
    ///   - path: The topology file, as messages show it.
    ///   - included: The texts of the files that it includes, by their paths.
    package init(path: String, text: String, included: [String: String] = [:]) {
        self.path = path
        lines = Self.lines(of: text)
        for (path, text) in included { include(path, text) }
    }

    /// Makes the lines of an included file known to messages.
    func include(_ path: String, _ text: String) {
        included[path] = Self.lines(of: text)
    }

    /// Takes over what was reported about an included file on its own.
    func absorb(_ other: Diagnostics) {
        func here(_ problem: TopologyProblem) -> TopologyProblem {
            var problem = problem
            if case .line(var position) = problem.origin {
                position.file = other.path
                problem.origin = .line(position)
            }
            problem.file = path
            return problem
        }
        for problem in other.problems.map(here) where origins.insert(problem.origin).inserted {
            problems.append(problem)
        }
        remarks += other.remarks.map(here)
    }

    /// Diagnostics of the same files, with nothing in them.
    func blank() -> Diagnostics { Diagnostics(path: path, lines, included) }

    private init(path: String, _ lines: [Substring], _ included: [String: [Substring]]) {
        (self.path, self.lines, self.included) = (path, lines, included)
    }

    /// Takes over what was reported about the same files.
    func take(_ other: Diagnostics) {
        for problem in other.problems where origins.insert(problem.origin).inserted { problems.append(problem) }
        for remark in other.remarks where !remarks.contains(remark) { remarks.append(remark) }
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

    package var isEmpty: Bool { problems.isEmpty }

    package var count: Int { problems.count }

    /// The sentences of the mistakes, in the order in which they were found.
    var messages: [String] { problems.map(\.message) }

    /// Reports a mistake; a second one at the same place counts as a consequence of the first.
    ///
    /// If something is missing at the end, YAML puts the mistake on the line after it: this moves the place back to the
    /// end of the text.
    package func error(
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
    package func remark(
        _ origin: SourceOrigin, _ message: String, hint: String, related: [(SourceOrigin, String)] = []
    ) {
        let origin = inText(origin)
        guard !remarks.contains(where: { $0.origin == origin && $0.message == message }) else { return }
        remarks.append(problem(origin, message, hint, related, nil, .remark))
    }

    /// A place in the text; a place behind the end becomes the end.
    private func inText(_ origin: SourceOrigin) -> SourceOrigin {
        guard case .line(var position) = origin, let lines = lines(of: position.file) else { return origin }
        if position.line > lines.count || position.line == lines.count && lines.last?.isEmpty == true {
            let last = lines.lastIndex { !$0.isEmpty } ?? 0
            position = SourcePosition(line: last + 1, column: lines[last].unicodeScalars.count + 1)
        }
        position.column = min(position.column, lines[position.line - 1].unicodeScalars.count + 1)
        return .line(position)
    }

    /// Reports a finding of a proof. Several findings may be at one place; the same one is reported once.
    package func finding(
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
        guard let lines = lines(of: origin.position?.file), lines.indices.contains(index) else { return "" }
        return String(lines[index].prefix(8192))
    }

    /// The address that a place in the text has; another one than was read there, if it was counted on.
    package func addressWritten(at origin: SourceOrigin) -> InterfaceAddress? {
        guard case .line(let position) = origin else { return nil }
        let text = line(of: origin).unicodeScalars.dropFirst(position.column - 1).drop { $0 == "\"" || $0 == "'" }
        let word = text.prefix { !" ,]}\"'".unicodeScalars.contains($0) }
        return InterfaceAddress(String(String.UnicodeScalarView(word)))
    }

    /// The lines of an included file, or of the topology file; nil if that file could not be read.
    func lines(of file: String?) -> [Substring]? {
        guard let file else { return lines }
        return included[file]
    }

    /// Throws the mistakes that were found, in the order of the text; returns if there are none.
    package func throwIfAny() throws(TopologyError) {
        guard !problems.isEmpty else { return }
        throw TopologyError(problems: problems.sorted { $0.origin < $1.origin })
    }
}
