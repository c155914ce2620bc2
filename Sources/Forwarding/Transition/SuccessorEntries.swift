import Wire

/// A table's entries, in an order that shows quickly whether any of them shares packets with an entry of another table.
struct SuccessorEntries {
    private struct Scope: Hashable {
        var interface: Int
        /// nil for entries that match any Ethernet source.
        var mac: MACAddress?
    }
    /// The entries of one scope: by their destination, and in the order of the destinations.
    private struct Members {
        var byDestination: [IPPrefix?: [Int]] = [:]
        /// The destinations in use, sorted. Destinations inside a prefix follow one another.
        var sorted: [IPPrefix] = []
        var lengths: Set<Int> = []
    }

    private let entries: [Entry]
    private var scopes: [Scope: Members] = [:]

    init(_ table: ForwardingTable) {
        entries = table.entries
        for (index, entry) in entries.enumerated() {
            let scope = Scope(interface: entry.receivedInterface, mac: entry.sourceMAC)
            scopes[scope, default: Members()].byDestination[entry.destination, default: []].append(index)
        }
        for scope in scopes.keys {
            guard var members = scopes[scope] else { continue }
            members.sorted = members.byDestination.keys.compactMap(\.self).sorted(by: Self.precedes)
            members.lengths = Set(members.sorted.map(\.length))
            scopes[scope] = members
        }
    }

    /// True if some packet from the entry's node matches both the entry and one of these.
    func share(_ entry: Entry) -> Bool {
        for mac in [entry.sourceMAC, nil] {
            guard let members = scopes[Scope(interface: entry.receivedInterface, mac: mac)] else { continue }
            if share(entry, members) { return true }
        }
        return false
    }

    private func share(_ entry: Entry, _ members: Members) -> Bool {
        func anyShares(_ places: [Int]?) -> Bool { (places ?? []).contains { overlap(entry, entries[$0]) } }
        guard let destination = entry.destination else {
            return members.byDestination.values.contains { anyShares($0) }
        }
        if anyShares(members.byDestination[nil]) { return true }
        for length in members.lengths where length < destination.length {
            if anyShares(members.byDestination[IPPrefix(destination.address, length: length)]) { return true }
        }
        var (low, high) = (0, members.sorted.count)
        while low < high {
            let middle = (low + high) / 2
            if Self.precedes(members.sorted[middle], destination) { low = middle + 1 } else { high = middle }
        }
        while low < members.sorted.count, destination.contains(members.sorted[low]) {
            if anyShares(members.byDestination[members.sorted[low]]) { return true }
            low += 1
        }
        return false
    }

    /// By family, then address, then length: a prefix comes before all prefixes inside it.
    private static func precedes(_ left: IPPrefix, _ right: IPPrefix) -> Bool {
        (left.family.rawValue, left.address.high, left.address.low, left.length)
            < (right.family.rawValue, right.address.high, right.address.low, right.length)
    }

    /// True if some packet matches both, whatever its sender is.
    private func overlap(_ left: Entry, _ right: Entry) -> Bool {
        func meet(_ left: IPPrefix?, _ right: IPPrefix?) -> Bool {
            guard let left, let right else { return true }
            return left.overlaps(right)
        }
        guard meet(left.source, right.source), meet(left.destination, right.destination) else { return false }
        let (own, other) = (left.servicePort, right.servicePort)
        if let own = own.protocolNumber, let other = other.protocolNumber, own != other { return false }
        // Two entries for ports of different sides may both match a packet.
        return left.direction != right.direction || own.ports.overlaps(other.ports)
    }
}
