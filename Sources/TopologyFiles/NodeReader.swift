import Plan
import Reporting
import Wire
import Yams

/// A mapping of the file whose keys have been checked.
struct Fields {
    /// The beginning of the mapping.
    var origin: SourceOrigin
    /// The described thing, for messages: `customer "alice"`.
    var subject: String
    /// False if the value is no mapping, which has been reported.
    fileprivate(set) var isMapping = true
    var pairs: [(key: Located<String>, value: Node)]

    /// The value of a key.
    subscript(key: String) -> Node? { pairs.first { $0.key.value == key }?.value }

    /// The place of a key, else the beginning of the mapping.
    func origin(of key: String) -> SourceOrigin {
        pairs.first { $0.key.value == key }?.key.origin ?? origin
    }
}

extension Node {
    /// The beginning of the node.
    var origin: SourceOrigin {
        .line(
            SourcePosition(line: max(1, mark?.line ?? 1), column: max(1, mark?.column ?? 1), file: includedFile))
    }

    /// True for an empty value, `~` and `null`.
    var isNothing: Bool {
        guard let scalar, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    /// Its shape, for messages.
    var shape: String {
        switch self {
        case .scalar(let scalar): isNothing ? "nothing" : quoted(scalar.string)
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }
}

/// Reads values from nodes, and reports their mistakes.
struct NodeReader {
    let diagnostics: Diagnostics

    /// True for a key that has no meaning to Tapline: a place for anchors, or for other programs.
    static func isExtension(_ key: String) -> Bool { key.hasPrefix("x-") }

    /// The fields of a mapping; an empty value is an empty mapping. Reports unknown keys; those with `x-` are passed
    /// over.
    func fields(_ node: Node, _ subject: String, _ grammar: MappingGrammar) -> Fields {
        let fields = entries(node, subject)
        let keys = grammar.keyNames
        for (key, _) in fields.pairs where !keys.contains(key.value) && !Self.isExtension(key.value) {
            diagnostics.error(
                key.origin, "\(subject) has no key \(quoted(key.value))",
                hint: Spelling.nearest(to: key.value, among: keys).map { "did you mean \(quoted($0))?" }
                    ?? "its keys are \(keys.joined(separator: ", "))")
        }
        return fields
    }

    /// The one key that says the kind of a mapping of several kinds; nil if there is none, or more than one. Reports
    /// keys that do not go with it.
    func kind(of fields: Fields, _ grammar: MappingGrammar) -> String? {
        let kinds = grammar.kinds(among: fields.pairs.map(\.key.value))
        guard kinds.count == 1, let kind = kinds.first else { return nil }
        for (key, _) in fields.pairs {
            guard let known = grammar.keys.first(where: { $0.name == key.value }), !grammar.belongs(known, to: kind)
            else { continue }
            let others = (known.kinds ?? []).filter(grammar.kinds.contains)
            diagnostics.error(
                key.origin, "`\(key.value)` has no meaning beside `\(kind)`",
                hint: "remove it"
                    + (others.isEmpty ? "" : "; it belongs to \(others.map { "`\($0)`" }.joined(separator: " and "))"))
        }
        return kind
    }

    /// The text at a key of a mapping, if there is one. Reports nothing.
    func peek(_ node: Node, _ key: String) -> String? {
        node.mapping?.first { $0.key.scalar?.string == key }?.value.scalar?.string
    }

    /// The pairs of a mapping whose keys are names; an empty value is an empty mapping. Merge keys are merged.
    func entries(_ node: Node, _ subject: String, depth: Int = 0) -> Fields {
        var fields = Fields(origin: node.origin, subject: subject, pairs: [])
        guard !node.isNothing else { return fields }
        guard case .mapping(let mapping) = node else {
            fields.isMapping = false
            diagnostics.error(
                node.origin, "\(subject) must be a mapping of keys to values, but is \(node.shape)",
                hint: "write `{ key: value }`, or `key: value` lines below it")
            return fields
        }
        var merged: [Node] = []
        for (key, value) in mapping {
            guard let scalar = key.scalar else {
                diagnostics.error(
                    key.origin, "a key of \(subject) is \(key.shape)", hint: "a key is a text")
                continue
            }
            guard !YAMLText.isReplaced(scalar.string) else { continue }
            if scalar.string == "<<", scalar.style == .plain {
                merged += value.sequence.map(Array.init) ?? [value]
                continue
            }
            fields.pairs.append((Located(scalar.string, key.origin), value))
        }
        for source in merged where depth < 16 {
            let known = Set(fields.pairs.map(\.key.value))
            fields.pairs += entries(source, subject, depth: depth + 1).pairs.filter { !known.contains($0.key.value) }
        }
        return fields
    }

    /// The elements of a list; one value alone is a list of one, an empty value a list of none.
    func list(_ node: Node?) -> [Node] {
        guard let node, !node.isNothing else { return [] }
        if case .sequence(let sequence) = node { return Array(sequence) }
        return [node]
    }

    /// A text, which may look like a number.
    ///
    /// - Parameter mayBeEmpty: Whether `""` is a value here; elsewhere it is a mistake, as blanks alone are.
    func text(_ node: Node?, _ what: String, mayBeEmpty: Bool = false) -> Located<String>? {
        guard let node else { return nil }
        guard case .scalar(let scalar) = node, !node.isNothing else {
            diagnostics.error(
                node.origin, "\(what) must be a text, but is \(node.shape)",
                hint: node.mapping != nil
                    ? "put a text with \": \" or begins with \"{\" in quotes"
                    : node.isNothing ? "write a text, or remove the key" : "write one text, without brackets")
            return nil
        }
        guard !scalar.string.unicodeScalars.contains("\0") else {
            diagnostics.error(node.origin, "\(what) contains a zero octet", hint: "remove it")
            return nil
        }
        guard mayBeEmpty || !scalar.string.allSatisfy(\.isWhitespace) else {
            diagnostics.error(
                node.origin, "\(what) is \(scalar.string.isEmpty ? "an empty text" : "blanks alone")",
                hint: "write a text, or remove the key")
            return nil
        }
        return Located(scalar.string, node.origin)
    }

    /// Reports a list without elements if no list would mean any.
    func refuseEmptyList(_ fields: Fields, _ key: String, _ meaning: String) {
        guard let node = fields[key], list(node).isEmpty else { return }
        diagnostics.error(
            fields.origin(of: key), "`\(key)` is empty: \(fields.subject) would be for \(meaning)",
            hint: "name some, or remove the key if \(meaning) are meant")
    }

    /// The texts of a list, or one text.
    func texts(_ node: Node?, _ what: String) -> [Located<String>] {
        list(node).compactMap { text($0, what) }
    }

    /// A mapping of texts to texts, in the order of the file.
    func textMap(_ node: Node?, _ what: String) -> [(key: Located<String>, value: Located<String>)] {
        guard let node else { return [] }
        return entries(node, what).pairs.compactMap { key, value in
            value.isNothing
                ? (key, Located("", key.origin))
                : text(value, "\(what), \(quoted(key.value)),", mayBeEmpty: true).map { (key, $0) }
        }
    }

    /// true, yes, on, false, no, off.
    func flag(_ node: Node?, _ what: String) -> Located<Bool>? {
        guard let node else { return nil }
        let value: Bool? =
            switch node.scalar?.string.lowercased() {
            case "true", "yes", "on": true
            case "false", "no", "off": false
            default: nil
            }
        guard let value else {
            diagnostics.error(node.origin, "\(what) is \(node.shape)", hint: "write true or false")
            return nil
        }
        return Located(value, node.origin)
    }

    /// A whole number in a range.
    func integer(_ node: Node?, _ what: String, in range: ClosedRange<Int>) -> Located<Int>? {
        guard let node else { return nil }
        guard let scalar = node.scalar, let value = Int(scalar.string), range.contains(value) else {
            diagnostics.error(
                node.origin, "\(what) is \(node.shape)",
                hint: "write a whole number from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return Located(value, node.origin)
    }

    /// One of a few words.
    func choice<Value: RawRepresentable & CaseIterable>(_ node: Node?, _ what: String) -> Located<Value>?
    where Value.RawValue == String {
        choice(node, what, among: Value.allCases.map { ($0.rawValue, $0) })
    }

    /// One of a few words, each with its meaning.
    func choice<Value>(_ node: Node?, _ what: String, among known: [(word: String, value: Value)]) -> Located<Value>? {
        guard let node else { return nil }
        guard let value = known.first(where: { $0.word == node.scalar?.string })?.value else {
            let words = known.map(\.word)
            diagnostics.error(
                node.origin, "\(what) is \(node.shape)",
                hint: Spelling.nearest(to: node.scalar?.string ?? "", among: words)
                    .map { "did you mean \(quoted($0))?" } ?? "write \(words.joined(separator: " or "))")
            return nil
        }
        return Located(value, node.origin)
    }

    /// A whole number in a range, with a percent sign or without.
    func percentage(_ node: Node?, _ what: String, in range: ClosedRange<Int>) -> Located<Int>? {
        guard let node else { return nil }
        var text = node.scalar?.string ?? ""
        if text.last == "%" { text.removeLast() }
        while text.last == " " { text.removeLast() }
        guard let value = Int(text), range.contains(value) else {
            diagnostics.error(
                node.origin, "\(what) is \(node.shape)",
                hint: "write a percentage from \(range.lowerBound)% to \(range.upperBound)%")
            return nil
        }
        return Located(value, node.origin)
    }

    /// A duration such as 500ms, 5s or 2m, in milliseconds; at most a day.
    func duration(_ node: Node?, _ what: String, mayBeZero: Bool = true) -> Located<Int>? {
        guard let node else { return nil }
        guard let milliseconds = DurationText.milliseconds(node.scalar?.string ?? "") else {
            diagnostics.error(node.origin, "\(what) is \(node.shape)", hint: DurationText.hint)
            return nil
        }
        guard mayBeZero || milliseconds > 0 else {
            diagnostics.error(node.origin, "\(what) of zero fails always", hint: "write 10ms or more")
            return nil
        }
        return Located(milliseconds, node.origin)
    }

    /// An address with or without the length of its prefix.
    func address(_ node: Node?, _ what: String) -> Located<RawAddress>? {
        guard let written = text(node, what) else { return nil }
        guard let value = InterfaceAddress(written.value) else {
            diagnostics.error(
                written.origin, "\(what): \(quoted(written.value)) is not an address",
                hint: Spelling.hint(forExpression: written.value)
                    ?? "write an IPv4 or IPv6 address such as 192.0.2.10/24 or \"2001:db8::10/64\"")
            return nil
        }
        if value.address.isIPv4Mapped, value.length >= 96 {
            let four = IPAddress(ipv4: UInt32(value.address.low & 0xFFFF_FFFF))
            // ::ffff:192.0.2.1/96 is an address with a length of another family; ::ffff:0:0/96 is everything.
            let length = value.length == 96 && four.low != 0 ? 24 : value.length - 96
            diagnostics.error(
                written.origin,
                "\(what): \(quoted(written.value)) is an IPv4 address in the form of an IPv6 one (RFC 4291, 2.5.5.2), which "
                    + "no packet carries",
                hint: "write \(four)\(value.length == 128 ? "" : "/\(length)")")
            return nil
        }
        return Located(RawAddress(value: value, hasLength: written.value.contains("/")), written.origin)
    }

    /// A prefix, or one address, which is a prefix of its own.
    func prefix(_ node: Node?, _ what: String) -> Located<IPPrefix>? {
        guard let written = address(node, what) else { return nil }
        let prefix = written.value.value.prefix
        guard prefix.address == written.value.value.address else {
            diagnostics.error(
                written.origin, "\(what): \(written.value.value) has bits set beyond its length",
                hint: "write \(prefix.address)/\(prefix.length)")
            return nil
        }
        return Located(prefix, written.origin)
    }

    /// Service ports such as `tcp/80`, `tcp/8000-8100`, `tcp`, `icmp` or `any`.
    ///
    /// - Parameter mayBeZero: Whether port 0 is a value here: it can be sent and looked for, and nothing listens at it.
    func port(_ node: Node?, _ what: String, mayBeZero: Bool = false) -> Located<PortSpecification>? {
        text(node, what).flatMap { port($0, what, mayBeZero: mayBeZero) }
    }

    /// Service ports that are a text already.
    func port(_ written: Located<String>, _ what: String, mayBeZero: Bool = false) -> Located<PortSpecification>? {
        guard let value = PortSpecification(written.value) else {
            let bare = Int(written.value) != nil
            let parts = written.value.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            var meant: String?
            if let named = parts.first, !bare,
                let nearest = Spelling.nearest(to: String(named), among: PortSpecification.protocolNames)
            {
                let candidate = ([nearest] + parts.dropFirst().map(String.init)).joined(separator: "/")
                if PortSpecification(candidate) != nil { meant = "did you mean \(quoted(candidate))?" }
            }
            diagnostics.error(
                written.origin, "\(what): \(quoted(written.value)) is not a service port",
                hint: Spelling.hint(forExpression: written.value)
                    ?? (bare
                        ? "name the protocol: tcp/\(written.value) or udp/\(written.value)"
                        : meant
                            ?? "write tcp/80, udp/5000-5100, tcp, icmp, any, or the number of a protocol such as protocol/47")
            )
            return nil
        }
        if !mayBeZero, value.ports.lowerBound == 0, written.value.contains("/"),
            case .number(let number) = value.upperProtocol,
            IPProtocol.hasPorts(number)
        {
            let name = written.value.prefix { $0 != "/" }
            diagnostics.error(
                written.origin,
                "\(what): \(quoted(written.value)) has port 0, on which no program can listen (RFC 6335)",
                hint: value.ports.upperBound == 0
                    ? "write the port, or \(name) for all of them"
                    : value.ports.upperBound == 65_535
                        ? "write \(name) for all ports" : "begin with 1: \(name)/1-\(value.ports.upperBound)")
            return nil
        }
        return Located(value, written.origin)
    }
}

extension IPAddress {
    /// An IPv4 address in the form of an IPv6 one, ::ffff:0:0/96 (RFC 4291, section 2.5.5.2).
    fileprivate var isIPv4Mapped: Bool { family == .ipv6 && high == 0 && low >> 32 == 0xFFFF }
}
