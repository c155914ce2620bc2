/// Durations as files and commands give them: 500ms, 5s, 2m or 1h.
public enum DurationText {
    /// The longest duration, in milliseconds: a day.
    public static let longest = 86_400_000
    /// The hint for a text that is no duration.
    public static let hint = "write a duration such as 500ms, 5s or 2m; at most 24h"

    /// Milliseconds; nil if the text is no duration, or a longer one than a day.
    public static func milliseconds(_ text: some StringProtocol) -> Int? {
        let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let unit: Double? =
            switch text.dropFirst(digits.count) {
            case "ms": 1
            case "s": 1000
            case "m", "min": 60_000
            case "h": 3_600_000
            case "" where digits == "0": 1
            default: nil
            }
        guard let unit, let number = Double(digits), number * unit <= Double(longest) else { return nil }
        return Int((number * unit).rounded())
    }
}

/// A time in milliseconds as a person reads it: `5 s`, `1500 ms`.
package func seconds(_ milliseconds: Int) -> String {
    milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
}
