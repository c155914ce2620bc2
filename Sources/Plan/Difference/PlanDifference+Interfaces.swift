import Wire

/// What cannot be changed of interfaces while the topology is up.
extension PlanDifference {
    /// Refuses what is not done to interfaces, to the machine's devices on them, and to circuits.
    mutating func compareInterfaces(_ old: AppliancePlan, _ new: AppliancePlan) {
        let before = Self.interfacesByName(old)
        for now in new.interfaces {
            guard let was = before[now.name], was.device != now.device else { continue }
            refuse(
                "the device of interface \(now.name), or what is behind it, is another",
                "write the one from before, or name the interface otherwise, so that one goes and another comes",
                old.name)
        }
        compareComing(old, new)
        compareDevices(old, new)
        // What is counted, noted and captured is known by the interface's place. The planner keeps the places.
        let isOrdered = zip(old.interfaces, new.interfaces).allSatisfy { before, after in
            before.name == after.name || before.isVacant || after.isVacant
        }
        guard !isOrdered, refusals.isEmpty else { return }
        let names = old.interfaces.filter { !$0.isVacant }.map(\.name)
        refuse("the interfaces are in another order", "write \(names.joined(separator: ", "))", old.name)
    }

    /// Interfaces and circuits come and go. A TUN is in a node from its start to its end, and a device of the machine is lent to one
    /// interface at a time.
    private mutating func compareComing(_ old: AppliancePlan, _ new: AppliancePlan) {
        let (before, after) = (Self.interfacesByName(old), Self.interfacesByName(new))
        let going = old.interfaces.filter { !$0.isVacant && after[$0.name] == nil }
        for interface in new.interfaces where !interface.isVacant && before[interface.name] == nil {
            if interface.isTUN {
                refuse(
                    "\(interface.name) is new, and its device would be in a node that is there or starts with it",
                    "only `up` makes devices of frame relay and ATM: run 'tapline down', then 'tapline up'", old.name)
            } else if let device = interface.device,
                let holder = going.first(where: { $0.device?.name == device.name })
            {
                refuse(
                    "the interface \(interface.name) is new, and its device \(device.name) is lent to \(holder.name), which goes",
                    "apply a file without both first, or keep the name \(holder.name)", old.name)
            }
        }
        for interface in going where interface.isTUN {
            refuse(
                "\(interface.name) is gone, and its device is in a node",
                "only `down` ends devices of frame relay and ATM: keep it in the file", old.name)
        }
    }

    /// What is behind a device's queues stays the same kind of device, in the same node.
    private mutating func compareDevices(_ old: AppliancePlan, _ new: AppliancePlan) {
        let before = Self.interfacesByName(old)
        for after in new.interfaces {
            guard let was = before[after.name] else { continue }
            let isMoved = after.isTUN && was.attachment != after.attachment
            if was.link == nil, after.link == .ethernet {
                let tunnel = new.interfaces.contains { $0.isTunnel && Self.carrier(of: $0, new) == after.name }
                refuse(
                    "interface \(after.name) has no \(tunnel ? "tunnels" : "circuits") yet, and its device leaves checksums "
                        + "and segmentation to the kernel, which devices with \(tunnel ? "tunnels" : "circuits") do not",
                    "write them on an interface of their own, which may be new", old.name)
            } else if was.isUnderlay != after.isUnderlay {
                refuse(
                    was.isUnderlay
                        ? "interface \(after.name) leaves segments in tunnels to the kernel, and what comes there does not take them"
                        : "interface \(after.name) cuts segments in tunnels, and its nodes would take them whole from now on",
                    "write `offload` of its nodes as before, and circuits on an interface of their own", old.name)
            } else if was.link != after.link || Self.carrier(of: was, old) != Self.carrier(of: after, new) || isMoved {
                refuse(
                    "the device of interface \(after.name) becomes another",
                    "keep its encapsulation on the same kind of device, with the same node",
                    old.name)
            } else if after.isTUN {
                compareOwner(of: after, old, new)
            }
        }
    }

    /// A TUN would go with its node's namespace, and takes no further queue while it is up: the kernel sets its link type with each
    /// queue, and only while it is down.
    private mutating func compareOwner(of interface: InterfacePlan, _ old: AppliancePlan, _ new: AppliancePlan) {
        if new.engines.queues > old.engines.queues {
            refuse(
                "there are more engines or workers, and the device of interface \(interface.name) gets no further queues",
                "write as many as before", old.name)
        }
        guard case .direct(let owner) = interface.attachment, let was = old.nodes.first(where: { $0.name == owner }),
            let now = new.nodes.first(where: { $0.name == owner })
        else { return }
        let why = NodeChange(from: was, to: now, isElsewhere: old.directory != new.directory).rebuild
        guard !why.isEmpty else { return }
        refuse(
            "node \(owner) would be built anew (\(why.joined(separator: ", "))), and it has the device of interface "
                + interface.name,
            "write it as before", old.name)
    }

    private static func interfacesByName(_ plan: AppliancePlan) -> [String: InterfacePlan] {
        Dictionary(plan.interfaces.map { ($0.name, $0) }) { first, _ in first }
    }

    /// The name of the interface whose device has another's frames; nil if that is no circuit.
    private static func carrier(of interface: InterfacePlan, _ plan: AppliancePlan) -> String? {
        interface.carrier.map { plan.interfaces[$0].name }
    }
}

extension InterfacePlan {
    /// True if its device is a TUN of frame relay or ATM, which is always a node's own device.
    fileprivate var isTUN: Bool { link.map { $0 != .ethernet } ?? false }
}
