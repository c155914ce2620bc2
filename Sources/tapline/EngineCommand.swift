import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

/// `tapline engine`.
struct EngineCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Replace, drain or undrain packeting engines while they forward, or break one.",
        discussion: """
            With 'replace', 'drain' and 'undrain' no packet in flight is lost. 'kill' and 'stop' are faults: frames that the engine
            had read are lost with it.

              replace   start the program anew in the engine's place: an upgrade, once the program file has been replaced. Without
                        a number, all engines are replaced, one by one
              drain     have the other engines read its queues, until 'undrain'
              undrain   have it read its own queues again
              kill      end its process at once (SIGKILL); a spare takes its place
              stop      have its process stand still (SIGSTOP), as if it hung; a spare takes its place

            EXAMPLE
              sudo tapline engine replace two-engines
              sudo tapline engine drain two-engines 1
            """.paragraphs)

    @Argument(help: "replace, drain, undrain, kill or stop.")
    var operation: EngineOperation

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The engine's number, from 1, as 'tapline status' shows it.")
    var number: Int?

    func validate() throws {
        if operation != .replace, number == nil {
            throw ValidationError("'\(operation.rawValue)' needs the engine's number, as 'tapline status' shows it")
        }
        if let number, !RequestRange.engine.contains(number) {
            throw ValidationError(
                "An engine's number is \(RequestRange.engine.lowerBound) to \(RequestRange.engine.upperBound), as "
                    + "'tapline status' shows it.")
        }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            try ApplianceClient(name: name).operate(operation, engine: number)
            let which = number.map { "engine \($0)" } ?? "every engine"
            let done =
                switch operation {
                case .replace: "has been replaced"
                case .drain: "is drained: the others read its queues"
                case .undrain: "reads its own queues again"
                case .kill: "was killed: a spare takes its place"
                case .stop: "stands still: a spare takes its place"
                }
            Terminal.out("\(name): \(which) \(done)")
        }
    }
}

extension EngineOperation: ExpressibleByArgument {}
