import Wire

/// Numbers for packets: each has its own, and keeps it on its whole way.
///
/// A packet begins where the engine reads it from a node that passes nothing on, or from one that was not given such a
/// packet. It goes on where the engine writes it, and where it comes out of the node that it was written to. Packets
/// that look alike are taken in the order in which they came: each place gives each of them once.
struct PacketNumbering {
    /// Where a packet is awaited.
    private enum Place: Hashable {
        /// The engine has it, and will write it there; without a MAC address: to anyone.
        case egress(interface: Int, mac: MACAddress?)
        /// The node has it, and will send it on.
        case node(Int)
    }

    private struct Waiting {
        var places: [Place]
        var flow: FlowFields
        var number: UInt64
        /// When it came there, in nanoseconds.
        var time: UInt64
        var serial: UInt64
    }

    /// How long a packet is awaited, in nanoseconds. One that comes later gets another number.
    private static let patience: UInt64 = 10_000_000_000
    /// The most packets that are awaited, and the most of those that look alike.
    private static let capacity = 65_536
    private static let mostAlike = 256
    /// By what no chain rewrites. Those that look alike are in the order in which they came.
    private var waiting: [UInt64: [Waiting]] = [:]
    private var order: [(key: UInt64, serial: UInt64, time: UInt64)] = []
    private var forgotten = 0
    private var serial: UInt64 = 0
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
        let before = node.flatMap { take(key, at: [.node($0)], packet.flow, time) }
        let number = before?.number ?? fresh()
        for copy in copies {
            add(key, copy.places.map { .egress(interface: $0.interface, mac: $0.mac) }, copy.flow, number, time)
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
        let places: [Place] = [
            .egress(interface: place.interface, mac: place.mac), .egress(interface: place.interface, mac: nil),
        ]
        let number = take(key, at: places, packet.flow, time)?.number ?? fresh()
        if let node { add(key, [.node(node)], packet.flow, number, time) }
        return number
    }

    private mutating func fresh() -> UInt64 {
        defer { next += 1 }
        return next
    }

    private mutating func add(_ key: UInt64, _ places: [Place], _ flow: FlowFields, _ number: UInt64, _ time: UInt64) {
        serial += 1
        waiting[key, default: []].append(
            Waiting(places: places, flow: flow, number: number, time: time, serial: serial))
        if let count = waiting[key]?.count, count > Self.mostAlike { waiting[key]?.removeFirst() }
        order.append((key, serial, time))
        forget(time)
    }

    /// The first packet of a key that waits at one of the places. One with the same flow goes before those whose
    /// addresses were changed there.
    private mutating func take(_ key: UInt64, at places: [Place], _ flow: FlowFields, _ time: UInt64) -> Waiting? {
        guard let list = waiting[key] else { return nil }
        let least = time - min(time, Self.patience)
        let there = list.indices.filter { index in
            list[index].time >= least && list[index].places.contains { places.contains($0) }
        }
        guard let index = there.first(where: { list[$0].flow == flow }) ?? there.first else { return nil }
        remove(key, index)
        return list[index]
    }

    private mutating func remove(_ key: UInt64, _ index: Int) {
        waiting[key]?.remove(at: index)
        if waiting[key]?.isEmpty == true { waiting[key] = nil }
    }

    /// Forgets what waited too long, and the oldest of too many.
    private mutating func forget(_ time: UInt64) {
        let least = time - min(time, Self.patience)
        while forgotten < order.count, order[forgotten].time < least || order.count - forgotten > Self.capacity {
            let old = order[forgotten]
            forgotten += 1
            if let index = waiting[old.key]?.firstIndex(where: { $0.serial == old.serial }) { remove(old.key, index) }
        }
        guard forgotten > Self.capacity / 4 else { return }
        order.removeFirst(forgotten)
        forgotten = 0
    }
}

extension TracedPacket {
    /// A hash of what no chain rewrites; nil if too little of the packet is there. Packets that look alike share it.
    var likeness: UInt64? {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ value: UInt64) {
            for shift in stride(from: 0, to: 64, by: 8) {
                hash = (hash ^ value &>> UInt64(shift) & 0xFF) &* 0x100_0000_01B3
            }
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
