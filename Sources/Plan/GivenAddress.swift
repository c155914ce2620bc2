import Wire

/// An address, or a network, that Tapline gave to a part of the topology because the file names none.
///
/// The file must not name it either: a part gets no address that stands somewhere in the file.
public struct GivenAddress: Sendable, Hashable {
    /// The address, or the network that nodes have theirs in.
    public var prefix: IPPrefix
    /// The expression that stands for it in a file: `services.shop.address`; nil: there is none.
    public var expression: String?
    /// What it belongs to, for people: `shop`.
    public var owner: String

    /// Memberwise.
    public init(prefix: IPPrefix, expression: String?, owner: String) {
        self.prefix = prefix
        self.expression = expression
        self.owner = owner
    }
}
