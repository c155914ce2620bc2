import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Glibc
import Reporting

/// `tapline logs`.
struct Logs: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the output of the nodes' setup and run commands.",
        discussion: """
            Without a node, the lines of all nodes are shown. If several nodes are shown, each line begins with its node's name.

            EXAMPLE
              sudo tapline logs four-interface firewall
              sudo tapline logs four-interface -f
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "Only these nodes.", completion: nodeNames)
    var nodes: [String] = []

    @Flag(name: [.customShort("f"), .long], help: "Follow new output until the topology is gone.")
    var follow = false

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let client = try ApplianceClient(name: name)
            for node in nodes where !(try client.status().nodes.contains { $0.name == node }) {
                guard !(try client.loggedNodes().contains(node)) else { continue }
                throw ApplianceError(
                    .name, "there is no node '\(node)' in '\(name)'",
                    hint: "its nodes are: \(try client.status().nodes.map(\.name).joined(separator: ", "))")
            }
            var readers: [String: LogReader] = [:]
            repeat {
                let shown = nodes.isEmpty ? try client.loggedNodes() : nodes
                for logged in shown {
                    let prefix = nodes.count == 1 ? "" : "\(logged) | "
                    var reader =
                        readers[logged] ?? LogReader(path: client.directory.outputPath(logged), prefix: prefix)
                    reader.show()
                    readers[logged] = reader
                }
                if follow { usleep(100_000) }
            } while follow && client.directory.exists
        }
    }
}

/// Shows the lines of a growing file, from its beginning.
private struct LogReader {
    let path: String
    let prefix: String
    private var offset: off_t = 0
    private var rest = ""

    init(path: String, prefix: String) {
        self.path = path
        self.prefix = prefix
    }

    mutating func show() {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        // A log that has become shorter has started over.
        if lseek(descriptor, 0, SEEK_END) < offset { offset = 0 }
        lseek(descriptor, offset, SEEK_SET)
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { break }
            offset += off_t(count)
            var lines = (rest + String(decoding: buffer[..<count], as: UTF8.self))
                .split(separator: "\n", omittingEmptySubsequences: false)
            rest = String(lines.popLast() ?? "")
            for line in lines { Terminal.data(prefix + line) }
        }
    }
}
