import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import EventLoop
import Fabric
import Glibc
import Observation
import Reporting
import Tracing

/// `tapline measure`, which the control process starts while somebody wants the times in applications.
struct Measure: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "measure", abstract: "Count the times that packets spend in applications.", shouldDisplay: false)

    @Argument(help: "The topology's name.")
    var name: String

    @Option(help: "Measure one flow in N: 1/64.")
    var sample: String

    func run() throws {
        try reporting { () throws(ApplianceError) in
            guard let flows = SampleText.flows(sample) else {
                throw ApplianceError(.usage, "--sample: \(SampleText.hint)")
            }
            try Machine.requireRoot()
            // Its reader may have gone.
            signal(SIGPIPE, SIG_IGN)
            try LiveTimes.follow(try ApplianceClient(name: name), oneIn: flows) { times in
                guard let line = try? JSONLine.encode(times) else { return false }
                return writeAll(STDOUT_FILENO, line)
            }
        }
    }
}
