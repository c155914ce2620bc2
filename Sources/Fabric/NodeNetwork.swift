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
    /// Makes new legs.
    package let builder: NetworkBuilder

    /// Memberwise.
    package init(
        old: NodePlan, new: NodePlan, namespace: NetworkNamespace, built: BuiltTopology, builder: NetworkBuilder
    ) {
        self.old = old
        self.new = new
        self.namespace = namespace
        self.built = built
        self.builder = builder
    }

    private var match: LegMatch { LegMatch(old.legs, new.legs) }

    /// Adds the parts that only `new` has. Replaces routes that have the same destination and another gateway.
    ///
    /// - Throws: The kernel's refusal.
    package func widen() throws(SystemError) {
        let netlink = try namespace.netlink
        for place in match.added {
            guard let fabric = built.fabric, let bridge = built.bridges[new.legs[place].interface] else { continue }
            try builder.connect(new.legs[place], bridge, fabric, namespace)
        }
        let links = try self.links(of: new)
        for place in match.added { try give(new.legs[place].addresses, to: links[place], netlink) }
        for (before, place) in match.kept {
            let (was, leg) = (old.legs[before], new.legs[place])
            try give(leg.addresses.filter { !was.addresses.contains($0) }, to: links[place], netlink)
            for mac in leg.deliverToo where !was.deliverToo.contains(mac) { try forward(mac, leg, isNew: true) }
            if was.isLocked, !leg.isLocked { try lock(leg) }
        }
        if let home = try home(of: new) {
            for address in Set(new.loopback).subtracting(old.loopback) {
                try netlink.ensureAddress(LinkAddress(address), link: home)
            }
            for prefix in Set(new.local).subtracting(old.local) {
                try netlink.replaceRoute(Route(prefix, link: home, kind: .local))
            }
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
        let links = try self.links(of: old)
        let destinations = Set(new.routes.map(\.destination))
        for route in old.routes where !destinations.contains(route.destination) {
            guard let way = kernel(route, links) else { continue }
            try ignoringAbsence { () throws(SystemError) in try netlink.deleteRoute(way) }
        }
        if let home = try home(of: old) {
            for prefix in Set(old.local).subtracting(new.local) {
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.deleteRoute(Route(prefix, link: home, kind: .local))
                }
            }
            for address in Set(old.loopback).subtracting(new.loopback) {
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.deleteAddress(LinkAddress(address), link: home)
                }
            }
        }
        var lost = false
        for (before, place) in match.kept {
            let (was, leg) = (old.legs[before], new.legs[place])
            for address in was.addresses where !leg.addresses.contains(address) {
                guard let link = links[before] else { continue }
                lost = true
                try ignoringAbsence { () throws(SystemError) in
                    try netlink.deleteAddress(LinkAddress(address.address, length: address.length), link: link)
                }
            }
            for mac in was.deliverToo where !leg.deliverToo.contains(mac) { try forward(mac, leg, isNew: false) }
            if !was.isLocked, leg.isLocked { try lock(leg) }
        }
        for place in match.removed {
            // A TAP that is the node's own device goes with its interface.
            guard let device = old.legs[place].fabricDevice, let fabric = built.fabric else { continue }
            guard let link = try fabric.netlink.link(named: device) else { continue }
            try ignoringAbsence { () throws(SystemError) in try fabric.netlink.deleteLink(index: link.index) }
        }
        guard lost else { return }
        // With the first address of a network the kernel takes its others away, and routes with what they need.
        let left = try self.links(of: new)
        for (place, leg) in new.legs.enumerated() { try give(leg.addresses, to: left[place], netlink) }
        for route in new.routes {
            guard let way = kernel(route, left) else { continue }
            try netlink.replaceRoute(way)
        }
    }

    private func give(
        _ addresses: [InterfaceAddress], to link: Int32?, _ netlink: NetlinkSocket
    ) throws(SystemError) {
        guard let link else { return }
        for address in addresses {
            try netlink.ensureAddress(LinkAddress(address.address, length: address.length), link: link)
        }
    }

    private func addRoutes(_ netlink: NetlinkSocket, _ links: [Int32?]) throws(SystemError) {
        let before = try self.links(of: old)
        let known = Set(old.routes.compactMap { kernel($0, before) })
        for route in new.routes {
            guard let way = kernel(route, links), !known.contains(way) else { continue }
            // IPv6 keeps several routes to one destination if they use different links.
            if let other = old.routes.first(where: { $0.destination == route.destination }) {
                if route.destination.family == .ipv6, let past = kernel(other, before),
                    past.link != way.link || past.gateway != way.gateway
                {
                    try ignoringAbsence { () throws(SystemError) in try netlink.deleteRoute(past) }
                }
            }
            try netlink.replaceRoute(way)
        }
    }

    private func kernel(_ route: RoutePlan, _ links: [Int32?]) -> Route? {
        guard let link = links[route.leg] else { return nil }
        return Route(route.destination, gateway: route.gateway, link: link, preferredSource: route.source)
    }

    /// The numbers of the legs' devices. Nil for a device that is gone, and for one of a circuit: that has no addresses and no
    /// routes.
    private func links(of node: NodePlan) throws(SystemError) -> [Int32?] {
        let netlink = try namespace.netlink
        var links: [Int32?] = []
        for leg in node.legs { links.append(try leg.isCircuit ? nil : netlink.link(named: leg.device)?.index) }
        return links
    }

    /// The device that has the service addresses: of an attached node its first leg. Nil if that is gone.
    private func home(of node: NodePlan) throws(SystemError) -> Int32? {
        guard node.attachment != nil, let first = node.legs.first else { return 1 }
        return try namespace.netlink.link(named: first.device)?.index
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
