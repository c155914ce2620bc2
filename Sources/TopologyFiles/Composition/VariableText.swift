/// A text with `${NAME}` in it.
///
/// `$${NAME}` stands for the text `${NAME}` itself.
struct VariableText {
    /// A part of the text.
    enum Part: Equatable {
        case text(String)
        /// The name between the braces: `NAME`, or `NAME.key`.
        case reference(String)
        /// A reference that was written with two dollar signs, by its name.
        case escaped(String)
    }

    let parts: [Part]

    /// nil if the text has no reference.
    init?(_ text: String) {
        guard text.utf8.contains(UInt8(ascii: "$")), text.contains("${") else { return nil }
        var parts: [Part] = []
        var plain = ""
        var rest = Substring(text)
        while let dollar = rest.firstIndex(of: "$") {
            plain += rest[..<dollar]
            rest = rest[dollar...]
            let isEscaped = rest.hasPrefix("$${")
            let after = rest.dropFirst(isEscaped ? 3 : 2)
            guard isEscaped || rest.hasPrefix("${"), let end = after.firstIndex(of: "}"),
                Self.isReference(after[..<end])
            else {
                plain.append("$")
                rest = rest.dropFirst()
                continue
            }
            if !plain.isEmpty { parts.append(.text(plain)) }
            plain = ""
            let name = String(after[..<end])
            parts.append(isEscaped ? .escaped(name) : .reference(name))
            rest = after[after.index(after: end)...]
        }
        plain += rest
        if !plain.isEmpty { parts.append(.text(plain)) }
        guard parts.contains(where: { if case .text = $0 { false } else { true } }) else { return nil }
        self.parts = parts
    }

    /// The name, if the text is one reference and nothing else.
    var whole: String? {
        guard parts.count == 1, case .reference(let name) = parts[0] else { return nil }
        return name
    }

    /// True for what may be the name of a variable: letters, digits and `_`, not beginning with a digit.
    static func isName(_ text: some StringProtocol) -> Bool {
        guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return text.utf8.allSatisfy { octet in
            switch octet {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
    }

    /// A name, or a name and the keys of the mapping that it stands for.
    private static func isReference(_ text: Substring) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return isName(parts[0])
            && parts.dropFirst().allSatisfy { part in
                !part.isEmpty && part.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" }
            }
    }
}
