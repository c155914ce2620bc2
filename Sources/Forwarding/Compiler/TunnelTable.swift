import Wire

extension TableChecks {
    /// What is wrong with the tunnels of a table.
    func tunnelProblems(_ table: ForwardingTable) -> [TableProblem] {
        var problems: [TableProblem] = []
        var known: [TunnelName: String] = [:]
        var kinds: [TunnelPort: TunnelEncapsulation.Kind] = [:]
        for interface in table.interfaces {
            guard let tunnel = interface.tunnel else { continue }
            func tell(_ what: String) { problems.append(.tunnel(interface: interface.name, what)) }
            guard table.interfaces.indices.contains(tunnel.carrier),
                table.interfaces[tunnel.carrier].tunnel == nil, interface.circuit == nil,
                let record = table.tunnel(interface)
            else {
                tell("its underlay is no interface that could carry it")
                continue
            }
            let underlay = table.interfaces[tunnel.carrier]
            if Tunnel(words: record.words) == nil { tell("'\(tunnel.encapsulation)' is no encapsulation") }
            if tunnel.nextHop.isMulticast || tunnel.nextHop.isZero { tell("no station has the next hop's MAC address") }
            if tunnel.encapsulation.kind != .ethernet {
                if tunnel.peer.family != tunnel.local.family { tell("its ends are of two families") }
                if !underlay.addresses.contains(where: { $0.address == tunnel.local }) {
                    tell("\(tunnel.local) is no address of \(underlay.name)")
                }
                let isOwn = table.interfaces.contains { $0.addresses.contains { $0.address == tunnel.peer } }
                if isOwn || tunnel.peer.isMulticast || tunnel.peer.isUnspecified || tunnel.peer.isLoopback {
                    tell("\(tunnel.peer) cannot be its far end")
                }
            }
            let overhead = tunnel.encapsulation.overhead(tunnel.local.family)
            if interface.mtu + overhead > underlay.mtu {
                tell(
                    "packets of \(interface.mtu) octets become \(interface.mtu + overhead), and \(underlay.name) takes "
                        + "\(underlay.mtu)")
            }
            let name = TunnelName(carrier: tunnel.carrier, key: record.key, peer: record.peer)
            if let other = known.updateValue(interface.name, forKey: name) {
                tell("it receives the frames of \(other)")
            }
            let port = TunnelPort(carrier: tunnel.carrier, port: record.port)
            if let other = kinds.updateValue(record.kind, forKey: port), other != record.kind {
                tell("its UDP port is that of another kind of tunnel")
            }
        }
        return problems
    }

    private struct TunnelName: Hashable {
        var carrier: Int
        var key: UInt64
        var peer: IPAddress
    }

    private struct TunnelPort: Hashable {
        var carrier: Int
        var port: UInt16
    }
}

extension TableCompiler {
    /// The tunnels, and the places of each interface among them.
    static func addTunnels(_ table: ForwardingTable, to image: inout SnapshotImage) {
        var tunnels: [(carrier: Int, interface: Int, tunnel: Tunnel)] = []
        for (index, interface) in table.interfaces.enumerated() {
            guard let carrier = interface.tunnel?.carrier, let tunnel = table.tunnel(interface) else { continue }
            tunnels.append((carrier, index, tunnel))
        }
        guard !tunnels.isEmpty else { return }
        tunnels.sort { ($0.carrier, $0.tunnel.key, $0.tunnel.peer) < ($1.carrier, $1.tunnel.key, $1.tunnel.peer) }
        var places = [UInt64](repeating: 0, count: table.interfaces.count)
        for (place, found) in tunnels.enumerated() {
            places[found.interface] |= UInt64(place + 1)
            if places[found.carrier] >> 32 == 0 { places[found.carrier] |= UInt64(place) << 16 }
            places[found.carrier] += 1 << 32
            let words = found.tunnel.words
            image[.tunnels] += [
                words.0, words.1, words.2, words.3, words.4, words.5, words.6, words.7,
                UInt64(low: found.carrier, high: found.interface), 0, 0, 0, 0, 0, 0, 0,
            ]
        }
        image[.tunnelPlaces] = places
    }
}
