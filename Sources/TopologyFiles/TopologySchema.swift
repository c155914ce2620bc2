/// The JSON schema (draft 2020-12) of topology files, made from the grammar that the readers use.
///
/// It says what a schema can say: keys, kinds of values, forms of addresses and ports. Only `tapline validate` checks
/// the meaning of names, and whether a chain can work.
public struct TopologySchema {
    private var definitions: [JSONText.Member] = []
    private var known: Set<String> = []
    /// True while the keys of a mapping are made that may have expressions.
    private var isLate = false

    private init() {}

    /// The schema's text, ending in a newline; the same every time.
    public static func text() -> String {
        var schema = TopologySchema()
        let root = schema.object(Grammar.file)
        var pairs: [JSONText.Member] = [
            .init("$schema", .text("https://json-schema.org/draft/2020-12/schema")),
            .init("title", .text("Tapline topology")),
        ]
        if case .object(let own) = root { pairs += own }
        pairs.append(.init("$defs", .object(schema.definitions.sorted { $0.key < $1.key })))
        return JSONText.object(pairs).written() + "\n"
    }

    /// A reference to a mapping's definition, which is made if it does not exist yet.
    private mutating func reference(_ grammar: MappingGrammar) -> JSONText {
        if known.insert(grammar.name).inserted {
            let definition = object(grammar)
            definitions.append(.init(grammar.name, definition))
        }
        return .object([.init("$ref", .text("#/$defs/\(grammar.name)"))])
    }

    private mutating func object(_ grammar: MappingGrammar) -> JSONText {
        let required = grammar.keys.filter { $0.isRequired && $0.kinds == nil }.map(\.name)
        var properties: [JSONText.Member] = []
        let before = isLate
        isLate = Grammar.late.contains(grammar.name)
        defer { isLate = before }
        for key in grammar.keys {
            var pairs: [JSONText.Member] = [.init("description", .text(key.sentence))]
            if case .object(let own) = shape(key.shape) { pairs += own }
            properties.append(.init(key.name, .object(pairs)))
        }
        // Readers that do not merge `<<` see it as a key.
        properties.append(.init("<<", .object([])))
        let extensions = JSONText.object([.init("^x-", .object([]))])
        let isEmptyAllowed = required.isEmpty && grammar.kinds.isEmpty
        var pairs: [JSONText.Member] = [
            .init("description", .text(grammar.sentence)),
            .init("type", isEmptyAllowed ? .array([.text("object"), .text("null")]) : .text("object")),
        ]
        if !required.isEmpty { pairs.append(.init("required", .array(required.map { .text($0) }))) }
        pairs.append(.init("properties", .object(properties)))
        pairs.append(.init("patternProperties", extensions))
        pairs.append(.init("additionalProperties", grammar.rest.map { shape($0) } ?? .flag(false)))
        if !grammar.kinds.isEmpty {
            pairs.append(.init("oneOf", .array(grammar.kinds.map { kind($0, of: grammar) })))
        }
        return .object(pairs)
    }

    /// The keys that a mapping of one kind must have, and must not have.
    private func kind(_ kind: String, of grammar: MappingGrammar) -> JSONText {
        let required =
            [kind]
            + grammar.keys.filter {
                $0.name != kind && $0.isRequired && $0.kinds != nil && grammar.belongs($0, to: kind)
            }.map(\.name)
        let others = grammar.keys.filter { !grammar.belongs($0, to: kind) }
        return .object([
            .init("required", .array(required.map { .text($0) })),
            .init("properties", .object(others.map { .init($0.name, .flag(false)) })),
        ])
    }

    private func string(_ pattern: String) -> JSONText {
        .object([.init("type", .text("string")), .init("pattern", .text("^(\(pattern))$|\(reference)"))])
    }

    /// A text with a variable in it, whose value may have any form; in a part that is read late, or with an expression.
    private var reference: String { isLate ? "[$][{]|[{][{]" : "[$][{]" }

    private func orVariable(_ schema: JSONText) -> JSONText {
        let variable = JSONText.object([.init("type", .text("string")), .init("pattern", .text(reference))])
        return .object([.init("anyOf", .array([schema, variable]))])
    }

    private mutating func shape(_ shape: Shape) -> JSONText {
        switch shape {
        case .text, .name:
            return .object([.init("type", .array(["string", "number", "boolean"].map { .text($0) }))])
        case .flag:
            let words = ["true", "false", "yes", "no", "on", "off"].map(Self.anyCase).joined(separator: "|")
            return .object([
                .init("type", .array([.text("boolean"), .text("string")])),
                .init("pattern", .text("^(\(words))$|\(reference)")),
            ])
        case .integer(let range):
            return .object([
                .init("type", .array([.text("integer"), .text("string")])), .init("minimum", .number(range.lowerBound)),
                .init("maximum", .number(range.upperBound)), .init("pattern", .text("^[0-9]+$|\(reference)")),
            ])
        case .percentage(let range):
            return .object([
                .init("type", .array([.text("integer"), .text("string")])), .init("minimum", .number(range.lowerBound)),
                .init("maximum", .number(range.upperBound)), .init("pattern", .text("^[0-9]+ ?%?$|\(reference)")),
            ])
        case .duration:
            return .object([
                .init("type", .array([.text("string"), .text("integer")])), .init("minimum", .number(0)),
                .init("maximum", .number(0)),
                .init("pattern", .text("^([0-9]+[.]?[0-9]*|[.][0-9]+)(ms|s|m|min|h)$|^0$|\(reference)")),
            ])
        case .address, .prefix:
            return string("\(Self.ipv4)(/\(Self.ipv4Length))?|\(Self.ipv6)(/\(Self.ipv6Length))?")
        case .addressWithLength: return string("\(Self.ipv4)/\(Self.ipv4Length)|\(Self.ipv6)/\(Self.ipv6Length)")
        case .servicePort:
            let text = string("\(Self.port)|\(Self.translatedPort)")
            let own = JSONText.object([
                .init("type", .array([.text("integer"), .text("string"), .text("null")])), .init("minimum", .number(1)),
                .init("maximum", .number(65_535)),
                .init("pattern", .text("^\(Self.number)(-\(Self.number)|[+])?$|\(reference)")),
            ])
            let map = JSONText.object([
                .init("type", .text("object")),
                .init("properties", .object([.init("at", self.shape(.name)), .init("<<", .object([]))])),
                .init(
                    "patternProperties",
                    .object([
                        .init("^x-", .object([])), .init("^(\(Self.port))$", own),
                    ])),
                .init("additionalProperties", .flag(false)),
            ])
            return .object([.init("anyOf", .array([text, map]))])
        case .port: return string(Self.port)
        case .mac: return string("[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")
        case .comparison:
            return .object([
                .init("type", .array([.text("string"), .text("integer")])), .init("minimum", .number(0)),
                .init("pattern", .text("^(==|!=|>=|<=|>|<|=)? *[0-9]+$|\(reference)")),
            ])
        case .choice(let words):
            return orVariable(.object([.init("enum", .array(words.map { .text($0) }))]))
        case .timeBound: return string("(<|>|<=|>=)? *([0-9]+[.]?[0-9]*|[.][0-9]+)(us|ms|s|m|min)")
        case .rate: return string("([0-9]+[.]?[0-9]*|[.][0-9]+) *k?Hz")
        case .size: return string("[0-9]+ ?[KMGkmg]([iI]?[bB])?")
        case .anything: return .object([])
        case .just(let flag): return .object([.init("const", .flag(flag))])
        case .oneOrMany(let element):
            var one = self.shape(element)
            // The forms of scalars take a variable as they are.
            if case .fields = element { one = orVariable(one) }
            return .object([
                .init(
                    "anyOf",
                    .array([
                        one, .object([.init("type", .text("array")), .init("items", one)]),
                        .object([.init("type", .text("null"))]),
                    ])
                )
            ])
        case .fields(let grammar): return reference(grammar())
        case .named(let value):
            return .object([
                .init("type", .array([.text("object"), .text("null")])),
                .init("additionalProperties", self.shape(value)),
            ])
        case .oneOf(let shapes):
            var alternatives: [JSONText] = []
            for shape in shapes { alternatives.append(self.shape(shape)) }
            return .object([.init("anyOf", .array(alternatives))])
        }
    }

    // MARK: - Forms

    private static let octet = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
    private static let ipv4 = "\(octet)([.]\(octet)){3}"
    private static let ipv6 = "[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*"
    private static let ipv4Length = "(3[0-2]|[12]?[0-9])"
    private static let ipv6Length = "(12[0-8]|1[01][0-9]|[1-9]?[0-9])"
    private static let number =
        "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})"

    private static let transports = ["tcp", "udp", "sctp", "dccp", "udplite"].map(anyCase).joined(separator: "|")
    private static let words = ["any", "icmp", "icmpv6"].map(anyCase).joined(separator: "|")
    private static let port =
        "\(words)|\(anyCase("protocol"))/[0-9]{1,3}|(\(transports))(/\(number)(-\(number)|[+])?)?"
    private static let translatable = ["tcp", "udp", "dccp", "udplite"].map(anyCase).joined(separator: "|")
    private static let translatedPort =
        "(\(translatable))/\(number)(-\(number)|[+])? *-> *\(number)(-\(number)|[+])?( +at +[^ ]+)?"

    /// The word in small and capital letters.
    private static func anyCase(_ word: String) -> String {
        word.map { $0.isLetter ? "[\($0.uppercased())\($0)]" : String($0) }.joined()
    }
}
