import ArgumentParser
import TopologyFiles

/// `tapline schema`.
struct Schema: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the JSON schema of topology files, for editors.",
        discussion: """
            Editors that know YAML read the schema from a file. Then they complete keys, explain them and mark mistakes while you
            write. Put '# yaml-language-server: $schema=topology.schema.json' on the first line of the topology file.

            EXAMPLE
              tapline schema > topology.schema.json
            """.paragraphs)

    func run() {
        Terminal.data(TopologySchema.text(), end: "")
    }
}
