import Forwarding
import Wire

/// What entries of a table were made for: a service of the file, or an entry by hand.
public struct EntryOrigin: Sendable, Hashable {
    /// The name of the service, or of the entry by hand.
    public var name: String
    /// True for a service: its entries are called `NAME.request.…` and `NAME.response.…`.
    public var isService: Bool
    /// The line of the file; 0 for a record.
    public var line: Int
    /// The service addresses.
    public var addresses: [IPPrefix]
}

extension AppliancePlan {
    /// The services and the entries by hand, in the order of the file; empty for a plan that was made by hand.
    public var entryOrigins: [EntryOrigin] {
        guard let source else { return [] }
        return source.services.map { service in
            EntryOrigin(
                name: service.name.value, isService: true, line: service.name.origin.lineNumber,
                addresses: service.addresses.map(\.value))
        }
            + source.entries.map { entry in
                EntryOrigin(name: entry.name.value, isService: false, line: entry.origin.lineNumber, addresses: [])
            }
    }
}
