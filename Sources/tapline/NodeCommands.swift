import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Reporting

/// The words of a command that does something to a node.
struct NodeWords: ParsableArguments {
    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The node's name.", completion: nodeNames)
    var node: String

    /// Has it done, and prints what was done.
    func perform(_ operation: NodeOperation, interface: String? = nil, _ done: String) throws {
        try reporting { () throws(ApplianceError) in
            try ApplianceClient(name: name).operate(operation, on: node, interface: interface)
            Terminal.out("\(node): \(done)")
        }
    }
}

/// `tapline restart`.
struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Restart a node's application, for example after its configuration was edited.",
        discussion: """
            All that runs in the node is killed. Its 'run' command is started again. The command ends when the application is
            ready, and fails if it does not become ready within 'ready-timeout'.

            EXAMPLE
              sudo tapline restart four-interface web
            """.paragraphs)

    @OptionGroup var words: NodeWords

    func run() throws { try words.perform(.restart, "restarted, and ready") }
}

/// `tapline kill`.
struct Kill: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Kill all that runs in a node, as a fault.",
        discussion: """
            The node's 'restart' decides whether its application is started again. 'tapline down' takes a topology away.

            EXAMPLE
              sudo tapline kill failover fw-a
            """.paragraphs)

    @OptionGroup var words: NodeWords

    func run() throws { try words.perform(.kill, "all that ran in it was killed") }
}

/// `tapline stop`.
struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have all that runs in a node stand still, as if it hung.",
        discussion: """
            The processes get SIGSTOP. They keep their memory, sockets and connections, and answer nothing until 'continue'.
            'tapline down' takes a topology away.

            EXAMPLE
              sudo tapline stop failover fw-a
              sudo tapline continue failover fw-a
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String?

    @Argument(help: "The node's name.", completion: nodeNames)
    var node: String?

    func validate() throws {
        // Other programs end everything by this word.
        guard name == nil || node == nil else { return }
        throw ValidationError(
            "'stop' needs a topology and one of its nodes, which is to stand still; 'tapline down NAME' takes a topology "
                + "away.")
    }

    func run() throws {
        guard let name, let node else { return }
        try NodeWords.parse([name, node]).perform(.stop, "all that runs in it stands still")
    }
}

/// `tapline continue`.
struct Continue: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let all that runs in a node go on after 'stop'.",
        discussion: """
            EXAMPLE
              sudo tapline continue failover fw-a
            """.paragraphs)

    @OptionGroup var words: NodeWords

    func run() throws { try words.perform(.continue, "all that runs in it goes on") }
}

/// `tapline link-down`.
struct LinkDown: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link-down",
        abstract: "Take a device of a node down, as if its cable were pulled.",
        discussion: """
            'link-up' brings it up again, with the routes and addresses that it had.

            EXAMPLE
              sudo tapline link-down failover fw-a inspected
              sudo tapline link-up failover fw-a inspected
            """.paragraphs)

    @OptionGroup var words: NodeWords

    @Argument(help: "The interface that the device is on. (default: the only one)")
    var interface: String?

    func run() throws { try words.perform(.linkDown, interface: interface, "the device is down") }
}

/// `tapline link-up`.
struct LinkUp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link-up", abstract: "Bring a device of a node up again after 'link-down'.",
        discussion: """
            The routes and addresses that the device had before 'link-down' are restored.

            EXAMPLE
              sudo tapline link-up failover fw-a inspected
            """.paragraphs)

    @OptionGroup var words: NodeWords

    @Argument(help: "The interface that the device is on. (default: the only one)")
    var interface: String?

    func run() throws { try words.perform(.linkUp, interface: interface, "the device is up") }
}

/// `tapline shell`.
struct Shell: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Open a shell in a node.",
        discussion: """
            The same as 'tapline exec NAME NODE' without a command: your shell (SHELL, else sh).

            EXAMPLE
              sudo tapline shell four-interface alice
            """.paragraphs)

    @OptionGroup var words: NodeWords

    func run() throws {
        try Exec.parse([words.name, words.node]).run()
    }
}
