import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Finds the names in the steps of the checks, and plans the steps.
struct CheckResolver: EntryStage, Diagnosing {
    let planned: PlannedEntries
    /// For each application: its health checks.
    let healthChecks: [[HealthCheckPlan]]
    let diagnostics: Diagnostics

    /// The checks of the file, each with the steps of which every name was found.
    func checks() -> [CheckPlan] {
        let entryNames = Array(Set(entries.map(\.name))).sorted()
        return file.checks.compactMap { written in
            let found = read(written)
            let steps = found.map { self.steps($0.steps, entryNames) } ?? []
            guard let check = found, check.unread == nil, !steps.isEmpty else {
                // A check without steps would hold whatever happens. Its mistake has been reported, but for a fault here.
                if diagnostics.isEmpty {
                    diagnostics.error(
                        written.origin, "the check \(quoted(written.name)) has no step that could be read",
                        hint: "write its expressions as plain values")
                }
                return nil
            }
            return CheckPlan(name: check.name, origin: check.origin, steps: steps, listsSteps: check.listsSteps)
        }
    }

    /// The check, with values in the places of expressions.
    private func read(_ check: RawCheck) -> RawCheck? {
        guard let unread = check.unread else { return check }
        let expressions = ExpressionResolver(addressed: addressed, diagnostics: diagnostics)
        return unread.check(diagnostics) { expressions.text($0) }
    }

    /// The steps of which every name was found.
    func steps(_ raw: [RawStep], _ entryNames: [String]) -> [StepPlan] {
        raw.compactMap { step in
            action(step.action, entryNames).map {
                StepPlan(
                    origin: step.origin, summary: step.summary, action: $0, within: step.within, timeout: step.timeout)
            }
        }
    }

    private func action(_ raw: RawStep.Action, _ entryNames: [String]) -> StepPlan.Action? {
        switch raw {
        case .command(let command, let expectation):
            return self.command(command).map { .command($0, expectation) }
        case .start(let name, let command):
            return self.command(command).map { .start(name: name.value, $0) }
        case .finish(let name, let expectation):
            return .finish(name: name.value, expectation)
        case .log(let node, let program, let file, let output, let since):
            return source(node, program, file).map { .log($0, output, since) }
        case .entry(let name, let packets, let bytes, let since):
            guard entryNames.contains(name.value) else {
                diagnostics.error(
                    name.origin, "there is no entry \(quoted(name.value))",
                    hint: Spelling.hint(for: name.value, among: entryNames, kind: "entries"))
                return nil
            }
            return .entry(name: name.value, packets: packets, bytes: bytes, since)
        case .interface(let name, let expectations, let since):
            return interface(name).map { .interface(index: $0, expectations, since) }
        case .drops(let reason, let frames, let since):
            if let hint = DropReasonNames.hint(for: reason.value) {
                diagnostics.error(reason.origin, "there is no drop reason \(quoted(reason.value))", hint: hint)
                return nil
            }
            return .drops(reason: reason.value, frames: frames, since)
        case .packet(let packet): return self.packet(packet).map { .packet($0) }
        case .path(let path): return self.path(path).map { .path($0) }
        case .outage(let outage): return self.outage(outage, entryNames).map { .outage($0) }
        case .wait(let milliseconds): return .wait(milliseconds)
        case .capture(let place): return self.place(place).map { .capture($0) }
        case .captured(let place, let filter, let frames, let bytes):
            guard let place = self.place(place) else { return nil }
            return .captured(place, self.filter(filter), frames: frames, bytes: bytes)
        case .instance(let name, let expectation): return instance(name).map { .instance($0, expectation) }
        case .event(let event, let since): return self.event(event).map { .event($0, since) }
        case .mapping(let raw): return mapping(raw).map { .mapping($0) }
        case .impair(let place, let impairment):
            return impaired(place).map { .impair(ImpairmentStep(place: $0, impairment: impairment)) }
        case .fault(let kind, let place, let duration): return fault(kind, place, duration).map { .fault($0) }
        case .instruct(let instruction, let expectation):
            return self.instruction(instruction).map { .instruct($0, expectation) }
        }
    }

    private func mapping(_ raw: RawMappingExpectation) -> MappingExpectation? {
        let asking = file.negotiations().map(\.name.value)
        guard asking.contains(raw.application.value) else {
            let isThere = nodeIndex[raw.application.value] != nil
            diagnostics.error(
                raw.application.origin,
                isThere
                    ? "\(quoted(raw.application.value)) asks for no mappings"
                    : "there is no application \(quoted(raw.application.value))",
                hint: isThere
                    ? "add `negotiate` to it"
                    : Spelling.hint(for: raw.application.value, among: asking, kind: "applications that ask"))
            return nil
        }
        return raw.expectation
    }

    private func instruction(_ raw: RawInstruction) -> InstructionStep? {
        guard file.records != nil else {
            diagnostics.error(
                raw.origin, "there is no API of tenants: the file keeps no records",
                hint: "add `records: {}` and `tenants`")
            return nil
        }
        var step = InstructionStep(method: raw.method, target: raw.target, body: raw.body)
        if let name = raw.node, let path = raw.file {
            guard let place = source(name, nil, path) else { return nil }
            step.into = place
        }
        return step
    }

    private func source(_ name: Located<String>, _ program: Located<String>?, _ file: String?) -> LogSource? {
        guard let node = single(name) else { return nil }
        let known = self.file.nodes[node].process.programs.map(\.name)
        if let program, !known.contains(program.value) {
            diagnostics.error(
                program.origin, "\(quoted(name.value)) has no program \(quoted(program.value))",
                hint: known.isEmpty
                    ? "it has no `programs`: remove the key"
                    : Spelling.hint(for: program.value, among: known, kind: "programs"))
            return nil
        }
        return LogSource(node: self.file.nodes[node].name.value, program: program?.value, file: file)
    }

    private func command(_ raw: RawCommand) -> CommandPlan? {
        single(raw.node).map {
            let expressions = ExpressionResolver(addressed: addressed, diagnostics: diagnostics)
            return CommandPlan(
                node: file.nodes[$0].name.value,
                command: expressions.text(raw.command.value, of: $0, at: raw.command.origin), alters: raw.alters)
        }
    }

    /// A node's device: on the interface that is named, or the only one.
    func place(_ raw: RawPlace) -> CapturePlace? {
        guard let node = single(raw.node) else { return nil }
        let name = file.nodes[node].name.value
        let own = legs[node].map(\.interface)
        let names = own.map { file.interfaces[$0].name.value }
        if let interfaceName = raw.interface {
            guard let named = interface(interfaceName) else { return nil }
            guard let index = own.first(where: { isPart($0, of: named) }) else {
                diagnostics.error(
                    interfaceName.origin,
                    "\(quoted(raw.node.value)) is not on the interface \(quoted(interfaceName.value))",
                    hint: "it is on \(names.joined(separator: " and "))")
                return nil
            }
            return CapturePlace(node: name, interface: index)
        }
        guard own.count == 1 else {
            guard !own.isEmpty else { return nil }
            diagnostics.error(
                raw.node.origin, "\(quoted(raw.node.value)) is on \(names.joined(separator: " and "))",
                hint: "name one: `interface:  \(names[0])`")
            return nil
        }
        return CapturePlace(node: name, interface: own[0])
    }

    private func filter(_ raw: RawFrameFilter) -> FrameFilter {
        func prefixes(_ endpoints: [RawFrameFilter.Endpoint]) -> [IPPrefix] {
            endpoints.flatMap { endpoint -> [IPPrefix] in
                switch endpoint {
                case .prefix(let prefix): return [prefix]
                case .node(let name):
                    let found = every(name)
                    let own = found.flatMap { legs[$0] }.flatMap(\.addresses).map { IPPrefix(host: $0.address) }
                    if own.isEmpty, !found.isEmpty {
                        diagnostics.error(
                            name.origin, "\(quoted(name.value)) has no address of its own", hint: "write an address")
                    }
                    return own
                }
            }
        }
        return FrameFilter(
            port: raw.port, source: prefixes(raw.source), destination: prefixes(raw.destination),
            contains: raw.contains, direction: raw.direction)
    }

    // MARK: - Packets

    func packet(_ raw: RawPacket) -> PacketPlan? {
        let to = raw.to.value
        let from = single(raw.from)
        let reaches = stages(raw.reaches)
        let answer = raw.answer.map(stages)
        guard let from, let transport = transport(raw, to.family) else { return nil }
        if let source = raw.source, source.value.family != to.family {
            diagnostics.error(
                source.origin, "the source \(source.value) and the destination \(to) are of two families",
                hint: "write two addresses of one family")
            return nil
        }
        // The default route of a node leads out of its last device; that of one with more than two, as services leave it.
        let own = legs[from]
        let usual = own.count > 2 && !file.nodes[from].passive ? own[exitLeg(from) ?? 0] : own.last
        let candidates = [usual].compactMap { $0 } + own.reversed()
        guard let source = raw.source?.value ?? candidates.compactMap({ $0.address(to.family) }).first else {
            diagnostics.error(
                raw.from.origin,
                "\(quoted(raw.from.value)) has no \(to.family == .ipv4 ? "IPv4" : "IPv6") address to send from",
                hint: "give the packet a `source`")
            return nil
        }
        checkSize(raw, transport.length, from)
        remarkOnSource(raw, from: from)
        return PacketPlan(
            from: file.nodes[from].name.value, source: source, destination: to, protocolNumber: transport.number,
            port: transport.port, sourcePort: raw.sourcePort, payload: raw.payload.map { Array($0.utf8) },
            size: raw.size?.value, hopLimit: raw.hopLimit, dontFragment: raw.dontFragment, reaches: reaches,
            answer: answer, standIns: standIns(reaches + (answer ?? [])))
    }

    /// The nodes of each stage. An application whose instances share its work means the instance that gets the packet.
    /// An application whose instances all get it means all of them.
    func stages(_ raw: [[Located<String>]]) -> [[String]] {
        raw.map { stage in
            stage.flatMap { name -> [String] in
                let found = every(name)
                guard found.count > 1, let application = application(of: found[0]), !application.isCopied else {
                    return found.map { file.nodes[$0].name.value }
                }
                return [name.value]
            }
        }
    }

    /// The instances that stages mean by their application's name.
    func standIns(_ stages: [[String]]) -> [String: String] {
        var standIns: [String: String] = [:]
        let names = Set(stages.joined())
        for application in applications
        where names.contains(application.raw.name.value) && application.members.count > 1 {
            for member in application.members where !names.contains(file.nodes[member].name.value) {
                standIns[file.nodes[member].name.value] = application.raw.name.value
            }
        }
        return standIns
    }

    private func transport(_ raw: RawPacket, _ family: AddressFamily) -> (number: UInt8, port: UInt16, length: Int)? {
        let service = raw.port.value.servicePort(family)
        let ports = raw.port.value.ports
        func refuse(_ message: String, _ hint: String) -> (number: UInt8, port: UInt16, length: Int)? {
            diagnostics.error(raw.port.origin, message, hint: hint)
            return nil
        }
        guard let number = service.protocolNumber else {
            return refuse("a packet has one protocol", "write `port: tcp/80`, `udp/53` or `icmp`, for example")
        }
        var headers = family == .ipv4 ? 20 : 40
        switch number {
        case IPProtocol.tcp, IPProtocol.udp:
            headers += number == IPProtocol.tcp ? 20 : 8
            guard ports.count == 1 else { return refuse("a packet has one port", "write `port: tcp/80`, for example") }
        case IPProtocol.icmp, IPProtocol.icmpv6: headers += 8
        default:
            guard !IPProtocol.hasPorts(number) else {
                return refuse(
                    "a check can send TCP, UDP, ICMP and protocols without ports",
                    "run a program with that protocol: { on: \(raw.from.value), run: command }")
            }
        }
        if let fault = HeaderChain.fault(of: Array((raw.payload ?? "").utf8), first: number, family) {
            return refuse(
                "protocol \(number) is a header that engines look behind, but \(fault)",
                "give the packet a `payload` that is such headers, at most \(HeaderChain.maximumCount) of together at "
                    + "most \(HeaderChain.maximumLength) octets, and what they announce")
        }
        let length = headers + (raw.payload?.utf8.count ?? 0)
        if let size = raw.size, size.value < length {
            diagnostics.error(
                size.origin, "a size of \(size.value) has no room for the packet's \(length) octets",
                hint: "write \(length) or more, or omit `size`")
            return nil
        }
        guard length <= 65_535 else {
            return refuse("the packet has \(length) octets, and at most 65,535 fit", "shorten `payload`")
        }
        return (number, IPProtocol.hasPorts(number) ? ports.lowerBound : 0, max(length, raw.size?.value ?? 0))
    }

    /// A packet is sent as it is, and not in fragments: it must fit one of the node's devices.
    private func checkSize(_ raw: RawPacket, _ length: Int, _ from: Int) {
        guard let widest = legs[from].map({ file.interfaces[$0.interface].mtu.value }).max(), length > widest else {
            return
        }
        diagnostics.error(
            raw.size?.origin ?? raw.from.origin,
            "the packet has \(length) octets, and the device of \(quoted(raw.from.value)) carries \(widest)",
            hint: raw.size == nil
                ? "shorten `payload`, or raise the interface's `mtu`"
                : "write \(widest) or less, or raise the interface's `mtu`")
    }
}
