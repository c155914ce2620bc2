import LinuxNetwork
import Plan

/// Checks whether everything that was made still exists. Other programs delete namespaces, and delete, rename, move and
/// switch off devices.
package struct Inspection {
    package let plan: AppliancePlan
    package let built: BuiltTopology

    /// Memberwise.
    package init(plan: AppliancePlan, built: BuiltTopology) {
        self.plan = plan
        self.built = built
    }

    /// The parts that are not as they were made, one sentence each, with its hint.
    package func problems() -> [String] {
        names() + taps() + legs()
    }

    /// A problem that `down` and `up` would fix.
    private func lost(_ what: String) -> String {
        "\(what); 'tapline down \(plan.name)' and 'up' repair that"
    }

    /// A device that is there, and carries nothing.
    private func switchedOff(_ what: String, _ device: String, _ namespace: NetworkNamespace) -> String {
        "\(what) is switched off and carries no frames; 'ip -n \(namespace.name) link set \(device) up' switches it on"
    }

    private func names() -> [String] {
        // Somebody else's come and go; `AttachmentWatch` sees that.
        let all =
            plan.nodes.filter { $0.attachment == nil }.compactMap { built.namespaces[$0.name] }
            + [built.fabric].compactMap { $0 }
        return all.compactMap { namespace in
            let there = (try? NetworkNamespace.open(namespace.name))?.identity
            if there == namespace.identity { return nil }
            return lost(
                there == nil
                    ? "the namespace \(namespace.name) still exists, but its name was deleted"
                    : "the name of the namespace \(namespace.name) now belongs to another namespace")
        }
    }

    private func taps() -> [String] {
        built.taps.indices.compactMap { index in
            guard let tap = built.taps[index], plan.interfaces.indices.contains(index),
                let (namespace, place) = built.place(ofTap: index, plan)
            else { return nil }
            let interface = plan.interfaces[index]
            let what = "the device \(tap.name) of interface \(interface.name) in \(place)"
            do throws(SystemError) {
                guard let link = try namespace.netlink.link(index: tap.index) else { return lost("\(what) is gone") }
                if link.name != tap.name { return lost("\(what) has been renamed to \(link.name)") }
                return link.isUp ? nil : switchedOff(what, tap.name, namespace)
            } catch {
                return lost("\(what) cannot be read: \(error)")
            }
        }
    }

    /// The nodes' ends, and the bridges' ends, of the veths.
    private func legs() -> [String] {
        plan.nodes.filter { $0.attachment == nil || built.foreign[$0.name] != nil }.flatMap { node in
            node.legs.flatMap { leg -> [String] in
                if leg.isRemote { return [] }
                guard case .bridge = plan.interfaces[leg.interface].attachment else { return [] }
                let interface = plan.interfaces[leg.interface].name
                return [
                    trouble(leg.device, built.namespaces[node.name], "of interface \(interface) in node \(node.name)"),
                    trouble(
                        leg.fabricDevice ?? leg.device, built.fabric,
                        "of interface \(interface) in the fabric, which leads to node \(node.name),"),
                ].compactMap { $0 }
            }
        }
    }

    private func trouble(_ device: String, _ namespace: NetworkNamespace?, _ place: String) -> String? {
        guard let namespace else { return nil }
        let what = "the device \(device) \(place)"
        do throws(SystemError) {
            guard let link = try namespace.netlink.link(named: device) else {
                return lost("\(what) is gone or has another name")
            }
            return link.isUp ? nil : switchedOff(what, device, namespace)
        } catch {
            return lost("\(what) cannot be read: \(error)")
        }
    }
}
