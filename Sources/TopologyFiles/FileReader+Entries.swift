import Forwarding
import Plan
import Reporting
import Wire
import Yams

/// Which end of the chain an entry's packets go to, as the file has it.
enum EntryDirection: String, CaseIterable {
    case request
    case response
}

extension FileReader {
    /// How the file calls the destination system types.
    static let systems: [(name: String, system: DestinationSystemType)] = [
        ("passive-application", .passiveApplication), ("inline-application", .inlineApplication),
        ("terminal-application", .terminalApplication), ("router", .router), ("customer", .customer),
        ("packeting-engine", .packetingEngine),
    ]

    /// The entries by hand of both tables.
    func entries(_ node: Node) -> [RawEntry] {
        let fields = nodes.fields(node, "entries", Grammar.entries)
        return nodes.list(fields["distribution"]).compactMap { entry($0, .distribution) }
            + nodes.list(fields["sequencing"]).compactMap { entry($0, .sequencing) }
    }

    private func entry(_ node: Node, _ kind: EntryKind) -> RawEntry? {
        let what = kind == .distribution ? "a distribution entry" : "a sequencing entry"
        let fields = nodes.fields(node, what, Grammar.entry)
        var isWhole = true
        for key in Grammar.entry.keys.filter(\.isRequired).map(\.name) where fields[key] == nil {
            guard fields.isMapping else { return nil }
            diagnostics.error(node.origin, "\(what) has no `\(key)`", hint: "add `\(key): …`")
            isWhole = false
        }
        let name = nodes.text(fields["name"], "the name of \(what)", mayBeEmpty: true)
        if let name { checkName(name, "entry") }
        let received = nodes.text(fields["received-interface"], "`received-interface`")
        let source = endpoint(fields["source"], "`source`")
        let destination = endpoint(fields["destination"], "`destination`")
        let ports = nodes.list(fields["service-port"]).compactMap { nodes.port($0, "`service-port`") }
        nodes.refuseEmptyList(fields, "service-port", "all ports")
        let direction: Located<EntryDirection>? = nodes.choice(fields["direction"], "`direction`")
        let rewrite = nodes.address(fields["rewrite-source"], "`rewrite-source`")
        let targets = nodes.list(fields["to"]).compactMap { target($0) }
        guard isWhole, let name, let received else { return nil }
        if let destination, case .mac = destination.value {
            diagnostics.error(
                destination.origin, "a destination is a network address", hint: "write an address or a prefix")
        }
        if kind == .distribution, let direction, direction.value == .response {
            diagnostics.error(
                direction.origin, "a distribution entry is for requests", hint: "write it as a sequencing entry")
        }
        if nodes.list(fields["to"]).isEmpty {
            diagnostics.error(fields.origin(of: "to"), "\(what) sends nothing", hint: "give `to` a target")
        }
        return RawEntry(
            name: name, kind: kind, origin: node.origin, received: received, source: source,
            destination: destination, ports: ports.isEmpty ? [Located(.any, node.origin)] : ports,
            direction: direction?.value == .response ? .response : .request,
            rewriteSource: rewrite?.map { $0.value.address }, targets: targets)
    }

    private func endpoint(_ node: Node?, _ what: String) -> Located<RawEndpoint>? {
        guard let written = nodes.text(node, what) else { return nil }
        if written.value == "any" { return Located(.any, written.origin) }
        if let mac = MACAddress(written.value) { return Located(.mac(mac), written.origin) }
        guard NameForm.looksLikeAddress(written.value) else { return Located(.node(written.value), written.origin) }
        return nodes.prefix(node, what).map { $0.map { RawEndpoint.prefix($0) } }
    }

    private func target(_ node: Node) -> RawTarget? {
        if case .scalar = node {
            guard let name = nodes.text(node, "a target") else { return nil }
            return RawTarget(origin: node.origin, interface: nil, address: .node(name), system: nil)
        }
        let fields = nodes.fields(node, "a target", Grammar.target)
        let kinds = Grammar.target.kinds.filter { fields[$0] != nil }
        guard kinds.count == 1 else {
            diagnostics.error(
                node.origin, "a target has \(kinds.isEmpty ? "no send address" : "several send addresses")",
                hint: "give it one of `application`, `mac`, `network` and `neighbour`")
            return nil
        }
        let interface = nodes.text(fields["interface"], "the send interface")
        var system: DestinationSystemType?
        if let written = nodes.text(fields["system"], "`system`") {
            system = Self.systems.first { $0.name == written.value }?.system
            if system == nil {
                let names = Self.systems.map(\.name)
                diagnostics.error(
                    written.origin, "there is no destination system type \(quoted(written.value))",
                    hint: Spelling.hint(for: written.value, among: names, kind: "types"))
            }
        }
        let kind = kinds[0]
        let address: RawTarget.Address
        switch kind {
        case "mac":
            guard let text = nodes.text(fields[kind], "`mac`") else { return nil }
            guard let mac = MACAddress(text.value), !mac.isMulticast, !mac.isZero else {
                diagnostics.error(
                    text.origin, "\(quoted(text.value)) is not the MAC address of one station",
                    hint: "write six pairs of hexadecimal digits such as \"02:00:00:00:00:01\"")
                return nil
            }
            address = .mac(mac)
        case "network":
            guard let network = nodes.address(fields[kind], "`network`") else { return nil }
            address = .network(network.value.value.address)
        case "neighbour":
            if let flag = fields[kind], ["true", "yes", "on"].contains(flag.scalar?.string.lowercased()) {
                address = .neighbour(via: nil)
            } else {
                guard let via = nodes.address(fields[kind], "`neighbour`") else { return nil }
                address = .neighbour(via: via.value.value.address)
            }
        default:
            guard let name = nodes.text(fields[kind], "`\(kind)`") else { return nil }
            address = .node(name)
        }
        if interface == nil, kind != "application", kind != "node" {
            if fields["interface"] == nil {
                diagnostics.error(node.origin, "a target has no send interface", hint: "add `interface: …`")
            }
            return nil
        }
        return RawTarget(origin: node.origin, interface: interface, address: address, system: system)
    }
}
