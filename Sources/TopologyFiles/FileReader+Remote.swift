import Plan
import Reporting
import Wire
import Yams

/// Applications and customers at other sites: `remote`.
extension FileReader {
    private static let kinds = ["vxlan", "geneve", "nsh"]

    /// Reads the tunnels of a remote application, each of which is a leg. Without the key the node stays as it is.
    ///
    /// - Parameter application: The keys of the application, for an instance: what its `remote` does not say is as in theirs.
    func remote(_ node: inout RawNode, _ fields: Fields, of application: Fields? = nil) {
        guard let written = fields["remote"] else { return }
        let what = "`remote` of \(fields.subject)"
        var common = nodes.fields(written, what, node.kind == .application ? Grammar.remote : Grammar.remoteLeg)
        guard common.isMapping else { return }
        node.remote = fields.origin(of: "remote")
        (node.legs, node.tunnels) = ([], [])
        refusePrograms(of: node, fields)
        if application == nil, let instances = fields["instances"], case .mapping(let mapping) = instances,
            mapping.contains(where: { $0.value.mapping?["remote"] != nil })
        {
            return
        }
        if let shared = application?["remote"] {
            let own = Set(common.pairs.map(\.key.value))
            let isDivided = own.contains("in") || own.contains("out")
            common.pairs += nodes.entries(shared, what).pairs.filter {
                !own.contains($0.key.value) && (isDivided || !["in", "out"].contains($0.key.value))
            }
        }
        let names = ["in", "out"].filter { common[$0] != nil }
        if names == ["out"] {
            diagnostics.error(
                common.origin(of: "out"), "\(what) has no tunnel for requests",
                hint: "add `in: …`, or write the keys of `out` into `remote` itself")
            return
        }
        if names.isEmpty {
            add(&node, nil, written, common, nil, what)
        } else {
            for name in names {
                guard let value = common[name] else { continue }
                let own = nodes.fields(value, "`\(name)` of \(what)", Grammar.remoteLeg)
                add(&node, name, value, own, common, "`\(name)` of \(what)")
            }
        }
    }

    /// Adds the leg of one tunnel.
    ///
    /// - Parameter common: What the tunnels have in common.
    private func add(
        _ node: inout RawNode, _ name: String?, _ written: Node, _ own: Fields, _ common: Fields?, _ what: String
    ) {
        func value(_ key: String) -> Node? { own[key] ?? common?[key] }
        guard let underlay = nodes.text(value("interface"), "the interface of \(what)") else {
            if value("interface") == nil {
                diagnostics.error(
                    written.origin, "\(what) names no interface", hint: "add `interface: …`: the tunnel's underlay")
            }
            return
        }
        let ownKinds = Self.kinds.filter { own[$0] != nil }
        let found = ownKinds.isEmpty ? Self.kinds.filter { common?[$0] != nil } : ownKinds
        guard found.count == 1, let kind = found.first, let header = value(kind) else {
            diagnostics.error(
                written.origin,
                found.isEmpty
                    ? "\(what) has no tunnel" : "\(what) has both `\(found[0])` and `\(found[1])`",
                hint: found.isEmpty
                    ? "add `vxlan: { id: 42, peer: 198.51.100.7 }`, or `geneve` or `nsh`" : "remove one of the two")
            return
        }
        guard var tunnel = tunnel(kind, header, underlay, "`\(kind)` of \(what)") else { return }
        tunnel.via = nodes.text(value("via"), "`via` of \(what)")
        var interface = RawInterface(
            name: Located(name ?? "", written.origin), mtu: Located(0, underlay.origin))
        if let mtu = nodes.integer(value("mtu"), "the MTU of \(what)", in: Grammar.mtus) { interface.mtu = mtu }
        for node in nodes.list(own["gateway"]) {
            guard let address = nodes.address(node, "`gateway` of \(what)") else { continue }
            guard address.value.hasLength else {
                let length = address.value.value.address.family == .ipv4 ? 24 : 64
                diagnostics.error(
                    address.origin, "`gateway` of \(what) has no prefix length",
                    hint: "write \(address.value.value.address)/\(length)")
                continue
            }
            interface.addresses.append(address)
        }
        interface.tunnel = tunnel
        interface.engineMAC = stationAddress(own["gateway-mac"], "the engine's MAC address of \(what)")
        var leg = RawLeg(
            name: name, interface: interface.name, addresses: own["address"].map { addresses($0) },
            origin: written.origin)
        leg.mac = stationAddress(own["mac"], "the MAC address of \(what)")
        node.legs.append(leg)
        node.tunnels.append(interface)
    }

    private func tunnel(
        _ kind: String, _ header: Node, _ underlay: Located<String>, _ what: String
    ) -> RawTunnel? {
        let isPath = kind == "nsh"
        let fields = nodes.fields(header, what, isPath ? Grammar.servicePath : Grammar.virtualNetwork)
        for key in isPath ? [] : ["id", "peer"] where fields.isMapping && fields[key] == nil {
            diagnostics.error(
                header.origin, "\(what) has no `\(key)`",
                hint: "write { id: 42, peer: 198.51.100.7 }")
        }
        let identifier = nodes.integer(fields["id"], "`id` of \(what)", in: VXLANHeader.identifiers)
        let port = nodes.integer(fields["port"], "`port` of \(what)", in: 1...65535)
        let peer = nodes.address(fields["peer"], "`peer` of \(what)")?.map { $0.value.address }
        var encapsulation = TunnelEncapsulation(kind: .vxlan, identifier: identifier?.value ?? 0, port: 0)
        switch kind {
        case "vxlan": encapsulation.port = port?.value ?? VXLANHeader.port
        case "geneve": (encapsulation.kind, encapsulation.port) = (.geneve, port?.value ?? GeneveHeader.port)
        default:
            let path = nodes.integer(fields["path"], "`path` of \(what)", in: NSHHeader.paths)
            guard path != nil || fields["path"] == nil else { return nil }
            let index = nodes.integer(fields["index"], "`index` of \(what)", in: NSHHeader.indexes)
            if path == nil, fields["index"] != nil {
                diagnostics.error(
                    fields.origin(of: "index"), "\(what) has `index`, and no `path`",
                    hint: "add `path: …`, or remove `index`: then both follow from the chain")
                return nil
            }
            // 0: the chain gives both (`resolveServicePaths`).
            encapsulation.path = path?.value ?? 0
            encapsulation.index = index?.value ?? NSHHeader.indexes.upperBound
            encapsulation.kind = peer == nil ? .ethernet : .genericVXLAN
            encapsulation.port = peer == nil ? 0 : port?.value ?? VXLANHeader.genericPort
            if peer == nil, let key = ["id", "port"].first(where: { fields[$0] != nil }) {
                diagnostics.error(
                    fields.origin(of: key), "\(what) has `\(key)`, and no `peer`",
                    hint: "add `peer: …` for VXLAN-GPE, or remove `\(key)` for NSH over Ethernet")
            }
            return RawTunnel(underlay: underlay, encapsulation: encapsulation, peer: peer, origin: header.origin)
        }
        guard identifier != nil, let peer else { return nil }
        return RawTunnel(underlay: underlay, encapsulation: encapsulation, peer: peer, origin: header.origin)
    }

    private func stationAddress(_ node: Node?, _ what: String) -> Located<MACAddress>? {
        guard let written = nodes.text(node, what) else { return nil }
        guard let mac = MACAddress(written.value), !mac.isMulticast, !mac.isZero else {
            diagnostics.error(
                written.origin, "\(what): \(quoted(written.value)) is no MAC address of one station",
                hint: "write it in quotes: \"02:00:00:00:42:01\"")
            return nil
        }
        return Located(mac, written.origin)
    }

    /// Reports keys of what Tapline would run in a node of its own.
    private func refusePrograms(of node: RawNode, _ fields: Fields) {
        let owned = [
            "run", "setup", "programs", "after", "files", "sysctls", "routes", "namespace", "pid", "container",
            "access",
            "negotiate", "copies", "offload",
        ]
        for key in owned where fields[key] != nil {
            diagnostics.error(
                fields.origin(of: key), "\(fields.subject) has `\(key)` beside `remote`",
                hint: "remove `\(key)`: what is at the other site is not Tapline's")
        }
    }

    // MARK: - Interfaces

    /// Makes an interface of each tunnel, named after its node and leg, and gives it the MTU that the underlay leaves.
    func resolveTunnels(of file: inout TopologyFile) {
        for index in file.nodes.indices where file.nodes[index].remote != nil {
            let node = file.nodes[index]
            for (place, raw) in node.tunnels.enumerated() {
                guard let tunnel = raw.tunnel else { continue }
                let name = node.legs[place].name.map { "\(node.name.value)-\($0)" } ?? node.name.value
                var interface = raw
                interface.name = Located(name, raw.name.origin)
                file.nodes[index].legs[place].interface = interface.name
                if let other = file.interfaces.first(where: { $0.name.value == name }) {
                    diagnostics.error(
                        node.name.origin,
                        "the tunnel of \(quoted(node.name.value)) is called \(quoted(name)), as an interface "
                            + other.name.origin.place,
                        hint: "rename one of the two")
                    continue
                }
                resolve(&interface, tunnel, in: file)
                file.interfaces.append(interface)
            }
        }
    }

    private func resolve(_ interface: inout RawInterface, _ tunnel: RawTunnel, in file: TopologyFile) {
        // The planner reports an unknown one.
        guard let underlay = file.interfaces.first(where: { $0.name.value == tunnel.underlay.value }) else {
            if interface.mtu.value == 0 { interface.mtu.value = 1500 }
            return
        }
        let room = underlay.mtu.value - tunnel.overhead
        if interface.mtu.value == 0 {
            interface.mtu.value = max(room, Grammar.mtus.lowerBound)
        }
        if interface.mtu.value > room {
            diagnostics.error(
                interface.mtu.origin,
                "packets of \(interface.mtu.value) octets in `\(tunnel.encapsulation)` become "
                    + "\(interface.mtu.value + tunnel.overhead), and interface \(quoted(underlay.name.value)) takes "
                    + "\(underlay.mtu.value)",
                hint: room >= Grammar.mtus.lowerBound
                    ? "write `mtu: \(room)` or less, or a larger MTU of the interface"
                    : "give the interface an MTU of \(Grammar.mtus.lowerBound + tunnel.overhead) or more")
        }
    }
}
