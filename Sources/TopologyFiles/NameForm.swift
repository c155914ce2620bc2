import Wire

/// The form of names in the file: any text of any script that people can read and tell from others.
package enum NameForm {
    /// The reason why a text is no name, as the end of a sentence, and the hint; nil for a name.
    package static func fault(of text: String, isNode: Bool = false) -> (fault: String, hint: String)? {
        let scalars = text.unicodeScalars
        guard let first = scalars.first, let last = scalars.last else {
            return ("it is empty", "write a name")
        }
        if let control = scalars.first(where: isControl) {
            return ("it contains the control character \(code(control))", "remove it")
        }
        if let mark = scalars.first(where: reordersText) {
            return (
                "it contains \(code(mark)), which changes the order of the following characters",
                "remove that character"
            )
        }
        if first.properties.isWhitespace || last.properties.isWhitespace {
            return ("it begins or ends with a blank", "remove the blank")
        }
        if visible(text).isEmpty { return ("it has no visible character", "write a name with visible characters") }
        if isNode, text == "any" || InterfaceAddress(text) != nil || MACAddress(text) != nil {
            return ("entries would read it as an address", "choose a name that is no address")
        }
        if isNode, first == "-" {
            return ("commands would read it as an option", "choose a name that does not begin with '-'")
        }
        return nil
    }

    /// True if a text is meant as an address or prefix, right or wrong, and not as the name of a node.
    static func looksLikeAddress(_ text: String) -> Bool {
        text.utf8.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
            && text.utf8.allSatisfy { "0123456789abcdefABCDEF.:/".utf8.contains($0) }
    }

    /// The text without invisible characters: two names of one kind must differ in it.
    static func visible(_ text: String) -> String {
        var seen = String.UnicodeScalarView()
        seen.append(contentsOf: text.unicodeScalars.filter { !$0.properties.isDefaultIgnorableCodePoint })
        return String(seen)
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }

    /// Embeddings, overrides and isolates (UAX #9); the plain marks of direction are part of some scripts' spelling.
    private static func reordersText(_ scalar: Unicode.Scalar) -> Bool {
        (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }

    private static func code(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
