import Forwarding
import Plan
import Reporting
import Wire

/// Why a template has no meaning.
package struct AccessTemplateFault: Error, Sendable, Hashable {
    /// The line of the template, from 1.
    package var line: Int
    package var message: String
    package var hint: String
}

/// A template that is filled with access lists, for a program that reads a file of its own.
///
/// `{{ each list }}`, and in it `{{ each own }}` and `{{ each rule }}`, begin parts that are repeated. `{{ if rule.remote }}` and
/// `{{ if rule.action = deny }}` begin parts that may be left out. `{{ end }}` ends each of these. All else in braces is a value:
/// `{{ rule.own }}`. A value that a rule leaves open is empty. A line with nothing but such a word on it leaves no line behind.
package struct AccessTemplateText: Sendable {
    private indirect enum Part: Sendable {
        case text(String)
        case value(String)
        case each(String, [Part])
        case condition(String, equals: String?, [Part])
    }

    private struct Token {
        var line: Int
        /// What is between braces; nil: it is text.
        var words: [String]?
        var text: String
    }

    private let parts: [Part]

    /// - Throws: `AccessTemplateFault` with the line that has no meaning.
    package init(_ text: String) throws(AccessTemplateFault) {
        var rest = try Self.tokens(text)[...]
        parts = try Self.parts(&rest, inside: [], from: nil)
    }

    // MARK: - Reading

    /// The words that are no values.
    private static let words = ["each", "if", "end"]

    private static func tokens(_ text: String) throws(AccessTemplateFault) -> [Token] {
        var (tokens, rest, line, beginsLine) = ([Token](), text[...], 1, true)
        while let start = Self.pair("{", in: rest) {
            let plain = rest[..<start]
            if !plain.isEmpty {
                tokens.append(Token(line: line, words: nil, text: String(plain)))
                line += plain.count(where: \.isNewline)
                beginsLine = plain.last?.isNewline == true
            }
            rest = rest[start...].dropFirst(2)
            guard let end = Self.pair("}", in: rest) else {
                throw AccessTemplateFault(line: line, message: "nothing ends `{{`", hint: "add }}")
            }
            let inside = rest[..<end]
            tokens.append(
                Token(
                    line: line, words: inside.split(whereSeparator: \.isWhitespace).map(String.init),
                    text: String(inside)))
            line += inside.count(where: \.isNewline)
            rest = rest[end...].dropFirst(2)
            let isWord = words.contains(tokens.last?.words?.first ?? "")
            if isWord, beginsLine, rest.first?.isNewline == true {
                rest = rest.dropFirst()
                line += 1
            } else {
                beginsLine = false
            }
        }
        if !rest.isEmpty { tokens.append(Token(line: line, words: nil, text: String(rest))) }
        return tokens
    }

    private static func pair(_ brace: Character, in text: Substring) -> Substring.Index? {
        text.indices.first { text[$0] == brace && text[$0...].dropFirst().first == brace }
    }

    private static func parts(
        _ rest: inout ArraySlice<Token>, inside: [String], from start: Token?
    ) throws(AccessTemplateFault) -> [Part] {
        var parts: [Part] = []
        while let token = rest.popFirst() {
            guard let words = token.words else {
                parts.append(.text(token.text))
                continue
            }
            switch (words.first ?? "", words.count) {
            case ("end", 1) where start != nil: return parts
            case ("each", 2):
                try check(
                    words[1], among: inside.isEmpty ? ["list"] : inside == ["list"] ? ["own", "rule"] : [], token)
                parts.append(.each(words[1], try self.parts(&rest, inside: inside + [words[1]], from: token)))
            case ("if", let count) where count == 2 || count == 4 && words[2] == "=":
                try check(words[1], among: values(inside), token)
                let inner = try self.parts(&rest, inside: inside, from: token)
                parts.append(.condition(words[1], equals: count == 4 ? words[3] : nil, inner))
            case (let word, 1) where !Self.words.contains(word):
                try check(word, among: values(inside), token)
                parts.append(.value(word))
            default:
                throw AccessTemplateFault(
                    line: token.line, message: "{{\(token.text)}} has no meaning here",
                    hint: "write {{ each list }}, {{ each rule }}, {{ if rule.remote }}, {{ end }} or a value")
            }
        }
        if let start {
            throw AccessTemplateFault(
                line: start.line, message: "nothing ends {{\(start.text)}}", hint: "add {{ end }}")
        }
        return parts
    }

    private static func check(_ word: String, among known: [String], _ token: Token) throws(AccessTemplateFault) {
        guard !known.contains(word) else { return }
        throw AccessTemplateFault(
            line: token.line, message: "there is no \(quoted(word, seen: true)) here",
            hint: known.isEmpty
                ? "values are inside {{ each list }}" : "there are \(known.joined(separator: ", "))")
    }

    private static func values(_ inside: [String]) -> [String] {
        inside.flatMap { known in
            switch known {
            case "list": ["list.tenant", "list.default", "list.answer"]
            case "own": ["own", "own.family"]
            default:
                [
                    "number", "action", "answer", "family", "own", "remote", "protocol", "own-ports", "remote-ports",
                    "icmp-type",
                ].map { "rule.\($0)" }
            }
        }
    }

    // MARK: - Filling

    /// The text for these lists.
    package func filled(_ lists: [AccessList]) -> String { Self.text(parts, lists, nil, [:]) }

    private static func text(
        _ parts: [Part], _ lists: [AccessList], _ list: AccessList?, _ values: [String: String]
    ) -> String {
        parts.map { part in
            switch part {
            case .text(let text): return text
            case .value(let name): return values[name] ?? ""
            case .condition(let name, let wanted, let inner):
                let value = values[name] ?? ""
                return (wanted.map { $0 == value } ?? !value.isEmpty) ? text(inner, lists, list, values) : ""
            case .each(let kind, let inner):
                let all: [(AccessList?, [String: String])] =
                    switch kind {
                    case "list": lists.map { ($0, self.values(of: $0)) }
                    case "own":
                        (list?.own ?? []).map { (list, ["own": "\($0)", "own.family": word($0.family)]) }
                    default: (list?.rules ?? []).enumerated().map { (list, self.values(of: $1, $0 + 1)) }
                    }
                return all.map { text(inner, lists, $0, values.merging($1) { $1 }) }.joined()
            }
        }.joined()
    }

    private static func word(_ family: AddressFamily) -> String { family == .ipv4 ? "4" : "6" }

    private static func values(_ action: AccessRule.Action) -> (action: String, answer: String) {
        switch action {
        case .allow: ("allow", "")
        case .deny(let denial): ("deny", denial.word)
        }
    }

    private static func values(of list: AccessList) -> [String: String] {
        let otherwise = values(list.otherwise)
        return ["list.tenant": list.tenant, "list.default": otherwise.action, "list.answer": otherwise.answer]
    }

    private static func values(of rule: AccessRule, _ number: Int) -> [String: String] {
        func ports(_ range: ClosedRange<UInt16>) -> String {
            range == 0...65535
                ? "" : range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
        }
        let verdict = values(rule.action)
        var values = [
            "rule.number": "\(number)", "rule.action": verdict.action, "rule.answer": verdict.answer,
            "rule.family": word(rule.own.family), "rule.own": "\(rule.own)",
            "rule.remote": rule.remote.map { "\($0)" } ?? "",
        ]
        func name(_ number: UInt8) -> String {
            let known: [UInt8: String] = [1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"]
            return known[number] ?? "\(number)"
        }
        switch rule.matter {
        case .any: break
        case .protocolNumber(let number): values["rule.protocol"] = name(number)
        case .ports(let number, let own, let remote):
            values["rule.protocol"] = name(number)
            values["rule.own-ports"] = ports(own)
            values["rule.remote-ports"] = ports(remote)
        case .icmp(let type):
            values["rule.protocol"] = rule.own.family == .ipv4 ? "icmp" : "icmpv6"
            values["rule.icmp-type"] = "\(type)"
        }
        return values
    }
}
