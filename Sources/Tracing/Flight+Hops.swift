import Engine
import Forwarding
import Wire

extension Flight {
    /// The engine has read the packet from an interface: one more hop.
    func appendHop(
        _ record: ReorderWindow.Record, _ source: MACAddress, _ node: Int?, _ table: TracedTable
    ) {
        let frame = record.frame
        let time = frame.time.nanoseconds
        hops.append(
            TraceHop(
                at: time, interface: table.network.interfaceName(frame.interface),
                from: node.map { table.network.nodes[$0].name } ?? source.description, isGuess: false, frames: 0,
                copies: []))
        states.append(
            HopState(
                interface: frame.interface, node: node, sourceMAC: source, lastRead: time, head: frame.octets,
                headLength: frame.length, generation: record.generation))
    }

    /// The entry that took the packet at a hop.
    func name(_ counter: Int, _ direction: ChainDirection, _ hop: Int, _ network: TracedNetwork) {
        let entry = network.entries[counter]
        hops[hop].entry = entry?.name ?? "entry \(counter)"
        hops[hop].line = entry.flatMap { $0.line > 0 ? $0.line : nil }
        hops[hop].direction = direction == .request ? "request" : "response"
        if let service = entry?.service, !services.contains(service) { services.append(service) }
    }

    /// One more copy that the engine should write.
    func appendCopy(_ stage: Stage, _ copy: TracedTable.Copy, _ hop: Int, from packet: TracedPacket, interface: String)
    {
        states[hop].stages.append(stage)
        stages.append(stage)
        var text = TraceCopy(interface: interface, to: "", system: copy.system.traceWord, frames: 0)
        text.rewritten = Self.rewritten(copy.flow, from: packet.flow)
        hops[hop].copies.append(text)
    }

    /// The new ends of a packet, each with its port if that is new; nil if nothing is.
    private static func rewritten(_ new: FlowFields, from old: FlowFields) -> String? {
        func end(_ name: String, _ address: (new: IPAddress, old: IPAddress), _ port: (new: UInt16, old: UInt16))
            -> String?
        {
            let isNewPort = new.hasPorts && old.hasPorts && port.new != port.old
            guard address.new != address.old else { return isNewPort ? "\(name) port \(port.new)" : nil }
            return "\(name) \(TracedPacketText.end("\(address.new)", isNewPort ? port.new : nil))"
        }
        let ends = [
            end("destination", (new.destination, old.destination), (new.destinationPort, old.destinationPort)),
            end("source", (new.source, old.source), (new.sourcePort, old.sourcePort)),
        ].compactMap(\.self)
        return ends.isEmpty ? nil : ends.joined(separator: ", ")
    }

    /// A part of the packet has reached the end of the chain, or the customer.
    func deliver(to node: String, _ range: Range<Int>, _ time: UInt64) {
        guard let place = delivered.firstIndex(where: { $0.node == node }) else {
            delivered.append((node, Coverage(range), time))
            return
        }
        delivered[place].octets.add(range)
        delivered[place].time = time
    }

    /// True if the sender has sent all of the packet, as far as it can be known.
    var isWhole: Bool { total.map { sent.covers(0..<$0) } ?? false }
}

/// The packets that came out of nodes a short time ago, so that a second one is known as a duplicate.
struct RecentExits {
    /// A packet at a node, as a hash (`Mixed`).
    private struct Key: Hashable {
        private let number: MixedNumber

        func _rawHashValue(seed: Int) -> Int { number._rawHashValue(seed: seed) }

        /// nil for a packet that is like others of its flow.
        init?(_ packet: TracedPacket, _ node: Int) {
            let first: UInt64
            let second: UInt64
            if let segment = packet.segment {
                first = UInt64(segment.sequence) | UInt64(segment.acknowledgment) << 32
                second = UInt64(segment.length) << 8 | UInt64(segment.kind)
            } else if packet.fragment != .whole {
                first = UInt64(packet.identification) << 32 | UInt64(packet.octets.lowerBound)
                second = UInt64(packet.octets.upperBound)
            } else {
                guard let digest = packet.digest, packet.payloadLength >= 4 else { return nil }
                first = digest
                second = UInt64(packet.identification) << 16 | UInt64(packet.payloadLength)
            }
            // Of ICMP also the identifier and the number.
            let word = packet.message != .none ? UInt64(packet.icmpWord) : 0
            let place = UInt64(truncatingIfNeeded: node) << 32 | word
            number = MixedNumber(
                Mixed.number(Mixed.number(packet.flow.mixed, place), Mixed.number(first, second)))
        }
    }

    private let capacity: Int
    private var exits: [Key: (flight: UInt64, time: UInt64)] = [:]
    private var order: [(key: Key, time: UInt64)] = []

    init(capacity: Int) { self.capacity = capacity }

    mutating func note(_ packet: TracedPacket, at node: Int, flight: UInt64, time: UInt64) {
        guard let key = Key(packet, node) else { return }
        exits[key] = (flight, time)
        order.append((key, time))
        if order.count > capacity { drop(order.count - capacity * 3 / 4) }
    }

    /// The trace of the same packet, which came out of the same node before.
    func flight(of packet: TracedPacket, at node: Int) -> UInt64? { Key(packet, node).flatMap { exits[$0]?.flight } }

    mutating func forget(before time: UInt64) {
        // In steps, so that few of them are moved often.
        guard order.count > 256, order[255].time < time else { return }
        drop(order.firstIndex { $0.time >= time } ?? order.count)
    }

    private mutating func drop(_ count: Int) {
        for old in order.prefix(count) where (exits[old.key]?.time ?? .max) <= old.time { exits[old.key] = nil }
        order.removeFirst(count)
    }
}
