import Appliance
import ArgumentParser
import ControlAPI
import Glibc
import Reporting
import Verification

/// `tapline doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check whether topologies can run on this machine, and say how to install or enable what is missing.",
        discussion: """
            Checks the kernel and its devices, capabilities, AppArmor, user namespaces, limits, room on disk, the packeting
            engine, programs, and what dead topologies have left. With files, it also checks the programs that their commands
            name. It changes nothing. Without root it runs too, and lists what needs root.

            With --ci, for a job of continuous integration: only what is lacking is printed, in GitHub Actions as annotations.
            The files by which the service takes results are looked at, too. The exit status tells what kind of thing is missing.

            With --json the keys are stable: version, usable, status, findings, each with subject, level (ok, warn, fail), message,
            mend.

            EXIT STATUS
              0   topologies can run here; warnings are shown
              3   the topology file is wrong
              4   the machine lacks something
              6   (--ci) topologies can run here, but programs that the files name are not installed

            EXAMPLE
              sudo tapline doctor
              sudo tapline doctor Topologies/four-interface/topology.yaml
              sudo tapline doctor --ci Topologies
            """.paragraphs)

    @Argument(
        help: "Topology files, or folders with topology files.", completion: .file(extensions: ["yaml", "yml"]))
    var files: [String] = []

    @Flag(name: .customLong("ci"), help: "Show what this machine lacks as one of continuous integration.")
    var inJob = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        var status: Int32 = 0
        try reporting { () throws(ApplianceError) in
            let report = try Doctor().examine(files: files, inJob: inJob)
            status = inJob ? report.status : report.usable ? 0 : 4
            if json {
                Terminal.json(try prettyJSON(Printed(status: status, report)))
            } else if inJob {
                for line in lacks(report) { Terminal.out(line) }
            } else {
                Terminal.out(text(report))
            }
        }
        if status != 0 { throw ArgumentParser.ExitCode(status) }
    }

    /// A report as it is printed.
    private struct Printed: Encodable {
        var version: Int
        var usable: Bool
        var status: Int32
        var findings: [Doctor.Finding]

        init(status: Int32, _ report: Doctor.Report) {
            (version, usable, findings) = (report.version, report.usable, report.findings)
            self.status = status
        }
    }

    /// What is lacking, one line each, and a sentence.
    private func lacks(_ report: Doctor.Report) -> [String] {
        let isWorkflow = getenv("GITHUB_ACTIONS").map { String(cString: $0) == "true" } ?? false
        let annotations = WorkflowAnnotations(workspace: "", folder: "/")
        let lines = report.lacks.map { finding in
            let message = finding.message + (finding.hint.map { "; \($0)" } ?? "")
            return isWorkflow
                ? annotations.command(
                    finding.level == .fail ? "error" : "warning", nil, nil, "tapline doctor: \(finding.subject)",
                    [message])
                : "\(finding.level.rawValue)  \(finding.subject)  \(message)"
        }
        switch report.status {
        case 0: return lines + ["topologies can run here"]
        case 6: return lines + ["topologies can run here, but programs are missing"]
        default: return lines + ["topologies cannot run here"]
        }
    }

    private func text(_ report: Doctor.Report) -> String {
        let colours: [Doctor.Finding.Level: Int] = [.ok: 32, .warn: 33, .fail: 31]
        let width = report.findings.map(\.subject.count).max() ?? 0
        var lines = report.findings.flatMap { finding in
            let level = finding.level.rawValue + (finding.level == .ok ? "  " : "")
            let subject = finding.subject + String(repeating: " ", count: width - finding.subject.count)
            let head = Terminal.coloured(level, colours[finding.level] ?? 0) + "  \(subject)"
            let message = finding.message + (finding.hint.map { "; \($0)" } ?? "")
            return Terminal.paragraph(head, message, indent: width + 8)
        }
        let failures = report.findings.count { $0.level == .fail },
            warnings = report.findings.count { $0.level == .warn }
        let summary = warnings == 0 ? "" : ", with \(Plural.counted(warnings, "warning"))"
        lines.append(
            report.usable
                ? "topologies can run here\(summary)"
                : "topologies cannot run here: \(failures) thing\(failures == 1 ? " is" : "s are") missing")
        return lines.joined(separator: "\n")
    }
}
