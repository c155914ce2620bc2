import Reporting
import Yams

extension FileExpansion {
    /// The most copies of one part.
    static let mostCopies = 4096

    /// One copy of a part.
    struct Copy {
        var scope: Scope
        /// What its name gets behind it: `-3`; empty if the part is not repeated.
        var suffix: String
    }

    /// The copies of a part by its `count` and `for-each`, and the part without these.
    func copies(of node: Node, _ scope: Scope) -> (scopes: [Copy], body: Node) {
        guard node.mapping != nil else { return ([Copy(scope: scope, suffix: "")], node) }
        let part = node.flattened(diagnostics)
        let (count, each) = (part.value(at: "count"), part.value(at: "for-each"))
        guard count != nil || each != nil else { return ([Copy(scope: scope, suffix: "")], node) }
        let body = part.removing(["count", "for-each"])
        var copies = [Copy(scope: scope, suffix: "")]
        if let each { copies = repeated(copies, for: each) }
        if let count, let number = number(count, scope) {
            copies = copies.flatMap { copy in
                (0..<number).map { offset in
                    var next = copy
                    next.scope.local[VariableTable.number] = .scalar(
                        Node.Scalar("\(offset + 1)", .implicit, .plain, count.mark))
                    next.scope.offset = offset
                    next.suffix += "-\(offset + 1)"
                    return next
                }
            }
        }
        guard copies.count <= Self.mostCopies else {
            diagnostics.error(
                node.origin, "this part becomes \(copies.count) parts, more than \(Self.mostCopies)",
                hint: "count to a smaller number")
            return ([copies[0]], body)
        }
        return (copies, body)
    }

    /// A number of copies.
    private func number(_ node: Node, _ scope: Scope) -> Int? {
        NodeReader(diagnostics: diagnostics)
            .integer(substituted(node, Scope(local: scope.local)), "`count`", in: 1...Self.mostCopies)?.value
    }

    /// One copy for each value of each variable.
    private func repeated(_ copies: [Copy], for each: Node) -> [Copy] {
        let reader = NodeReader(diagnostics: diagnostics)
        guard each.mapping != nil else {
            diagnostics.error(
                each.origin, "`for-each` must be a mapping of variables to lists, but is \(each.shape)",
                hint: "write `for-each: { SITE: [north, south] }`")
            return copies
        }
        var copies = copies
        for (name, list) in reader.entries(each, "`for-each`").pairs {
            guard VariableText.isName(name.value), name.value != VariableTable.number else {
                diagnostics.error(
                    name.origin, "\(quoted(name.value, seen: true)) cannot be the name of a variable",
                    hint: "write letters, digits and _, and no digit first")
                continue
            }
            let values = Self.elements(substituted(list, copies[0].scope)).filter { !$0.isNothing }
            guard !values.isEmpty else {
                diagnostics.error(
                    list.origin, "`for-each` has no values for \(quoted(name.value))",
                    hint: "write a list: `for-each: { \(name.value): [north, south] }`")
                continue
            }
            guard copies.count * values.count <= Self.mostCopies else {
                diagnostics.error(
                    list.origin, "this part becomes \(copies.count * values.count) parts, more than \(Self.mostCopies)",
                    hint: "name fewer values")
                return copies
            }
            copies = copies.flatMap { copy in
                values.enumerated().map { index, value in
                    var next = copy
                    next.scope.local[name.value] = value
                    next.suffix += "-" + (value.scalar?.string ?? "\(index + 1)")
                    return next
                }
            }
        }
        return copies
    }
}
