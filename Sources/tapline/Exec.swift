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
            The command gets this terminal, and its exit status becomes this command's. If a signal ends it, the status is 128
            plus the signal's number. Without a command, your shell (SHELL, else sh) is started in the node. All words after the
            node belong to the command, options too. A -- before the command is allowed. While the topology comes up, the
            command waits up to 10 s until the node is built; its program may not be ready yet.

            EXAMPLE
              sudo tapline exec four-interface alice
              sudo tapline exec four-interface alice curl -v http://203.0.113.80/
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The node's name.", completion: nodeNames)
    var node: String

    @Argument(parsing: .postTerminator, help: "The command and its arguments. (default: a shell)")
    var command: [String] = []

    /// Your shell, if it is installed.
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
