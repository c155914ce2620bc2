import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Reporting

/// `tapline cp`.
struct Copy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp",
        abstract: "Copy files and folders into a node, out of it, or from node to node.",
        discussion: """
            NODE:PATH is a file as the node sees it: with its own mounts, without a program of the node. A relative path begins
            in the folder where the node's commands start. A path with a slash before its colon, as ./a:b, is one of this
            machine. - is standard input or standard output.

            If DESTINATION is a folder, the copy goes into it, under the name that it has at SOURCE. SOURCE/. is what is in the
            folder. Modes are kept, owners and set-user-ID are not. Links in folders stay links. A file that is there already is
            written in place; a program that has it open sees the new contents. Sockets, pipes and devices are left out with a
            note.

            EXAMPLE
              sudo tapline cp four-interface shop:/etc/hosts .
              sudo tapline cp four-interface ./site.conf shop:/tmp/site.conf
              sudo tapline cp four-interface shop:/etc/hosts -
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "NODE:PATH, PATH or -.", completion: .file())
    var source: String

    @Argument(help: "NODE:PATH, PATH or -.", completion: .file())
    var destination: String

    func run() throws {
        try reporting { () throws(ApplianceError) in
            let (source, destination) = (try FilePlace(source), try FilePlace(destination))
            let report = try ApplianceClient(name: name).copy(source, to: destination)
            for place in report.leftOut { Terminal.error("note: left out \(place)") }
            guard destination.path != nil else { return }
            Terminal.out(
                "copied \(Plural.counted(report.files, "file")), \(Plural.counted(report.octets, "octet")), "
                    + "to \(report.destination)")
        }
    }
}
