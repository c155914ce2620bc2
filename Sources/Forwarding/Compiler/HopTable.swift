import Wire

/// The words of the entries and of their targets under construction.
///
/// An entry's hops stand beside each other; what they choose between stands behind them, so that reading onward ends. The
/// targets of a group's members are the same for most entries, and stand once.
struct HopTable {
    private(set) var targets: [UInt64] = []
    private let table: ForwardingTable
    private var known: [[SendTarget]: Int] = [:]

    init(_ table: ForwardingTable) {
        self.table = table
        targets.reserveCapacity(table.entries.count * 4)
    }

    /// The words of all entries; fills `targets`.
    mutating func entries() -> [UInt64] {
        var entries: [UInt64] = []
        entries.reserveCapacity(table.entries.count * 4)
        for entry in table.entries {
            let direction: UInt32 = entry.direction == .request ? 0 : 1
            let kind: UInt32 = entry.kind == .sequencing ? 0 : 2
            let family = UInt32(entry.rewriteSource?.family.rawValue ?? 0) << 8
            entries.append(add(entry.hops))
            entries.append(UInt64(low: UInt32(entry.counter), high: direction | kind | family))
            entries.append(entry.rewriteSource?.high ?? 0)
            entries.append(entry.rewriteSource?.low ?? 0)
        }
        return entries
    }

    /// Adds hops beside each other, then what they choose between.
    ///
    /// - Returns: The first one's index, and their number in the high half.
    private mutating func add(_ hops: [Hop]) -> UInt64 {
        let first = targets.count / 4
        for hop in hops {
            if case .target(let target) = hop { addTarget(target) } else { targets += [0, 0, 0, 0] }
        }
        for (place, hop) in hops.enumerated() {
            let word = (first + place) * 4
            switch hop {
            case .target: continue
            case .instance(let group, let members, let otherwise):
                targets[word + 1] = UInt64(low: add(alternatives: members), high: members.count)
                var answer = Layout.answerHops
                switch otherwise {
                case .drop(let told): answer = told.rawValue
                case .hops(let hops): targets[word + 2] = add(hops)
                }
                targets[word] = UInt64(
                    low: UInt32(group), high: UInt32(Layout.kindInstance) | UInt32(answer) << 8)
            case .whether(let group, let up, let down):
                targets[word] = UInt64(low: UInt32(group), high: UInt32(Layout.kindWhether))
                targets[word + 1] = add(up)
                targets[word + 2] = add(down)
            }
        }
        return UInt64(low: first, high: hops.count)
    }

    private mutating func add(alternatives: [SendTarget]) -> Int {
        if let first = known[alternatives] { return first }
        let first = targets.count / 4
        known[alternatives] = first
        for target in alternatives { addTarget(target) }
        return first
    }

    private mutating func addTarget(_ target: SendTarget) {
        var (shape, network, mac) = (Layout.kindMAC, IPAddress?.none, UInt64(0))
        switch target.address {
        case .mac(let address): mac = address.bits
        case .network(let address): (shape, network) = (Layout.kindNetwork, address)
        case .neighbour(let via): (shape, network) = (Layout.kindNeighbour, via)
        }
        let head =
            UInt32(shape) | UInt32(target.system.rawValue) << 8 | UInt32(network?.family.rawValue ?? 0) << 16
        targets.append(UInt64(low: UInt32(target.interface), high: head))
        targets.append((target.sourceMAC ?? table.interfaces[target.interface].mac).bits)
        targets.append(network?.high ?? 0)
        targets.append(network?.low ?? mac)
    }
}
