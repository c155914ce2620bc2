import Appliance
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

/// `tapline prune`.
struct PruneCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Take away what dead topologies have left.",
        discussion: """
            A topology is dead if its control process is gone. State and marks show what is left: dead topologies, marked
            namespaces without state, state without a topology, unfinished namespaces. Running topologies, and what Tapline did not
            make, are not touched.

            With --json the keys are stable: version, dryRun, taken (name, namespaces, processes, state), live, leftAlone,
            failures (status, message, mend, details).

            EXIT STATUS
              0   nothing is left
              2   something could not be taken away
              5   a named topology is up: 'tapline down' takes it away

            EXAMPLE
              sudo tapline prune --dry-run
              sudo tapline prune
            """.paragraphs)

    @Argument(help: "The names of dead topologies. (default: all)", completion: topologyNames)
    var names: [String] = []

    @Flag(help: "Show what would be taken away, and change nothing.")
    var dryRun = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try reporting { () throws(ApplianceError) in
            let report = try Prune.perform(names: names, dryRun: dryRun)
            if json { Terminal.json(try prettyJSON(report)) } else { Terminal.out(text(report)) }
            for summary in report.leftAlone where !json { Terminal.error("left alone: \(summary)") }
            guard report.failures.isEmpty else {
                throw ApplianceError(
                    .failed, "not everything could be taken away", details: report.failures.map { "\($0)" })
            }
            if let name = names.first(where: report.live.contains) {
                throw ApplianceError(.name, "'\(name)' is up", hint: "'tapline down \(name)' takes it away")
            }
        }
    }

    private func text(_ report: Prune.Report) -> String {
        guard !report.taken.isEmpty else { return "dead topologies have left nothing" }
        return report.taken.map { leftover in
            let namespaces = leftover.namespaces.count, processes = leftover.processes.count
            var parts: [String] = []
            if leftover.state != nil { parts.append("its state") }
            if leftover.images != nil { parts.append("its images") }
            let containers = leftover.containers.count
            if containers > 0 { parts.append("\(containers) container\(containers == 1 ? "" : "s")") }
            if namespaces > 0 { parts.append("\(namespaces) namespace\(namespaces == 1 ? "" : "s")") }
            if processes > 0 { parts.append("\(processes) process\(processes == 1 ? "" : "es")") }
            return "\(report.dryRun ? "would take" : "took") '\(leftover.name)' away: \(parts.joined(separator: ", "))"
        }.joined(separator: "\n")
    }
}
