/// A comparison of a measured time with a written one, as in `<= 40ms`.
public struct TimeExpectation: Sendable, Hashable {
    /// How the two compare; never `==` or `!=`: no two measured times are equal.
    public var comparison: NumberExpectation.Comparison
    /// The written time in nanoseconds.
    public var nanoseconds: UInt64
    /// As the file writes it, with its sign.
    public var summary: String

    /// The longest time that can be written: an hour.
    private static let longest: UInt64 = 3_600_000_000_000
    /// The hint for a text that is none.
    public static let hint = "write the longest time with its unit, such as \"<= 40ms\", 500us or 2s"

    /// Reads `40ms`, `<= 40ms`, `< 2s`, `>= 100us`; a time without a sign is the longest that may be. nil if the text is none
    /// of them.
    public init?(_ text: String) {
        let sign = text.prefix { "=!<>".contains($0) }
        let rest = text.dropFirst(sign.count).drop { $0 == " " }
        let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
        let written = sign.isEmpty ? .atMost : NumberExpectation.Comparison(rawValue: String(sign))
        guard let comparison = written, comparison != .equal, comparison != .notEqual, let number = Double(digits),
            let unit = Self.unit(rest.dropFirst(digits.count)), number * unit <= Double(Self.longest)
        else { return nil }
        self.comparison = comparison
        nanoseconds = UInt64((number * unit).rounded())
        summary = "\(comparison.rawValue) \(rest)"
    }

    private static func unit(_ text: Substring) -> Double? {
        switch text {
        case "us": 1_000
        case "ms": 1_000_000
        case "s": 1_000_000_000
        case "m", "min": 60_000_000_000
        default: nil
        }
    }

    /// True if a time in nanoseconds compares as written.
    public func holds(for time: UInt64) -> Bool { NumberExpectation(comparison, nanoseconds).holds(for: time) }

    /// True if no time compares as written.
    package var isMetByNone: Bool { comparison == .less && nanoseconds == 0 }
    /// True if every time compares as written.
    package var isMetByAll: Bool { comparison == .atLeast && nanoseconds == 0 }
}
