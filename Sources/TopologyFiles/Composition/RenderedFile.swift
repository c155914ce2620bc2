import Reporting
import Yams

extension TopologyFile {
    /// The text of a file as it is written out: with the files that it includes, without variables, counts and merge
    /// keys. Read again, it is the same topology.
    ///
    /// - Throws: `TopologyError` with the mistakes that keep it from being written out.
    package static func rendered(
        _ path: String, settings: FileSettings = FileSettings()
    ) throws(TopologyError) -> String {
        let text = withoutMark(try text(of: path))
        let diagnostics = Diagnostics(path: path, text: text)
        var composer = FileComposer(settings: settings, diagnostics: diagnostics)
        let root = composer.compose(text, path: path)
        try diagnostics.throwIfAny()
        do {
            // A width without bound keeps commands on one line.
            return try root.map { try Yams.serialize(node: plain($0), width: -1, allowUnicode: true) } ?? ""
        } catch {
            diagnostics.error(
                .line(SourcePosition(line: 1, column: 1)), "the file cannot be written out: \(error)",
                hint: "remove what YAML has no form for")
            try diagnostics.throwIfAny()
            return ""
        }
    }

    /// The node without tags, merge keys and extensions.
    private static func plain(_ node: Node) -> Node {
        switch node {
        case .scalar(let scalar): return .scalar(Node.Scalar(scalar.string, .implicit, scalar.style))
        case .sequence(let sequence):
            return .sequence(Node.Sequence(sequence.map(plain), .implicit, sequence.style))
        case .mapping(let mapping):
            let silent = NodeReader(diagnostics: Diagnostics(path: "", text: ""))
            let styles = Dictionary(
                mapping.compactMap { pair in pair.key.scalar.map { ($0.string, pair.key) } },
                uniquingKeysWith: { one, _ in one })
            return .mapping(
                Node.Mapping(
                    silent.entries(node, "").pairs.filter { !NodeReader.isExtension($0.key.value) }.map { key, value in
                        (plain(styles[key.value] ?? Node(key.value)), plain(value))
                    }, .implicit, mapping.style))
        case .alias: return node
        }
    }
}
