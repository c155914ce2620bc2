import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The probes of applications' health checks, once their interfaces and places in the chains are known.
struct HealthResolver: ServiceStage, Diagnosing {
    let served: ServedTopology
    let diagnostics: Diagnostics

    /// For each application: its health checks. Reports checks that cannot work.
    func checks() -> [[HealthCheckPlan]] {
        applications.map { application in
            var names: [String: Int] = [:]
            var plans: [HealthCheckPlan] = []
            var origins: [SourceOrigin] = []
            for check in application.raw.health {
                for (kind, probe, own) in allProbes(check, of: application) {
                    let name = check.program.map { "\($0): \(kind.hasPrefix("log of ") ? "log" : kind)" } ?? kind
                    names[name, default: 0] += 1
                    let number = names[name] ?? 1
                    origins.append(check.origin)
                    var plan = HealthCheckPlan(
                        name: number == 1 ? name : "\(name) \(number)", origin: check.origin, probe: probe,
                        interval: check.interval, fastInterval: check.fastInterval, timeout: check.timeout,
                        rise: check.rise, fall: check.fall)
                    plan.ownProbes = own
                    aim(&plan, of: application)
                    plans.append(plan)
                }
            }
            checkContradictions(Array(zip(plans, origins)))
            return plans
        }
    }

    /// What asks an instance that is a virtual machine asks the machine.
    private func aim(_ plan: inout HealthCheckPlan, of application: ResolvedApplication) {
        for node in application.members {
            guard case .machine? = file.nodes[node].process.guest,
                let address = AddressFamily.allCases.lazy.compactMap({ family in
                    legs[node].lazy.compactMap { $0.address(family) }.first
                }).first
            else { continue }
            let name = file.nodes[node].name.value
            let probe = plan.ownProbes[name] ?? plan.probe
            if probe.aimed(at: address) != probe { plan.ownProbes[name] = probe.aimed(at: address) }
        }
    }

    /// The probes of a check, each with those of instances that have another one.
    private func allProbes(
        _ check: RawHealthCheck, of application: ResolvedApplication
    ) -> [(name: String, probe: HealthCheckPlan.Probe, own: [String: HealthCheckPlan.Probe])] {
        guard !isBeyondReach(check, of: application) else { return [] }
        if case .command(let command) = check.probe {
            return [("command", .command(command), ownCommands(command, of: application))]
        }
        guard case .unread(let part) = check.probe else {
            return probes(check, of: application).map { ($0.name, $0.probe, [:]) }
        }
        let expressions = ExpressionResolver(addressed: addressed, diagnostics: diagnostics)
        let subject =
            check.program.map { "program \(quoted($0))" } ?? "application \(quoted(application.raw.name.value))"
        var first: (name: String, probe: HealthCheckPlan.Probe)?
        var own: [String: HealthCheckPlan.Probe] = [:]
        for node in application.members {
            guard
                let read = part.health(of: subject, diagnostics, { expressions.text($0, of: node) })?.of(check.program),
                let found = probes(read, of: application).first
            else { return [] }
            first = first ?? found
            own[file.nodes[node].name.value] = found.probe
        }
        guard let first else { return [] }
        let isShared = own.values.allSatisfy { $0 == first.probe }
        if !isShared, case .heartbeat = first.probe {
            diagnostics.error(
                check.origin, "this heartbeat differs from instance to instance",
                hint: "write addresses that all of them pass on")
        }
        return [(first.name, first.probe, isShared ? [:] : own)]
    }

    /// Reports a check that is made inside a node, if the application is at another site.
    private func isBeyondReach(_ check: RawHealthCheck, of application: ResolvedApplication) -> Bool {
        guard file.nodes[application.members[0]].remote != nil else { return false }
        switch check.probe {
        case .echo, .heartbeat: return false
        case .neighbour, .tcp, .http, .command, .question, .unread: break
        }
        diagnostics.error(
            check.origin,
            "\(quoted(application.raw.name.value)) is at another site, where no check of this kind can be made",
            hint: "write { echo: true }, or { heartbeat: true }: these go through its tunnels")
        return true
    }

    private func probes(
        _ check: RawHealthCheck, of application: ResolvedApplication
    ) -> [(name: String, probe: HealthCheckPlan.Probe)] {
        switch check.probe {
        case .tcp(let address, let port): return [("tcp \(port)", .tcp(address: address, port: port))]
        case .http(let address, let port, let path, let host, let status, let body):
            return [
                (
                    "http \(port)\(path)",
                    .http(address: address, port: port, path: path, host: host, status: status, body: body)
                )
            ]
        case .command(let command): return [("command", .command(command))]
        case .question(let question): return [(question.name, .question(question))]
        case .neighbour, .echo: return legProbes(check, of: application)
        case .heartbeat(let raw):
            return heartbeat(raw, check, of: application).map {
                [(raw.isNegative ? "negative heartbeat" : "heartbeat", .heartbeat($0))]
            } ?? []
        case .unread: return []
        }
    }

    /// The command of each instance, by its node, if the command has expressions.
    private func ownCommands(
        _ command: String, of application: ResolvedApplication
    ) -> [String: HealthCheckPlan.Probe] {
        guard let place = application.raw.template.expressionPlaces[command] else { return [:] }
        let expressions = ExpressionResolver(addressed: addressed, diagnostics: diagnostics)
        let pairs = application.members.map { node -> (String, HealthCheckPlan.Probe) in
            (file.nodes[node].name.value, .command(expressions.text(command, of: node, at: place)))
        }
        return Dictionary(pairs) { first, _ in first }
    }

    /// One for each leg: one side that does not answer is the instance failed.
    private func legProbes(
        _ check: RawHealthCheck, of application: ResolvedApplication
    ) -> [(name: String, probe: HealthCheckPlan.Probe)] {
        var isEcho = false
        if case .echo = check.probe { isEcho = true }
        guard !application.raw.template.transparent else {
            diagnostics.error(
                check.origin,
                "\(quoted(application.raw.name.value)) is transparent: it has no address that could answer",
                hint: "write { heartbeat: true }, which passes it")
            return []
        }
        return legs[application.members[0]].enumerated().map { place, leg in
            let name = file.interfaces[leg.interface].name.value
            return isEcho
                ? ("echo \(name)", .echo(leg: place, address: nil))
                : ("neighbour \(name)", .neighbour(leg: place, address: nil))
        }
    }

    // MARK: - Heartbeats

    private func heartbeat(
        _ raw: RawHeartbeat, _ check: RawHealthCheck, of application: ResolvedApplication
    ) -> HeartbeatPlan? {
        let node = application.members[0]
        let name = quoted(application.raw.name.value)
        guard let exit = exitLeg(node), exit == legs[node].count - 1, exit > 0, entryLeg(node) == 0,
            systems[node] == .inlineApplication
        else {
            // The code that reads the interfaces reports a missing one.
            guard file.nodes[node].legs.count == legs[node].count else { return nil }
            let why =
                application.raw.template.passive
                ? "is passive: it passes no packets on"
                : legs[node].count < 2
                    ? "has one interface"
                    : systems[node] == .inlineApplication
                        ? "has no legs `in` and `out`" : "ends its services: it passes no packets on"
            diagnostics.error(
                check.origin, "\(name) \(why), and a heartbeat goes in on one side and comes out on the other",
                hint: "write { neighbour: true }, { tcp: 80 } or { http: 80 } for an application that answers itself")
            return nil
        }
        guard let (source, destination) = ends(raw, check, of: application) else { return nil }
        let least = source.family == .ipv4 ? 52 : 72
        if raw.size.value < least {
            diagnostics.error(
                raw.size.origin,
                "a heartbeat of \(raw.size.value) octets is too small for its headers and its identification",
                hint: "write \(least) or more")
        }
        return HeartbeatPlan(
            isNegative: raw.isNegative, kind: raw.kind, source: source, destination: destination, size: raw.size.value,
            hopLimit: raw.hopLimit, trafficClass: raw.trafficClass)
    }

    /// The ends of a heartbeat: those in the file, else the engine's own addresses on either side, IPv4 before IPv6.
    private func ends(
        _ raw: RawHeartbeat, _ check: RawHealthCheck, of application: ResolvedApplication
    ) -> (source: IPAddress, destination: IPAddress)? {
        let own = legs[application.members[0]]
        let (near, far) = (own[0], own[own.count - 1])
        if let source = raw.source, let destination = raw.destination, source.value.family != destination.value.family {
            diagnostics.error(
                destination.origin,
                "the source \(source.value) and the destination \(destination.value) are of two families",
                hint: "write two addresses of one family")
            return nil
        }
        let isTransparent = application.raw.template.transparent
        let families = (raw.source ?? raw.destination).map { [$0.value.family] } ?? [.ipv4, .ipv6]
        for family in families {
            let documentation = isTransparent && families.count == 1
            let source = raw.source?.value ?? engine(family, near) ?? (documentation ? Self.example(family).0 : nil)
            let destination =
                raw.destination?.value ?? engine(family, far) ?? (documentation ? Self.example(family).1 : nil)
            guard let source, let destination else { continue }
            return checkRouting(source, destination, raw, check, of: application) ? (source, destination) : nil
        }
        if isTransparent { return Self.example(.ipv4) }
        let missing = [near, far].first { leg in !families.contains { engine($0, leg) != nil } } ?? far
        let interface = file.interfaces[missing.interface].name.value
        let isFamily = families.count == 1 ? (families[0] == .ipv4 ? "IPv4 " : "IPv6 ") : ""
        diagnostics.error(
            check.origin,
            "the engine has no \(isFamily)address on interface \(quoted(interface)) for the heartbeat of "
                + "\(quoted(application.raw.name.value)), or none of the family that it has on the other side",
            hint: "give the interface one, or write the heartbeat's `source` and `destination`")
        return nil
    }

    /// The engine's address on a leg's interface that packets can be routed to.
    private func engine(_ family: AddressFamily, _ leg: ResolvedLeg) -> IPAddress? {
        file.interfaces[leg.interface].addresses.map(\.value.value.address)
            .first { $0.family == family && !$0.isLinkLocal }
    }

    /// Addresses for documentation (RFC 5737, RFC 3849), which belong to no host: a bump in the wire needs no more.
    private static func example(_ family: AddressFamily) -> (IPAddress, IPAddress) {
        family == .ipv4
            ? (IPAddress(ipv4: 0xC000_0201), IPAddress(ipv4: 0xC633_6401))
            : (
                IPAddress(ipv6High: 0x2001_0DB8_0000_0001, low: 1), IPAddress(ipv6High: 0x2001_0DB8_0000_0002, low: 1)
            )
    }

    /// A router needs addresses of IPv4 to pass IPv4 on; IPv6 it routes by its link-local ones.
    private func checkRouting(
        _ source: IPAddress, _ destination: IPAddress, _ raw: RawHeartbeat, _ check: RawHealthCheck,
        of application: ResolvedApplication
    ) -> Bool {
        guard !application.raw.template.transparent else { return true }
        if source == destination {
            diagnostics.error(
                (raw.destination ?? raw.source)?.origin ?? check.origin,
                "a heartbeat from \(source) to itself passes no node", hint: "write two addresses")
            return false
        }
        for node in application.members {
            let own = legs[node].flatMap(\.addresses).map(\.address)
            if let mine = [source, destination].first(where: own.contains) {
                let written = [raw.source, raw.destination].compactMap { $0 }.first { $0.value == mine }
                diagnostics.error(
                    written?.origin ?? check.origin,
                    "\(mine) is the address of \(quoted(file.nodes[node].name.value)) itself, so it would keep the heartbeat",
                    hint: "omit it, or write an address behind it")
                return false
            }
            guard source.family == .ipv4, let bare = legs[node].first(where: { $0.address(.ipv4) == nil }) else {
                continue
            }
            diagnostics.error(
                check.origin,
                "\(quoted(file.nodes[node].name.value)) has no IPv4 address on interface "
                    + "\(quoted(file.interfaces[bare.interface].name.value)): it cannot pass an IPv4 heartbeat on there",
                hint: "give it one, or write a `source` and a `destination` of IPv6")
            return false
        }
        return true
    }

    /// The same packet cannot have to come out and have to stay in.
    private func checkContradictions(_ plans: [(HealthCheckPlan, SourceOrigin)]) {
        let heartbeats = plans.compactMap { plan, origin -> (origin: SourceOrigin, packet: HeartbeatPlan)? in
            if case .heartbeat(let packet) = plan.probe { return (origin, packet) }
            return nil
        }
        for (origin, packet) in heartbeats where packet.isNegative {
            var positive = packet
            positive.isNegative = false
            guard let other = heartbeats.first(where: { $0.packet == positive }) else { continue }
            diagnostics.error(
                origin,
                "the packet of this negative heartbeat is that of the heartbeat \(other.origin.place): it cannot both "
                    + "pass and not pass",
                hint: "give it another protocol, port or address that the application blocks")
        }
    }
}

extension RawHealthCheck {
    /// The same as a check of a program of the node.
    fileprivate func of(_ program: String?) -> RawHealthCheck {
        var check = self
        check.program = program
        if let program, case .question(.log(let pattern, _)) = probe {
            check.probe = .question(.log(pattern, program: program))
        }
        return check
    }
}
