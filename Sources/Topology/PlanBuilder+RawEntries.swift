import Forwarding
import Wire

extension PlanBuilder {
    /// Adds an entry by hand: one for each destination and service port that it names.
    func addEntries(of raw: RawEntry) {
        guard let received = interface(raw.received) else { return }
        var sourceMAC: MACAddress?
        var source: IPPrefix?
        switch raw.source?.value {
        case nil, .any: break
        case .prefix(let prefix): source = prefix
        case .mac(let mac): sourceMAC = mac
        case .node(let name):
            guard let mac = emitter(Located(name, raw.source?.position ?? raw.position), on: received, raw) else {
                return
            }
            sourceMAC = mac
        }
        var destinations: [IPPrefix?] = [nil]
        switch raw.destination?.value {
        case nil, .any, .mac: break
        case .prefix(let prefix): destinations = [prefix]
        case .node(let name):
            let located = Located(name, raw.destination?.position ?? raw.position)
            guard let node = single(located) else { return }
            destinations = legs[node].flatMap(\.addresses).map { IPPrefix(host: $0.address) }
                .filter { source == nil || $0.family == source?.family }
            if destinations.isEmpty {
                diagnostics.error(
                    located.position, "\(quoted(name)) has no address that the source can send to",
                    mend: "write an address or a prefix")
            }
        }
        let targets = raw.targets.compactMap { target($0, raw) }
        guard !targets.isEmpty, targets.count == raw.targets.count else { return }
        for destination in destinations {
            guard familiesAgree(raw, source, destination, targets) else { return }
            let family = source?.family ?? destination?.family
            let ports = raw.ports.flatMap { port in
                (family.map { [$0] } ?? AddressFamily.allCases).map { port.value.servicePort($0) }
            }
            for port in ports.uniqued() {
                entries.append(
                    Entry(
                        name: raw.name.value, kind: raw.kind, direction: raw.direction, receivedInterface: received,
                        sourceMAC: sourceMAC, source: source, destination: destination, servicePort: port,
                        rewriteSource: raw.rewriteSource?.value, targets: targets, counter: entries.count))
                entries[entries.count - 1].isByHand = true
                origins.append(
                    EntryOrigin(
                        position: raw.position, label: "entry \(quoted(raw.name.value))", service: nil, raw: raw))
                for (number, target) in raw.targets.enumerated() where target.system != nil {
                    vouched.insert(TargetPlace(entry: entries.count - 1, target: number))
                }
            }
        }
    }

    /// The Ethernet source of a node's frames on an interface.
    private func emitter(_ name: Located<String>, on interface: Int, _ raw: RawEntry) -> MACAddress? {
        guard let node = single(name) else { return nil }
        guard let place = legs[node].firstIndex(where: { isPart($0.interface, of: interface) }) else {
            diagnostics.error(
                name.position,
                "\(quoted(name.value)) is not on interface \(quoted(file.interfaces[interface].name.value))",
                mend: "name an interface that it is attached to in `received-interface`")
            return nil
        }
        return emission(node, place == legs[node].count - 1 && place > 0 ? .request : .response).mac
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
            var direction = ChainDirection.request
            if let interface, !isPart(legs[node][0].interface, of: interface) {
                guard legs[node].last?.interface == interface else {
                    diagnostics.error(
                        raw.position,
                        "\(quoted(name.value)) is not on interface \(quoted(file.interfaces[interface].name.value))",
                        mend: "name an interface that it is attached to")
                    return nil
                }
                direction = .response
            }
            var target = target(node, direction)
            target.system = raw.system ?? target.system
            return target
        case .mac(let mac):
            guard let interface else { return nil }
            let owner = legsOn[interface].first { legs[$0.node][$0.leg].mac == mac }.map { systems[$0.node] }
            return SendTarget(
                interface: interface, address: .mac(mac), system: raw.system ?? owner ?? .terminalApplication)
        case .network(let address):
            guard let interface else { return nil }
            let owner = legsOn[interface].first { place in
                legs[place.node][place.leg].addresses.contains { $0.address == address }
            }
            return SendTarget(
                interface: interface, address: .network(address),
                system: raw.system ?? owner.map { systems[$0.node] } ?? .terminalApplication)
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
                raw.destination?.position ?? raw.position,
                "source and destination are of different address families", mend: "write two entries")
            return false
        }
        let family = source?.family ?? destination?.family
        if let rewrite = raw.rewriteSource, rewrite.value.family != family {
            diagnostics.error(
                rewrite.position, "`rewrite-source` is not of the family of the entry's packets",
                mend: "give the entry a source or destination of the same family")
            return false
        }
        for (place, target) in targets.enumerated() {
            guard case .network(let address) = target.address else { continue }
            if address.family != family {
                diagnostics.error(
                    raw.targets[place].position, "the send address is not of the family of the entry's packets",
                    mend: "give the entry a source or destination of the same family")
                return false
            }
            if destination?.isHost != true {
                diagnostics.error(
                    raw.targets[place].position,
                    "a network send address rewrites the destination, and a destination can only be restored if it is "
                        + "one address",
                    mend: "give the entry one address as its `destination`, or use a MAC send address")
                return false
            }
        }
        return true
    }
}
