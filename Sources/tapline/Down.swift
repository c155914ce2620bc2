import Appliance
import ApplianceClient
import ArgumentParser
import Fabric
import Reporting

/// `tapline down`.
struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take topologies away, even after a crash and without their files.",
        discussion: """
            Only what bears Tapline's mark for that name is taken away. Several topologies go at the same time, and a failure of
            one does not stop the others. You can give a topology's file or folder in place of its name.

            EXAMPLE
              sudo tapline down four-interface
            """.paragraphs)

    @Argument(help: "The topologies' names, or their files.", completion: topologyNames)
    var names: [String] = []

    @Flag(help: "Take every topology away.")
    var all = false

    func validate() throws {
        if all == !names.isEmpty { throw ValidationError("Give either topologies' names or --all.") }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            var failure: ApplianceError?
            var wanted = StateDirectory.allNames()
            if !all {
                wanted = []
                for name in names { wanted.append(try TestFiles.topology(name)) }
            }
            for result in ApplianceClient.down(wanted) {
                do throws(ApplianceError) {
                    for foreignProcess in try result.get() { Terminal.error("note: \(foreignProcess.sentence)") }
                } catch {
                    // With --all, a topology that has gone meanwhile is no error.
                    if all, error.status == .name { continue }
                    if let failure {
                        Terminal.error(Terminal.coloured("tapline:", 31, on: 2) + " \(failure)")
                    }
                    failure = error
                }
            }
            if let failure { throw failure }
        }
    }
}
