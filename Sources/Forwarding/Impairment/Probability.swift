/// How likely something is, in whole parts of a thousand million: 1 % is 10,000,000.
public struct Probability: Sendable, Hashable, Comparable {
    /// Parts of a thousand million: 0…1,000,000,000.
    public let billionths: Int

    /// Never.
    public static let never = Probability(billionths: 0)
    /// Always.
    public static let always = Probability(billionths: 1_000_000_000)

    /// - Parameter billionths: Cut to 0…1,000,000,000.
    public init(billionths: Int) { self.billionths = max(0, min(billionths, 1_000_000_000)) }

    /// The less likely one first.
    public static func < (first: Probability, second: Probability) -> Bool { first.billionths < second.billionths }

    /// So many of 2^63 equally likely numbers mean yes. It is exact but for the last bit.
    var threshold: UInt64 {
        let (high, low) = UInt64(billionths).multipliedFullWidth(by: 1 << 63)
        return UInt64(1_000_000_000).dividingFullWidth((high, low)).quotient
    }

    /// The probability as a fraction of 1, for calculations about it.
    public var fraction: Double { Double(billionths) / 1_000_000_000 }
}
