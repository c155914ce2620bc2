import Appliance
import ArgumentParser
import ControlAPI
import Reporting

/// `tapline doctor`.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Check whether topologies can run on this machine, and say how to install or enable what is missing.",
        discussion: """
            Checks the kernel and its devices, capabilities, AppArmor, user namespaces, limits, room on disk, the packeting
            engine, programs, and what dead topologies have left. With a file, it also checks the programs that the file's
            commands name. It changes nothing. Without root it runs too, and lists what needs root.

            With --json the keys are stable: version, usable, findings, each with subject, level (ok, warn, fail), message,
            mend.

            EXIT STATUS
              0   topologies can run here; warnings are shown
              3   the topology file is wrong
              4   the machine lacks something

            EXAMPLE
              sudo tapline doctor
              sudo tapline doctor Topologies/four-interface/topology.yaml
            """.paragraphs)

    @Argument(help: "A topology file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String?

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        var usable = true
        try reporting { () throws(ApplianceError) in
            let report = try Doctor().examine(file: file)
            usable = report.usable
            if json { Terminal.json(try prettyJSON(report)) } else { Terminal.out(text(report)) }
        }
        if !usable { throw ArgumentParser.ExitCode(4) }
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
