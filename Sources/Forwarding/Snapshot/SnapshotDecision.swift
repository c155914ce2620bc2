import Wire

/// Counts the slots that a lookup looks at, or does nothing.
@usableFromInline
protocol ProbeMeter {
    mutating func probe()
}

/// Costs nothing: what forwarding uses.
@usableFromInline
struct NoMeter: ProbeMeter {
    @inlinable init() {}
    @inlinable @inline(__always) mutating func probe() {}
}

/// Counts every slot and record that a lookup reads.
@usableFromInline
struct CountingMeter: ProbeMeter {
    @usableFromInline var probes = 0
    @inlinable init() {}
    @inlinable mutating func probe() { probes += 1 }
}

extension Snapshot {
    /// What the table says about a packet.
    ///
    /// - Parameters:
    ///   - flow: The packet's own flow, or the reverse of the one that it quotes where it is an ICMP error. Where
    ///     `hasPorts` is false (fragments, quotes cut short, protocols without ports) addresses and protocol decide.
    ///   - sourceMAC: The frame's Ethernet source.
    ///   - receivedInterface: The index of the interface that the frame came in on.
    @inlinable
    public func decide(_ flow: FlowFields, sourceMAC: MACAddress, receivedInterface: Int) -> Decision {
        decide(flow, from: sender(of: sourceMAC, on: receivedInterface), receivedInterface: receivedInterface)
    }

    /// What the table says about a packet whose sender was looked up before.
    @inlinable
    public func decide(_ flow: FlowFields, from sender: Sender, receivedInterface: Int) -> Decision {
        var meter = NoMeter()
        return decide(flow, from: sender, receivedInterface: receivedInterface, meter: &meter)
    }

    /// The number of slots and records that `decide` reads for a packet: what a lookup costs, whatever the machine.
    public func probes(for flow: FlowFields, sourceMAC: MACAddress, receivedInterface: Int) -> Int {
        var meter = CountingMeter()
        let sender = sender(of: sourceMAC, on: receivedInterface, meter: &meter)
        _ = decide(flow, from: sender, receivedInterface: receivedInterface, meter: &meter)
        return meter.probes
    }

    @inlinable
    func decide<Meter: ProbeMeter>(
        _ flow: FlowFields, from sender: Sender, receivedInterface: Int, meter: inout Meter
    ) -> Decision {
        if sender.isSilenced { return .drop(.passiveEmission, answer: .none) }
        guard receivedInterface >= 0, receivedInterface < interfaceCount else {
            return .drop(.noService, answer: .none)
        }
        let record = interfaces &+ receivedInterface &* 32
        let six = flow.source.family == .ipv6
        let source = longestPrefix(six ? .source6 : .source4, flow.source, meter: &meter)
        let destination = longestPrefix(six ? .destination6 : .destination4, flow.destination, meter: &meter)

        var found = match(sender.sequencing, source, destination, flow, meter: &meter)
        if found == Layout.none {
            found = match(Self.highHalf(word(record &+ 16)), source, destination, flow, meter: &meter)
        }
        if found == Layout.none {
            found = match(sender.distribution, source, destination, flow, meter: &meter)
        }
        if found == Layout.none {
            found = match(Self.lowHalf(word(record &+ 24)), source, destination, flow, meter: &meter)
        }
        if found != Layout.none { return .forward(entry: Int(found)) }
        return missed(flow, from: sender, receivedInterface: receivedInterface)
    }

    /// Why no entry matches.
    @usableFromInline
    func missed(_ flow: FlowFields, from sender: Sender, receivedInterface: Int) -> Decision {
        if flow.destination.isMulticast || flow.destination.isLimitedBroadcast {
            return .drop(.multicastNotServed, answer: .none)
        }
        let mayBeAnswered = sender.mayBeAnswered
        if let system = sender.system, system != .customer {
            return .drop(.noSequencingEntry, answer: mayBeAnswered ? .networkUnreachable : .none)
        }
        switch claim(of: flow.destination, on: receivedInterface) {
        case .host, .prefix: return .drop(.portNotServed, answer: .portUnreachable)
        case .everything, .none: return .drop(.noService, answer: .networkUnreachable)
        }
    }

    /// Who a frame from `mac` on `interface` comes from.
    @inlinable
    public func sender(of mac: MACAddress, on interface: Int) -> Sender {
        var meter = NoMeter()
        return sender(of: mac, on: interface, meter: &meter)
    }

    @inlinable
    func sender<Meter: ProbeMeter>(of mac: MACAddress, on interface: Int, meter: inout Meter) -> Sender {
        let slot = macSlot(interface: interface, bits: mac.bits, meter: &meter)
        guard slot >= 0 else { return Sender(system: nil, mayEmit: false, sequencing: 0, distribution: 0) }
        let scopes = word(slot &+ 8)
        let flags = word(slot &+ 16)
        return Sender(
            system: flags & Layout.flagKnown == 0
                ? nil : DestinationSystemType(rawValue: UInt8(truncatingIfNeeded: flags >> 8)),
            mayEmit: flags & Layout.flagMayEmit != 0,
            sequencing: Self.lowHalf(scopes),
            distribution: Self.highHalf(scopes))
    }

    /// The offset of the slot for a MAC address on an interface, or -1.
    @inlinable
    func macSlot<Meter: ProbeMeter>(interface: Int, bits: UInt64, meter: inout Meter) -> Int {
        let key = Layout.macKey(interface: interface, bits: bits)
        var index = Layout.mix(key) & macMask
        while true {
            meter.probe()
            let slot = macs &+ Int(truncatingIfNeeded: index) &* 24
            let found = word(slot)
            if found == Layout.emptyMAC { return -1 }
            if found == key { return slot }
            index = (index &+ 1) & macMask
        }
    }

    /// The identifier of the longest prefix in an index that `address` lies in; 0 for none.
    ///
    /// Binary search on the populated lengths (Waldvogel and others, "Scalable High Speed IP Routing Lookups", 1997):
    /// a slot at a length says that prefixes of that length or longer may match, and which one matches so far.
    @inlinable
    func longestPrefix<Meter: ProbeMeter>(
        _ kind: PrefixIndexKind, _ address: IPAddress, meter: inout Meter
    ) -> UInt32 {
        let record = prefixIndexes &+ kind.rawValue &* 160
        let start = word(record)
        let mask = word(record &+ 8)
        let head = word(record &+ 16)
        var low = 0
        var high = Int(Self.lowHalf(head))
        var best = Self.highHalf(head)
        while low < high {
            let middle = (low &+ high) >> 1
            let length = bytes.load(fromByteOffset: record &+ Layout.lengthsOffset &+ middle, as: UInt8.self)
            let prefix = address.masked(to: Int(length))
            var index = Layout.hash(high: prefix.high, low: prefix.low, tag: UInt64(length)) & mask
            var hit = false
            while true {
                meter.probe()
                let slot = prefixSlots &+ Int(truncatingIfNeeded: start &+ index) &* 24
                let tail = word(slot &+ 16)
                let slotLength = Self.lowHalf(tail)
                if slotLength == Layout.emptyLength { break }
                if slotLength == UInt32(length), word(slot &+ 8) == prefix.low, word(slot) == prefix.high {
                    best = Self.highHalf(tail)
                    hit = true
                    break
                }
                index = (index &+ 1) & mask
            }
            if hit { low = middle &+ 1 } else { high = middle }
        }
        return best
    }

    /// The entry of one scope that matches, most specific source before most specific destination before port.
    @inlinable
    func match<Meter: ProbeMeter>(
        _ scope: UInt32, _ longestSource: UInt32, _ longestDestination: UInt32, _ flow: FlowFields,
        meter: inout Meter
    ) -> UInt32 {
        if scope == 0 { return Layout.none }
        let masks = scopes &+ Int(scope) &* 96 &+ (flow.source.family == .ipv6 ? 48 : 0)
        var source = longestSource
        while true {
            let sourceRecord = word(sourcePrefixes &+ Int(source) &* 8)
            if hasLength(masks, Self.highHalf(sourceRecord)) {
                var destination = longestDestination
                while true {
                    let destinationRecord = word(destinationPrefixes &+ Int(destination) &* 8)
                    if hasLength(masks &+ 24, Self.highHalf(destinationRecord)) {
                        let found = probeGroup(scope, source, destination, flow, meter: &meter)
                        if found != Layout.none { return found }
                    }
                    if destination == 0 { break }
                    destination = Self.lowHalf(destinationRecord)
                }
            }
            if source == 0 { return Layout.none }
            source = Self.lowHalf(sourceRecord)
        }
    }

    @inlinable @inline(__always)
    func hasLength(_ mask: Int, _ length: UInt32) -> Bool {
        word(mask &+ Int(length >> 6) &* 8) >> UInt64(length & 63) & 1 != 0
    }

    @inlinable
    func probeGroup<Meter: ProbeMeter>(
        _ scope: UInt32, _ source: UInt32, _ destination: UInt32, _ flow: FlowFields, meter: inout Meter
    ) -> UInt32 {
        let key = UInt64(scope) | UInt64(source) << 32
        var index = Layout.groupHash(scope: scope, source: source, destination: destination) & groupMask
        while true {
            meter.probe()
            let slot = groupSlots &+ Int(truncatingIfNeeded: index) &* 16
            let found = word(slot)
            if found == 0 { return Layout.none }
            if found == key {
                let tail = word(slot &+ 8)
                if Self.lowHalf(tail) == destination {
                    return resolve(Int(Self.highHalf(tail)), flow, meter: &meter)
                }
            }
            index = (index &+ 1) & groupMask
        }
    }

    /// The entry of one group that matches the service port.
    @inlinable
    func resolve<Meter: ProbeMeter>(_ group: Int, _ flow: FlowFields, meter: inout Meter) -> UInt32 {
        let record = groups &+ group &* 32
        if flow.hasPorts {
            let upper = UInt32(flow.protocolNumber) << 16
            let request = interval(word(record), upper | UInt32(flow.destinationPort), meter: &meter)
            let response = interval(word(record &+ 8), upper | UInt32(flow.sourcePort), meter: &meter)
            // The rank is in the upper half: the narrower of the two is the lesser, and no match is the greatest.
            return Self.lowHalf(min(request, response))
        }
        let range = word(record &+ 16)
        var low = Int(Self.lowHalf(range))
        var high = low &+ Int(Self.highHalf(range))
        while low < high {
            meter.probe()
            let middle = (low &+ high) >> 1
            let fragment = word(fragments &+ middle &* 8)
            let number = Self.lowHalf(fragment)
            if number == UInt32(flow.protocolNumber) { return Self.highHalf(fragment) }
            if number < UInt32(flow.protocolNumber) { low = middle &+ 1 } else { high = middle }
        }
        return Self.lowHalf(word(record &+ 24))
    }

    /// entry | rank<<32 of the interval that `key` lies in; all ones for none.
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
