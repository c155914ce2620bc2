import ArgumentParser
import ControlAPI
import EventLoop
import Instructions
import Reporting

/// `tapline access`.
struct AccessCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "access",
        abstract: "List and change what tenants let pass through shared applications.",
        discussion: """
            An access list has rules in order, and a default. The first rule that matches a packet decides, in both directions. A
            change is proved before it is done. When the command ends, packets are judged by it. With the token of a tenant in
            TAPLINE_TOKEN, the command acts for that tenant; else for the operator, who names one by --tenant.

            A rule is written as words: PROTOCOL [ADDRESS] [port PORTS] [from PREFIX [port PORTS]] [type TYPES] [answer ANSWER].

            EXAMPLE
              sudo tapline access allow shared-firewall firewall tcp 203.0.113.97 port 443 from 192.0.2.0/24 --tenant alice
              sudo tapline access default shared-firewall firewall deny answer icmp --tenant alice
              sudo tapline access show shared-firewall firewall --tenant alice
              sudo tapline access remove shared-firewall firewall 1 --tenant alice
              sudo tapline access remove shared-firewall firewall --all --tenant alice
            """.paragraphs,
        subcommands: [List.self, Show.self, Put.self, Allow.self, Deny.self, Default.self, Remove.self])

    /// `tapline access list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List access lists.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var whose: TenantOption

        private struct Listing: Encodable { var access: [AccessView] }

        func run() throws {
            try reporting { () throws(ApplianceError) in
                var lists: [AccessView] = []
                var after: String?
                repeat {
                    let page = try options.ask(
                        for: AccessListing.self, .get, ["access"],
                        query: ["tenant": whose.tenant, "after": after, "limit": "\(Paging.most)"])
                    lists += page.access
                    after = page.next
                } while after != nil
                if options.json { return Terminal.out(try prettyJSON(Listing(access: lists))) }
                var table = TextTable(
                    ["TENANT", "APPLICATION", "RULES", "DEFAULT", "VERSION", "STATE"], rightAligned: [2, 4])
                for list in lists {
                    table.add([
                        list.tenant, list.application, "\(list.rules.count)", list.otherwise.words, "\(list.version)",
                        list.reasons.map { "\(list.state): \($0.joined(separator: "; "))" } ?? list.state,
                    ])
                }
                Terminal.out(table.lines.joined(separator: "\n"))
            }
        }
    }

    /// `tapline access show`.
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show an access list, with how often each rule matched.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The application.") var application: String
        @OptionGroup var whose: TenantOption

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let list = try options.ask(
                    for: AccessView.self, .get, ["access", application], query: ["tenant": whose.tenant])
                if options.json { return Terminal.out(try prettyJSON(list)) }
                var table = TextTable(
                    ["RULE", "ACTION", "MATCHES", "PACKETS", "OCTETS", "COMMENT"], rightAligned: [3, 4])
                for (index, rule) in list.rules.enumerated() {
                    table.add(
                        ["\(index + 1)", rule.rule.verdict, rule.rule.words] + counts(rule.hits) + [
                            rule.rule.comment ?? ""
                        ])
                }
                table.add(
                    ["default", list.otherwise.words, "all else"] + counts(list.otherwise.hits)
                        + [list.otherwise.comment ?? ""])
                Terminal.out(table.lines.joined(separator: "\n"))
                for remark in list.remarks { Terminal.out("remark: \(remark.detail)") }
                for reason in list.reasons ?? [] {
                    Terminal.out((list.state == "in-part" ? "in part: " : "set aside: ") + reason)
                }
            }
        }

        /// Who judges first counts all of it.
        private func counts(_ hits: RuleHits?) -> [String] {
            let count = hits?.engine ?? hits?.application
            return [count.map { "\($0.packets)" } ?? "", count.map { "\($0.octets)" } ?? ""]
        }
    }

    /// `tapline access put`.
    struct Put: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an access list, or replace it, by a file of JSON as the API takes it.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The application.") var application: String
        @Argument(help: "The file, or - for the standard input.", completion: .file()) var file: String
        @OptionGroup var change: ChangeOptions

        func run() throws {
            try reporting { () throws(ApplianceError) in
                guard let json = file == "-" ? readAll(0) : readFile(file) else {
                    throw ApplianceError(.usage, "\(file) cannot be read")
                }
                try AccessBody.put(json, application, options, change, headers: change.headers)
            }
        }
    }

    /// `tapline access allow`.
    struct Allow: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Add a rule that lets packets pass.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var rule: RuleOptions
        @OptionGroup var change: ChangeOptions

        func run() throws { try rule.add("allow", options, change) }
    }

    /// `tapline access deny`.
    struct Deny: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Add a rule that stops packets.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var rule: RuleOptions
        @OptionGroup var change: ChangeOptions

        func run() throws { try rule.add("deny", options, change) }
    }

    /// `tapline access default`.
    struct Default: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Say what happens to packets that match no rule.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The application.") var application: String
        @Argument(help: "allow, deny, or deny answer drop|icmp|reset.") var words: [String]
        @OptionGroup var change: ChangeOptions

        func validate() throws {
            guard words.count == 1 || words.count == 3 && words[1] == "answer" else {
                throw ValidationError("write allow, deny, or deny answer drop|icmp|reset.")
            }
        }

        func run() throws {
            try reporting { () throws(ApplianceError) in
                var body = try AccessBody.current(application, options, change)
                body.otherwise = RecordedVerdict(action: words[0], answer: words.count == 3 ? words[2] : nil)
                try body.put(application, options, change)
            }
        }
    }

    /// `tapline access remove`.
    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove one rule by its number, or a whole access list.")
        @OptionGroup var options: InstructionOptions
        @Argument(help: "The application.") var application: String
        @Argument(help: "The number of the rule, as 'tapline access show' lists it.") var rule: Int?
        @Flag(help: "Remove the whole list: every packet passes then.") var all = false
        @OptionGroup var change: ChangeOptions

        func validate() throws {
            if all, rule != nil { throw ValidationError("Give the number of a rule, or --all.") }
            if !all, rule == nil {
                throw ValidationError(
                    "Which rule? Give its number, as 'tapline access show' lists it; --all removes the whole list.")
            }
        }

        func run() throws {
            try reporting { () throws(ApplianceError) in
                guard let rule else {
                    return try change.tell(
                        try options.ask(
                            for: Outcome.self, .delete, ["access", application], query: change.query,
                            headers: change.headers), options)
                }
                var body = try AccessBody.current(application, options, change)
                guard body.rules.indices.contains(rule - 1) else {
                    throw ApplianceError(
                        .usage, "the access list has no rule \(rule)",
                        hint: "'tapline access show' lists its \(Plural.counted(body.rules.count, "rule"))")
                }
                body.rules.remove(at: rule - 1)
                try body.put(application, options, change)
            }
        }
    }
}

/// A rule on the command line.
struct RuleOptions: ParsableArguments {
    @Argument(help: "The application.") var application: String
    @Argument(help: "The rule in words: tcp 203.0.113.97 port 443 from 192.0.2.0/24.") var words: [String]
    @Option(help: "The place of the rule, from 1. (default: behind the others)") var at: Int?
    @Option(help: "A note for people.") var comment: String?
    @Option(
        name: .customLong("default"),
        help: "What happens to packets that match no rule: allow or deny. (default: as before; allow in a new list)")
    var otherwise: String?

    func add(_ action: String, _ options: InstructionOptions, _ change: ChangeOptions) throws {
        try reporting { () throws(ApplianceError) in
            var rule = try RecordedAccessRule(action: action, words: words)
            rule.comment = comment
            var body = try AccessBody.current(application, options, change)
            let place = (at ?? body.rules.count + 1) - 1
            guard (0...body.rules.count).contains(place) else {
                throw ApplianceError(.usage, "--at is 1 to \(body.rules.count + 1)")
            }
            body.rules.insert(rule, at: place)
            if let otherwise { body.otherwise = RecordedVerdict(action: otherwise, comment: body.otherwise.comment) }
            try body.put(application, options, change)
        }
    }
}
