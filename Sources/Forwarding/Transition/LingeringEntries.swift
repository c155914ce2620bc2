import Wire

/// The entries of a table that stay beside its successor for a while: they take on what nodes still hold of flows that
/// the successor does not know.
///
/// A firewall that holds frames, and is taken out of a chain, emits them after the change; a service that is removed has
/// packets in mid-chain. What lingers is
///
/// - every entry for what a node emits that the successor does not have;
/// - of nodes that stay, the sequencing entries that share no packet with any entry of the successor for that node.
///
/// So nothing that the successor decides is decided otherwise, and nothing new comes to what is removed: the successor's
/// entries send nothing there, and those that linger are reached from nodes alone, not from customers.
///
/// They make no circle. Among removed nodes alone, a packet runs by the table before, which has none; what has left them
/// runs by the successor, which sends nothing back. Where nodes that stay have lingering entries too, `Prover.circles(in:)`
/// follows packets of every class through both; entries of a circle do not linger.
public struct LingeringEntries: Sendable {
    /// More of them are not followed: then only those of removed nodes linger.
    static let most = 4_096

    /// In the order of the table before, with the groups of that one.
    public private(set) var entries: [Entry] = []

    /// - Parameters:
    ///   - before: The table that is in force.
    ///   - after: The one that comes next.
    public init(from before: ForwardingTable, to after: ForwardingTable) {
        // Interfaces are counted by their order.
        guard before.interfaces.map(\.name) == after.interfaces.map(\.name) else { return }
        let staying = Set(after.sources.map { Leg($0.interface, $0.mac) })
        let leaving = Set(before.sources.filter { $0.system != .customer }.map { Leg($0.interface, $0.mac) })
            .subtracting(staying)
        let successors = SuccessorEntries(after)
        var removed: [Entry] = []
        var kept: [Entry] = []
        var all: [Entry] = []
        for entry in before.entries {
            guard let mac = entry.sourceMAC else { continue }
            let leg = Leg(entry.receivedInterface, mac)
            if leaving.contains(leg) {
                removed.append(entry)
            } else if staying.contains(leg), entry.kind == .sequencing, !successors.share(entry) {
                kept.append(entry)
            } else {
                continue
            }
            all.append(entry)
        }
        guard !all.isEmpty else { return }
        if kept.isEmpty || all.count > Self.most {
            entries = removed
            return
        }
        entries = all
        removeCircles(before, after)
    }

    /// Follows packets, and gives up what is part of a circle until there is none.
    private mutating func removeCircles(_ before: ForwardingTable, _ after: ForwardingTable) {
        while !entries.isEmpty {
            guard let circles = try? Prover.circles(in: after.with(self, from: before), beyond: after.entries.count)
            else {
                entries = []
                return
            }
            let bad = Set(circles.map { $0 - after.entries.count })
            guard !bad.isEmpty else { return }
            entries = entries.indices.filter { !bad.contains($0) }.map { entries[$0] }
        }
    }

    struct Leg: Hashable {
        var interface: Int
        var mac: MACAddress

        init(_ interface: Int, _ mac: MACAddress) {
            self.interface = interface
            self.mac = mac
        }
    }
}

extension ForwardingTable {
    /// This table with what lingers of the one before: its entries behind the own ones, and what these stand on.
    ///
    /// - Parameter before: With the groups as they are by now; those that this table has not stand behind the own ones.
    public func with(_ lingering: LingeringEntries, from before: ForwardingTable) -> ForwardingTable {
        guard !lingering.entries.isEmpty else { return self }
        var table = self
        let known = Set(sources.map { LingeringEntries.Leg($0.interface, $0.mac) })
        table.sources += before.sources.filter { !known.contains(LingeringEntries.Leg($0.interface, $0.mac)) }
        table.addNeighbours(of: before)
        table.addAliases(of: before)
        var places: [Int: Int] = [:]
        for entry in lingering.entries {
            var entry = entry
            entry.hops = entry.hops.map { hop in
                hop.renumbered { table.place(ofGroup: $0, of: before, &places, own: groups.count) }
            }
            table.entries.append(entry)
        }
        // Free places, until they are given those of the table before.
        var next = (entries.map(\.counter).max() ?? -1) + 1
        for index in entries.count..<table.entries.count {
            table.entries[index].counter = next
            next += 1
        }
        return table
    }

    /// This table after the nodes of `before` that it has not are gone: what still comes from them is dropped for a reason
    /// of its own, instead of being taken for a stranger's.
    public func with(leaversOf before: ForwardingTable) -> ForwardingTable {
        var table = self
        let known = Set(sources.map { LingeringEntries.Leg($0.interface, $0.mac) })
        for var source in before.sources where !known.contains(LingeringEntries.Leg(source.interface, source.mac)) {
            guard !source.isRemoved, table.interfaces.indices.contains(source.interface),
                table.interfaces[source.interface].mac != source.mac
            else { continue }
            source.isRemoved = true
            table.sources.append(source)
        }
        table.addAliases(of: before)
        return table
    }

    private mutating func addNeighbours(of before: ForwardingTable) {
        struct Station: Hashable {
            var interface: Int
            var address: IPAddress
        }
        let known = Set(neighbours.map { Station(interface: $0.interface, address: $0.address) })
        neighbours += before.neighbours.filter {
            !known.contains(Station(interface: $0.interface, address: $0.address))
        }
    }

    /// Frames through a transparent application carry the engine's address on its other side.
    private mutating func addAliases(of before: ForwardingTable) {
        for index in interfaces.indices where before.interfaces.indices.contains(index) {
            let own = interfaces[index].aliases
            interfaces[index].aliases += before.interfaces[index].aliases.filter { !own.contains($0) }
        }
    }

    /// The index of the group that stands for one of `before`: the own one with the same members, else a copy of it.
    private mutating func place(
        ofGroup group: Int, of before: ForwardingTable, _ places: inout [Int: Int], own: Int
    ) -> Int {
        if let place = places[group] { return place }
        let copy = before.groups[group]
        let place = groups[..<own].firstIndex {
            $0.name == copy.name && $0.members.map(\.name) == copy.members.map(\.name)
        }
        if place == nil { groups.append(copy) }
        places[group] = place ?? groups.count - 1
        return place ?? groups.count - 1
    }
}

extension Hop {
    /// The same with other indices of groups.
    fileprivate func renumbered(_ place: (Int) -> Int) -> Hop {
        switch self {
        case .target: self
        case .instance(let group, let targets, .drop(let answer)):
            .instance(group: place(group), targets: targets, otherwise: .drop(answer))
        case .instance(let group, let targets, .hops(let hops)):
            .instance(
                group: place(group), targets: targets, otherwise: .hops(hops.map { $0.renumbered(place) }))
        case .whether(let group, let up, let down):
            .whether(
                group: place(group), up: up.map { $0.renumbered(place) }, down: down.map { $0.renumbered(place) })
        }
    }
}
