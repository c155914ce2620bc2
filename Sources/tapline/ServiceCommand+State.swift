import ArgumentParser
import ControlAPI
import Instructions
import Reporting

extension ServiceCommand {
    /// `tapline service show`.
    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one service: what it is, what it counts, and how its applications are.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var one: OneService

        private struct Whole: Encodable {
            var service: ServiceView
            var counters: ServiceCounters
            var health: ServiceHealth
        }

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let whole = Whole(
                    service: try one.read(ServiceView.self, nil, options),
                    counters: try one.read(ServiceCounters.self, "counters", options),
                    health: try one.read(ServiceHealth.self, "health", options))
                if options.json { return Terminal.out(try prettyJSON(whole)) }
                let service = whole.service
                func line(_ name: String, _ values: [String], or nothing: String) {
                    Terminal.out("\(name): \(values.isEmpty ? nothing : values.joined(separator: ", "))")
                }
                Terminal.out("\(service.tenant)/\(service.name), version \(service.version): \(service.state)")
                for reason in service.reasons ?? [] { Terminal.out("  \(reason)") }
                line("addresses", service.addresses, or: "none")
                line("ports", service.ports, or: "any")
                line("from", service.from, or: "every interface with customers")
                line("distribute", service.distribute, or: "none")
                line("sequence", service.sequence, or: "none")
                Terminal.out("")
                whole.counters.print()
                Terminal.out("")
                whole.health.print()
            }
        }
    }

    /// `tapline service counters`.
    struct Counters: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what a service counts.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var one: OneService

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let counters = try one.read(ServiceCounters.self, "counters", options)
                if options.json { return Terminal.out(try prettyJSON(counters)) }
                counters.print()
            }
        }
    }

    /// `tapline service health`.
    struct Health: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show how the applications in a service's chain are.")
        @OptionGroup var options: InstructionOptions
        @OptionGroup var one: OneService

        func run() throws {
            try reporting { () throws(ApplianceError) in
                let health = try one.read(ServiceHealth.self, "health", options)
                if options.json { return Terminal.out(try prettyJSON(health)) }
                health.print()
            }
        }
    }
}

/// One service of a tenant.
struct OneService: ParsableArguments {
    @Argument(help: "The service's name.") var service: String
    @OptionGroup var whose: TenantOption

    /// Reads what the API says of it.
    ///
    /// - Parameter part: The last part of the path; nil: the service itself.
    func read<Answer: Decodable>(
        _ type: Answer.Type, _ part: String?, _ options: InstructionOptions
    ) throws(ApplianceError) -> Answer {
        try options.ask(
            for: type, .get, ["services", service] + (part.map { [$0] } ?? []), query: ["tenant": whose.tenant])
    }
}

extension ServiceCounters {
    fileprivate func print() {
        var table = TextTable(["", "PACKETS", "OCTETS"], rightAligned: [1, 2])
        func add(_ name: String, _ packets: UInt64, _ octets: UInt64) { table.add([name, "\(packets)", "\(octets)"]) }
        add("requests", requests.packets, requests.octets)
        add("responses", responses.packets, responses.octets)
        for entry in entries { add(entry.name, entry.packets, entry.octets) }
        Terminal.out(table.lines.joined(separator: "\n"))
        for drop in drops { Terminal.out("dropped lately: \(drop.reason): \(drop.sentence)") }
    }
}

extension ServiceHealth {
    fileprivate func print() {
        Terminal.out("health: \(state)")
        var table = TextTable(["APPLICATION", "STATE", "WHEN DOWN", "INSTANCES"])
        for application in applications {
            table.add([
                application.passive ? "(\(application.name))" : application.name, application.state,
                application.whenDown ?? "",
                application.instances.map(\.state).joined(separator: ", "),
            ])
        }
        Terminal.out(table.lines.joined(separator: "\n"))
    }
}
