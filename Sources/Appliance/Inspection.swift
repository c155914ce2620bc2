import LinuxNetwork
import Topology

/// Looks whether what was made is still there: other hands on the machine delete namespaces, and delete, rename and move
/// devices.
struct Inspection {
    let plan: AppliancePlan
    let built: BuiltTopology

    /// What is not as it was made, a sentence each, with its mend.
    func problems() -> [String] {
        let found = names() + taps() + legs()
        return found.map { "\($0); 'tapline down \(plan.name)' and 'up' make it anew" }
    }

    private func names() -> [String] {
        let all = plan.nodes.compactMap { built.namespaces[$0.name] } + [built.fabric].compactMap { $0 }
        return all.compactMap { namespace in
            let there = (try? NetworkNamespace.open(namespace.name))?.identity
            if there == namespace.identity { return nil }
            return there == nil
                ? "the namespace \(namespace.name) has been deleted, though it lives on without a name"
                : "the name of the namespace \(namespace.name) is another's by now"
        }
    }

    private func taps() -> [String] {
        zip(plan.interfaces, built.taps).compactMap { interface, tap in
            let (namespace, place): (NetworkNamespace?, String) =
                switch interface.attachment {
                case .direct(let node): (built.namespaces[node], "node \(node)")
                case .bridge: (built.fabric, "the fabric")
                }
            guard let namespace else { return nil }
            let what = "the device \(tap.name) of interface \(interface.name) in \(place)"
            do throws(SystemError) {
                guard let link = try namespace.netlink.link(index: tap.index) else { return "\(what) is gone" }
                return link.name == tap.name ? nil : "\(what) has been renamed to \(link.name)"
            } catch {
                return "\(what) cannot be looked at: \(error)"
            }
        }
    }

    /// The nodes' ends, and the bridges' ends, of the veths.
    private func legs() -> [String] {
        plan.nodes.flatMap { node in
            node.legs.flatMap { leg -> [String] in
                guard case .bridge = plan.interfaces[leg.interface].attachment else { return [] }
                let interface = plan.interfaces[leg.interface].name
                return [
                    missing(leg.device, built.namespaces[node.name], "of interface \(interface) in node \(node.name)"),
                    missing(
                        leg.fabricDevice ?? leg.device, built.fabric,
                        "of interface \(interface) in the fabric, which leads to node \(node.name),"),
                ].compactMap { $0 }
            }
        }
    }

    private func missing(_ device: String, _ namespace: NetworkNamespace?, _ place: String) -> String? {
        guard let namespace else { return nil }
        do throws(SystemError) {
            return try namespace.netlink.link(named: device) == nil
                ? "the device \(device) \(place) is gone or has another name" : nil
        } catch {
            return "the device \(device) \(place) cannot be looked at: \(error)"
        }
    }
}
