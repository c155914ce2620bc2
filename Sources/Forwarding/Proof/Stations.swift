import Wire

/// Finds the nodes' legs by MAC and network address.
struct Stations {
    struct Leg: Hashable {
        var node: Int
        var leg: Int
    }
    private struct Key<Address: Hashable>: Hashable {
        var interface: Int
        var address: Address
    }

    let nodes: [ProofNode]
    let table: ForwardingTable
    /// The legs on each interface.
    private(set) var on: [[Leg]]
    private var byMAC: [Key<MACAddress>: Leg] = [:]
    private var byAddress: [Key<IPAddress>: Leg] = [:]
    private var ownersOfMAC: [MACAddress: Leg] = [:]
    private var ownersOfAddress: [IPAddress: Leg] = [:]
    /// On each interface: hosts that the file does not name.
    private var crowds: [[(prefix: IPPrefix, leg: Leg)]]
    /// MAC addresses that entries by hand send to, and vouch for.
    private(set) var vouchedMACs: [[MACAddress]]
    /// For each node, its own addresses and the addresses that it serves.
    private let own: [Set<IPAddress>]

    init(_ subject: ProofSubject) {
        nodes = subject.nodes
        table = subject.table
        on = Array(repeating: [], count: subject.table.interfaces.count)
        vouchedMACs = Array(repeating: [], count: subject.table.interfaces.count)
        crowds = Array(repeating: [], count: subject.table.interfaces.count)
        own = subject.nodes.map { Set($0.served).union($0.legs.flatMap { $0.addresses + $0.announced }) }
        for (index, node) in nodes.enumerated() {
            for (place, leg) in node.legs.enumerated() {
                let found = Leg(node: index, leg: place)
                on[leg.interface].append(found)
                if node.isCrowd { crowds[leg.interface] += node.prefixes.map { ($0, found) } }
                byMAC[Key(interface: leg.interface, address: leg.mac)] = found
                ownersOfMAC[leg.mac] = ownersOfMAC[leg.mac] ?? found
                for address in leg.addresses + leg.announced {
                    byAddress[Key(interface: leg.interface, address: address)] = found
                    if !(address.family == .ipv6 && address.isLinkLocal) { ownersOfAddress[address] = found }
                }
            }
        }
        for place in subject.vouched {
            let target = table.entries[place.entry].targets[place.target]
            if case .mac(let mac) = target.address { vouchedMACs[target.interface].append(mac) }
        }
    }

    func leg(_ mac: MACAddress, on interface: Int) -> Leg? { byMAC[Key(interface: interface, address: mac)] }

    func leg(_ address: IPAddress, on interface: Int) -> Leg? {
        byAddress[Key(interface: interface, address: address)]
            ?? crowds[interface].first { $0.prefix.contains(IPPrefix(host: address)) }?.leg
    }

    /// The emitter with a MAC address, on any interface.
    func owner(of mac: MACAddress) -> Emitter? { ownersOfMAC[mac].map { emitter($0) } }

    /// The node with an address, on any interface.
    func owner(of address: IPAddress) -> Int? { ownersOfAddress[address]?.node }

    func has(_ node: Int, _ address: IPAddress) -> Bool { own[node].contains(address) }

    func emitter(_ leg: Leg) -> Emitter {
        let found = nodes[leg.node].legs[leg.leg]
        return Emitter(node: leg.node, interface: found.interface, mac: found.mac)
    }

    /// True if the address lies in a network that the engine has on the interface.
    func isOnLink(_ address: IPAddress, _ interface: Int) -> Bool {
        address.family == .ipv6 && address.high == TableInterface.linkLocal.high
            || table.interfaces[interface].addresses.contains { $0.prefix.contains(address) }
    }

    /// True if some address of the prefix may be that of a host on the interface.
    func isOnLink(_ prefix: IPPrefix, _ interface: Int) -> Bool {
        prefix.family == .ipv6 && prefix.overlaps(IPPrefix(TableInterface.linkLocal, length: 64))
            || prefix.address.isMulticast
            || table.interfaces[interface].addresses.contains { $0.prefix.overlaps(prefix) }
            || on[interface].contains { leg in
                nodes[leg.node].legs[leg.leg].addresses.contains { prefix.contains($0) }
            }
    }
}
