import Plan
import Reporting
import TopologyFiles

/// Puts the values of `{{ … }}` into texts, once the addresses of all nodes are known.
///
/// A text belongs to a node: `dir`, `node`, `engine` and `environment` are about that one.
struct ExpressionResolver: AddressStage, Diagnosing {
    let addressed: AddressedTopology
    let diagnostics: Diagnostics

    /// The text with values in the places of its expressions. Reports expressions that stand for nothing.
    ///
    /// - Parameters:
    ///   - node: The node that the text is about; nil: none.
    ///   - place: The beginning of the text in the file.
    ///   - form: What is put in the place of a value.
    func text(
        _ text: String, of node: Int?, at place: SourceOrigin, form: (String) -> String = { $0 }
    ) -> String {
        resolved(text, node, [], form: form) { tell($0, $1, in: place) }
    }

    /// A text of a part that is read when its expressions have values.
    ///
    /// - Parameter node: The node that it is about; nil: the one that the part names.
    /// - Returns: nil if an expression has no value.
    func text(_ part: UnreadPart.Text, of node: Int? = nil) -> String? {
        var hasAll = true
        let subject = node ?? part.subject.flatMap { nodeIndex[$0] }
        let text = resolved(part.written, subject, [], form: part.isPattern ? Self.literal : { $0 }) {
            hasAll = false
            tell($0, $1, in: part.origin)
        }
        return hasAll ? text : nil
    }

    /// A regular expression that matches a value alone.
    private static func literal(_ value: String) -> String {
        value.reduce(into: "") { pattern, character in
            if "\\^$.|?*+()[]{}".contains(character) { pattern.append("\\") }
            pattern.append(character)
        }
    }

    private func tell(_ expression: ExpressionText.Expression, _ fault: ExpressionFault, in place: SourceOrigin) {
        // The cause is reported elsewhere.
        guard !fault.isConsequence else { return }
        diagnostics.error(diagnostics.place(of: expression, in: place), fault.message, hint: fault.hint)
    }

    /// The text with values in the places of its expressions.
    ///
    /// - Parameters:
    ///   - way: The variables that are being resolved.
    ///   - tell: Takes what is wrong with an expression.
    func resolved(
        _ text: String, _ node: Int?, _ way: [String], form: (String) -> String = { $0 },
        tell: (ExpressionText.Expression, ExpressionFault) -> Void
    ) -> String {
        guard let parsed = ExpressionText(text) else { return text }
        if let unended = parsed.unended {
            tell(
                unended,
                ExpressionFault(
                    "nothing ends the expression that `{{` begins", "add `}}`, or write {{ '{{' }} for the text {{"))
        }
        return parsed.parts.map { part in
            switch part {
            case .text(let text): return text
            case .expression(let expression):
                do throws(ExpressionFault) {
                    return form(try value(of: expression, node, way))
                } catch {
                    tell(expression, error)
                    return ""
                }
            }
        }.joined()
    }

    private func value(
        of expression: ExpressionText.Expression, _ node: Int?, _ way: [String]
    ) throws(ExpressionFault) -> String {
        switch expression.meaning {
        case nil:
            throw ExpressionFault(
                "\(quoted(expression.written)) is no expression",
                "write names with dots between them, such as {{ services.shop.address }}; {{ '{{' }} is the text {{")
        case .literal(let text): return text
        case .path(let path):
            var names = ExpressionPath(path)
            let root = names.next() ?? ""
            guard let found = ExpressionRoot(rawValue: root) else {
                throw ExpressionFault(unknown: root, among: ExpressionRoot.allCases.map(\.rawValue), of: "")
            }
            let value = try value(of: found, &names, node, way)
            if let more = names.next() {
                throw ExpressionFault(
                    "\(quoted(names.owner)) is one value and has no \(quoted(more))", "write {{ \(names.owner) }}")
            }
            return value
        }
    }

    private func value(
        of root: ExpressionRoot, _ names: inout ExpressionPath, _ node: Int?, _ way: [String]
    ) throws(ExpressionFault) -> String {
        switch root {
        case .dir: return folder(of: try subject(node, root))
        case .share: return DerivedNames.share(topology: name)
        case .topology: return name
        case .environment: return try variable(&names, subject(node, root), way)
        case .node: return try value(of: subject(node, root), &names)
        case .nodes: return try value(of: single(&names), &names)
        case .engine:
            let leg = try leg(&names, of: subject(node, root))
            return try engine(&names, on: leg.interface, mac: leg.alias)
        case .interfaces:
            let known = file.interfaces.filter { $0.home == nil && !$0.isVacant }.map(\.name.value)
            let name = try names.name("interface", among: known)
            guard let index = interfaceIndex[name] else {
                throw ExpressionFault("there is no interface \(quoted(name))", hint(name, known, "interfaces"))
            }
            return try engine(&names, on: index, mac: nil)
        case .services: return try service(&names)
        }
    }

    /// The node that an expression is about.
    private func subject(_ node: Int?, _ root: ExpressionRoot) throws(ExpressionFault) -> Int {
        guard let node else {
            throw ExpressionFault(
                "\(quoted(root.rawValue)) is about the node of a command, and there is none here",
                root == .engine
                    ? "write {{ interfaces.NAME.address }}, for example" : "write {{ nodes.NAME.address }}, for example"
            )
        }
        return node
    }

    private func hint(_ name: String, _ known: [String], _ kind: String) -> String {
        Spelling.hint(for: name, among: known, kind: kind)
    }

    /// The one node of a name.
    private func single(_ names: inout ExpressionPath) throws(ExpressionFault) -> Int {
        let known = file.nodes.map(\.name.value)
        let name = try names.name("node", among: known)
        guard let node = nodeIndex[name] else {
            throw ExpressionFault("there is no node \(quoted(name))", hint(name, known, "nodes"))
        }
        let members = members(of: node)
        guard members.count == 1 || file.nodes[node].name.value == name else {
            throw ExpressionFault(
                "\(quoted(name)) has \(members.count) instances, but one is needed",
                "name one of them: \(members.prefix(6).map { quoted(file.nodes[$0].name.value) }.joined(separator: ", "))"
            )
        }
        return node
    }

    /// A value of the service that is named.
    private func service(_ names: inout ExpressionPath) throws(ExpressionFault) -> String {
        let known = file.services.map(\.name.value)
        let name = try names.name("service", among: known)
        guard let service = file.services.first(where: { $0.name.value == name }) else {
            throw ExpressionFault("there is no service \(quoted(name))", hint(name, known, "services"))
        }
        let word = try names.name("value", among: ServiceValue.words)
        guard let found = ServiceValue(word) else {
            throw ExpressionFault(unknown: word, among: ServiceValue.words, of: names.owner)
        }
        return try found.value(of: service)
    }

    func folder(of node: Int) -> String { DerivedNames.folder(topology: name, node: file.nodes[node].name.value) }
}

/// What an expression may begin with.
enum ExpressionRoot: String, CaseIterable {
    case dir
    case share
    case topology
    case node
    case nodes
    case services
    case engine
    case interfaces
    case environment
}

/// Why an expression stands for nothing.
struct ExpressionFault: Error {
    var message: String
    var hint: String
    /// True if a mistake that is reported elsewhere is the cause.
    var isConsequence = false
    /// True if a variable stands for itself.
    var isCycle = false

    init(_ message: String, _ hint: String) {
        self.message = message
        self.hint = hint
    }

    /// A name that is none of a few.
    init(unknown word: String, among known: [String], of owner: String) {
        message =
            owner.isEmpty
            ? "no expression begins with \(quoted(word))" : "\(quoted(owner)) has no \(quoted(word))"
        hint =
            Spelling.nearest(to: word, among: known).map { "did you mean \(quoted($0))?" }
            ?? (owner.isEmpty
                ? "begin with \(known.joined(separator: ", ")); write {{ '{{' }} for the text {{"
                : "it has \(known.joined(separator: ", "))")
    }

    static var consequence: ExpressionFault {
        var fault = ExpressionFault("", "")
        fault.isConsequence = true
        return fault
    }
}

/// The names of an expression, read one after another.
struct ExpressionPath {
    private let names: [String]
    private var index = 0

    init(_ names: [String]) { self.names = names }

    /// The names that were read, with dots between them.
    var before: String { names[..<index].joined(separator: ".") }
    /// The same without the last one.
    var owner: String { names[..<max(0, index - 1)].joined(separator: ".") }
    /// The next name, which is not taken.
    var ahead: String? { index < names.count ? names[index] : nil }

    mutating func next() -> String? {
        guard index < names.count else { return nil }
        index += 1
        return names[index - 1]
    }

    /// The next name, which there must be.
    mutating func name(_ what: String, among known: [String]) throws(ExpressionFault) -> String {
        guard let name = next() else {
            let shown = known.prefix(12).joined(separator: ", ")
            throw ExpressionFault(
                "\(quoted(before)) names no \(what)",
                known.isEmpty ? "the file has none" : "add a dot, and one of \(shown)")
        }
        return name
    }
}
