import Appliance
import ArgumentParser

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
            Schema.self, Reload.self, DoctorCommand.self, PruneCommand.self,
        ])
}
