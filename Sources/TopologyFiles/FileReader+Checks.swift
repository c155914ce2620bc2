import Plan
import Reporting
import Wire
import Yams

extension FileReader {
    /// One check.
    func check(_ node: Node) -> RawCheck? {
        let fields = nodes.fields(node, "a check", Grammar.check)
        guard fields.isMapping else { return nil }
        if let unread = unread(node) {
            let name = fields["name"]?.scalar?.string ?? ""
            return RawCheck(name: name, origin: node.origin, steps: [], listsSteps: false, unread: unread)
        }
        let name = nodes.text(fields["name"], "the name of a check")
        // It stands in reports that are read line by line.
        if let name { checkName(name, "check") }
        if fields["name"] == nil {
            diagnostics.error(node.origin, "the check has no name", hint: "add `name: …`: what the check proves")
        }
        guard let kind = nodes.kind(of: fields, Grammar.check) else {
            guard !hasStrayKeys(fields, Grammar.check) else { return nil }
            diagnostics.error(
                fields.origin, "a check must have one of \(Self.listed(Grammar.check.kinds))",
                hint: "write { name: …, on: node, run: command }, for example")
            return nil
        }
        var check = RawCheck(
            name: name?.value ?? kind, origin: node.origin, steps: [], listsSteps: kind == "steps")
        if kind == "steps" {
            let steps = nodes.list(fields["steps"])
            if steps.isEmpty {
                diagnostics.error(
                    fields.origin(of: "steps"), "the check has no step", hint: "write `- { on: node, run: command }`")
            }
            check.steps = steps.compactMap(self.step)
        } else if let step = step(fields, kind) {
            check.steps = [step]
        }
        findNames(of: check.steps)
        return check
    }

    /// One step of a check, or of an outage.
    func step(_ node: Node) -> RawStep? {
        let fields = nodes.fields(node, "a step", Grammar.step)
        guard fields.isMapping else { return nil }
        guard let kind = nodes.kind(of: fields, Grammar.step) else {
            guard !hasStrayKeys(fields, Grammar.step) else { return nil }
            diagnostics.error(
                fields.origin, "a step must have one of \(Self.listed(Grammar.step.kinds))",
                hint: "write { on: node, run: command }, for example")
            return nil
        }
        return step(fields, kind)
    }

    /// True if an unknown key was reported: a missing key may be what it was meant to be.
    func hasStrayKeys(_ fields: Fields, _ grammars: MappingGrammar...) -> Bool {
        let known = Set(grammars.flatMap(\.keyNames))
        return fields.pairs.contains { !known.contains($0.key.value) }
    }

    private static func listed(_ words: [String]) -> String {
        let quoted = words.map { "`\($0)`" }
        return quoted.dropLast().joined(separator: ", ") + " and " + (quoted.last ?? "")
    }

    /// An earlier step must have begun the names in `finish` and `captured`.
    private func findNames(of steps: [RawStep]) {
        var started: Set<String> = []
        var captured: Set<String> = []
        for step in steps.flatMap(\.withInnerSteps) {
            switch step.action {
            case .start(let name, _):
                if !started.insert(name.value).inserted {
                    diagnostics.error(
                        name.origin, "\(quoted(name.value)) was started before", hint: "give it another name")
                }
            case .finish(let name, _):
                if started.remove(name.value) == nil {
                    diagnostics.error(
                        name.origin, "no step before this one starts \(quoted(name.value))",
                        hint: Spelling.nearest(to: name.value, among: Array(started)).map {
                            "did you mean \(quoted($0))?"
                        } ?? "add { start: \(name.value), on: node, run: command } before it")
                }
            case .capture(let place):
                captured.insert(place.node.value)
            case .captured(let place, _, _, _):
                if !captured.contains(place.node.value) {
                    diagnostics.error(
                        place.node.origin, "no step before this one captures on \(quoted(place.node.value))",
                        hint: "add { capture: \(place.node.value) } before it")
                }
            default: break
            }
        }
    }

    // MARK: - Steps

    private func step(_ fields: Fields, _ kind: String) -> RawStep? {
        let before = diagnostics.count
        let within =
            nodes.duration(fields["within"], "`within`")?.value
            ?? (kind == "mapping" ? patience(ofMapping: fields["mapping"]) : nil) ?? 0
        let limit = ["packet", "path", "outage"].contains(kind) ? 2000 : 30_000
        let timeout = nodes.duration(fields["timeout"], "`timeout`", mayBeZero: false)?.value ?? limit
        guard let action = action(fields, kind), diagnostics.count == before else { return nil }
        return RawStep(
            origin: fields.origin, summary: summary(fields, kind), action: action, within: within, timeout: timeout)
    }

    /// The step in a few words.
    private func summary(_ fields: Fields, _ kind: String) -> String {
        let subject = fields[kind]?.scalar?.string ?? ""
        switch kind {
        case "on", "start":
            let command = fields["run"]?.scalar?.string ?? ""
            let line = command.split(separator: "\n").first.map(String.init) ?? ""
            return "\(kind) \(subject): " + (line.count > 60 ? line.prefix(60) + " …" : line)
        case "packet", "path", "outage": return "\(kind) to \(fields[kind].flatMap { nodes.peek($0, "to") } ?? "")"
        case "mapping":
            return "mapping of \(fields[kind].flatMap { nodes.peek($0, "application") } ?? "")"
        case "impair":
            let link = ["interface", "node", "service"].compactMap { key in
                fields[kind].flatMap { nodes.peek($0, key) }
            }
            return "impair \(link.reversed().joined(separator: "/"))"
        default: return "\(kind) \(subject)"
        }
    }

    private func action(_ fields: Fields, _ kind: String) -> RawStep.Action? {
        switch kind {
        case "packet": return packet(fields).map { .packet($0) }
        case "path": return path(fields).map { .path($0) }
        case "outage": return outage(fields).map { .outage($0) }
        case "mapping": return mapping(fields["mapping"]).map { .mapping($0) }
        case "impair": return impairmentStep(fields["impair"])
        default: break
        }
        guard let subject = nodes.text(fields[kind], "`\(kind)`") else { return nil }
        switch kind {
        case "on":
            return command(fields).map { .command($0, commandExpectation(fields["expect"])) }
        case "start":
            return command(fields).map { .start(name: subject, $0) }
        case "finish":
            return .finish(name: subject, commandExpectation(fields["expect"]))
        case "log":
            let output = textExpectation(fields["expect"])
            if output.isEmpty { expectsNothing(fields, "the log", "expect: text") }
            let program = nodes.text(fields["program"], "`program`")
            if program != nil, fields["file"] != nil {
                diagnostics.error(
                    fields.origin(of: "file"), "the check has a `file` and a `program`",
                    hint: "remove one of them: a file is in the node's folder, whichever program writes it")
            }
            return .log(node: subject, program: program, file: fileInFolder(fields["file"]), output, since(fields))
        case "entry":
            let packets = number(fields["packets"], "`packets`")
            let bytes = number(fields["bytes"], "`bytes`")
            if packets == nil, bytes == nil { expectsNothing(fields, "the entry", "packets: \">= 1\"") }
            return .entry(name: subject, packets: packets, bytes: bytes, since(fields))
        case "interface":
            var expectations: [InterfaceCounter: NumberExpectation] = [:]
            for counter in InterfaceCounter.allCases {
                expectations[counter] = number(fields[counter.rawValue], "`\(counter.rawValue)`")
            }
            if expectations.isEmpty { expectsNothing(fields, "the interface", "received: \">= 1\"") }
            return .interface(name: subject, expectations, since(fields))
        case "drops":
            guard let frames = number(fields["frames"], "`frames`") else {
                expectsNothing(fields, "the drops", "frames: \">= 1\"")
                return nil
            }
            return .drops(reason: subject, frames: frames, since(fields))
        case "wait":
            return nodes.duration(fields["wait"], "`wait`").map { .wait($0.value) }
        case "capture":
            return .capture(place(subject, fields))
        case "captured":
            let frames = number(fields["frames"], "`frames`")
            let bytes = number(fields["bytes"], "`bytes`")
            if frames == nil, bytes == nil { expectsNothing(fields, "the capture", "frames: \">= 1\"") }
            return .captured(place(subject, fields), frameFilter(fields["where"]), frames: frames, bytes: bytes)
        case "instruct": return instruction(subject, fields)
        case "instance": return instance(subject, fields)
        case "event": return event(subject, fields)
        default:
            let duration = nodes.duration(fields["for"], "`for`")?.value
            return FaultPlan.Kind(rawValue: kind).map { .fault($0, place(subject, fields), duration: duration) }
        }
    }

    func expectsNothing(_ fields: Fields, _ what: String, _ key: String) {
        guard !hasStrayKeys(fields, Grammar.check, Grammar.step),
            ["expect", "packets", "bytes", "frames", "is"].allSatisfy({ fields[$0] == nil })
        else { return }
        diagnostics.error(fields.origin, "the check expects nothing from \(what)", hint: "add `\(key)`")
    }

    private func place(_ node: Located<String>, _ fields: Fields) -> RawPlace {
        RawPlace(node: node, interface: nodes.text(fields["interface"], "`interface`"))
    }

    private func command(_ fields: Fields) -> RawCommand? {
        let node = nodes.text(fields["on"], "`on`")
        if fields["on"] == nil {
            diagnostics.error(fields.origin, "the command has no node", hint: "add `on: node`")
        }
        guard let command = nodes.text(fields["run"], "`run`") else {
            if fields["run"] == nil {
                diagnostics.error(fields.origin, "the check runs nothing", hint: "add `run: command`")
            }
            return nil
        }
        let alters = nodes.flag(fields["alters"], "`alters`")?.value ?? false
        return node.map { RawCommand(node: $0, command: command, alters: alters) }
    }

    func fileInFolder(_ node: Node?) -> String? {
        guard let file = nodes.text(node, "`file`") else { return nil }
        if file.value.hasPrefix("/") || file.value.split(separator: "/").contains("..") {
            diagnostics.error(
                file.origin, "\(quoted(file.value)) is not in the node's folder",
                hint: "name a file that the node writes below $TAPLINE_DIR")
        }
        return file.value
    }

    func since(_ fields: Fields) -> CountingStart {
        let since: Located<CountingStart>? = nodes.choice(fields["since"], "`since`")
        return since?.value ?? .start
    }

    // MARK: - Packets and frames

    private func packet(_ fields: Fields) -> RawPacket? {
        guard let node = fields["packet"] else { return nil }
        let packet = nodes.fields(node, "a packet", Grammar.packet)
        guard packet.isMapping else { return nil }
        for key in ["from", "to"] where packet[key] == nil {
            diagnostics.error(
                packet.origin, "the packet has no `\(key)`",
                hint: key == "from" ? "add `from: node`, its sender" : "add `to: address`, its destination")
        }
        if fields["reaches"] == nil {
            diagnostics.error(
                fields.origin, "the check does not say which nodes the packet reaches",
                hint: "add `reaches: [[ids, firewall], web]`, or `reaches: []` for none")
        }
        let from = nodes.text(packet["from"], "`from`")
        let port = nodes.port(packet["port"], "`port`", mayBeZero: true) ?? Located(.icmp, packet.origin)
        let sourcePort = nodes.integer(packet["source-port"], "`source-port`", in: 1...65535)
        let size = nodes.integer(packet["size"], "`size`", in: 20...65535)
        let hopLimit = nodes.integer(packet["ttl"], "`ttl`", in: 1...255)
        let dontFragment = nodes.flag(packet["dont-fragment"], "`dont-fragment`")
        let payload = nodes.text(packet["payload"], "`payload`", mayBeEmpty: true)
        let source = host(packet["source"], "`source`")
        let reaches = stages(fields["reaches"], "`reaches`")
        let answer = fields["answer"].map { stages($0, "`answer`") }
        guard let from, let to = host(packet["to"], "`to`") else { return nil }
        return RawPacket(
            origin: packet.origin, from: from, source: source, to: to, port: port,
            sourcePort: sourcePort.map { UInt16($0.value) }, payload: payload?.value, size: size,
            hopLimit: UInt8(hopLimit?.value ?? 64), dontFragment: dontFragment?.value ?? false, reaches: reaches,
            answer: answer)
    }

    /// An address without a length.
    func host(_ node: Node?, _ what: String) -> Located<IPAddress>? {
        guard let address = nodes.address(node, what) else { return nil }
        if address.value.hasLength {
            diagnostics.error(
                address.origin, "\(what) is a prefix, but one host is needed",
                hint: "write \(address.value.value.address)")
        }
        return Located(address.value.value.address, address.origin)
    }

    private func stages(_ node: Node?, _ what: String) -> [[Located<String>]] {
        nodes.list(node).map { nodes.texts($0, "a node of \(what)") }
    }

    private func frameFilter(_ node: Node?) -> RawFrameFilter {
        guard let node, !node.isNothing else { return RawFrameFilter() }
        let fields = nodes.fields(node, "`where`", Grammar.frameFilter)
        var filter = RawFrameFilter()
        for key in ["source", "destination", "contains"] { nodes.refuseEmptyList(fields, key, "all frames") }
        filter.port = nodes.port(fields["port"], "`port`", mayBeZero: true)?.value
        filter.source = endpoints(fields["source"], "`source`")
        filter.destination = endpoints(fields["destination"], "`destination`")
        filter.contains = nodes.texts(fields["contains"], "`contains`").map(\.value)
        let direction: Located<FrameFilter.Direction>? = nodes.choice(fields["direction"], "`direction`")
        filter.direction = direction?.value
        return filter
    }

    private func endpoints(_ node: Node?, _ what: String) -> [RawFrameFilter.Endpoint] {
        nodes.list(node).compactMap { element -> RawFrameFilter.Endpoint? in
            guard let written = nodes.text(element, what) else { return nil }
            if !NameForm.looksLikeAddress(written.value) { return .node(written) }
            return nodes.prefix(element, what).map { .prefix($0.value) }
        }
    }
}
