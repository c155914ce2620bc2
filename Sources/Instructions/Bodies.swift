import ControlAPI
import Plan
import Reporting

/// A request's body, read strictly: every key known, every mistake with its place.
package struct BodyReader {
    package private(set) var mistakes: [Problem.Mistake] = []

    package init() {}

    /// The body as JSON.
    ///
    /// - Throws: `Problem` if it is none.
    package static func json(_ octets: [UInt8]) throws(Problem) -> JSONValue {
        guard String(validating: octets, as: UTF8.self) != nil else {
            throw Problem(.notAsExpected, "the body is no text in UTF-8", hint: "JSON is written in UTF-8")
        }
        do throws(JSONProblem) { return try JSONReader.read(octets) } catch {
            throw Problem(
                .notAsExpected, "the body is no JSON: \(error)",
                errors: [Problem.Mistake(pointer: "", detail: "\(error)")])
        }
    }

    /// How many mistakes are told: the answer to a body of nothing but mistakes stays short.
    package static let mostMistakes = 100

    /// - Throws: `Problem` with all mistakes so far.
    package func check() throws(Problem) {
        guard let first = mistakes.first else { return }
        throw Problem(.invalid, first.detail, hint: first.hint, errors: mistakes)
    }

    mutating func fault(_ pointer: String, _ detail: String, _ hint: String? = nil) {
        guard mistakes.count < Self.mostMistakes else { return }
        mistakes.append(Problem.Mistake(pointer: pointer, detail: detail, hint: hint))
    }

    /// The members of an object with known names.
    mutating func object(_ value: JSONValue, _ keys: [String], at pointer: String) -> [String: JSONValue]? {
        guard case .object(let members) = value else {
            fault(pointer, "it must be an object, but is \(value.kind)")
            return nil
        }
        var found: [String: JSONValue] = [:]
        for member in members {
            let place = "\(pointer)/\(Self.escaped(member.name))"
            if !keys.contains(member.name) {
                fault(
                    place, "there is no key \(Self.shown(member.name)) here",
                    "the keys are \(keys.joined(separator: ", "))")
            } else if found[member.name] != nil {
                fault(place, "the key \(Self.shown(member.name)) is given twice", "remove one")
            } else {
                found[member.name] = member.value
            }
        }
        return found
    }

    /// A reference token of a JSON pointer (RFC 6901, section 3).
    private static func escaped(_ text: String) -> String {
        shown(text).split(separator: "~", omittingEmptySubsequences: false).joined(separator: "~0")
            .split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
    }

    private static func shown(_ text: String) -> String { ControlText.shown(text, most: 64) }

    mutating func texts(_ value: JSONValue?, at pointer: String) -> [String] {
        guard let value else { return [] }
        guard case .array(let values) = value else {
            fault(pointer, "it must be a list of texts, but is \(value.kind)", "write [\"…\"]")
            return []
        }
        guard values.count <= Self.mostValues else {
            fault(pointer, "it has \(values.count) values, and the most are \(Self.mostValues)")
            return []
        }
        return values.enumerated().compactMap { text($1, at: "\(pointer)/\($0)") }
    }

    mutating func text(_ value: JSONValue, at pointer: String) -> String? {
        guard case .string(let text) = value else {
            fault(pointer, "it must be a text, but is \(value.kind)")
            return nil
        }
        guard (1...Self.longestText).contains(text.utf8.count) else {
            fault(pointer, "a text has 1 to \(Self.longestText) octets")
            return nil
        }
        return text
    }

    /// The values of a list, and the services of a batch.
    package static let mostValues = 64
    /// Octets of a text.
    package static let longestText = 256

    /// A service.
    ///
    /// - Parameters:
    ///   - name: Its name from the path; nil: the body has it.
    ///   - pointer: The place of the service in the body.
    package mutating func service(
        _ value: JSONValue, tenant: String, name: String?, at pointer: String = ""
    ) -> RecordedService? {
        let before = mistakes.count
        let keys = (name == nil ? ["name"] : []) + ["addresses", "ports", "from", "distribute", "sequence"]
        guard let fields = object(value, keys, at: pointer) else { return nil }
        var name = name
        if let own = fields["name"] { name = text(own, at: "\(pointer)/name") }
        if let name, let wrong = RecordName.fault(of: name) {
            fault(
                "\(pointer)/name", "\(quoted(name, seen: true)) cannot be the name of a service: \(wrong)",
                RecordName.hint)
        }
        for key in ["name", "addresses", "sequence"] where fields[key] == nil && keys.contains(key) {
            fault(pointer, "\(key) is missing")
        }
        for key in ["addresses", "sequence"] where fields[key] == .array([]) {
            fault("\(pointer)/\(key)", "it is empty", "write at least one")
        }
        let service = RecordedService(
            tenant: tenant, name: name ?? "", addresses: texts(fields["addresses"], at: "\(pointer)/addresses"),
            ports: texts(fields["ports"], at: "\(pointer)/ports"),
            from: texts(fields["from"], at: "\(pointer)/from"),
            distribute: texts(fields["distribute"], at: "\(pointer)/distribute"),
            sequence: texts(fields["sequence"], at: "\(pointer)/sequence"))
        return mistakes.count == before ? service : nil
    }

    /// Several services and access lists to make or replace, and the names of those to remove.
    package mutating func batch(_ value: JSONValue, tenant: String) -> Batch {
        guard let fields = object(value, ["put", "remove", "put-access", "remove-access"], at: "") else {
            return Batch()
        }
        var put: [RecordedService] = []
        if let list = fields["put"] {
            if case .array(let values) = list, values.count <= Self.mostValues {
                for (index, value) in values.enumerated() {
                    if let service = service(value, tenant: tenant, name: nil, at: "/put/\(index)") {
                        put.append(service)
                    }
                }
            } else {
                fault("/put", "it must be a list of at most \(Self.mostValues) services")
            }
        }
        let remove = texts(fields["remove"], at: "/remove")
        eachOnce(fields, "service", put: ("put", "name"), remove: "remove")
        let access = batchedAccess(fields, tenant)
        if put.isEmpty, remove.isEmpty, access.put.isEmpty, access.remove.isEmpty, mistakes.isEmpty {
            fault("", "it names no service and no access list", "add `put`, `remove`, `put-access` or `remove-access`")
        }
        return Batch(put: put, remove: remove, putAccess: access.put, removeAccess: access.remove)
    }

    /// Tells which records of a batch are named a second time.
    ///
    /// - Parameters:
    ///   - what: Their kind, for a person.
    ///   - put: The list of those that are made or replaced, and the member that is their name.
    ///   - remove: The list of the names of those that are removed.
    mutating func eachOnce(
        _ fields: [String: JSONValue], _ what: String, put: (list: String, name: String), remove: String
    ) {
        func values(_ key: String) -> [JSONValue] {
            guard case .array(let values)? = fields[key] else { return [] }
            return Array(values.prefix(Self.mostValues))
        }
        let made = values(put.list).enumerated().map { place, value -> (JSONValue?, String) in
            guard case .object(let members) = value else { return (nil, "") }
            return (members.first { $0.name == put.name }?.value, "/\(put.list)/\(place)/\(put.name)")
        }
        let removed = values(remove).enumerated().map { (JSONValue?.some($1), "/\(remove)/\($0)") }
        var first: [String: String] = [:]
        for (value, pointer) in made + removed {
            guard case .string(let name)? = value else { continue }
            if let before = first[name] {
                fault(
                    pointer, "the \(what) \(Self.shown(name)) is named before, at \(before)", "name each once")
            } else {
                first[name] = pointer
            }
        }
    }

    /// What a batch changes; those that are removed by their names.
    package struct Batch: Sendable {
        package var put: [RecordedService] = []
        package var remove: [String] = []
        package var putAccess: [RecordedAccess] = []
        package var removeAccess: [String] = []
    }

    /// A whole number, however it is written; nil if it is none.
    private static func whole(_ value: JSONValue) -> Int? {
        guard case .number(let number, _) = value else { return nil }
        return Int(exactly: number)
    }

    /// The version to restore.
    package mutating func version(_ value: JSONValue) -> Int? {
        guard let fields = object(value, ["version"], at: "") else { return nil }
        guard let version = fields["version"].flatMap(Self.whole), version >= 0 else {
            fault("/version", "it must be the number of a version", "see the audit: every change has one")
            return nil
        }
        return version
    }

    /// What a new token may do, for how many seconds (nil: for ever), and whether from the tenant's own customers alone.
    package mutating func token(_ value: JSONValue) -> (readOnly: Bool, expires: Int?, own: Bool) {
        guard let fields = object(value, ["read-only", "expires-in", "from"], at: "") else {
            return (false, nil, false)
        }
        var (readOnly, own) = (false, false)
        switch fields["from"] {
        case nil, .null?: break
        case .string("own")?: own = true
        default: fault("/from", "it must be \"own\"", "leave it out for a token that is valid from everywhere")
        }
        if let flag = fields["read-only"] {
            if case .bool(let given) = flag {
                readOnly = given
            } else {
                fault("/read-only", "it must be true or false")
            }
        }
        guard let time = fields["expires-in"], time != .null else { return (readOnly, nil, own) }
        guard let count = Self.whole(time), (1...Self.longestLife).contains(count) else {
            fault("/expires-in", "it must be a number of seconds from 1 to \(Self.longestLife)")
            return (readOnly, nil, own)
        }
        return (readOnly, count, own)
    }

    /// Ten years, in seconds.
    package static let longestLife = 315_360_000
}
