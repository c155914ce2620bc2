import Plan
import Reporting
import Yams

/// Legs: `attach` of a node, and the legs that services name.
extension FileReader {
    /// Reads the legs of an application or a router.
    func attach(_ node: inout RawNode, _ fields: Fields) {
        if fields["remote"] != nil {
            diagnostics.error(
                fields.origin(of: "remote"), "\(fields.subject) has `remote` beside `attach`",
                hint: "remove one of the two: a remote application is on no interface, but behind tunnels")
        }
        guard let attach = fields["attach"] else {
            guard fields.isMapping else { return }
            diagnostics.error(
                node.name.origin, "\(fields.subject) is attached to no interface",
                hint: "add `attach: { in: …, out: … }`")
            return
        }
        if case .scalar = attach {
            node.legs = leg(attach, nil, "`attach`").map { [$0] } ?? []
            return
        }
        let written = nodes.entries(attach, "`attach`")
        guard written.isMapping else { return }
        var legs: [RawLeg] = []
        for (name, value) in written.pairs where !NodeReader.isExtension(name.value) {
            checkLegName(name, beside: legs)
            if let leg = leg(value, name.value, "`\(name.value)`") { legs.append(leg) }
        }
        if written.pairs.allSatisfy({ NodeReader.isExtension($0.key.value) || $0.key.value == "out" }) {
            diagnostics.error(
                written.origin, "\(fields.subject) has no interface for requests", hint: "add `in: …`")
        }
        node.legs =
            legs.filter { $0.name == "in" } + legs.filter { $0.name != "in" && $0.name != "out" }
            + legs.filter { $0.name == "out" }
    }

    /// Reports a text that cannot be the name of a leg: variables of the node's commands are named after it.
    private func checkLegName(_ name: Located<String>, beside legs: [RawLeg]) {
        func refuse(_ fault: String, _ hint: String) {
            diagnostics.error(
                name.origin, "\(quoted(name.value, seen: true)) cannot be the name of a leg: \(fault)", hint: hint)
        }
        let octets = Array(name.value.utf8)
        let isPlain = octets.allSatisfy {
            (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x2D || $0 == 0x5F
        }
        let variable = LegPlan.variable(ofLeg: name.value)
        let parts = ["MTU", "ADDRESS", "ADDRESS6", "GATEWAY", "GATEWAY6"]
        let isTaken =
            ["TOPOLOGY", "NODE", "DIR", "PORT", "SHARE"].contains(variable)
            || ["IN", "OUT"].contains(variable) && name.value != name.value.lowercased()
            || parts.contains { variable == $0 || variable.hasSuffix("_\($0)") }
        if !isPlain || !(octets.first.map { (0x61...0x7A).contains($0 | 0x20) } ?? false) {
            refuse("it has other characters than letters, digits, - and _", "write one such as dmz or lan-2")
        } else if ["interface", "address", "impair"].contains(name.value) {
            refuse(
                "it is a key of a leg",
                "write { interface: …, address: … } below the leg's name: `in: { interface: … }`")
        } else if ["name", "host-name", "mac", "device", "mtu", "network", "prefix-length"].contains(name.value) {
            refuse("{{ node.\(name.value) }} is a value of the node", "choose another name")
        } else if isTaken {
            refuse("TAPLINE_\(variable) is a variable of another meaning", "choose another name")
        } else if let other = legs.first(where: { $0.name.map(LegPlan.variable(ofLeg:)) == variable }) {
            refuse(
                "the leg \(quoted(other.name ?? "")) \(other.origin.place) has the same variables in commands",
                "rename one of the two")
        }
    }

    private func leg(_ node: Node, _ name: String?, _ what: String) -> RawLeg? {
        if case .scalar = node {
            return nodes.text(node, what).map { RawLeg(name: name, interface: $0, addresses: nil, origin: node.origin) }
        }
        let fields = nodes.fields(node, what, Grammar.leg)
        guard let interface = nodes.text(fields["interface"], "the interface of \(what)") else {
            if fields["interface"] == nil {
                diagnostics.error(node.origin, "\(what) names no interface", hint: "add `interface: …`")
            }
            return nil
        }
        return RawLeg(
            name: name, interface: interface, addresses: fields["address"].map { addresses($0) }, origin: node.origin,
            impairment: impairment(fields["impair"], "`impair` of \(what)"))
    }

    /// The nodes that a service lists, with the legs that it names: `fw`, `{ fw: lan }`, `{ fw: { in: wan, out: lan } }`.
    func stops(_ node: Node?, _ what: String) -> [RawStop] {
        nodes.list(node).flatMap { element -> [RawStop] in
            guard case .mapping = element else {
                return nodes.text(element, what).map { [RawStop(name: $0)] } ?? []
            }
            return nodes.entries(element, what).pairs.map { name, value in
                if case .scalar = value {
                    return RawStop(name: name, enter: nodes.text(value, "the leg of \(quoted(name.value))"))
                }
                let way = nodes.fields(value, "the way through \(quoted(name.value))", Grammar.way)
                return RawStop(
                    name: name, enter: nodes.text(way["in"], "`in`"), leave: nodes.text(way["out"], "`out`"))
            }
        }
    }

    /// Reads the addresses of an instance, for its only leg or by the names of its legs.
    func addresses(of node: inout RawNode, _ fields: Fields) {
        guard let address = fields["address"] else { return }
        guard case .mapping = address else {
            if node.legs.count > 1 {
                let names = node.legs.compactMap(\.name).map { "\($0): …" }.joined(separator: ", ")
                diagnostics.error(
                    fields.origin(of: "address"),
                    "\(fields.subject) has \(node.legs.count == 2 ? "two sides" : "\(node.legs.count) legs"), and `address` "
                        + "does not say which",
                    hint: "write address: { \(names) }")
            }
            if !node.legs.isEmpty { node.legs[0].addresses = addresses(address) }
            return
        }
        for (name, value) in nodes.entries(address, "`address` of \(fields.subject)").pairs
        where !NodeReader.isExtension(name.value) {
            let found =
                node.legs.firstIndex { $0.name == name.value }
                ?? (name.value == "in" && node.legs.count == 1 && node.legs[0].name == nil ? 0 : nil)
            if let found {
                node.legs[found].addresses = addresses(value)
                continue
            }
            let known = node.legs.compactMap(\.name)
            diagnostics.error(
                name.origin, "\(fields.subject) has no leg \(quoted(name.value))",
                hint: known.isEmpty
                    ? "write `address: …`: it has one leg" : Spelling.hint(for: name.value, among: known, kind: "legs"))
        }
    }
}
