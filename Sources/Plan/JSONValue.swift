/// A JSON document or a part of one (RFC 8259).
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    /// Its text, as it is written: two numbers are equal if their values are.
    case number(Double, written: String)
    case string(String)
    case array([JSONValue])
    /// The members in the order of the text; of two with one name the last counts.
    case object([Member])

    /// A name and its value.
    public struct Member: Sendable, Hashable {
        /// The name.
        public var name: String
        /// Its value.
        public var value: JSONValue

        /// Memberwise.
        public init(_ name: String, _ value: JSONValue) {
            self.name = name
            self.value = value
        }
    }

    /// Equal as JSON values: numbers by value, objects by members in any order.
    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left, let leftText), .number(let right, let rightText)):
            leftText == rightText
                || (left == right && (Int64(leftText) == nil || Int64(rightText) == nil))
        case (.string(let left), .string(let right)): left == right
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)):
            left.count == right.count && left.allSatisfy { member in right.contains { $0 == member } }
        default: false
        }
    }

    /// Hashes only parts that equal values share.
    public func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0)
        case .bool(let value): hasher.combine(value)
        case .number(let value, _): hasher.combine(value)
        case .string(let value): hasher.combine(value)
        case .array(let values): hasher.combine(values.count)
        case .object(let members): hasher.combine(members.count)
        }
    }

    /// The value of a member; nil if it has none, or is no object.
    public subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name }?.value
    }

    /// Its kind, for messages.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "true or false"
        case .number: "a number"
        case .string: "a text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

extension JSONValue: CustomStringConvertible {
    /// As JSON writes it, on one line.
    public var description: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(_, let written): written
        case .string(let text): Self.quoted(text)
        case .array(let values): "[" + values.map(\.description).joined(separator: ", ") + "]"
        case .object(let members):
            "{" + members.map { "\(Self.quoted($0.name)): \($0.value)" }.joined(separator: ", ") + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var written = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": written += "\\\""
            case "\\": written += "\\\\"
            case "\n": written += "\\n"
            case "\t": written += "\\t"
            case "\r": written += "\\r"
            case _ where scalar.value < 32:
                let digits = String(scalar.value, radix: 16)
                written += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: written.unicodeScalars.append(scalar)
            }
        }
        return written + "\""
    }
}

/// Why a text is no JSON document.
public struct JSONProblem: Error, Hashable, Sendable, CustomStringConvertible {
    /// The mistake, after "at octet …".
    public var what: String
    /// The place, in octets from 0.
    public var offset: Int

    /// A sentence's end.
    public var description: String { "\(what) at octet \(offset)" }
}

/// Reads JSON documents of any origin. No document can exhaust the stack, and an error gives the place that is not
/// JSON.
package struct JSONReader {
    /// Lists and objects inside each other, at most.
    private static let depthBound = 128

    private let bytes: UnsafeBufferPointer<UInt8>
    private var offset = 0
    private var depth = 0

    /// The document that `text` is.
    package static func read(_ text: some Sequence<UInt8>) throws(JSONProblem) -> JSONValue {
        let bytes = Array(text)
        var outcome: Result<JSONValue, JSONProblem>?
        bytes.withUnsafeBufferPointer { buffer in
            var reader = JSONReader(bytes: buffer)
            do throws(JSONProblem) { outcome = .success(try reader.document()) } catch { outcome = .failure(error) }
        }
        guard let outcome else { throw JSONProblem(what: "nothing", offset: 0) }
        return try outcome.get()
    }

    private init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private mutating func document() throws(JSONProblem) -> JSONValue {
        let value = try self.value()
        skipSpace()
        guard offset == bytes.count else { throw problem("more than one document") }
        return value
    }

    private func problem(_ what: String) -> JSONProblem { JSONProblem(what: what, offset: offset) }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let octet = next, [0x20, 0x09, 0x0A, 0x0D].contains(octet) { offset += 1 }
    }

    private mutating func value() throws(JSONProblem) -> JSONValue {
        skipSpace()
        switch next {
        case nil: throw problem("the text ends where a value should be")
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONProblem) -> JSONValue {
        let length = word.utf8CodeUnitCount
        guard offset + length <= bytes.count,
            (0..<length).allSatisfy({ bytes[offset + $0] == word.utf8Start[$0] })
        else { throw problem("no value") }
        offset += length
        return value
    }

    private mutating func number() throws(JSONProblem) -> JSONValue {
        let start = offset
        while let octet = next, (48...57).contains(octet) || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains(octet) {
            offset += 1
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        let first = text.first { $0 != "-" }
        let digits = text.drop { $0 == "-" }
        guard let first, ("0"..."9").contains(first), !(first == "0" && digits.dropFirst().first?.isNumber == true),
            text.last.map({ ("0"..."9").contains($0) }) == true,
            let value = Double(text)
        else {
            offset = start
            throw problem("no value")
        }
        return .number(value, written: text)
    }

    private mutating func array() throws(JSONProblem) -> JSONValue {
        var values: [JSONValue] = []
        try enter()
        skipSpace()
        if next == UInt8(ascii: "]") { return leave(.array([])) }
        while true {
            values.append(try value())
            skipSpace()
            switch next {
            case UInt8(ascii: ","): offset += 1
            case UInt8(ascii: "]"): return leave(.array(values))
            default: throw problem("no comma and no end of the list")
            }
        }
    }

    private mutating func object() throws(JSONProblem) -> JSONValue {
        var members: [JSONValue.Member] = []
        try enter()
        skipSpace()
        if next == UInt8(ascii: "}") { return leave(.object([])) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw problem("no name of a member") }
            let name = try string()
            skipSpace()
            guard next == UInt8(ascii: ":") else { throw problem("no colon after the name of a member") }
            offset += 1
            members.append(JSONValue.Member(name, try value()))
            skipSpace()
            switch next {
            case UInt8(ascii: ","): offset += 1
            case UInt8(ascii: "}"): return leave(.object(members))
            default: throw problem("no comma and no end of the object")
            }
        }
    }

    private mutating func enter() throws(JSONProblem) {
        depth += 1
        guard depth <= Self.depthBound else { throw problem("more than \(Self.depthBound) levels") }
        offset += 1
    }

    private mutating func leave(_ value: JSONValue) -> JSONValue {
        depth -= 1
        offset += 1
        return value
    }

    private mutating func string() throws(JSONProblem) -> String {
        offset += 1
        let start = offset
        // Most texts have no escapes and are taken as they lie.
        while let octet = next, octet != UInt8(ascii: "\""), octet != UInt8(ascii: "\\"), octet >= 32 { offset += 1 }
        if next == UInt8(ascii: "\"") {
            offset += 1
            return String(decoding: bytes[start..<offset - 1], as: UTF8.self)
        }
        var octets = Array(bytes[start..<offset])
        while true {
            guard let octet = next, octet >= 32 else { throw problem("a text without its end") }
            offset += 1
            switch octet {
            case UInt8(ascii: "\""): return String(decoding: octets, as: UTF8.self)
            case UInt8(ascii: "\\"): octets += String(String.UnicodeScalarView([try escape()])).utf8
            default: octets.append(octet)
            }
        }
    }

    private mutating func escape() throws(JSONProblem) -> Unicode.Scalar {
        guard let octet = next else { throw problem("a text without its end") }
        offset += 1
        switch octet {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(octet)
        case UInt8(ascii: "u"): break
        default: throw problem("an escape that JSON does not have")
        }
        let high = try hexadecimal()
        guard (0xD800...0xDBFF).contains(high), next == UInt8(ascii: "\\"), offset + 1 < bytes.count,
            bytes[offset + 1] == UInt8(ascii: "u")
        else { return Unicode.Scalar(high) ?? "\u{FFFD}" }
        let before = offset
        offset += 2
        let low = try hexadecimal()
        guard (0xDC00...0xDFFF).contains(low) else {
            offset = before
            return "\u{FFFD}"
        }
        return Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00)) ?? "\u{FFFD}"
    }

    private mutating func hexadecimal() throws(JSONProblem) -> UInt32 {
        guard offset + 4 <= bytes.count,
            let value = UInt32(String(decoding: bytes[offset..<offset + 4], as: UTF8.self), radix: 16),
            bytes[offset] != UInt8(ascii: "+")
        else { throw problem("an escape without its four digits") }
        offset += 4
        return value
    }
}
