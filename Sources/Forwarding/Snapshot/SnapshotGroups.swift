import Wire

extension Snapshot {
    /// The matching entry of one scope: the most specific source counts first, then the most specific destination, then
    /// the port.
    @inlinable
    func match<Meter: ProbeMeter>(
        _ scope: UInt32, _ longestSource: UInt32, _ longestDestination: UInt32, _ flow: FlowFields,
        meter: inout Meter
    ) -> UInt32 {
        if scope == 0 { return Layout.none }
        let record = scopes &+ Int(scope) &* 32
        let head = word(record)
        let lengths = masks &+ Int(Self.lowHalf(head)) &* 96 &+ (flow.source.family == .ipv6 ? 48 : 0)
        meter.probe()
        var source = longestSource
        while true {
            let sourceRecord = sourcePrefixes &+ Int(source) &* 32
            let sourceHead = word(sourceRecord)
            if hasLength(lengths, sourceHead) {
                var destination = longestDestination
                while true {
                    let destinationRecord = destinationPrefixes &+ Int(destination) &* 32
                    let destinationHead = word(destinationRecord)
                    meter.probe()
                    if hasLength(lengths &+ 24, destinationHead) {
                        // The place of the group that both prefixes make in this scope, if there is one.
                        var group = -1
                        if source | destination == 0 {
                            group = record &+ 16
                        } else if word(destinationRecord &+ 8) == UInt64(low: scope, high: source) {
                            group = destinationRecord &+ 16
                        } else if word(sourceRecord &+ 8) == UInt64(low: scope, high: destination) {
                            group = sourceRecord &+ 16
                        } else if head & sourceHead & destinationHead & Layout.hasSlots != 0 {
                            group = groupSlot(scope, source, destination, meter: &meter)
                        }
                        if group >= 0 {
                            let found = resolve(group, flow, meter: &meter)
                            if found != Layout.none { return found }
                        }
                    }
                    if destination == 0 { break }
                    destination = Self.lowHalf(destinationHead)
                }
            }
            if source == 0 { return Layout.none }
            source = Self.lowHalf(sourceHead)
        }
    }

    /// True if a mask has the length in the first word of a prefix's record.
    @inlinable @inline(__always)
    func hasLength(_ mask: Int, _ head: UInt64) -> Bool {
        let length = head >> 32 & 0xFF
        return word(mask &+ Int(truncatingIfNeeded: length >> 6) &* 8) &>> length & 1 != 0
    }

    /// The offset of a group in the hash table of groups, or -1.
    @inlinable
    func groupSlot<Meter: ProbeMeter>(
        _ scope: UInt32, _ source: UInt32, _ destination: UInt32, meter: inout Meter
    ) -> Int {
        let key = UInt64(low: scope, high: source)
        let end = groupSlots &+ Int(truncatingIfNeeded: groupSlotCount) &* 32
        let hash = Layout.groupHash(scope: scope, source: source, destination: destination)
        var slot = groupSlots &+ Layout.place(hash, of: groupSlotCount) &* 32
        while true {
            meter.probe()
            let found = word(slot)
            if found == key, word(slot &+ 8) == UInt64(destination) { return slot &+ 16 }
            if found == 0 { return -1 }
            slot = slot &+ 32
            if slot == end { slot = groupSlots }
        }
    }

    /// The entry of the group at an offset that matches the service port.
    @inlinable
    func resolve<Meter: ProbeMeter>(_ group: Int, _ flow: FlowFields, meter: inout Meter) -> UInt32 {
        let head = word(group)
        let protocolNumber = UInt64(flow.protocolNumber)
        if head & Layout.groupIsOne != 0 {
            let first = head & 0xFF_FFFF
            let last = head >> 24 & 0xFF_FFFF
            let isMatch: Bool
            if flow.hasPorts {
                let port = head & Layout.groupIsResponse == 0 ? flow.destinationPort : flow.sourcePort
                isMatch = (protocolNumber << 16 | UInt64(port)) &- first <= last &- first
            } else {
                // Packets without ports match by their protocol, whatever the entry's ports are.
                isMatch = protocolNumber &- first >> 16 <= last >> 16 &- first >> 16
            }
            return isMatch ? Self.lowHalf(word(group &+ 8)) : Layout.none
        }
        if head & Layout.groupIsMany == 0 { return Layout.none }
        return resolveMany(Int(Self.lowHalf(word(group &+ 8))), flow, meter: &meter)
    }

    /// The entry of a group of several that matches the service port.
    @inlinable
    func resolveMany<Meter: ProbeMeter>(_ group: Int, _ flow: FlowFields, meter: inout Meter) -> UInt32 {
        let record = groups &+ group &* 32
        meter.probe()
        if flow.hasPorts {
            let upper = UInt32(flow.protocolNumber) << 16
            let request = interval(word(record), upper | UInt32(flow.destinationPort), meter: &meter)
            let response = interval(word(record &+ 8), upper | UInt32(flow.sourcePort), meter: &meter)
            // The rank is in the upper half: the narrower of the two is smaller, and no match is the largest.
            return Self.lowHalf(min(request, response))
        }
        let range = word(record &+ 16)
        var low = Int(Self.lowHalf(range))
        var high = low &+ Int(Self.highHalf(range))
        while low < high {
            meter.probe()
            let middle = (low &+ high) >> 1
            let fragment = word(fragments &+ middle &* 8)
            let number = Self.lowHalf(fragment) >> 8
            if number == UInt32(flow.protocolNumber) { return Self.highHalf(fragment) }
            if number < UInt32(flow.protocolNumber) { low = middle &+ 1 } else { high = middle }
        }
        return Self.lowHalf(word(record &+ 24))
    }

    /// entry | rank<<32 of the interval that contains `key`; all ones if there is none.
    @inlinable @inline(__always)
    func interval<Meter: ProbeMeter>(_ range: UInt64, _ key: UInt32, meter: inout Meter) -> UInt64 {
        var low = Int(Self.lowHalf(range))
        var high = low &+ Int(Self.highHalf(range))
        while low < high {
            meter.probe()
            let middle = (low &+ high) >> 1
            let bounds = word(intervals &+ middle &* 16)
            if key < Self.lowHalf(bounds) {
                high = middle
            } else if key > Self.highHalf(bounds) {
                low = middle &+ 1
            } else {
                return word(intervals &+ middle &* 16 &+ 8)
            }
        }
        return .max
    }
}
