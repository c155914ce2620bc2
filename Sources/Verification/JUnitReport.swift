import ControlAPI
import Glibc
import Reporting

/// A test's reports as JUnit XML: Jenkins, GitLab and GitHub's reporters read it.
///
/// JUnit XML has several schemas. This report keeps to the rules that Ant's and Jenkins' share:
/// - `testsuites` has no attribute.
/// - All output of a check is in its failure or in the suite's `system-out`.
/// - Every suite has its properties and both outputs.
///
/// In addition, a testcase has `file` and `line`, as pytest writes them and GitLab shows them. Of a file that was run several
/// times, earlier failures are there as Maven's Surefire writes them: `flakyFailure` and `flakyError` in a testcase that passed in
/// the end, `rerunFailure` and `rerunError` in one that did not, and `flakes` in the suite.
public struct JUnitReport {
    private let files: [TestFileReport]
    private let hostname: String

    /// - Parameter hostname: The name of the machine where the test ran.
    public init(_ files: [TestFileReport], hostname: String = JUnitReport.ownHostname()) {
        self.files = files
        self.hostname = hostname.isEmpty ? "localhost" : hostname
    }

    /// This machine's name.
    public static func ownHostname() -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let failed = buffer.withUnsafeMutableBytes { bytes in
            gethostname(bytes.baseAddress!.assumingMemoryBound(to: CChar.self), bytes.count - 1) != 0
        }
        return failed ? "localhost" : String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The document.
    public var xml: String {
        var lines = [#"<?xml version="1.0" encoding="UTF-8"?>"#, "<testsuites>"]
        for (index, file) in files.enumerated() { lines += suite(file, index) }
        return (lines + ["</testsuites>", ""]).joined(separator: "\n")
    }

    private func suite(_ file: TestFileReport, _ index: Int) -> [String] {
        let cases = cases(file)
        var attributes = [
            ("name", file.label), ("package", "tapline"), ("id", "\(index)"), ("tests", "\(cases.count)"),
            ("failures", "\(cases.count { $0.kind == "failure" })"),
            ("errors", "\(cases.count { $0.kind == "error" })"),
            ("skipped", "\(cases.count { $0.kind == "skipped" })"), ("time", Self.seconds(file.time)),
            ("timestamp", Self.timestamp(file.started)), ("hostname", hostname),
        ]
        if file.flakes > 0 { attributes.append(("flakes", "\(file.flakes)")) }
        var properties = [("file", file.file), ("outcome", file.outcome.rawValue)]
        if let topology = file.topology { properties.append(("topology", topology)) }
        if file.kept { properties.append(("kept", "true")) }
        if file.tries > 1 { properties.append(("tries", "\(file.tries)")) }
        properties += file.checks.flatMap { check in
            check.measured.flatMap { measured in
                figures(measured, check.measured.count > 1 ? "\(check.name), line \(measured.line)" : check.name)
            }
        }
        var lines = ["  <testsuite\(Self.text(attributes))>", "    <properties>"]
        lines += properties.map { "      <property\(Self.text([("name", $0.0), ("value", $0.1)]))/>" }
        lines.append("    </properties>")
        for entry in cases {
            var attributes = [("name", entry.name), ("classname", file.label), ("time", entry.time)]
            attributes.append(("file", entry.file ?? file.file))
            if let line = entry.line { attributes.append(("line", "\(line)")) }
            let head = "    <testcase" + Self.text(attributes)
            guard entry.kind != nil || !entry.earlier.isEmpty else {
                lines.append("\(head)/>")
                continue
            }
            lines.append("\(head)>")
            if let kind = entry.kind {
                let inner = Self.text([("message", entry.message), ("type", entry.type)])
                lines.append("      <\(kind)\(inner)>\(XMLText.content(entry.text))</\(kind)>")
            }
            for failure in entry.earlier {
                let kind = (entry.kind == nil ? "flaky" : "rerun") + (failure.isError ? "Error" : "Failure")
                let inner = Self.text([("message", failure.message), ("type", failure.type)])
                lines.append(
                    "      <\(kind)\(inner)><stackTrace>\(XMLText.content(failure.text))</stackTrace></\(kind)>")
            }
            lines.append("    </testcase>")
        }
        lines.append("    <system-out>\(XMLText.content(output(file)))</system-out>")
        lines.append("    <system-err>\(XMLText.content(file.errorOutput.joined(separator: "\n")))</system-err>")
        return lines + ["  </testsuite>"]
    }

    /// One testcase; `kind` is the element that says how it did not pass.
    private struct Case {
        var name: String
        /// Its line of the file; nil if it is about the whole file, or a record.
        var line: Int?
        /// The included file that the line is in; nil: the topology file.
        var file: String?
        var time = "0.000"
        var kind: String?
        var message = ""
        var type = ""
        var text = ""
        /// What went wrong in earlier tries.
        var earlier: [Earlier] = []
    }

    /// A failure in an earlier try.
    private struct Earlier {
        var isError: Bool
        var message: String
        var type: String
        var text: String
    }

    private func cases(_ file: TestFileReport) -> [Case] {
        var cases = file.checks.enumerated().map { index, check -> Case in
            let line = check.record == nil ? check.line : nil
            var entry = Case(name: check.name, line: line, file: check.file, time: Self.seconds(check.time))
            entry.earlier = file.earlier.compactMap { earlier in
                guard earlier.checks.indices.contains(index), !earlier.checks[index].passed else { return nil }
                let failed = earlier.checks[index]
                return Earlier(
                    isError: false, message: message(failed), type: "check",
                    text: text(failed, file))
            }
            guard !check.passed else { return entry }
            entry.kind = "failure"
            entry.type = "check"
            entry.message = message(check)
            entry.text = text(check, file)
            return entry
        }
        let errors = file.earlier.compactMap { earlier in
            earlier.error.map { error in
                Earlier(
                    isError: true, message: "\(error)",
                    type: Self.type(earlier.outcome),
                    text: (error.details + ["\(error)"]).joined(separator: "\n"))
            }
        }
        if let error = file.error {
            let name = file.outcome == .badFile ? "the file is without mistakes" : "the topology runs"
            cases.append(
                Case(
                    name: name, kind: "error", message: "\(error)", type: Self.type(file.outcome),
                    text: (error.details + ["\(error)"]).joined(separator: "\n"), earlier: errors))
        } else if cases.isEmpty && file.notReached.isEmpty || !errors.isEmpty {
            // A suite without a case would not be seen, and this file has been proven to come up and go.
            cases.append(Case(name: "the topology runs", time: Self.seconds(file.time), earlier: errors))
        }
        cases += file.notReached.map { name in
            Case(name: name, kind: "skipped", message: "it was not reached", type: "not-reached")
        }
        return cases
    }

    private func message(_ check: CheckReport) -> String { "expected \(check.expected ?? "something else")" }

    private func text(_ check: CheckReport, _ file: TestFileReport) -> String {
        let place = check.record.map { "\(file.file): \($0.name)" } ?? "\(check.file ?? file.file):\(check.line)"
        return (["\(place): \(check.name)"] + check.explanation).joined(separator: "\n")
    }

    private static func type(_ outcome: TestFileReport.Outcome) -> String { outcome.rawValue.replacing(" ", with: "-") }

    /// The figures of a measurement, each a property with the check's name; times are microseconds.
    private func figures(_ measured: CheckMeasurement, _ name: String) -> [(String, String)] {
        func microseconds(_ nanoseconds: UInt64) -> String {
            let rest = String(nanoseconds % 1_000)
            return "\(nanoseconds / 1_000)." + String(repeating: "0", count: 3 - rest.count) + rest
        }
        var figures = [
            ("sent", "\(measured.sent)"), ("lost", "\(measured.lost)"), ("unknown", "\(measured.unknown)"),
            ("reordered", "\(measured.reordered)"), ("duplicated", "\(measured.duplicated)"),
            ("paths", "\(measured.paths.count)"),
        ]
        if let gap = measured.longestGap { figures.append(("longest gap (us)", microseconds(gap))) }
        for times in measured.times {
            figures.append(("\(times.node) p50 (us)", microseconds(times.p50)))
            figures.append(("\(times.node) p99 (us)", microseconds(times.p99)))
            figures.append(("\(times.node) max (us)", microseconds(times.max)))
        }
        return figures.map { ("\(name): \($0.0)", $0.1) }
    }

    /// The most octets of a suite's output. Reporters refuse files that are too large.
    private static let mostOutput = 256 << 10

    private func output(_ file: TestFileReport) -> String {
        var lines = file.notes.map { "note: \($0)" }
        for check in file.checks {
            lines.append("\(check.passed ? "ok" : "FAILED") \(check.name) (\(check.time))")
            lines += check.measured.map { "  \($0.summary)" }
            guard !check.passed else { continue }
            for evidence in check.evidence where evidence.isTrace {
                lines += ["  \(evidence.title):"] + evidence.lines.map { "  | \($0)" }
            }
        }
        var octets = 0
        let fitting = lines.prefix { line in
            octets += line.utf8.count + 1
            return octets <= Self.mostOutput
        }
        if fitting.count < lines.count { lines = fitting + ["(and \(lines.count - fitting.count) more lines)"] }
        if file.kept, let topology = file.topology { lines.append("'\(topology)' is still up") }
        return lines.joined(separator: "\n")
    }

    private static func text(_ attributes: [(name: String, value: String)]) -> String {
        attributes.map { " \($0.name)=\"\(XMLText.attribute($0.value))\"" }.joined()
    }

    /// Seconds with three decimals.
    package static func seconds(_ time: Milliseconds) -> String {
        let thousandths = "\(time.count % 1000)"
        return "\(time.count / 1000)." + String(repeating: "0", count: 3 - thousandths.count) + thousandths
    }

    /// Universal time as `2026-11-25T03:59:21`: the schemas allow no zone.
    static func timestamp(_ seconds: Int) -> String {
        var (moment, parts) = (time_t(seconds), tm())
        gmtime_r(&moment, &parts)
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let date = "\(Int(parts.tm_year) + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
    }
}

extension CheckReport {
    /// The expectation, the result and the evidence, as lines for a person.
    public var explanation: [String] {
        var lines = ["\(place): expected \(expected ?? "something else")"]
        lines += came.map { "| \($0)" }
        for evidence in evidence { lines += ["\(evidence.title):"] + evidence.lines.map { "| \($0)" } }
        return lines
    }
}

/// Text inside XML 1.0. A character that a document must not hold (section 2.2: control characters, the two
/// noncharacters) becomes `\u{1b}`, so that it can still be read.
enum XMLText {
    /// Between tags.
    static func content(_ text: String) -> String { escaped(text, inAttribute: false) }

    /// Inside double quotes: line ends and tabs are kept from being taken for spaces.
    static func attribute(_ text: String) -> String { escaped(text, inAttribute: true) }

    private static func escaped(_ text: String, inAttribute: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x26: escaped += "&amp;"
            case 0x3C: escaped += "&lt;"
            case 0x3E: escaped += "&gt;"
            case 0x22 where inAttribute: escaped += "&quot;"
            case 0x09, 0x0A: escaped += inAttribute ? "&#\(scalar.value);" : String(scalar)
            case 0x0D: escaped += "&#13;"
            case 0..<0x20, 0x7F..<0xA0, 0xFFFE, 0xFFFF: escaped += "\\u{\(String(scalar.value, radix: 16))}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
