import Plan
import Reporting
import Yams

extension FileReader {
    /// The expected end and output of a command, or the expected answer to a request.
    ///
    /// - Parameter isAnswer: The status is one of HTTP, and not an exit status.
    func commandExpectation(_ node: Node?, isAnswer: Bool = false) -> CommandExpectation {
        guard let node, !node.isNothing, node.mapping != nil else {
            return CommandExpectation(output: textExpectation(node))
        }
        let fields = nodes.fields(node, "`expect`", Grammar.commandExpectation)
        remarkOnNothing(node, "`expect`")
        var expectation = CommandExpectation(output: textExpectation(fields))
        if let status = fields["status"] {
            expectation.status = status.scalar?.string == "any" ? nil : self.status(status, isAnswer)
        }
        return expectation
    }

    private func status(_ node: Node, _ isAnswer: Bool) -> NumberExpectation? {
        let most = isAnswer ? 599 : 255
        guard let text = node.scalar?.string, let status = NumberExpectation(text), status.value > most else {
            return number(node, "`status`", atMost: UInt64(most))
        }
        diagnostics.error(
            node.origin,
            "`status` is \(node.shape), and \(isAnswer ? "a status of HTTP" : "an exit status") is at most \(most)",
            hint: isAnswer
                ? "write a number such as 403, \">= 400\" or any" : "write a number from 0 to 255, \"!= 0\" or any")
        return status
    }

    /// The expectation of a text: texts, or a mapping.
    func textExpectation(_ node: Node?) -> TextExpectation {
        guard let node, !node.isNothing else { return TextExpectation() }
        remarkOnNothing(node, "`expect`")
        guard node.mapping != nil else {
            return TextExpectation(contains: nodes.texts(node, "`expect`").map(\.value))
        }
        return textExpectation(nodes.fields(node, "`expect`", Grammar.textExpectation))
    }

    /// Remarks on an empty list or mapping in place of an expectation: a check that cannot fail is hardly intended.
    private func remarkOnNothing(_ node: Node?, _ what: String) {
        guard let node, node.sequence?.isEmpty ?? false || node.mapping?.isEmpty ?? false else { return }
        diagnostics.remark(
            node.origin, "\(what) is empty, so everything matches", hint: "write what is expected, or remove it")
    }

    private func textExpectation(_ fields: Fields) -> TextExpectation {
        var text = TextExpectation()
        for key in Grammar.textExpectation.keyNames { remarkOnNothing(fields[key], "`\(key)`") }
        text.contains =
            (nodes.texts(fields["output"], "`output`") + nodes.texts(fields["contains"], "`contains`")).map(\.value)
        text.lacks = nodes.texts(fields["lacks"], "`lacks`").map(\.value)
        text.matches = nodes.list(fields["matches"]).compactMap { regularExpression($0, "`matches`") }
        text.json = fields["json"].map(document) ?? []
        text.jsonLines = nodes.list(fields["json-line"]).map(document)
        text.lacksJSONLines = nodes.list(fields["lacks-json-line"]).map(document)
        return text
    }

    func regularExpression(_ node: Node, _ what: String) -> String? {
        guard let pattern = nodes.text(node, what) else { return nil }
        do {
            _ = try Regex(pattern.value)
            return pattern.value
        } catch {
            diagnostics.error(
                pattern.origin, "\(quoted(pattern.value)) is not a regular expression",
                hint: "check its brackets and backslashes; put it in single quotes")
            return nil
        }
    }

    // MARK: - JSON

    private func document(_ node: Node) -> [JSONExpectation] {
        let fields = nodes.entries(node, "the expected JSON")
        if fields.isMapping, fields.pairs.isEmpty {
            diagnostics.error(
                node.origin, "the JSON has no expectation", hint: "write `{ \"$.status\": up }`, for example")
        }
        return fields.pairs.flatMap { key, value -> [JSONExpectation] in
            guard let path = JSONPath(key.value) else {
                diagnostics.error(
                    key.origin, "\(quoted(key.value)) is not a JSON path",
                    hint: key.value.hasPrefix("$")
                        ? "write $.name, $.list[0], $.list[*].name, $['a name'] or $..name"
                        : "begin it with $, the document: \"$.\(key.value)\"")
                return []
            }
            return demands(value).map { JSONExpectation(path: path, demand: $0) }
        }
    }

    private func demands(_ node: Node) -> [JSONExpectation.Demand] {
        if let scalar = node.scalar, let sign = scalar.string.first, "=!<>".contains(sign),
            let number = NumberExpectation(scalar.string)
        {
            return [.compares(number)]
        }
        let known = Set(Grammar.jsonDemand.keyNames)
        guard let mapping = node.mapping, !mapping.isEmpty,
            mapping.allSatisfy({ known.contains($0.key.scalar?.string ?? "") })
        else { return [.equals(jsonValue(node))] }
        let fields = nodes.fields(node, "a JSON value", Grammar.jsonDemand)
        var demands: [JSONExpectation.Demand] = []
        if let value = fields["equals"] { demands.append(.equals(jsonValue(value))) }
        demands += nodes.texts(fields["contains"], "`contains`").map { .contains($0.value) }
        demands += nodes.list(fields["matches"]).compactMap { regularExpression($0, "`matches`") }.map { .matches($0) }
        if let exists = nodes.flag(fields["exists"], "`exists`") { demands.append(.exists(exists.value)) }
        if let count = number(fields["count"], "`count`") { demands.append(.count(count)) }
        return demands
    }

    /// The value as JSON has it: a value without quotes is a number, true, false or null if it looks like one.
    private func jsonValue(_ node: Node) -> JSONValue {
        switch node {
        case .mapping(let mapping):
            return .object(mapping.map { JSONValue.Member($0.key.scalar?.string ?? "", jsonValue($0.value)) })
        case .sequence(let sequence): return .array(sequence.map(jsonValue))
        case .scalar(let scalar):
            guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
            if node.isNothing { return .null }
            if let value = try? JSONReader.read(scalar.string.utf8) {
                switch value {
                case .number, .bool: return value
                default: break
                }
            }
            return .string(scalar.string)
        case .alias: return .null
        }
    }

    // MARK: - Numbers

    /// Reads a comparison with a count. A comparison that no count meets is an error; one that every count meets is a
    /// remark.
    ///
    /// - Parameters:
    ///   - bound: The largest possible count.
    ///   - word: What may be written instead.
    func number(
        _ node: Node?, _ what: String, atMost bound: UInt64 = .max, orWord word: String? = nil
    ) -> NumberExpectation? {
        guard let written = nodes.text(node, what) else { return nil }
        guard let number = NumberExpectation(written.value) else {
            diagnostics.error(
                written.origin, "\(what) is \(quoted(written.value))",
                hint: word.map { "write a whole number, a comparison with one such as \"<= 3\", or \($0)" }
                    ?? "write a comparison with a whole number, such as \">= 1\" or 0")
            return nil
        }
        if number.isMetByNone(upTo: bound) {
            diagnostics.error(
                written.origin, "\(what) is \(quoted(written.value)), which no count can satisfy",
                hint: "write a comparison that can hold, such as \">= 1\" or 0")
        } else if number.isMetByAll(upTo: bound) {
            diagnostics.remark(
                written.origin, "\(what) is \(quoted(written.value)), which every count satisfies",
                hint: "write a comparison that can fail, such as \">= 1\", or remove it")
        }
        return number
    }
}
