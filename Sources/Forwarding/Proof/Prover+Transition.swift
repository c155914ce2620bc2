import Wire

extension Prover {
    /// The entries, from `first` on, that packets may run in a loop by. The table's sources tell what the nodes are.
    ///
    /// Every node but a customer passes on the packets that an entry takes from it. A node of two tables may do what
    /// either table says.
    ///
    /// - Parameter first: The index of the first entry to look at. The entries before it make no loop among themselves.
    /// - Throws: `TableError` if the table cannot be compiled.
    static func circles(in table: ForwardingTable, beyond first: Int) throws(TableError) -> Set<Int> {
        let owners = table.entries.indices.map { $0 < first ? Optional(0) : nil }
        let subject = ProofSubject(table: table, nodes: table.proofNodes, owners: owners)
        let bytes = try TableCompiler.compile(table, generation: 1)
        let buffer: SnapshotBuffer
        do throws(SnapshotError) {
            buffer = try SnapshotBuffer(copying: bytes)
        } catch {
            preconditionFailure("the compiler made a snapshot that is refused: \(error)")
        }
        var proof = Proof(ProofWorld(subject, buffer))
        proof.findLoopsOfApplications()
        var entries: Set<Int> = []
        for case .loop(let entry, let circle, _) in proof.findings {
            entries.formUnion([entry] + circle)
        }
        return entries.filter { $0 >= first }
    }
}

extension ForwardingTable {
    /// The nodes as the table knows them. The legs of each are in the order of the sources.
    fileprivate var proofNodes: [ProofNode] {
        var addresses: [LingeringEntries.Leg: [IPAddress]] = [:]
        for neighbour in neighbours {
            addresses[LingeringEntries.Leg(neighbour.interface, neighbour.mac), default: []].append(neighbour.address)
        }
        var places: [String: Int] = [:]
        var nodes: [ProofNode] = []
        for source in sources {
            let leg = ProofLeg(
                interface: source.interface, mac: source.mac,
                addresses: addresses[LingeringEntries.Leg(source.interface, source.mac)] ?? [])
            if let place = places[source.node] {
                nodes[place].legs.append(leg)
                continue
            }
            places[source.node] = nodes.count
            let passesOn = source.system == .terminalApplication || source.system == .router
            nodes.append(
                ProofNode(
                    name: source.node, system: passesOn ? .inlineApplication : source.system,
                    mayEmit: source.mayEmit, legs: [leg]))
        }
        for index in nodes.indices where nodes[index].legs.count > 2 { nodes[index].routes = routes(of: nodes[index]) }
        return nodes
    }

    /// The routes of a node with several legs, as far as entries tell them: what they take from a leg leaves by it.
    private func routes(of node: ProofNode) -> [ProofRoute] {
        node.legs.enumerated().flatMap { place, leg in
            entries.filter { $0.receivedInterface == leg.interface && $0.sourceMAC == leg.mac }.flatMap { entry in
                let families = (entry.source ?? entry.destination).map { [$0.family] } ?? AddressFamily.allCases
                return (entry.destination.map { [$0] } ?? families.map { .everything($0) })
                    .map { ProofRoute(destination: $0, leg: place) }
            }
        }
    }
}
