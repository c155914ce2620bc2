import Forwarding
import Wire

extension PlanBuilder {
    /// The interfaces, each with what joins it to its nodes.
    func interfacePlans() -> [InterfacePlan] {
        file.interfaces.enumerated().map { index, interface in
            InterfacePlan(name: interface.name.value, mtu: interface.mtu.value, attachment: attachment(index))
        }
    }

    private func attachment(_ interface: Int) -> InterfacePlan.Attachment {
        if legsOn[interface].count == 1, hasOffload(legsOn[interface][0].node) {
            return .direct(node: file.nodes[legsOn[interface][0].node].name.value)
        }
        let name = file.interfaces[interface].name.value
        return .bridge(
            bridgeDevice: GeneratedNames.fabricDevice("b\(interface)", name),
            tapDevice: GeneratedNames.fabricDevice("t\(interface)", name))
    }

    /// Copies and bumps in the wire get plain frames unless the file says otherwise.
    private func hasOffload(_ node: Int) -> Bool {
        file.nodes[node].offload ?? !(file.nodes[node].passive || file.nodes[node].transparent)
    }

    /// Every node with its devices, addresses, routes and process.
    func nodePlans() -> [NodePlan] {
        let served = servedAddresses()
        return file.nodes.enumerated().map { index, raw in
            let legPlans = legs[index].enumerated().map { place, leg in legPlan(index, place, leg) }
            var process = raw.process
            process.environment.merge(environment(index)) { _, own in own }
            return NodePlan(
                name: raw.name.value, kind: raw.kind, type: raw.type, line: raw.name.position.line,
                namespace: "\(name)-\(raw.name.value)", legs: legPlans, loopback: served[index] ?? [],
                routes: answering(routes(index), from: served[index] ?? []), sysctls: sysctls(index), hosts: raw.hosts, process: process)
        }
    }

    private func legPlan(_ node: Int, _ place: Int, _ leg: ResolvedLeg) -> LegPlan {
        var fabric: String?
        if case .bridge = attachment(leg.interface) {
            fabric = GeneratedNames.fabricDevice("v\(leg.interface).\(node)", file.nodes[node].name.value)
        }
        // What the engine sends in here is addressed to the alias of the other side.
        let other = legs[node].count == 2 ? legs[node][1 - place].alias : nil
        return LegPlan(
            interface: leg.interface, role: leg.role, device: leg.device, fabricDevice: fabric, mac: leg.mac,
            deliverToo: other.map { [$0] } ?? [], addresses: leg.addresses, offload: hasOffload(node))
    }

    /// The service addresses that terminal applications with a MAC send address answer for.
    func servedAddresses() -> [Int: [IPAddress]] {
        var served: [Int: [IPAddress]] = [:]
        for service in services {
            guard let end = service.chain.last, file.nodes[end].kind == .application,
                file.nodes[end].networkAddress == nil
            else { continue }
            served[end, default: []] += service.raw.addresses.filter(\.value.isHost).map(\.value.address)
        }
        return served.mapValues { $0.uniqued() }
    }

    private func environment(_ node: Int) -> [String: String] {
        var variables: [String: String] = [:]
        for (place, leg) in legs[node].enumerated() {
            let side = place == 0 ? "IN" : "OUT"
            variables["TAPLINE_\(side)"] = leg.device
            variables["TAPLINE_\(side)_MTU"] = String(file.interfaces[leg.interface].mtu.value)
            for family in AddressFamily.allCases {
                let suffix = family == .ipv4 ? "" : "6"
                if let address = leg.address(family) {
                    variables["TAPLINE_\(side)_ADDRESS\(suffix)"] = address.description
                    if place == 0 { variables["TAPLINE_ADDRESS\(suffix)"] = address.description }
                }
                if !leg.addresses.isEmpty, let gateway = gateway(family, on: leg.interface) {
                    variables["TAPLINE_\(side)_GATEWAY\(suffix)"] = gateway.description
                }
            }
        }
        return variables
    }

    private func sysctls(_ node: Int) -> [SysctlPlan] {
        let raw = file.nodes[node]
        var sysctls: [SysctlPlan] = []
        for scope in ["all", "default"] {
            sysctls += [
                SysctlPlan("net.ipv4.conf.\(scope).rp_filter", "0"),
                SysctlPlan("net.ipv4.conf.\(scope).send_redirects", "0"),
                SysctlPlan("net.ipv4.conf.\(scope).accept_redirects", "0"),
                SysctlPlan("net.ipv6.conf.\(scope).accept_redirects", "0"),
                SysctlPlan("net.ipv6.conf.\(scope).accept_ra", "0"),
                SysctlPlan("net.ipv6.conf.\(scope).accept_dad", "0"),
            ]
        }
        let forwards =
            raw.kind == .router
            || raw.kind == .application && systems[node] == .inlineApplication && !raw.transparent
        if forwards {
            sysctls += [SysctlPlan("net.ipv4.ip_forward", "1"), SysctlPlan("net.ipv6.conf.all.forwarding", "1")]
        }
        return sysctls + raw.sysctls
    }

    /// The default routes prefer the service address where there is one alone: a datagram server that is bound to no
    /// address then answers from the address that it was asked at.
    private func answering(_ routes: [RoutePlan], from served: [IPAddress]) -> [RoutePlan] {
        routes.map { route in
            let own = served.filter { $0.family == route.destination.family }
            guard route.destination.length == 0, route.source == nil, own.count == 1 else { return route }
            var route = route
            route.source = own[0]
            return route
        }
    }

    private func routes(_ node: Int) -> [RoutePlan] {
        let raw = file.nodes[node]
        let own = legs[node]
        guard !raw.transparent, let near = own.first, let far = own.last else { return [] }
        var routes: [RoutePlan] = []
        let used = services.filter { $0.chain.contains(node) }
        for family in AddressFamily.allCases {
            let asked = used.contains { $0.families.contains(family) }
            // IPv6 works by the link-local addresses alone; IPv4 needs an address to send from.
            func speaks(_ leg: ResolvedLeg) -> Bool {
                leg.address(family) != nil || (family == .ipv6 && asked)
            }
            if speaks(near), raw.kind == .router || own.count > 1, let gateway = gateway(family, on: near.interface) {
                for prefix in customerRoutes(used, family, link: near) {
                    routes.append(RoutePlan(destination: prefix, gateway: gateway, leg: 0))
                }
            } else if own.count == 1, speaks(near), let gateway = gateway(family, on: near.interface) {
                for prefix in customerRoutes(used, family, link: near) where onLink(near, prefix) {
                    routes.append(RoutePlan(destination: prefix, gateway: gateway, leg: 0))
                }
            }
            if raw.kind != .router, speaks(far), let gateway = gateway(family, on: far.interface) {
                routes.append(
                    RoutePlan(destination: .everything(family), gateway: gateway, leg: own.count - 1))
            }
        }
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

    private func onLink(_ leg: ResolvedLeg, _ prefix: IPPrefix) -> Bool {
        leg.addresses.contains { $0.prefix.contains(prefix) }
    }

    /// What leads back to the customers of services. Customers on the node's own link are named one by one, because
    /// nodes of one link meet only through the engine.
    private func customerRoutes(_ used: [ResolvedService], _ family: AddressFamily, link: ResolvedLeg) -> [IPPrefix] {
        var prefixes: [IPPrefix] = []
        for side in used.flatMap(\.sides) where side.prefix.family == family {
            if link.addresses.contains(where: { $0.prefix.overlaps(side.prefix) }) {
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
