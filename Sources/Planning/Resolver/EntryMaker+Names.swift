import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// A node of Tapline's own that answers at the engine's addresses.
struct Answerer {
    /// Its node, and the name of that node.
    var node: Int
    var name: String
    /// What makes it, as the file writes it.
    var key: String
    var origin: SourceOrigin
    var port: UInt16
    var protocols: [UInt8]
}

/// The entries of nodes that answer at the engine's addresses: the resolver, and the one that mappings are asked of.
extension ServiceStage {
    /// The resolver's node; nil: there is none.
    var resolver: Int? { file.nameService == nil ? nil : nodeIndex[NameService.node] }

    /// The nodes that answer.
    var answerers: [Answerer] {
        var answerers: [Answerer] = []
        if let resolver, let origin = file.nameService {
            answerers.append(
                Answerer(
                    node: resolver, name: NameService.node, key: "`dns`", origin: origin, port: NameService.port,
                    protocols: [IPProtocol.udp, IPProtocol.tcp]))
        }
        if file.hasNegotiation, let node = nodeIndex[NegotiationPlan.node],
            let origin = file.negotiations().first?.rules.origin
        {
            answerers.append(
                Answerer(
                    node: node, name: NegotiationPlan.node, key: "`negotiate`", origin: origin,
                    port: NegotiationPlan.port, protocols: [IPProtocol.udp]))
        }
        return answerers
    }

    /// The addresses that a node asks for names: the engine's, on the first leg that it may send by.
    func nameServers(of node: Int) -> [IPAddress] {
        guard let answerer = answerers.first(where: { $0.node == resolver }),
            let leg = legs[node].indices.first(where: { asks(answerer, node, leg: $0) })
        else { return [] }
        return servers(of: node, leg: leg)
    }

    /// The addresses that a node answers at, besides its own: all of the engine's that some node asks.
    func answeredAddresses(_ answerer: Answerer) -> [IPAddress] {
        file.nodes.indices.flatMap { node in
            legs[node].indices.filter { asks(answerer, node, leg: $0) }.flatMap { servers(of: node, leg: $0) }
        }.uniqued()
    }

    /// The engine's addresses on a leg's interface, of the families that the node has there.
    fileprivate func servers(of node: Int, leg: Int) -> [IPAddress] {
        let own = Set(legs[node][leg].addresses.map(\.address.family))
        return file.interfaces[legs[node][leg].interface].addresses.map(\.value.value.address)
            .filter { own.contains($0.family) }
    }

    /// True if a node has addresses on a leg, sends packets of its own by it, and may ask.
    fileprivate func asks(_ answerer: Answerer, _ node: Int, leg: Int) -> Bool {
        guard answerers.allSatisfy({ $0.node != node }), !legs[node][leg].addresses.isEmpty,
            system(node, leg: leg) != .passiveApplication
        else { return false }
        return answerer.node == resolver || file.nodes[node].negotiation != nil
    }

    /// What applications may ask for; nil: nothing.
    func negotiationPlan() -> NegotiationPlan? {
        guard let answerer = answerers.first(where: { $0.name == NegotiationPlan.node }) else { return nil }
        let applications = file.negotiations().map { name, rules in
            let isPassive = { (name: String) in
                file.nodes.contains { ($0.application ?? $0.name.value) == name && $0.passive }
            }
            let instances = file.nodes.indices.filter {
                (file.nodes[$0].application ?? file.nodes[$0].name.value) == name.value
            }
            let through = rules.through.map(\.value)
            return NegotiationPlan.Application(
                name: name.value, addresses: rules.addresses.map(\.value), ports: rules.ports.map(\.value),
                distribute: through.filter(isPassive), through: through.filter { !isPassive($0) },
                from: rules.from.map(\.value), lifetime: rules.lifetime, mappings: rules.mappings,
                requests: rules.requests,
                instances: instances.map { node in
                    NegotiationPlan.Instance(
                        node: file.nodes[node].name.value,
                        addresses: legs[node].indices.filter { asks(answerer, node, leg: $0) }
                            .flatMap { legs[node][$0].addresses.map(\.address) })
                })
        }
        return NegotiationPlan(applications: applications, servers: answeredAddresses(answerer))
    }
}

extension EntryMaker {
    /// For each leg of each node that may ask: what it asks, and what it is answered. The sender's own addresses are the
    /// sources, so no service takes these packets.
    func answererEntries() -> [MadeEntry] { answerers.flatMap { announcements($0) + conversations($0) } }

    private func conversations(_ answerer: Answerer) -> [MadeEntry] {
        file.nodes.indices.flatMap { node in
            legs[node].indices.filter { asks(answerer, node, leg: $0) }.flatMap { leg -> [MadeEntry] in
                let senders =
                    legs[node][leg].addresses.map { IPPrefix(host: $0.address) }
                    + (answerer.node == resolver ? file.nodes[node].prefixes.map(\.value) : [])
                return servers(of: node, leg: leg).flatMap { server in
                    answerer.protocols.flatMap { number in
                        senders.uniqued().filter { $0.family == server.family }.flatMap { sender in
                            entries(node, leg, sender, asking: server, number, answerer)
                        }
                    }
                }
            }
        }
    }

    /// What the node that mappings are asked of tells all that may ask, from each of the engine's addresses: to the group of all
    /// hosts of a link (RFC 6887, 14.1).
    private func announcements(_ answerer: Answerer) -> [MadeEntry] {
        guard answerer.name == NegotiationPlan.node else { return [] }
        let asking = file.nodes.indices.flatMap { node -> [(node: Int, leg: Int)] in
            legs[node].indices.filter { asks(answerer, node, leg: $0) }.map { (node, $0) }
        }
        let emission = emission(answerer.node, leg: 0)
        return answeredAddresses(answerer).map { server in
            let hearers = asking.filter { servers(of: $0.node, leg: $0.leg).contains(server) }
            var entry = Entry(
                name: "\(answerer.name).announcement.\(server)", kind: .sequencing, direction: .response,
                receivedInterface: emission.interface, sourceMAC: emission.mac, source: IPPrefix(host: server),
                destination: IPPrefix(host: NegotiationPlan.hosts(server.family)),
                servicePort: ServicePort(protocolNumber: IPProtocol.udp, ports: answerer.port...answerer.port),
                hops: hearers.map { .target(target($0.node, leg: $0.leg)) }, counter: 0)
            entry.isBetween = true
            return MadeEntry(
                entry: entry,
                basis: EntryBasis(
                    origin: answerer.origin, label: answerer.key, service: nil, node: lead(answerer.node)))
        }
    }

    private func entries(
        _ node: Int, _ leg: Int, _ sender: IPPrefix, asking server: IPAddress, _ number: UInt8, _ answerer: Answerer
    ) -> [MadeEntry] {
        let port = ServicePort(protocolNumber: number, ports: answerer.port...answerer.port)
        func made(_ direction: ChainDirection) -> MadeEntry {
            let isRequest = direction == .request
            let emission = isRequest ? emission(node, leg: leg) : emission(answerer.node, leg: 0)
            var entry = Entry(
                name: "\(answerer.name).\(isRequest ? "request" : "response").\(shownName(node))",
                kind: isRequest && file.nodes[node].kind == .customer ? .distribution : .sequencing,
                direction: direction,
                receivedInterface: emission.interface, sourceMAC: emission.mac,
                source: isRequest ? sender : IPPrefix(host: server),
                destination: isRequest ? IPPrefix(host: server) : sender, servicePort: port,
                hops: [.target(isRequest ? target(answerer.node, leg: 0) : target(node, leg: leg))], counter: 0)
            entry.isBetween = true
            return MadeEntry(
                entry: entry,
                basis: EntryBasis(origin: answerer.origin, label: answerer.key, service: nil, node: lead(node)))
        }
        return [made(.request), made(.response)]
    }
}
