import Glibc
import Reporting

extension ApplianceEvent {
    /// Microseconds since 1970, now.
    public static var now: Int { wallClockMicroseconds() }

    /// Its time in UTC as ISO 8601 has it, to the microsecond: 2026-11-27T03:00:45.123456Z.
    public var at: String { Self.timeText(time) }

    /// A time in microseconds since 1970, in the same way.
    package static func timeText(_ microseconds: Int) -> String {
        var whole = microseconds / 1_000_000
        var parts = tm()
        gmtime_r(&whole, &parts)
        func padded(_ number: some BinaryInteger, _ width: Int) -> String {
            let digits = "\(number)"
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(padded(1900 + parts.tm_year, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        let time = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        return "\(date)T\(time).\(padded(microseconds % 1_000_000, 6))Z"
    }

    /// One line of JSON without a newline: its keys as they are, and `at`, the time as people read it.
    ///
    /// - Throws: `ApplianceError` if the event cannot be written as JSON.
    public func jsonLine() throws(ApplianceError) -> String {
        struct Line: Encodable {
            var event: ApplianceEvent

            enum Key: CodingKey { case at }

            func encode(to encoder: any Encoder) throws {
                try event.encode(to: encoder)
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(event.at, forKey: .at)
            }
        }
        return String(decoding: try JSONLine.encode(Line(event: self)).dropLast(), as: UTF8.self)
    }

    /// One line for people: when, what, which subject, why.
    public var text: String {
        var about = [instance ?? application, check].compactMap { $0 }
        if instance != nil, let application, application != instance { about[0] += " (\(application))" }
        if let engine { about.append("engine \(engine)") }
        if let generation { about.append("table \(generation)") }
        if let share { about.append("\(Self.percent(share)) of its flows") }
        let what = ([event.rawValue] + about).joined(separator: " ")
        return "\(at) \(what)" + (reason.map { ": \($0)" } ?? "")
    }

    /// A share, 0…1, as a percentage for people: a small one has a decimal.
    public static func percent(_ share: Double) -> String {
        let tenths = Int((share * 1000).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)%" : "\(tenths / 10).\(tenths % 10)%"
    }

    /// The time that a person gives: a duration before now, or the `time` or the `at` of an event.
    ///
    /// - Returns: Microseconds since 1970; nil if it is none of these.
    public static func time(_ text: String) -> Int? {
        if let ago = DurationText.duration(text) { return wallClockMicroseconds() - Int(ago / .microseconds(1)) }
        if let time = Int(text), time >= 0 { return time }
        let form = Array("0000-00-00T00:00:00.000000Z")
        let given = Array(text)
        // The form to its end, or to the seconds and perhaps a Z.
        guard given.count == form.count || given.count == 19 || given.count == 20 && given[19] == "Z",
            zip(given.prefix(19), form).allSatisfy({ $1 == "0" ? $0.isASCII && $0.isNumber : $0 == $1 })
        else { return nil }
        let numbers = text.split { !$0.isNumber }.compactMap { Int($0) }
        guard numbers.count >= 6, given.count < form.count || numbers.count == 7 else { return nil }
        var parts = tm()
        parts.tm_year = Int32(numbers[0] - 1900)
        parts.tm_mon = Int32(numbers[1] - 1)
        parts.tm_mday = Int32(numbers[2])
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (Int32(numbers[3]), Int32(numbers[4]), Int32(numbers[5]))
        let fraction = numbers.count == 7 ? numbers[6] : 0
        return timegm(&parts) * 1_000_000 + fraction
    }
}
