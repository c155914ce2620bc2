import Glibc

/// Text for locales that only have ASCII, as LC_ALL=C asks for.
enum ASCIIText {
    /// True if the locale can only show ASCII. The first of LC_ALL, LC_CTYPE and LANG that is set and not empty decides
    /// (POSIX.1-2017, 8.2). If none is set, text stays UTF-8.
    static let isWanted: Bool = {
        for name in ["LC_ALL", "LC_CTYPE", "LANG"] {
            guard let value = getenv(name).map({ String(cString: $0).lowercased() }), !value.isEmpty else { continue }
            return !value.contains("utf-8") && !value.contains("utf8")
        }
        return false
    }()

    private static let spelt: [Unicode.Scalar: String] = [
        "→": "->", "←": "<-", "…": "...", "✓": "ok", "✗": "FAILED", "–": "-", "—": "-", "×": "x", "µ": "u",
        "‘": "'", "’": "'", "“": "\"", "”": "\"", "\u{A0}": " ",
    ]

    /// The text to show. If only ASCII may be shown, other characters are spelt out or written as `\u{fc}`.
    static func shown(_ text: String) -> String { isWanted ? ascii(text) : text }

    static func ascii(_ text: String) -> String {
        mapped(text) { spelt[$0] ?? "\\u{\(String($0.value, radix: 16))}" }
    }

    /// JSON with every other character escaped (RFC 8259, 7). Characters beyond 16 bits become surrogates.
    static func json(_ text: String) -> String {
        mapped(text) { scalar in
            Array(String(scalar).utf16).map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        }
    }

    /// XML with every other character as a reference (XML 1.0, 4.1).
    static func xml(_ text: String) -> String { mapped(text) { "&#\($0.value);" } }

    private static func mapped(_ text: String, _ spell: (Unicode.Scalar) -> String) -> String {
        guard text.utf8.contains(where: { $0 >= 0x80 }) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.isASCII { result.unicodeScalars.append(scalar) } else { result += spell(scalar) }
        }
        return result
    }
}
