import LinuxNetwork
import Plan
import Reporting
import Wire

/// Changes of what is built, beside the making of new nodes.
extension NetworkBuilder {
    /// Takes the bridges' ends of a node's veths away, and the nodes' ends with them.
    ///
    /// - Throws: `ApplianceError` if the kernel refuses.
    package func removeLegs(of node: NodePlan, from built: BuiltTopology) throws(ApplianceError) {
        guard let fabric = built.fabric else { return }
        try attempting(node.place) { () throws(SystemError) in
            let netlink = try fabric.netlink
            for device in node.legs.compactMap(\.fabricDevice) {
                guard let link = try netlink.link(named: device) else { continue }
                try ignoringAbsence { () throws(SystemError) in try netlink.deleteLink(index: link.index) }
            }
        }
    }

    /// Replaces the TAP that is a node's own device by a veth; the TAP becomes a port of a bridge.
    ///
    /// The node's end gets the TAP's name, number, MAC address, addresses and routes. That includes settings of other
    /// programs. Frames on their way at that moment are lost; connections are not. Programs must attach their captures
    /// and queueing disciplines again.
    ///
    /// - Parameter owner: The node, with the wanted name of its veth in the fabric.
    /// - Throws: `ApplianceError` if the kernel refuses.
    package func bridge(_ interface: Int, of owner: NodePlan, in built: BuiltTopology) throws(ApplianceError)
        -> BuiltTopology
    {
        guard case .bridge(let bridgeDevice, let tapDevice) = plan.interfaces[interface].attachment,
            let leg = owner.legs.first(where: { $0.interface == interface }),
            let namespace = built.namespaces[owner.name], let tap = built.taps[interface]
        else { return built }
        var changed = built
        if changed.fabric == nil { changed.fabric = try makeFabric() }
        guard let fabric = changed.fabric else { return built }
        changed.bridges[interface] = try attempting("interface \(plan.interfaces[interface].name)") {
            () throws(SystemError) in
            let (netlink, inside) = (try fabric.netlink, try namespace.netlink)
            let mtu = plan.interfaces[interface].mtu
            let bridge = try netlink.createBridge(LinkSettings(name: bridgeDevice, mtu: mtu, mark: mark))
            let before = try inside.networkState()
            let (name, number) = (tap.name, tap.index)
            do throws(SystemError) {
                // Its own MAC address is the node's until now, which is soon behind another port.
                let mac = MACAddress(bits: 0x0200_0000_0000 | UInt64.random(in: 0...0xFF_FFFF_FFFF))
                try tap.move(
                    from: namespace, to: fabric,
                    LinkSettings(name: tapDevice, mac: mac, mtu: mtu, mark: mark, master: bridge))
                try openPort(of: tap, interface, netlink)
                try connect(leg, bridge, fabric, namespace, number: number)
            } catch {
                try? undo(tap, name, leg, mtu, fabric, namespace, bridge)
                _ = try? inside.restore(before)
                throw error
            }
            try writeSysctls(of: leg, owner, namespace)
            _ = try inside.restore(before)
            return bridge
        }
        return changed
    }

    private func undo(
        _ tap: TapDevice, _ name: String, _ leg: LegPlan, _ mtu: Int, _ fabric: NetworkNamespace,
        _ namespace: NetworkNamespace, _ bridge: Int32
    ) throws(SystemError) {
        if let device = leg.fabricDevice, let link = try fabric.netlink.link(named: device) {
            try fabric.netlink.deleteLink(index: link.index)
        }
        if tap.name != name {
            try tap.move(from: fabric, to: namespace, LinkSettings(name: name, mac: leg.mac, mtu: mtu, mark: mark))
        }
        try fabric.netlink.deleteLink(index: bridge)
    }

    private func writeSysctls(
        of leg: LegPlan, _ node: NodePlan, _ namespace: NetworkNamespace
    ) throws(SystemError) {
        let concerned = node.sysctls.filter { sysctl in
            let parts = sysctl.name.split { $0 == "." || $0 == "/" }
            return parts.count > 4 && parts[3] == leg.device
        }
        if !concerned.isEmpty { try Sysctl.write(concerned.map { ($0.name, $0.value) }, in: namespace) }
    }

    /// Gives the devices of an interface the MTU and the queue of the plan. Its bridge learns the plan's MAC addresses
    /// of the engine, and keeps the addresses of `old`.
    ///
    /// - Parameter nodes: The nodes on the interface that are there.
    /// - Throws: `ApplianceError` if the kernel refuses.
    package func alter(
        _ interface: Int, from old: AppliancePlan, nodes: [NodePlan], in built: BuiltTopology
    ) throws(ApplianceError) {
        guard plan.interfaces[interface].carrier == nil else { return }
        let (mtu, queue) = (plan.interfaces[interface].mtu, plan.interfaces[interface].queue)
        guard let tap = built.taps[interface] else { return }
        try attempting("interface \(plan.interfaces[interface].name)") { () throws(SystemError) in
            // A queue that becomes shorter loses only the frames that no longer fit.
            let changesQueue = old.interfaces[interface].queue != queue
            guard let bridge = built.bridges[interface], let fabric = built.fabric else {
                guard case .direct(let owner) = plan.interfaces[interface].attachment else { return }
                guard let netlink = try built.namespaces[owner]?.netlink else { return }
                try netlink.setLink(index: tap.index, mtu: mtu)
                if changesQueue { try netlink.setLink(index: tap.index, transmitQueueLength: queue) }
                return
            }
            let netlink = try fabric.netlink
            if changesQueue { try netlink.setLink(index: tap.index, transmitQueueLength: queue) }
            if old.interfaces[interface].mtu != mtu {
                for node in nodes {
                    for leg in node.legs where plan.device(of: leg.interface) == interface {
                        guard let device = leg.fabricDevice, let namespace = built.namespaces[node.name] else {
                            continue
                        }
                        try netlink.setLink(index: netlink.existingLink(named: device).index, mtu: mtu)
                        let inside = try namespace.netlink
                        try inside.setLink(index: inside.existingLink(named: leg.device).index, mtu: mtu)
                    }
                }
                for link in [tap.index, bridge] { try netlink.setLink(index: link, mtu: mtu) }
            }
            let (before, after) = (old.engineMACs(on: interface), plan.engineMACs(on: interface))
            for mac in after where !before.contains(mac) {
                try ignoringPresence { () throws(SystemError) in try netlink.addForwardingEntry(mac, port: tap.index) }
            }
        }
    }

    /// The bridge of an interface knows none of the engine's MAC addresses that only `old` has any more.
    ///
    /// - Throws: `ApplianceError` if the kernel refuses.
    package func forgetAddresses(
        of interface: Int, from old: AppliancePlan, in built: BuiltTopology
    ) throws(ApplianceError) {
        guard built.taps.indices.contains(interface), built.bridges[interface] != nil, let fabric = built.fabric,
            let tap = built.taps[interface]
        else {
            return
        }
        try attempting("interface \(plan.interfaces[interface].name)") { () throws(SystemError) in
            let (before, after) = (old.engineMACs(on: interface), plan.engineMACs(on: interface))
            for mac in before where !after.contains(mac) {
                try ignoringAbsence { () throws(SystemError) in
                    try fabric.netlink.deleteForwardingEntry(mac, port: tap.index)
                }
            }
        }
    }
}
