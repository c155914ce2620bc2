import Appliance
import ArgumentParser
import Topology

/// `tapline validate`.
struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tell every mistake of a topology file, with line and column.",
        discussion: """
            Works without root. With --json: version, file, valid, and problems, each with line, column, message, mend.

            EXAMPLE
              tapline validate Topologies/four-interface/topology.yaml
            """)

    @Argument(help: "The topology file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "Tell each mistake in one line, without the line of the file that it is on.")
    var brief = false

    private struct Report: Encodable {
        struct Problem: Encodable {
            var line: Int
            var column: Int
            var message: String
            var mend: String?
        }
        var version = 1
        var file: String
        var valid: Bool
        var problems: [Problem]
    }

    func run() throws {
        guard json else {
            return try reporting { () throws(ApplianceError) in
                let plan = try PlanReader.plan(file, brief: brief)
                Terminal.out(
                    "\(file): \(plan.name) has \(plan.nodes.count) nodes on \(plan.interfaces.count) interfaces, "
                        + "\(plan.table.entries.count) entries and \(plan.checks.count) checks")
            }
        }
        var problems: [Report.Problem] = []
        do throws(TopologyError) {
            _ = try Planner.plan(try TopologyFile.read(file))
        } catch {
            problems = error.problems.map {
                Report.Problem(line: $0.line, column: $0.column, message: $0.message, mend: $0.mend)
            }
        }
        try reporting { () throws(ApplianceError) in
            Terminal.out(try prettyJSON(Report(file: file, valid: problems.isEmpty, problems: problems)))
        }
        if !problems.isEmpty { throw ArgumentParser.ExitCode(3) }
    }
}
