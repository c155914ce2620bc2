import Plan
import Reporting
import Yams

/// What a node waits for in another one.
enum Awaited: String, Sendable, CaseIterable {
    case ready
    case healthy
}

extension FileReader {
    /// The nodes that a node waits for: names, or names with what is awaited of each.
    func dependencies(_ node: inout RawNode, _ written: Node) {
        node.dependsOnHealth = []
        guard written.mapping != nil else {
            node.depends = nodes.texts(written, "`depends`")
            return
        }
        node.depends = []
        for (name, value) in nodes.entries(written, "`depends`").pairs {
            let awaited: Located<Awaited>? = nodes.choice(value, "what is awaited of \(quoted(name.value))")
            node.depends.append(name)
            if awaited?.value == .healthy { node.dependsOnHealth.append(name) }
        }
    }
}
