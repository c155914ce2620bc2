import Forwarding
import Plan
import TopologyFiles
import Wire

/// The engine's table.
extension ResolvedTopology {
    /// The engine's table.
    func table() -> ForwardingTable {
        let file = file
        var aliases = [[MACAddress]](repeating: [], count: file.interfaces.count)
        var sources: [KnownSource] = []
        var neighbours: [StaticNeighbour] = []
        for (index, node) in file.nodes.enumerated() {
            for (place, leg) in legs[index].enumerated() {
                if let alias = leg.alias { aliases[leg.interface].append(alias) }
                let other = legs[index][across(index, place)]
                sources.append(
                    KnownSource(
                        interface: leg.interface, mac: other.alias ?? leg.mac, node: node.name.value,
                        system: system(index, leg: place), mayEmit: maySend(index, leg: place),
                        origins: origins(of: index, leg: place)))
                guard !node.transparent else { continue }
                let addresses = leg.addresses.map(\.address) + [GeneratedNames.linkLocal(leg.mac)]
                neighbours += addresses.uniqued().map {
                    StaticNeighbour(interface: leg.interface, address: $0, mac: leg.mac)
                }
            }
        }
        let interfaces = file.interfaces.enumerated().map { index, interface in
            TableInterface(
                name: interface.name.value, mac: named.interfaces.engineMACs[index], aliases: aliases[index],
                mtu: interface.mtu.value,
                addresses: interface.addresses.map(\.value.value), namesAll: namesAll(index, sources),
                circuit: named.circuits.tableCircuit(index, file, named.nodes), tunnel: named.tunnels.tunnels[index])
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

    /// The nodes that may announce more than their legs' own addresses: the ends of services and of entries by hand,
    /// and nodes with networks behind them. The prefix of length 0 is no address that a node could announce.
    private func holders() -> [AddressHolder] {
        func held(_ prefix: IPPrefix, by node: Int, moves: Bool = false) -> [AddressHolder] {
            guard prefix.length > 0, !file.nodes[node].transparent else { return [] }
            return legs[node].map {
                AddressHolder(interface: $0.interface, mac: $0.mac, prefix: prefix, moves: moves)
            }
        }
        // An address of several servers is that of the one which announces it.
        let ends = services.flatMap { service in
            let nodes = service.chain.last.map { members(of: $0) } ?? []
            return nodes.flatMap { node in
                service.raw.addresses.flatMap { held($0.value, by: node, moves: nodes.count > 1 && $0.value.isHost) }
            }
        }
        let movable = file.nodes.enumerated().flatMap { index, node in
            node.mayHave.flatMap { held($0.value, by: index, moves: true) }
        }
        let behind = file.nodes.enumerated().flatMap { index, node in
            node.prefixes.flatMap { held($0.value, by: index) }
        }
        let byHand = zip(entries, bases).flatMap { entry, basis -> [AddressHolder] in
            guard basis.raw != nil, entry.direction == .request, let prefix = entry.destination, prefix.length > 0
            else { return [] }
            return entry.targets.compactMap { target in
                guard target.system == .terminalApplication, case .mac(let mac) = target.address else { return nil }
                return AddressHolder(interface: target.interface, mac: mac, prefix: prefix)
            }
        }
        return ends + movable + behind + byHand
    }

    /// The groups of instances for the table.
    func groups() -> [InstanceGroup] {
        applications.flatMap { application -> [InstanceGroup] in
            let raw = application.raw
            let members = zip(application.members, instances(application)).map { node, instance in
                GroupMember(
                    name: file.nodes[node].name.value, weight: instance?.weight?.value ?? 1,
                    priority: instance?.priority?.value ?? 100)
            }
            func group(_ members: [GroupMember], active: Int? = nil) -> InstanceGroup {
                InstanceGroup(
                    name: raw.name.value, hashing: raw.hashing?.value ?? hashing(application.members[0]),
                    seed: raw.seed.map { UInt64($0.value) } ?? GeneratedNames.hash([raw.name.value]), active: active,
                    minimum: raw.minimum?.value ?? 1, members: members)
            }
            switch raw.resolvedRedundancy {
            case .copies: return members.map { group([$0]) }
            case .balance: return [group(members)]
            case .activeStandby: return [group(members, active: raw.active?.value ?? 1)]
            }
        }
    }

    /// The file's instance of each member.
    private func instances(_ application: ResolvedApplication) -> [RawInstance?] {
        application.members.map { node in
            application.raw.instances.first { $0.name == file.nodes[node].name.value }
        }
    }

    /// A server may get each connection from any source. An application that inspects packets wants all related
    /// packets, including the fragments of a datagram.
    private func hashing(_ node: Int) -> FlowHashing { systems[node] == .terminalApplication ? .ports : .sessions }
}
