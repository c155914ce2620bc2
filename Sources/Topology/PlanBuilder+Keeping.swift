import Forwarding
import Wire

/// What a new plan of a running topology takes over from the plan before it, so that what the two have in common is the
/// same in both: interfaces keep their places, devices their names and MAC addresses, nodes their addresses, entries their
/// counters.
extension PlanBuilder {
    func keep(_ plan: AppliancePlan) {
        for (index, interface) in plan.interfaces.enumerated() {
            names.keep(plan.table.interfaces[index].mac, [name, "", interface.name])
            guard case .bridge(let bridge, let tap) = interface.attachment else { continue }
            keptBridges.insert(interface.name)
            names.keep(fabricDevice: bridge, "b", [interface.name])
            names.keep(fabricDevice: tap, "t", [interface.name])
        }
        for node in plan.nodes {
            for (place, leg) in node.legs.enumerated() {
                let interface = plan.interfaces[leg.interface].name
                keptAddresses[[node.name, interface]] = leg.addresses
                names.keep(leg.mac, [name, node.name, interface])
                if let device = leg.fabricDevice { names.keep(fabricDevice: device, "v", [node.name, interface]) }
                // The other side delivers what is addressed to this one's alias.
                guard node.legs.count == 2, let alias = node.legs[1 - place].deliverToo.first else { continue }
                names.keep(alias, [name, node.name, interface, "alias"])
            }
        }
    }

    /// What makes two entries of different tables the same one.
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

    /// Entries that there were before keep their counters; new ones get numbers that nothing has used.
    func keepCounters(_ plan: AppliancePlan) {
        var known: [EntryKey: Int] = [:]
        for entry in plan.table.entries {
            known[EntryKey(entry, on: plan.table.interfaces[entry.receivedInterface].name)] = entry.counter
        }
        var used = Set(plan.table.entries.map(\.counter))
        var next = 0
        for index in entries.indices {
            let key = EntryKey(entries[index], on: file.interfaces[entries[index].receivedInterface].name.value)
            if let counter = known.removeValue(forKey: key) {
                entries[index].counter = counter
                continue
            }
            while !used.insert(next).inserted { next += 1 }
            entries[index].counter = next
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
