import LinuxNetwork
import Plan
import Wire

/// Changes a running node's network to another plan of the node. Parts that both plans have stay in place all the time.
///
/// New parts are added first (`widen`). Then engines change to another table. Old parts are removed last (`narrow`).
/// Additions of the node's own commands stay.
package struct NodeNetwork {
    package let old: NodePlan
    package let new: NodePlan
    package let namespace: NetworkNamespace
    package let built: BuiltTopology

    /// Memberwise.
    package init(old: NodePlan, new: NodePlan, namespace: NetworkNamespace, built: BuiltTopology) {
        self.old = old
        self.new = new
        self.namespace = namespace
        self.built = built
    }

    /// Adds the parts that only `new` has. Replaces routes that have the same destination and another gateway.
    ///
    /// - Throws: The kernel's refusal.
    package func widen() throws(SystemError) {
        let netlink = try namespace.netlink
        let links = try self.links()
        for (place, leg) in new.legs.enumerated() {
            for address in leg.addresses where !leg.isCircuit && !old.legs[place].addresses.contains(address) {
                try netlink.ensureAddress(LinkAddress(address.address, length: address.length), link: links[place])
            }
            for mac in leg.deliverToo where !old.legs[place].deliverToo.contains(mac) {
                try forward(mac, leg, isNew: true)
            }
            if old.legs[place].isLocked, !leg.isLocked { try lock(leg) }
        }
        for address in Set(new.loopback).subtracting(old.loopback) {
            try netlink.ensureAddress(LinkAddress(address), link: home(links))
        }
        for prefix in Set(new.local).subtracting(old.local) {
            try netlink.replaceRoute(Route(prefix, link: home(links), kind: .local))
        }
        try addRoutes(netlink, links)
        let before = Set(old.sysctls)
        let written = new.sysctls.filter { !before.contains($0) }.map { (name: $0.name, value: $0.value) }
        if !written.isEmpty { try Sysctl.write(written, in: namespace) }
    }

    /// Removes the parts that only `old` has.
    ///
    /// - Throws: The kernel's refusal.
    package func narrow() throws(SystemError) {
        let netlink = try namespace.netlink
        let links = try self.links()
        let destinations = Set(new.routes.map(\.destination))
        for route in old.routes where !destinations.contains(route.destination) && !old.legs[route.leg].isCircuit {
            try ignoringAbsence { () throws(SystemError) in try netlink.deleteRoute(kernel(route, links)) }
        }
        for prefix in Set(old.local).subtracting(new.local) {
            try ignoringAbsence { () throws(SystemError) in
                try netlink.deleteRoute(Route(prefix, link: home(links), kind: .local))
            }
        }
        for address in Set(old.loopback).subtracting(new.loopback) {
            try ignoringAbsence { () throws(SystemError) in
                try netlink.deleteAddress(LinkAddress(address), link: home(links))
            }
        }
        var lost = false
        for (place, leg) in old.legs.enumerated() {
            for address in leg.addresses where !leg.isCircuit && !new.legs[place].addresses.contains(address) {
                lost = true
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.deleteAddress(
                        LinkAddress(address.address, length: address.length), link: links[place])
                }
            }
            for mac in leg.deliverToo where !new.legs[place].deliverToo.contains(mac) {
                try forward(mac, leg, isNew: false)
            }
            if !leg.isLocked, new.legs[place].isLocked { try lock(new.legs[place]) }
        }
        guard lost else { return }
        // With the first address of a network the kernel takes its others away, and routes with what they need.
        for (place, leg) in new.legs.enumerated() {
            for address in leg.addresses where !leg.isCircuit {
                try netlink.ensureAddress(LinkAddress(address.address, length: address.length), link: links[place])
            }
        }
        for route in new.routes where !new.legs[route.leg].isCircuit {
            try netlink.replaceRoute(kernel(route, links))
        }
    }

    /// The device that has the service addresses: of an attached node its first leg.
    private func home(_ links: [Int32]) -> Int32 { old.attachment == nil ? 1 : links.first ?? 1 }

    private func addRoutes(_ netlink: NetlinkSocket, _ links: [Int32]) throws(SystemError) {
        let before = Set(old.routes)
        for route in new.routes where !before.contains(route) && !new.legs[route.leg].isCircuit {
            let way = kernel(route, links)
            // IPv6 keeps several routes to one destination if they use different links.
            if let other = old.routes.first(where: { $0.destination == route.destination }) {
                if route.destination.family == .ipv6, other.leg != route.leg || other.gateway != route.gateway {
                    try ignoringAbsence { () throws(SystemError) in try netlink.deleteRoute(kernel(other, links)) }
                }
            }
            try netlink.replaceRoute(way)
        }
    }

    private func kernel(_ route: RoutePlan, _ links: [Int32]) -> Route {
        Route(route.destination, gateway: route.gateway, link: links[route.leg], preferredSource: route.source)
    }

    private func links() throws(SystemError) -> [Int32] {
        var links: [Int32] = []
        for leg in old.legs { links.append(try namespace.netlink.existingLink(named: leg.device).index) }
        return links
    }

    /// Makes the bridge of a leg take frames from the leg's own MAC addresses alone, or from all.
    private func lock(_ leg: LegPlan) throws(SystemError) {
        guard let device = leg.fabricDevice, let fabric = built.fabric else { return }
        let netlink = try fabric.netlink
        let port = try netlink.existingLink(named: device).index
        try netlink.setBridgePort(index: port, BridgePortSettings(locked: leg.isLocked))
    }

    /// Tells the bridge of a leg that a MAC address is behind it, or is no longer.
    private func forward(_ mac: MACAddress, _ leg: LegPlan, isNew: Bool) throws(SystemError) {
        guard let device = leg.fabricDevice, let fabric = built.fabric else { return }
        let netlink = try fabric.netlink
        let port = try netlink.existingLink(named: device).index
        if isNew {
            try ignoringPresence { () throws(SystemError) in try netlink.addForwardingEntry(mac, port: port) }
        } else {
            try ignoringAbsence { () throws(SystemError) in try netlink.deleteForwardingEntry(mac, port: port) }
        }
    }
}

extension NetlinkSocket {
    /// Gives a link an address that it may have already.
    func ensureAddress(_ address: LinkAddress, link: Int32) throws(SystemError) {
        try ignoringPresence { () throws(SystemError) in try addAddress(address, link: link) }
    }
}
