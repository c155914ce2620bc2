import Wire

/// What the table says about a fragment. Only the first fragment of a datagram has ports.
public enum FragmentDecision: Sendable, Hashable {
    /// The ports make no difference. The decision is the same for all fragments of the datagram.
    case alike(Decision)
    /// The ports decide: entries for its addresses lead to different places.
    case byPorts
}

extension Snapshot {
    /// How the search goes on through the groups of entries that a fragment may match.
    private enum Course {
        /// A datagram with other ports may match a less specific entry.
        case on
        /// The datagram has found its entry, whatever its ports are.
        case covered
        /// Ports make a difference.
        case byPorts
    }

    /// What the table says about a fragment, from its addresses and protocol.
    ///
    /// - Parameters:
    ///   - flow: A flow without ports, of a protocol that has them.
    public func decideFragment(
        _ flow: FlowFields, from sender: Sender, receivedInterface: Int
    ) -> FragmentDecision {
        var meter = NoMeter()
        let source = longestPrefix(.source4, .source6, flow.source, meter: &meter)
        let destination = longestPrefix(.destination4, .destination6, flow.destination, meter: &meter)
        let decision = decide(
            flow, source, destination, from: sender, receivedInterface: receivedInterface, meter: &meter)
        guard case .forward(let entry) = decision else { return .alike(decision) }
        for step in 0..<4 {
            let scope = scope(step, of: sender, on: receivedInterface)
            switch compare(scope, source, destination, flow, with: UInt32(entry)) {
            case .on: continue
            case .covered: return .alike(decision)
            case .byPorts: return .byPorts
            }
        }
        return .alike(decision)
    }

    /// Goes through the groups of a scope as `match` does, and compares their decisions.
    private func compare(
        _ scope: UInt32, _ source: UInt32, _ destination: UInt32, _ flow: FlowFields, with entry: UInt32
    ) -> Course {
        var course = Course.on
        visitGroups(scope, source, destination) { group in
            course = compare(group, flow, with: entry)
            return course == .on
        }
        return course
    }

    /// Compares the decisions of one group.
    private func compare(_ group: Int, _ flow: FlowFields, with entry: UInt32) -> Course {
        let head = word(group)
        let number = UInt64(flow.protocolNumber)
        if head & Layout.groupIsOne != 0 {
            let (first, last) = (head & 0xFF_FFFF, head >> 24 & 0xFF_FFFF)
            guard number >= first >> 16, number <= last >> 16 else { return .on }
            guard sendsAlike(Self.lowHalf(word(group &+ 8)), entry) else { return .byPorts }
            return first <= number << 16 && last >= number << 16 | 0xFFFF ? .covered : .on
        }
        if head & Layout.groupIsMany == 0 { return .on }
        let record = groups &+ Int(Self.lowHalf(word(group &+ 8))) &* 32
        let range = word(record &+ 16)
        var low = Int(Self.lowHalf(range))
        var high = low &+ Int(Self.highHalf(range))
        while low < high {
            let middle = (low &+ high) >> 1
            let fragment = word(fragments &+ middle &* 8)
            let found = UInt64(Self.lowHalf(fragment)) >> 8
            if found == number {
                guard fragment & Layout.fragmentDiffers == 0, sendsAlike(Self.highHalf(fragment), entry) else {
                    return .byPorts
                }
                return fragment & Layout.fragmentIsCovered != 0 ? .covered : .on
            }
            if found < number { low = middle &+ 1 } else { high = middle }
        }
        let other = Self.lowHalf(word(record &+ 24))
        if other == Layout.none { return .on }
        return sendsAlike(other, entry) ? .covered : .byPorts
    }

    /// True if two entries send packets to the same places, with the same rewrites.
    private func sendsAlike(_ left: UInt32, _ right: UInt32) -> Bool {
        if left == right { return true }
        let (a, b) = (entry(Int(left)), entry(Int(right)))
        return a.rewriteSource == b.rewriteSource && a.outerShift == b.outerShift && leadsAlike(a.targets, b.targets)
    }

    /// True if hops are the same. A compiled table stores equal ones once; a patch may bring some that are there already.
    private func leadsAlike(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
        if left == right { return true }
        guard left.count == right.count else { return false }
        for place in 0..<left.count {
            let (a, b) = (left.lowerBound &+ place, right.lowerBound &+ place)
            if a != b, !isAlike(targets &+ a &* 32, targets &+ b &* 32) { return false }
        }
        return true
    }

    /// True if two records of hops say the same. They refer to hops behind them.
    private func isAlike(_ left: Int, _ right: Int) -> Bool {
        let head = word(left)
        guard head == word(right) else { return false }
        if UInt8(truncatingIfNeeded: head >> 32) < Layout.kindInstance {
            return word(left &+ 8) == word(right &+ 8) && word(left &+ 16) == word(right &+ 16)
                && word(left &+ 24) == word(right &+ 24)
        }
        return leadsAlike(hops(left &+ 8), hops(right &+ 8)) && leadsAlike(hops(left &+ 16), hops(right &+ 16))
    }

    /// The hops that a word names.
    private func hops(_ place: Int) -> Range<Int> {
        let first = Int(Self.lowHalf(word(place)))
        return Range(uncheckedBounds: (first, first &+ Int(Self.highHalf(word(place)))))
    }
}
