import Attachments
import EventLoop
import LinuxNetwork
import Plan
import Reporting

extension BuiltTopology {
    /// There is a place for an interface.
    fileprivate mutating func makeRoom(for place: Int) {
        while taps.count <= place {
            taps.append(nil)
            bridges.append(nil)
            devices.append(nil)
        }
    }
}

/// Interfaces that come and go while the topology is up.
extension NetworkBuilder {
    /// Makes the namespace of the bridges if there is none yet.
    ///
    /// - Throws: `ApplianceError` if the kernel refuses.
    package func addFabric(to built: BuiltTopology) throws(ApplianceError) -> BuiltTopology {
        guard built.fabric == nil else { return built }
        var grown = built
        grown.fabric = try makeFabric()
        return grown
    }

    /// Makes interfaces of the plan: the bridge of each, and its TAP as a port. No engine reads the TAPs yet, and no node
    /// is behind them. Of a circuit nothing is made.
    ///
    /// - Parameter places: Their places in the plan. Each has a bridge there, and the bridges' namespace is there.
    /// - Returns: What is built then.
    /// - Throws: `ApplianceError` if the kernel refuses. What was made is taken away again.
    package func add(interfaces places: [Int], to built: BuiltTopology) throws(ApplianceError) -> BuiltTopology {
        var grown = built
        // All TAPs have the same number of queues, also if the engines need fewer by now.
        let queues = built.taps.compactMap { $0?.queues.count }.max() ?? 1
        let circuits = places.filter { plan.interfaces[$0].carrier != nil }
        for place in places where plan.interfaces[place].carrier == nil {
            do throws(ApplianceError) {
                try cancellation.check()
                let made = try attempting("interface \(plan.interfaces[place].name)") { () throws(SystemError) in
                    try makeInterface(place, grown.namespaces, grown.fabric, queues: queues)
                }
                grown.makeRoom(for: place)
                (grown.taps[place], grown.bridges[place]) = (made.tap, made.bridge)
                grown.devices[place] = try bindDevice(to: place, made.bridge, grown.fabric)
            } catch {
                for place in places { _ = try? giveBackDevice(of: place, from: grown) }
                try? removeDevices(of: place, in: grown)
                _ = try? remove(interfaces: places, from: grown)
                throw error
            }
        }
        for place in circuits {
            grown.makeRoom(for: place)
            grown.bridges[place] = plan.interfaces[place].carrier.flatMap { grown.bridges[$0] }
        }
        return grown
    }

    /// Takes interfaces away: the TAP of each, and its bridge. No engine may have their queues any more. Of a circuit there is
    /// nothing to take away.
    ///
    /// - Parameter places: Their places in this plan.
    /// - Returns: What is left then.
    /// - Throws: `ApplianceError` if the kernel refuses.
    package func remove(interfaces places: [Int], from built: BuiltTopology) throws(ApplianceError) -> BuiltTopology {
        var left = built
        for place in places where left.taps.indices.contains(place) {
            try removeDevices(of: place, in: left)
            (left.taps[place], left.bridges[place], left.devices[place]) = (nil, nil, nil)
        }
        return left
    }

    /// Gives the machine's device of an interface back, if it has one: it is where it was, as it was.
    ///
    /// - Parameter place: The interface's place in this plan.
    /// - Returns: What was given back.
    /// - Throws: `ApplianceError` if it cannot be given back as it was.
    package func giveBackDevice(of place: Int, from built: BuiltTopology) throws(ApplianceError) -> DeviceLoan? {
        guard plan.interfaces.indices.contains(place), plan.interfaces[place].device != nil,
            let loan = loans.first(where: { $0.interface == plan.interfaces[place].name })
        else { return nil }
        try loan.giveBack(from: built.fabric, markedAs: ApplianceState.markPrefix(name: plan.name))
        return loan
    }

    private func removeDevices(of place: Int, in built: BuiltTopology) throws(ApplianceError) {
        // A circuit's are its carrier's.
        guard plan.interfaces.indices.contains(place), plan.interfaces[place].carrier == nil else { return }
        var homes: [(namespace: NetworkNamespace, devices: [String])] = []
        switch plan.interfaces[place].attachment {
        case .vacant: break
        case .bridge(let bridgeDevice, let tapDevice):
            if let fabric = built.fabric { homes.append((fabric, [tapDevice, bridgeDevice])) }
        case .direct(let node):
            if let namespace = built.namespaces[node], built.taps.indices.contains(place), let tap = built.taps[place] {
                homes.append((namespace, [tap.name]))
            }
        }
        try attempting("interface \(plan.interfaces[place].name)") { () throws(SystemError) in
            for home in homes {
                let netlink = try home.namespace.netlink
                for device in home.devices {
                    guard let link = try netlink.link(named: device) else { continue }
                    try ignoringAbsence { () throws(SystemError) in try netlink.deleteLink(index: link.index) }
                }
            }
        }
    }

    /// Gives every TAP of the plan as many queues as engines need. None loses one.
    ///
    /// The plan is the one that is built: a TAP that is to become a port of a bridge is still in its node.
    ///
    /// - Parameter count: The queues of a TAP.
    /// - Throws: `ApplianceError` if the kernel refuses. The queues that were opened stay, and need a reader.
    package func growQueues(to count: Int, of built: BuiltTopology) throws(ApplianceError) {
        for (place, tap) in built.taps.enumerated() where plan.interfaces.indices.contains(place) {
            guard let tap, let namespace = built.place(ofTap: place, plan)?.namespace else { continue }
            try attempting("interface \(plan.interfaces[place].name)") { () throws(SystemError) in
                try tap.grow(to: count, in: namespace)
            }
        }
    }
}
