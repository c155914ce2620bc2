import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The circuits, each with the interface whose device has its frames.
struct NamedCircuits: Sendable {
    /// For each interface: its carrier, if it is a circuit.
    let carriers: [Int?]
    /// For each interface that carries circuits: the kind of its device.
    let links: [Encapsulation.Link?]

    init(_ file: TopologyFile, _ interfaces: NamedInterfaces, _ nodes: NamedNodes, _ diagnostics: Diagnostics) {
        carriers = file.interfaces.map { interface in
            let carrier = interface.circuit?.carrier ?? interface.tunnel?.underlay.value
            return carrier.flatMap { interfaces.index[$0] }
        }
        var links = [Encapsulation.Link?](repeating: nil, count: file.interfaces.count)
        var known: [Name: Int] = [:]
        for (index, carrier) in carriers.enumerated() {
            guard let carrier, let circuit = file.interfaces[index].circuit else { continue }
            let encapsulation = circuit.encapsulation
            let name = Name(carrier: carrier, key: CircuitKey(encapsulation))
            if let other = known.updateValue(index, forKey: name) {
                let before = file.interfaces[other]
                diagnostics.error(
                    circuit.origin,
                    "circuit \(quoted(file.interfaces[index].name.value)) receives the same frames as "
                        + "\(quoted(before.name.value)) \(before.circuit?.origin.place ?? "")",
                    hint: "give each circuit of an interface another VLAN, label, DLCI or virtual channel")
            }
            if let link = links[carrier], link != encapsulation.link {
                diagnostics.error(
                    circuit.origin,
                    "\(quoted("\(encapsulation)")) needs \(Self.text(encapsulation.link)), but the circuits of "
                        + "\(quoted(file.interfaces[carrier].name.value)) before it are on \(Self.text(link))",
                    hint: "write it below an interface of its own")
            }
            links[carrier] = links[carrier] ?? encapsulation.link
            Self.checkNodes(of: index, encapsulation, file, nodes, diagnostics)
        }
        for (index, carrier) in carriers.enumerated() where file.interfaces[index].tunnel != nil {
            if let carrier { links[carrier] = links[carrier] ?? .ethernet }
        }
        self.links = links
        for (index, link) in links.enumerated() where link != nil && link != .ethernet {
            checkDevice(index, file, nodes, diagnostics)
        }
    }

    private struct Name: Hashable {
        var carrier: Int
        var key: CircuitKey
    }

    private static func text(_ link: Encapsulation.Link) -> String {
        switch link {
        case .ethernet: "Ethernet"
        case .frameRelay: "a device of frame relay"
        case .atm: "a device of ATM"
        }
    }

    /// What ends a circuit is a program of the node, and behind a circuit without Ethernet there is one neighbour.
    private static func checkNodes(
        of index: Int, _ encapsulation: Encapsulation, _ file: TopologyFile, _ nodes: NamedNodes,
        _ diagnostics: Diagnostics
    ) {
        let legs = nodes.legsOn[index]
        for (node, leg) in legs where file.nodes[node].kind == .application {
            diagnostics.error(
                nodes.legs[node][leg].origin,
                "\(quoted(file.nodes[node].name.value)) is an application, and \(quoted(file.interfaces[index].name.value)) "
                    + "is a circuit",
                hint: "attach it to an interface without encapsulation: circuits are for customers and routers")
        }
        guard encapsulation.payload != .tagged, legs.count > 1, let last = legs.last else { return }
        diagnostics.error(
            nodes.legs[last.node][last.leg].origin,
            "\(quoted(file.nodes[legs[0].node].name.value)) and \(quoted(file.nodes[last.node].name.value)) are on one "
                + "circuit, which has one end",
            hint: "give each a circuit of its own")
    }

    /// A device without Ethernet is in one node.
    private func checkDevice(
        _ carrier: Int, _ file: TopologyFile, _ nodes: NamedNodes, _ diagnostics: Diagnostics
    ) {
        let name = quoted(file.interfaces[carrier].name.value)
        if let (node, leg) = nodes.legsOn[carrier].first {
            diagnostics.error(
                nodes.legs[node][leg].origin,
                "\(quoted(file.nodes[node].name.value)) is on \(name), whose device carries circuits alone",
                hint: "name one of its circuits")
        }
        let owners = carriers.indices.filter { carriers[$0] == carrier }.flatMap { nodes.legsOn[$0] }
        if let first = owners.first, let other = owners.first(where: { $0.node != first.node }) {
            diagnostics.error(
                nodes.legs[other.node][other.leg].origin,
                "\(quoted(file.nodes[first.node].name.value)) has the device of \(name), and "
                    + "\(quoted(file.nodes[other.node].name.value)) needs it",
                hint: "a device of frame relay or ATM is in one node: give each its own interface")
        } else if let first = owners.first, let other = owners.dropFirst().first {
            diagnostics.error(
                nodes.legs[other.node][other.leg].origin,
                "\(quoted(file.nodes[first.node].name.value)) is on two circuits of \(name), and a node has a device for each of its "
                    + "interfaces",
                hint: "give each circuit an interface of its own: `encapsulation: dlci 100`")
        }
    }

    /// The node that the device of an interface is in, if it is in one.
    func node(on carrier: Int, _ nodes: NamedNodes) -> Int? {
        carriers.indices.filter { carriers[$0] == carrier }.lazy.compactMap { nodes.legsOn[$0].first?.node }.first
    }

    /// The circuit of the table that an interface is.
    func tableCircuit(_ index: Int, _ file: TopologyFile, _ nodes: NamedNodes) -> TableCircuit? {
        guard let carrier = carriers[index], let circuit = file.interfaces[index].circuit else { return nil }
        let end = nodes.legsOn[index].first
        return TableCircuit(
            carrier: carrier, encapsulation: circuit.encapsulation,
            peer: end.map { nodes.legs[$0.node][$0.leg].mac } ?? MACAddress(bits: 0))
    }
}
