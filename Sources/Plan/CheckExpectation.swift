/// A comparison of a counted number with a written one, as in `>= 3`.
public struct NumberExpectation: Sendable, Hashable {
    /// How the two compare.
    public enum Comparison: String, Sendable, Hashable, CaseIterable {
        case equal = "=="
        case notEqual = "!="
        case atLeast = ">="
        case atMost = "<="
        case more = ">"
        case less = "<"
    }
    /// How the counted number must compare.
    public var comparison: Comparison
    /// The written number.
    public var value: UInt64

    /// Memberwise.
    public init(_ comparison: Comparison, _ value: UInt64) {
        self.comparison = comparison
        self.value = value
    }

    /// Reads `5`, `== 5`, `>= 1` and the like; nil if it is none of them.
    public init?(_ text: String) {
        let sign = text.prefix { "=!<>".contains($0) }
        let digits = text.dropFirst(sign.count).drop { $0 == " " }
        guard
            let comparison = sign.isEmpty || sign == "=" ? .equal : Comparison(rawValue: String(sign)),
            digits.utf8.allSatisfy({ (48...57).contains($0) }), let value = UInt64(digits)
        else { return nil }
        self.init(comparison, value)
    }

    /// True if `number` compares as written.
    public func holds(for number: UInt64) -> Bool {
        switch comparison {
        case .equal: number == value
        case .notEqual: number != value
        case .atLeast: number >= value
        case .atMost: number <= value
        case .more: number > value
        case .less: number < value
        }
    }

    /// True if no number from 0 to `bound` compares as written.
    package func isMetByNone(upTo bound: UInt64) -> Bool {
        switch comparison {
        case .equal, .atLeast: value > bound
        case .more: value >= bound
        case .less: value == 0
        case .notEqual, .atMost: false
        }
    }

    /// True if every number from 0 to `bound` compares as written.
    package func isMetByAll(upTo bound: UInt64) -> Bool {
        switch comparison {
        case .notEqual: value > bound
        case .atLeast: value == 0
        case .atMost: value >= bound
        case .less: value > bound
        case .equal, .more: false
        }
    }

    /// As the file writes it.
    public var summary: String { "\(comparison.rawValue) \(value)" }
}

/// The expectations of a text.
public struct TextExpectation: Sendable, Hashable {
    /// Each must occur.
    public var contains: [String]
    /// None may occur.
    public var lacks: [String]
    /// Regular expressions, each of which must match somewhere (multi-line).
    public var matches: [String]
    /// The expectations of the text as one JSON document.
    public var json: [JSONExpectation]
    /// For each list, one line of the text must be a JSON document that meets all of the list.
    public var jsonLines: [[JSONExpectation]]
    /// For each list, no line of the text may be a JSON document that meets all of the list.
    public var lacksJSONLines: [[JSONExpectation]]

    /// Memberwise.
    public init(
        contains: [String] = [], lacks: [String] = [], matches: [String] = [], json: [JSONExpectation] = [],
        jsonLines: [[JSONExpectation]] = [], lacksJSONLines: [[JSONExpectation]] = []
    ) {
        self.contains = contains
        self.lacks = lacks
        self.matches = matches
        self.json = json
        self.jsonLines = jsonLines
        self.lacksJSONLines = lacksJSONLines
    }
}

/// The expectation of the values at one path of a JSON document.
public struct JSONExpectation: Sendable, Hashable {
    /// A demand on the values.
    public enum Demand: Sendable, Hashable {
        /// The value equals this one. If there are several values, one must; a list may also equal all of them, in
        /// order.
        case equals(JSONValue)
        /// The number compares so; of several values one must.
        case compares(NumberExpectation)
        /// The text, or the value as JSON writes it, contains this one; of several values one must.
        case contains(String)
        /// The text, or the value as JSON writes it, matches this regular expression; of several values one must.
        case matches(String)
        /// Whether there is any value.
        case exists(Bool)
        /// How many values there are: of a path that names one list, its elements.
        case count(NumberExpectation)
    }
    /// The path of the values.
    public var path: JSONPath
    /// The demand on the values.
    public var demand: Demand

    /// Memberwise.
    public init(path: JSONPath, demand: Demand) {
        self.path = path
        self.demand = demand
    }
}
