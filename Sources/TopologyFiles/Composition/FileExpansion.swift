import Reporting
import Yams

/// Writes a file out: variables become their values, and parts with `count` or `for-each` become as many parts.
///
/// It works on nodes, so each message still names the place where something was written.
final class FileExpansion {
    /// The largest size of a file that is written out, in octets.
    private static let largest = 8 << 20
    /// A node's own share of that size.
    private static let nodeSize = 32
    /// Texts in which `${NAME}` may be meant for a shell or a pattern.
    private static let free: Set = [
        "run", "setup", "after", "reload", "environment", "files", "expect", "contains", "lacks", "matches", "body",
        "send",
        "sysctls",
    ]
    /// The sections whose keys are names.
    private static let sections: [String: Section] = [
        "interfaces": .interfaces, "customers": .nodes, "applications": .nodes, "routers": .nodes,
        "services": .services,
    ]

    /// A kind of section whose keys are names.
    enum Section { case interfaces, nodes, services }

    /// What holds where a node stands.
    struct Scope {
        /// The variables of `for-each`, and the number of a counted part.
        var local: [String: Node] = [:]
        /// The number of copies before this one; nil outside of counted parts.
        var offset: Int?
        var section: Section?
        var counting: Counting?
        /// Whether `${NAME}` of an unknown name is left alone.
        var isFree = false
    }

    let settings: FileSettings
    let diagnostics: Diagnostics
    private var table: VariableTable
    /// The names that counted and repeated parts became, by the name that is written.
    private var groups: [String: [Node]] = [:]
    private var size = 0
    /// True if the file has become too large, which has been reported.
    private(set) var isTooLarge = false
    private var hasVariables = false

    init(settings: FileSettings, diagnostics: Diagnostics) {
        self.settings = settings
        self.diagnostics = diagnostics
        table = VariableTable(nil, settings: FileSettings(), root: "", diagnostics: diagnostics)
    }

    /// The root as readers take it.
    func expand(_ root: Node) -> Node {
        guard let mapping = root.mapping else { return root }
        let variables = root.value(at: "variables")
        hasVariables = variables != nil
        table = VariableTable(variables, settings: settings, root: root, diagnostics: diagnostics)
        var pairs: [(Node, Node)] = []
        for (key, value) in mapping {
            let name = key.scalar?.string ?? ""
            switch name {
            case "variables": continue
            case _ where NodeReader.isExtension(name): continue
            case "checks": pairs.append((key, checks(value)))
            default:
                if let section = Self.sections[name] {
                    pairs.append((key, named(value, section, Scope(section: section))))
                } else {
                    pairs.append((key, substituted(value, scope(Scope(), below: name))))
                }
            }
        }
        return root.replacingPairs(
            pairs.map { key, value in
                key.scalar?.string == "services" ? (key, withGroups(value)) : (key, value)
            })
    }

    /// A section whose keys are names.
    private func named(_ node: Node, _ section: Section, _ scope: Scope) -> Node {
        guard let mapping = node.mapping else { return substituted(node, scope) }
        var pairs: [(Node, Node)] = []
        for (key, value) in mapping {
            guard key.scalar?.string != "<<" else {
                pairs.append((key, named(value, section, scope)))
                continue
            }
            let copies = self.copies(of: value, scope)
            for copy in copies.scopes {
                var name = substituted(key, copy.scope)
                if !copy.suffix.isEmpty, !references(key, copy.scope), let text = name.scalar?.string {
                    name = name.replacingText(text + copy.suffix)
                }
                if !copy.suffix.isEmpty, let written = key.scalar?.string { groups[written, default: []].append(name) }
                pairs.append((name, part(copies.body, section, copy.scope)))
            }
        }
        refuseTwice(pairs, scope)
        return node.replacingPairs(pairs)
    }

    /// One part of such a section.
    private func part(_ node: Node, _ section: Section, _ scope: Scope) -> Node {
        guard let mapping = node.mapping else { return substituted(node, scope) }
        // Ports that are counted keep the service's address as it is.
        let countsPorts =
            section == .services
            && Self.elements(node.value(at: "ports")).contains { $0.scalar?.string.hasSuffix("+") ?? false }
        return node.replacingPairs(
            mapping.map { key, value in
                let name = key.scalar?.string ?? ""
                if NodeReader.isExtension(name) { return (key, value) }
                guard name != "instances" || value.mapping == nil else { return (key, named(value, .nodes, scope)) }
                var inner = self.scope(scope, below: name)
                if countsPorts, name == "address" { inner.counting = nil }
                return (substituted(key, scope), substituted(value, inner))
            })
    }

    /// The checks, each as often as it says.
    private func checks(_ node: Node) -> Node {
        let elements = Self.elements(node)
        guard node.sequence != nil || node.value(at: "for-each") != nil || node.value(at: "count") != nil else {
            return substituted(node, Scope())
        }
        let written = elements.flatMap { element -> [Node] in
            let copies = self.copies(of: element, Scope())
            return copies.scopes.map { copy in
                let made = substituted(copies.body, copy.scope)
                // Checks are told apart by their names.
                guard !copy.suffix.isEmpty, let name = element.value(at: "name"), !references(name, copy.scope),
                    let mapping = made.mapping
                else { return made }
                return made.replacingPairs(
                    mapping.map { key, value in
                        key.scalar?.string == "name" && value.scalar != nil
                            ? (key, value.replacingText((value.scalar?.string ?? "") + copy.suffix)) : (key, value)
                    })
            }
        }
        return node.sequence != nil ? node.replacingElements(written) : .sequence(Node.Sequence(written))
    }

    /// The names that a counted part became, in place of the written one.
    private func withGroups(_ services: Node) -> Node {
        guard let mapping = services.mapping, !groups.isEmpty else { return services }
        return services.replacingPairs(
            mapping.map { key, service in
                guard let fields = service.mapping else { return (key, service) }
                return (
                    key,
                    service.replacingPairs(
                        fields.map { name, value in
                            guard ["from", "distribute"].contains(name.scalar?.string ?? "") else {
                                return (name, value)
                            }
                            let elements = Self.elements(value)
                            let members = elements.flatMap { element in
                                element.scalar.flatMap { groups[$0.string] }?.map {
                                    element.replacingText($0.scalar?.string ?? "")
                                }
                                    ?? [element]
                            }
                            return members.count == elements.count
                                ? (name, value) : (name, .sequence(Node.Sequence(members)))
                        })
                )
            })
    }

    /// The elements of a list; one value alone is a list of one.
    static func elements(_ node: Node?) -> [Node] {
        guard let node else { return [] }
        return node.sequence.map(Array.init) ?? [node]
    }

    /// Reports a name that two parts have after they were written out.
    private func refuseTwice(_ pairs: [(Node, Node)], _ scope: Scope) {
        var seen: [String: Node] = [:]
        for (key, _) in pairs {
            guard let name = key.scalar?.string, name != "<<" else { continue }
            guard let first = seen.updateValue(key, forKey: name) else { continue }
            diagnostics.error(
                key.origin, "the key \(quoted(name)) is given twice; the first is \(first.origin.place)",
                hint: "give each part a name of its own: write `${\(VariableTable.number)}` or a variable in its key")
        }
    }
}

extension FileExpansion {
    /// The scope of the value at a key.
    fileprivate func scope(_ scope: Scope, below key: String) -> Scope {
        var scope = scope
        scope.isFree = scope.isFree || Self.isFree(key)
        // The addresses of an instance stand below `address`, by the names of its legs.
        let inherited = scope.section == .nodes && scope.counting == .hosts ? Counting.hosts : nil
        scope.counting = scope.offset == nil ? nil : counting(key, scope) ?? inherited
        // Below these an address is somebody else's.
        if ["ready", "health", "routes", "hosts", "scale"].contains(key) { scope.section = nil }
        return scope
    }

    private static func isFree(_ key: String) -> Bool { free.contains(key) }

    private func counting(_ key: String, _ scope: Scope) -> Counting? {
        switch (scope.section, key) {
        case (.nodes, "address"), (.nodes, "in"), (.nodes, "out"): .hosts
        case (.nodes, "attach"): nil
        case (.nodes, "prefixes"), (.interfaces, "address"), (.services, "address"): .networks
        case (.services, "ports"): .ports
        default: nil
        }
    }

    /// The node with the values of variables in their places.
    func substituted(_ node: Node, _ scope: Scope) -> Node {
        size += Self.nodeSize
        guard isWithinSize(node) else { return node }
        switch node {
        case .scalar: return scalar(node, scope)
        case .sequence(let sequence):
            return node.replacingElements(
                sequence.flatMap { element -> [Node] in
                    let made = substituted(element, scope)
                    // A variable that stands for a list adds its elements.
                    if element.scalar != nil, let list = made.sequence { return Array(list) }
                    return [made]
                })
        case .mapping(let mapping):
            return node.replacingPairs(
                mapping.map { key, value in
                    let name = key.scalar?.string ?? ""
                    if NodeReader.isExtension(name) { return (key, value) }
                    return (substituted(key, scope), substituted(value, self.scope(scope, below: name)))
                })
        case .alias: return node
        }
    }

    /// False once the file has become too large; reports that.
    private func isWithinSize(_ node: Node, and more: Int = 0) -> Bool {
        guard !isTooLarge, size + more > Self.largest else { return !isTooLarge }
        isTooLarge = true
        diagnostics.error(
            node.origin, "the file becomes larger than 8 MiB when it is written out",
            hint: "count to smaller numbers, or write the text instead of the variables")
        return false
    }

    private func scalar(_ node: Node, _ scope: Scope) -> Node {
        guard let written = node.scalar?.string else { return node }
        size += written.utf8.count
        guard let text = VariableText(written) else {
            if !scope.isFree, hasVariables, written.contains("${") { refuseHalf(node) }
            return counted(node, scope)
        }
        if let whole = text.whole {
            guard let value = value(whole, at: node, scope) else { return node }
            guard let scalar = value.scalar else {
                size += Self.size(of: value)
                return value
            }
            size += scalar.string.utf8.count
            let made = node.replacingText(scalar.string, style: scalar.style)
            return references(node, scope) ? made : counted(made, scope)
        }
        var result = ""
        for part in text.parts {
            switch part {
            case .text(let text):
                result += text
                if !scope.isFree, hasVariables, text.contains("${") { refuseHalf(node) }
            case .escaped(let name): result += isKnown(name, scope) ? "${\(name)}" : "$${\(name)}"
            case .reference(let name):
                guard let value = value(name, at: node, scope) else {
                    result += "${\(name)}"
                    continue
                }
                if let scalar = value.scalar {
                    guard isWithinSize(node, and: result.utf8.count + scalar.string.utf8.count) else { return node }
                    result += scalar.string
                } else {
                    diagnostics.error(
                        node.origin, "variable \(quoted(name)) is \(value.shape), which cannot be a part of a text",
                        hint: "let the reference be the whole value, or name one of its keys: `${\(name).key}`")
                }
            }
        }
        size += result.utf8.count
        let made = node.replacingText(result)
        return references(node, scope) ? made : counted(made, scope)
    }

    /// The next address, network or port of a counted part.
    private func counted(_ node: Node, _ scope: Scope) -> Node {
        guard let offset = scope.offset, let counting = scope.counting, let written = node.scalar?.string else {
            return node
        }
        guard let text = counting.text(written, advancedBy: offset) else {
            diagnostics.error(
                node.origin,
                "\(quoted(written)) cannot be counted to \(offset + 1): \(counting.end(of: written))",
                hint: (counting == .ports ? "begin lower" : "begin lower, use a shorter prefix")
                    + ", or count to \(offset)\(offset == 1 ? "" : " at most")")
            return node
        }
        return text == written ? node : node.replacingText(text)
    }

    /// The value of a reference; nil if no variable has its name. Reports a name that nothing can have been meant by.
    private func value(_ reference: String, at node: Node, _ scope: Scope) -> Node? {
        let parts = reference.split(separator: ".").map(String.init)
        guard var value = scope.local[parts[0]] ?? global(parts[0], at: node) else {
            unknown(parts[0], at: node, scope)
            return nil
        }
        for key in parts.dropFirst() {
            guard let inner = value.value(at: key) else {
                let keys = value.mapping?.compactMap { $0.key.scalar?.string } ?? []
                diagnostics.error(
                    node.origin, "variable \(quoted(parts[0])) has no key \(quoted(key))",
                    hint: Spelling.nearest(to: key, among: keys).map { "did you mean \(quoted($0))?" }
                        ?? (keys.isEmpty ? "it is \(value.shape)" : "its keys are \(keys.joined(separator: ", "))"))
                return .scalar(Node.Scalar("x", .implicit, .plain, node.mark))
            }
            value = inner
        }
        return value
    }

    /// Reports `${` that begins no reference.
    private func refuseHalf(_ node: Node) {
        diagnostics.error(
            node.origin, "`${` begins no reference to a variable",
            hint: "write ${NAME} with letters, digits and _; $${NAME} stands for the text ${NAME}")
    }

    private func global(_ name: String, at node: Node) -> Node? {
        table.value(name, at: node) { substituted($0, Scope()) }
    }

    private func isKnown(_ reference: String, _ scope: Scope) -> Bool {
        let name = reference.split(separator: ".").first.map(String.init) ?? ""
        return scope.local[name] != nil || table.names.contains(name)
    }

    private func unknown(_ name: String, at node: Node, _ scope: Scope) {
        let known = table.names + scope.local.keys.sorted()
        let near = Spelling.nearest(to: name, among: known)
        guard !scope.isFree else {
            // A shell has variables of its own.
            if let near, hasVariables, !name.hasPrefix("TAPLINE_") {
                diagnostics.remark(
                    node.origin, "`${\(name)}` is left to the shell: no variable has this name",
                    hint: "did you mean `${\(near)}`?")
            }
            return
        }
        diagnostics.error(
            node.origin, "no variable is called \(quoted(name))",
            hint: near.map { "did you mean \(quoted($0))?" }
                ?? (known.isEmpty
                    ? "add `variables: { \(name): … }`" : "the variables are \(known.joined(separator: ", "))"))
    }

    /// True if a text has a reference to a variable of this copy.
    func references(_ node: Node, _ scope: Scope) -> Bool {
        guard !scope.local.isEmpty, let text = node.scalar.flatMap({ VariableText($0.string) }) else { return false }
        return text.parts.contains { part in
            guard case .reference(let name) = part else { return false }
            return scope.local[name.split(separator: ".").first.map(String.init) ?? ""] != nil
        }
    }

    private static func size(of node: Node) -> Int {
        switch node {
        case .scalar(let scalar): nodeSize + scalar.string.utf8.count
        case .sequence(let sequence): sequence.reduce(nodeSize) { $0 + size(of: $1) }
        case .mapping(let mapping): mapping.reduce(nodeSize) { $0 + size(of: $1.key) + size(of: $1.value) }
        case .alias: nodeSize
        }
    }
}
