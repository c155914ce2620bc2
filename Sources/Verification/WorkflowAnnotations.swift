import ControlAPI
import Reporting

/// A test's failures as commands of a GitHub Actions workflow, which shows each of them at its line of the file.
///
/// The runner reads them from the output of a step: `::error file=…,line=…,title=…::message`.
public struct WorkflowAnnotations {
    private let workspace: String
    private let folder: String

    /// - Parameters:
    ///   - workspace: The folder of the repository (GITHUB_WORKSPACE); empty: paths stay as they are.
    ///   - folder: Where relative paths begin.
    public init(workspace: String, folder: String) {
        self.workspace = workspace.hasSuffix("/") ? String(workspace.dropLast()) : workspace
        self.folder = folder
    }

    /// The most characters of a message: the page shows no more than a few lines.
    private static let longest = 4_000

    /// One line for each failure, mistake and flaky check.
    public func lines(_ files: [TestFileReport]) -> [String] { files.flatMap(lines) }

    private func lines(_ file: TestFileReport) -> [String] {
        var lines: [String] = []
        for (index, check) in file.checks.enumerated() {
            // A record has no line of a file.
            let line = check.record == nil ? check.line : nil
            let place = check.file ?? file.file
            if !check.passed {
                lines.append(command("error", place, line, "\(file.label): \(check.name)", check.explanation))
            } else if let flake = file.flake(of: index) {
                lines.append(
                    command(
                        "warning", place, line, "\(file.label): \(check.name)",
                        ["passed on try \(file.tries), and did not hold before"] + flake.explanation))
            }
        }
        if let error = file.error {
            let mistakes = error.details.compactMap { Mistake($0) }
            lines += mistakes.map { command("error", $0.file, $0.line, file.label, [$0.message], column: $0.column) }
            if mistakes.isEmpty {
                lines.append(command("error", file.file, nil, file.label, ["\(error)"] + error.details))
            }
        } else if let earlier = file.earlier.last(where: { $0.error != nil }), file.outcome == .passed {
            let reason = earlier.error.map { ["\($0)"] + $0.details } ?? []
            lines.append(
                command(
                    "warning", file.file, nil, file.label,
                    ["passed on try \(file.tries), and could not run before"] + reason))
        }
        return lines
    }

    /// One command. Its title and message may hold everything.
    public func command(
        _ kind: String, _ file: String?, _ line: Int?, _ title: String, _ message: [String], column: Int? = nil
    ) -> String {
        var properties: [String] = []
        if let file { properties.append("file=\(Self.property(path(file)))") }
        if let line, line > 0 { properties.append("line=\(line)") }
        if let column, column > 0 { properties.append("col=\(column)") }
        properties.append("title=\(Self.property(title))")
        let text = message.joined(separator: "\n")
        let cut = text.count > Self.longest ? String(text.prefix(Self.longest)) + "\n(shortened)" : text
        return "::\(kind) \(properties.joined(separator: ","))::\(Self.data(cut))"
    }

    /// The path from the repository's folder, if the file is in it.
    func path(_ path: String) -> String {
        let whole = path.hasPrefix("/") ? path : "\(folder)/\(path)"
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        let plain = "/" + parts.joined(separator: "/")
        guard !workspace.isEmpty, plain.hasPrefix(workspace + "/") else { return path }
        return String(plain.dropFirst(workspace.count + 1))
    }

    /// A message: these three characters would end it.
    static func data(_ text: String) -> String {
        harmless(text).replacing("%", with: "%25").replacing("\r", with: "%0D").replacing("\n", with: "%0A")
    }

    /// A property: these two would end it, too.
    static func property(_ text: String) -> String {
        data(text).replacing(":", with: "%3A").replacing(",", with: "%2C")
    }

    /// Without control characters, which the page would show as they are.
    private static func harmless(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0A, 0x0D: shown.unicodeScalars.append(scalar)
            case 0..<0x20, 0x7F..<0xA0:
                shown += scalar.value == 0x09 ? "    " : "\\u{\(String(scalar.value, radix: 16))}"
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }

    /// A mistake of a file, as it is printed: `file:line:column: error: message`.
    struct Mistake {
        var file: String
        var line: Int
        var column: Int
        var message: String

        init?(_ text: String) {
            guard let found = text.wholeMatch(of: /(.+?):([0-9]+):([0-9]+): error: (.*)/),
                let line = Int(found.2), let column = Int(found.3)
            else { return nil }
            (file, self.line, self.column, message) = (String(found.1), line, column, String(found.4))
        }
    }
}
