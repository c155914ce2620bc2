/// The metrics of one name, with one value for each set of labels.
///
/// The name has no suffix of its type: `tapline_entry_packets`, of which a counter's samples are called
/// `tapline_entry_packets_total`.
package struct MetricFamily: Sendable {
    /// The kinds of metrics of OpenMetrics 1.0 that Tapline has.
    package enum Kind: String, Sendable {
        /// It only rises.
        case counter
        case gauge
        /// It is 1; its labels are the information.
        case info
        /// One sample for each state, 1 for the state that it is in.
        case stateset
        /// Cumulative buckets, a sum and a count.
        case histogram
    }

    /// A label.
    package struct Label: Sendable, Hashable {
        /// Letters, digits and underscores.
        package var name: String
        /// Any text.
        package var value: String

        /// Memberwise.
        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A value, with its labels.
    package struct Point: Sendable {
        /// What follows the family's name beside the suffix of its kind: `_bucket`, `_sum`, `_count` of a histogram.
        package var suffix = ""
        /// The labels, the topology first.
        package var labels: [Label]
        /// As it is printed.
        package var value: String
    }

    /// The suffix of the time when a histogram began, in seconds since 1970. Only OpenMetrics has it.
    package static let created = "_created"

    /// The name, which ends with the unit if there is one.
    package let name: String
    /// What kind it is.
    package let kind: Kind
    /// `seconds`, `bytes` or `ratio`; nil for numbers of things.
    package let unit: String?
    /// One sentence for a person.
    package let help: String
    /// In the order of the output.
    package private(set) var points: [Point] = []

    init(_ name: String, _ kind: Kind, unit: String? = nil, _ help: String) {
        self.name = name
        self.kind = kind
        self.unit = unit
        self.help = help
    }

    mutating func add(_ labels: [Label], _ value: UInt64) {
        points.append(Point(labels: labels, value: "\(value)"))
    }

    mutating func add(_ labels: [Label], _ value: Int) {
        points.append(Point(labels: labels, value: "\(value)"))
    }

    mutating func add(_ labels: [Label], _ value: Bool) {
        points.append(Point(labels: labels, value: value ? "1" : "0"))
    }

    /// - Parameter value: A number between -1e15 and 1e15, which is printed without an exponent if that loses nothing.
    mutating func add(_ labels: [Label], _ value: Double) {
        points.append(Point(labels: labels, value: "\(value)"))
    }

    /// - Parameter microseconds: Printed as seconds.
    mutating func add(_ labels: [Label], microseconds: UInt64) {
        points.append(Point(labels: labels, value: Self.seconds(microseconds, digits: 6)))
    }

    mutating func add(_ labels: [Label], suffix: String, _ value: String) {
        points.append(Point(suffix: suffix, labels: labels, value: value))
    }

    /// The number as seconds, exactly.
    ///
    /// - Parameter digits: The decimal places of the unit: 6 for microseconds.
    static func seconds(_ count: UInt64, digits: Int) -> String {
        let text = "\(count)"
        let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
        return "\(padded.dropLast(digits)).\(padded.suffix(digits))"
    }
}
