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
    /// The addresses of interfaces and services.
    let given: GivenAddresses
    /// The interfaces that are on bridges.
    let bridges: Set<String>

    /// False: places that are free are left out. Then the new plan is for a picture, and not to be carried out.
    let leavesPlaces: Bool

    /// - Parameter name: The name of the new topology.
    init(_ plan: AppliancePlan, named name: String, leavesPlaces: Bool = true) {
        self.leavesPlaces = leavesPlaces
        var names = GeneratedNames()
        var addresses: [[String]: [InterfaceAddress]] = [:]
        var bridges: Set<String> = []
        for (index, interface) in plan.interfaces.enumerated() where !interface.isVacant {
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
        given = GivenAddresses(
            interfaces: Dictionary(zip(plan.interfaces.map(\.name), plan.table.interfaces.map(\.addresses))) {
                first, _ in
                first
            },
            services: Dictionary(plan.services.map { ($0.name, $0.addresses.compactMap { IPPrefix($0) }) }) {
                first, _ in first
            })
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
    /// The file with the interfaces of a plan at their places, which are those of the table.
    ///
    /// The place of an interface that the file no longer has stays free. A new interface takes the first place that was
    /// free before, else one behind all others.
    func ordered(as parts: KeptParts) -> TopologyFile {
        let plan = parts.plan
        let known = Set(plan.interfaces.map(\.name))
        let named = Dictionary(interfaces.map { ($0.name.value, $0) }) { first, _ in first }
        var fresh = interfaces.filter { !known.contains($0.name.value) }[...]
        var file = self
        file.interfaces = plan.interfaces.enumerated().map { place, interface in
            if let kept = named[interface.name] { return kept }
            if interface.isVacant, let next = fresh.popFirst() { return next }
            return RawInterface(vacant: place, at: name.origin)
        }
        file.interfaces += fresh
        while let last = file.interfaces.last, last.isVacant { file.interfaces.removeLast() }
        if !parts.leavesPlaces { file.interfaces.removeAll(where: \.isVacant) }
        return file
    }

    /// The names of its interfaces, without those of free places.
    var interfaceNames: [String] { interfaces.filter { !$0.isVacant }.map(\.name.value) }
}

extension RawInterface {
    /// True if the place is free.
    var isVacant: Bool { TableInterface.isVacant(name.value) }
}
