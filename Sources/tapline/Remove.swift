import Appliance
import ApplianceClient
import ArgumentParser
import Fabric
import Reporting

/// `tapline remove`.
struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove an instance of an application of a running topology.",
        discussion: """
            New packets go to the other instances first. Packets that the instance still holds are forwarded for one second. Then
            its processes are ended, and its namespace is removed. With --drain, it keeps its connections for that time and gets no
            new ones. With --drain 0s, it goes at once.

            EXAMPLE
              sudo tapline remove balance web-3 --drain 30s
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The instance: a node.", completion: nodeNames)
    var instance: String

    @Option(help: "How long it keeps its connections.")
    var drain: String?

    func validate() throws {
        if let drain, DurationText.duration(drain) == nil {
            throw ValidationError("--drain: \(DurationText.hint).")
        }
    }

    func run() throws {
        let display = ProgressDisplay(showsReady: false)
        try reporting { () throws(ApplianceError) in
            defer { display.clear() }
            try Machine.requireRoot()
            let report = try ApplianceClient(name: name).remove(
                instance, drain: drain.flatMap { DurationText.duration($0) }
            ) { display.take($0) }
            display.clear()
            report.show(name, isTrial: false)
        }
    }
}
