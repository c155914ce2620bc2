import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Entries by hand.
extension EntryMaker {
    /// The entries of the table for one entry of the file: one for each destination and service port that it names.
    func entries(of raw: RawEntry) -> [MadeEntry] {
        guard let received = interface(raw.received) else { return [] }
        var sourceMAC: MACAddress?
        var source: IPPrefix?
        switch raw.source?.value {
        case nil, .any: break
        case .prefix(let prefix): source = prefix
        case .mac(let mac): sourceMAC = mac
        case .node(let name):
            guard let mac = emitter(Located(name, raw.source?.origin ?? raw.origin), on: received, raw) else {
                return []
            }
            sourceMAC = mac
        }
        var destinations: [IPPrefix?] = [nil]
        switch raw.destination?.value {
        case nil, .any, .mac: break
        case .prefix(let prefix): destinations = [prefix]
        case .node(let name):
            let located = Located(name, raw.destination?.origin ?? raw.origin)
            guard let node = single(located) else { return [] }
            destinations = legs[node].flatMap(\.addresses).map { IPPrefix(host: $0.address) }
                .filter { source == nil || $0.family == source?.family }
            if destinations.isEmpty {
                diagnostics.error(
                    located.origin, "\(quoted(name)) has no address that the source can send to",
                    hint: "write an address or a prefix")
            }
        }
        let targets = raw.targets.compactMap { target($0, raw) }
        guard !targets.isEmpty, targets.count == raw.targets.count else { return [] }
        var made: [MadeEntry] = []
        for destination in destinations {
            guard familiesAgree(raw, source, destination, targets) else { return made }
            let family = source?.family ?? destination?.family
            let ports = raw.ports.flatMap { port in
                (family.map { [$0] } ?? AddressFamily.allCases).map { port.value.servicePort($0) }
            }
            made += ports.uniqued().map { port in
                var entry = Entry(
                    name: raw.name.value, kind: raw.kind, direction: raw.direction, receivedInterface: received,
                    sourceMAC: sourceMAC, source: source, destination: destination, servicePort: port,
                    rewriteSource: raw.rewriteSource?.value, targets: targets, counter: 0)
                entry.isByHand = true
                return MadeEntry(
                    entry: entry,
                    basis: EntryBasis(
                        origin: raw.origin, label: "entry \(quoted(raw.name.value))", service: nil, raw: raw))
            }
        }
        return made
    }

    /// The Ethernet source of a node's frames on an interface.
    private func emitter(_ name: Located<String>, on interface: Int, _ raw: RawEntry) -> MACAddress? {
        guard let node = single(name) else { return nil }
        guard let place = legs[node].firstIndex(where: { isPart($0.interface, of: interface) }) else {
            diagnostics.error(
                name.origin,
                "\(quoted(name.value)) is not on interface \(quoted(file.interfaces[interface].name.value))",
                hint: "name an interface that it is attached to in `received-interface`")
            return nil
        }
        return emission(node, leg: place).mac
    }

    private func target(_ raw: RawTarget, _ entry: RawEntry) -> SendTarget? {
        var interface: Int?
        if let name = raw.interface {
            interface = self.interface(name)
            if interface == nil { return nil }
        }
        switch raw.address {
        case .node(let name):
            guard let node = single(name) else { return nil }
            guard !legs[node].isEmpty else { return nil }
            var place = 0
            if let interface {
                guard let found = legs[node].firstIndex(where: { isPart($0.interface, of: interface) }) else {
                    diagnostics.error(
                        raw.origin,
                        "\(quoted(name.value)) is not on interface \(quoted(file.interfaces[interface].name.value))",
                        hint: "name an interface that it is attached to")
                    return nil
                }
                place = found
            }
            var target = target(node, leg: place)
            target.system = raw.system ?? target.system
            return target
        case .mac(let mac):
            guard let interface else { return nil }
            let owner = legsOn[interface].first { legs[$0.node][$0.leg].mac == mac }
                .map { system($0.node, leg: $0.leg) }
            return SendTarget(
                interface: interface, address: .mac(mac), system: raw.system ?? owner ?? .terminalApplication)
        case .network(let address):
            guard let interface else { return nil }
            let owner = legsOn[interface].first { place in
                legs[place.node][place.leg].addresses.contains { $0.address == address }
            }
            return SendTarget(
                interface: interface, address: .network(address),
                system: raw.system ?? owner.map { system($0.node, leg: $0.leg) } ?? .terminalApplication)
        case .neighbour(let via):
            guard let interface else { return nil }
            return SendTarget(interface: interface, address: .neighbour(via: via), system: raw.system ?? .customer)
        }
    }

    private func familiesAgree(
        _ raw: RawEntry, _ source: IPPrefix?, _ destination: IPPrefix?, _ targets: [SendTarget]
    ) -> Bool {
        if let source, let destination, source.family != destination.family {
            diagnostics.error(
                raw.destination?.origin ?? raw.origin,
                "source and destination are of different address families", hint: "write two entries")
            return false
        }
        let family = source?.family ?? destination?.family
        if let rewrite = raw.rewriteSource, rewrite.value.family != family {
            diagnostics.error(
                rewrite.origin, "`rewrite-source` is not of the family of the entry's packets",
                hint: "give the entry a source or destination of the same family")
            return false
        }
        for (place, target) in targets.enumerated() {
            guard case .network(let address) = target.address else { continue }
            if address.family != family {
                diagnostics.error(
                    raw.targets[place].origin, "the send address is not of the family of the entry's packets",
                    hint: "give the entry a source or destination of the same family")
                return false
            }
            if destination?.isHost != true {
                diagnostics.error(
                    raw.targets[place].origin,
                    "a network send address rewrites the destination, and a destination can only be restored if it is "
                        + "one address",
                    hint: "give the entry one address as its `destination`, or use a MAC send address")
                return false
            }
        }
        return true
    }
}
