import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

extension NodePlanner {
    /// The routes of a node: to customers by its near side, everything else by its far side.
    ///
    /// - Parameter served: The service addresses that it answers for.
    func routes(_ node: Int, _ served: [IPAddress]) -> [RoutePlan] {
        let raw = file.nodes[node]
        let own = legs[node]
        guard !raw.transparent, !own.isEmpty else { return [] }
        var routes: [RoutePlan] = []
        for family in AddressFamily.allCases {
            routes += isPassedByRoutes(node) ? routesByLeg(node, family) : self.routes(node, family, served)
        }
        for route in raw.routes {
            guard let leg = own.firstIndex(where: { onLink($0, IPPrefix(host: route.gateway.value)) }) else {
                diagnostics.error(
                    route.gateway.origin,
                    "the next hop \(route.gateway.value) is on none of the networks of \(quoted(raw.name.value))",
                    hint: "name an address of the interface, such as the engine's")
                continue
            }
            let link = own[leg].addresses.first { $0.prefix.contains(IPPrefix(host: route.gateway.value)) }
            if own.contains(where: { $0.addresses.contains { $0.address == route.gateway.value } }) {
                diagnostics.error(
                    route.gateway.origin, "the next hop \(route.gateway.value) is \(quoted(raw.name.value)) itself",
                    hint: "name another node's address, or the engine's")
            } else if let fault = unusableOnLinks(IPPrefix(host: route.gateway.value)), link != nil {
                diagnostics.error(
                    route.gateway.origin, "the next hop \(route.gateway.value) \(fault)",
                    hint: "name an address of the interface, such as the engine's")
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
        let hand = resolved.handTraffic[node]
        let asked =
            (used + opened).contains { $0.families.contains(family) } || hand?.families.contains(family) ?? false
        func gateway(_ leg: ResolvedLeg) -> IPAddress? { nextHop(leg, family, isAsked: asked) }
        var routes: [RoutePlan] = []
        let hasTwoSides = own.count > 1
        let everything = IPPrefix.everything(family)
        let onward = self.onward(node, family, used, opened, leg: own.count - 1)
        let back = customerRoutes(used, family, of: node, leg: 0, besides: onward.map(\.prefix))
        if let gateway = gateway(near) {
            // With one leg the default route leads to customers beyond the link, too.
            let needed = back.filter { hasTwoSides || raw.kind == .router || !opened.isEmpty || onLink(near, $0) }
            routes += needed.map { RoutePlan(destination: $0, gateway: gateway, leg: 0) }
        }
        if let gateway = gateway(far) {
            let place = own.count - 1
            // If everything lies on the near side, or nowhere, the destinations on the far side are named.
            if raw.kind == .router && !hasTwoSides || routes.contains(where: { $0.destination == everything }) {
                let further = (hasTwoSides ? used + opened : opened).flatMap { $0.raw.addresses.map(\.value) }
                for prefix in further.uniqued() where prefix.family == family && !isOwn(prefix, node) {
                    guard !onLink(far, prefix), !routes.contains(where: { $0.destination == prefix }) else { continue }
                    routes.append(
                        RoutePlan(
                            destination: prefix, gateway: gateway, leg: place,
                            source: raw.kind == .application ? far.address(family) : nil))
                }
                if hasTwoSides, further.contains(everything) { tellTwoSides(node, everything) }
            } else {
                routes.append(RoutePlan(destination: everything, gateway: gateway, leg: place))
            }
            routes += exceptions(onward, node, to: gateway, besides: routes)
        }
        // Towards customers the node prefers the service address if there is only one. A datagram server that is bound
        // to no address then answers from the address that was asked. The packets that it sends as a customer have
        // their own source.
        let answers = served.filter { $0.family == family }
        guard answers.count == 1 else { return routes }
        for index in routes.indices where routes[index].source == nil {
            let destination = routes[index].destination
            let leadsBack = opened.isEmpty ? destination == everything : back.contains(destination)
            if leadsBack { routes[index].source = answers[0] }
        }
        return routes
    }

    /// The engine's address that a leg's packets go by. IPv6 works by the link-local addresses alone; IPv4 needs an
    /// address to send from.
    func nextHop(_ leg: ResolvedLeg, _ family: AddressFamily, isAsked: Bool) -> IPAddress? {
        guard leg.address(family) != nil || (family == .ipv6 && isAsked) else { return nil }
        return gateway(family, on: leg.interface)
    }

    func onLink(_ leg: ResolvedLeg, _ prefix: IPPrefix) -> Bool {
        leg.addresses.contains { $0.prefix.contains(prefix) }
    }

    // MARK: - To the customers

    /// The routes back to the customers of services, and to the customers that entries by hand name. A customer on a
    /// link of the node's own gets a route of its own, because nodes of one link meet only through the engine.
    ///
    /// - Parameters:
    ///   - place: The leg that the customers' requests enter by.
    ///   - onward: The prefixes that leave by other legs: a customer inside one gets a route of its own, too.
    func customerRoutes(
        _ used: [ResolvedService], _ family: AddressFamily, of own: Int, leg place: Int, besides onward: [IPPrefix]
    ) -> [IPPrefix] {
        var prefixes: [IPPrefix] = []
        let link = legs[own][place]
        // An inline application may put its own address in place of the customers' (NAT): the answers go back to that.
        for service in used {
            guard let place = service.chain.firstIndex(of: lead(own)), place > 0 else { continue }
            let stop = service.stops[place - 1]
            for before in members(of: stop.node) {
                prefixes += legs[before][stop.leave].addresses.map { IPPrefix(host: $0.address) }
                    .filter { $0.family == family && onLink(link, $0) }
            }
        }
        // Entries by hand take requests to the first leg.
        let hand = place == 0 ? resolved.handTraffic[own] : nil
        for side in (used.flatMap(\.sides) + (hand?.sides ?? [])).uniqued() where side.prefix.family == family {
            if let opener = side.node {
                // The router's own addresses get routes like the addresses of any node of the link.
                let leg = legs[opener][side.leg]
                prefixes += leg.addresses.map { IPPrefix(host: $0.address) }
                    .filter { $0.family == family && onLink(link, $0) }
                prefixes.append(side.prefix)
                continue
            }
            let isMine = legs[own].contains { leg in leg.addresses.contains { $0.prefix.overlaps(side.prefix) } }
            if !isMine || side.via != nil { prefixes.append(side.prefix) }
            let named = onward.filter { !$0.isHost && side.prefix.contains($0) }
            guard isMine || !named.isEmpty else { continue }
            for (node, leg) in legsOn[side.interface] where file.nodes[node].kind == .customer {
                prefixes += legs[node][leg].addresses.map { IPPrefix(host: $0.address) }.filter { address in
                    side.prefix.contains(address) && (isMine || named.contains { $0.contains(address) })
                }
            }
        }
        if let hand {
            // Further destinations of the packets that entries take from the near side.
            let taken = legs[own].count > 1 ? hand.sent[0] : []
            prefixes += taken.filter { $0.family == family && $0.length > 0 }.sorted { "\($0)" < "\($1)" }
                .flatMap { named($0, from: own) }
            prefixes.removeAll { prefix in
                legs[own].contains { leg in leg.addresses.contains { IPPrefix(host: $0.address) == prefix } }
            }
        }
        return prefixes.uniqued()
    }

    /// A destination as routes name it. If it overlaps with a link of the node's own, it becomes the addresses in it
    /// that are another node's.
    private func named(_ prefix: IPPrefix, from own: Int) -> [IPPrefix] {
        let isMine = legs[own].contains { leg in leg.addresses.contains { $0.prefix.overlaps(prefix) } }
        guard isMine, !prefix.isHost else { return [prefix] }
        return legs.indices.filter { $0 != own }.flatMap { legs[$0] }.flatMap(\.addresses)
            .map { IPPrefix(host: $0.address) }.filter { prefix.contains($0) }
    }

    // MARK: - To the services

    /// A prefix that a node sends out of its far side.
    struct Onward {
        var prefix: IPPrefix
        /// The service, and the place of its address; nil for an entry by hand.
        var service: (index: Int, origin: SourceOrigin)?
        /// True if the node is a customer of it. The engine answers for such an address on the far link. It answers for
        /// no prefix there, because other addresses of the link may be in it.
        var isOpened: Bool
    }

    /// The service addresses that a node passes on or opens, and the destinations that entries by hand take from the leg.
    func onward(
        _ node: Int, _ family: AddressFamily, _ used: [ResolvedService], _ opened: [ResolvedService], leg: Int
    ) -> [Onward] {
        // A service that ends at a router leaves by the router's second side. A router with one side has the address
        // itself.
        let passed = used.filter {
            $0.chain.last != lead(node) || file.nodes[node].kind == .router && legs[node].count > 1
        }
        var onward: [Onward] = []
        for (services, isOpened) in [(opened, true), (passed + behindRouters(passed), false)] {
            for service in services {
                for address in service.raw.addresses where address.value.family == family {
                    onward.append(
                        Onward(
                            prefix: address.value, service: (service.index, address.origin), isOpened: isOpened))
                }
            }
        }
        if file.nodes[node].kind == .customer {
            // Whole networks that customers share a link with are another matter, and not refused.
            let own = services.filter {
                $0.scopes.contains { $0.node == nil && $0.interface == legs[node].first?.interface }
            }
            onward += own.flatMap(\.raw.addresses).map(\.value).filter { !$0.isHost && $0.family == family }
                .map { Onward(prefix: $0, service: nil, isOpened: true) }
        }
        let taken = resolved.handTraffic[node].map { $0.sent[leg] } ?? []
        onward += taken.filter { $0.family == family }.sorted { "\($0)" < "\($1)" }
            .flatMap { named($0, from: node) }.map { Onward(prefix: $0, service: nil, isOpened: false) }
        var seen: Set<IPPrefix> = []
        return onward.filter { seen.insert($0.prefix).inserted }
    }

    /// The services that routers at the end of these ones are customers of: their packets pass the same nodes.
    private func behindRouters(_ passed: [ResolvedService]) -> [ResolvedService] {
        let asking = services.filter { !$0.openers.isEmpty }
        guard !asking.isEmpty else { return [] }
        var found = passed
        var next = 0
        while next < found.count {
            let end = found[next].chain.last
            next += 1
            guard let end, file.nodes[end].kind == .router else { continue }
            let wide = found[next - 1].raw.addresses.map(\.value)
            found += asking.filter { service in
                service.openers.contains(end) && !found.contains { $0.index == service.index }
                    && service.raw.addresses.contains { own in wide.contains { $0.contains(own.value) } }
            }
        }
        return Array(found.dropFirst(passed.count))
    }

    /// The routes for service addresses that would not leave by the far side. They are inside a network of the
    /// customers', or of one of the node's own links, where no host would answer for them.
    private func exceptions(
        _ onward: [Onward], _ node: Int, to gateway: IPAddress, besides routes: [RoutePlan]
    ) -> [RoutePlan] {
        let own = legs[node]
        let place = own.count - 1
        let served = servedHere(node)
        var added: [RoutePlan] = []
        for item in onward where item.prefix.length > 0 && !isOwn(item.prefix, node) {
            let prefix = item.prefix
            guard !served.contains(prefix), !(item.isOpened && prefix.isHost && onLink(own[place], prefix)) else {
                continue
            }
            if let other = routes.first(where: { $0.destination == prefix }) {
                // A node with entries by hand may have a `setup` that tells the two apart.
                if other.leg != place, item.service != nil { tellTwoSides(node, prefix, at: item.service?.origin) }
                continue
            }
            let links = own.flatMap(\.addresses).filter { $0.prefix.contains(prefix) }
            // Packets that it sends as a customer have their own source, not the source of its answers to its
            // customers.
            let isCovered = routes.contains { route in
                route.destination.length > 0 && route.destination.contains(prefix)
                    && (route.leg != place || item.isOpened && file.nodes[node].kind == .application)
            }
            let isBehindAll = routes.contains { $0.leg != place && $0.destination.contains(prefix) }
            guard !links.isEmpty || isCovered || isBehindAll else { continue }
            if let obstacle = obstacle(prefix, links, node) {
                if let service = item.service { tell(obstacle, prefix, node, service) }
                continue
            }
            added.append(
                RoutePlan(
                    destination: prefix, gateway: gateway, leg: place,
                    source: item.isOpened && file.nodes[node].kind == .application
                        ? own[place].address(prefix.family) : nil))
        }
        return added
    }

    /// The addresses and prefixes that end at the node itself.
    func servedHere(_ node: Int) -> Set<IPPrefix> {
        guard file.nodes[node].kind == .application, file.nodes[node].networkAddress == nil else { return [] }
        return Set(
            services.filter { $0.chain.last == lead(node) }.flatMap { $0.raw.addresses.map(\.value) })
    }

    /// The reason why a node cannot have a route to a prefix of a link of its own.
    enum Obstacle {
        /// The prefix is the link's network.
        case link(InterfaceAddress)
        /// The prefix holds the address of the engine that the route would go by, or the node's own.
        case holds(IPAddress)
    }

    func obstacle(_ prefix: IPPrefix, _ links: [InterfaceAddress], _ node: Int) -> Obstacle? {
        if let link = links.first(where: { $0.prefix == prefix }) { return .link(link) }
        guard !links.isEmpty else { return nil }
        let needed =
            legs[node].flatMap { $0.addresses.map(\.address) }
            + legs[node].compactMap { gateway(prefix.family, on: $0.interface) }
        return needed.first { prefix.contains(IPPrefix(host: $0)) }.map { .holds($0) }
    }

    func tell(
        _ obstacle: Obstacle, _ prefix: IPPrefix, _ node: Int, _ service: (index: Int, origin: SourceOrigin)
    ) {
        let raw = file.nodes[node]
        guard !raw.transparent, !raw.routes.contains(where: { $0.destination == prefix }) else { return }
        let name = quoted(shownName(node))
        switch obstacle {
        case .link(let link):
            diagnostics.error(
                service.origin,
                "the service address \(prefix) is the network that \(name) \(place(node).place) has on one of its "
                    + "interfaces (\(link)): it would look there for the receivers of these packets",
                hint: "choose addresses outside of it, a part of it, or give the interface another network",
                related: [(place(node), "\(name) is here")])
        case .holds(let address):
            diagnostics.error(
                service.origin,
                "the service address \(prefix) holds \(address), by which \(name) \(place(node).place) and the "
                    + "engine reach each other",
                hint: "choose addresses without it, or give the interface another network",
                related: [(place(node), "\(name) is here")])
        }
    }

    func tellTwoSides(_ node: Int, _ prefix: IPPrefix, at position: SourceOrigin? = nil) {
        let raw = file.nodes[node]
        guard !raw.routes.contains(where: { $0.gateway.value.family == prefix.family }) else { return }
        diagnostics.error(
            position ?? raw.name.origin,
            "\(prefix) lies on both sides of \(quoted(raw.name.value)): it cannot tell by the "
                + "destination which way to pass a packet on",
            hint: prefix.length == 0
                ? "name the service's networks instead of \(prefix), make the application "
                    + "transparent, or write its `routes`"
                : "choose a service address that is not a whole network of its customers, make the application "
                    + "transparent, or write its `routes`",
            related: position == nil ? [] : [(raw.name.origin, "\(quoted(raw.name.value)) is here")])
    }
}
