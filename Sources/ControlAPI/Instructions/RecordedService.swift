/// A service that a tenant keeps, as instructions carry it. The keys are those of the tenants' API.
public struct RecordedService: Codable, Sendable, Hashable {
    /// The tenant that it belongs to.
    public var tenant: String
    /// Its name, which tells it from the tenant's other services.
    public var name: String
    /// The service addresses.
    public var addresses: [String]
    /// The service ports; empty: every one.
    public var ports: [String]
    /// Interfaces and customers that may use it; empty: every interface that has customers.
    public var from: [String]
    /// The passive applications that get copies.
    public var distribute: [String]
    /// The applications in order.
    public var sequence: [String]

    /// Memberwise.
    public init(
        tenant: String, name: String, addresses: [String], ports: [String] = [], from: [String] = [],
        distribute: [String] = [], sequence: [String]
    ) {
        self.tenant = tenant
        self.name = name
        self.addresses = addresses
        self.ports = ports
        self.from = from
        self.distribute = distribute
        self.sequence = sequence
    }

    /// What tells it from all other records.
    public var id: String { "\(tenant)/\(name)" }
}
