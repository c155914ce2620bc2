/// A duration that JSON has as a whole number of milliseconds.
public struct Milliseconds: Codable, Sendable, Hashable, CustomStringConvertible {
    /// The number that JSON has.
    public let count: Int

    /// - Parameter duration: It is cut to milliseconds, and to what 64 bits hold.
    public init(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let (product, isBeyond) = Int(seconds).multipliedReportingOverflow(by: 1000)
        let (sum, isOver) = product.addingReportingOverflow(Int(attoseconds / 1_000_000_000_000_000))
        count = isBeyond || isOver ? (seconds < 0 ? .min : .max) : sum
    }

    /// - Throws: `DecodingError` if it is no whole number.
    public init(from decoder: any Decoder) throws {
        count = try decoder.singleValueContainer().decode(Int.self)
    }

    /// - Throws: The encoder's errors.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(count)
    }

    /// The duration.
    public var duration: Duration { .milliseconds(count) }
    /// `1500 ms`.
    public var description: String { "\(count) ms" }
}
