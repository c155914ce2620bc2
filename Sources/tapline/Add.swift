import Appliance
import ApplianceClient
import ArgumentParser
import Fabric
import Reporting

/// `tapline add`.
struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add an instance to an application of a running topology.",
        discussion: """
            The new instance is built like the application's other instances. It gets its share once it is ready and healthy.
            It stays until 'remove' or 'down'; 'apply' leaves it in place.

            EXAMPLE
              sudo tapline add balance web
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The application.")
    var application: String

    @Argument(help: "The instance's name. (default: the application's, with the next number)")
    var instance: String?

    func run() throws {
        let display = ProgressDisplay(showsReady: false)
        try reporting { () throws(ApplianceError) in
            defer { display.clear() }
            try Machine.requireRoot()
            let report = try ApplianceClient(name: name).add(application, instance) { display.take($0) }
            display.clear()
            report.show(name, isTrial: false)
        }
    }
}
