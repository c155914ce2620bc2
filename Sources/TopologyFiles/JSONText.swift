/// A value of JSON (RFC 8259) whose objects keep the order that they were made in.
enum JSONText {
    case object([Member])
    case array([JSONText])
    case text(String)
    case number(Int)
    case flag(Bool)

    /// A key of an object and its value.
    struct Member {
        var key: String
        var value: JSONText

        init(_ key: String, _ value: JSONText) {
            self.key = key
            self.value = value
        }
    }

    /// The text, with two blanks for each level; lists of plain values on one line.
    func written(indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .text(let text): return Self.quoted(text)
        case .number(let number): return String(number)
        case .flag(let flag): return String(flag)
        case .array(let values):
            let line = "[" + values.map { $0.written() }.joined(separator: ", ") + "]"
            guard !line.contains("\n"), line.count + indent.count <= 100 else {
                let lines = values.map { inner + $0.written(indent: inner) }
                return "[\n" + lines.joined(separator: ",\n") + "\n\(indent)]"
            }
            return line
        case .object(let pairs):
            guard !pairs.isEmpty else { return "{}" }
            let lines = pairs.map { "\(inner)\(Self.quoted($0.key)): \($0.value.written(indent: inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
