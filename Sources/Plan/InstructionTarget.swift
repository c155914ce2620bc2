/// The path of an instruction in a check: text, and values of the answer to the instruction before it.
public struct InstructionTarget: Sendable, Hashable, CustomStringConvertible {
    private enum Part: Sendable, Hashable {
        case text(String)
        case value(JSONPath)
    }
    private let parts: [Part]
    /// As it was written: `/v1/tenants/alice/tokens/{$.id}`.
    public let description: String

    /// Reads a path; nil if braces in it have no path to a single value of JSON between them.
    public init?(_ text: String) {
        description = text
        var parts: [Part] = []
        var rest = Substring(text)
        while let open = rest.firstIndex(where: { $0 == "{" || $0 == "}" }) {
            parts.append(.text(String(rest[..<open])))
            rest = rest[open...].dropFirst()
            guard text[open] == "{", let close = rest.firstIndex(of: "}"), let path = JSONPath(String(rest[..<close])),
                path.isSingular
            else { return nil }
            parts.append(.value(path))
            rest = rest[close...].dropFirst()
        }
        self.parts = parts + [.text(String(rest))]
    }

    /// The path with the values of an answer; a value that is no text, or has other characters than letters, digits, `.`, `_`, `~`
    /// and `-`, is none. Nil if one is missing.
    ///
    /// - Parameter answer: nil: there was none.
    package func filled(from answer: JSONValue?) -> String? {
        var path = ""
        for part in parts {
            switch part {
            case .text(let text): path += text
            case .value(let place):
                guard let answer, case .string(let value)? = place.values(in: answer).first, !value.isEmpty,
                    value.utf8.allSatisfy({
                        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0)
                            || [45, 46, 95, 126].contains($0)
                    })
                else { return nil }
                path += value
            }
        }
        return path
    }
}
