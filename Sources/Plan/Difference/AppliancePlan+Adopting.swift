import Forwarding
import Wire

extension AppliancePlan {
    /// This plan as it is carried out where `old` runs: existing parts keep their names and forms.
    ///
    /// Namespaces keep their names, and veths keep their names in the fabric. An interface that has a bridge keeps it,
    /// even if only one node is left on it. An interface whose TAP is a node's own device keeps that as long as the
    /// node stays unchanged and alone.
    public func adopting(_ old: AppliancePlan) -> AppliancePlan {
        var plan = self
        plan.fabricNamespace = old.fabricNamespace
        let before = Dictionary(old.nodes.map { ($0.name, $0) }) { first, _ in first }
        for index in plan.nodes.indices {
            guard let known = before[plan.nodes[index].name], known.attachment == nil else { continue }
            if plan.nodes[index].attachment == nil { plan.nodes[index].namespace = known.namespace }
        }
        for index in plan.interfaces.indices where !plan.interfaces[index].isVacant {
            let isKnown =
                old.interfaces.indices.contains(index) && old.interfaces[index].name == plan.interfaces[index].name
            guard isKnown else {
                plan.giveBridge(to: index, old)
                continue
            }
            // A device without its last circuit stays as it is.
            if plan.interfaces[index].link == nil, old.interfaces[index].link == .ethernet {
                (plan.interfaces[index].link, plan.interfaces[index].isUnderlay) = (
                    .ethernet, old.interfaces[index].isUnderlay
                )
            }
            plan.keepAttachment(of: index, old, before)
        }
        // A circuit's nodes are where its carrier is, which may stand behind it.
        for index in plan.interfaces.indices {
            guard let carrier = plan.interfaces[index].carrier else { continue }
            plan.interfaces[index].attachment = plan.interfaces[carrier].attachment
        }
        plan.nameFabricDevices(before, old)
        return plan
    }

    /// This plan while it is carried out where `old` runs: interfaces that go are still there, at their places.
    ///
    /// If the TAP of one of them is the own device of a node that is built anew, it gets a bridge, so that it outlives the
    /// node.
    public func retaining(_ old: AppliancePlan) -> AppliancePlan {
        var plan = self
        let before = Dictionary(old.nodes.map { ($0.name, $0) }) { first, _ in first }
        var leaving: [Int] = []
        for place in old.interfaces.indices where !old.interfaces[place].isVacant {
            if plan.interfaces.indices.contains(place), !plan.interfaces[place].isVacant { continue }
            plan.interfaces += old.interfaces[...place].dropFirst(plan.interfaces.count)
            plan.table.interfaces += old.table.interfaces[...place].dropFirst(plan.table.interfaces.count)
            plan.interfaces[place] = old.interfaces[place]
            plan.table.interfaces[place] = old.table.interfaces[place]
            leaving.append(place)
            if plan.engines.engineOfInterface.indices.contains(place),
                old.engines.engineOfInterface.indices.contains(place)
            {
                plan.engines.engineOfInterface[place] = old.engines.engineOfInterface[place]
            }
            guard case .direct(let owner) = old.interfaces[place].attachment, let known = before[owner],
                let node = plan.nodes.first(where: { $0.name == owner }),
                !NodeChange(from: known, to: node, isElsewhere: directory != old.directory).rebuild.isEmpty
            else { continue }
            plan.giveBridge(to: place, old)
        }
        for place in leaving { plan.table.fitTunnel(place) }
        return plan
    }

    private mutating func keepAttachment(of index: Int, _ old: AppliancePlan, _ before: [String: NodePlan]) {
        // A TUN is always a node's own device, and a TAP of circuits never is.
        guard interfaces[index].carrier == nil, interfaces[index].link == nil else { return }
        switch old.interfaces[index].attachment {
        case .vacant: break
        case .bridge: interfaces[index].attachment = old.interfaces[index].attachment
        case .direct(let owner):
            let there = nodes.filter { node in node.legs.contains { $0.interface == index } }
            if there.count == 1, there[0].name == owner, let known = before[owner],
                NodeChange(from: known, to: there[0], isElsewhere: directory != old.directory).rebuild.isEmpty
            {
                interfaces[index].attachment = old.interfaces[index].attachment
                for leg in there[0].legs.indices where there[0].legs[leg].interface == index {
                    setFabricDevice(nil, there[0].name, leg)
                }
                return
            }
            giveBridge(to: index, old)
        }
    }

    /// Where nodes come and go, the TAP is on a bridge. A circuit has no TAP, and a TUN is always a node's own device.
    private mutating func giveBridge(to index: Int, _ old: AppliancePlan) {
        guard case .direct = interfaces[index].attachment, interfaces[index].carrier == nil,
            interfaces[index].link == nil
        else { return }
        var names = Self.names(besides: fabricDevices.union(old.fabricDevices))
        interfaces[index].attachment = .bridge(
            bridgeDevice: names.fabricDevice("b", [interfaces[index].name]),
            tapDevice: names.fabricDevice("t", [interfaces[index].name]))
    }

    private mutating func setFabricDevice(_ device: String?, _ node: String, _ leg: Int) {
        guard let index = nodes.firstIndex(where: { $0.name == node }) else { return }
        nodes[index].legs[leg].fabricDevice = device
    }

    /// Every leg on a bridge gets a name in the fabric that nothing else has, or had in `old`.
    private mutating func nameFabricDevices(_ before: [String: NodePlan], _ old: AppliancePlan) {
        var taken = old.fabricDevices
        var names = Self.names(besides: taken)
        for node in nodes.indices {
            for leg in nodes[node].legs.indices {
                let plan = nodes[node].legs[leg]
                guard case .bridge = interfaces[plan.interface].attachment, !plan.isRemote else { continue }
                let known = before[nodes[node].name]?.legs.first { $0.interface == plan.interface }?.fabricDevice
                if let known {
                    nodes[node].legs[leg].fabricDevice = known
                    continue
                }
                var name = plan.fabricDevice ?? ""
                if name.isEmpty || taken.contains(name) {
                    name = names.fabricDevice("v", [nodes[node].name, interfaces[plan.interface].name])
                }
                taken.insert(name)
                nodes[node].legs[leg].fabricDevice = name
            }
        }
    }

    /// The names of all devices in the fabric.
    private var fabricDevices: Set<String> {
        var devices = Set(nodes.flatMap(\.legs).compactMap(\.fabricDevice))
        for interface in interfaces {
            guard case .bridge(let bridge, let tap) = interface.attachment else { continue }
            devices.formUnion([bridge, tap])
        }
        return devices
    }

    /// Names that are none of `taken`.
    private static func names(besides taken: Set<String>) -> GeneratedNames {
        var names = GeneratedNames()
        for device in taken { names.keep(fabricDevice: device, "taken", [device]) }
        return names
    }
}
