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
        let file = reading(text, path: path, settings: settings).file
        do {
            // A width without bound keeps commands on one line.
            return try root.map {
                let whole = addressed(plain($0), as: file)
                return try Yams.serialize(node: whole, width: -1, allowUnicode: true)
            } ?? ""
        } catch {
            diagnostics.error(
                .line(SourcePosition(line: 1, column: 1)), "the file cannot be written out: \(error)",
                hint: "remove what YAML has no form for")
            try diagnostics.throwIfAny()
            return ""
        }
    }

    /// The root with the addresses that Tapline gives.
    private static func addressed(_ root: Node, as file: TopologyFile?) -> Node {
        guard let file, let mapping = root.mapping else { return root }
        let interfaces = file.interfaces.filter(\.isGiven).map { interface in
            (interface.name.value, interface.addresses.map { "\($0.value.value)" })
        }
        let services = file.services.filter(\.isGiven).map { service in
            (service.name.value, service.addresses.map { "\($0.value)" })
        }
        return root.replacingPairs(
            mapping.map { key, value in
                switch key.scalar?.string {
                case "interfaces": (key, value.adding(interfaces))
                case "services": (key, value.adding(services))
                default: (key, value)
                }
            })
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

extension Node {
    /// The section with `address` in those of its parts that have a name.
    fileprivate func adding(_ addresses: [(name: String, texts: [String])]) -> Node {
        guard let mapping else { return self }
        let known = Dictionary(addresses.map { ($0.name, $0.texts) }) { first, _ in first }
        return replacingPairs(
            mapping.map { key, value in
                guard let texts = known[key.scalar?.string ?? ""] else { return (key, value) }
                let scalars = texts.map { Node.scalar(Node.Scalar($0, .implicit, .doubleQuoted)) }
                let list = Node.sequence(Node.Sequence(scalars, .implicit, .flow))
                let pair = (Node("address", .implicit, .plain), list)
                let body = value.mapping.map { Array($0) } ?? []
                return (key, .mapping(Node.Mapping([pair] + body.map { ($0.key, $0.value) }, .implicit, .flow)))
            })
    }
}
