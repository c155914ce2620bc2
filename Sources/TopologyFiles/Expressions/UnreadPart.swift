import Plan
import Reporting
import Yams

/// A part of the file that is read when the expressions in it have values: a check, a health check, or `ready`.
///
/// What it says then is judged as if the values were written there, with the places of the expressions.
package struct UnreadPart: @unchecked Sendable {
    // Nothing changes a node once the file has been put together.
    private let node: Node

    /// A text of the part.
    package struct Text {
        /// As it is written.
        package var written: String
        /// Where it begins.
        package var origin: SourceOrigin
        /// The node that its `node`, `dir`, `engine` and `environment` are about; nil: none that the part names.
        package var subject: String?
        /// True if it is a regular expression, in which values stand for themselves.
        package var isPattern = false
    }

    /// nil if only its commands have expressions: those are resolved elsewhere.
    init?(_ node: Node) {
        guard node.hasExpressions else { return nil }
        self.node = node
    }

    /// The check; nil if it is none, or if an expression in it has no value.
    ///
    /// - Parameter value: The text with values in the places of its expressions; nil if one has none, which it reports.
    package func check(_ diagnostics: Diagnostics, _ value: (Text) -> String?) -> RawCheck? {
        read(diagnostics, value) { reader, value in
            var nodes: [String: String] = [:]
            for step in node.value(at: "steps").map(reader.nodes.list) ?? [node] { step.collectStarts(&nodes) }
            return reader.check(node.resolvingStep(nodes, value))
        }
    }

    /// The health check; nil as for a check.
    ///
    /// - Parameter subject: Whose it is, for messages.
    package func health(
        of subject: String, _ diagnostics: Diagnostics, _ value: (Text) -> String?
    ) -> RawHealthCheck? {
        read(diagnostics, value) { reader, value in
            reader.health(node.resolving(nil, isCommand: false, isPattern: false, value), of: subject)
        }
    }

    /// What `ready` says; nil as for a check.
    package func readiness(
        of subject: String, _ diagnostics: Diagnostics, _ value: (Text) -> String?
    ) -> ReadinessPlan? {
        read(diagnostics, value) { reader, value in
            reader.readiness(node.resolving(nil, isCommand: false, isPattern: false, value), subject)
        }
    }

    /// Reads it. Mistakes count only if all expressions have values: they may be consequences.
    private func read<Part>(
        _ diagnostics: Diagnostics, _ value: (Text) -> String?,
        _ body: @escaping (FileReader, (Text) -> String) -> Part?
    ) -> Part? {
        var hasAll = true
        let own = diagnostics.blank()
        let part = body(FileReader(diagnostics: own, isResolved: true)) { text in
            if let value = value(text) { return value }
            hasAll = false
            return text.written
        }
        guard hasAll else { return nil }
        diagnostics.take(own)
        return part
    }
}

extension Node {
    /// The keys whose values are commands. Those of checks get their values where the node is known that runs them.
    private static let commands: Set<String> = ["run"]

    /// True if a value in it has `{{`, commands apart.
    fileprivate var hasExpressions: Bool {
        switch self {
        case .scalar(let scalar): scalar.string.contains("{{")
        case .sequence(let sequence): sequence.contains(where: \.hasExpressions)
        case .mapping(let mapping):
            mapping.contains { !Self.commands.contains($0.key.scalar?.string ?? "") && $0.value.hasExpressions }
        case .alias: false
        }
    }

    /// The nodes of the commands that steps start, by the names of the commands.
    fileprivate func collectStarts(_ nodes: inout [String: String]) {
        for step in value(at: "outage")?.value(at: "while")?.sequence.map(Array.init) ?? [] {
            step.collectStarts(&nodes)
        }
        if let name = value(at: "start")?.scalar?.string, let node = value(at: "on")?.scalar?.string {
            nodes[name] = node
        }
    }

    /// The same with values in the places of expressions.
    fileprivate func resolving(
        _ subject: String?, isCommand: Bool, isPattern: Bool, _ value: (UnreadPart.Text) -> String
    ) -> Node {
        switch self {
        case .scalar(let scalar):
            guard !isCommand, scalar.string.contains("{{") else { return self }
            return replacingText(
                value(
                    UnreadPart.Text(written: scalar.string, origin: origin, subject: subject, isPattern: isPattern)))
        case .sequence(let sequence):
            return replacingElements(
                sequence.map { $0.resolving(subject, isCommand: isCommand, isPattern: isPattern, value) })
        case .mapping(let mapping):
            return replacingPairs(
                mapping.map { key, node in
                    let name = key.scalar?.string ?? ""
                    return (
                        key,
                        node.resolving(
                            subject, isCommand: Self.commands.contains(name), isPattern: isPattern || name == "matches",
                            value)
                    )
                })
        case .alias: return self
        }
    }

    /// The same for a check or a step, with the steps in it.
    ///
    /// - Parameter started: The nodes of commands that other steps start.
    fileprivate func resolvingStep(_ started: [String: String], _ value: (UnreadPart.Text) -> String) -> Node {
        guard let mapping else { return resolving(nil, isCommand: false, isPattern: false, value) }
        let subject = stepSubject(started)
        return replacingPairs(
            mapping.map { key, node in
                switch key.scalar?.string {
                case "steps": return (key, node.resolvingSteps(started, value))
                case "outage":
                    guard let outage = node.mapping else { break }
                    return (
                        key,
                        node.replacingPairs(
                            outage.map { inner, node in
                                (
                                    inner,
                                    inner.scalar?.string == "while"
                                        ? node.resolvingSteps(started, value)
                                        : node.resolving(subject, isCommand: false, isPattern: false, value)
                                )
                            })
                    )
                default: break
                }
                let isCommand = Self.commands.contains(key.scalar?.string ?? "")
                return (key, node.resolving(subject, isCommand: isCommand, isPattern: false, value))
            })
    }

    private func resolvingSteps(_ started: [String: String], _ value: (UnreadPart.Text) -> String) -> Node {
        guard let sequence else { return resolvingStep(started, value) }
        return replacingElements(sequence.map { $0.resolvingStep(started, value) })
    }

    /// The node that a step is about: the one of its command, log, capture or fault, or the sender of its packets.
    private func stepSubject(_ started: [String: String]) -> String? {
        for key in ["packet", "path", "outage"] {
            if let sender = value(at: key)?.value(at: "from")?.scalar?.string { return sender }
        }
        if let name = value(at: "finish")?.scalar?.string { return started[name] }
        let others = ["on", "log", "capture", "captured", "instance"] + FaultPlan.Kind.allCases.map(\.rawValue)
        return others.lazy.compactMap { self.value(at: $0)?.scalar?.string }.first
    }
}
