import Wire

/// The entries of a table that stay beside its successor for a while. They forward packets that nodes still hold, of
/// flows that the successor does not know.
///
/// A firewall that holds frames and leaves a chain emits them after the change. A removed service has packets in
/// mid-chain. The lingering entries are
///
/// - all entries for the packets of nodes that the successor does not have;
/// - for nodes that stay, the sequencing entries that share no packet with any entry of the successor for that node.
///
/// So every packet that the successor decides is decided as the successor says. Nothing new reaches a removed node: the
/// successor's entries send nothing there, and customers' packets never match a lingering entry.
///
/// Lingering entries make no loop. Among removed nodes, a packet runs by the table before, which has no loop. After it
/// has left them it runs by the successor, which sends nothing back. If nodes that stay have lingering entries, too,
/// `Prover.circles(in:)` follows packets of every class through both. Entries of a loop do not linger.
public struct LingeringEntries: Sendable {
    /// The largest number of entries whose packets are followed. If there are more, only the entries of removed nodes
    /// linger.
    static let most = 4_096

    /// In the order of the table before, and with its groups.
    public private(set) var entries: [Entry] = []

    /// - Parameters:
    ///   - before: The table in force.
    ///   - after: The next table.
    public init(from before: ForwardingTable, to after: ForwardingTable) {
        // Interfaces are known by their places.
        guard before.interfaces.count <= after.interfaces.count,
            zip(before.interfaces, after.interfaces).allSatisfy({ $0.name == $1.name || $0.isVacant })
        else { return }
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

    /// Follows packets, and removes entries of loops until there is no loop.
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
    /// This table with the lingering entries of the table before. They come after its own entries, with all that they
    /// refer to.
    ///
    /// - Parameters:
    ///   - before: The table before, with the present state of its groups. Groups that this table does not have come
    ///     after its own.
    public func with(_ lingering: LingeringEntries, from before: ForwardingTable) -> ForwardingTable {
        guard !lingering.entries.isEmpty else { return self }
        var table = self
        let known = Set(sources.map { LingeringEntries.Leg($0.interface, $0.mac) })
        table.sources += before.sources.filter { !known.contains(LingeringEntries.Leg($0.interface, $0.mac)) }
        table.addNeighbours(of: before)
        table.addAliases(of: before)
        table.addAccessNodes(of: before)
        var places: [Int: Int] = [:]
        for entry in lingering.entries {
            var entry = entry
            entry.hops = entry.hops.map { hop in
                hop.renumbered { table.place(ofGroup: $0, of: before, &places, own: groups.count) }
            }
            table.entries.append(entry)
        }
        // Free places, until they get the groups of the table before.
        var next = (entries.map(\.counter).max() ?? -1) + 1
        for index in entries.count..<table.entries.count {
            table.entries[index].counter = next
            next += 1
        }
        return table
    }

    /// This table after the removal of nodes that only `before` has. Packets that still come from them are dropped with
    /// a reason of their own, and not as those of a stranger.
    public func with(leaversOf before: ForwardingTable) -> ForwardingTable {
        var table = self
        let known = Set(sources.map { LingeringEntries.Leg($0.interface, $0.mac) })
        for var source in before.sources where !known.contains(LingeringEntries.Leg(source.interface, source.mac)) {
            guard !source.isRemoved, table.interfaces.indices.contains(source.interface),
                table.interfaces[source.interface].name == before.interfaces[source.interface].name,
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

    /// Frames that pass a transparent application carry the engine's address on its other side.
    private mutating func addAliases(of before: ForwardingTable) {
        for index in interfaces.indices
        where before.interfaces.indices.contains(index) && before.interfaces[index].name == interfaces[index].name {
            let own = interfaces[index].aliases
            interfaces[index].aliases += before.interfaces[index].aliases.filter { !own.contains($0) }
        }
    }

    /// The index of the group that corresponds to a group of `before`: the own group with the same members, else a
    /// copy.
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
    /// The same hop with other group indices.
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
