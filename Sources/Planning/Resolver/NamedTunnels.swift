import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The tunnels, each with both of its ends and the next hop to the far one.
struct NamedTunnels: Sendable {
    /// For each interface: its tunnel, if it is one.
    let tunnels: [TableTunnel?]

    init(_ file: TopologyFile, _ interfaces: NamedInterfaces, _ nodes: NamedNodes, _ diagnostics: Diagnostics) {
        let reading = Reading(file: file, interfaces: interfaces, nodes: nodes, diagnostics: diagnostics)
        tunnels = file.interfaces.map { interface in
            var tunnel = interface.tunnel.flatMap { reading.tunnel($0) }
            tunnel?.takesHop = Self.hasCustomers(interface.name.value, file)
            return tunnel
        }
        checkApart(file, diagnostics)
    }

    /// True if requests of services come from the node behind a tunnel.
    private static func hasCustomers(_ interface: String, _ file: TopologyFile) -> Bool {
        file.nodes.contains { node in
            guard node.legs.contains(where: { $0.interface.value == interface }) else { return false }
            let names = [node.name.value, node.application ?? node.name.value]
            return node.kind == .customer || file.services.contains { $0.from.contains { names.contains($0.value) } }
        }
    }

    /// Reports tunnels that receive the same frames, and those of two kinds at one port.
    private func checkApart(_ file: TopologyFile, _ diagnostics: Diagnostics) {
        for (index, tunnel) in tunnels.enumerated() {
            guard let tunnel, let raw = file.interfaces[index].tunnel else { continue }
            for other in 0..<index {
                guard let before = tunnels[other], before.carrier == tunnel.carrier else { continue }
                let (own, earlier) = (tunnel.encapsulation, before.encapsulation)
                let name = quoted(file.interfaces[other].name.value)
                let place = file.interfaces[other].tunnel?.origin.place ?? ""
                if own.kind == earlier.kind,
                    own.kind == .ethernet ? own.path == earlier.path : own.port == earlier.port,
                    own.kind == .ethernet || own.identifier == earlier.identifier && tunnel.peer == before.peer
                {
                    diagnostics.error(
                        raw.origin, "\(own) receives the same frames as \(name) \(place)",
                        hint: own.kind == .ethernet
                            ? "give each its own service path"
                            : "give each tunnel to one far end its own `id`")
                    break
                }
                if own.kind != earlier.kind, own.port == earlier.port {
                    diagnostics.error(
                        raw.origin, "\(own) has the UDP port \(own.port) of \(name) \(place), which is of another kind",
                        hint: "give one of the two another `port`")
                    break
                }
            }
        }
    }
}

/// What a tunnel's words of the file mean.
private struct Reading {
    let file: TopologyFile
    let interfaces: NamedInterfaces
    let nodes: NamedNodes
    let diagnostics: Diagnostics

    func tunnel(_ raw: RawTunnel) -> TableTunnel? {
        guard let carrier = interfaces.find(raw.underlay, in: file, diagnostics) else { return nil }
        let underlay = file.interfaces[carrier]
        let name = quoted(underlay.name.value)
        if underlay.tunnel != nil || underlay.circuit != nil {
            diagnostics.error(
                raw.underlay.origin,
                "\(name) is a \(underlay.tunnel == nil ? "circuit" : "tunnel") and cannot carry tunnels",
                hint: "name an interface that has a device of its own")
            return nil
        }
        guard let hop = nextHop(raw, carrier) else { return nil }
        guard let peer = raw.peer else {
            let none = IPAddress(ipv4: 0)
            return TableTunnel(
                carrier: carrier, encapsulation: raw.encapsulation, local: none, peer: none, nextHop: hop)
        }
        if let fault = fault(of: peer.value) {
            diagnostics.error(
                peer.origin, "\(peer.value) cannot be the far end of a tunnel: it is \(fault)",
                hint: "write the address of the host at the other site")
            return nil
        }
        let family = peer.value.family
        guard let local = underlay.addresses.first(where: { $0.value.value.address.family == family }) else {
            let example = family == .ipv4 ? "198.18.9.1/30" : "\"2001:db8:9::1/64\""
            diagnostics.error(
                raw.underlay.origin,
                "the engine has no \(family == .ipv4 ? "IPv4" : "IPv6") address on \(name), which the tunnel to "
                    + "\(peer.value) begins at",
                hint: "add `address: \(example)` to the interface")
            return nil
        }
        return TableTunnel(
            carrier: carrier, encapsulation: raw.encapsulation, local: local.value.value.address, peer: peer.value,
            nextHop: hop)
    }

    private func fault(of peer: IPAddress) -> String? {
        if peer.isMulticast || peer.isLimitedBroadcast { return "a group's address" }
        if peer.isUnspecified || peer.isLoopback || peer.isLinkLocal { return "no address that packets are routed to" }
        let own = file.interfaces.first { $0.addresses.contains { $0.value.value.address == peer } }
        return own.map { "the engine's own on \($0.name.value)" }
    }

    /// The MAC address of the node that the packets go by: the one that is named, the far end itself, or the only one.
    private func nextHop(_ raw: RawTunnel, _ carrier: Int) -> MACAddress? {
        let there = nodes.legsOn[carrier]
        let name = quoted(file.interfaces[carrier].name.value)
        if let via = raw.via {
            if let found = there.first(where: { file.nodes[$0.node].name.value == via.value }) {
                return nodes.legs[found.node][found.leg].mac
            }
            diagnostics.error(
                via.origin, "no node \(quoted(via.value)) is on \(name)",
                hint: Spelling.hint(
                    for: via.value, among: there.map { file.nodes[$0.node].name.value }, kind: "nodes there"))
            return nil
        }
        let owner = there.first { place in
            let leg = file.nodes[place.node].legs.first {
                $0.interface.value == file.interfaces[carrier].name.value
            }
            return leg?.addresses?.contains { $0.value.value.address == raw.peer?.value } ?? false
        }
        if let only = owner ?? (there.count == 1 ? there.first : nil) { return nodes.legs[only.node][only.leg].mac }
        diagnostics.error(
            raw.underlay.origin,
            there.isEmpty
                ? "no node is on \(name), so the tunnel's packets go nowhere"
                : "\(there.count) nodes are on \(name), and the tunnel does not say which one its packets go by",
            hint: there.isEmpty
                ? "attach a router that routes them outward"
                : "add `via: \(file.nodes[there[0].node].name.value)`")
        return nil
    }
}

extension RawTunnel {
    /// The tunnel for people: `vxlan 42 to 198.51.100.7`.
    var text: String { peer.map { "\(encapsulation) to \($0.value)" } ?? "\(encapsulation)" }
}
