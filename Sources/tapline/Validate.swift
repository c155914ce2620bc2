import Appliance
import ArgumentParser
import ControlAPI
import Forwarding
import Plan
import Planning
import Reporting
import TopologyFiles

/// `tapline validate`.
struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show every mistake of a topology file, or the proved paths of its packets.",
        discussion: """
            Works without root. The requests and responses of each service are followed hop by hop. Paths that differ only in the
            customer, address or port are shown as one. If a path cannot work, the file is refused. The message names the lines
            that collide, a packet as an example, and how to correct the file.

            A remark is about something that works but is probably not meant: an application that nothing uses, an empty list that
            means everything. Remarks go to standard error and do not change the exit status. With --strict a remark is a mistake.

            With --json the keys are stable: version, file, valid; problems, each with file (only if it is in an included file),
            line, column, message, mend, example, and related (file, line, column, label); remarks, each with the same keys;
            services, each with name, line, isEntry, and paths (customers, destinations, servicePorts, request, response, and silence where there is none); of each hop from,
            receivedInterface, entry, rewriteSource, servicePort, copies (to, sendInterface, rewriteDestination, rewritePort, isPassive); unproved, the
            entries by hand that no packet was followed through, each with name, line, reason.

            EXAMPLE
              tapline validate Topologies/four-interface/topology.yaml
            """.paragraphs)

    @Argument(help: "The topology file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Flag(help: "Show each mistake in one line, without the line of the file.")
    var brief = false

    @Flag(help: "Refuse files with remarks, too.")
    var strict = false

    @Flag(help: "Print the file as it is written out: without variables, counts and included files.")
    var rendered = false

    @OptionGroup
    var options: FileOptions

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if rendered, json || brief || strict {
            throw ValidationError("--rendered prints the file alone: remove --json, --brief and --strict.")
        }
    }

    func run() throws {
        if rendered {
            return try reporting { () throws(ApplianceError) in
                Terminal.data(try PlanReader.rendered(try TestFiles.one(file), settings: options.settings), end: "")
            }
        }
        guard json else {
            return try reporting { () throws(ApplianceError) in
                let proved = try PlanReader.prove(
                    try TestFiles.one(file), settings: options.settings, brief: brief, strict: strict)
                let plan = proved.plan
                for line in PlanReader.lines(plan.remarks, brief: brief) { Terminal.error(line) }
                Terminal.out(
                    "\(file): \(plan.name) has \(Plural.nodes(plan.nodes.count)) on "
                        + "\(Plural.interfaces(plan.interfaces.count)), \(Plural.entries(plan.table.entries.count)) "
                        + "and \(Plural.counted(plan.checks.count, "check"))")
                for service in proved.services { Terminal.out("\n" + PathText(service).lines.joined(separator: "\n")) }
                if !proved.unproved.isEmpty { Terminal.out("") }
                for entry in proved.unproved {
                    Terminal.out(
                        Terminal.coloured("entry \(entry.name)", 1)
                            + ": it could not be proved: \(entry.reason) (\(entry.origin))")
                }
            }
        }
        var problems: [ValidationReport.Problem] = []
        var remarks: [ValidationReport.Problem] = []
        var services: [ValidationReport.Service] = []
        var unproved: [ValidationReport.Unproved] = []
        do throws(TopologyError) {
            let proved = try Planner.prove(
                try TopologyFile.read((try? TestFiles.one(file)) ?? file, settings: options.settings))
            services = proved.services.map { ValidationReport.Service($0) }
            unproved = proved.unproved.map {
                ValidationReport.Unproved(name: $0.name, line: $0.origin.lineNumber, reason: $0.reason)
            }
            remarks = proved.plan.remarks.map { ValidationReport.Problem($0) }
            if strict { (problems, remarks) = (remarks, []) }
        } catch {
            problems = error.problems.map { ValidationReport.Problem($0) }
        }
        try reporting { () throws(ApplianceError) in
            let report = ValidationReport(
                file: file, valid: problems.isEmpty, problems: problems, remarks: remarks, services: services,
                unproved: unproved)
            Terminal.json(try prettyJSON(report))
        }
        if !problems.isEmpty { throw ArgumentParser.ExitCode(3) }
    }
}

/// What `validate --json` prints.
private struct ValidationReport: Encodable {
    struct Place: Encodable {
        /// The included file that the place is in; absent for the topology file.
        var file: String?
        var line: Int?
        var column: Int?
        /// What stands in place of line and column for a record.
        var record: SourceRecord?
        var label: String
    }
    struct Problem: Encodable {
        /// The included file that the place is in; absent for the topology file.
        var file: String?
        var line: Int?
        var column: Int?
        /// What stands in place of line and column for a record.
        var record: SourceRecord?
        var message: String
        var hint: String?
        var example: String?
        var related: [Place]

        /// The keys of `validate --json`.
        private enum CodingKeys: String, CodingKey {
            case file, line, column, record, message, example, related
            case hint = "mend"
        }

        init(_ problem: TopologyProblem) {
            file = problem.origin.position?.file
            line = problem.origin.position?.line
            column = problem.origin.position?.column
            record = problem.origin.record
            message = problem.message
            hint = problem.hint
            example = problem.example
            related = problem.related.map {
                Place(
                    file: $0.origin.position?.file, line: $0.origin.position?.line,
                    column: $0.origin.position?.column, record: $0.origin.record,
                    label: $0.label)
            }
        }
    }
    struct Copy: Encodable {
        var to: [String]
        var oneOf: [String]
        var condition: String?
        var sendInterface: String
        var rewriteDestination: String?
        var rewritePort: String?
        var isPassive: Bool
    }
    struct Hop: Encodable {
        var from: [String]
        var receivedInterface: String
        var entry: String
        var rewriteSource: String?
        var servicePort: String?
        var copies: [Copy]

        init(_ hop: PathHop) {
            from = hop.from
            receivedInterface = hop.receivedInterface
            entry = hop.entry
            rewriteSource = hop.rewriteSource
            servicePort = hop.servicePort
            copies = hop.copies.map {
                Copy(
                    to: $0.to, oneOf: $0.oneOf, condition: $0.condition, sendInterface: $0.sendInterface,
                    rewriteDestination: $0.rewriteDestination, rewritePort: $0.rewritePort,
                    isPassive: $0.isPassive)
            }
        }
    }
    struct Path: Encodable {
        var customers: [String]
        var destinations: [String]
        var servicePorts: [String]
        var request: [Hop]
        var response: [Hop]
        var silence: String?
    }
    struct Unproved: Encodable {
        var name: String
        var line: Int
        var reason: String
    }
    struct Service: Encodable {
        var name: String
        var line: Int
        var isEntry: Bool
        var paths: [Path]

        init(_ service: ProvedService) {
            name = service.name
            line = service.origin.lineNumber
            isEntry = service.isByHand
            paths = service.paths.map {
                Path(
                    customers: $0.customers, destinations: $0.destinations, servicePorts: $0.servicePorts,
                    request: $0.request.map { Hop($0) }, response: $0.response.map { Hop($0) },
                    silence: $0.silence)
            }
        }
    }
    var version = 1
    var file: String
    var valid: Bool
    var problems: [Problem]
    var remarks: [Problem]
    var services: [Service]
    var unproved: [Unproved]
}
