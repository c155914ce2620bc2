import Wire

/// Numbers for packets: each has its own, and keeps it on its whole way.
///
/// A packet begins where the engine reads it from a node that passes nothing on, or from one that was not given such a
/// packet. It goes on where the engine writes it, and where it comes out of the node that it was written to. Packets
/// that look alike are taken in the order in which they came: each place gives each of them once.
struct PacketNumbering {
    private var waiting = WaitingPackets()
    private var next: UInt64 = 1

    /// The numbers of a frame's packets, in their order.
    enum Numbers {
        /// The first; those of the others follow it.
        case following(UInt64)
        /// Each one's own.
        case each([UInt64])

        /// The first packet's.
        var first: UInt64 {
            switch self {
            case .following(let first): first
            case .each(let numbers): numbers[0]
            }
        }

        /// That of the packet at a place.
        subscript(index: Int) -> UInt64 {
            switch self {
            case .following(let first): first + UInt64(index)
            case .each(let numbers): numbers[index]
            }
        }
    }

    /// The engine read a frame from a node.
    ///
    /// - Parameters:
    ///   - packets: What its packets are known again by.
    ///   - node: The node, if it passes packets on.
    ///   - copies: What the engine will write.
    /// - Returns: The packets' numbers, and how long the node had the first if that is known; nil if too little is there.
    mutating func read(
        _ packets: PacketKeys, _ flow: FlowFields, from node: Int?, _ copies: [TracedTable.Copy], at time: UInt64
    ) -> (numbers: Numbers, inside: UInt64?)? {
        guard !packets.keys.isEmpty else { return nil }
        let taken = node.map { waiting.take(packets, at: .node($0), flow.mixed, time) } ?? .each([])
        let (numbers, since) = numbers(of: packets, taken)
        for copy in copies {
            expect(packets, numbers, at: copy.places.map { WaitingPackets.Place($0) }, copy.flow, time)
        }
        return (numbers, since.map { time - min($0, time) })
    }

    /// The engine wrote a frame, or tried to.
    ///
    /// - Parameters:
    ///   - packets: What its packets are known again by.
    ///   - place: The interface and the Ethernet destination.
    ///   - node: The node that got it, if it passes packets on.
    mutating func written(
        _ packets: PacketKeys, _ flow: FlowFields, to place: (interface: Int, mac: MACAddress), _ node: Int?,
        at time: UInt64
    ) -> Numbers? {
        guard !packets.keys.isEmpty else { return nil }
        let taken = waiting.take(
            packets, at: .egress(interface: place.interface, mac: place.mac),
            or: .egress(interface: place.interface, mac: nil), flow.mixed, time)
        let (numbers, _) = numbers(of: packets, taken)
        if let node { expect(packets, numbers, at: [.node(node)], flow, time) }
        return numbers
    }

    /// The numbers of packets, and since when the first was awaited; those that were not get new ones.
    private mutating func numbers(
        of packets: PacketKeys, _ taken: WaitingPackets.Taken
    ) -> (Numbers, since: UInt64?) {
        switch taken {
        case .together(let found): return (.following(found.number), found.time)
        case .each(let found) where found.allSatisfy { $0 == nil }:
            defer { next += UInt64(packets.keys.count) }
            return (.following(next), nil)
        case .each(let found):
            let numbers = found.map { found in
                if let found { return found.number }
                defer { next += 1 }
                return next
            }
            return (.each(numbers), found[0]?.time)
        }
    }

    private mutating func expect(
        _ packets: PacketKeys, _ numbers: Numbers, at places: [WaitingPackets.Place], _ flow: FlowFields, _ time: UInt64
    ) {
        switch numbers {
        case .following(let first): waiting.add(packets, at: places, flow.mixed, first, time)
        case .each(let numbers):
            for (key, number) in zip(packets.keys, numbers) {
                var packet = PacketKeys()
                packet.append(key)
                waiting.add(packet, at: places, flow.mixed, number, time)
            }
        }
    }
}
