import Appliance
import ArgumentParser
import Glibc
import Topology

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
              64  the command line is wrong
              'exec' ends with the status of its command.
            """,
        version: Machine.version,
        subcommands: [
            Run.self, Test.self, Up.self, Down.self, Status.self, Exec.self, Logs.self, Tables.self, Validate.self,
            Graph.self, Schema.self, Apply.self, Add.self, Remove.self, Reload.self, Events.self, Drain.self,
            Undrain.self, TakeOut.self, PutBack.self, Weight.self, Balance.self, EngineCommand.self,
            DoctorCommand.self, PruneCommand.self, Manual.self,
        ])

    /// As the argument parser has it, but for a first word that is no command: that gets a sentence of its own.
    static func main() {
        if let word = CommandLine.arguments.dropFirst().first, let sentence = unknown(word) {
            Terminal.error(Terminal.coloured("tapline:", 31, on: 2) + " \(sentence)")
            Glibc.exit(Appliance.ExitCode.usage.rawValue)
        }
        main(nil)
    }

    private static func unknown(_ word: String) -> String? {
        let names = configuration.subcommands.map { $0._commandName } + ["help"]
        guard !word.hasPrefix("-"), !word.isEmpty, !names.contains(word) else { return nil }
        let told = "there is no command '\(word)'"
        if word.looksLikeTopologyFile {
            return "\(told); 'tapline run \(word)' brings that file up, proves it and takes it away"
        }
        let shown = configuration.subcommands.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
        let begun = shown.filter { $0.hasPrefix(word) }
        if begun.count == 1 { return "\(told); did you mean '\(begun[0])'?" }
        if let nearest = Spelling.nearest(to: word, among: shown) { return "\(told); did you mean '\(nearest)'?" }
        return "\(told); 'tapline --help' shows all there are"
    }
}
