import Wire

extension TableChecks {
    /// What is wrong with the circuits of a table.
    func circuitProblems(_ table: ForwardingTable) -> [TableProblem] {
        var problems: [TableProblem] = []
        var known: [CircuitName: String] = [:]
        for interface in table.interfaces {
            guard let circuit = interface.circuit else { continue }
            guard table.interfaces.indices.contains(circuit.carrier), table.interfaces[circuit.carrier].hasDevice else {
                problems.append(.circuit(interface: interface.name, "its carrier is no interface with a device"))
                continue
            }
            let record = Circuit(circuit.encapsulation, engine: interface.mac, peer: circuit.peer)
            if Circuit(words: record.words) == nil {
                problems.append(.circuit(interface: interface.name, "'\(circuit.encapsulation)' is no encapsulation"))
            }
            let name = CircuitName(carrier: circuit.carrier, key: record.key)
            if let other = known.updateValue(interface.name, forKey: name) {
                problems.append(.circuit(interface: interface.name, "it receives the frames of \(other)"))
            }
        }
        return problems
    }

    private struct CircuitName: Hashable {
        var carrier: Int
        var key: CircuitKey
    }
}

extension TableCompiler {
    /// The circuits, and the places of each interface among them.
    static func addCircuits(_ table: ForwardingTable, to image: inout SnapshotImage) {
        var circuits: [(carrier: Int, interface: Int, circuit: Circuit)] = []
        for (index, interface) in table.interfaces.enumerated() {
            guard let found = interface.circuit else { continue }
            circuits.append(
                (found.carrier, index, Circuit(found.encapsulation, engine: interface.mac, peer: found.peer)))
        }
        guard !circuits.isEmpty else { return }
        circuits.sort { ($0.carrier, $0.circuit.key) < ($1.carrier, $1.circuit.key) }
        var places = [UInt64](repeating: 0, count: table.interfaces.count)
        for (place, found) in circuits.enumerated() {
            places[found.interface] |= UInt64(place + 1)
            if places[found.carrier] >> 32 == 0 { places[found.carrier] |= UInt64(place) << 16 }
            places[found.carrier] += 1 << 32
            let words = found.circuit.words
            image[.circuits] += [
                words.0, words.1, words.2, words.3, words.4, words.5,
                UInt64(low: found.carrier, high: found.interface), 0,
            ]
        }
        image[.circuitPlaces] = places
    }
}
