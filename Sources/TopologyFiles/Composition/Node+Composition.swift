import Reporting
import Yams

/// The file that a node is from. It is kept as the node's tag: tags are checked before files are put together, and no
/// reader uses them afterwards.
extension Node {
    private static let mark = "tapline-file:"

    /// The path of the included file that the node is from; nil: it is from the topology file.
    var includedFile: String? {
        let name =
            switch self {
            case .scalar(let scalar): "\(scalar.tag)"
            case .mapping(let mapping): "\(mapping.tag)"
            case .sequence(let sequence): "\(sequence.tag)"
            case .alias: ""
            }
        return name.hasPrefix(Self.mark) ? String(name.dropFirst(Self.mark.count)) : nil
    }

    /// The node, and all nodes in it, as parts of an included file.
    func stamped(_ file: String) -> Node { stamped(Tag(Tag.Name(rawValue: Self.mark + file))) }

    private func stamped(_ tag: Tag) -> Node {
        switch self {
        case .scalar(let scalar):
            .scalar(Node.Scalar(scalar.string, tag, scalar.style, scalar.mark))
        case .mapping(let mapping):
            .mapping(
                Node.Mapping(
                    mapping.map { ($0.key.stamped(tag), $0.value.stamped(tag)) }, tag, mapping.style, mapping.mark))
        case .sequence(let sequence):
            .sequence(Node.Sequence(sequence.map { $0.stamped(tag) }, tag, sequence.style, sequence.mark))
        case .alias: self
        }
    }

    /// The same scalar with another text.
    ///
    /// - Parameter style: The style of its text; nil: as it was written.
    func replacingText(_ text: String, style: Node.Scalar.Style? = nil) -> Node {
        guard case .scalar(let scalar) = self else { return self }
        return .scalar(Node.Scalar(text, scalar.tag, style ?? scalar.style, scalar.mark))
    }

    /// The same mapping with other pairs.
    func replacingPairs(_ pairs: [(Node, Node)]) -> Node {
        guard case .mapping(let mapping) = self else { return self }
        return .mapping(Node.Mapping(pairs, mapping.tag, mapping.style, mapping.mark))
    }

    /// The same list with other elements.
    func replacingElements(_ elements: [Node]) -> Node {
        guard case .sequence(let sequence) = self else { return self }
        return .sequence(Node.Sequence(elements, sequence.tag, sequence.style, sequence.mark))
    }

    /// The value at a key that is written in this mapping itself.
    func value(at name: String) -> Node? {
        mapping?.first { $0.key.scalar?.string == name }?.value
    }

    /// The mapping without some of its keys.
    func removing(_ names: [String]) -> Node {
        guard let mapping else { return self }
        return replacingPairs(
            mapping.filter { !names.contains($0.key.scalar?.string ?? "") }.map { ($0.key, $0.value) })
    }

    /// The mapping with the keys that its merge keys bring.
    func flattened(_ diagnostics: Diagnostics) -> Node {
        guard let mapping, mapping.contains(where: { $0.key.scalar?.string == "<<" }) else { return self }
        let fields = NodeReader(diagnostics: diagnostics).entries(self, "this part")
        let keys = Dictionary(
            mapping.compactMap { pair in pair.key.scalar.map { ($0.string, pair.key) } },
            uniquingKeysWith: { one, _ in one })
        return replacingPairs(
            fields.pairs.map { key, value in (keys[key.value] ?? Node(key.value, .implicit, .plain), value) })
    }
}
