import Forwarding
import Wire

/// Turns a topology file into the plan of an appliance, the same one every time.
public enum Planner {
    /// The plan of `file`, named as the file says or as `name` does.
    ///
    /// - Parameters:
    ///   - name: A name from the command line.
    ///   - kept: The plan of the running topology: what it and the new one have in common keeps its addresses, devices
    ///     and counters.
    ///   - changes: Instances that were added and removed while it ran.
    /// - Throws: everything that is wrong with what the file describes, with the lines that collide.
    public static func plan(
        _ file: TopologyFile, name: String? = nil, keeping kept: AppliancePlan? = nil,
        changes: InstanceChanges = InstanceChanges()
    ) throws(TopologyError) -> AppliancePlan {
        try make(file, name: name, keeping: kept, changes: changes).plan
    }

    /// The plan of `file`, with the paths that its table was proved by.
    ///
    /// - Throws: `TopologyError` with all mistakes of the file.
    public static func prove(_ file: TopologyFile, name: String? = nil) throws(TopologyError) -> ProvedPlan {
        let made = try make(file, name: name, keeping: nil, changes: InstanceChanges())
        return ProvedPlan(
            plan: made.plan, services: made.builder.provedServices(made.paths),
            unproved: made.builder.unprovedEntries(made.paths))
    }

    private static func make(
        _ file: TopologyFile, name: String?, keeping kept: AppliancePlan?, changes: InstanceChanges
    ) throws(TopologyError) -> (plan: AppliancePlan, builder: PlanBuilder, paths: [ProvedPath]) {
        let diagnostics = Diagnostics(path: file.path, text: file.text)
        if let name, let (fault, mend) = NameForm.fault(of: name) {
            diagnostics.error(
                file.name.position, "\(quoted(name)) cannot be the name of a topology: \(fault)", mend: mend)
        }
        let changed = file.changed(by: changes, diagnostics)
        try diagnostics.throwIfAny()
        let builder = PlanBuilder(changed, name: name, keeping: kept, diagnostics)
        builder.resolve()
        try diagnostics.throwIfAny()
        let nodes = builder.nodePlans()
        try diagnostics.throwIfAny()
        let table = builder.table()
        let paths = builder.prove(table)
        try diagnostics.throwIfAny()
        builder.remark()
        let directory = file.path.lastIndex(of: "/").map { $0 == file.path.startIndex ? "/" : String(file.path[..<$0]) }
        var plan = AppliancePlan(
            name: builder.name, directory: directory ?? ".", interfaces: builder.interfacePlans(), nodes: nodes,
            table: table, checks: builder.checks, engines: builder.enginesPlan(),
            applications: builder.applicationPlans())
        plan.remarks = (file.remarks + diagnostics.remarks).sorted { $0.position < $1.position }
        return (plan, builder, paths)
    }
}

extension PlanBuilder {
    /// The engine's table.
    func table() -> ForwardingTable {
        var aliases = [[MACAddress]](repeating: [], count: file.interfaces.count)
        var sources: [KnownSource] = []
        var neighbours: [StaticNeighbour] = []
        for (index, node) in file.nodes.enumerated() {
            for (place, leg) in legs[index].enumerated() {
                if let alias = leg.alias { aliases[leg.interface].append(alias) }
                let other = legs[index].count == 2 ? legs[index][1 - place] : leg
                sources.append(
                    KnownSource(
                        interface: leg.interface, mac: other.alias ?? leg.mac, node: node.name.value,
                        system: systems[index], mayEmit: node.activeResponses?.value ?? false,
                        origins: origins(of: index, on: leg.interface)))
                guard !node.transparent else { continue }
                let addresses = leg.addresses.map(\.address) + [GeneratedNames.linkLocal(leg.mac)]
                neighbours += addresses.uniqued().map {
                    StaticNeighbour(interface: leg.interface, address: $0, mac: leg.mac)
                }
            }
        }
        let interfaces = file.interfaces.enumerated().map { index, interface in
            TableInterface(
                name: interface.name.value, mac: engineMACs[index], aliases: aliases[index], mtu: interface.mtu.value,
                addresses: interface.addresses.map(\.value.value), namesAll: namesAll(index, sources))
        }
        let claimed = services.flatMap { service in
            service.raw.addresses.flatMap { address in
                service.scopes.map(\.interface).uniqued().map { ClaimedAddress(interface: $0, prefix: address.value) }
            }
        }
        return ForwardingTable(
            interfaces: interfaces, entries: entries, neighbours: neighbours, sources: sources,
            claimed: claimed.uniqued(), holders: holders().uniqued(), mirrors: mirrors,
            groups: groups())
    }

    /// Who may announce more than its legs' own addresses: the ends of services and of entries by hand, and what has
    /// networks behind it. Everything is no address that a node could announce.
    private func holders() -> [AddressHolder] {
        func held(_ prefix: IPPrefix, by node: Int) -> [AddressHolder] {
            guard prefix.length > 0, !file.nodes[node].transparent else { return [] }
            return legs[node].map { AddressHolder(interface: $0.interface, mac: $0.mac, prefix: prefix) }
        }
        let ends = services.flatMap { service in
            (service.chain.last.map { members(of: $0) } ?? []).flatMap { node in
                service.raw.addresses.flatMap { held($0.value, by: node) }
            }
        }
        let behind = file.nodes.enumerated().flatMap { index, node in
            node.prefixes.flatMap { held($0.value, by: index) }
        }
        let byHand = zip(entries, origins).flatMap { entry, origin -> [AddressHolder] in
            guard origin.raw != nil, entry.direction == .request, let prefix = entry.destination, prefix.length > 0
            else { return [] }
            return entry.targets.compactMap { target in
                guard target.system == .terminalApplication, case .mac(let mac) = target.address else { return nil }
                return AddressHolder(interface: target.interface, mac: mac, prefix: prefix)
            }
        }
        return ends + behind + byHand
    }
}
