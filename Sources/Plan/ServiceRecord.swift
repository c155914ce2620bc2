import Reporting
import Wire

/// A service that a tenant keeps by instructions, beside the services of the file. Its texts are as they were sent: the
/// planner reads them, and reports what is wrong with the place in the record.
public struct ServiceRecord: Sendable, Hashable {
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

    /// What tells it from all other records, and from the services of the file: `alice/shop`.
    public var id: String { "\(tenant)/\(name)" }

    /// The place of the record, or of a value in it.
    ///
    /// - Parameter pointer: A JSON pointer (RFC 6901) into the record as it was sent: `/addresses/0`.
    public func origin(_ pointer: String? = nil) -> SourceOrigin {
        .record(SourceRecord(kind: Self.kind, id: id, field: pointer))
    }

    /// The kind of such records in messages.
    public static let kind = "service"
}

/// A record that is not in force although its tenant wants it: the operator's file, or a limit in it, goes first.
public struct RecordSetAside: Sendable, Hashable {
    /// The record.
    public var record: ServiceRecord
    /// Why, a sentence each.
    public var reasons: [String]

    /// Memberwise.
    public init(_ record: ServiceRecord, reasons: [String]) {
        self.record = record
        self.reasons = reasons
    }
}

/// What the file says of records: where they are kept, and what tenants may do.
public struct RecordsPlan: Sendable, Hashable {
    /// The path of the database, absolute or relative to the plan's folder; nil: in the topology's own folder, with which it
    /// goes.
    public var database: String?
    /// The tenants in the order of the file.
    public var tenants: [TenantPlan]
    /// Where tenants reach them; nil: the operator's socket alone.
    public var management: ManagementPlan?

    /// Memberwise.
    public init(database: String?, tenants: [TenantPlan], management: ManagementPlan? = nil) {
        self.database = database
        self.tenants = tenants
        self.management = management
    }
}

/// An application that a tenant may put into chains.
public struct TenantApplication: Sendable, Hashable {
    /// The name.
    public var name: String
    /// Its type in the file, such as `firewall`.
    public var type: String?
    /// True if it gets copies and returns nothing.
    public var isPassive: Bool
    /// Who judges its packets by the tenant's access list: `engine`, `application`; empty: nobody.
    public var access: [String]

    /// Memberwise.
    public init(name: String, type: String?, isPassive: Bool, access: [String] = []) {
        self.name = name
        self.type = type
        self.isPassive = isPassive
        self.access = access
    }
}

/// A customer that manages services, and what it may do.
public struct TenantPlan: Sendable, Hashable {
    /// The name.
    public var name: String
    /// The customer nodes that are theirs.
    public var customers: [String]
    /// The service addresses that they may use. No two tenants share one.
    public var addresses: [IPPrefix]
    /// The applications and routers that they may put into chains.
    public var applications: [TenantApplication]
    /// Those of them that every chain must have.
    public var must: [String]
    /// How many services they may have.
    public var services: Int
    /// How many rules their access lists may have together.
    public var rules: Int
    /// How many instructions they may give in a minute.
    public var instructions: Int
    /// The addresses of their customers, the networks behind these, and the networks that the file gives them: what they send
    /// from.
    public var origins: [IPPrefix] = []
    /// The names in their client certificates.
    public var certificates: [String] = []

    /// Memberwise.
    public init(
        name: String, customers: [String] = [], addresses: [IPPrefix], applications: [TenantApplication],
        must: [String] = [], services: Int = TenantPlan.usualServices, rules: Int = TenantPlan.usualRules,
        instructions: Int = TenantPlan.usualInstructions
    ) {
        self.name = name
        self.customers = customers
        self.addresses = addresses
        self.applications = applications
        self.must = must
        self.services = services
        self.rules = rules
        self.instructions = instructions
    }

    /// The services that a tenant may have where the file gives no limit.
    public static let usualServices = 20
    /// The rules of access lists that a tenant may have where the file gives no limit.
    public static let usualRules = 200
    /// The instructions in a minute where the file gives no limit.
    public static let usualInstructions = 600
}

extension [ServiceRecord] {
    /// These records after an instruction: one that is put takes the place of that with its id, or comes last.
    public func with(_ put: [ServiceRecord], _ remove: Set<String>) -> [ServiceRecord] {
        var fresh = Dictionary(put.map { ($0.id, $0) }) { _, last in last }
        var records = compactMap { record in
            fresh.removeValue(forKey: record.id) ?? (remove.contains(record.id) ? nil : record)
        }
        for record in put { if let added = fresh.removeValue(forKey: record.id) { records.append(added) } }
        return records
    }
}
