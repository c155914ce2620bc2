import Reporting
import Yams

/// The kinds of nodes that a file names: nodes with `like` take their keys.
final class NodeKinds {
    /// The keys whose mappings join those of a kind; every other value replaces the kind's.
    private static let joined: Set = ["environment", "files", "hosts", "limits", "programs", "sysctls"]
    private static let sections = ["customers", "applications", "routers"]

    private let diagnostics: Diagnostics
    /// The kinds with their names, in the order of the file.
    private var kinds: [(name: Node, body: Node)] = []
    private var used: Set<String> = []

    init(diagnostics: Diagnostics) { self.diagnostics = diagnostics }

    /// The root without `kinds`, and with their keys in the nodes that are like them.
    func applied(to root: Node) -> Node {
        guard let mapping = root.mapping else { return root }
        if let written = root.value(at: "kinds") { read(written) }
        let pairs = mapping.compactMap { key, value -> (Node, Node)? in
            guard let name = key.scalar?.string, name != "kinds" else { return key.scalar == nil ? (key, value) : nil }
            guard Self.sections.contains(name), let nodes = value.mapping else { return (key, value) }
            return (key, value.replacingPairs(nodes.map { ($0.key, node($0.value, of: name)) }))
        }
        for (name, _) in kinds where name.includedFile == nil && !used.contains(name.scalar?.string ?? "") {
            diagnostics.remark(
                name.origin, "no node is like the kind \(quoted(name.scalar?.string ?? ""))",
                hint: "add `like: \(name.scalar?.string ?? "")` to a node, or remove the kind")
        }
        return root.replacingPairs(pairs)
    }

    private func read(_ written: Node) {
        let reader = NodeReader(diagnostics: diagnostics)
        for (name, body) in reader.entries(written, "`kinds`").pairs {
            let key = written.mapping?.first { $0.key.scalar?.string == name.value }?.key ?? Node(name.value)
            // Each key is checked here, since no node may be like this kind.
            _ = reader.fields(body, "kind \(quoted(name.value))", Grammar.kind)
            kinds.append((key, body.isNothing ? .mapping(Node.Mapping([])) : body))
        }
    }

    /// A node of a section, or an instance, with the keys of its kinds.
    private func node(_ node: Node, of section: String) -> Node {
        guard node.mapping != nil else { return node }
        let own = node.flattened(diagnostics)
        var whole = own
        if let like = own.value(at: "like") {
            let grammar =
                switch section {
                case "customers": Grammar.customer
                case "routers": Grammar.router
                case "instances": Grammar.instance
                default: Grammar.application
                }
            let base = bodies(like, way: []).reduce(nil as Node?) { base, next in
                base.map { Self.join($0, under: next) } ?? next
            }
            let body = own.removing(["like"])
            whole = base.map { Self.join(Self.kept($0, by: grammar), under: body) } ?? body
        }
        guard let instances = whole.value(at: "instances"), let named = instances.mapping, section != "instances"
        else { return own.value(at: "like") == nil ? node : whole }
        let written = instances.replacingPairs(named.map { ($0.key, self.node($0.value, of: "instances")) })
        return whole.replacingPairs(
            (whole.mapping ?? [:]).map { $0.key.scalar?.string == "instances" ? ($0.key, written) : ($0.key, $0.value) }
        )
    }

    /// The keys of the kinds that a value of `like` names, those of a later one over those of an earlier one.
    private func bodies(_ like: Node, way: [String]) -> [Node] {
        let reader = NodeReader(diagnostics: diagnostics)
        return reader.texts(like, "a kind of `like`").compactMap { name in
            guard let (_, written) = kinds.first(where: { $0.name.scalar?.string == name.value }) else {
                let known = kinds.compactMap { $0.name.scalar?.string }
                diagnostics.error(
                    name.origin, "no kind is called \(quoted(name.value))",
                    hint: known.isEmpty
                        ? "add `kinds: { \(name.value): { … } }`, or `include` a file that has it"
                        : Spelling.hint(for: name.value, among: known, kind: "kinds"))
                return nil
            }
            guard !way.contains(name.value) else {
                diagnostics.error(
                    name.origin,
                    "the kind \(quoted(name.value)) is like itself: "
                        + (way + [name.value]).joined(separator: ", "),
                    hint: "remove one `like`")
                return nil
            }
            used.insert(name.value)
            let body = written.flattened(diagnostics)
            let own = body.removing(["like"])
            guard let further = body.value(at: "like") else { return own }
            return (bodies(further, way: way + [name.value]) + [own]).reduce(nil as Node?) { base, next in
                base.map { Self.join($0, under: next) } ?? next
            }
        }
    }

    /// The keys that a node of the grammar may have.
    private static func kept(_ kind: Node, by grammar: MappingGrammar) -> Node {
        let known = grammar.keyNames
        return kind.replacingPairs(
            (kind.mapping ?? [:]).filter { known.contains($0.key.scalar?.string ?? "") }.map { ($0.key, $0.value) })
    }

    /// `over` put over `base`: its values replace those of the same keys; some mappings join.
    private static func join(_ base: Node, under over: Node) -> Node {
        guard let lower = base.mapping, let upper = over.mapping else { return over.isNothing ? base : over }
        var pairs = lower.map { ($0.key, $0.value) }
        for (key, value) in upper {
            let name = key.scalar?.string ?? ""
            guard let index = pairs.firstIndex(where: { $0.0.scalar?.string == name }) else {
                pairs.append((key, value))
                continue
            }
            guard joined.contains(name), let before = pairs[index].1.mapping, let after = value.mapping else {
                pairs[index] = (key, value)
                continue
            }
            let own = Set(after.compactMap { $0.key.scalar?.string })
            pairs[index] = (
                key,
                value.replacingPairs(
                    before.filter { !own.contains($0.key.scalar?.string ?? "") }.map { ($0.key, $0.value) }
                        + after.map { ($0.key, $0.value) })
            )
        }
        return over.replacingPairs(pairs)
    }
}
