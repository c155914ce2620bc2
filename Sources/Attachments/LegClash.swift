import LinuxNetwork
import Plan
import Reporting
import Wire

/// Looks whether the legs of a node have room in a namespace of somebody else's.
package enum LegClash {
    /// Nothing there may have the name of a leg, one of its addresses, or a route to where one of the node's routes leads.
    ///
    /// - Throws: `ApplianceError` with what is there.
    package static func refuse(_ node: NodePlan, in there: ForeignNamespace) throws(ApplianceError) {
        let (place, names) = ("\(there.place)", Set(node.legs.map(\.device)))
        do {
            let netlink = try there.namespace.netlink
            let links = try netlink.links()
            if let taken = links.first(where: { names.contains($0.name) }) {
                throw clash(
                    node, "\(place) has a device \(taken.name) already\(owner(of: taken))",
                    "rename it there, or give the interface another name in the file: the leg has the interface's name")
            }
            let own = Set(node.legs.flatMap(\.addresses).map(\.address) + node.loopback)
            if let taken = try netlink.addresses().first(where: { own.contains($0.address.address) }) {
                let device = links.first { $0.index == taken.link }?.name ?? "another device"
                throw clash(
                    node, "\(device) in \(place) has the address \(taken.address.address) already",
                    "remove it there, or give the node another `address`")
            }
            let wanted = Set(
                node.routes.map(\.destination)
                    + node.legs.flatMap(\.addresses).map(\.prefix).filter { !$0.isHost && !$0.address.isLinkLocal })
            if let taken = try netlink.routes().first(where: { $0.kind == .unicast && wanted.contains($0.destination) })
            {
                let device = links.first { $0.index == taken.link }?.name
                throw clash(
                    node,
                    "\(place) has a route to \(taken.destination.length == 0 ? "everything (default)" : "\(taken.destination)") "
                        + "already\(device.map { " by \($0)" } ?? "")",
                    "remove it there: packets of the topology would leave by it (a container: --network none)")
            }
        } catch let error as ApplianceError {
            throw error
        } catch {
            throw ApplianceError(
                .machine, "\(node.place): \(error)", hint: "run it as root, with CAP_NET_ADMIN and CAP_SYS_ADMIN")
        }
    }

    private static func owner(of link: Link) -> String {
        let words = link.alias?.split(separator: " ") ?? []
        return words.count >= 3 && words[0] == "tapline" ? ", a leg of the topology '\(words[1])'" : ""
    }

    private static func clash(_ node: NodePlan, _ what: String, _ hint: String) -> ApplianceError {
        ApplianceError(.machine, "\(node.place): \(what)", hint: hint)
    }
}
