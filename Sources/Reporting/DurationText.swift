/// Durations as files and commands give them: 500ms, 5s, 2m or 1h.
public enum DurationText {
    /// The longest duration: a day.
    public static let longest = Duration.seconds(86_400)
    /// The hint for a text that is no duration.
    public static let hint = "write a duration such as 500ms, 5s or 2m; at most 24h"

    /// The duration, rounded to milliseconds; nil if the text is no duration, or a longer one than a day.
    public static func duration(_ text: some StringProtocol) -> Duration? {
        milliseconds(text).map { .milliseconds($0) }
    }

    /// The same in milliseconds, as plans have it.
    public static func milliseconds(_ text: some StringProtocol) -> Int? {
        let digits = text.prefix { ("0"..."9").contains($0) || $0 == "." }
        let unit: Double? =
            switch text.dropFirst(digits.count) {
            case "ms": 1
            case "s": 1000
            case "m", "min": 60_000
            case "h": 3_600_000
            case "d": 86_400_000
            case "" where digits == "0": 1
            default: nil
            }
        guard let unit, let number = Double(digits), number * unit <= longest / .milliseconds(1) else { return nil }
        return Int((number * unit).rounded())
    }
}

/// A time as a person reads it, cut to milliseconds: `5 s`, `1500 ms`.
package func seconds(_ time: Duration) -> String {
    let (whole, attoseconds) = time.components
    let thousandths = attoseconds / 1_000_000_000_000_000
    return thousandths == 0 ? "\(whole) s" : "\(whole * 1000 + thousandths) ms"
}
