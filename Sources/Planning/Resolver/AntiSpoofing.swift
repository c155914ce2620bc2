import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

// The source addresses that a node may send from: `anti-spoofing`.

extension NameStage {
    /// True if a node may send from its own addresses alone: as it says itself, or else its interface.
    func isJudged(_ node: Int, on interface: Int) -> Bool {
        file.nodes[node].antiSpoofing?.value ?? file.interfaces[interface].antiSpoofing?.value ?? true
    }
}

extension ServiceStage {
    /// The addresses that a node may send from by a leg; nil: any. Applications and routers pass on others' packets, and
    /// are known by their MAC addresses. A customer has its addresses, and the networks behind it. A passive application
    /// passes nothing on: it has its addresses, and those of the services that end at it.
    func origins(of node: Int, leg place: Int) -> [IPPrefix]? {
        let raw = file.nodes[node]
        guard isJudged(node, on: legs[node][place].interface) else { return nil }
        let own =
            legs[node].flatMap(\.addresses).map { IPPrefix(host: $0.address) } + raw.prefixes.map(\.value)
            + raw.mayHave.map(\.value)
        if raw.kind == .customer { return own }
        guard raw.passive, raw.activeResponses?.value != true, maySend(node, leg: place) else { return nil }
        let served = services.filter { $0.stops.last?.node == lead(node) }.flatMap { $0.raw.addresses.map(\.value) }
        return (own + served).uniqued()
    }
}

extension EntryStage {
    /// True if MAC addresses tell the customers of an interface from all other stations. None of its nodes may have
    /// several MAC addresses, and no entry by hand may name a station that is no node.
    func namesAll(_ interface: Int, _ sources: [KnownSource]) -> Bool {
        let here = legsOn[interface].map(\.node)
        guard here.contains(where: { file.nodes[$0].kind == .customer }),
            here.allSatisfy({ isJudged($0, on: interface) })
        else { return false }
        let known = Set(sources.filter { $0.interface == interface }.map(\.mac))
        return entries.allSatisfy { entry in
            let source = entry.receivedInterface == interface ? entry.sourceMAC : nil
            let targets = entry.targets.compactMap { target -> MACAddress? in
                guard target.interface == interface, case .mac(let mac) = target.address else { return nil }
                return mac
            }
            return (targets + [source].compactMap { $0 }).allSatisfy { known.contains($0) || aliases.contains($0) }
        }
    }

    /// The engine's MAC addresses on the sides of transparent applications.
    private var aliases: Set<MACAddress> { Set(legs.joined().compactMap(\.alias)) }
}

extension Remarker {
    /// Remarks on customers that may pose as other customers which a service or an entry treats differently.
    func remarkOnSpoofing() {
        for (node, raw) in file.nodes.enumerated() where raw.kind == .customer {
            guard let leg = legs[node].first, !isJudged(node, on: leg.interface) else { continue }
            let others = legsOn[leg.interface].map(\.node).filter { $0 != node && file.nodes[$0].kind == .customer }
            let isNamed = entries.contains { entry in
                entry.receivedInterface == leg.interface && entry.kind == .distribution
                    && others.contains { other in
                        legs[other].flatMap(\.addresses).contains {
                            entry.source?.contains(IPPrefix(host: $0.address)) ?? false
                        }
                            && entry.source?.length ?? 0 > 0
                    }
            }
            guard isNamed, let other = others.first else { continue }
            diagnostics.remark(
                raw.antiSpoofing?.origin ?? file.interfaces[leg.interface].antiSpoofing?.origin ?? place(node),
                "customer \(quoted(raw.name.value)) can pose as \(quoted(file.nodes[other].name.value)): `anti-spoofing` is "
                    + "off, and only the source address distinguishes the two",
                hint: "give \(quoted(raw.name.value)) an interface of its own, or remove `anti-spoofing: off`")
        }
    }
}

extension CheckResolver {
    /// Notes a check's packet that the engine would drop because of its source.
    func remarkOnSource(_ raw: RawPacket, from node: Int) {
        guard let source = raw.source, !legs[node].isEmpty, let origins = origins(of: node, leg: 0),
            !(source.value.family == .ipv6 && source.value.isLinkLocal), !source.value.isUnspecified,
            !origins.contains(where: { $0.contains(IPPrefix(host: source.value)) })
        else { return }
        let name = file.nodes[node].name.value
        diagnostics.remark(
            source.origin,
            "\(source.value) is not an address of customer \(quoted(name)): the engine drops the packet as spoofed-source",
            hint: "write `anti-spoofing: off` at \(quoted(name)), or add the network behind it to its `prefixes`")
    }
}
