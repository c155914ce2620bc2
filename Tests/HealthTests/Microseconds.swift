import Wire

// In these tests a number by itself is microseconds.

extension MonotonicTime: ExpressibleByIntegerLiteral {
    /// Microseconds.
    public init(integerLiteral value: UInt64) { self.init(nanoseconds: value * 1_000) }
}

extension Duration: @retroactive ExpressibleByIntegerLiteral {
    /// Microseconds.
    public init(integerLiteral value: Int64) { self = .microseconds(value) }
}
