import Plan
import Reporting
import Wire
import Yams

/// The kind of an application's send address.
enum SendMode: String, CaseIterable {
    case mac
    case network
    case announced
}

extension FileReader {
    /// A customer, application or router: its node, or the nodes of its instances with their common part.
    func node(
        _ name: Located<String>, _ value: Node, _ kind: NodeKind
    ) -> (nodes: [RawNode], application: RawApplication?) {
        let subject = "\(kind.rawValue) \(quoted(name.value))"
        var node = RawNode(name: name, kind: kind)
        let grammar =
            switch kind {
            case .customer: Grammar.customer
            case .application: Grammar.application
            case .router: Grammar.router
            }
        let fields = nodes.fields(value, subject, grammar)
        if kind == .application {
            application(&node, fields)
        } else if fields["attach"] != nil {
            for key in ["interface", "address"] where fields[key] != nil {
                diagnostics.error(
                    fields.origin(of: key), "\(subject) has `\(key)` beside `attach`",
                    hint: "write { interface: …, address: … } inside `attach`")
            }
            attach(&node, fields)
        } else if kind == .customer, fields["remote"] != nil {
            for key in ["interface", "circuit", "address", "impair"] where fields[key] != nil {
                diagnostics.error(
                    fields.origin(of: key), "\(subject) has `\(key)` beside `remote`",
                    hint: key == "address"
                        ? "write it inside `remote`" : "remove one of the two: a remote customer is behind a tunnel")
            }
            remote(&node, fields)
        } else {
            let key = fields["circuit"] == nil ? "interface" : "circuit"
            let position = fields.origin(of: key)
            if key == "circuit", fields["interface"] != nil {
                diagnostics.error(
                    position, "\(subject) has `circuit` beside `interface`", hint: "remove one of the two")
            } else if key == "circuit" {
                guard let circuit = nodes.text(fields[key], "the circuit of \(subject)") else { return ([node], nil) }
                var leg = RawLeg(
                    interface: circuit, addresses: fields["address"].map { addresses($0) }, origin: position,
                    impairment: impairment(fields["impair"], "`impair` of \(subject)"))
                leg.namesCircuit = true
                node.legs = [leg]
            } else if let interface = nodes.text(fields["interface"], "the interface of \(subject)") {
                node.legs = [
                    RawLeg(
                        interface: interface, addresses: fields["address"].map { addresses($0) }, origin: position,
                        impairment: impairment(fields["impair"], "`impair` of \(subject)"))
                ]
            } else if fields["interface"] == nil, fields.isMapping {
                diagnostics.error(
                    name.origin, "\(subject) is on no interface", hint: "add `interface: …`")
            }
        }
        own(&node, fields)
        guard kind == .application,
            hasProgramHealth(fields) || fields.pairs.contains(where: { Grammar.redundancyKeys.contains($0.key.value) })
        else { return ([node], nil) }
        return instances(of: node, fields)
    }

    /// One value of `may-have`: an address, or a mapping of one with its MAC address.
    private func mayHave(_ node: inout RawNode, _ held: Node) {
        guard held.mapping != nil else {
            if let prefix = nodes.prefix(held, "an address of `may-have`") { node.mayHave.append(prefix) }
            return
        }
        let fields = nodes.fields(held, "`may-have`", Grammar.virtualAddress)
        guard fields["address"] != nil, fields["mac"] != nil else {
            diagnostics.error(
                fields.origin, "`may-have` needs both `address` and `mac`",
                hint: "write { address: 198.18.4.100, mac: \"00:00:5e:00:01:33\" }, or the address alone")
            return
        }
        let written = nodes.text(fields["mac"], "the MAC address of `may-have`")
        let mac = written.flatMap { text in MACAddress(text.value).map { Located($0, text.origin) } }
        if let written, mac == nil {
            diagnostics.error(
                written.origin, "\(quoted(written.value)) is no MAC address",
                hint: "write it in quotes: \"00:00:5e:00:01:33\"")
        }
        for value in nodes.list(fields["address"]) {
            guard let prefix = nodes.prefix(value, "an address of `may-have`") else { continue }
            node.mayHave.append(prefix)
            guard let mac else { continue }
            if mac.value.isMulticast || mac.value.isZero {
                diagnostics.error(
                    mac.origin, "\(mac.value) is not a MAC address that one station can have",
                    hint: "write an address whose first octet is even; VRRP has 00:00:5e:00:01:XX, with the router's "
                        + "number")
            } else {
                node.virtual.append((prefix, mac))
            }
        }
    }

    /// Reads the keys that every node may have; values without a key stay as they are.
    ///
    /// - Parameter ofInstance: Whether they are an instance's, which replace those of its application.
    func own(_ node: inout RawNode, _ fields: Fields, ofInstance: Bool = false) {
        if let prefixes = fields["prefixes"] {
            node.prefixes = nodes.list(prefixes).compactMap { nodes.prefix($0, "a network behind \(fields.subject)") }
        }
        if let held = fields["may-have"] {
            (node.mayHave, node.virtual) = ([], [])
            for one in nodes.list(held) { mayHave(&node, one) }
        }
        if let offload = nodes.flag(fields["offload"], "`offload`") { node.offload = offload.value }
        if let judged = nodes.flag(fields["anti-spoofing"], "`anti-spoofing`") { node.antiSpoofing = judged }
        process(&node, fields)
        guest(&node, fields)
        files(&node, fields)
        if let filesystem = fields["filesystem"] { node.filesystem = self.filesystem(filesystem) }
        confinement(&node.process.confinement, fields)
        programs(&node, fields, ofInstance: ofInstance)
        kernel(&node, fields)
        attachment(&node, fields)
        for (_, value) in fields.pairs { node.expressionPlaces.merge(value.expressionPlaces()) { _, own in own } }
    }

    func addresses(_ node: Node) -> [Located<RawAddress>] {
        nodes.list(node).compactMap { nodes.address($0, "the address") }
    }

    private func application(_ node: inout RawNode, _ fields: Fields) {
        node.type = nodes.text(fields["type"], "the type")?.value
        node.passive = nodes.flag(fields["passive"], "`passive`")?.value ?? false
        node.transparent = nodes.flag(fields["transparent"], "`transparent`")?.value ?? false
        node.activeResponses = nodes.flag(fields["active-responses"], "`active-responses`")
        let mode: Located<SendMode>? = nodes.choice(fields["send"], "`send`")
        if mode?.value == .network { node.networkAddress = mode?.origin }
        if mode?.value == .announced { node.announced = mode?.origin }
        if fields["remote"] != nil, fields["attach"] == nil { remote(&node, fields) } else { attach(&node, fields) }
        let copies: Located<CopyMode>? = nodes.choice(fields["copies"], "`copies`")
        if let copies {
            if !node.passive {
                diagnostics.error(
                    copies.origin, "\(fields.subject) is not passive, so it gets packets, not copies",
                    hint: "remove `copies`, or add `passive: true`")
            } else if copies.value == .everything {
                node.copiesEverything = copies.origin
            }
        }
        if node.passive, let out = node.legs.last, out.name == "out" {
            diagnostics.error(
                out.interface.origin, "\(fields.subject) is passive, but has an interface to pass packets on",
                hint: "give a further leg another name, such as `management`; or remove `out`, or `passive`")
            node.legs.removeLast()
        }
        if node.transparent, node.legs.count != 2 || node.passive {
            let fault =
                node.passive
                ? "passive" : node.legs.count < 2 ? "has no second interface" : "has \(node.legs.count) legs"
            diagnostics.error(
                fields.origin(of: "transparent"), "\(fields.subject) is transparent and \(fault)",
                hint: node.passive
                    ? "remove one of the two"
                    : node.legs.count < 2
                        ? "add `out` to its `attach`" : "frames pass it between two legs: make two applications of it")
            node.transparent = false
        }
        if let active = node.activeResponses, !node.passive {
            diagnostics.error(
                fields.origin(of: "active-responses"), "\(fields.subject) is not passive, so it may always answer",
                hint: active.value ? "remove `active-responses`, or add `passive: true`" : "remove `active-responses`")
        }
        if let position = node.networkAddress ?? node.announced, node.passive || node.transparent {
            diagnostics.error(
                position,
                "\(fields.subject) is \(node.passive ? "passive" : "transparent"): packets reach it as they are",
                hint: "remove `send`")
            node.networkAddress = nil
            node.announced = nil
        }
        node.access = judges(of: node, fields)
        node.negotiation = negotiation(of: node, fields)
    }

    private func process(_ node: inout RawNode, _ fields: Fields) {
        if let setup = fields["setup"] {
            node.process.setup = nodes.texts(setup, "a command of `setup`").map { command($0, "a command of `setup`") }
        }
        if let run = nodes.text(fields["run"], "`run`") { node.process.run = command(run, "`run`") }
        if let reload = nodes.text(fields["reload"], "`reload`") { node.process.reload = command(reload, "`reload`") }
        if let depends = fields["depends"] { dependencies(&node, depends) }
        if let timeout = nodes.duration(fields["ready-timeout"], "`ready-timeout`", mayBeZero: false) {
            node.process.readyTimeout = timeout.value
        }
        if let restart: Located<RestartPolicy> = nodes.choice(fields["restart"], "`restart`") {
            node.process.restart = restart.value
        }
        environment(fields["environment"], into: &node.process.environment)
        if let ready = fields["ready"] {
            node.unreadReadiness[""] = UnreadPart(ready)
            node.process.ready = node.unreadReadiness[""] == nil ? readiness(ready, fields.subject) : .started
        }
    }

    /// A command, which the shell gets as one argument: Linux gives that 131,072 octets with the zero behind it
    /// (MAX_ARG_STRLEN, execve(2)).
    func command(_ written: Located<String>, _ what: String) -> String {
        if written.value.utf8.count > 131_071 {
            diagnostics.error(
                written.origin,
                "\(what) has \(written.value.utf8.count) octets, but a program can get at most 131,071 at once",
                hint: "put it into a script next to the file, and run that")
        }
        return written.value
    }

    func readiness(_ node: Node, _ subject: String) -> ReadinessPlan {
        if case .scalar(let scalar) = node {
            if scalar.string == "started" { return .started }
            diagnostics.error(
                node.origin, "`ready` of \(subject) is \(node.shape)",
                hint: Spelling.nearest(to: scalar.string, among: ["started"]).map { "did you mean \(quoted($0))?" }
                    ?? "write { run: command }, { tcp: 80 }, { http: 80 } or started")
            return .started
        }
        let fields = nodes.fields(node, "`ready`", Grammar.readiness)
        guard let kind = nodes.kind(of: fields, Grammar.readiness) else {
            guard fields.isMapping else { return .started }
            diagnostics.error(
                node.origin,
                "`ready` must have one of " + Grammar.readiness.kinds.map { "`\($0)`" }.joined(separator: ", "),
                hint: "write { run: command }, { tcp: 80 } or { http: 80, path: / }")
            return .started
        }
        if kind == "run" {
            return nodes.text(fields["run"], "`run` of `ready`").map { .command($0.value) } ?? .started
        }
        if Grammar.questionKinds.contains(kind) {
            return question(kind, fields, of: "`ready`").map { .question($0) } ?? .started
        }
        guard let asked = asked(fields, kind, of: "`ready`") else { return .started }
        if kind == "tcp" { return .tcp(address: asked.address, port: asked.port) }
        return .http(
            address: asked.address, port: asked.port, path: asked.path, host: asked.host, status: asked.status)
    }

    /// A question to a program inside its node.
    struct Asked {
        var address: IPAddress
        var port: UInt16
        var path: String
        var host: String
        var status: Int
    }

    /// The port at `kind`, and the keys beside it.
    func asked(_ fields: Fields, _ kind: String, of what: String) -> Asked? {
        var address = IPAddress(ipv4: 0x7F00_0001)
        if let written = nodes.address(fields["address"], "the address of \(what)") {
            address = written.value.value.address
        }
        guard let port = nodes.integer(fields[kind], "the port of \(what)", in: 1...65535) else { return nil }
        return Asked(
            address: address, port: UInt16(port.value), path: nodes.text(fields["path"], "`path`")?.value ?? "/",
            host: nodes.text(fields["host"], "`host`")?.value
                ?? (address.family == .ipv4 ? "\(address)" : "[\(address)]"),
            status: nodes.integer(fields["status"], "`status`", in: 100...599)?.value ?? 200)
    }

    private func kernel(_ node: inout RawNode, _ fields: Fields) {
        for (key, value) in nodes.textMap(fields["sysctls"], "`sysctls`") {
            let legal = key.value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } && !key.value.contains("..")
            if !key.value.hasPrefix("net.") || !legal || key.value.contains("/../") {
                diagnostics.error(
                    key.origin, "\(quoted(key.value)) is not a sysctl of a network namespace",
                    hint: "write one that starts with net., such as net.ipv4.ip_forward")
            } else if KernelSettings.isNobodys(key.value) {
                diagnostics.error(
                    key.origin, "no kernel has a sysctl \(quoted(key.value)) in a network namespace",
                    hint: "write one that begins with net.ipv4., net.ipv6., net.core. or net.netfilter., for example")
            } else if value.value.allSatisfy(\.isWhitespace) {
                diagnostics.error(
                    key.origin, "the sysctl \(quoted(key.value)) has no value", hint: "write one, or remove the key")
            } else {
                if let fault = KernelSettings.fault(of: key.value, value: value.value) {
                    if fault.mayBeTaken {
                        diagnostics.remark(value.origin, fault.message, hint: fault.hint)
                    } else {
                        diagnostics.error(value.origin, fault.message, hint: fault.hint)
                    }
                }
                node.sysctls.append(SysctlPlan(key.value, value.value))
                node.sysctlPlaces.append((key.value, key.origin))
            }
        }
        if let hosts = fields["hosts"] {
            let named = nodes.entries(hosts, "`hosts`").pairs
            node.hosts.removeAll { host in named.contains { $0.key.value == host.name } }
            for (key, value) in named {
                for item in nodes.list(value) {
                    guard let address = nodes.address(item, "the address of host \(quoted(key.value))") else {
                        continue
                    }
                    node.hosts.append(HostPlan(address: address.value.value.address, name: key.value))
                }
                if key.value.isEmpty || key.value.unicodeScalars.contains(where: { $0.value <= 0x20 || $0 == "#" }) {
                    diagnostics.error(
                        key.origin, "\(quoted(key.value)) cannot be the name of a host", hint: "remove the blanks")
                }
            }
        }
        for item in nodes.list(fields["routes"]) {
            let route = nodes.fields(item, "a route", Grammar.route)
            let via = nodes.address(route["via"], "the next hop of a route")
            let destination: IPPrefix?
            if route["to"]?.scalar?.string == "default" {
                destination = via.map { .everything($0.value.value.address.family) }
            } else {
                destination = nodes.prefix(route["to"], "the destination of a route")?.value
            }
            for key in ["to", "via"] where route[key] == nil && route.isMapping {
                diagnostics.error(item.origin, "a route has no `\(key)`", hint: "write { to: prefix, via: address }")
            }
            if let destination, let via {
                if destination.family != via.value.value.address.family {
                    diagnostics.error(
                        via.origin,
                        "the route to \(destination) goes by way of \(via.value.value.address), of the other family",
                        hint: "name a next hop of the destination's family")
                } else if node.routes.contains(where: { $0.destination == destination }) {
                    diagnostics.error(
                        item.origin, "there is a route to \(destination) already",
                        hint: "remove one: the node uses only one")
                } else {
                    node.routes.append(
                        RawRoute(destination: destination, gateway: via.map { $0.value.address }))
                }
            }
        }
    }
}
