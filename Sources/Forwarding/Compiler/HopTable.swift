import Wire

/// The words of the entries and of their targets under construction.
///
/// An entry's hops are next to each other. The hops that they choose between come behind them, so that reading onward
/// always ends. Parts that several entries share are stored once: their hops, and the targets of a group's members.
struct HopTable {
    private(set) var targets = SharedRecords(width: 4)
    /// The IPv6 addresses that sources are rewritten to.
    private(set) var rewrites = SharedRecords(width: 2)
    /// The MAC address of each interface.
    private let interfaces: [MACAddress]
    /// The hops that are stored already.
    private var known: [[Hop]: UInt64] = [:]
    private var marks: AccessMarks
    private var last: (hops: [Hop], range: UInt64)?
    /// The destination of the entry at hand, if one of its targets is judged by access lists for its sake.
    private var destination: IPPrefix?

    /// True if access lists judge what goes to a holder of addresses.
    func judges(_ holder: AddressHolder) -> Bool { marks.judges(holder) }

    /// Takes over who holds which addresses. No hops that are there lead to one of those that differ.
    mutating func judge(by table: ForwardingTable) {
        marks = AccessMarks(table)
        // What was made once may be marked otherwise now.
        known = [:]
        last = nil
    }

    init(_ table: ForwardingTable) {
        interfaces = table.interfaces.map(\.mac)
        marks = AccessMarks(table)
    }

    /// The words of these entries. Adds to `targets` and `rewrites`.
    mutating func words(of entries: [Entry]) -> [UInt64] {
        var words: [UInt64] = []
        words.reserveCapacity(entries.count * 2)
        for index in entries.indices {
            // Entries that were made together often share one list of hops. Comparing the storage finds that without
            // reading the list.
            let range: UInt64
            if marks.depend(on: entries[index].destination, entries[index].hops) {
                destination = entries[index].destination
                range = add(entries[index].hops)
                destination = nil
            } else if let last, last.hops == entries[index].hops {
                range = last.range
            } else {
                range = share(entries[index].hops)
                last = (entries[index].hops, range)
            }
            let direction: UInt64 = entries[index].direction == .request ? 0 : 1
            let kind: UInt64 = entries[index].kind == .sequencing ? 0 : 2
            var tail = UInt64(entries[index].counter) | (direction | kind) << 24
            if entries[index].isByHand || entries[index].isBetween { tail |= Layout.entryIsByHand }
            if let rewrite = entries[index].rewriteSource {
                tail |= UInt64(rewrite.family.rawValue) << 28
                tail |=
                    (rewrite.family == .ipv4 ? rewrite.low : UInt64(rewrites.share([rewrite.high, rewrite.low]))) << 32
            }
            words.append(range | UInt64(entries[index].outerShift.delta) << Layout.entryShiftShift)
            words.append(tail)
        }
        return words
    }

    /// Adds the hops of an entry, or finds the same hops.
    ///
    /// - Returns: The index of the first hop, with the number of hops in the upper half.
    private mutating func share(_ hops: [Hop]) -> UInt64 {
        var run: [UInt64] = []
        run.reserveCapacity(hops.count * 4)
        for hop in hops {
            guard case .target(let target) = hop else {
                if let range = known[hops] { return range }
                let range = add(hops)
                known[hops] = range
                return range
            }
            run += record(of: target)
        }
        return UInt64(low: targets.share(run), high: hops.count)
    }

    /// Adds hops next to each other, then the hops that they choose between. Returns the same as `share(_:)`.
    private mutating func add(_ hops: [Hop]) -> UInt64 {
        let first = targets.count
        for hop in hops {
            if case .target(let target) = hop {
                targets.append(record(of: target))
            } else {
                targets.append([0, 0, 0, 0])
            }
        }
        for (place, hop) in hops.enumerated() {
            let word = (first + place) * 4
            switch hop {
            case .target: continue
            case .instance(let group, let members, let otherwise):
                targets[word + 1] = UInt64(
                    low: targets.share(members.flatMap { record(of: $0) }), high: members.count)
                var answer = Layout.answerHops
                switch otherwise {
                case .drop(let wanted): answer = wanted.rawValue
                case .hops(let hops): targets[word + 2] = add(hops)
                }
                // All members are at one place of the chain.
                let shift = UInt32(members.first?.portShift.delta ?? 0)
                targets[word] = UInt64(
                    low: UInt32(group) | shift << UInt32(Layout.targetShiftShift),
                    high: UInt32(Layout.kindInstance) | UInt32(answer) << 8)
            case .whether(let group, let up, let down):
                targets[word] = UInt64(low: UInt32(group), high: UInt32(Layout.kindWhether))
                targets[word + 1] = add(up)
                targets[word + 2] = add(down)
            }
        }
        return UInt64(low: first, high: hops.count)
    }

    private func record(of target: SendTarget) -> [UInt64] {
        var (shape, network, mac) = (Layout.kindMAC, IPAddress?.none, UInt64(0))
        switch target.address {
        case .mac(let address): mac = address.bits
        case .network(let address): (shape, network) = (Layout.kindNetwork, address)
        case .neighbour(let via): (shape, network) = (Layout.kindNeighbour, via)
        }
        let head =
            UInt32(shape) | UInt32(target.system.rawValue) << 8 | UInt32(network?.family.rawValue ?? 0) << 16
            | (target.whileJoined ? UInt32(truncatingIfNeeded: Layout.targetWhileJoined >> 32) : 0)
        return [
            UInt64(
                low: UInt32(target.interface) | UInt32(target.portShift.delta) << UInt32(Layout.targetShiftShift),
                high: head),
            (target.sourceMAC ?? interfaces[target.interface]).bits
                | marks.mark(target, destination: destination) << Layout.targetAccessShift,
            network?.high ?? 0, network?.low ?? mac,
        ]
    }
}
