import Forwarding
import Reporting
import TopologyFiles
import Wire

/// The mistakes of single entries and interfaces, in the words of the file.
extension ProofTeller {
    func tellDead(_ index: Int, _ reason: DeadReason, _ flow: FlowFields?) {
        let entry = entries[index]
        let basis = bases[index]
        let interface = interfaceName(entry.receivedInterface)
        let sourcePosition = basis.raw?.source?.origin ?? basis.origin
        var position = basis.origin
        var related: [(SourceOrigin, String)] = []
        var shown: String?
        var fate = "no node there sends it"
        let why: String
        let hint: String
        switch reason {
        case .shadowed(let winners):
            let names = winners.map { "\(entryName($0)) \(bases[$0].origin.place)" }.uniqued()
            why =
                names.count == 1
                ? "\(names[0]) takes all packets that it matches, and \(precedence(winners[0], over: index))"
                : "\(names.joined(separator: " and ")) take all packets that it matches, and are more specific"
            hint = "remove it, or narrow \(names.count == 1 ? "the other" : "the others")"
            related = winners.map { (bases[$0].origin, "\(entryName($0)) is here") }
            if let flow {
                shown =
                    "from \(flow.source) on interface \(file.interfaces[entry.receivedInterface].name.value) to "
                    + "\(flow.destination) \(port(flow, entry.direction)): decided by \(entries[winners[0]].name)"
            }
        case .noNode:
            why = "no node is on interface \(interface)"
            hint = "attach a node to it, or name another received interface"
            let name = file.interfaces[entry.receivedInterface].name.value
            let from = basis.service.flatMap { service in file.services[service].from.first { $0.value == name } }
            position = basis.raw?.received.origin ?? from?.origin ?? basis.origin
            related = [(file.interfaces[entry.receivedInterface].name.origin, "the interface is here")]
        case .unknownSource(let mac, let owner):
            position = sourcePosition
            if let owner, let node = owner.node {
                why =
                    "\(mac) is the MAC address of \(nodeName(node)) on interface \(interfaceName(owner.interface)), and "
                    + "no node on \(interface) has it"
                hint = "name the interface of \(nodeName(node)) as the received interface, or another source"
                related = [(provedOrigin(node), "\(nodeName(node)) is here")]
            } else {
                why = "no node on interface \(interface) has the MAC address \(mac)"
                hint = "write the name of a node as the source"
            }
        case .silencedSource(let node):
            position = sourcePosition
            fate = "dropped before any entry is read"
            why = "\(nodeName(node)) is passive, so its packets are dropped before any entry is read"
            hint = "allow its active responses (`active-responses: true`), or name another source"
            related = [(provedOrigin(node), "\(nodeName(node)) is here")]
        case .silencedInterface:
            position = basis.raw?.received.origin ?? basis.origin
            fate = "dropped before any entry is read"
            why = "all nodes on interface \(interface) are passive, so their packets are dropped"
            hint = "name another received interface, or allow active responses"
        case .sourceElsewhere(let node):
            position = sourcePosition
            let source = entry.source.map { "\($0)" } ?? "its source"
            why =
                "no node on interface \(interface) sends from \(source)"
                + (node.map { ", which is \(nodeName($0))'s elsewhere" } ?? "")
            hint = "correct the source or the received interface, or give a customer there the network in `prefixes`"
            related = node.map { [(provedOrigin($0), "\(nodeName($0)) is here")] } ?? []
        case .family(let family):
            position = basis.raw?.destination?.origin ?? basis.origin
            why = "no node on interface \(interface) has an \(family == .ipv4 ? "IPv4" : "IPv6") address to send from"
            hint = "give the interface an address of that family, or remove the entry"
            related = [(file.interfaces[entry.receivedInterface].name.origin, "the interface is here")]
        case .ownAddress(let address):
            position = basis.raw?.destination?.origin ?? basis.origin
            fate = "the engine answers it"
            why = "\(address) is the engine's own address, so the engine itself answers for it"
            hint = "choose an unused service address"
        }
        let what = basis.service == nil ? "entry \(quoted(entry.name))" : entryName(index)
        diagnostics.finding(
            position, "\(what) can never match\(portNote(index)): \(why)", hint: hint, related: related,
            example: shown ?? "\(sample(index)): \(fate)")
    }

    /// Which of several service ports of one line is meant.
    private func portNote(_ index: Int) -> String {
        guard let raw = bases[index].raw, raw.ports.count > 1 else { return "" }
        return " \(describe(entries[index].servicePort))"
    }

    /// Why one entry goes before another.
    private func precedence(_ winner: Int, over index: Int) -> String {
        let (first, second) = (entries[winner], entries[index])
        if first.kind != second.kind { return "sequencing entries go first" }
        if (first.sourceMAC == nil) != (second.sourceMAC == nil) { return "names the sending node" }
        if first.source != second.source { return "names its source more exactly" }
        if first.destination != second.destination { return "names its destination more exactly" }
        return "has the narrower service port"
    }

    // MARK: Send targets

    func tellMismatch(_ place: TargetPlace, _ reason: MismatchReason) {
        let basis = bases[place.entry]
        let target = entries[place.entry].targets[place.target]
        let interface = interfaceName(target.interface)
        let position = basis.raw.map { raw in
            raw.targets.indices.contains(place.target) ? raw.targets[place.target].origin : basis.origin
        }
        var related: [(SourceOrigin, String)] = []
        func point(_ node: Int?) {
            guard let node else { return }
            related.append((provedOrigin(node), "\(nodeName(node)) is here"))
        }
        let why: String
        let hint: String
        switch reason {
        case .noNode:
            why = "interface \(interface), but no node is there"
            hint = "attach a node to it, or name another send interface"
            related.append((file.interfaces[target.interface].name.origin, "the interface is here"))
        case .unknownMAC(let mac, let owner):
            if let owner, let node = owner.node {
                let name = provedName(node)
                why =
                    "\(mac) on interface \(interface), and it is \(nodeName(node))'s on \(interfaceName(owner.interface))"
                hint =
                    "write { application: \(name), interface: \(file.interfaces[owner.interface].name.value) }"
                point(node)
            } else {
                why = "\(mac) on interface \(interface), but no node there has it"
                hint = "write the name of a node, or describe the receiver with `system`"
            }
        case .ownMAC(let mac):
            why = "\(mac) on interface \(interface), which is the engine's own MAC address"
            hint = "write the name of a node"
        case .unknownAddress(let address, let owner):
            why =
                "\(address) on interface \(interface), but no node there has it"
                + (owner.map { "; it is \(nodeName($0))'s elsewhere" } ?? "")
            hint = "write the address of a node there, or describe the receiver with `system`"
            point(owner)
        case .offLink(let address, let owner):
            why =
                "\(address) on interface \(interface), which has no such network"
                + (owner.map { "; it is \(nodeName($0))'s elsewhere" } ?? "")
            hint = "name the interface that \(address) is on, or an address of this one"
            point(owner)
        case .destinationOffLink(let prefix):
            why = "the host with \(prefix) on interface \(interface), which has no such network"
            hint = "name the interface of these hosts, or the next hop: `neighbour: ADDRESS`"
        }
        diagnostics.finding(
            position ?? basis.origin, "\(entryName(place.entry)) sends to \(why)", hint: hint, related: related,
            example:
                "\(sample(place.entry)): sent to interface \(file.interfaces[target.interface].name.value), but no node "
                + "takes it")
    }

    // MARK: MTU

    func tellTrap(_ trap: MTUTrap) {
        switch trap {
        case .transparent(let node):
            let places = legs[node].map { file.interfaces[$0.interface] }
            let mtus = places.map(\.mtu.value)
            diagnostics.finding(
                provedOrigin(node),
                "\(nodeName(node)) is transparent, and its interfaces \(quoted(places[0].name.value)) and "
                    + "\(quoted(places[places.count - 1].name.value)) have MTUs of \(mtus[0]) and \(mtus[mtus.count - 1]): "
                    + "larger packets are lost in it without an error",
                hint: "give both interfaces the same `mtu`",
                related: places.map { ($0.mtu.origin, "interface \(quoted($0.name.value)): MTU \($0.mtu.value)") },
                example: "a packet of \(mtus.max() ?? 0) octets is sent to \(provedName(node)) on the wider "
                    + "interface, and does not come out of the narrower one")
        case .copy(let place, let node, let packets):
            let target = entries[place.entry].targets[place.target]
            let interface = file.interfaces[target.interface]
            let received = file.interfaces[entries[place.entry].receivedInterface]
            diagnostics.finding(
                interface.mtu.origin,
                "\(nodeName(node)) gets copies of packets of up to \(packets) octets, and its interface "
                    + "\(quoted(interface.name.value)) carries \(interface.mtu.value): it does not see larger ones",
                hint: "write `mtu: \(packets)` for interface \(quoted(interface.name.value))",
                related: [
                    (
                        received.mtu.origin,
                        "the packets come from interface \(quoted(received.name.value)): MTU "
                            + "\(received.mtu.value)"
                    ),
                    (bases[place.entry].origin, "\(entryName(place.entry)) sends the copies"),
                ],
                example: "a packet of \(packets) octets on interface \(received.name.value): forwarded, and no copy "
                    + "reaches \(node.map { provedName($0) } ?? "the application")")
        case .mute(let place, let family):
            let target = entries[place.entry].targets[place.target]
            let interface = file.interfaces[target.interface]
            let received = file.interfaces[entries[place.entry].receivedInterface]
            let name = family == .ipv4 ? "IPv4" : "IPv6"
            diagnostics.finding(
                interface.mtu.origin,
                "packets of up to \(received.mtu.value) octets are sent to interface \(quoted(interface.name.value)), which "
                    + "carries \(interface.mtu.value), and the engine has no \(name) address to send their senders errors from",
                hint: "give an interface an \(name) address, or both the same `mtu`",
                related: [
                    (received.mtu.origin, "the packets come from interface \(quoted(received.name.value))"),
                    (bases[place.entry].origin, "\(entryName(place.entry)) sends them on"),
                ],
                example: "a packet of \(received.mtu.value) octets on interface \(received.name.value): dropped at "
                    + "\(interface.name.value), and its sender gets no error")
        }
    }
}
