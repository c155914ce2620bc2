import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Reporting

/// `tapline reload`.
struct Reload: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read the topology file again, and publish its table while traffic flows.",
        discussion: """
            If more than the table differs, the command is refused. Entries that stay keep their counters. Packets that are in the
            chains of removed entries are forwarded for one more second.

            EXAMPLE
              sudo tapline reload four-interface
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "The file. (default: that of 'up')", completion: .file(extensions: ["yaml", "yml"]))
    var file: String?

    @OptionGroup
    var options: FileOptions

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let report = try ApplianceClient(name: name).reload(
                file: file.map(PlanReader.absolute), settings: options.given)
            Terminal.out("\(name): \(Plural.entries(report.entries)) published, \(report.kept) of them as before")
        }
    }
}
