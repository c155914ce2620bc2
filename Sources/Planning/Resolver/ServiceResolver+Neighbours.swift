import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// What keeps nodes from being each other's neighbours.
extension ServiceResolver {
    /// Reports a node that has no address of the family of any other node of its service. Once for a service.
    func checkFamilies(of found: Neighbourhood) {
        let families = found.members.map { addressFamilies(of: $0) }
        let interfaces = found.members.map { legs[$0.node][$0.leg].interface }
        // On a common link there are link-local addresses; a node without any gets some while it runs.
        let lonely = found.members.indices.first { one in
            !families[one].isEmpty
                && found.members.indices.allSatisfy { other in
                    other == one
                        || interfaces[other] != interfaces[one] && !families[other].isEmpty
                            && families[other].isDisjoint(with: families[one])
                }
        }
        guard let lonely, found.members.count > 1 else { return }
        let name = quoted(shownName(found.members[lonely].node))
        let family = families[lonely].contains(.ipv4) ? "IPv4" : "IPv6"
        let interface = file.interfaces[interfaces[lonely]]
        diagnostics.error(
            found.raw.between.first { every($0.name).contains(found.members[lonely].node) }?.origin
                ?? found.raw.name.origin,
            "\(name) has \(family) addresses alone, and no other node of service \(quoted(found.raw.name.value)) has one",
            hint: "give interface \(quoted(interface.name.value)) an address of the others' family, or remove \(name)",
            related: [(interface.name.origin, "the interface is here")])
    }

    /// Reports neighbours by some ports alone of which one is a router that the other has everything from: a packet from a
    /// port of the one service to a port of the other would be of both.
    func checkRouterPorts(_ services: [ResolvedService], _ neighbourhoods: [Neighbourhood]) {
        for neighbourhood in neighbourhoods {
            guard let port = neighbourhood.raw.ports.first(where: { $0.value.ports != 0...65535 }) else { continue }
            for service in services {
                let found = neighbourhood.members.lazy.compactMap { sender -> (Neighbour, Neighbour)? in
                    let own = legs[sender.node][sender.leg].addresses.map { IPPrefix(host: $0.address) }
                    let other = neighbourhood.members.first {
                        $0 != sender && answersNetworks(sender, own, to: [$0], of: service)
                    }
                    return other.map { (sender, $0) }
                }.first
                guard let (router, customer) = found else { continue }
                let (name, other) = (quoted(shownName(router.node)), quoted(shownName(customer.node)))
                diagnostics.error(
                    port.origin,
                    "\(name) ends service \(quoted(service.raw.name.value)) \(service.raw.name.origin.place), by which "
                        + "\(other) gets its packets of every port: nothing tells those of \(port.value) from them",
                    hint: "write `\(wide(port.value))`, or leave `ports` out: such neighbours exchange every port",
                    related: [(service.raw.name.origin, "service \(quoted(service.raw.name.value)) is here")])
                break
            }
        }
    }

    /// The whole protocol of a port: `tcp`.
    private func wide(_ port: PortSpecification) -> String {
        "\(port)".split(separator: "/").first.map(String.init) ?? "any"
    }

    /// Reports an application with a network send address of which a neighbour is a customer, too: what it answers the
    /// customer is what it answers the neighbour, and only the one is to come from the service's address.
    func checkNeighbourCustomers(_ services: [ResolvedService], _ neighbourhoods: [Neighbourhood]) {
        for neighbourhood in neighbourhoods {
            for service in services {
                guard let end = service.stops.last?.node, file.nodes[end].networkAddress != nil else { continue }
                let ends = Set(members(of: end))
                guard neighbourhood.members.contains(where: { ends.contains($0.node) }),
                    let other = neighbourhood.members.first(where: {
                        !ends.contains($0.node) && isCustomer($0, of: service)
                    }) ?? neighbourhood.members.first(where: { isCustomer($0, of: service) })
                else { continue }
                let (name, neighbour) = (quoted(shownName(end)), quoted(shownName(other.node)))
                let isNamed = service.raw.from.isEmpty && file.nodes[other.node].kind != .customer
                diagnostics.error(
                    neighbourhood.raw.between.first { every($0.name).contains { ends.contains($0) } }?.origin
                        ?? neighbourhood.raw.name.origin,
                    "\(name) has a network send address, and \(neighbour) is a customer of service "
                        + "\(quoted(service.raw.name.value)) \(service.raw.name.origin.place) and its neighbour: nothing tells "
                        + "what \(name) answers the customer from what it answers the neighbour",
                    hint: isNamed
                        ? "name the customers of \(quoted(service.raw.name.value)) in `from`, or remove `send: network`"
                        : "remove `send: network`, or let \(neighbour) be one of the two",
                    related: [(service.raw.name.origin, "service \(quoted(service.raw.name.value)) is here")])
            }
        }
    }
}

extension AddressStage {
    /// True if a service for networks that a node's own addresses are in, such as 0.0.0.0/0, ends at it, and a receiver
    /// is its customer.
    func answersNetworks(
        _ sender: Neighbour, _ own: [IPPrefix], to receivers: [Neighbour], of service: ResolvedService
    ) -> Bool {
        service.stops.last.map { members(of: $0.node).contains(sender.node) } ?? false
            && service.raw.addresses.contains { address in
                !address.value.isHost && own.contains { address.value.contains($0) }
            }
            && receivers.contains { isCustomer($0, of: service) }
    }

    /// True if a node may use a service from a leg.
    func isCustomer(_ member: Neighbour, of service: ResolvedService) -> Bool {
        let leg = legs[member.node][member.leg]
        return service.scopes.contains { scope in
            guard scope.interface == leg.interface, scope.node == nil || scope.node == member.node else { return false }
            return scope.source.map { source in leg.addresses.contains { source.contains(IPPrefix(host: $0.address)) } }
                ?? true
        }
    }

    /// The families that a node has addresses of on a leg, or may have.
    func addressFamilies(of member: Neighbour) -> Set<AddressFamily> {
        Set(
            legs[member.node][member.leg].addresses.map(\.address.family)
                + file.nodes[member.node].mayHave.map(\.value.family))
    }
}
