import ArgumentParser
import Topology

/// `tapline schema`.
struct Schema: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the JSON schema of topology files, for editors.",
        discussion: """
            Editors that know YAML take it from a file and then complete keys, explain them and mark mistakes while you
            write: put '# yaml-language-server: $schema=topology.schema.json' on the first line of the topology file.

            EXAMPLE
              tapline schema > topology.schema.json
            """.paragraphs)

    func run() {
        Terminal.data(TopologySchema.text(), end: "")
    }
}
