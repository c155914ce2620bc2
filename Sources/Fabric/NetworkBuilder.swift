import Attachments
import EventLoop
import Forwarding
import Glibc
import LinuxNetwork
import Plan
import Reporting
import Synchronization
import Wire

/// The open namespaces and TAPs of a plan.
package struct BuiltTopology: Sendable {
    /// By the nodes' names.
    package var namespaces: [String: NetworkNamespace]
    /// Those of them that somebody else made, by the nodes' names.
    package var foreign: [String: ForeignNamespace] = [:]
    /// Where the bridges are; nil if there is none.
    package var fabric: NetworkNamespace?
    /// The bridges' numbers in the fabric, in the order of the interfaces; nil if the TAP is a node's own device.
    var bridges: [Int32?]
    /// The TAPs, in the order of the interfaces; nil at a place that is free, and at one of a circuit.
    package var taps: [TapDevice?]
    /// The numbers in the fabric of the machine's devices that are bound to interfaces, in the order of the interfaces.
    package var devices: [Int32?] = []

    /// The queues as the engine takes them, for each interface; none where there is no TAP.
    package var queues: [[Int32]] { taps.map { $0?.queues ?? [] } }

    /// True if the kernel took UDP segmentation for every TAP (Linux 6.2), so that datagrams may be coalesced.
    /// Those that carry circuits take nothing; the engine cuts what it sends there. It also does for tunnels, where the kernel does not.
    package var segmentsUDP: Bool {
        taps.allSatisfy { tap in
            guard let tap else { return true }
            return tap.offloads.isSuperset(of: [.udp4, .udp6]) || tap.offloads.isEmpty
        }
    }
}

/// Makes the namespaces and devices of a plan, marks each, and gives them addresses, routes and sysctls.
///
/// Nothing is taken away here where something fails: `Teardown` does that, by the state and the marks.
package struct NetworkBuilder: Sendable {
    package let plan: AppliancePlan
    package let mark: String
    package let cancellation: Cancellation
    /// The devices of the machine that are bound to interfaces. They are in the state file.
    package let loans: [DeviceLoan]

    /// Memberwise.
    package init(plan: AppliancePlan, mark: String, cancellation: Cancellation, loans: [DeviceLoan] = []) {
        self.plan = plan
        self.mark = mark
        self.cancellation = cancellation
        self.loans = loans
    }

    /// Threads that make namespaces side by side; the kernel makes much of it wait for itself.
    private static let width = 8

    /// The names of all namespaces that the plan needs.
    package static func namespaces(of plan: AppliancePlan) -> [String] {
        plan.nodes.filter { $0.attachment == nil }.map(\.namespace) + (needsFabric(plan) ? [plan.fabricNamespace] : [])
    }

    private static func needsFabric(_ plan: AppliancePlan) -> Bool {
        plan.interfaces.contains {
            if case .bridge = $0.attachment { true } else { false }
        }
    }

    /// Makes everything.
    ///
    /// - Throws: `ApplianceError` if the kernel refuses, or if the build is cancelled.
    package func build() throws(ApplianceError) -> BuiltTopology {
        let foreign = try findNamespaces(of: plan.nodes)
        let namespaces = try makeNamespaces(plan.nodes)
        var built = BuiltTopology(namespaces: namespaces, fabric: nil, bridges: [], taps: [])
        built.take(foreign)
        if Self.needsFabric(plan) { built.fabric = try makeFabric() }
        for (index, interface) in plan.interfaces.enumerated() {
            try cancellation.check()
            if let carrier = interface.carrier {
                // In a new topology it stands before its circuits.
                built.bridges.append(built.bridges[carrier])
                built.taps.append(nil)
                built.devices.append(nil)
                continue
            }
            let made = try attempting("interface \(interface.name)") { () throws(SystemError) in
                try makeInterface(index, namespaces, built.fabric)
            }
            built.bridges.append(made.bridge)
            built.taps.append(made.tap)
            built.devices.append(try bindDevice(to: index, made.bridge, built.fabric))
        }
        try setBridgeRules(in: built.fabric)
        try furnish(plan.nodes, in: built)
        return built
    }

    /// Makes nodes in what is there: their namespaces, their devices, and what is in them.
    ///
    /// Every interface that they are on must have its bridge already.
    ///
    /// - Throws: `ApplianceError` if the kernel refuses, or if the build is cancelled.
    package func add(_ nodes: [NodePlan], to built: BuiltTopology) throws(ApplianceError) -> BuiltTopology {
        let foreign = try findNamespaces(of: nodes)
        let namespaces = try makeNamespaces(nodes)
        var grown = built
        grown.namespaces.merge(namespaces) { $1 }
        grown.take(foreign)
        try furnish(nodes, in: grown)
        try awaitLinks(of: nodes, in: grown)
        return grown
    }

    private func furnish(_ nodes: [NodePlan], in built: BuiltTopology) throws(ApplianceError) {
        try inParallel(nodes.count, width: Self.width) { index throws(ApplianceError) in
            try cancellation.check()
            let node = nodes[index]
            guard let namespace = built.namespaces[node.name] else { return }
            try attempting(node.place) { () throws(SystemError) in
                try furnish(node, namespace, built.bridges, built.fabric)
            }
        }
    }

    func makeFabric() throws(ApplianceError) -> NetworkNamespace {
        // The fabric's own stack never sends: its packets would look like a node's.
        let fabric = try attempting("the fabric") { () throws(SystemError) in
            try NetworkNamespace.create(
                plan.fabricNamespace, mark: mark, defaults: Self.bridgeDefaults,
                sysctls: [
                    (name: "net.ipv6.conf.all.disable_ipv6", value: "1"),
                    (name: "net.ipv6.conf.default.disable_ipv6", value: "1"),
                ])
        }
        return fabric
    }

    /// Makes bridges pass frames on unchanged. With br_netfilter, the packet filters' hooks would check every frame on
    /// every bridge as a host does. They cut off trailers. They reassemble fragments and split them anew, in another
    /// order or not at all. A node's own `sysctls` come after these.
    private static let bridgeDefaults = ["arptables", "iptables", "ip6tables"].map {
        (name: "net.bridge.bridge-nf-call-\($0)", value: "0")
    }

    func attempting<Value>(
        _ place: String, _ body: () throws(SystemError) -> Value
    ) throws(ApplianceError) -> Value {
        do throws(SystemError) { return try body() } catch { throw Self.explained(error, place) }
    }

    /// The kernel's refusal as a sentence with its hint.
    package static func explained(_ error: SystemError, _ place: String) -> ApplianceError {
        switch error.errno {
        case _ where error.operation == "write the sysctl" && UserNamespace.isEntered:
            ApplianceError(
                .machine, "\(place): \(error)",
                hint: "if its name and value are right, only root may write it: remove it, or use sudo")
        case EPERM where error.operation == "write the sysctl" && geteuid() == 0,
            EACCES where error.operation == "write the sysctl" && geteuid() == 0:
            ApplianceError(.failed, "\(place): \(error)", hint: "it cannot be written here: remove it")
        case EPERM, EACCES:
            ApplianceError(.machine, "\(place): \(error)", hint: "run it as root, with CAP_NET_ADMIN and CAP_SYS_ADMIN")
        case _ where error.operation == BridgeRules.operation:
            ApplianceError(
                .machine, "\(place): \(error)",
                hint: "modprobe nf_tables; the kernel needs CONFIG_NF_TABLES_BRIDGE to address frames to groups")
        case ENOENT where error.description.contains("/dev/net/tun"), ENODEV where error.description.contains("tun"):
            ApplianceError(.machine, "\(place): \(error)", hint: "modprobe tun")
        case E2BIG where error.operation == TapDevice.openingQueue:
            ApplianceError(
                .machine, "\(place): the kernel gives a TAP no more queues: \(error)",
                hint: "use fewer `workers`, or fewer engines")
        case EMFILE, ENFILE:
            ApplianceError(.machine, "\(place): \(error)", hint: "raise the limit of open files: ulimit -n")
        default: ApplianceError(.failed, "\(place): \(error)")
        }
    }

    // MARK: - Namespaces

    private func makeNamespaces(_ all: [NodePlan]) throws(ApplianceError) -> [String: NetworkNamespace] {
        let made = Mutex<[String: NetworkNamespace]>([:])
        let nodes = all.filter { $0.attachment == nil }
        try inParallel(nodes.count, width: Self.width) { index throws(ApplianceError) in
            try cancellation.check()
            let node = nodes[index]
            let early = node.sysctls.filter { !concernsDevice($0, of: node) }.map { (name: $0.name, value: $0.value) }
            let namespace = try attempting(node.place) { () throws(SystemError) in
                try NetworkNamespace.create(node.namespace, mark: mark, defaults: Self.bridgeDefaults, sysctls: early)
            }
            made.withLock { $0[node.name] = namespace }
        }
        return made.withLock { $0 }
    }

    /// True if the sysctl can be written only when the node has its devices: `net.ipv6.conf.DEVICE.…`. A device may be
    /// called `net` or `conf` itself, so the place decides.
    func concernsDevice(_ sysctl: SysctlPlan, of node: NodePlan) -> Bool {
        let parts = sysctl.name.split { $0 == "." || $0 == "/" }
        return parts.count > 4 && node.legs.contains { $0.device == parts[3] }
    }

    // MARK: - Interfaces

    func makeInterface(
        _ index: Int, _ namespaces: [String: NetworkNamespace], _ fabric: NetworkNamespace?, queues: Int = 1
    ) throws(SystemError) -> (bridge: Int32?, tap: TapDevice?) {
        let queues = max(queues, plan.engines.queues)
        let interface = plan.interfaces[index]
        switch interface.attachment {
        case .vacant: return (nil, nil)
        case .direct(let node):
            guard let plan = plan.nodes.first(where: { $0.name == node }), let namespace = namespaces[node],
                let leg = plan.legs.first(where: { self.plan.device(of: $0.interface) == index })
            else { throw SystemError("find the node of the interface", interface.name, errno: ENOENT) }
            let kind = TapDevice.Kind(interface.link)
            let settings = LinkSettings(
                name: leg.device, mac: kind == .tap ? leg.mac : nil, mtu: interface.mtu,
                transmitQueueLength: interface.queue, mark: mark)
            return (nil, try TapDevice(settings, in: namespace, queues: queues, kind: kind))
        case .bridge(let bridgeDevice, let tapDevice):
            guard let fabric else { throw SystemError("find the fabric of", interface.name, errno: ENOENT) }
            let netlink = try fabric.netlink
            let bridge = try netlink.createBridge(LinkSettings(name: bridgeDevice, mtu: interface.mtu, mark: mark))
            let settings = LinkSettings(
                name: tapDevice, mtu: interface.mtu, transmitQueueLength: interface.queue, mark: mark, master: bridge)
            let tap = try TapDevice(
                settings, in: fabric, queues: queues,
                offloads: interface.isUnderlay ? .underlay : interface.link == nil ? .all : [])
            try openPort(of: tap, index, netlink)
            return (bridge, tap)
        }
    }

    /// Nodes reach the engine by its MAC addresses, and by what goes to all.
    func openPort(of tap: TapDevice, _ interface: Int, _ netlink: NetlinkSocket) throws(SystemError) {
        try netlink.setBridgePort(
            index: tap.index,
            BridgePortSettings(
                isolated: false, learning: false, unicastFlood: false, multicastFlood: true, broadcastFlood: true))
        for mac in plan.engineMACs(on: interface) { try netlink.addForwardingEntry(mac, port: tap.index) }
    }

    // MARK: - Nodes

    func furnish(
        _ node: NodePlan, _ namespace: NetworkNamespace, _ bridges: [Int32?], _ fabric: NetworkNamespace?
    ) throws(SystemError) {
        let netlink = try namespace.netlink
        var links: [Int32] = []
        // Nothing is made of an application at another site.
        if node.legs.contains(where: \.isRemote) { return }
        for leg in node.legs {
            if let bridge = bridges[leg.interface], let fabric {
                links.append(try connect(leg, bridge, fabric, namespace))
            } else {
                links.append(try netlink.existingLink(named: leg.device).index)
            }
        }
        if node.machine != nil { return try makeBridges(of: node, links, namespace) }
        let late = node.sysctls.filter { concernsDevice($0, of: node) }.map { (name: $0.name, value: $0.value) }
        if !late.isEmpty { try Sysctl.write(late, in: namespace) }
        // The loopback device of somebody else's namespace is not touched: the leg has all, and takes all along.
        let home = node.attachment == nil ? 1 : links.first ?? 1
        for address in node.loopback { try netlink.addAddress(LinkAddress(address), link: home) }
        for prefix in node.local { try netlink.addRoute(Route(prefix, link: home, kind: .local)) }
        for (leg, link) in zip(node.legs, links) {
            for address in leg.addresses where !leg.isCircuit {
                try netlink.addAddress(LinkAddress(address.address, length: address.length), link: link)
            }
        }
        for route in node.routes where links.indices.contains(route.leg) && !node.legs[route.leg].isCircuit {
            try netlink.addRoute(
                Route(
                    route.destination, gateway: route.gateway, link: links[route.leg], preferredSource: route.source))
        }
    }

    /// A veth from the node to its interface's bridge; returns the number of the node's end.
    ///
    /// - Parameter number: The wanted number; nil: any.
    /// - Throws: The kernel's refusal; EEXIST if a name or the number is taken.
    @discardableResult
    package func connect(
        _ leg: LegPlan, _ bridge: Int32, _ fabric: NetworkNamespace, _ namespace: NetworkNamespace,
        number: Int32? = nil
    ) throws(SystemError) -> Int32 {
        let netlink = try fabric.netlink
        let mtu = plan.interfaces[plan.device(of: leg.interface)].mtu
        let near = LinkSettings(name: leg.fabricDevice ?? leg.device, mtu: mtu, mark: mark, master: bridge)
        // A bridge takes frames for its ports' own addresses.
        let far = LinkSettings(name: leg.device, mac: leg.isOfMachine ? nil : leg.mac, mtu: mtu, mark: mark)
        let pair = try netlink.createVeth(near: near, far: far, in: namespace, farIndex: number)
        try netlink.setBridgePort(
            index: pair.near,
            BridgePortSettings(
                isolated: true, learning: false, unicastFlood: leg.takesEverything, multicastFlood: true,
                broadcastFlood: true))
        for mac in [leg.mac] + leg.deliverToo { try netlink.addForwardingEntry(mac, port: pair.near) }
        // Frames that a transparent application passes on also have the addresses of `deliverToo`.
        if leg.isLocked { try netlink.setBridgePort(index: pair.near, BridgePortSettings(locked: true)) }
        if !leg.offload {
            try netlink.disableTransmitOffloads(of: near.name)
            try namespace.netlink.disableTransmitOffloads(of: far.name)
        }
        return pair.far
    }
}

extension TapDevice.Kind {
    /// The kind of device for circuits, or for none.
    init(_ link: Encapsulation.Link?) {
        self =
            switch link {
            case nil, .ethernet?: .tap
            case .frameRelay?: .frameRelay
            case .atm?: .atm
            }
    }
}
