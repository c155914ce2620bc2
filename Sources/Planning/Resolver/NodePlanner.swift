import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// Plans every node with its devices, addresses, routes and process.
struct NodePlanner: EntryStage, Diagnosing {
    let resolved: ResolvedTopology
    let diagnostics: Diagnostics

    var planned: PlannedEntries { resolved.planned }

    /// Every node with its devices, addresses, routes and process.
    func nodePlans() -> [NodePlan] {
        let served = servedAddresses()
        return file.nodes.enumerated().map { index, raw in
            let legPlans = legs[index].enumerated().map { place, leg in legPlan(index, place, leg) }
            var process = resolved.processes[index]
            process.depends = resolved.dependencies[index].map { file.nodes[$0].name.value }.uniqued()
            process.healthy = raw.dependsOnHealth.flatMap { every($0) }.map { file.nodes[$0].name.value }.uniqued()
            process.environment.merge(legVariables(of: index)) { _, own in own }
            var plan = NodePlan(
                name: raw.name.value, kind: raw.kind, type: raw.type, origin: raw.name.origin,
                namespace: DerivedNames.namespace(topology: name, node: raw.name.value), legs: legPlans,
                loopback: served[index] ?? [], local: localPrefixes(index), routes: routes(index, served[index] ?? []),
                sysctls: sysctls(index), hosts: raw.hosts, process: process)
            if raw.remote != nil { plan.isRemote() }
            plan.files = resolved.files[index]
            plan.filesystem = raw.filesystem ?? file.filesystem
            plan.nameServers = nameServers(of: index)
            plan.isResolver = index == resolver
            plan.attachment = raw.attachment
            if let place = raw.attachment?.place {
                plan.namespace = "\(place)"
                // All of these are the owner's.
                plan.sysctls = []
            }
            if plan.machine != nil { beMachine(&plan) }
            return plan
        }
    }

    private func legPlan(_ node: Int, _ place: Int, _ leg: ResolvedLeg) -> LegPlan {
        // The engine addresses packets that it sends in here to the alias of the other side.
        let other = legs[node][across(node, place)].alias
        var plan = LegPlan(
            interface: leg.interface, role: leg.role, device: leg.device,
            fabricDevice: named.fabric.devices[node][place], mac: leg.mac,
            deliverToo: other.map { [$0] } ?? [], addresses: leg.addresses, offload: file.hasOffload(node),
            takesEverything: resolved.mirrors.contains { $0.send == leg.interface },
            isLocked: isJudged(node, on: leg.interface))
        if named.circuits.carriers[leg.interface] != nil {
            plan.isCircuit = true
            plan.offload = false
            plan.isRemote = file.interfaces[leg.interface].tunnel != nil
        }
        let links = file.interfaces[leg.interface].addresses.map(\.value.value.prefix)
        plan.virtual = file.nodes[node].virtual.compactMap { held in
            guard links.contains(where: { $0.contains(held.prefix.value) }) else { return nil }
            return LegPlan.VirtualAddress(prefix: held.prefix.value, mac: held.mac.value)
        }
        return plan
    }

    /// The prefixes that services ending at an application have: it takes each address of them as its own. Everything,
    /// and a prefix with the node's own network, address or gateway in it, are left to its `setup`.
    private func localPrefixes(_ node: Int) -> [IPPrefix] {
        guard file.nodes[node].kind == .application else { return [] }
        let prefixes = services.filter { $0.chain.last == lead(node) }.flatMap { $0.raw.addresses.map(\.value) }
        return prefixes.uniqued().filter { prefix in
            !prefix.isHost && prefix.length > 0
                && !legs[node].contains { leg in
                    let own =
                        leg.addresses.map(\.address) + [gateway(prefix.family, on: leg.interface)].compactMap { $0 }
                    return own.contains { prefix.contains(IPPrefix(host: $0)) }
                        || leg.addresses.contains { prefix.contains($0.prefix) }
                }
        }
    }

    private func sysctls(_ node: Int) -> [SysctlPlan] {
        let raw = file.nodes[node]
        var sysctls: [SysctlPlan] = []
        for scope in ["all", "default"] {
            sysctls += [
                SysctlPlan("net.ipv4.conf.\(scope).rp_filter", "0"),
                SysctlPlan("net.ipv4.conf.\(scope).arp_announce", "2"),
                SysctlPlan("net.ipv4.conf.\(scope).send_redirects", "0"),
                SysctlPlan("net.ipv4.conf.\(scope).accept_redirects", "0"),
                SysctlPlan("net.ipv6.conf.\(scope).accept_redirects", "0"),
                SysctlPlan("net.ipv6.conf.\(scope).accept_ra", "0"),
                SysctlPlan("net.ipv6.conf.\(scope).accept_dad", "0"),
            ]
        }
        let forwards =
            raw.kind == .router
            || raw.kind == .application && !raw.transparent
                && (systems[node] == .inlineApplication || resolved.handTraffic[node]?.passesOn ?? false)
        if forwards {
            sysctls += [SysctlPlan("net.ipv4.ip_forward", "1"), SysctlPlan("net.ipv6.conf.all.forwarding", "1")]
        }
        // Only the node's program has anything to say on a circuit's device.
        for leg in legs[node] where named.circuits.carriers[leg.interface] != nil {
            sysctls.append(SysctlPlan("net/ipv6/conf/\(leg.device)/disable_ipv6", "1"))
        }
        return sysctls + raw.sysctls
    }
}
