import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The entries of the resolver that answers at the engine's addresses.
extension ServiceStage {
    /// The resolver's node; nil: there is none.
    var resolver: Int? { file.nameService == nil ? nil : nodeIndex[NameService.node] }

    /// The addresses that a node asks for names: the engine's, on the first leg that it may send by.
    func nameServers(of node: Int) -> [IPAddress] {
        guard resolver != nil, node != resolver,
            let leg = legs[node].indices.first(where: { asks(node, leg: $0) })
        else { return [] }
        return nameServers(of: node, leg: leg)
    }

    /// The addresses that the resolver has, besides its own: all of the engine's that some node asks.
    func answeredAddresses() -> [IPAddress] {
        guard let resolver else { return [] }
        return file.nodes.indices.filter { $0 != resolver }.flatMap { node in
            legs[node].indices.filter { asks(node, leg: $0) }.flatMap { nameServers(of: node, leg: $0) }
        }.uniqued()
    }

    fileprivate func nameServers(of node: Int, leg: Int) -> [IPAddress] {
        let own = Set(legs[node][leg].addresses.map(\.address.family))
        return file.interfaces[legs[node][leg].interface].addresses.map(\.value.value.address)
            .filter { own.contains($0.family) }
    }

    /// True if a node has addresses on a leg, and sends packets of its own by it.
    fileprivate func asks(_ node: Int, leg: Int) -> Bool {
        !legs[node][leg].addresses.isEmpty && system(node, leg: leg) != .passiveApplication
    }
}

extension EntryMaker {
    /// For each leg of each node: what it asks, and what it is answered. The sender's own addresses are the sources, so no
    /// service takes these packets.
    func nameEntries() -> [MadeEntry] {
        guard let resolver, let origin = file.nameService else { return [] }
        return file.nodes.indices.filter { $0 != resolver }.flatMap { node in
            legs[node].indices.filter { asks(node, leg: $0) }.flatMap { leg -> [MadeEntry] in
                let senders =
                    legs[node][leg].addresses.map { IPPrefix(host: $0.address) }
                    + file.nodes[node].prefixes.map(\.value)
                return nameServers(of: node, leg: leg).flatMap { server in
                    [IPProtocol.udp, IPProtocol.tcp].flatMap { number in
                        senders.uniqued().filter { $0.family == server.family }.flatMap { sender in
                            entries(node, leg, sender, asking: server, number, resolver, origin)
                        }
                    }
                }
            }
        }
    }

    private func entries(
        _ node: Int, _ leg: Int, _ sender: IPPrefix, asking server: IPAddress, _ number: UInt8, _ resolver: Int,
        _ origin: SourceOrigin
    ) -> [MadeEntry] {
        let port = ServicePort(protocolNumber: number, ports: NameService.port...NameService.port)
        func made(_ direction: ChainDirection) -> MadeEntry {
            let isRequest = direction == .request
            let emission = isRequest ? emission(node, leg: leg) : emission(resolver, leg: 0)
            var entry = Entry(
                name: "\(NameService.node).\(isRequest ? "request" : "response").\(shownName(node))",
                kind: isRequest && file.nodes[node].kind == .customer ? .distribution : .sequencing,
                direction: direction,
                receivedInterface: emission.interface, sourceMAC: emission.mac,
                source: isRequest ? sender : IPPrefix(host: server),
                destination: isRequest ? IPPrefix(host: server) : sender, servicePort: port,
                hops: [.target(isRequest ? target(resolver, leg: 0) : target(node, leg: leg))], counter: 0)
            entry.isBetween = true
            return MadeEntry(
                entry: entry, basis: EntryBasis(origin: origin, label: "`dns`", service: nil, node: lead(node)))
        }
        return [made(.request), made(.response)]
    }
}
