import Wire

extension Snapshot {
    /// Visits the groups of a scope that packets between two addresses may match, in the order of `match`, until
    /// `goesOn` returns false. It looks at each pair of prefixes, so it is too slow for every packet.
    ///
    /// - Parameters:
    ///   - longestSource: The longest prefix of the source.
    ///   - longestDestination: The longest prefix of the destination.
    ///   - goesOn: Gets the offset of a group's two words.
    @inline(__always)
    func visitGroups(
        _ scope: UInt32, _ longestSource: UInt32, _ longestDestination: UInt32, _ goesOn: (Int) -> Bool
    ) {
        if scope == 0 { return }
        var meter = NoMeter()
        let record = scopes &+ Int(scope) &* 32
        var source = longestSource
        while true {
            let sourceRecord = sourcePrefixes &+ Int(source) &* 32
            var destination = longestDestination
            while true {
                let destinationRecord = destinationPrefixes &+ Int(destination) &* 32
                var group = -1
                if source | destination == 0 {
                    group = record &+ 16
                } else if word(destinationRecord &+ 8) == UInt64(low: scope, high: source) {
                    group = destinationRecord &+ 16
                } else if word(sourceRecord &+ 8) == UInt64(low: scope, high: destination) {
                    group = sourceRecord &+ 16
                } else {
                    group = groupSlot(scope, source, destination, meter: &meter)
                }
                if group >= 0, !goesOn(group) { return }
                if destination == 0 { break }
                destination = Self.lowHalf(word(destinationRecord))
            }
            if source == 0 { return }
            source = Self.lowHalf(word(sourceRecord))
        }
    }

    /// The scope of one of the four steps of a decision on an interface.
    func scope(_ step: Int, of sender: Sender, on interface: Int) -> UInt32 {
        let record = interfaces &+ interface &* 32
        return switch step {
        case 0: sender.sequencing
        case 1: Self.highHalf(word(record &+ 16))
        case 2: sender.distribution
        default: Self.lowHalf(word(record &+ 24))
        }
    }

    /// True if the engine answers for `target` to a node that asks for it on `interface`, although nobody claims it
    /// there. An entry by hand takes the packets that the node would send to it, so no other station of the link needs
    /// the question (proxy ARP, RFC 1027).
    ///
    /// - Parameters:
    ///   - asker: The address that the node asks with. It is neither `target` nor an unspecified one.
    ///   - sender: The node that asks.
    public func answersForEntries(
        _ target: IPAddress, to asker: IPAddress, _ sender: Sender, on interface: Int
    ) -> Bool {
        guard interface >= 0, interface < interfaceCount, !sender.isSilenced, asker.family == target.family,
            !target.isMulticast, !target.isLimitedBroadcast, !target.isLoopback, !target.isUnspecified
        else { return false }
        var meter = NoMeter()
        let source = longestPrefix(.source4, .source6, asker, meter: &meter)
        let destination = longestPrefix(.destination4, .destination6, target, meter: &meter)
        var answers = false
        for step in 0..<4 where !answers {
            visitGroups(scope(step, of: sender, on: interface), source, destination) { group in
                answers = hasEntryByHand(group)
                return !answers
            }
        }
        return answers
    }

    private func hasEntryByHand(_ group: Int) -> Bool {
        func isByHand(_ entry: UInt32) -> Bool {
            entry != Layout.none && word(entries &+ Int(entry) &* 16 &+ 8) & Layout.entryIsByHand != 0
        }
        let head = word(group)
        if head & Layout.groupIsOne != 0 { return isByHand(Self.lowHalf(word(group &+ 8))) }
        guard head & Layout.groupIsMany != 0 else { return false }
        let record = groups &+ Int(Self.lowHalf(word(group &+ 8))) &* 32
        let range = word(record &+ 16)
        for index in 0..<Int(Self.highHalf(range)) {
            let fragment = fragments &+ (Int(Self.lowHalf(range)) &+ index) &* 8
            if isByHand(Self.highHalf(word(fragment))) { return true }
        }
        return isByHand(Self.lowHalf(word(record &+ 24)))
    }
}
