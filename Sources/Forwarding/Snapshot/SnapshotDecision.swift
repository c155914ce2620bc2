import Wire

/// Counts the buckets, slots and records that a lookup reads, or does nothing.
@usableFromInline
protocol ProbeMeter {
    mutating func probe()
}

/// Costs nothing. Forwarding uses this one.
@usableFromInline
struct NoMeter: ProbeMeter {
    #if THREAD_SANITIZER
        /// The sanitizer looks at the address of each inout argument, and a value without size has none.
        @usableFromInline var octet: UInt8 = 0
    #endif
    @inlinable init() {}
    @inlinable @inline(__always) mutating func probe() {}
}

/// Counts every bucket, slot and record that a lookup reads.
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
    ///   - flow: The packet's own flow. For an ICMP error, the reverse of the flow that it quotes. If `hasPorts` is
    ///     false (fragments, short quotes, protocols without ports), addresses and protocol decide.
    ///   - sourceMAC: The frame's Ethernet source.
    ///   - receivedInterface: The index of the interface that the frame came in on.
    @inlinable
    public func decide(_ flow: FlowFields, sourceMAC: MACAddress, receivedInterface: Int) -> Decision {
        decide(flow, from: sender(of: sourceMAC, on: receivedInterface), receivedInterface: receivedInterface)
    }

    /// What the table says about a packet whose sender is known already.
    @inlinable
    public func decide(_ flow: FlowFields, from sender: Sender, receivedInterface: Int) -> Decision {
        var meter = NoMeter()
        return decide(flow, from: sender, receivedInterface: receivedInterface, meter: &meter)
    }

    /// The number of buckets, slots and records that `decide` reads for a packet, which is about the number of cache
    /// lines. It is the cost of a lookup on any machine.
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
        // Both addresses of a flow are of one family.
        let source = longestPrefix(.source4, .source6, flow.source, meter: &meter)
        let destination = longestPrefix(.destination4, .destination6, flow.destination, meter: &meter)
        return decide(flow, source, destination, from: sender, receivedInterface: receivedInterface, meter: &meter)
    }

    /// What the table says about a packet if the longest prefixes of its addresses are known.
    @inlinable @inline(__always)
    func decide<Meter: ProbeMeter>(
        _ flow: FlowFields, _ source: UInt32, _ destination: UInt32, from sender: Sender, receivedInterface: Int,
        meter: inout Meter
    ) -> Decision {
        if sender.isSilenced { return silenced(flow) }
        guard receivedInterface >= 0, receivedInterface < interfaceCount else {
            return .drop(.noService, answer: .none)
        }
        let record = interfaces &+ receivedInterface &* 32
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

    /// Why nothing of what a passive application sends is forwarded. What its kernel says to its neighbours is no response.
    @usableFromInline
    func silenced(_ flow: FlowFields) -> Decision {
        .drop(flow.isHousekeeping ? .housekeeping : .passiveEmission, answer: .none)
    }

    /// Why no entry matches.
    @usableFromInline
    func missed(_ flow: FlowFields, from sender: Sender, receivedInterface: Int) -> Decision {
        if flow.destination.isMulticast || flow.destination.isLimitedBroadcast {
            return .drop(flow.isHousekeeping ? .housekeeping : .multicastNotServed, answer: .none)
        }
        if sender.isRemoved { return .drop(.removedNode, answer: .none) }
        let mayBeAnswered = sender.mayBeAnswered
        if let system = sender.system, system != .customer {
            return .drop(.noSequencingEntry, answer: mayBeAnswered ? .networkUnreachable : .none)
        }
        switch claim(of: flow.destination, on: receivedInterface) {
        case .host, .prefix: return .drop(.portNotServed, answer: .portUnreachable)
        case .everything, .none: return .drop(.noService, answer: .networkUnreachable)
        }
    }

    /// The sender of a frame from `mac` on `interface`.
    @inlinable
    public func sender(of mac: MACAddress, on interface: Int) -> Sender {
        var meter = NoMeter()
        return sender(of: mac, on: interface, meter: &meter)
    }

    @inlinable
    func sender<Meter: ProbeMeter>(of mac: MACAddress, on interface: Int, meter: inout Meter) -> Sender {
        let slot = macSlot(interface: interface, bits: mac.bits, meter: &meter)
        guard slot >= 0 else { return namesAll(interface) ? .stranger : .unknown }
        let scopes = word(slot &+ 8)
        let flags = word(slot &+ 16)
        return Sender(
            system: flags & Layout.flagKnown == 0
                ? nil : DestinationSystemType(rawValue: UInt8(truncatingIfNeeded: flags >> 8)),
            mayEmit: flags & Layout.flagMayEmit != 0, isRemoved: flags & Layout.flagRemoved != 0,
            sequencing: Self.lowHalf(scopes),
            distribution: Self.highHalf(scopes),
            origins: flags & Layout.flagBound == 0 ? Layout.anySource : flags >> 16 & 0xFF_FFFF | (flags >> 40) << 32)
    }

    /// True if the table names every node of an interface.
    @inlinable
    func namesAll(_ interface: Int) -> Bool {
        interface >= 0 && interface < interfaceCount
            && word(interfaces &+ interface &* 32 &+ 8) & Layout.interfaceIsNamed != 0
    }

    /// True if a sender may send from an address: it may send from any, or the address lies in one of its prefixes.
    @inlinable
    public func maySend(_ sender: Sender, from address: IPAddress) -> Bool {
        if sender.origins == Layout.anySource { return true }
        if sender.origins == Layout.noSource { return false }
        // The last prefix that begins at the address or before it.
        var first = Int(Self.lowHalf(sender.origins))
        var end = first &+ Int(Self.highHalf(sender.origins))
        while first < end {
            let middle = first &+ (end &- first) / 2
            let origin = origin(middle)
            let isFour = address.family == .ipv4
            if origin.address.family != address.family ? !isFour : origin.address <= address {
                if origin.address.family == address.family, address.masked(to: origin.length) == origin.address {
                    return true
                }
                first = middle &+ 1
            } else {
                end = middle
            }
        }
        return false
    }

    @inlinable @inline(__always)
    func origin(_ index: Int) -> (address: IPAddress, length: Int) {
        let record = origins &+ index &* 24
        let tail = word(record &+ 16)
        return (
            IPAddress(family: tail & 0xFF == 4 ? .ipv4 : .ipv6, high: word(record), low: word(record &+ 8)),
            Int(tail >> 8 & 0xFF)
        )
    }

    /// The place of a node that the table names by its MAC address on an interface. Each such node has its own number,
    /// less than the number of places. nil for other nodes.
    public func senderPlace(of mac: MACAddress, on interface: Int) -> Int? {
        var meter = NoMeter()
        let slot = macSlot(interface: interface, bits: mac.bits, meter: &meter)
        return slot < 0 ? nil : (slot &- macs) / 24
    }

    /// The offset of the slot for a MAC address on an interface, or -1.
    @inlinable
    func macSlot<Meter: ProbeMeter>(interface: Int, bits: UInt64, meter: inout Meter) -> Int {
        let key = Layout.macKey(interface: interface, bits: bits)
        let end = macs &+ Int(truncatingIfNeeded: macCount) &* 24
        var slot = macs &+ Layout.place(Layout.spread(key), of: macCount) &* 24
        while true {
            meter.probe()
            let found = word(slot)
            if found == key { return slot }
            if found == Layout.emptyMAC { return -1 }
            slot = slot &+ 24
            if slot == end { slot = macs }
        }
    }
}
