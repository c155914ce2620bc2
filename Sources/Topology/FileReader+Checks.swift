import Yams

extension FileReader {
    /// One check.
    func check(_ node: Node) -> RawCheck? {
        let fields = nodes.fields(node, "a check", Grammar.check)
        guard let kind = nodes.kind(of: fields, Grammar.check) else {
            guard fields.isMapping else { return nil }
            diagnostics.error(
                node.position, "a check must have one of `on`, `log`, `entry` and `drops`",
                mend: "write { name: …, on: node, run: command }, for example")
            return nil
        }
        let subject = nodes.text(fields[kind], "`\(kind)`")
        let name = nodes.text(fields["name"], "the name of a check")
        if fields["name"] == nil {
            diagnostics.error(node.position, "the check has no name", mend: "add `name: …`, what it proves")
        }
        let expected = expectation(fields["expect"], allowsStatus: kind == "on")
        let within = nodes.duration(fields["within"], "`within`")?.value ?? 0
        let timeout = nodes.duration(fields["timeout"], "`timeout`")?.value ?? 30_000
        guard let subject else { return nil }
        let plan: CheckPlan.Subject
        switch kind {
        case "on":
            guard let command = nodes.text(fields["run"], "`run`") else {
                if fields["run"] == nil {
                    diagnostics.error(node.position, "the check runs nothing", mend: "add `run: command`")
                }
                return nil
            }
            plan = .command(
                node: subject.value, command: command.value, status: expected.status, output: expected.text)
        case "log":
            if expected.text == TextExpectation() {
                diagnostics.error(
                    node.position, "the check expects nothing of the log", mend: "add `expect: text`")
            }
            let file = nodes.text(fields["file"], "`file`")
            if let file, file.value.hasPrefix("/") || file.value.split(separator: "/").contains("..") {
                diagnostics.error(
                    file.position, "\(quoted(file.value)) is not in the node's folder",
                    mend: "name a file that the node writes below $TAPLINE_DIR")
            }
            plan = .log(node: subject.value, file: file?.value, output: expected.text)
        case "entry":
            let packets = number(fields["packets"], "`packets`")
            let bytes = number(fields["bytes"], "`bytes`")
            if fields["packets"] == nil, fields["bytes"] == nil {
                diagnostics.error(
                    node.position, "the check expects nothing of the entry", mend: "add `packets: \">= 1\"`")
            }
            plan = .entry(name: subject.value, packets: packets, bytes: bytes)
        default:
            guard let frames = number(fields["frames"], "`frames`") else {
                if fields["frames"] == nil {
                    diagnostics.error(
                        node.position, "the check expects nothing of the drops", mend: "add `frames: \">= 1\"`")
                }
                return nil
            }
            plan = .drops(reason: subject.value, frames: frames)
        }
        return RawCheck(
            plan: CheckPlan(
                name: name?.value ?? subject.value, line: node.position.line, subject: plan, within: within,
                timeout: timeout),
            subject: subject)
    }

    private func expectation(_ node: Node?, allowsStatus: Bool) -> (status: Int32, text: TextExpectation) {
        guard let node, !node.isNothing else { return (0, TextExpectation()) }
        if node.mapping == nil {
            return (0, TextExpectation(contains: nodes.texts(node, "`expect`").map(\.value)))
        }
        let fields = nodes.fields(
            node, "`expect`", allowsStatus ? Grammar.commandExpectation : Grammar.textExpectation)
        let status = nodes.integer(fields["status"], "`status`", in: 0...255)?.value ?? 0
        var text = TextExpectation()
        text.contains =
            (nodes.texts(fields["output"], "`output`") + nodes.texts(fields["contains"], "`contains`")).map(\.value)
        text.lacks = nodes.texts(fields["lacks"], "`lacks`").map(\.value)
        if let pattern = nodes.text(fields["matches"], "`matches`") {
            do {
                _ = try Regex(pattern.value)
                text.matches = pattern.value
            } catch {
                diagnostics.error(
                    pattern.position, "\(quoted(pattern.value)) is not a regular expression",
                    mend: "check its brackets and backslashes; put it in single quotes")
            }
        }
        return (Int32(status), text)
    }

    private func number(_ node: Node?, _ what: String) -> NumberExpectation? {
        guard let written = nodes.text(node, what) else { return nil }
        let text = written.value
        let sign = text.prefix { "=!<>".contains($0) }
        let digits = text.dropFirst(sign.count).drop { $0 == " " }
        guard
            let comparison = sign.isEmpty || sign == "="
                ? .equal : NumberExpectation.Comparison(rawValue: String(sign)),
            digits.utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt64(digits)
        else {
            diagnostics.error(
                written.position, "\(what) is \(quoted(text))",
                mend: "write a comparison with a whole number, such as \">= 1\" or 0")
            return nil
        }
        return NumberExpectation(comparison, value)
    }
}
