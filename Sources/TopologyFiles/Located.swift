import Reporting

/// A value of the topology, and its place.
public struct Located<Value> {
    /// The value.
    public var value: Value
    /// Its place.
    public var origin: SourceOrigin

    /// Memberwise.
    public init(_ value: Value, _ origin: SourceOrigin) {
        self.value = value
        self.origin = origin
    }

    func map<Other>(_ transform: (Value) -> Other) -> Located<Other> {
        Located<Other>(transform(value), origin)
    }
}

extension Located: Sendable where Value: Sendable {}
extension Located: Equatable where Value: Equatable {}
extension Located: Hashable where Value: Hashable {}
