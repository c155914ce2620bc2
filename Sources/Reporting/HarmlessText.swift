/// Texts of other programs, made safe for a terminal, a log and a line of JSON.
public enum HarmlessText {
    /// True for a character that does not move a cursor, end a line, or turn or hide the following text.
    public static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return (0x20..<0x7F).contains(scalar.value) }
        return switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }

    /// The octets as text. Invalid UTF-8 and harmful characters become U+FFFD.
    ///
    /// - Parameters:
    ///   - most: The largest number of octets. Longer text is cut.
    public static func reading(_ bytes: some Collection<UInt8>, most: Int) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in String(decoding: bytes.prefix(most), as: UTF8.self).unicodeScalars {
            shown.append(isHarmless(scalar) ? scalar : "\u{FFFD}")
        }
        return String(shown)
    }
}
