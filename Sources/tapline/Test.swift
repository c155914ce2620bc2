import Appliance
import ArgumentParser
import ControlAPI
import EventLoop
import Fabric
import Glibc
import Reporting
import Verification

/// `tapline test`.
struct Test: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run several topology files side by side, and run their checks.",
        discussion: """
            Each file is brought up under a name of its own, checked, and taken away. You may give the same file twice. For a
            folder, its topology.yaml runs, or those of its subfolders. Mistakes in files are shown first, all of them. The other
            files run nevertheless. Ctrl-C takes everything away, and the reports show how far each file came.

            With --json the keys are stable: version, status, milliseconds, and files, each with label, file, topology, outcome
            (passed, failed, could not run, bad file, interrupted), status, started, milliseconds, checks (name, line, passed,
            milliseconds, expected, came, evidence), notReached, error, notes, errorOutput, kept, nodes, earlier (the tries before
            this one: outcome, checks, error, milliseconds). Progress then goes to standard error.

            With --retries, a file that does not pass is brought up and checked anew. A check that holds then, and did not before,
            is flaky: all reports name it, and the exit status is that of the last try. JUnit XML has it as Maven's Surefire writes
            it (flakyFailure). A wrong file and a machine that lacks something are not tried again.

            With --evidence, the folder gets junit.xml, report.json and summary.md, and for each file a folder with a capture of
            every hop (capture.pcapng), the ways of its packets (traces.txt), events, status, tables, and the logs and files of its
            nodes. Captures may hold secrets.

            In GitHub Actions (GITHUB_ACTIONS is true) each failure is also an annotation at its line of the file, and the summary
            is added to that of the job.

            EXIT STATUS
              0   every check of every file held
              3   a file is wrong
              2   a topology could not be run, or the test was interrupted
              4   the machine lacks something that a file needs
              1   a check did not hold
              64  the command line is wrong

            If several apply, the first in this list counts. If files could not be run for different reasons, it is 2.

            EXAMPLE
              sudo tapline test Topologies
              sudo tapline test a.yaml b.yaml --jobs 4 --junit report.xml
              sudo tapline test a.yaml --filter 'reaches the shop' --keep
              sudo tapline test Topologies --retries 1 --evidence evidence
            """.paragraphs)

    @Argument(
        help: "Topology files, or folders with topology files.", completion: .file(extensions: ["yaml", "yml"]))
    var files: [String]

    @Option(
        name: [.customShort("j", allowingJoined: true), .long],
        help: "How many topologies may be up at once. (default: one per processor)")
    var jobs: Int?

    @Option(
        help: ArgumentHelp("Write JUnit XML to a file; - for standard output.", valueName: "out"), completion: .file())
    var junit: String?

    @Option(help: "Run a file that does not pass again, at most N times.")
    var retries = 0

    @Option(
        help: ArgumentHelp("Put captures, traces, logs and reports into a folder.", valueName: "dir"),
        completion: .directory)
    var evidence: String?

    @Option(
        help: ArgumentHelp(
            "Add a summary in Markdown to the end of a file. (default: GITHUB_STEP_SUMMARY, in GitHub Actions)",
            valueName: "file"), completion: .file(extensions: ["md"]))
    var summary: String?

    /// How failures are printed for a program that shows them in the file.
    enum Annotations: String, ExpressibleByArgument, CaseIterable {
        case github, none
    }

    @Option(
        help: ArgumentHelp(
            "Print each failure as an annotation: github or none. (default: github, in GitHub Actions)",
            valueName: "kind"))
    var annotations: Annotations?

    @Flag(help: "Leave the topologies up, and show how to enter them and how to take them away.")
    var keep = false

    @Option(
        help: ArgumentHelp(
            "Only files with this text in their path or name. Of other files, only checks with it in their name.",
            valueName: "text"))
    var filter: String?

    @OptionGroup
    var options: FileOptions

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if let jobs, jobs < 1 { throw ValidationError("--jobs is at least 1.") }
        if json, junit == "-" { throw ValidationError("Only one of --json and --junit - can have standard output.") }
        if !(0...9).contains(retries) { throw ValidationError("--retries is 0 to 9.") }
        if evidence == "" { throw ValidationError("--evidence needs a folder.") }
        if filter == "" { throw ValidationError("--filter needs a text.") }
    }

    func run() throws {
        var status = Reporting.ExitCode.success
        try reporting { () throws(ApplianceError) in status = try test() }
        if status != .success { throw ArgumentParser.ExitCode(status.rawValue) }
    }

    private func test() throws(ApplianceError) -> Reporting.ExitCode {
        let reportFile: ReportFile? = if let junit, junit != "-" { try ReportFile(path: junit) } else { nil }
        let folder = evidence.map { PlanReader.absolute($0) }
        if let folder { try Evidence.make(folder) }
        let summaryFile = try summaryPath.map { path throws(ApplianceError) in try AppendedFile(path: path) }
        let files = TestFiles.read(self.files, settings: options.settings, filter: filter)
        guard !files.isEmpty else {
            throw ApplianceError(
                .usage, "no file and no check has '\(filter ?? "")' in its name",
                hint: "'tapline validate FILE' reads a file, and lists its checks")
        }
        let run = TestRun(
            files: files, jobs: jobs ?? TestRun.processors, keep: keep, filter: filter, retries: retries,
            evidence: folder.map { PlanReader.absolute($0) })
        let display = TestDisplay(files, on: json || junit == "-" ? 2 : 1)
        display.tellMistakes()
        let reports = try perform(run, display)
        let report = TestReport(files: reports, time: display.elapsed)
        let xml = JUnitReport(reports).xml
        display.finish(report)
        if json { Terminal.json(try prettyJSON(report)) }
        if junit == "-" { Terminal.data(ASCIIText.isWanted ? ASCIIText.xml(xml) : xml, end: "") }
        try reportFile?.write(xml)
        let markdown = TestSummary(report).text
        if annotates {
            let lines = WorkflowAnnotations(
                workspace: Self.variable("GITHUB_WORKSPACE") ?? "", folder: Self.currentFolder
            )
            .lines(reports)
            for line in lines { Terminal.write(line + "\n", json || junit == "-" ? 2 : 1) }
        }
        try summaryFile?.append(markdown)
        if let folder {
            try ReportFile(path: "\(folder)/junit.xml").write(xml)
            try ReportFile(path: "\(folder)/summary.md").write(markdown)
            try ReportFile(path: "\(folder)/report.json").write(try prettyJSON(report))
        }
        return report.status
    }

    // MARK: - GitHub Actions

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    private static var currentFolder: String {
        guard let path = getcwd(nil, 0) else { return "/" }
        defer { free(path) }
        return String(cString: path)
    }

    private static var isWorkflow: Bool { variable("GITHUB_ACTIONS") == "true" }

    private var annotates: Bool { annotations.map { $0 == .github } ?? Self.isWorkflow }

    private var summaryPath: String? { summary ?? (Self.isWorkflow ? Self.variable("GITHUB_STEP_SUMMARY") : nil) }

    private func perform(_ run: TestRun, _ display: TestDisplay) throws(ApplianceError) -> [TestFileReport] {
        guard run.files.contains(where: { $0.mistake == nil }) else { return try run.perform { _ in } }
        do throws(ApplianceError) {
            try Machine.check()
        } catch {
            let reports = run.refused(error)
            for (index, report) in reports.enumerated() where run.files[index].mistake == nil {
                display.take(.ended(index, report))
            }
            return reports
        }
        return try run.perform { display.take($0) }
    }
}
