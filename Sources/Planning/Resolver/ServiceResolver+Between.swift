import Forwarding
import Plan
import Reporting
import TopologyFiles
import Wire

/// A node on an interface, as a neighbour of others.
struct Neighbour: Hashable, Sendable {
    var node: Int
    var leg: Int
}

/// A service between neighbours, whose names have been found.
struct Neighbourhood: Sendable {
    /// The place of the service in the file.
    var index: Int
    var raw: RawService
    var members: [Neighbour] = []
    /// The passive applications that get a copy of each packet.
    var listeners: [Stop] = []
    /// The groups that every member gets, except the sender. The broadcast addresses of the sender's own networks are
    /// among them if the file says `subnet`.
    var groups: [IPAddress] = []
    /// Those of `members` that get the packets of multicast groups whether they have joined or not.
    var named: Set<Neighbour> = []
    /// True if other members get the packets of multicast groups while they report that they are in them.
    var joins = false

    /// How a neighbour gets the packets of a group: nil: not at all.
    func membership(of neighbour: Neighbour, in group: IPAddress) -> Membership? {
        // Every host is in the group of all hosts, and reports neither that nor broadcasts (RFC 3376, section 6).
        guard group.isMulticast, !group.isAllHosts, joins || !named.isEmpty, !named.contains(neighbour) else {
            return .always
        }
        return joins ? .whileJoined : nil
    }

    enum Membership { case always, whileJoined }
}

extension IPAddress {
    /// The groups that no host reports: 224.0.0.1, ff02::1, and all of interface-local scope.
    fileprivate var isAllHosts: Bool {
        family == .ipv4 ? low == 0xE000_0001 : high >> 48 & 0xFF0F == 0xFF01 || high == 0xFF02 << 48 && low == 1
    }
}

/// Services between neighbours: `between`.
extension ServiceResolver {
    /// The most nodes of one service: the entries grow with their square.
    static let mostNeighbours = 64

    /// Finds the nodes and groups of a service between neighbours. Reports mistakes, and then returns nil.
    func neighbourhood(_ raw: RawService, _ index: Int) -> Neighbourhood? {
        let before = diagnostics.count
        var found = Neighbourhood(index: index, raw: raw)
        let named = raw.between.map { ($0, every($0.name)) }
        let shared = sharedInterfaces(named.flatMap(\.1))
        for (stop, nodes) in named {
            for node in nodes {
                guard let member = neighbour(node, stop, shared) else { continue }
                if found.members.contains(where: { $0.node == node }) {
                    diagnostics.error(
                        stop.origin, "\(quoted(stop.value)) is in `between` twice", hint: "remove one of the two")
                } else {
                    found.members.append(member)
                }
            }
        }
        if raw.between.count == 1, found.members.count == 1 {
            diagnostics.error(
                raw.between[0].origin, "service \(quoted(raw.name.value)) is between one node",
                hint: "name two nodes or more: `between: [a, b]`")
        }
        if found.members.count > Self.mostNeighbours {
            diagnostics.error(
                raw.name.origin,
                "service \(quoted(raw.name.value)) is between \(found.members.count) nodes, and there may be "
                    + "\(Self.mostNeighbours)",
                hint: "divide them among several services")
        }
        found.groups = groups(of: raw, found.members)
        readMembers(of: &found)
        found.listeners = passivesToDistribute(raw)
        for name in raw.distribute {
            guard let node = listed(name.name), !file.nodes[node].passive else { continue }
            diagnostics.error(
                name.origin, "\(quoted(name.value)) is not passive: copies of its neighbours' packets are not for it",
                hint: "name it in `between`, or remove it")
        }
        return diagnostics.count == before ? found : nil
    }

    /// Finds the nodes that `members` names, and whether it has `joined`.
    private func readMembers(of found: inout Neighbourhood) {
        let raw = found.raw
        for name in raw.members {
            if name.value == Self.joined {
                found.joins = true
                continue
            }
            let nodes = every(name)
            for node in nodes {
                guard let member = found.members.first(where: { $0.node == node }) else {
                    diagnostics.error(
                        name.origin, "\(quoted(name.value)) is in `members` and not in `between`",
                        hint: "name it in `between`, too: what it sends to the group is part of the service")
                    break
                }
                found.named.insert(member)
            }
        }
        guard let first = raw.members.first else { return }
        if !found.groups.contains(where: \.isMulticast) {
            diagnostics.error(
                first.origin, "service \(quoted(raw.name.value)) has `members` and no multicast group",
                hint: "add the group to `address`, or remove `members`: broadcasts reach every node of `between`")
        }
        for address in raw.addresses where found.joins && address.value.address.isAllHosts {
            diagnostics.error(
                address.origin, "no node reports that it is in \(address.value): every host is",
                hint: "move it to a service without `members: joined`")
        }
        let groups = found.groups.count(where: \.isMulticast)
        let others = found.members.count - found.named.count
        let pairs = groups * others
        if found.joins, pairs > ForwardingTable.mostJoiners {
            diagnostics.error(
                first.origin,
                "\(others) nodes may join \(groups) groups: \(pairs) pairs, and there may be "
                    + "\(ForwardingTable.mostJoiners)",
                hint: "name the members, or fewer groups")
        }
    }

    /// The word of `members` for the nodes that report the group.
    static let joined = "joined"

    /// The interfaces that all of the nodes are on.
    private func sharedInterfaces(_ nodes: [Int]) -> Set<Int> {
        guard let first = nodes.first else { return [] }
        return nodes.dropFirst().reduce(Set(legs[first].map(\.interface))) { shared, node in
            shared.intersection(legs[node].map(\.interface))
        }
    }

    /// A node by the leg that the service names, else by the interface that all share, else by the usual one.
    private func neighbour(_ node: Int, _ raw: RawStop, _ shared: Set<Int>) -> Neighbour? {
        guard !legs[node].isEmpty else { return nil }
        let name = quoted(raw.value)
        if file.nodes[node].transparent {
            diagnostics.error(
                raw.origin, "\(name) is transparent: it has no neighbours",
                hint: "name the nodes on its sides: frames among them pass it where they are on one interface with it")
            return nil
        }
        if let leave = raw.leave {
            diagnostics.error(
                leave.origin, "a neighbour is on one leg", hint: "write the leg's name alone: { \(raw.value): … }")
            return nil
        }
        if let leg = raw.enter { return self.leg(leg, of: node).map { Neighbour(node: node, leg: $0) } }
        let common = legs[node].indices.filter { shared.contains(legs[node][$0].interface) }
        if common.count == 1 { return Neighbour(node: node, leg: common[0]) }
        if let usual = legs[node].count == 1 ? 0 : entryLeg(node), common.isEmpty {
            return Neighbour(node: node, leg: usual)
        }
        let names = file.nodes[node].legs.compactMap(\.name)
        diagnostics.error(
            raw.origin,
            "\(name) has \(names.count) legs (\(names.joined(separator: ", "))), and the service does not say which it is a "
                + "neighbour on",
            hint: "write { \(raw.value): \(names.first ?? "…") }")
        return nil
    }

    /// The groups that the service names, and the broadcast addresses of its nodes' networks.
    private func groups(of raw: RawService, _ members: [Neighbour]) -> [IPAddress] {
        var groups: [IPAddress] = []
        for address in raw.addresses {
            let value = address.value.address
            if groups.contains(value) {
                diagnostics.error(address.origin, "the address \(address.value) is given twice", hint: "remove one")
            } else if address.value.isHost, value.isMulticast || value.isLimitedBroadcast {
                groups.append(value)
            } else {
                diagnostics.error(
                    address.origin,
                    "\(address.value) is no group's address: neighbours reach each other's own addresses "
                        + "in any case",
                    hint:
                        "write a multicast address, such as 224.0.0.5 or ff02::5, or 255.255.255.255; for the broadcast "
                        + "address of a network, write `subnet: true`")
            }
        }
        if let subnet = raw.subnet, !members.isEmpty, members.allSatisfy({ broadcasts(of: $0).isEmpty }) {
            diagnostics.error(
                subnet, "no network of the nodes of service \(quoted(raw.name.value)) has a broadcast address",
                hint: "remove `subnet`, or give their interface an IPv4 address of a network of /30 or more")
        }
        return groups
    }
}

extension AddressStage {
    /// The broadcast addresses of the networks of a node's interface.
    func broadcasts(of member: Neighbour) -> [IPAddress] {
        file.interfaces[legs[member.node][member.leg].interface].addresses.compactMap(\.value.value.broadcast).uniqued()
    }
}

extension InterfaceAddress {
    /// The broadcast address of its network; nil for IPv6, and for networks without one (RFC 3021).
    var broadcast: IPAddress? {
        guard address.family == .ipv4, length < 31 else { return nil }
        return IPAddress(ipv4: UInt32(truncatingIfNeeded: prefix.address.low + (1 << UInt64(32 - length)) - 1))
    }
}
