import ControlAPI
import Plan
import Reporting

extension BodyReader {
    /// The rules of an access list.
    package static let mostRules = 1000
    /// What happens to packets.
    static let actions = ["allow", "deny"]
    /// How senders of denied packets are told.
    static let answers = ["drop", "icmp", "reset"]
    static let ruleKeys = [
        "action", "answer", "protocol", "own", "own-ports", "remote", "remote-ports", "icmp-types", "comment",
    ]

    /// An access list.
    ///
    /// - Parameters:
    ///   - application: The application from the path; nil: the body has it.
    ///   - pointer: The place of the list in the body.
    package mutating func access(
        _ value: JSONValue, tenant: String, application: String?, at pointer: String = ""
    ) -> RecordedAccess? {
        let before = mistakes.count
        let keys = (application == nil ? ["application"] : []) + ["rules", "default"]
        guard let fields = object(value, keys, at: pointer) else { return nil }
        for key in keys where key != "rules" && fields[key] == nil { fault(pointer, "\(key) is missing") }
        // The path's is as long as one in the body may be.
        let named = (application.map { .string($0) } ?? fields["application"]).flatMap {
            text($0, at: "\(pointer)/application")
        }
        let rules = rules(fields["rules"], at: "\(pointer)/rules")
        let otherwise = fields["default"].flatMap { verdict($0, at: "\(pointer)/default") }
        guard mistakes.count == before, let otherwise, let application = named else { return nil }
        return RecordedAccess(tenant: tenant, application: application, rules: rules, otherwise: otherwise)
    }

    /// The access lists of a batch.
    mutating func batchedAccess(
        _ fields: [String: JSONValue], _ tenant: String
    ) -> (put: [RecordedAccess], remove: [String]) {
        var put: [RecordedAccess] = []
        if let list = fields["put-access"] {
            if case .array(let values) = list, values.count <= Self.mostValues {
                for (index, value) in values.enumerated() {
                    if let one = access(value, tenant: tenant, application: nil, at: "/put-access/\(index)") {
                        put.append(one)
                    }
                }
            } else {
                fault("/put-access", "it must be a list of at most \(Self.mostValues) access lists")
            }
        }
        let remove = texts(fields["remove-access"], at: "/remove-access")
        eachOnce(fields, "application", put: ("put-access", "application"), remove: "remove-access")
        return (put, remove)
    }

    private mutating func rules(_ value: JSONValue?, at pointer: String) -> [RecordedAccessRule] {
        guard let value else { return [] }
        guard case .array(let values) = value else {
            fault(pointer, "it must be a list of rules, but is \(value.kind)")
            return []
        }
        guard values.count <= Self.mostRules else {
            fault(pointer, "it has \(values.count) rules, and the most are \(Self.mostRules)")
            return []
        }
        return values.enumerated().compactMap { rule($1, at: "\(pointer)/\($0)") }
    }

    private mutating func rule(_ value: JSONValue, at pointer: String) -> RecordedAccessRule? {
        guard let fields = object(value, Self.ruleKeys, at: pointer) else { return nil }
        guard let verdict = verdict(fields, at: pointer) else { return nil }
        return RecordedAccessRule(
            action: verdict.action, answer: verdict.answer,
            protocolName: optional(fields, "protocol", pointer), own: optional(fields, "own", pointer),
            ownPorts: texts(fields["own-ports"], at: "\(pointer)/own-ports"),
            remote: optional(fields, "remote", pointer),
            remotePorts: texts(fields["remote-ports"], at: "\(pointer)/remote-ports"),
            icmpTypes: texts(fields["icmp-types"], at: "\(pointer)/icmp-types"), comment: verdict.comment)
    }

    private mutating func verdict(_ value: JSONValue, at pointer: String) -> RecordedVerdict? {
        object(value, ["action", "answer", "comment"], at: pointer).flatMap { verdict($0, at: pointer) }
    }

    private mutating func verdict(_ fields: [String: JSONValue], at pointer: String) -> RecordedVerdict? {
        guard let action = fields["action"] else {
            fault(pointer, "action is missing", "write allow or deny")
            return nil
        }
        let word = word(action, of: Self.actions, "no action", "write allow or deny", at: "\(pointer)/action")
        let answer = fields["answer"].flatMap {
            self.word(
                $0, of: Self.answers, "no answer to a denied packet", "write drop, icmp or reset",
                at: "\(pointer)/answer")
        }
        return word.map {
            RecordedVerdict(action: $0, answer: answer, comment: optional(fields, "comment", pointer))
        }
    }

    /// One of some words. What is none of them is wrong whatever a request expects of its record.
    private mutating func word(
        _ value: JSONValue, of known: [String], _ wrong: String, _ hint: String, at pointer: String
    ) -> String? {
        guard let text = text(value, at: pointer) else { return nil }
        if !known.contains(text) { fault(pointer, "\(quoted(text, seen: true)) is \(wrong)", hint) }
        return text
    }

    private mutating func optional(_ fields: [String: JSONValue], _ key: String, _ pointer: String) -> String? {
        fields[key].flatMap { text($0, at: "\(pointer)/\(key)") }
    }
}
