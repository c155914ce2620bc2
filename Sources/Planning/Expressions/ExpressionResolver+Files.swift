import Glibc
import Plan
import Reporting
import TopologyFiles

extension ExpressionResolver {
    /// The octets of all nodes' files together.
    private static let largest = 64 << 20

    /// For each node: its files, with values in the places of expressions.
    func files() -> [[FilePlan]] {
        var octets = 0
        return file.nodes.indices.map { node in
            file.nodes[node].files.map { raw in
                let plan = FilePlan(
                    path: raw.path.value, contents: contents(of: raw, node), mode: raw.mode, owner: raw.owner?.value,
                    origin: raw.path.origin)
                octets += plan.contents.count
                if octets > Self.largest, octets - plan.contents.count <= Self.largest {
                    diagnostics.error(
                        raw.path.origin, "the files of all nodes are together larger than 64 MiB",
                        hint: "let `setup` copy large files from a place that the nodes see")
                }
                remark(on: raw, of: node)
                return plan
            }
        }
    }

    private func contents(of raw: RawFile, _ node: Int) -> [UInt8] {
        guard raw.isTemplate else { return raw.contents }
        return Array(text(String(decoding: raw.contents, as: UTF8.self), of: node, at: raw.contentsOrigin).utf8)
    }

    private func remark(on raw: RawFile, of node: Int) {
        if !raw.isTemplate, let text = String(validating: raw.contents, as: UTF8.self),
            let parsed = ExpressionText(text), let written = parsed.expressions.first(where: \.isKnown)?.written
        {
            diagnostics.remark(
                raw.path.origin, "{{ \(written) }} in \(quoted(raw.path.value)) stays as it is",
                hint: "add `template: true` if its value is meant")
        }
        // Users are those of a node's own root directory, if it has one. Numbers need no entry in /etc/passwd.
        switch (file.nodes[node].filesystem ?? file.filesystem)?.base {
        case .root, .image: return
        case .machine, .shared, nil: break
        }
        guard let owner = raw.owner else { return }
        let parts = owner.value.split(separator: ":").map(String.init)
        if let user = parts.first, Int(user) == nil, getpwnam(user) == nil {
            diagnostics.remark(
                owner.origin, "this machine has no user \(quoted(user))",
                hint: "install the package that makes it, or name another one")
        }
        if parts.count == 2, Int(parts[1]) == nil, getgrnam(parts[1]) == nil {
            diagnostics.remark(
                owner.origin, "this machine has no group \(quoted(parts[1]))",
                hint: "install the package that makes it, or name another one")
        }
    }
}

extension ExpressionText.Expression {
    /// True if it begins as expressions do that stand for a value.
    fileprivate var isKnown: Bool {
        guard case .path(let names) = meaning else { return false }
        return names.first.flatMap(ExpressionRoot.init) != nil
    }
}
