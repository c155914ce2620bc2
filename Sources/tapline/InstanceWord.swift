import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

/// What all commands for one instance have in common.
struct InstanceWord: ParsableArguments {
    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The instance: a node.", completion: instanceNames)
    var instance: String

    /// Has the control process do it, and prints what was done and what follows.
    func perform(_ operation: InstanceOperation) throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let report = try ApplianceClient(name: name).operate(operation, on: instance)
            for sentence in report.summary { Terminal.out(sentence) }
        }
    }
}
