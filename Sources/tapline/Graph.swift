import Appliance
import ArgumentParser
import Glibc
import Planning
import Reporting

extension Diagram.Format: ExpressibleByArgument {}

/// `tapline graph`.
struct Graph: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draw a topology file: nodes, interfaces, and each service's request and response path.",
        discussion: """
            Works without root. The picture shows the proved paths, as 'tapline validate' lists them. Many hosts show Mermaid in
            README files as a picture. DOT is for Graphviz. SVG is the picture itself.

            EXAMPLE
              tapline graph Topologies/four-interface/topology.yaml --format svg -o four-interface.svg
            """.paragraphs)

    @Argument(help: "The topology file.", completion: .file(extensions: ["yaml", "yml"]))
    var file: String

    @Option(help: "mermaid, dot or svg; by default the ending of the output's name decides, else mermaid.")
    var format: Diagram.Format?

    @Option(name: [.customShort("o"), .long], help: "Write to this file instead of standard output.")
    var output: String?

    @OptionGroup
    var options: FileOptions

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try refuseOtherFormats()
            let file = try TestFiles.one(self.file)
            let text = Diagram(try PlanReader.prove(file, settings: options.settings)).text(format ?? guessed)
            guard let output else { return Terminal.data(text, end: "") }
            try write(text, to: output)
        }
    }

    /// Endings of pictures in formats that are not supported here.
    private static let others = ["png", "jpg", "jpeg", "gif", "webp", "bmp", "tif", "tiff", "pdf", "ps", "eps", "html"]

    private func refuseOtherFormats() throws(ApplianceError) {
        guard let output, let dot = output.lastIndex(of: "."), !output[dot...].contains("/") else { return }
        let suffix = output[output.index(after: dot)...].lowercased()
        let isPicture = Self.others.contains(suffix)
        guard isPicture || format == nil && !Self.suffixes.contains(suffix) else { return }
        let vector = ShellWord.quoted(output[..<dot] + ".svg")
        throw ApplianceError(
            .usage, "\(output) cannot be written: the formats are mermaid, dot and svg",
            hint: isPicture
                ? "write with -o \(vector), and convert that file with a program such as rsvg-convert"
                : "end the name in .svg, .dot or .mmd, or give --format")
    }

    /// Endings of the formats' file names. Text files are Mermaid.
    private static let suffixes = ["svg", "dot", "gv", "mmd", "mermaid", "md", "txt"]

    /// The format that the output's name asks for.
    private var guessed: Diagram.Format {
        let name = (output ?? "").lowercased()
        if name.hasSuffix(".svg") { return .svg }
        return name.hasSuffix(".dot") || name.hasSuffix(".gv") ? .dot : .mermaid
    }

    private func write(_ text: String, to path: String) throws(ApplianceError) {
        let failure = { (number: Int32) in
            ApplianceError(
                .failed, "\(path) cannot be written: \(String(cString: strerror(number)))",
                hint: "name a file in a folder that you may write to")
        }
        guard let stream = fopen(path, "w") else { throw failure(errno) }
        let bytes = Array(text.utf8)
        let wrote = fwrite(bytes, 1, bytes.count, stream)
        let number = errno
        guard fclose(stream) == 0, wrote == bytes.count else { throw failure(wrote == bytes.count ? errno : number) }
    }
}
