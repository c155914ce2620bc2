import Foundation
import Testing

@testable import Appliance
@testable import ControlAPI
@testable import Reporting
@testable import Verification

/// What `xmllint` says of a report, against the schema beside this file; nil where it is valid.
func junitMistakes(_ path: String) throws -> String? {
    let schema = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("junit.xsd").path
    let result = try CommandLineRun.shell("xmllint --noout --nonet --schema '\(schema)' '\(path)'")
    return result.status == 0 ? nil : result.errors
}

@Suite("JUnit XML")
struct JUnitTests {
    private func report(_ change: (inout TestFileReport) -> Void) -> TestFileReport {
        var report = TestFileReport(
            label: "small", file: "a b.yaml", topology: "small-x", outcome: .passed, status: .success,
            started: 1_795_579_161, time: .milliseconds(12_034), checks: [], notReached: [], error: nil, notes: [],
            errorOutput: [], kept: false, nodes: [])
        change(&report)
        return report
    }

    private func check(_ name: String, passed: Bool = true, came: [String] = []) -> CheckReport {
        CheckReport(
            name: name, origin: .line(SourcePosition(line: 7, column: 1)), passed: passed, time: .milliseconds(5),
            expected: passed ? nil : "output with '<a>'",
            came: came, evidence: passed ? [] : [.init(title: "log of fw", lines: ["\u{1B}[31m]]>"])])
    }

    /// Writes the report, and returns its text where the schema takes it.
    private func valid(_ reports: [TestFileReport]) throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).xml").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try ReportFile(path: path).write(JUnitReport(reports, hostname: "here").xml)
        let mistakes = try junitMistakes(path)
        #expect(mistakes == nil)
        return try String(contentsOfFile: path, encoding: .utf8)
    }

    @Test("the figures of packets are properties, and the trace of a failed check is in the output, bounded")
    func measurements() throws {
        let measured = CheckMeasurement(
            kind: .outage, line: 7, summary: "9 packets sent, 1 lost <&>", from: "alice", to: "203.0.113.80",
            answersCount: true, sent: 9, arrived: 8, lost: 1, unknown: 0, reordered: 2, duplicated: 3,
            longestGap: 40_012_345, late: 0, paths: [.init(path: "alice → \"web\"", count: 9)],
            times: [.init(node: "fw", count: 9, p50: 1_500, p90: 2_000, p99: 3_000, p999: 4_000, max: 5_001)])
        var passed = check("one")
        passed.measured = [measured]
        var failed = check("two", passed: false)
        failed.measured = [measured, measured]
        failed.evidence = [
            .init(title: "trace of a packet that did not arrive", lines: Array(repeating: "→ ]]> \0", count: 100_000)),
            .init(title: "log of fw", lines: ["not here"]),
        ]
        let text = try valid([report { $0.checks = [passed, failed] }])
        #expect(text.contains(#"<property name="one: lost" value="1"/>"#))
        #expect(text.contains(#"<property name="one: longest gap (us)" value="40012.345"/>"#))
        #expect(text.contains(#"<property name="one: fw p50 (us)" value="1.500"/>"#))
        #expect(text.contains(#"<property name="two, line 7: sent" value="9"/>"#))
        let output = try #require(text.components(separatedBy: "<system-out>").last)
        #expect(output.contains("9 packets sent, 1 lost &lt;&amp;&gt;"))
        #expect(output.contains("trace of a packet that did not arrive:") && !output.contains("not here"))
        #expect(output.utf8.count < 1 << 20 && output.contains("more lines)"))
        let again = try JSONDecoder().decode(CheckReport.self, from: JSONEncoder().encode(failed))
        #expect(again.measured == failed.measured)
    }

    @Test("every outcome, counted in its suite")
    func outcomes() throws {
        let text = try valid([
            report {
                $0.checks = [check("one"), check("two", passed: false, came: ["\0\u{8}\u{FFFE}\"&'é漢\u{1F980}\t|"])]
            },
            report { report in
                report.label = "broken"
                report.outcome = .couldNotRun
                report.error = ApplianceError(.failed, "node web ended", details: ["last words"])
                report.notReached = ["one", "two"]
            },
            report { report in
                report.label = "x.yaml"
                report.outcome = .badFile
                report.topology = nil
                report.error = ApplianceError(.file, "x.yaml has a mistake", details: ["x.yaml:3:1: error: no"])
            },
            report { $0.label = "without checks" },
        ])
        #expect(text.contains(#"name="small" package="tapline" id="0" tests="2" failures="1" errors="0" skipped="0""#))
        #expect(text.contains(#"name="broken" package="tapline" id="1" tests="3" failures="0" errors="1" skipped="2""#))
        #expect(text.contains(#"time="12.034" timestamp="2026-11-25T03:59:21" hostname="here""#))
        #expect(
            text.contains(#"<testcase name="one" classname="small" time="0.005" file="a b.yaml" line="7"/>"#), "\(text)"
        )
        #expect(text.contains(#"<failure message="expected output with '&lt;a&gt;'" type="check">a b.yaml:7: two"#))
        #expect(text.contains(#"| \u{0}\u{8}\u{fffe}"&amp;'é漢🦀"# + "\t|"))
        #expect(text.contains(#"log of fw:"# + "\n" + #"| \u{1b}[31m]]&gt;"#))
        #expect(text.contains(#"<error message="x.yaml has a mistake" type="bad-file">x.yaml:3:1: error: no"#))
    }

    @Test("what passed on another try is flaky, and what failed in all of them has each failure")
    func tries() throws {
        func earlier(
            _ checks: [CheckReport], _ outcome: TestFileReport.Outcome = .failed, _ error: ApplianceError? = nil
        ) -> TestFileReport.EarlierTry {
            TestFileReport.EarlierTry(
                outcome: outcome, checks: checks, error: error, time: Milliseconds(.milliseconds(7)))
        }
        let flaky = report {
            $0.checks = [check("one"), check("two")]
            $0.earlier = [
                earlier([], .couldNotRun, ApplianceError(.failed, "node web ended", details: ["last words"])),
                earlier([check("one"), check("two", passed: false)]),
            ]
        }
        #expect(flaky.flakes == 2 && flaky.resultWords == "passed on try 3" && flaky.flake(of: 0) == nil)
        let failed = report {
            ($0.label, $0.outcome) = ("failed", .failed)
            $0.checks = [check("one"), check("two", passed: false)]
            $0.earlier = [earlier([check("one", passed: false), check("two", passed: false)])]
        }
        #expect(failed.flakes == 1 && failed.failures == 1)
        let text = try valid([flaky, failed])
        #expect(text.contains(#"hostname="here" flakes="2">"#) && text.contains(#"name="tries" value="3""#))
        #expect(
            text.contains(
                #"<flakyFailure message="expected output with '&lt;a&gt;'" type="check"><stackTrace>a b.yaml:7: two"#))
        #expect(
            text.contains(
                #"<flakyError message="node web ended" type="could-not-run"><stackTrace>last words"#), "\(text)")
        #expect(text.components(separatedBy: "<flakyFailure").count == 3)
        #expect(text.components(separatedBy: "<rerunFailure").count == 2)
        let again = try JSONDecoder().decode(TestFileReport.self, from: JSONEncoder().encode(flaky))
        #expect(again.tries == 3)
    }

    @Test("a check of a record names the record in place of a line")
    func record() throws {
        let origin = SourceOrigin.record(SourceRecord(kind: "check", id: "4"))
        let check = CheckReport(
            name: "one", origin: origin, passed: false, time: .milliseconds(5), expected: "an answer", came: [])
        #expect(check.explanation == ["check record 4: expected an answer"])
        let text = try valid([report { $0.checks = [check] }])
        #expect(text.contains("a b.yaml: check record 4: one"))
        #expect(!text.contains("line="))
        let again = try JSONDecoder().decode(CheckReport.self, from: JSONEncoder().encode(check))
        #expect(again.line == 0 && again.record == origin.record)
    }

    @Test("no file at all, and names that are hard to write")
    func edges() throws {
        #expect(try valid([]).contains("<testsuites>"))
        let text = try valid([
            report { $0.checks = [check("a\nb\t\"c\" <d> & \u{7}")] },
            report { $0.label = String(repeating: "ü]]>", count: 5_000) },
        ])
        #expect(text.contains(#"<testcase name="a&#10;b&#9;&quot;c&quot; &lt;d&gt; &amp; \u{7}""#))
    }

    @Test("every character that XML takes stays, and every other can still be read")
    func characters() throws {
        let scalars = (0...0x2FFF).compactMap(Unicode.Scalar.init) + (0xFFF0...0x1_0010).compactMap(Unicode.Scalar.init)
        let text = String(String.UnicodeScalarView(scalars))
        _ = try valid([report { $0.checks = [check(text, passed: false, came: [text])] }])
        let content = XMLText.content(text)
        #expect(
            content.contains("\\u{1b}") && content.contains("\\u{ffff}") && content.contains("漢") == text.contains("漢"))
    }

    @Test("a report is written whole, through a link, into a pipe, and refused before work where it cannot be")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let target = folder.appendingPathComponent("target").path, link = folder.appendingPathComponent("link").path
        try "before".write(toFile: target, atomically: true, encoding: .utf8)
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
        try ReportFile(path: link).write("after")
        #expect(try String(contentsOfFile: target, encoding: .utf8) == "after")
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == target)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["link", "target"])
        try ReportFile(path: "/dev/null").write("gone")
        #expect(throws: ApplianceError.self) { try ReportFile(path: folder.path) }
        #expect(throws: ApplianceError.self) { try ReportFile(path: "/no/such/folder/report.xml") }
    }

    @Test("the gravest status of several files")
    func statuses() {
        func status(_ statuses: [ExitCode]) -> ExitCode {
            TestReport.status(of: statuses.map { status in report { $0.status = status } })
        }
        #expect(status([]) == .success)
        #expect(status([.success, .success]) == .success)
        #expect(status([.success, .checkFailed]) == .checkFailed)
        #expect(status([.checkFailed, .failed, .success]) == .failed)
        #expect(status([.machine, .machine, .checkFailed]) == .machine)
        #expect(status([.machine, .failed]) == .failed)
        #expect(status([.failed, .file, .checkFailed]) == .file)
    }
}
