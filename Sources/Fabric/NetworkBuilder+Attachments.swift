import Attachments
import EventLoop
import LinuxNetwork
import Plan
import Reporting

/// Nodes in network namespaces that somebody else made.
extension NetworkBuilder {
    /// The namespaces of those nodes that are attached, each with room for the node's legs.
    ///
    /// - Throws: `ApplianceError` if one is not there, may not be used or has no room, or if two nodes are in the same.
    func findNamespaces(of nodes: [NodePlan]) throws(ApplianceError) -> [String: ForeignNamespace] {
        var found: [String: ForeignNamespace] = [:]
        for node in nodes {
            guard let attachment = node.attachment else { continue }
            try cancellation.check()
            found[node.name] = try find(attachment, of: node, beside: found)
        }
        return found
    }

    private func find(
        _ attachment: AttachmentPlan, of node: NodePlan, beside others: [String: ForeignNamespace]
    ) throws(ApplianceError) -> ForeignNamespace {
        let there = try ForeignNamespace.find(attachment.place, for: node.place)
        if let other = others.first(where: { $0.value.namespace.identity == there.namespace.identity }) {
            throw ApplianceError(
                .machine, "\(node.place): \(there.place) is the namespace that the node \(other.key) is in",
                hint: "a node is alone in its namespace: attach one of the two to another")
        }
        try LegClash.refuse(node, in: there)
        return there
    }

    /// Puts the legs of a node into a namespace that is there anew, as `build` did.
    ///
    /// - Returns: The namespace; the node's legs carry frames soon.
    /// - Throws: `ApplianceError` if the namespace is not there, may not be used or has no room.
    package func attach(_ node: NodePlan, in built: BuiltTopology) throws(ApplianceError) -> ForeignNamespace {
        guard let attachment = node.attachment else {
            throw ApplianceError(.failed, "\(node.place): it has a namespace of its own")
        }
        let there = try find(attachment, of: node, beside: built.foreign.filter { $0.key != node.name })
        do throws(ApplianceError) {
            try attempting(node.place) { () throws(SystemError) in
                try furnish(node, there.namespace, built.bridges, built.fabric)
            }
        } catch {
            // What was put there goes with the bridges' ends.
            try? removeLegs(of: node, from: built)
            throw error
        }
        return there
    }
}

/// Devices of the machine that are interfaces for a time.
extension NetworkBuilder {
    /// Makes the device of an interface a port of its bridge, if it has one.
    ///
    /// - Returns: Its number in the fabric; nil if it has none.
    func bindDevice(
        to interface: Int, _ bridge: Int32?, _ fabric: NetworkNamespace?
    ) throws(ApplianceError) -> Int32? {
        let plan = self.plan.interfaces[interface]
        guard let device = plan.device, let bridge, let fabric else { return nil }
        guard let loan = loans.first(where: { $0.interface == plan.name }) else {
            throw ApplianceError(.failed, "interface \(plan.name): the device \(device.name) was not recorded")
        }
        return try attempting("interface \(plan.name)") { () throws(SystemError) in
            let port = try loan.lend(
                to: fabric, bridge: bridge, mtu: plan.mtu, mark: mark, learns: device.learns)
            for mac in device.stations { try fabric.netlink.addForwardingEntry(mac, port: port) }
            return port
        }
    }
}

extension BuiltTopology {
    /// Knows namespaces of somebody else's, by the nodes' names.
    package mutating func take(_ found: [String: ForeignNamespace]) {
        foreign.merge(found) { $1 }
        namespaces.merge(found.mapValues(\.namespace)) { $1 }
    }
}
