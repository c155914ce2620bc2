import Wire

/// Finds the send targets that do not fit their interface.
struct StationChecks {
    private(set) var findings: [ProofFinding] = []
    private let world: ProofWorld

    init(_ world: ProofWorld) {
        self.world = world
        struct Known: Hashable {
            var interface: Int
            var address: SendAddress
        }
        var fits: Set<Known> = []
        for (index, entry) in world.table.entries.enumerated() {
            for (number, target) in entry.targets.enumerated() {
                let known = Known(interface: target.interface, address: target.address)
                let dependsOnEntry = target.address == .neighbour(via: nil)
                if !dependsOnEntry, fits.contains(known) { continue }
                let place = TargetPlace(entry: index, target: number)
                if let reason = mismatch(target, of: entry, isVouched: world.vouched.contains(place)) {
                    findings.append(.mismatch(place, reason))
                } else if !dependsOnEntry, !world.vouched.contains(place) {
                    fits.insert(known)
                }
            }
        }
    }

    private func mismatch(_ target: SendTarget, of entry: Entry, isVouched: Bool) -> MismatchReason? {
        let stations = world.stations
        let interface = target.interface
        if stations.on[interface].isEmpty, !isVouched { return .noNode }
        switch target.address {
        case .mac(let mac):
            if stations.leg(mac, on: interface) != nil { return nil }
            if world.table.interfaces[interface].mac == mac { return .ownMAC(mac) }
            return isVouched ? nil : .unknownMAC(mac, owner: stations.owner(of: mac))
        case .network(let address), .neighbour(let address?):
            if stations.leg(address, on: interface) != nil { return nil }
            let owner = stations.owner(of: address)
            guard stations.isOnLink(address, interface) else { return .offLink(address, owner: owner) }
            return isVouched && !world.isOwnAddress(address) ? nil : .unknownAddress(address, owner: owner)
        case .neighbour(nil):
            guard let destination = entry.destination, !stations.isOnLink(destination, interface) else { return nil }
            return .destinationOffLink(destination)
        }
    }
}

/// Finds places where packets are lost for their size and the sender gets no error. A smaller MTU further on is no such
/// place, because the engine sends the error, as a router does.
struct MTUChecks {
    private(set) var findings: [ProofFinding] = []
    private let world: ProofWorld
    private let engineFamilies: Set<AddressFamily>

    init(_ world: ProofWorld) {
        self.world = world
        engineFamilies = Set(
            world.table.interfaces.flatMap(\.addresses).map(\.address)
                .filter { !($0.family == .ipv6 && $0.isLinkLocal) }.map(\.family))
        let interfaces = world.table.interfaces
        for (index, node) in world.nodes.enumerated() where node.isTransparent {
            if Set(node.legs.map { interfaces[$0.interface].mtu }).count > 1 {
                findings.append(.mtu(.transparent(node: index)))
            }
        }
        for (index, entry) in world.table.entries.enumerated() { check(index, entry) }
    }

    private mutating func check(_ index: Int, _ entry: Entry) {
        let received = world.table.interfaces[entry.receivedInterface].mtu
        func mtu(_ number: Int) -> Int { world.table.interfaces[entry.targets[number].interface].mtu }
        let passive = entry.targets.map { isPassive($0) }
        let onward = entry.targets.indices.filter { !passive[$0] }
        // The sender of a packet that is too big for the next link gets an error, and sends smaller packets from then
        // on.
        let packets = min(received, onward.map(mtu).min() ?? received)
        for number in entry.targets.indices where passive[number] && mtu(number) < packets {
            let target = entry.targets[number]
            var node: Int?
            if case .mac(let mac) = target.address { node = world.stations.leg(mac, on: target.interface)?.node }
            findings.append(
                .mtu(.copy(TargetPlace(entry: index, target: number), node: node, packets: packets)))
        }
        let families = (entry.source ?? entry.destination).map { [$0.family] } ?? AddressFamily.allCases
        for number in onward where mtu(number) < received {
            // Entries for both families are only checked for families that a node on the path has.
            for family in families where !engineFamilies.contains(family) && (families.count == 1) {
                findings.append(.mtu(.mute(TargetPlace(entry: index, target: number), family)))
            }
        }
    }

    private func isPassive(_ target: SendTarget) -> Bool {
        if target.system == .passiveApplication { return true }
        guard case .mac(let mac) = target.address, let leg = world.stations.leg(mac, on: target.interface) else {
            return false
        }
        return world.nodes[leg.node].system(leg.leg) == .passiveApplication
    }
}
