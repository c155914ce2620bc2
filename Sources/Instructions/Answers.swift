import ControlAPI

/// A service as it is answered.
package struct ServiceView: Codable, Sendable, Equatable {
    package var tenant: String
    package var name: String
    package var addresses: [String]
    package var ports: [String]
    package var from: [String]
    package var distribute: [String]
    package var sequence: [String]
    /// The version that last changed it; in quotes, its ETag.
    package var version: Int
    /// `in-force`, `set-aside`, or `pending`: it is written, and the engines do not decide by it yet.
    package var state: String
    /// Why it is set aside.
    package var reasons: [String]?

    package init(_ service: RecordedService, version: Int, setAside reasons: [String]?, isPending: Bool = false) {
        tenant = service.tenant
        name = service.name
        addresses = service.addresses
        ports = service.ports
        from = service.from
        distribute = service.distribute
        sequence = service.sequence
        self.version = version
        state = isPending ? "pending" : reasons == nil ? "in-force" : "set-aside"
        self.reasons = isPending ? nil : reasons
    }
}

/// A page of services.
package struct ServiceList: Codable, Sendable {
    package var services: [ServiceView]
    /// For `after` of the next page; absent: this is the last.
    package var next: String?

    package init(services: [ServiceView], next: String?) {
        self.services = services
        self.next = next
    }
}

/// What an instruction has done, or would do.
package struct Outcome: Codable, Sendable {
    /// Counts the changes of all tenants; absent for a dry run.
    package var version: Int?
    /// The generation of the table that every engine decides by; absent for a dry run.
    package var generation: UInt64?
    /// True if nothing was done.
    package var dryRun: Bool
    /// The changes of the topology, a line each.
    package var changes: [String]
    /// The services that were made or replaced.
    package var services: [ServiceView]
    /// The names of services that were removed.
    package var removed: [String]
    /// The access lists that were made or replaced.
    package var access: [AccessView]
    /// The applications whose access lists were removed.
    package var removedAccess: [String]

    package init(
        version: Int?, generation: UInt64?, dryRun: Bool, changes: [String], services: [ServiceView] = [],
        removed: [String] = [], access: [AccessView] = [], removedAccess: [String] = []
    ) {
        self.version = version
        self.generation = generation
        self.dryRun = dryRun
        self.changes = changes
        self.services = services
        self.removed = removed
        self.access = access
        self.removedAccess = removedAccess
    }

    private enum CodingKeys: String, CodingKey {
        case version, generation, changes, services, removed, access
        case dryRun = "dry-run"
        case removedAccess = "removed-access"
    }
}

/// One line of the audit: it is written once, and never changed.
package struct AuditEntry: Codable, Sendable, Equatable {
    /// Counts the lines.
    package var id: Int
    package var tenant: String
    /// `operator`, the id of the token, or `certificate` and its name.
    package var who: String
    /// Where the request came from.
    package var origin: String
    /// RFC 3339.
    package var at: String
    /// The route's name.
    package var instruction: String
    /// The service, `access/` and the application of an access list, or the token.
    package var subject: String
    /// `written`, `in-force` or `failed`; of what was under way when a process ended, `in-force-after-restart` or
    /// `set-aside-after-restart`; of tokens, `done`, or `refused` (which the operator alone sees).
    package var outcome: String
    /// The version that it made.
    package var version: Int?
    /// The generation of the table.
    package var generation: Int?
    /// The service or access list before, as JSON.
    package var before: String?
    /// The same after, as JSON.
    package var after: String?
    /// Why it was refused.
    package var reason: String?

    package init(
        id: Int, tenant: String, who: String, origin: String, at: String, instruction: String, subject: String,
        outcome: String, version: Int?, generation: Int?, before: String?, after: String?, reason: String? = nil
    ) {
        self.reason = reason
        self.id = id
        self.tenant = tenant
        self.who = who
        self.origin = origin
        self.at = at
        self.instruction = instruction
        self.subject = subject
        self.outcome = outcome
        self.version = version
        self.generation = generation
        self.before = before
        self.after = after
    }
}

/// A page of the audit.
package struct AuditList: Codable, Sendable {
    package var entries: [AuditEntry]
    /// For `after` of the next page; absent: this is the last.
    package var next: String?

    package init(entries: [AuditEntry], next: String?) {
        self.entries = entries
        self.next = next
    }
}

/// What a tenant's services may use.
package struct Catalogue: Codable, Sendable {
    /// An application.
    package struct Application: Codable, Sendable {
        package var name: String
        package var type: String?
        /// True if it gets copies, and is named in `distribute`.
        package var passive: Bool
        /// True if every chain must have it.
        package var must: Bool
        /// Who judges its packets by the tenant's access list: `engine`, `application`; empty: no list is kept for it.
        package var access: [String]
    }

    package var tenant: String
    package var customers: [String]
    package var interfaces: [String]
    package var addresses: [String]
    package var applications: [Application]
    package var limits: [String: Int]

    package init(_ tenant: TenantsDescription.Tenant) {
        self.tenant = tenant.name
        customers = tenant.customers
        interfaces = tenant.interfaces
        addresses = tenant.addresses
        applications = tenant.applications.map {
            Application(
                name: $0.name, type: $0.type, passive: $0.passive, must: tenant.must.contains($0.name),
                access: $0.access)
        }
        limits = [
            "services": tenant.services, "rules": tenant.rules, "instructions-per-minute": tenant.instructions,
        ]
    }
}

/// The tenants.
package struct TenantList: Codable, Sendable {
    /// A tenant.
    package struct Tenant: Codable, Sendable {
        package var name: String
        /// How many services it has.
        package var services: Int
        /// How many tokens of it are valid.
        package var tokens: Int
        /// False if the file no longer names it.
        package var known: Bool

        package init(name: String, services: Int, tokens: Int, known: Bool) {
            self.name = name
            self.services = services
            self.tokens = tokens
            self.known = known
        }
    }

    package var tenants: [Tenant]

    package init(tenants: [Tenant]) { self.tenants = tenants }
}

/// A token without its secret.
package struct TokenView: Codable, Sendable, Equatable {
    package var id: String
    package var tenant: String
    package var readOnly: Bool
    /// RFC 3339.
    package var created: String
    /// RFC 3339; absent: never.
    package var expires: String?
    /// `valid`, `expired` or `revoked`.
    package var state: String
    /// The secret, in the answer that makes it alone.
    package var token: String?
    /// `own`: it is valid from the tenant's own customers alone; absent: from everywhere.
    package var from: String?

    package init(
        id: String, tenant: String, readOnly: Bool, created: String, expires: String?, state: String,
        token: String? = nil, isOwn: Bool = false
    ) {
        from = isOwn ? "own" : nil
        self.id = id
        self.tenant = tenant
        self.readOnly = readOnly
        self.created = created
        self.expires = expires
        self.state = state
        self.token = token
    }

    private enum CodingKeys: String, CodingKey {
        case id, tenant, created, expires, state, token, from
        case readOnly = "read-only"
    }
}

/// The tokens of a tenant.
package struct TokenList: Codable, Sendable {
    package var tokens: [TokenView]

    package init(tokens: [TokenView]) { self.tokens = tokens }
}
