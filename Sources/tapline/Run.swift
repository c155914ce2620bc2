import Appliance
import ArgumentParser

/// `tapline run`.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring a topology up, prove its checks, take it away.",
        discussion: """
            The exit status is the checks': 0 where all held, 1 where one did not.

            EXAMPLE
              sudo tapline run Topologies/four-interface/topology.yaml
            """)

    @Argument(help: "The topology file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Option(help: "A name in place of the file's.")
    var name: String?

    func run() throws {
        var held = true
        let display = ProgressDisplay(showsReady: true)
        try reporting { () throws(ApplianceError) in
            defer { display.clear() }
            try Machine.requireRoot(.making)
            let plan = try PlanReader.plan(file, name: name)
            let control = try ControlProcess(plan: plan, file: PlanReader.absolute(file)) { display.take($0) }
            held = try control.perform(.prove)
        }
        if !held { throw ArgumentParser.ExitCode(1) }
    }
}
