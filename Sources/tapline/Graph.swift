import Appliance
import ArgumentParser
import Glibc
import Topology

extension Diagram.Format: ExpressibleByArgument {}

/// `tapline graph`.
struct Graph: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw a topology file: nodes, interfaces, and each service's request and response path.",
        discussion: """
            Works without root. What is drawn are the paths that were proved, as 'tapline validate' lists them. Mermaid
            is what README files on many hosts show as a picture; DOT is for Graphviz; SVG is the picture itself.

            EXAMPLE
              tapline graph Topologies/four-interface/topology.yaml --format svg -o four-interface.svg
            """)

    @Argument(help: "The topology file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Option(help: "mermaid, dot or svg; by default what the output's name ends in, else mermaid.")
    var format: Diagram.Format?

    @Option(name: [.customShort("o"), .long], help: "Write to this file in place of standard output.")
    var output: String?

    func run() throws {
        try reporting { () throws(ApplianceError) in
            let text = Diagram(try PlanReader.prove(file)).text(format ?? guessed)
            guard let output else { return Terminal.out(String(text.dropLast())) }
            try write(text, to: output)
        }
    }

    /// The format that goes with the output's name.
    private var guessed: Diagram.Format {
        let name = output ?? ""
        if name.hasSuffix(".svg") { return .svg }
        return name.hasSuffix(".dot") || name.hasSuffix(".gv") ? .dot : .mermaid
    }

    private func write(_ text: String, to path: String) throws(ApplianceError) {
        let failure = { (number: Int32) in
            ApplianceError(
                .failed, "\(path) cannot be written: \(String(cString: strerror(number)))",
                mend: "name a file in a folder that you may write to")
        }
        guard let stream = fopen(path, "w") else { throw failure(errno) }
        let bytes = Array(text.utf8)
        let wrote = fwrite(bytes, 1, bytes.count, stream)
        let number = errno
        guard fclose(stream) == 0, wrote == bytes.count else { throw failure(wrote == bytes.count ? errno : number) }
    }
}
