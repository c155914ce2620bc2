import Plan

extension Grammar {
    /// How many services a tenant may have at most.
    static let tenantServices = 0...10_000
    /// How many rules a tenant's access lists may have at most.
    static let tenantRules = 0...10_000

    static let tenants = KeyGrammar(
        "tenants", .named(.mapping(tenant)),
        "Customers that manage services of their own while the topology is up, by name.")

    static let tenant = MappingGrammar(
        "tenant", "A customer that manages services of its own, and what it may do.",
        [
            KeyGrammar(
                "customers", .oneOrMany(.oneOf([.name, .prefix])),
                "The customer nodes that are theirs, and networks of theirs behind such nodes."),
            KeyGrammar(
                "addresses", .oneOrMany(.prefix),
                "The service addresses that they may use; no two tenants share one.", required: true),
            KeyGrammar(
                "applications", .oneOrMany(.name),
                "The applications and routers that they may put into chains, in any order that the proof accepts.",
                required: true),
            KeyGrammar("must", .oneOrMany(.name), "Those of them that every chain of theirs has."),
            KeyGrammar("limits", .mapping(tenantLimits), "How much they may have and do."),
            KeyGrammar(
                "certificate", .oneOrMany(.text),
                "The names in their client certificates, which show who they are at the management address."),
        ])

    static let tenantLimits = MappingGrammar(
        "tenant-limits", "How much a tenant may have and do.",
        [
            KeyGrammar(
                "services", .integer(tenantServices), "How many services; \(TenantPlan.usualServices) by default."),
            KeyGrammar(
                "rules", .integer(tenantRules),
                "How many rules their access lists have together; \(TenantPlan.usualRules) by default."),
            KeyGrammar(
                "instructions", .text, "How many instructions, such as 10/s or 30/min; 10/s by default."),
        ])

    static let access = KeyGrammar(
        "access", .oneOf([.oneOrMany(.choice(AccessJudge.allCases.map(\.rawValue))), .mapping(accessMapping)]),
        "Who judges its packets by tenants' access lists: engine, application, or both in a list.")

    static let accessMapping = MappingGrammar(
        "access", "Who judges the packets of an application by tenants' access lists.",
        [
            KeyGrammar("engine", .flag, "The engine does, before it sends a packet to the application."),
            KeyGrammar(
                "application", .oneOf([.flag, .mapping(accessTemplate)]),
                "The application does: by nftables, or by a file of its own that a template is filled for."),
        ])

    static let accessTemplate = MappingGrammar(
        "access-template", "A program's own form of the access lists.",
        [
            KeyGrammar(
                "template", .text, "A file beside this one: the template, which is filled with the lists.",
                required: true),
            KeyGrammar("path", .text, "The path of the filled file in the node, as in `files`.", required: true),
            KeyGrammar("reload", .text, "The shell command that makes the program read it.", required: true),
            KeyGrammar(
                "check", .text,
                "A shell command that fails if the program would not take the file `$TAPLINE_CANDIDATE`. Lists that it "
                    + "refuses are refused before anything changes."),
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
                    + "in the topology's own folder, and goes with it."),
            KeyGrammar(
                "manage", .mapping(management),
                "The management address: tenants give their instructions there, from their own nodes."),
        ])

    /// The ports that the management address may have.
    static let managementPorts = 1...65_535

    static let management = MappingGrammar(
        "management", "The management address, where tenants give instructions by HTTPS.",
        [
            KeyGrammar(
                "address", .oneOrMany(.address), "The address, or several, that no node, engine or service has.",
                required: true),
            KeyGrammar("port", .integer(managementPorts), "The TCP port; 443 by default."),
            KeyGrammar(
                "interface", .oneOrMany(.name),
                "The interface whose customers can reach it, or several; the first one is that of its node.",
                required: true),
            KeyGrammar(
                "certificate", .mapping(certificateFiles),
                "Its certificate; without this key one is made when the topology comes up."),
            KeyGrammar(
                "client-certificates", .text,
                "A PEM file of authorities: who has a certificate of theirs needs no token. Tenants' `certificate` has the names."
            ),
        ])

    static let certificateFiles = MappingGrammar(
        "certificate-files", "A certificate and its key, as PEM files beside the topology file.",
        [
            KeyGrammar(
                "chain", .text, "The certificate, and those between it and its authority.", required: true),
            KeyGrammar("key", .text, "The private key of the certificate, without a passphrase.", required: true),
        ])
}

/// Who judges packets by access lists.
enum AccessJudge: String, CaseIterable {
    case engine
    case application
}
