import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

// Nodes whose legs are not simply a near and a far side: services enter and leave them by different legs.

extension ServiceStage {
    /// True if a node's routes decide which leg a packet leaves by: it has more than two, or services use them in
    /// different directions.
    func isPassedByRoutes(_ node: Int) -> Bool {
        let count = legs[node].count
        guard count > 1, !file.nodes[node].transparent else { return false }
        // A leg beside `in` that is not `out` is no far side: the default route stays at `in`.
        if count > 2 || exitLeg(node) == 0 && !file.nodes[node].passive { return true }
        return services.contains { service in
            if let stop = service.stop(of: lead(node)) {
                if stop.enter != 0 { return true }
                if stop.leave != count - 1, service.stops.last != stop { return true }
            }
            return service.scopes.contains { $0.node == node && $0.leg != count - 1 }
        }
    }
}

extension NodePlanner {
    /// A route that packets need, and why.
    private struct Need {
        var prefix: IPPrefix
        var leg: Int
        var source: IPAddress?
        /// The service, and the place of its address; nil for customers and for entries by hand.
        var service: (index: Int, origin: SourceOrigin)?
    }

    /// The routes of a node with several legs: to the customers of each service by the leg that its requests enter by,
    /// to its addresses by the leg that they leave by. All else goes by `out`, else by the first leg; a passive
    /// application gets copies there, and uses its last one.
    func routesByLeg(_ node: Int, _ family: AddressFamily) -> [RoutePlan] {
        let own = legs[node]
        let used = services.filter { $0.chain.contains(lead(node)) }
        let opened = services.filter { $0.openers.contains(node) }
        let isAsked =
            (used + opened).contains { $0.families.contains(family) }
            || resolved.handTraffic[node]?.families.contains(family) ?? false
        let gateways = own.map { nextHop($0, family, isAsked: isAsked) }
        var routes: [RoutePlan] = []
        for need in needs(node, family, used, opened) {
            if let other = routes.first(where: { $0.destination == need.prefix }) {
                if other.leg != need.leg { tellTwoSides(node, need.prefix, at: need.service?.origin) }
                continue
            }
            guard let gateway = gateways[need.leg] else { continue }
            let links = own.flatMap(\.addresses).filter { $0.prefix.contains(need.prefix) }
            if let obstacle = obstacle(need.prefix, links, node) {
                if let service = need.service { tell(obstacle, need.prefix, node, service) }
                continue
            }
            routes.append(
                RoutePlan(destination: need.prefix, gateway: gateway, leg: need.leg, source: need.source))
        }
        let usual = file.nodes[node].passive ? own.count - 1 : exitLeg(node) ?? 0
        let everything = IPPrefix.everything(family)
        if let gateway = gateways[usual], !routes.contains(where: { $0.destination == everything }) {
            let source = opened.isEmpty ? answer(node, family, used, leg: usual) : nil
            routes.append(RoutePlan(destination: everything, gateway: gateway, leg: usual, source: source))
        }
        return routes
    }

    private func needs(
        _ node: Int, _ family: AddressFamily, _ used: [ResolvedService], _ opened: [ResolvedService]
    ) -> [Need] {
        let isApplication = file.nodes[node].kind == .application
        let served = servedHere(node)
        let sent = legs[node].indices.flatMap { leg -> [(leg: Int, item: Onward)] in
            onward(
                node, family, used.filter { $0.stop(of: lead(node))?.leave == leg },
                opened.filter { $0.openingLegs(of: node).contains(leg) }, leg: leg
            ).map { (leg, $0) }
        }
        var needs: [Need] = []
        for leg in legs[node].indices {
            let entering = used.filter { $0.stop(of: lead(node))?.enter == leg }
            let others = sent.filter { $0.leg != leg }.map(\.item.prefix)
            let source = answer(node, family, entering, leg: leg)
            needs += customerRoutes(entering, family, of: node, leg: leg, besides: others)
                .map { Need(prefix: $0, leg: leg, source: source) }
        }
        for (leg, item) in sent {
            let isOwn = legs[node].indices.contains { self.isOwn(item.prefix, node, leg: $0) }
            let isNeighbour = item.isOpened && item.prefix.isHost && onLink(legs[node][leg], item.prefix)
            guard !isOwn, !isNeighbour, !served.contains(item.prefix) else { continue }
            needs.append(
                Need(
                    prefix: item.prefix, leg: leg,
                    source: item.isOpened && isApplication ? legs[node][leg].address(family) : nil,
                    service: item.service))
        }
        return needs
    }

    /// The service address that a node answers from by a leg, if there is only one: a datagram server that is bound to no
    /// address then answers from the address that was asked.
    private func answer(_ node: Int, _ family: AddressFamily, _ used: [ResolvedService], leg: Int) -> IPAddress? {
        guard file.nodes[node].networkAddress == nil, file.nodes[node].kind == .application else { return nil }
        let answers = used.filter { $0.stops.last?.node == lead(node) && $0.stops.last?.enter == leg }
            .flatMap { $0.raw.addresses.map(\.value) }
            .filter { $0.isHost && $0.family == family && !isOwn($0, node, leg: leg) }.uniqued()
        return answers.count == 1 ? answers[0].address : nil
    }
}
