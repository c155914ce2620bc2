import Forwarding
import Wire

extension PlanBuilder {
    /// The routes of a node: to customers by its near side, everything else by its far side.
    ///
    /// - Parameter served: The service addresses that it answers for.
    func routes(_ node: Int, _ served: [IPAddress]) -> [RoutePlan] {
        let raw = file.nodes[node]
        let own = legs[node]
        guard !raw.transparent, !own.isEmpty else { return [] }
        var routes: [RoutePlan] = []
        for family in AddressFamily.allCases { routes += self.routes(node, family, served) }
        for route in raw.routes {
            guard let leg = own.firstIndex(where: { onLink($0, IPPrefix(host: route.gateway.value)) }) else {
                diagnostics.error(
                    route.gateway.position,
                    "the next hop \(route.gateway.value) is on none of the networks of \(quoted(raw.name.value))",
                    mend: "name an address of the interface, such as the engine's")
                continue
            }
            routes.removeAll { $0.destination == route.destination }
            routes.append(RoutePlan(destination: route.destination, gateway: route.gateway.value, leg: leg))
        }
        return routes
    }

    private func routes(_ node: Int, _ family: AddressFamily, _ served: [IPAddress]) -> [RoutePlan] {
        let raw = file.nodes[node]
        let own = legs[node]
        let (near, far) = (own[0], own[own.count - 1])
        let used = services.filter { $0.chain.contains(lead(node)) }
        let opened = services.filter { $0.openers.contains(node) }
        let asked = (used + opened).contains { $0.families.contains(family) }
        // IPv6 works by the link-local addresses alone; IPv4 needs an address to send from.
        func gateway(_ leg: ResolvedLeg) -> IPAddress? {
            guard leg.address(family) != nil || (family == .ipv6 && asked) else { return nil }
            return self.gateway(family, on: leg.interface)
        }
        var routes: [RoutePlan] = []
        let hasTwoSides = own.count > 1
        let everything = IPPrefix.everything(family)
        let back = customerRoutes(used, family, link: near, of: node)
        if let gateway = gateway(near) {
            // With one leg the default route leads to customers beyond the link, too.
            let needed = back.filter { hasTwoSides || raw.kind == .router || !opened.isEmpty || onLink(near, $0) }
            routes += needed.map { RoutePlan(destination: $0, gateway: gateway, leg: 0) }
        }
        if let gateway = gateway(far) {
            let place = own.count - 1
            // Where everything lies on the near side, or nowhere, what the far side is asked for is named.
            if raw.kind == .router && !hasTwoSides || routes.contains(where: { $0.destination == everything }) {
                let further = (hasTwoSides ? used + opened : opened).flatMap { $0.raw.addresses.map(\.value) }
                for prefix in further.uniqued() where prefix.family == family && !isOwn(prefix, node) {
                    guard !onLink(far, prefix), !routes.contains(where: { $0.destination == prefix }) else { continue }
                    routes.append(
                        RoutePlan(
                            destination: prefix, gateway: gateway, leg: place,
                            source: raw.kind == .application ? far.address(family) : nil))
                }
                if hasTwoSides, further.contains(everything) { tellTwoDefaults(node, family) }
            } else {
                routes.append(RoutePlan(destination: everything, gateway: gateway, leg: place))
            }
        }
        // Towards customers it prefers the service address where there is one alone: a datagram server that is bound to
        // no address then answers from the address that it was asked at. What it sends as a customer has its own.
        let answers = served.filter { $0.family == family }
        guard answers.count == 1 else { return routes }
        for index in routes.indices where routes[index].source == nil {
            let destination = routes[index].destination
            let leadsBack = opened.isEmpty ? destination == everything : back.contains(destination)
            if leadsBack { routes[index].source = answers[0] }
        }
        return routes
    }

    private func tellTwoDefaults(_ node: Int, _ family: AddressFamily) {
        let raw = file.nodes[node]
        guard !raw.routes.contains(where: { $0.gateway.value.family == family }) else { return }
        diagnostics.error(
            raw.name.position,
            "\(IPPrefix.everything(family)) lies on both sides of \(quoted(raw.name.value)): it cannot tell by the "
                + "destination which way to pass a packet on",
            mend: "name the service's networks instead of \(IPPrefix.everything(family)), make the application "
                + "transparent, or write its `routes`")
    }

    private func onLink(_ leg: ResolvedLeg, _ prefix: IPPrefix) -> Bool {
        leg.addresses.contains { $0.prefix.contains(prefix) }
    }

    /// What leads back to the customers of services. Customers on the node's own link are named one by one, because
    /// nodes of one link meet only through the engine.
    private func customerRoutes(
        _ used: [ResolvedService], _ family: AddressFamily, link: ResolvedLeg, of own: Int
    ) -> [IPPrefix] {
        var prefixes: [IPPrefix] = []
        // What passes packets on may put its own address for the customers' (NAT): the answers go back to that.
        for service in used {
            guard let place = service.chain.firstIndex(of: lead(own)), place > 0 else { continue }
            for before in members(of: service.chain[place - 1]) {
                prefixes += legs[before][legs[before].count - 1].addresses.map { IPPrefix(host: $0.address) }
                    .filter { $0.family == family && onLink(link, $0) }
            }
        }
        for side in used.flatMap(\.sides) where side.prefix.family == family {
            if let opener = side.node {
                // The router's own addresses are named like those of any node of the link.
                let leg = legs[opener][legs[opener].count - 1]
                prefixes += leg.addresses.map { IPPrefix(host: $0.address) }
                    .filter { $0.family == family && onLink(link, $0) }
                prefixes.append(side.prefix)
            } else if link.addresses.contains(where: { $0.prefix.overlaps(side.prefix) }) {
                for (node, leg) in legsOn[side.interface] where file.nodes[node].kind == .customer {
                    prefixes += legs[node][leg].addresses.map { IPPrefix(host: $0.address) }
                        .filter { side.prefix.contains($0) }
                }
            } else {
                prefixes.append(side.prefix)
            }
        }
        return prefixes.uniqued()
    }
}
