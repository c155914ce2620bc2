import Appliance
import ApplianceClient
import ArgumentParser
import ControlAPI
import Fabric
import Glibc
import Plan
import Reporting

/// `tapline status`.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show applications, nodes, interfaces, the engine, and drops by reason.",
        discussion: """
            Without a name, all topologies are listed. With --json the keys are stable: version, name, state (starting, up,
            stopping, dead, hung), run, file, pid, since (seconds since 1970), engine, engines, applications, interfaces, nodes,
            drops, housekeeping, problems, remarks; impairments and groups where there are any.

            EXAMPLE
              sudo tapline status four-interface
              sudo tapline status --json
              sudo tapline status four-interface --watch
            """.paragraphs)

    @Argument(help: "The topology's name.", completion: topologyNames)
    var name: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Flag(help: "Watch live rates, as 'tapline top' does.")
    var watch = false

    @OptionGroup(visibility: .hidden) var watching: WatchOptions

    func validate() throws {
        if watch, name == nil { throw ValidationError("Name the topology to watch.") }
        if !watch, !watching.isDefault {
            throw ValidationError("--interval, --count, --sort and --filter go with --watch.")
        }
    }

    func run() throws {
        if watch, let name { return try watching.watch(name, json: json) }
        try reporting { () throws(ApplianceError) in
            try Machine.requireRoot()
            if let name {
                let report = try ApplianceClient(name: name).status()
                if json { Terminal.json(try prettyJSON(report)) } else { Terminal.out(text(report)) }
            } else {
                let reports = try ApplianceClient.all()
                if json { Terminal.json(try prettyJSON(reports)) } else { Terminal.out(list(reports)) }
                for report in reports where report.state == .hung && !json {
                    for problem in report.problems { Terminal.error("note: \(problem)") }
                }
            }
        }
    }

    private func list(_ reports: [StatusReport]) -> String {
        guard !reports.isEmpty else {
            return geteuid() == 0
                ? "no topology is up" : "no topology of this user is up; use sudo to see those of root"
        }
        var table = TextTable(["NAME", "STATE", "NODES", "ENGINE", "FILE"])
        for report in reports {
            table.add([
                report.name, Self.state(report.state.rawValue, good: ["up"], passing: ["starting", "stopping"]),
                "\(report.nodes.count)", report.engine.map { Self.engineState($0.state) } ?? "-", report.file,
            ])
        }
        return table.lines.joined(separator: "\n")
    }

    private func engines(_ report: StatusReport) -> [String] {
        var table = TextTable(
            ["ENGINE", "STATE", "PID", "STARTS", "PACKETS", "QUEUES", ""], rightAligned: [0, 2, 3, 4])
        for engine in report.engines {
            table.add([
                "\(engine.number)", Self.engineState(engine.state), engine.pid.map { "\($0)" } ?? "-",
                "\(engine.starts)",
                "\(engine.packets)",
                engine.queues.isEmpty ? "-" : engine.queues.map { "\($0)" }.joined(separator: " "),
                engine.lastEnd.map { "the last one \($0)" } ?? "",
            ])
        }
        return [""] + table.lines
    }

    /// A state: red if something is down, yellow if it will pass.
    private static func state(_ state: String, _ rest: String = "", good: Set<String>, passing: Set<String>) -> String {
        good.contains(state) ? state + rest : Terminal.coloured(state + rest, passing.contains(state) ? 33 : 31)
    }

    private static func engineState(_ state: String) -> String {
        self.state(state, good: ["running"], passing: ["starting", "replacing", "draining", "drained"])
    }

    private static func nodeState(_ word: String, _ lastEnd: String?) -> String {
        let end = lastEnd.map { " (\($0))" } ?? ""
        return state(
            word, end, good: ["idle", "ready"], passing: ["waiting", "setup", "starting", "restarting"])
    }

    /// How the engine moves frames.
    private func frames(_ engine: StatusReport.Engine) -> [String] {
        var lines: [String] = []
        if let writes = engine.writes {
            let ring = writes == EnginesPlan.Writing.ring.rawValue
            lines.append("writes: " + (ring ? writes : "one by one") + (engine.writesBecause.map { ": \($0)" } ?? ""))
        }
        lines.append(
            "coalescing: "
                + (engine.coalescing ? "on, \(Plural.counted(engine.joined, "frame")) coalesced with others" : "off")
        )
        if engine.latency == EnginesPlan.Latency.low.rawValue { lines.append("latency: low") }
        return lines
    }

    /// The interfaces, with their encapsulations if any has one.
    private func interfaces(_ report: StatusReport) -> [String] {
        let hasCircuits = report.interfaces.contains { $0.encapsulation != nil }
        var table = TextTable(
            ["INTERFACE", "MTU", "RECEIVED", "SENT", "ADDRESSES"] + (hasCircuits ? ["ENCAPSULATION"] : []) + ["NODES"],
            rightAligned: [1, 2, 3])
        for interface in report.interfaces {
            let headers = interface.encapsulation.map { $0 + (interface.carrier.map { " on \($0)" } ?? "") } ?? "-"
            table.add(
                [
                    interface.name, "\(interface.mtu)", "\(interface.receivedPackets)", "\(interface.sentPackets)",
                    interface.addresses.isEmpty ? "-" : interface.addresses.joined(separator: " "),
                ] + (hasCircuits ? [headers] : []) + [interface.nodes.joined(separator: " ")])
        }
        return table.lines
    }

    private func text(_ report: StatusReport) -> String {
        let state = Self.state(report.state.rawValue, good: ["up"], passing: ["starting", "stopping"])
        var lines = ["\(report.name): \(state)" + (report.pid.map { ", control process \($0)" } ?? "")]
        if report.state == .dead {
            return lines[0] + "; 'tapline down \(report.name)' takes away what it left"
        }
        if report.engines.count > 1 {
            lines += engines(report)
        } else if let engine = report.engine {
            var line = "engine: \(Self.engineState(engine.state))" + (engine.pid.map { ", process \($0)" } ?? "")
            line += ", \(Plural.counted(engine.workers, "worker")), started \(Plural.counted(engine.starts, "time"))"
            lines.append(line + (engine.lastEnd.map { "; the last one \($0)" } ?? ""))
        }
        if let engine = report.engine { lines += frames(engine) }
        if let mappings = report.mappings {
            lines.append("mappings: \(Plural.counted(mappings, "service port")) that applications asked for")
        }
        if let management = report.management {
            lines.append(
                "management: \(management.locations.joined(separator: ", "))"
                    + (management.clientCertificates ? ", with tokens or client certificates" : ""))
            lines.append(
                "certificate: \(management.made ? "made here" : "of the file"), until \(management.expires.prefix(10)), SHA-256 "
                    + management.fingerprint)
        }
        lines = lines.flatMap { Terminal.wrapped($0) }
        lines += report.problems.flatMap { Terminal.wrapped(Terminal.coloured("problem:", 31) + " \($0)") }
        lines += report.remarks.flatMap { Terminal.wrapped(Terminal.coloured("remark:", 33) + " \($0)") }
        lines += StatusApplications(report: report).lines
        lines += [""] + interfaces(report)
        if let groups = report.groups {
            var table = TextTable(["GROUP", "INTERFACE", "MEMBERS", "MAY JOIN"])
            for group in groups {
                let names = { (nodes: [String]) in nodes.isEmpty ? "-" : nodes.joined(separator: ", ") }
                table.add([group.address, group.interface, names(group.joined), names(group.absent)])
            }
            lines += [""] + table.lines
        }
        if let impaired = report.impairments { lines += [""] + ImpairmentTable(links: impaired).lines }
        var nodes = TextTable(["NODE", "KIND", "STATE", "PID", "RESTARTS", "ADDRESSES"], rightAligned: [3, 4])
        for node in report.nodes {
            nodes.add([
                node.name, node.type ?? node.kind, Self.nodeState(node.state, node.lastEnd),
                node.pid.map { "\($0)" } ?? "-", "\(node.restarts)",
                node.legs.map {
                    "\($0.interface)\($0.encapsulation.map { " (\($0))" } ?? ""): \($0.addresses.joined(separator: " "))"
                }.joined(separator: "; "),
            ])
            for program in node.programs {
                nodes.add([
                    "  \(program.name)", "program", Self.nodeState(program.state, program.lastEnd),
                    program.pid.map { "\($0)" } ?? "-", "\(program.restarts)", "",
                ])
            }
        }
        lines += [""] + nodes.lines
        let ringDrops = report.interfaces.filter { $0.ringDrops > 0 }
        if report.drops.isEmpty, ringDrops.isEmpty {
            lines += ["", "nothing was dropped"]
        } else {
            var drops = TextTable(["DROPPED", "REASON", ""], rightAligned: [0])
            for drop in report.drops {
                drops.add(["\(drop.frames)", drop.reason, drop.sentence])
                if let last = drop.last { drops.add(["", "", "last: \(last.sentence)"]) }
            }
            for interface in ringDrops {
                drops.add([
                    "\(interface.ringDrops)", InterfaceCounter.ringDrops.rawValue,
                    StatusReport.Interface.ringDropSentence(interface.name),
                ])
            }
            lines += [""] + drops.lines
        }
        if let frames = report.housekeeping, frames > 0 {
            let summary = Plural.counted(frames, "frame")
            lines += Terminal.wrapped(
                "not counted above: \(summary) that the nodes' kernels sent for housekeeping (router solicitations, MLD, IGMP, address detection)"
            )
        }
        return lines.joined(separator: "\n")
    }
}
