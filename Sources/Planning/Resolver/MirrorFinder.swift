import Forwarding
import Reporting
import TopologyFiles
import Wire

// `copies: everything`: passive applications that see all that arrives on an interface, as it arrived.

extension TopologyFile {
    /// The file with an interface of its own for each passive application that may get everything and shares its
    /// interface with others. A node's packets must reach only the applications that are to see them, whatever their
    /// destination. Instances of one application stay together.
    func separatingCopies() -> TopologyFile {
        let hasMirroredInterface = interfaces.contains { $0.copiesEverything != nil }
        var file = self
        for (index, node) in nodes.enumerated() {
            guard node.passive, node.copiesEverything != nil || hasMirroredInterface, let leg = node.legs.first,
                let home = interfaces.first(where: { $0.name.value == leg.interface.value })
            else { continue }
            let isShared = nodes.enumerated().contains { other, raw in
                other != index && (raw.application == nil || raw.application != node.application)
                    && raw.legs.contains { $0.interface.value == home.name.value }
            }
            guard isShared else { continue }
            let name = "\(home.name.value) of \(node.application ?? node.name.value)"
            if !file.interfaces.contains(where: { $0.name.value == name }) {
                var own = home
                own.name = Located(name, home.name.origin)
                own.copiesEverything = nil
                own.home = home.name.value
                // A device of the machine's is bound to one interface.
                (own.device, own.behind) = (nil, [])
                file.interfaces.append(own)
            }
            file.nodes[index].legs[0].interface = Located(name, leg.interface.origin)
        }
        return file
    }
}

/// Finds the copies of packets as they arrive; reports copies that are not possible.
struct MirrorFinder: EntryStage, Diagnosing {
    let planned: PlannedEntries
    let diagnostics: Diagnostics

    /// The copies of packets as they arrive, each pair of interfaces once.
    func find() -> [Mirror] {
        var mirrors: [Mirror] = []
        var fed: Set<Int> = []
        for entry in entries {
            for target in entry.targets where target.system == .passiveApplication {
                guard let node = passiveNode(on: target.interface), target.interface != entry.receivedInterface else {
                    continue
                }
                fed.insert(lead(node))
                let received = file.interfaces[entry.receivedInterface]
                guard let position = file.nodes[node].copiesEverything ?? received.copiesEverything else { continue }
                mirror(entry.receivedInterface, to: target.interface, node, position, &mirrors)
            }
        }
        for (index, node) in file.nodes.enumerated() {
            guard let position = node.copiesEverything, !fed.contains(lead(index)), let leg = legs[index].first else {
                continue
            }
            if let home = file.interfaces[leg.interface].home, let received = interfaceIndex[home] {
                mirror(received, to: leg.interface, index, position, &mirrors)
            } else if !followsMistakes {
                diagnostics.error(
                    position,
                    "\(quoted(shownName(index))) gets no copies: no service or entry names it, and it is alone on "
                        + "its interface",
                    hint: "name it in the `distribute` of a service, or attach it to the interface that it should see")
            }
        }
        for interface in file.interfaces.indices {
            guard let position = file.interfaces[interface].copiesEverything, !followsMistakes,
                !mirrors.contains(where: { $0.received == interface })
            else { continue }
            diagnostics.error(
                position,
                "no passive application gets copies of what arrives on \(quoted(file.interfaces[interface].name.value))",
                hint: "name one in the `distribute` of a service, or remove `copies: everything`")
        }
        return mirrors.uniqued()
    }

    /// A passive application that is alone on an interface.
    private func passiveNode(on interface: Int) -> Int? {
        guard let first = legsOn[interface].first?.node, file.nodes[first].passive,
            legsOn[interface].allSatisfy({ file.nodes[$0.node].passive && lead($0.node) == lead(first) })
        else { return nil }
        return first
    }

    private func mirror(
        _ received: Int, to send: Int, _ node: Int, _ position: SourceOrigin, _ mirrors: inout [Mirror]
    ) {
        let added = Mirror(received: received, send: send)
        guard !mirrors.contains(added) else { return }
        mirrors.append(added)
        if let application = application(of: node), application.members.count > 1, !application.isCopied {
            diagnostics.error(
                position,
                "the instances of \(quoted(shownName(node))) share its copies, but frames that arrive can only go to all of them",
                hint: "write `redundancy: copies`, or remove `copies: everything`")
        }
        let (from, to) = (file.interfaces[received], file.interfaces[send])
        if from.mtu.value > to.mtu.value {
            diagnostics.error(
                to.mtu.origin,
                "\(quoted(shownName(node))) gets everything that arrives on \(quoted(from.name.value)), whose MTU is "
                    + "\(from.mtu.value), and the MTU of its own interface is \(to.mtu.value)",
                hint: "write `mtu: \(from.mtu.value)` there")
        }
    }
}
