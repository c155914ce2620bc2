import Wire

/// Numbers for packets: each has its own, and keeps it on its whole way.
///
/// A packet begins where the engine reads it from a node that passes nothing on, or from one that was not given such a
/// packet. It goes on where the engine writes it, and where it comes out of the node that it was written to. Packets
/// that look alike are taken in the order in which they came: each place gives each of them once.
struct PacketNumbering {
    private var waiting = WaitingPackets()
    private var next: UInt64 = 1

    /// The engine read a packet from a node.
    ///
    /// - Parameters:
    ///   - node: The node, if it passes packets on.
    ///   - copies: What the engine will write.
    /// - Returns: Its number, and how long the node had it if that is known; nil if too little of it is there.
    mutating func read(
        _ packet: TracedPacket, from node: Int?, _ copies: [TracedTable.Copy], at time: UInt64
    ) -> (number: UInt64, inside: UInt64?)? {
        guard let key = packet.likeness else { return nil }
        let before = node.flatMap { waiting.take(key, at: .node($0), packet.flow, time) }
        let number = before?.number ?? fresh()
        for copy in copies {
            waiting.add(
                key, at: copy.places.map { WaitingPackets.Place($0) }, copy.flow, number, time)
        }
        return (number, before.map { time - min($0.time, time) })
    }

    /// The engine wrote a packet, or tried to.
    ///
    /// - Parameters:
    ///   - place: The interface and the Ethernet destination.
    ///   - node: The node that got it, if it passes packets on.
    mutating func written(
        _ packet: TracedPacket, to place: (interface: Int, mac: MACAddress), _ node: Int?, at time: UInt64
    ) -> UInt64? {
        guard let key = packet.likeness else { return nil }
        let before = waiting.take(
            key, at: .egress(interface: place.interface, mac: place.mac),
            or: .egress(interface: place.interface, mac: nil), packet.flow, time)
        let number = before?.number ?? fresh()
        if let node { waiting.add(key, at: .node(node), packet.flow, number, time) }
        return number
    }

    private mutating func fresh() -> UInt64 {
        defer { next += 1 }
        return next
    }
}

extension TracedPacket {
    /// A hash of what no chain rewrites; nil if too little of the packet is there. Packets that look alike share it.
    var likeness: UInt64? {
        var hash: UInt64 = 0x9E37_79B9_7F4A_7C15
        func add(_ value: UInt64) {
            hash = (hash ^ value) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash &>> 32
        }
        add(UInt64(protocolNumber))
        add(UInt64(identification))
        if fragment == .whole {
            guard let key = ContentKey(self) else { return nil }
            add(UInt64(key.kind))
            add(key.number)
            add(UInt64(key.length))
            if let segment {
                add(UInt64(segment.acknowledgment))
                add(UInt64(segment.timestamp ?? 0))
            }
        } else {
            add(UInt64(octets.lowerBound))
            add(UInt64(octets.count))
        }
        return hash
    }
}
