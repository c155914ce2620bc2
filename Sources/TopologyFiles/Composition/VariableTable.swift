import Reporting
import Yams

/// The variables of a file, each with its own references resolved when it is first needed.
final class VariableTable {
    /// So many variables may stand for one another.
    private static let deepest = 32
    /// Names that counted parts have.
    static let number = "number"

    private let diagnostics: Diagnostics
    private var declared: [String: Node] = [:]
    private var resolved: [String: Node] = [:]
    private var way: [String] = []

    /// - Parameter node: The value of `variables`; nil: the file has none.
    init(_ node: Node?, settings: FileSettings, root: Node, diagnostics: Diagnostics) {
        self.diagnostics = diagnostics
        let reader = NodeReader(diagnostics: diagnostics)
        if let node {
            for (name, value) in reader.entries(node, "`variables`").pairs {
                guard VariableText.isName(name.value), name.value != Self.number, !name.value.hasPrefix("TAPLINE_")
                else {
                    diagnostics.error(
                        name.origin, "\(quoted(name.value, seen: true)) cannot be the name of a variable",
                        hint: name.value == Self.number
                            ? "`${number}` is the number of a counted part; take another name"
                            : name.value.hasPrefix("TAPLINE_")
                                ? "Tapline gives the commands of a node their own TAPLINE_… variables; take another name"
                                : "write letters, digits and _, and no digit first")
                    continue
                }
                if let setting = settings.values[name.value] {
                    declared[name.value] = .scalar(Node.Scalar(setting, .implicit, .plain, value.mark))
                } else if value.isNothing {
                    diagnostics.error(
                        name.origin, "variable \(quoted(name.value)) has no value",
                        hint: "write one, or give it on the command line: --set \(name.value)=…")
                } else {
                    declared[name.value] = value
                }
            }
        }
        for name in settings.values.keys.sorted() where declared[name] == nil && node?.value(at: name) == nil {
            diagnostics.error(
                node?.origin ?? root.origin, "the file has no variable \(quoted(name, seen: true)), which was set",
                hint: Spelling.nearest(to: name, among: names).map { "did you mean \(quoted($0))?" }
                    ?? (names.isEmpty
                        ? "add `variables: { \(name): … }`" : "its variables are \(names.joined(separator: ", "))"))
        }
    }

    /// The declared names, sorted.
    var names: [String] { declared.keys.sorted() }

    /// The value of a variable; nil if there is none of that name.
    ///
    /// - Parameters:
    ///   - place: The reference, for messages.
    ///   - expand: Resolves the references in the variable's own value.
    func value(_ name: String, at place: Node, expand: (Node) -> Node) -> Node? {
        if let value = resolved[name] { return value }
        guard let value = declared[name] else { return nil }
        guard !way.contains(name), way.count < Self.deepest else {
            diagnostics.error(
                place.origin,
                way.contains(name)
                    ? "variable \(quoted(name)) stands for itself: \((way + [name]).joined(separator: ", "))"
                    : "more than \(Self.deepest) variables stand for one another",
                hint: "write the value in one of them")
            return .scalar(Node.Scalar("x", .implicit, .plain, place.mark))
        }
        way.append(name)
        defer { way.removeLast() }
        let made = expand(value)
        resolved[name] = made
        return made
    }
}
