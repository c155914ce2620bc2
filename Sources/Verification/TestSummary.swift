import ControlAPI
import Reporting

/// A test's reports as Markdown: what GitHub shows on the page of a job (GITHUB_STEP_SUMMARY).
public struct TestSummary {
    private let report: TestReport

    /// Of a whole test.
    public init(_ report: TestReport) { self.report = report }

    /// The most octets: GitHub refuses a summary of more than 1 MiB.
    static let most = 900 << 10

    /// The document.
    public var text: String {
        let files = report.files
        let failures = files.reduce(0) { $0 + $1.failures }, flakes = files.reduce(0) { $0 + $1.flakes }
        let checks = files.reduce(0) { $0 + $1.checks.count }
        let sign = report.status != .success ? "❌" : flakes > 0 ? "⚠️" : "✅"
        var head =
            "\(sign) \(Plural.counted(files.count, "topology", "topologies")), \(Plural.counted(checks, "check"))"
        head += failures > 0 ? ", \(failures) failed" : ", all hold"
        if flakes > 0 { head += ", \(flakes) flaky" }
        var lines = ["## Tapline", "", head + ", in \(Self.seconds(report.time))", ""]
        lines += ["| topology | result | checks | failed | flaky | time | file |", "|---|---|---:|---:|---:|---:|---|"]
        for file in files {
            let all = file.checks.count + file.notReached.count
            let count = file.notReached.isEmpty ? "\(all)" : "\(file.checks.count) of \(all)"
            let result = file.resultWords
            lines.append(
                "| \(Self.cell(file.label)) | \(result) | \(count) | \(file.failures) | \(file.flakes) | "
                    + "\(Self.seconds(file.time)) | \(Self.cell(file.file)) |")
        }
        lines.append("")
        for file in files { lines += details(file) }
        var octets = 0
        let fitting = lines.prefix { line in
            octets += line.utf8.count + 1
            return octets <= Self.most
        }
        if fitting.count < lines.count {
            // An open block would swallow this line.
            lines =
                fitting + [
                    "```", "</details>", "", "Shortened: \(lines.count - fitting.count) more lines are in the log.",
                ]
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func details(_ file: TestFileReport) -> [String] {
        var lines: [String] = []
        for (index, check) in file.checks.enumerated() {
            if !check.passed {
                lines += Self.block("❌ \(file.label): \(check.name)", check.explanation, isOpen: true)
            } else if let flake = file.flake(of: index) {
                lines += Self.block(
                    "⚠️ \(file.label): \(check.name) passed on try \(file.tries)", flake.explanation, isOpen: false)
            }
            for measured in check.measured {
                lines.append("- \(Self.cell(check.name)): \(Self.cell(measured.summary))")
            }
        }
        if let error = file.error {
            lines += Self.block("❌ \(file.label): \(file.outcome.rawValue)", error.details + ["\(error)"], isOpen: true)
        }
        for (index, earlier) in file.earlier.enumerated() {
            guard let error = earlier.error else { continue }
            lines += Self.block(
                "⚠️ \(file.label): could not run on try \(index + 1)", error.details + ["\(error)"], isOpen: false)
        }
        if !file.notReached.isEmpty {
            lines += Self.block("\(file.label): not reached", file.notReached, isOpen: false)
        }
        return lines
    }

    private static func block(_ title: String, _ lines: [String], isOpen: Bool) -> [String] {
        // A fence that no line of the block can end.
        let longest = lines.map { $0.prefix { $0 == " " || $0 == "|" }.count < $0.count ? run($0) : 0 }.max() ?? 0
        let fence = String(repeating: "`", count: max(3, longest + 1))
        return ["<details\(isOpen ? " open" : "")><summary>\(markup(title))</summary>", "", fence]
            + lines.flatMap { $0.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
            + [fence, "</details>", ""]
    }

    /// The longest run of backticks.
    private static func run(_ line: String) -> Int {
        var (longest, now) = (0, 0)
        for character in line {
            now = character == "`" ? now + 1 : 0
            longest = max(longest, now)
        }
        return longest
    }

    /// A text in a cell of a table, or in a line of a list: nothing in it is Markdown.
    private static func cell(_ text: String) -> String {
        var shown = ""
        for character in markup(text.replacing("\n", with: " ")) {
            if "\\`*_{}[]#|~".contains(character) { shown.append("\\") }
            shown.append(character)
        }
        return shown
    }

    private static func markup(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }

    private static func seconds(_ time: Milliseconds) -> String {
        "\(time.count / 1000).\(time.count % 1000 / 100) s"
    }
}
