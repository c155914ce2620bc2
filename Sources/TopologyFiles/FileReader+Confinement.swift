import Plan
import Reporting
import Yams

/// Who a program is, and what it may do.
extension FileReader {
    /// Reads the keys of `Grammar.confinement`; what has no key stays as it is.
    func confinement(_ confinement: inout ConfinementPlan, _ fields: Fields) {
        if let user = account(fields["user"], "`user`") { confinement.user = user }
        if let group = account(fields["group"], "`group`") {
            confinement.group = group
            if confinement.user == nil {
                diagnostics.error(
                    fields.origin(of: "group"), "\(fields.subject) has a `group` and no `user`", hint: "add `user: …`")
            }
        }
        if let written = fields["capabilities"] { confinement.capabilities = capabilities(written) }
        if let written = fields["limits"] { confinement.limits = limits(written, fields.subject) }
    }

    private func limits(_ node: Node, _ subject: String) -> LimitsPlan {
        let fields = nodes.fields(node, "`limits` of \(subject)", Grammar.limits)
        var limits = LimitsPlan()
        limits.memory = size(fields["memory"], "`memory`", in: Grammar.memory)
        limits.processor = nodes.percentage(fields["processor"], "`processor`", in: Grammar.percentages)?.value
        limits.processes = nodes.integer(fields["processes"], "`processes`", in: Grammar.processes)?.value
        limits.files = nodes.integer(fields["files"], "`files`", in: Grammar.openFiles)?.value
        return limits
    }

    func size(_ node: Node?, _ what: String, in range: ClosedRange<UInt64>, least: String = "1M") -> UInt64? {
        guard let written = nodes.text(node, what) else { return nil }
        guard let octets = LimitsPlan.octets(written.value), range.contains(octets) else {
            diagnostics.error(
                written.origin, "\(what) is \(quoted(written.value))",
                hint: "write an amount with its unit, \(least) or more: 64M, 2G")
            return nil
        }
        return octets
    }

    /// A name that the machine looks up, or a number.
    private func account(_ node: Node?, _ what: String) -> String? {
        guard let name = nodes.text(node, what) else { return nil }
        guard let mend = accountMend(name.value, what == "`group`" ? "group" : "user") else { return name.value }
        diagnostics.error(name.origin, "\(what) is \(quoted(name.value))", hint: mend)
        return nil
    }

    /// What to write instead of what can be neither the name nor the number of a user or group; nil: it can.
    ///
    /// - Parameter kind: "user" or "group".
    func accountMend(_ text: String, _ kind: String) -> String? {
        // setresuid(2) and chown(2) read the highest number as "leave it as it is".
        let digits = text.drop { $0 == "-" || $0 == "+" }
        if !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }) {
            return text.first != "-" && text.first != "+" && UInt32(text).map { $0 < .max } ?? false
                ? nil : "write a number from 0 to 4294967294, or the name of a \(kind)"
        }
        let isNumberLike = digits.first?.isNumber == true && (Double(text) != nil || digits.hasPrefix("0x"))
        guard text.first == "-" || text.first == "+" || isNumberLike || text.contains(where: { ":/ \n".contains($0) })
        else { return nil }
        return "write the name of a \(kind) as /etc/\(kind == "user" ? "passwd" : "group") has it, or a number"
    }

    /// nil: the default.
    private func capabilities(_ node: Node) -> CapabilitySet? {
        if let word = node.scalar?.string, Grammar.capabilityWords.contains(word) {
            return word == "default" ? nil : word == "all" ? .all : CapabilitySet(bits: 0)
        }
        let written = nodes.texts(node, "a capability")
        let names = written.map { name in
            // As the manual writes them: CAP_NET_ADMIN.
            let small = name.value.lowercased()
            return Located(small.hasPrefix("cap_") ? String(small.dropFirst(4)) : small, name.origin)
        }
        for name in names where !CapabilitySet.names.contains(name.value) {
            diagnostics.error(
                name.origin, "there is no capability \(quoted(name.value))",
                hint: Spelling.nearest(to: name.value, among: CapabilitySet.names + Grammar.capabilityWords)
                    .map { "did you mean \(quoted($0))?" } ?? "see capabilities(7), or write default, all or none")
        }
        return CapabilitySet(names.map(\.value))
    }
}
