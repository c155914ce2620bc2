import Engine
import FoundationEssentials
import Topology

/// What the numbers of a request may be: command lines and the control process go by the same.
public enum RequestRange {
    /// The number of an engine.
    public static let engine = 1...ShareSet.capacity
    /// How long something keeps what it has, in milliseconds.
    public static let drain = 0...DurationText.longest
    /// The weight of an instance.
    public static let weight = 0...1000
    /// A time of the wall clock, in microseconds since 1970: before the year 10000.
    public static let since = 0...253_402_300_799_999_999
    /// How many events.
    public static let count = 0...1_000_000_000
    /// Octets of a name, and of the path of a file (PATH_MAX).
    static let text = 1...4096
}

/// What both ends of the control socket say first of all, in whatever version.
struct ControlVersion: Decodable, Sendable {
    var version: Int
    var release: String?

    /// - Parameter other: What is at the other end, as the beginning of a sentence.
    func check(_ other: String, mend: String) throws(ApplianceError) {
        guard version != ControlRequest.currentVersion else { return }
        let name = release.map { "tapline \(ControlText.shown($0, most: 32)) (protocol \(version))" }
        throw ApplianceError(
            .failed,
            "\(other) is \(name ?? "of protocol version \(version)"), and this is tapline \(Release.version) "
                + "(protocol \(ControlRequest.currentVersion))", mend: mend)
    }
}

extension ControlRequest {
    /// The request of one line, with every number in its range and every text that it needs.
    ///
    /// - Throws: What is wrong with it, in a sentence that holds nothing of the line that could do harm to a terminal.
    init(line: some Sequence<UInt8>) throws(ApplianceError) {
        let data = Data(line)
        // The version goes first: another one may have other commands.
        let version = try Self.decode(ControlVersion.self, data)
        try version.check(
            "what asks", mend: "use the tapline that the topology was started by, or take it down and up again")
        self = try Self.decode(ControlRequest.self, data)
        try check()
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, _ data: Data) throws(ApplianceError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            throw ApplianceError(
                .usage, "the request is not understood: \(ControlText.told(error))",
                mend: "one line of JSON is one request; are both ends the same version?")
        }
    }

    /// - Throws: Which value is out of its range, or missing.
    func check() throws(ApplianceError) {
        // Over all keys, so that a new one is not forgotten.
        for key in CodingKeys.allCases {
            switch key {
            case .version, .release, .command, .isTrial: break
            case .operation:
                if command == .engine, operation == nil {
                    throw ApplianceError(.usage, "the request lacks '\(key.stringValue)'")
                }
            case .node: try Self.check(node, key, isNeeded: [.node, .remove, .operate].contains(command))
            case .application: try Self.check(application, key, isNeeded: command == .add)
            case .file: try Self.check(file, key)
            case .drain: try Self.check(drain, key, RequestRange.drain, "milliseconds")
            case .instanceOperation:
                switch instanceOperation {
                case .drain(let time): try Self.check(time, key, RequestRange.drain, "milliseconds")
                case .weigh(let weight): try Self.check(weight, key, RequestRange.weight)
                case .undrain, .takeOut, .putBack: break
                case nil:
                    if command == .operate {
                        throw ApplianceError(.usage, "the request lacks '\(key.stringValue)'")
                    }
                }
            case .events:
                for key in EventsRequest.CodingKeys.allCases {
                    switch key {
                    case .since:
                        try Self.check(events?.since, key, RequestRange.since, "microseconds since 1970")
                    case .count: try Self.check(events?.count, key, RequestRange.count)
                    case .follow: break
                    }
                }
            case .engine: try Self.check(engine, key, RequestRange.engine)
            }
        }
    }

    private static func check(
        _ number: Int?, _ key: some CodingKey, _ range: ClosedRange<Int>, _ unit: String? = nil
    ) throws(ApplianceError) {
        guard let number, !range.contains(number) else { return }
        throw ApplianceError(
            .usage,
            "'\(key.stringValue)' is \(range.lowerBound) to \(range.upperBound)\(unit.map { " \($0)" } ?? ""), and not "
                + "\(number)")
    }

    private static func check(
        _ text: String?, _ key: CodingKeys, isNeeded: Bool = false
    ) throws(ApplianceError) {
        guard let text else {
            if isNeeded { throw ApplianceError(.usage, "the request lacks '\(key.stringValue)'") }
            return
        }
        guard RequestRange.text.contains(text.utf8.count), !text.utf8.contains(0) else {
            throw ApplianceError(
                .usage,
                "'\(key.stringValue)' is a text of \(RequestRange.text.lowerBound) to \(RequestRange.text.upperBound) "
                    + "octets without a zero, and has \(text.utf8.count)")
        }
    }
}

/// Texts of others in sentences of ours.
enum ControlText {
    /// A text whose every character can be shown anywhere, cut to a length in characters.
    static func shown(_ text: String, most: Int) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(most) { shown.append(HarmlessText.isHarmless(scalar) ? scalar : "\u{FFFD}") }
        return String(shown) + (text.unicodeScalars.count > most ? "…" : "")
    }

    /// What is wrong with a line of JSON, without its own words.
    static func told(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "it is no JSON" }
        func place(_ context: DecodingError.Context, _ last: (any CodingKey)? = nil) -> String {
            let keys = (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue)
            return keys.isEmpty ? "it" : "'\(shown(keys.joined(separator: "."), most: 100))'"
        }
        return switch error {
        case .keyNotFound(let key, let context): "\(place(context, key)) is missing"
        case .valueNotFound(_, let context): "\(place(context)) is null"
        case .typeMismatch(let type, let context): "\(place(context)) is not of the type \(type)"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty ? "it is no JSON" : "\(place(context)) is none of its values"
        @unknown default: "it is no JSON"
        }
    }
}
