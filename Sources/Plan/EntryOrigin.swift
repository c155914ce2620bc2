import Reporting
import Wire

/// What entries of a table were made for: a service, or an entry by hand.
public struct EntryOrigin: Sendable, Hashable {
    /// The name of the service, or of the entry by hand.
    public var name: String
    /// True for a service: its entries are called `NAME.request.…` and `NAME.response.…`.
    public var isService: Bool
    /// Where it is written.
    public var origin: SourceOrigin
    /// The service addresses.
    public var addresses: [IPPrefix]

    /// Memberwise.
    public init(name: String, isService: Bool, origin: SourceOrigin, addresses: [IPPrefix] = []) {
        self.name = name
        self.isService = isService
        self.origin = origin
        self.addresses = addresses
    }
}
