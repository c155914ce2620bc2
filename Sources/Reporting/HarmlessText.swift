/// Texts that somebody else wrote, made fit for a terminal, a log and a line of JSON.
public enum HarmlessText {
    /// True for what neither moves a cursor, ends a line, nor turns or hides the text that follows.
    public static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return (0x20..<0x7F).contains(scalar.value) }
        return switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }

    /// The text of octets: what is no UTF-8, or could do harm, is shown as U+FFFD.
    ///
    /// - Parameter most: Octets; what is longer is cut.
    public static func reading(_ bytes: some Collection<UInt8>, most: Int) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in String(decoding: bytes.prefix(most), as: UTF8.self).unicodeScalars {
            shown.append(isHarmless(scalar) ? scalar : "\u{FFFD}")
        }
        return String(shown)
    }
}
