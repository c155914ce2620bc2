import Engine
import Forwarding
import Wire

/// What a capture says of one frame, beside its octets.
package struct FrameNotes: Sendable, Hashable {
    /// The node that sent the frame, or that it was written to; nil if the topology names none.
    package var node: String?
    /// A number that the packet has at every hop, also behind rewritten addresses; nil if the frame is no IP packet, or
    /// if too little of it is there.
    ///
    /// It is a hash of what no chain rewrites. A superframe that is cut or merged gets another number.
    package var identifier: UInt64?
    /// The entry that takes the frame; nil for frames that the engine writes.
    package var entry: String?
    /// The service of that entry.
    package var service: String?
    /// Why the engine drops the frame, with the reason's name; nil if it does not.
    package var drop: (name: String, sentence: String)?
    /// The time between the write of the packet to the node and this frame, which came out of it.
    package var inside: UInt64?

    package static func == (one: FrameNotes, other: FrameNotes) -> Bool {
        one.node == other.node && one.identifier == other.identifier && one.entry == other.entry
            && one.service == other.service && one.drop?.name == other.drop?.name && one.inside == other.inside
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(node)
        hasher.combine(identifier)
    }

    /// Sentences for a person.
    package var comments: [String] {
        var comments: [String] = []
        if let service { comments.append("service: \(service)") }
        if let entry { comments.append("entry: \(entry)") }
        if let drop { comments.append("dropped: \(drop.name): \(drop.sentence)") }
        if let inside, let node { comments.append("\(TraceText.time(inside)) in \(node)") }
        return comments
    }
}

/// Says of single frames, as they come, what a capture tells of them. Frames come in the order of their times.
package final class FrameDescriber {
    private var tables: [UInt64: TracedTable] = [:]
    private var newest: UInt64 = 0
    private var reader = FrameReader()
    /// When packets were written to nodes: of the last `capacity` of them.
    private var written: [Place: UInt64] = [:]
    private var order: [Place] = []
    private static let capacity = 65_536

    private struct Place: Hashable {
        var node: Int
        var identifier: UInt64
    }

    package init() {}

    /// Knows a version of the table from now on. The last four are kept.
    ///
    /// - Throws: `SnapshotError` or `EngineError` if an engine would not take the table.
    package func take(_ image: TableImage, network: TracedNetwork) throws {
        tables[image.generation] = try TracedTable(image, network: network, numbers: Array(network.nodes.indices))
        newest = max(newest, image.generation)
        if tables.count > 4, let oldest = tables.keys.min() { tables[oldest] = nil }
    }

    /// What a capture says of a frame.
    package func notes(_ frame: CapturedFrame) -> FrameNotes {
        var notes = FrameNotes()
        guard let table = tables[frame.generation] ?? tables[newest], table.has(frame.interface) else { return notes }
        let reading = reader.read(frame)
        let mac = frame.direction == .received ? reader.fields.sourceMAC : reader.fields.destinationMAC
        let node = table.network.node(mac, on: frame.interface)
        notes.node = node.map { table.network.nodes[$0].name }
        if frame.failure != 0 {
            let reason = DropReason(ofFailure: frame.failure)
            notes.drop = (reason.name, reason.sentence)
        }
        guard case .packets(let packets) = reading, let packet = packets.first else {
            return notes
        }
        notes.identifier = packet.identifier
        guard frame.direction == .received else {
            if frame.failure == 0, let node, let identifier = notes.identifier {
                note(Place(node: node, identifier: identifier), at: frame.time.nanoseconds)
            }
            return notes
        }
        if let node, let identifier = notes.identifier {
            notes.inside = written.removeValue(forKey: Place(node: node, identifier: identifier)).map {
                frame.time.nanoseconds - min($0, frame.time.nanoseconds)
            }
        }
        switch table.route(packet, from: reader.fields.sourceMAC, on: frame.interface) {
        case .forward(let counter, _, _):
            let entry = table.network.entries[counter]
            notes.entry = entry?.name ?? "number \(counter)"
            notes.service = entry?.service
        case .drop(let reason):
            var reason = reason
            if case .dropped(let said) = table.replay.answer(frame.octets, length: frame.length, on: frame.interface) {
                reason = said
            }
            // Kernels send these by themselves: nothing is lost.
            if reason != .housekeeping { notes.drop = (reason.name, reason.sentence) }
        case .engine, .undecided: break
        }
        return notes
    }

    private func note(_ place: Place, at time: UInt64) {
        if written.updateValue(time, forKey: place) == nil { order.append(place) }
        guard order.count > Self.capacity else { return }
        for old in order.prefix(Self.capacity / 4) { written[old] = nil }
        order.removeFirst(Self.capacity / 4)
    }
}

extension TracedPacket {
    /// A hash of what no chain rewrites; nil if too little of the packet is there.
    var identifier: UInt64? {
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
