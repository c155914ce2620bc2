import Appliance
import ApplianceClient
import ArgumentParser
import Glibc
import Reporting

/// `tapline exec`.
struct Exec: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a command in a node, or open a shell there.",
        discussion: """
            It gets this terminal, and its status becomes this command's: 128 and the number of a signal that ended it.
            Without a command, your shell (SHELL, else sh) is started there. All that stands behind the node belongs to
            the command, options too; a -- before it is allowed.

            EXAMPLE
              sudo tapline exec four-interface alice
              sudo tapline exec four-interface alice curl -v http://203.0.113.80/
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The node's name.", completion: nodeNames)
    var node: String

    @Argument(parsing: .postTerminator, help: "The command and its arguments; none: a shell.")
    var command: [String] = []

    /// The shell of the one who asks, where it is there.
    private var shell: String {
        let own = getenv("SHELL").map { String(cString: $0) } ?? ""
        return own.hasPrefix("/") && access(own, X_OK) == 0 ? own : "sh"
    }

    func run() throws {
        var status: Int32 = 0
        try reporting { () throws(ApplianceError) in
            status = try ApplianceClient(name: name).execute(command.isEmpty ? [shell] : command, in: node)
        }
        if status != 0 { throw ArgumentParser.ExitCode(status) }
    }
}
