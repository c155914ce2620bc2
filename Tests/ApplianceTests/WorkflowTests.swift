import Foundation
import Testing

@testable import ControlAPI
@testable import Reporting
@testable import Verification

/// What a test tells a service of continuous integration.
@Suite("Annotations and summaries")
struct WorkflowTests {
    private func check(_ name: String, passed: Bool, file: String? = nil) -> CheckReport {
        var position = SourcePosition(line: 7, column: 3)
        position.file = file
        return CheckReport(
            name: name, origin: .line(position), passed: passed, time: .milliseconds(5),
            expected: passed ? nil : "output with 'a'", came: passed ? [] : ["100%\u{1B}", "```"])
    }

    private func report(_ checks: [CheckReport], _ outcome: TestFileReport.Outcome = .failed) -> TestFileReport {
        TestFileReport(
            label: "small", file: "lab/a,b.yaml", topology: "small-x", outcome: outcome,
            status: outcome == .passed ? .success : .checkFailed, started: 1_795_579_161, time: .milliseconds(1_250),
            checks: checks, notReached: [], notes: [], errorOutput: [], kept: false, nodes: [])
    }

    @Test("a failure is one line, at its place in the repository")
    func failures() {
        let annotations = WorkflowAnnotations(workspace: "/w/repo", folder: "/w/repo/tests")
        let lines = annotations.lines([report([check("a: b, c", passed: false), check("fine", passed: true)])])
        #expect(
            lines == [
                "::error file=tests/lab/a%2Cb.yaml,line=7,title=small%3A a%3A b%2C c::"
                    + "line 7: expected output with 'a'%0A| 100%25\\u{1b}%0A| ```"
            ])
        let included = annotations.lines([report([check("x", passed: false, file: "../common.yaml")])])
        #expect(included.first?.hasPrefix("::error file=common.yaml,line=7,") == true, "\(included)")
        #expect(annotations.path("/w/repo/x/../y.yaml") == "y.yaml")
        #expect(annotations.path("/else/y.yaml") == "/else/y.yaml")
        #expect(WorkflowAnnotations(workspace: "", folder: "/").path("y.yaml") == "y.yaml")
    }

    @Test("every mistake of a file has its line and column, and what has none its file")
    func mistakes() {
        var bad = report([], .badFile)
        bad.error = ApplianceError(
            .file, "x has 2 mistakes",
            details: ["x.yaml:3:5: error: unknown key; did you mean", "    adress:", "    ^", "x.yaml:4:1: error: no"])
        let annotations = WorkflowAnnotations(workspace: "", folder: "/")
        #expect(
            annotations.lines([bad]) == [
                "::error file=x.yaml,line=3,col=5,title=small::unknown key; did you mean",
                "::error file=x.yaml,line=4,col=1,title=small::no",
            ])
        var broken = report([], .couldNotRun)
        broken.error = ApplianceError(.failed, "node web ended", details: ["last words"])
        #expect(
            annotations.lines([broken]) == ["::error file=lab/a%2Cb.yaml,title=small::node web ended%0Alast words"])
    }

    @Test("what passed on another try is a warning")
    func flakes() {
        var flaky = report([check("one", passed: true)], .passed)
        flaky.earlier = [
            TestFileReport.EarlierTry(
                outcome: .failed, checks: [check("one", passed: false)], error: nil, time: Milliseconds(.zero))
        ]
        let lines = WorkflowAnnotations(workspace: "", folder: "/").lines([flaky])
        #expect(lines.count == 1 && lines[0].hasPrefix("::warning file=") && lines[0].contains("passed on try 2"))
        let text = TestSummary(TestReport(files: [flaky], time: .seconds(2))).text
        #expect(text.contains("⚠️ 1 topology, 1 check, all hold, 1 flaky, in 2.0 s"))
        #expect(text.contains("| small | passed on try 2 | 1 | 0 | 1 | 1.2 s |"), "\(text)")
    }

    @Test("a summary is Markdown that no name and no output breaks, and that GitHub takes")
    func summary() {
        let failed = report([check("a | <b> `c`", passed: false)])
        let text = TestSummary(TestReport(files: [failed], time: .seconds(1))).text
        #expect(text.contains("❌ 1 topology, 1 check, 1 failed, in 1.0 s"))
        #expect(text.contains("<details open><summary>❌ small: a | &lt;b&gt; `c`</summary>\n\n````\n"), "\(text)")
        #expect(text.contains("| ```\n````\n</details>"))
        var long = check("long", passed: false)
        long.came = Array(repeating: String(repeating: "x", count: 1_000), count: 5_000)
        let cut = TestSummary(TestReport(files: [report([long])], time: .seconds(1))).text
        #expect(cut.utf8.count < 1 << 20 && cut.contains("Shortened: "))
    }
}
