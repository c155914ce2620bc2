import Forwarding
import Plan
import TopologyFiles
import Wire

/// The parts that a new plan of a running topology takes over from the plan before it. Interfaces keep their places,
/// devices their names and MAC addresses, nodes their addresses, entries their counters.
struct KeptParts: Sendable {
    /// The plan of the running topology.
    let plan: AppliancePlan
    /// The names that it has given.
    let names: GeneratedNames
    /// The addresses of each node on each interface.
    let addresses: [[String]: [InterfaceAddress]]
    /// The interfaces that are on bridges.
    let bridges: Set<String>

    /// - Parameter name: The name of the new topology.
    init(_ plan: AppliancePlan, named name: String) {
        var names = GeneratedNames()
        var addresses: [[String]: [InterfaceAddress]] = [:]
        var bridges: Set<String> = []
        for (index, interface) in plan.interfaces.enumerated() {
            names.keep(plan.table.interfaces[index].mac, [name, "", interface.name])
            guard case .bridge(let bridge, let tap) = interface.attachment else { continue }
            bridges.insert(interface.name)
            names.keep(fabricDevice: bridge, "b", [interface.name])
            names.keep(fabricDevice: tap, "t", [interface.name])
        }
        for node in plan.nodes {
            for (place, leg) in node.legs.enumerated() {
                let interface = plan.interfaces[leg.interface].name
                addresses[[node.name, interface]] = leg.addresses
                names.keep(leg.mac, [name, node.name, interface])
                if let device = leg.fabricDevice { names.keep(fabricDevice: device, "v", [node.name, interface]) }
                // The other side delivers packets that are addressed to this one's alias.
                guard node.legs.count == 2, let alias = node.legs[1 - place].deliverToo.first else { continue }
                names.keep(alias, [name, node.name, interface, "alias"])
            }
        }
        self.plan = plan
        self.names = names
        self.addresses = addresses
        self.bridges = bridges
    }

    /// The key that makes two entries of different tables the same one.
    private struct EntryKey: Hashable {
        var name: String
        var kind: EntryKind
        var direction: ChainDirection
        var interface: String
        var mac: MACAddress?
        var source: IPPrefix?
        var destination: IPPrefix?
        var port: ServicePort

        init(_ entry: Entry, on interface: String) {
            name = entry.name
            kind = entry.kind
            direction = entry.direction
            self.interface = interface
            mac = entry.sourceMAC
            source = entry.source
            destination = entry.destination
            port = entry.servicePort
        }
    }

    /// The entries with the counters that they had before; new ones get numbers that nothing has used.
    func counting(_ entries: [Entry], of file: TopologyFile) -> [Entry] {
        var known: [EntryKey: Int] = [:]
        for entry in plan.table.entries {
            known[EntryKey(entry, on: plan.table.interfaces[entry.receivedInterface].name)] = entry.counter
        }
        var used = Set(plan.table.entries.map(\.counter))
        var next = 0
        return entries.map { entry in
            var entry = entry
            let key = EntryKey(entry, on: file.interfaces[entry.receivedInterface].name.value)
            if let counter = known.removeValue(forKey: key) {
                entry.counter = counter
                return entry
            }
            while !used.insert(next).inserted { next += 1 }
            entry.counter = next
            return entry
        }
    }
}

extension TopologyFile {
    /// The file with the interfaces of a plan first and in their order, which is the order of the table's.
    func ordered(as plan: AppliancePlan) -> TopologyFile {
        var places: [String: Int] = [:]
        for (index, interface) in plan.interfaces.enumerated() { places[interface.name] = index }
        var file = self
        let known = interfaces.filter { places[$0.name.value] != nil }
            .sorted { places[$0.name.value] ?? 0 < places[$1.name.value] ?? 0 }
        file.interfaces = known + interfaces.filter { places[$0.name.value] == nil }
        return file
    }
}
