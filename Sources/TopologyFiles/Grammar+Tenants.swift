import Plan

extension Grammar {
    /// How many services a tenant may have at most.
    static let tenantServices = 0...10_000

    static let tenants = KeyGrammar(
        "tenants", .named(.mapping(tenant)),
        "Customers that manage services of their own while the topology is up, by name.")

    static let tenant = MappingGrammar(
        "tenant", "A customer that manages services of its own, and what it may do.",
        [
            KeyGrammar("customers", .oneOrMany(.name), "The customer nodes that are theirs."),
            KeyGrammar(
                "addresses", .oneOrMany(.prefix),
                "The service addresses that they may use; no two tenants share one.", required: true),
            KeyGrammar(
                "applications", .oneOrMany(.name),
                "The applications and routers that they may put into chains, in any order that the proof accepts.",
                required: true),
            KeyGrammar("must", .oneOrMany(.name), "Those of them that every chain of theirs has."),
            KeyGrammar("limits", .mapping(tenantLimits), "How much they may have and do."),
        ])

    static let tenantLimits = MappingGrammar(
        "tenant-limits", "How much a tenant may have and do.",
        [
            KeyGrammar(
                "services", .integer(tenantServices), "How many services; \(TenantPlan.usualServices) by default."),
            KeyGrammar(
                "instructions", .text, "How many instructions, such as 10/s or 30/min; 10/s by default."),
        ])

    static let records = KeyGrammar(
        "records", .mapping(recordsMapping),
        "The records that tenants keep by instructions; with this key, `up` starts the process that serves them.")

    static let recordsMapping = MappingGrammar(
        "records", "The records that tenants keep by instructions.",
        [
            KeyGrammar(
                "database", .text,
                "The SQLite database: a path, relative to the file's folder; it stays when the topology goes. By default it is "
                    + "in the topology's own folder, and goes with it.")
        ])
}
