import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// The entries of services between neighbours.
extension EntryMaker {
    /// For each node: entries for what it sends to each other's addresses, and to the groups.
    ///
    /// Frames to a group have the MAC address of one receiver each (RFC 6085). So nobody gets them whom the file does
    /// not name, and their sender does not hear itself.
    func entries(of neighbourhood: Neighbourhood) -> [MadeEntry] {
        neighbourhood.members.flatMap { sender -> [MadeEntry] in
            let others = neighbourhood.members.filter { $0 != sender }
            let direct = others.flatMap { receiver in
                addresses(of: receiver, from: sender).filter { isSent(to: $0, by: sender) }.flatMap { address in
                    made(neighbourhood, sender, to: IPPrefix(host: address), [receiver], isAnswered: true)
                }
            }
            let broadcasts = neighbourhood.raw.subnet == nil ? [] : self.broadcasts(of: sender)
            let groups = (neighbourhood.groups + broadcasts).uniqued().flatMap { group -> [MadeEntry] in
                let members = others.compactMap { other -> SendTarget? in
                    guard let membership = neighbourhood.membership(of: other, in: group) else { return nil }
                    var target = target(of: other)
                    target.whileJoined = membership == .whileJoined
                    return target
                }
                guard !members.isEmpty || !neighbourhood.listeners.isEmpty else { return [] }
                return made(
                    neighbourhood, sender, to: IPPrefix(host: group), others, at: members, isAnswered: false)
            }
            return direct + moving(neighbourhood, sender, others) + groups
        }
    }

    /// True if a node has an address of the family of another one. A node without any gets some while it runs.
    private func isSent(to address: IPAddress, by sender: Neighbour) -> Bool {
        let families = addressFamilies(of: sender)
        return families.isEmpty || families.contains(address.family) || address.isLinkLocal
    }

    /// The entries for addresses that neighbours may have and the sender may not: they find their owner by asking.
    private func moving(
        _ neighbourhood: Neighbourhood, _ sender: Neighbour, _ others: [Neighbour]
    ) -> [MadeEntry] {
        let own = file.nodes[sender.node].mayHave.map(\.value)
        var seen: Set<IPPrefix> = []
        return others.flatMap { other -> [MadeEntry] in
            let interface = legs[other.node][other.leg].interface
            let links = file.interfaces[interface].addresses.map(\.value.value.prefix)
            let held = file.nodes[other.node].mayHave.map(\.value).filter { prefix in
                links.contains { $0.contains(prefix) } && !own.contains { $0.overlaps(prefix) }
                    && seen.insert(prefix).inserted
            }
            let target = SendTarget(
                interface: interface, address: .neighbour(via: nil), system: systems[other.node])
            return held.flatMap { made(neighbourhood, sender, to: $0, [other], at: [target], isAnswered: true) }
        }
    }

    /// The addresses that a node reaches another one by. On a common link these are its link-local ones, too.
    private func addresses(of receiver: Neighbour, from sender: Neighbour) -> [IPAddress] {
        let (own, other) = (legs[sender.node][sender.leg], legs[receiver.node][receiver.leg])
        let isIPv6 = file.interfaces[own.interface].addresses.contains { $0.value.value.address.family == .ipv6 }
        let linkLocal = own.interface == other.interface && isIPv6 ? [GeneratedNames.linkLocal(other.mac)] : []
        return (other.addresses.map(\.address) + linkLocal).uniqued()
    }

    /// The entries for packets of one node to an address: for each service port, and for what it answers from one.
    private func made(
        _ neighbourhood: Neighbourhood, _ sender: Neighbour, to destination: IPPrefix, _ receivers: [Neighbour],
        isAnswered: Bool
    ) -> [MadeEntry] {
        made(
            neighbourhood, sender, to: destination, receivers, at: receivers.map { target(of: $0) },
            isAnswered: isAnswered)
    }

    private func target(of receiver: Neighbour) -> SendTarget {
        var target = target(receiver.node, leg: receiver.leg)
        if target.system == .passiveApplication { target.system = .customer }
        return target
    }

    /// True if echo among these nodes is part of the service: no port of a service between them says anything of ICMP,
    /// and it is the first of these services.
    private func impliesICMP(_ own: Neighbourhood, _ nodes: [Neighbour], _ family: AddressFamily) -> Bool {
        let icmp = PortSpecification.icmp.servicePort(family).protocolNumber
        let all = neighbourhoods.filter { Set(nodes).isSubset(of: $0.members) }
        return all.first?.index == own.index
            && !all.contains { other in
                other.raw.ports.contains { port in
                    let number = port.value.servicePort(family).protocolNumber
                    return number == nil || number == icmp
                }
            }
    }

    private func made(
        _ neighbourhood: Neighbourhood, _ sender: Neighbour, to destination: IPPrefix, _ receivers: [Neighbour],
        at targets: [SendTarget], isAnswered: Bool
    ) -> [MadeEntry] {
        let family = destination.family
        let emission = emission(sender.node, leg: sender.leg)
        let hops = copies(neighbourhood.listeners, .none) + targets.map { Hop.target($0) }
        var ports = neighbourhood.raw.ports.map { $0.value.servicePort(family) }
        if isAnswered, impliesICMP(neighbourhood, [sender] + receivers, family) {
            ports.append(PortSpecification.icmp.servicePort(family))
        }
        let own = isAnswered ? sources(sender, towards: destination.address) : []
        // What comes from behind such a node is another service's. What comes from itself is its neighbours': its source is
        // more specific.
        let isOfNetworks = services.contains { answersNetworks(sender, own, to: receivers, of: $0) }
        return ports.uniqued().flatMap { port -> [MadeEntry] in
            func entry(_ direction: ChainDirection, from source: IPPrefix?) -> MadeEntry {
                var entry = Entry(
                    name: "\(neighbourhood.raw.name.value).\(direction == .request ? "request" : "response")."
                        + shownName(sender.node),
                    kind: file.nodes[sender.node].kind == .customer ? .distribution : .sequencing, direction: direction,
                    receivedInterface: emission.interface, sourceMAC: emission.mac, source: source,
                    destination: destination, servicePort: port, hops: hops, counter: 0)
                entry.isBetween = true
                return MadeEntry(
                    entry: entry,
                    basis: EntryBasis(
                        origin: neighbourhood.raw.name.origin,
                        label: "service \(quoted(neighbourhood.raw.name.value))", service: neighbourhood.index,
                        node: lead(sender.node)))
            }
            guard !isOfNetworks else {
                let isOnLink = receivers.allSatisfy { legs[$0.node][$0.leg].interface == emission.interface }
                return own.filter { isOnLink || !$0.address.isLinkLocal }.map { entry(.request, from: $0) }
            }
            let request = [entry(.request, from: nil)]
            // Without ports the answer of one is the request of the other.
            guard isAnswered, port.ports != 0...65535 else { return request }
            // The source makes an answer more specific than a request between two such ports.
            return request + own.map { entry(.response, from: $0) }
        }
    }

    /// The addresses that a node answers an address from.
    private func sources(_ sender: Neighbour, towards destination: IPAddress) -> [IPPrefix] {
        let leg = legs[sender.node][sender.leg]
        var own = leg.addresses.map { IPPrefix(host: $0.address) } + file.nodes[sender.node].mayHave.map(\.value)
        if destination.family == .ipv6 { own.append(IPPrefix(host: GeneratedNames.linkLocal(leg.mac))) }
        return own.filter { $0.family == destination.family }.uniqued()
    }
}
