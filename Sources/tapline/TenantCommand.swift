import ArgumentParser
import ControlAPI
import Instructions
import Reporting

/// `tapline tenant`.
struct TenantCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenant",
        abstract: "List the tenants of a topology, and make and revoke their tokens.",
        discussion: """
            A token shows who gives an instruction. It is printed once, and only its salted hash is kept. Commands use the token of
            the environment variable TAPLINE_TOKEN; without one they act for the operator.

            EXAMPLE
              sudo tapline tenant list shared-firewall
              sudo tapline tenant token shared-firewall alice --expires 30d
              sudo tapline tenant tokens shared-firewall alice
              sudo tapline tenant revoke shared-firewall alice 5b1f0c7e9a2d4c88
            """.paragraphs,
        subcommands: [List.self, Token.self, Tokens.self, Revoke.self, Uses.self, TenantCertificate.self])

    /// `tapline tenant list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the tenants.")
        @OptionGroup var options: InstructionOptions

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let list = try options.ask(for: TenantList.self, .get, ["tenants"])
                if options.json { return Terminal.out(try prettyJSON(list)) }
                var table = TextTable(["TENANT", "SERVICES", "TOKENS", ""], rightAligned: [1, 2])
                for tenant in list.tenants {
                    table.add([
                        tenant.name, "\(tenant.services)", "\(tenant.tokens)",
                        tenant.known ? "" : "the file no longer names it",
                    ])
                }
                Terminal.out(table.lines.joined(separator: "\n"))
            }
        }
    }

    /// `tapline tenant token`.
    struct Token: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make a token, and print it once.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The tenant.") var tenant: String
        @Flag(help: "It may only look.") var readOnly = false
        @Option(help: "How long it is valid: 30d, 12h, 10m. (default: until it is revoked)") var expires: String?
        @Option(
            help: ArgumentHelp(
                "Where it is valid: 'own' for the tenant's own customers, at the management address. (default: everywhere)",
                valueName: "own"))
        var from: String?

        private struct Body: Encodable {
            var readOnly: Bool
            var expiresIn: Int?
            var from: String?
            enum CodingKeys: String, CodingKey {
                case from
                case readOnly = "read-only"
                case expiresIn = "expires-in"
            }
        }

        private var life: Int? { expires.flatMap(LifeText.seconds) }

        func validate() throws {
            if expires != nil, life == nil { throw ValidationError("--expires is a time such as 30d, 12h or 10m.") }
            if let from, from != "own" { throw ValidationError("--from is 'own', or left out.") }
        }

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let token = try options.ask(
                    for: TokenView.self, .post, ["tenants", tenant, "tokens"],
                    body: Body(readOnly: readOnly, expiresIn: life, from: from))
                if options.json { return Terminal.out(try prettyJSON(token)) }
                Terminal.out(token.token ?? "")
            }
        }
    }

    /// `tapline tenant tokens`.
    struct Tokens: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the tokens of a tenant, without their secrets.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The tenant.") var tenant: String

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let list = try options.ask(for: TokenList.self, .get, ["tenants", tenant, "tokens"])
                if options.json { return Terminal.out(try prettyJSON(list)) }
                var table = TextTable(["TOKEN", "STATE", "MAY", "FROM", "CREATED", "EXPIRES"])
                for token in list.tokens {
                    table.add([
                        token.id, token.state, token.readOnly ? "look" : "change", token.from ?? "everywhere",
                        token.created,
                        token.expires ?? "never",
                    ])
                }
                Terminal.out(table.lines.joined(separator: "\n"))
            }
        }
    }

    /// `tapline tenant revoke`.
    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Revoke a token, at once.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The tenant.") var tenant: String
        @Argument(help: "The token's id, as 'tokens' lists it.") var token: String

        func run() throws {
            try reporting { () throws(ApplianceError) in
                _ = try options.ask(.delete, ["tenants", tenant, "tokens", token])
                Terminal.out(options.json ? "{}" : "the token \(token) is revoked")
            }
        }
    }

    /// `tapline tenant uses`.
    struct Uses: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what a tenant's services may use.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var whose: TenantOption

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let uses = try options.ask(
                    for: Catalogue.self, .get, ["catalogue"], query: ["tenant": whose.tenant])
                if options.json { return Terminal.out(try prettyJSON(uses)) }
                Terminal.out("addresses: \(uses.addresses.joined(separator: ", "))")
                Terminal.out("interfaces: \(uses.interfaces.joined(separator: ", "))")
                Terminal.out("customers: \(uses.customers.joined(separator: ", "))")
                var table = TextTable(["APPLICATION", "TYPE", "USE"])
                for application in uses.applications {
                    table.add([
                        application.name, application.type ?? "",
                        (application.passive ? "distribute" : "sequence")
                            + (application.must ? ", in every chain" : ""),
                    ])
                }
                Terminal.out(table.lines.joined(separator: "\n"))
            }
        }
    }
}

/// How long a token is valid: `30d`, `12h`, `10m`, `90s`.
enum LifeText {
    /// In seconds; nil if the text is no such time, or is longer than a token may live.
    static func seconds(_ text: String) -> Int? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        let unit: Int? =
            switch text.dropFirst(digits.count) {
            case "s": 1
            case "m", "min": 60
            case "h": 3600
            case "d": 86_400
            default: nil
            }
        guard let unit, let count = Int(digits) else { return nil }
        let (whole, isTooLong) = count.multipliedReportingOverflow(by: unit)
        return !isTooLong && (1...BodyReader.longestLife).contains(whole) ? whole : nil
    }
}
