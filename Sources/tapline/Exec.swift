import Appliance
import ArgumentParser

/// `tapline exec`.
struct Exec: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a command in a node.",
        discussion: """
            It gets this terminal, and its status becomes this command's: 128 and the number of a signal that ended it.

            EXAMPLE
              sudo tapline exec four-interface alice -- curl http://203.0.113.80/
            """)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The node's name.", completion: nodeNames)
    var node: String

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty { throw ValidationError("Give a command after --.") }
    }

    func run() throws {
        var status: Int32 = 0
        try reporting { () throws(ApplianceError) in
            status = try ApplianceClient(name: name).execute(command, in: node)
        }
        if status != 0 { throw ArgumentParser.ExitCode(status) }
    }
}
