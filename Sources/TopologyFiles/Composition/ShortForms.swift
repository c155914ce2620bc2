import Reporting
import Yams

/// Writes the short forms of a topology file out, so that every reader sees one form alone:
///
/// - a list of interfaces: `interfaces: [customers, servers]`,
/// - an interface that is its addresses: `customers: 192.0.2.1/24`,
/// - a customer that is the name of its interface: `alice: customers`.
///
/// Every node keeps its place.
enum ShortForms {
    /// The sections of a file, or of one that it includes. A text that is one variable stays: it may stand for a mapping.
    static func spelledOut(_ root: Node) -> Node {
        guard let mapping = root.mapping else { return root }
        return root.replacingPairs(
            mapping.map { key, value in
                switch key.scalar?.string {
                case "interfaces": (key, named(listed(value), "address", mayBeList: true))
                case "customers": (key, named(value, "interface", mayBeList: false))
                default: (key, value)
                }
            })
    }

    /// The names of a list as the keys of a mapping.
    private static func listed(_ node: Node) -> Node {
        guard let sequence = node.sequence, !sequence.isEmpty, sequence.allSatisfy({ $0.scalar != nil }) else {
            return node
        }
        let pairs = sequence.map { name in
            (name, name.replacingText("", style: .plain))
        }
        return .mapping(Node.Mapping(pairs, sequence.tag, .block, sequence.mark))
    }

    /// Values of a section's names in place of the key that they stand for.
    private static func named(_ node: Node, _ key: String, mayBeList: Bool) -> Node {
        guard let mapping = node.mapping else { return node }
        return node.replacingPairs(
            mapping.map { name, value in
                switch name.scalar?.string {
                case "<<":
                    guard let sources = value.sequence else { return (name, named(value, key, mayBeList: mayBeList)) }
                    return (
                        name, value.replacingElements(sources.map { named($0, key, mayBeList: mayBeList) })
                    )
                case .some(let text) where NodeReader.isExtension(text): return (name, value)
                default: return (name, field(value, key, mayBeList: mayBeList))
                }
            })
    }

    private static func field(_ value: Node, _ key: String, mayBeList: Bool) -> Node {
        switch value {
        case .scalar(let scalar):
            guard !value.isNothing, VariableText(scalar.string)?.whole == nil else { return value }
            return mapping(of: value, key, scalar.tag, scalar.mark)
        case .sequence(let sequence) where mayBeList: return mapping(of: value, key, sequence.tag, sequence.mark)
        default: return value
        }
    }

    private static func mapping(of value: Node, _ key: String, _ tag: Tag, _ mark: Mark?) -> Node {
        .mapping(Node.Mapping([(.scalar(Node.Scalar(key, tag, .plain, mark)), value)], tag, .flow, mark))
    }
}

/// Puts expressions in the places of names of services and nodes that checks send packets to.
struct CheckDestinations {
    private let diagnostics: Diagnostics
    /// The expressions by the names; a service goes before a node of the same name.
    private let expressions: [String: String]

    init(_ root: Node, _ diagnostics: Diagnostics) {
        self.diagnostics = diagnostics
        var expressions: [String: String] = [:]
        for section in ["routers", "applications", "customers", "services"] {
            for (name, _) in root.value(at: section)?.mapping ?? [:] {
                guard let name = name.scalar?.string, !name.isEmpty, !name.contains("'") else { continue }
                let isPlain = name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }
                let kind = section == "services" ? section : "nodes"
                expressions[name] = "{{ \(kind).\(isPlain ? name : "'\(name)'").address }}"
            }
        }
        self.expressions = expressions
    }

    /// The root with expressions in its checks.
    func written(in root: Node) -> Node {
        guard let mapping = root.mapping, let checks = root.value(at: "checks") else { return root }
        let written = step(checks)
        return root.replacingPairs(
            mapping.map { ($0.key, $0.key.scalar?.string == "checks" ? written : $0.value) })
    }

    /// A check or a step, and the steps in it; a list of them.
    private func step(_ node: Node) -> Node {
        if let sequence = node.sequence { return node.replacingElements(sequence.map(step)) }
        guard let mapping = node.mapping else { return node }
        return node.replacingPairs(
            mapping.map { key, value in
                switch key.scalar?.string {
                case "steps", "<<": (key, step(value))
                case "packet", "path", "outage": (key, packets(value))
                default: (key, value)
                }
            })
    }

    private func packets(_ node: Node) -> Node {
        guard let mapping = node.mapping else { return node }
        return node.replacingPairs(
            mapping.map { key, value in
                switch key.scalar?.string {
                case "to": (key, destination(value))
                case "while": (key, step(value))
                case "<<": (key, packets(value))
                default: (key, value)
                }
            })
    }

    private func destination(_ node: Node) -> Node {
        guard let name = node.scalar?.string, !node.isNothing else { return node }
        if let expression = expressions[name] { return node.replacingText(expression, style: .doubleQuoted) }
        guard ExpressionText(name) == nil, !name.contains(":"), !(name.first?.isNumber ?? true) else { return node }
        diagnostics.error(
            node.origin, "\(quoted(name)) is no address, and no service or node has this name",
            hint: Spelling.nearest(to: name, among: expressions.keys.sorted()).map { "did you mean \(quoted($0))?" }
                ?? "write an address, or the name of a service or a node")
        return node
    }
}
