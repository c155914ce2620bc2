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
        abstract: "Show the output of the nodes' commands and programs.",
        discussion: """
            Without a node, the lines of all nodes are shown. If several logs are shown, each line begins with its node's name,
            and with that of the program. After a node, name some of its programs to see their lines alone.

            EXAMPLE
              sudo tapline logs four-interface firewall
              sudo tapline logs lab proxy clamd
              sudo tapline logs four-interface -f
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String

    @Argument(help: "Only these nodes; a program of the node before it stands for its own log.", completion: nodeNames)
    var nodes: [String] = []

    @Flag(name: [.customShort("f"), .long], help: "Follow new output until the topology is gone.")
    var follow = false

    func run() throws {
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            let client = try ApplianceClient(name: name)
            let chosen = try choice(client)
            var readers: [Log: LogReader] = [:]
            repeat {
                let shown: [Log] = if let chosen { chosen } else { try all(client) }
                for log in shown {
                    let path = client.directory.outputPath(log.node, program: log.program)
                    let prefix = chosen?.count == 1 ? "" : "\(log.name) | "
                    var reader = readers[log] ?? LogReader(path: path, prefix: prefix)
                    reader.show()
                    readers[log] = reader
                }
                if follow { usleep(100_000) }
            } while follow && client.directory.exists
        }
    }

    /// The log of a node's commands, or that of one of its programs.
    private struct Log: Hashable {
        var node: String
        var program: String?

        var name: String { node + (program.map { " \($0)" } ?? "") }
    }

    /// The logs of all nodes and programs.
    private func all(_ client: ApplianceClient) throws(ApplianceError) -> [Log] {
        var logs: [Log] = []
        for node in try client.loggedNodes() { logs += try logsOf(node, client) }
        return logs
    }

    private func logsOf(_ node: String, _ client: ApplianceClient) throws(ApplianceError) -> [Log] {
        [Log(node: node)] + (try client.loggedPrograms(of: node)).map { Log(node: node, program: $0) }
    }

    /// The logs of the words on the command line; nil: all.
    private func choice(_ client: ApplianceClient) throws(ApplianceError) -> [Log]? {
        guard !nodes.isEmpty else { return nil }
        var chosen: [(node: String, programs: [String])] = []
        for word in nodes {
            if let last = chosen.last, try client.loggedPrograms(of: last.node).contains(word) {
                chosen[chosen.count - 1].programs.append(word)
                continue
            }
            var known = try client.loggedNodes()
            if !known.contains(word) { known = try client.status().nodes.map(\.name) }
            guard known.contains(word) else {
                var hint = "its nodes are: \(known.joined(separator: ", "))"
                if let last = chosen.last {
                    let programs = try client.loggedPrograms(of: last.node)
                    if !programs.isEmpty {
                        hint += "; the programs of \(last.node): \(programs.joined(separator: ", "))"
                    }
                }
                throw ApplianceError(.name, "there is no node '\(word)' in '\(name)'", hint: hint)
            }
            chosen.append((word, []))
        }
        var logs: [Log] = []
        for (node, programs) in chosen {
            logs += programs.isEmpty ? try logsOf(node, client) : programs.map { Log(node: node, program: $0) }
        }
        return logs
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
