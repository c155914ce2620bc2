/// The shape of a value of the file.
///
/// The readers decide; the schema that editors use says the same as far as a schema can.
indirect enum Shape: Sendable {
    /// A text; numbers and flags without quotes are taken as they are written.
    case text
    /// A name of something in the file, which the planner looks up.
    case name
    /// true, false, yes, no, on, off.
    case flag
    /// A whole number.
    case integer(ClosedRange<Int>)
    /// A whole number, with a percent sign or without.
    case percentage(ClosedRange<Int>)
    /// `500ms`, `5s`, `2m`, `1h`.
    case duration
    /// An address with or without the length of its prefix.
    case address
    /// An address with the length of its prefix.
    case addressWithLength
    /// A prefix, or an address, which is a prefix of its own.
    case prefix
    /// `tcp/80`, `udp/5000-5100`, `icmp`, `any`.
    case port
    /// The same, with the application's ports where they differ: `tcp/80 -> 8080`, `{ tcp/80: 8080, at: firewall }`.
    case servicePort
    /// A MAC address.
    case mac
    /// A comparison with a whole number: `">= 1"`, `0`.
    case comparison
    /// A comparison with a time: `"<= 40ms"`, `5ms`.
    case timeBound
    /// `500Hz`, `1kHz`.
    case rate
    /// `256M`, `1G`.
    case size
    /// One of a few words.
    case choice([String])
    /// One exact value of YAML: `true`.
    case just(Bool)
    /// A list; one value alone is a list of one, an empty value a list of none.
    case oneOrMany(Shape)
    /// A mapping with the keys of a grammar. The grammar is asked for when it is needed, so that grammars may hold
    /// each other.
    case fields(@Sendable () -> MappingGrammar)
    /// A mapping whose keys the writer of the file chooses.
    case named(Shape)
    /// A value that fits one of several shapes.
    case oneOf([Shape])
    /// Every value of YAML.
    case anything

    /// A mapping with the keys of a grammar.
    static func mapping(_ grammar: @autoclosure @escaping @Sendable () -> MappingGrammar) -> Shape {
        .fields(grammar)
    }
}

/// One key of a mapping of the file: to add one, write one more of these.
struct KeyGrammar: Sendable {
    /// How it is written.
    var name: String
    /// The shape of its value.
    var shape: Shape
    /// Its purpose, in one sentence; editors show it.
    var sentence: String
    /// True if the mapping must have it.
    var isRequired: Bool
    /// The kinds that the key belongs to, if the mapping is of several kinds. nil: all of them, or its own if the key
    /// itself says the kind.
    var kinds: [String]?

    init(
        _ name: String, _ shape: Shape, _ sentence: String, required isRequired: Bool = false,
        beside kinds: [String]? = nil
    ) {
        self.name = name
        self.shape = shape
        self.sentence = sentence
        self.isRequired = isRequired
        self.kinds = kinds
    }
}

/// One mapping of the file: the keys that it may have, declared once for the reader and for the schema.
struct MappingGrammar: Sendable {
    /// Its name in the schema.
    var name: String
    /// Its description, in one sentence; editors show it.
    var sentence: String
    /// The keys that say the kind, if the mapping is of several kinds: it has exactly one of them.
    var kinds: [String] = []
    /// Its keys, in the order in which messages tell them.
    var keys: [KeyGrammar]
    /// The shape of values at names that the writer of the file chooses, beside `keys`; nil: there are none.
    var rest: Shape?

    init(_ name: String, _ sentence: String, kinds: [String] = [], _ keys: [KeyGrammar], rest: Shape? = nil) {
        self.name = name
        self.sentence = sentence
        self.kinds = kinds
        self.keys = keys
        self.rest = rest
    }

    /// The keys as they are written.
    var keyNames: [String] { keys.map(\.name) }

    /// The keys that a mapping of a kind may have.
    func keyNames(beside kind: String) -> [String] {
        keys.filter { belongs($0, to: kind) }.map(\.name)
    }

    /// True if a mapping of the kind may have the key.
    func belongs(_ key: KeyGrammar, to kind: String) -> Bool {
        key.name == kind || (key.kinds?.contains(kind) ?? !kinds.contains(key.name))
    }

    /// The keys of a mapping that say its kind. A key that goes with another one of them does not count.
    func kinds(among present: [String]) -> [String] {
        let said = kinds.filter(present.contains)
        return said.filter { name in
            let beside = keys.first { $0.name == name }?.kinds ?? []
            return !said.contains { $0 != name && beside.contains($0) }
        }
    }
}

/// Every mapping of a topology file.
enum Grammar {}
