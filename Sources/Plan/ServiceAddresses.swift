import Forwarding

/// A service as customers find it.
public struct ServiceAddresses: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Its addresses and prefixes.
    public var addresses: [String]
    /// Its ports as the file has them, such as `tcp/80`; none: every one.
    public var ports: [String]
    /// The interfaces that its customers are on, by index.
    public var interfaces: [Int] = []
    /// The packets that are its own.
    public var matches: [ImpairedPlace.Match] = []

    /// Memberwise.
    public init(name: String, addresses: [String], ports: [String]) {
        self.name = name
        self.addresses = addresses
        self.ports = ports
    }
}
