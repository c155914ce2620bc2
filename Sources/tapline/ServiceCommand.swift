import ArgumentParser
import ControlAPI
import Instructions
import Reporting

/// `tapline service`.
struct ServiceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "service",
        abstract: "List, show, make, replace, remove and restore the services that tenants keep.",
        discussion: """
            A change is planned and proved before it is done. When the command ends, every engine decides by it. With the token of a
            tenant in TAPLINE_TOKEN, the command acts for that tenant; else for the operator, who names one by --tenant.

            EXAMPLE
              sudo tapline service put shared-firewall shop --tenant alice --address 203.0.113.80 --port tcp/80 \\
                --distribute ids --sequence firewall,web
              sudo tapline service list shared-firewall
              sudo tapline service show shared-firewall shop --tenant alice
              sudo tapline service remove shared-firewall shop --tenant alice
              sudo tapline service restore shared-firewall 3 --tenant alice
            """.paragraphs,
        subcommands: [
            List.self, Show.self, Counters.self, Health.self, Put.self, Remove.self, Restore.self,
        ])

    /// `tapline service list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List services.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var whose: TenantOption

        func run() throws {
            try reporting { () throws(ApplianceError) in
                var services: [ServiceView] = []
                var after: String?
                repeat {
                    let page = try options.ask(
                        for: ServiceList.self, .get, ["services"],
                        query: ["tenant": whose.tenant, "after": after, "limit": "\(Paging.most)"])
                    services += page.services
                    after = page.next
                } while after != nil
                if options.json { return Terminal.out(try prettyJSON(ServiceListing(services: services))) }
                var table = TextTable(
                    ["TENANT", "SERVICE", "ADDRESS", "PORTS", "CHAIN", "VERSION", "STATE"], rightAligned: [5])
                for service in services {
                    let chain = (service.distribute.map { "(\($0))" } + service.sequence).joined(separator: " ")
                    table.add([
                        service.tenant, service.name, service.addresses.joined(separator: ", "),
                        service.ports.isEmpty ? "any" : service.ports.joined(separator: ", "), chain,
                        "\(service.version)",
                        service.reasons.map { "\(service.state): \($0.joined(separator: "; "))" } ?? service.state,
                    ])
                }
                Terminal.out(table.lines.joined(separator: "\n"))
            }
        }

        private struct ServiceListing: Encodable { var services: [ServiceView] }
    }

    /// `tapline service put`.
    struct Put: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a service, or replace it.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The service's name.") var service: String
        @Option(
            help: "Where customers send: addresses or prefixes, with commas between, or each with an option of its own."
        )
        var address: [String]
        @Option(help: "Service ports such as tcp/80,udp/53. (default: all)") var port: [String] = []
        @Option(help: "Interfaces and customers that may use it. (default: every interface with customers)")
        var from: [String] = []
        @Option(help: "Passive applications that get copies.") var distribute: [String] = []
        @Option(help: "The applications in order, with commas between, or each with an option of its own.")
        var sequence: [String]
        @OptionGroup var change: ChangeOptions

        private struct Body: Encodable {
            var addresses: [String]
            var ports: [String]
            var from: [String]
            var distribute: [String]
            var sequence: [String]
        }

        func run() throws {
            try reporting { () throws(ApplianceError) in
                func list(_ texts: [String]) -> [String] {
                    texts.flatMap { $0.split(separator: ",") }.map { String($0.drop { $0 == " " }) }
                }
                let body = Body(
                    addresses: list(address), ports: list(port), from: list(from), distribute: list(distribute),
                    sequence: list(sequence))
                try change.tell(
                    try options.ask(
                        for: Outcome.self, .put, ["services", service], query: change.query, headers: change.headers,
                        body: body), options)
            }
        }
    }

    /// `tapline service remove`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove a service.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The service's name.") var service: String
        @OptionGroup var change: ChangeOptions

        func run() throws {
            try reporting { () throws(ApplianceError) in
                try change.tell(
                    try options.ask(
                        for: Outcome.self, .delete, ["services", service], query: change.query, headers: change.headers),
                    options)
            }
        }
    }

    /// `tapline service restore`.
    struct Restore: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have a tenant's services as they were at an earlier version.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The version, as 'tapline audit' lists it; 0: before the first.") var version: Int
        @OptionGroup var whose: TenantOption
        @Flag(help: "Say what would change, and do nothing.") var dryRun = false

        private struct Body: Encodable { var version: Int }

        func run() throws {
            try reporting { () throws(ApplianceError) in
                var change = ChangeOptions()
                (change.whose, change.dryRun, change.ifMatch) = (whose, dryRun, nil)
                try change.tell(
                    try options.ask(
                        for: Outcome.self, .post, ["restore"], query: change.query, body: Body(version: version)),
                    options)
            }
        }
    }
}

/// What commands that change services take.
struct ChangeOptions: ParsableArguments {
    @OptionGroup var whose: TenantOption
    @Flag(help: "Say what would change, and do nothing.") var dryRun = false
    @Option(help: "Only if the service still has this version.") var ifMatch: Int?

    var query: [String: String?] { ["tenant": whose.tenant, "dry-run": dryRun ? "true" : nil] }
    var headers: [(String, String)] { ifMatch.map { [("If-Match", "\"\($0)\"")] } ?? [] }

    func tell(_ outcome: Outcome, _ options: InstructionOptions) throws(ApplianceError) {
        if options.json { return Terminal.out(try prettyJSON(outcome)) }
        for line in outcome.changes { Terminal.out((outcome.dryRun ? "would change: " : "") + line) }
        guard let version = outcome.version else {
            if outcome.changes.isEmpty { Terminal.out("nothing would change") }
            return
        }
        Terminal.out("in force: version \(version), table \(outcome.generation ?? 0)")
    }
}

/// `tapline audit`.
struct AuditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Show what tenants and the operator have instructed, the newest first.",
        discussion: """
            Each change has a line when it is written, and one when every engine decides by it, or when it failed. Lines are never
            changed.

            EXAMPLE
              sudo tapline audit shared-firewall --tenant alice
              sudo tapline audit shared-firewall --all --json > audit.json
            """.paragraphs)

    @OptionGroup var options: InstructionOptions
    @OptionGroup var whose: TenantOption
    @Option(help: "How many lines: 1 to \(Paging.most). (default: \(Paging.usual))") var count: Int?
    @Flag(help: "All lines, to keep them elsewhere.") var all = false

    func validate() throws {
        if all, count != nil { throw ValidationError("Give --count, or --all.") }
        if let count, !(1...Paging.most).contains(count) { throw ValidationError("--count is 1 to \(Paging.most).") }
    }

    func run() throws {
        try reporting { () throws(ApplianceError) in
            let count = all ? Int.max : count ?? Paging.usual
            var list = AuditList(entries: [], next: nil)
            repeat {
                // A page with long lines has fewer of them.
                let limit = min(Paging.most, count - list.entries.count)
                let page = try options.ask(
                    for: AuditList.self, .get, ["audit"],
                    query: ["tenant": whose.tenant, "limit": "\(limit)", "after": list.next])
                list = AuditList(entries: list.entries + page.entries, next: page.next)
            } while list.next != nil && list.entries.count < count
            if options.json { return Terminal.out(try prettyJSON(list)) }
            var table = TextTable(
                ["AT", "TENANT", "WHO", "INSTRUCTION", "SUBJECT", "OUTCOME", "VERSION"], rightAligned: [6])
            for entry in list.entries {
                table.add([
                    entry.at, entry.tenant, entry.who, entry.instruction, entry.subject, entry.outcome,
                    entry.version.map { "\($0)" } ?? "",
                ])
            }
            Terminal.out(table.lines.joined(separator: "\n"))
        }
    }
}
