import Reporting

/// The ranges of a request's numbers: command lines and the control process use the same.
public enum RequestRange {
    /// The number of an engine: as many as there can be queue indexes (`QueueSets.capacity`).
    public static let engine = 1...256
    /// How long an instance or a node keeps its flows.
    public static let drain = Duration.zero...DurationText.longest
    /// The weight of an instance.
    public static let weight = 0...1000
    /// A time of the wall clock, in microseconds since 1970: before the year 10000.
    public static let since = 0...253_402_300_799_999_999
    /// Of how many flows a capture takes one.
    public static let oneIn = 1...1_000_000_000
    /// How many events.
    public static let count = 0...1_000_000_000
    /// Octets of a name, and of the path of a file (PATH_MAX).
    package static let text = 1...4096
}

/// Sentences about values that are out of their ranges.
enum RequestCheck {
    static func check(
        _ number: Int?, _ key: some CodingKey, _ range: ClosedRange<Int>, _ unit: String? = nil
    ) throws(ApplianceError) {
        guard let number, !range.contains(number) else { return }
        throw ApplianceError(
            .usage,
            "'\(key.stringValue)' is \(range.lowerBound) to \(range.upperBound)\(unit.map { " \($0)" } ?? ""), and not "
                + "\(number)")
    }

    static func check(
        _ time: Milliseconds?, _ key: some CodingKey, _ range: ClosedRange<Duration>
    ) throws(ApplianceError) {
        let bounds = Milliseconds(range.lowerBound).count...Milliseconds(range.upperBound).count
        try check(time?.count, key, bounds, "milliseconds")
    }

    static func check(_ values: [String: String]?, _ key: some CodingKey) throws(ApplianceError) {
        for (name, value) in values ?? [:] {
            try check(name, key)
            try check(value.isEmpty ? nil : value, key)
        }
    }

    static func check(_ text: String?, _ key: some CodingKey) throws(ApplianceError) {
        guard let text else { return }
        guard RequestRange.text.contains(text.utf8.count), !text.utf8.contains(0) else {
            throw ApplianceError(
                .usage,
                "'\(key.stringValue)' is a text of \(RequestRange.text.lowerBound) to \(RequestRange.text.upperBound) "
                    + "octets without a zero, and has \(text.utf8.count)")
        }
    }
}

/// Texts of others in sentences of ours.
package enum ControlText {
    /// A text whose every character can be shown anywhere, cut to a length in characters.
    package static func shown(_ text: String, most: Int) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(most) {
            shown.append(HarmlessText.isHarmless(scalar) ? scalar : "\u{FFFD}")
        }
        return String(shown) + (text.unicodeScalars.count > most ? "…" : "")
    }

    /// The mistake in a line of JSON, without the line's own words.
    package static func summary(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "it is not JSON" }
        func place(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
            let keys = (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue)
            return keys.isEmpty ? "it" : "'\(shown(keys.joined(separator: "."), most: 100))'"
        }
        return switch error {
        case .keyNotFound(let key, let context): "\(place(context, key)) is missing"
        case .valueNotFound(_, let context): "\(place(context)) is null"
        case .typeMismatch(let type, let context): "\(place(context)) is not of the type \(type)"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty ? "it is not JSON" : "\(place(context)) is not one of its values"
        @unknown default: "it is not JSON"
        }
    }
}
