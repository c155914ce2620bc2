import Appliance
import ArgumentParser
import Fabric
import Glibc
import Reporting
import Synchronization

/// The command line: one file for each command beside this one.
@main
struct Tapline: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tapline",
        abstract: "A virtual switch appliance that delivers services through chains of real network applications.",
        discussion: """
            One file describes a topology; one command brings it up, proves it, and takes it away without a trace.

            EXAMPLE
              sudo tapline run Topologies/four-interface/topology.yaml

            EXIT STATUS
              0   done, and every check held
              1   a check did not hold
              2   something failed while running
              3   the topology file is wrong
              4   the machine lacks something: root, /dev/net/tun, a program
              5   the name is taken, or there is no such topology or node
              6   (doctor --ci) topologies can run, but programs that the files name are missing
              64  the command line is wrong
              'exec' ends with the status of its command.
            """.paragraphs,
        version: Machine.version,
        subcommands: [
            Init.self, Run.self, Test.self, Up.self, Down.self, Status.self, Exec.self, Logs.self, Tables.self,
            MetricsCommand.self, Top.self, Serve.self,
            Validate.self,
            Graph.self, Schema.self, Apply.self, Add.self, Remove.self, Reload.self, Events.self, Drain.self,
            Undrain.self, Disable.self, Enable.self, Weight.self, Restart.self, Kill.self, Stop.self, Continue.self,
            LinkDown.self, LinkUp.self,
            Impair.self, Mappings.self, TenantCommand.self, ServiceCommand.self, AccessCommand.self, AuditCommand.self,
            Shell.self, Copy.self, Balance.self, EngineCommand.self,
            Trace.self, Record.self, Capture.self, DoctorCommand.self, PruneCommand.self, Manual.self, Measure.self,
            OldDisable.self,
            OldEnable.self,
        ])

    /// Parses and runs the command as the argument parser does. A first word that is no command, also after `help`,
    /// gets a message of its own. All words after the node of `exec` belong to the node's command.
    static func main() {
        var words = Array(CommandLine.arguments.dropFirst())
        let isHelp = words.first == "help"
        if let word = words.dropFirst(isHelp ? 1 : 0).first, let sentence = unknown(word) ?? unknownBelow(words) {
            Terminal.error(Terminal.coloured("tapline:", 31, on: 2) + " \(sentence)")
            Glibc.exit(Reporting.ExitCode.usage.rawValue)
        }
        if words.count > 3, words[0] == "exec", !words[1...3].contains(where: { $0.hasPrefix("-") }) {
            words.insert("--", at: 3)
        }
        main(InstructionOptions.place(NegativeValues.join(words)))
        let failure = Terminal.failure.load(ordering: .relaxed)
        guard failure != 0 else { return }
        Terminal.error(
            Terminal.coloured("tapline:", 31, on: 2)
                + " standard output cannot be written: \(errorText(failure)); what was printed is incomplete")
        Glibc.exit(Reporting.ExitCode.failed.rawValue)
    }

    /// The mistake in `help COMMAND WORD`.
    private static func unknownBelow(_ words: [String]) -> String? {
        guard words.count > 2, words[0] == "help", !words[2].hasPrefix("-"),
            let command = configuration.subcommands.first(where: { $0._commandName == words[1] })
        else { return nil }
        let names = command.configuration.subcommands.map { $0._commandName }
        guard !names.contains(words[2]) else { return nil }
        return "'\(words[1])' has no command '\(words[2])'; 'tapline help \(words[1])' explains it"
    }

    /// Commands of other programs of this kind, and the same command here.
    private static let foreign: [[String]: String] = [
        ["ps", "ls", "list", "show", "stat", "stats", "inspect", "info"]:
            "'tapline status' lists all topologies, and 'tapline status NAME' shows one",
        ["deploy", "start", "create", "launch", "boot"]: "'tapline up FILE -d' brings a topology up",
        ["destroy", "rm", "remove-all", "delete", "halt", "teardown", "wipe"]:
            "'tapline down NAME' takes a topology away",
        ["sh", "bash", "attach", "enter", "connect", "console", "ssh", "login"]:
            "'tapline exec NAME NODE' opens a shell in a node, and 'tapline exec NAME NODE CMD' runs a command",
        ["redeploy", "update", "reconfigure"]:
            "'tapline apply NAME' changes a running topology to what its file says now",
        ["new", "generate"]: "'tapline init NAME' writes a small topology file",
        ["check", "lint", "plan", "config"]: "'tapline validate FILE' reads a file and shows the path of every packet",
        ["clean", "cleanup"]: "'tapline prune' takes away what dead topologies have left",
        ["draw", "plot"]: "'tapline graph FILE' draws a topology",
        ["log"]: "'tapline logs NAME' shows the output of the nodes",
    ]

    private static func unknown(_ word: String) -> String? {
        let names = configuration.subcommands.map { $0._commandName } + ["help"]
        guard !word.hasPrefix("-"), !word.isEmpty, !names.contains(word) else { return nil }
        let summary = "there is no command '\(word)'"
        if word.looksLikeTopologyFile {
            return "\(summary); 'tapline run \(word)' brings that file up, proves it and takes it away"
        }
        if let meant = foreign.first(where: { $0.key.contains(word.lowercased()) }) {
            return "\(summary); \(meant.value)"
        }
        let shown = configuration.subcommands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
        let begun = shown.filter { $0.hasPrefix(word) }
        if begun.count == 1 { return "\(summary); did you mean '\(begun[0])'?" }
        if let nearest = Spelling.nearest(to: word, among: shown) { return "\(summary); did you mean '\(nearest)'?" }
        return "\(summary); 'tapline --help' lists all commands"
    }
}
