import Engine
import Forwarding
import Wire

/// What a capture says of one frame, beside its octets.
package struct FrameNotes: Sendable, Hashable {
    /// The node that sent the frame, or that it was written to; nil if the topology names none.
    package var node: String?
    /// A number that the packet has at every hop, also behind rewritten addresses, and that no other packet has
    /// (`PacketNumbering`); nil if the frame is no IP packet, or if too little of it is there.
    package var identifier: UInt64?
    /// The entry that takes the frame; nil for frames that the engine writes, or drops before it asks the table.
    package var entry: String?
    /// The service of that entry.
    package var service: String?
    /// Why the engine drops the frame, with the reason's name; nil if it does not.
    package var drop: (name: String, sentence: String)?
    /// The addresses of a packet that the engine read.
    package var ends: (source: IPAddress, destination: IPAddress)?
    /// The time between the write of the packet to the node and this frame, which came out of it.
    package var inside: UInt64?
    /// The tunnel that the frame is in, for a packet of an underlay.
    package var tunnel: String?

    package static func == (one: FrameNotes, other: FrameNotes) -> Bool {
        one.node == other.node && one.identifier == other.identifier && one.entry == other.entry
            && one.service == other.service && one.drop?.name == other.drop?.name && one.inside == other.inside
            && one.tunnel == other.tunnel
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(node)
        hasher.combine(identifier)
    }

    /// Sentences for a person.
    package var comments: [String] {
        var comments: [String] = []
        if let tunnel { comments.append("tunnel: \(tunnel)") }
        if let service { comments.append("service: \(service)") }
        if let entry { comments.append("entry: \(entry)") }
        if let drop { comments.append("dropped: \(drop.name): \(drop.sentence)") }
        if let inside, let node { comments.append("\(TraceText.time(inside)) in \(node)") }
        return comments
    }
}

/// Says of single frames, as they come, what a capture tells of them. Frames come in the order of their times.
///
/// Why the engine drops a frame is what the engine's own code says to the same frame and table (`EngineReplay`).
package final class FrameDescriber {
    /// The octets of each frame that tell what the engine does with it: its headers.
    package static let headLength = 256

    // One thread alone uses it, so accesses are not checked for overlaps.
    @exclusivity(unchecked) private var tables: [UInt64: TracedTable] = [:]
    private var newest: UInt64 = 0
    /// The table that was asked for last.
    @exclusivity(unchecked) private var last: (generation: UInt64, table: TracedTable)?
    @exclusivity(unchecked) private var nodes = NearNodes()
    @exclusivity(unchecked) private var reader = FrameReader()
    @exclusivity(unchecked) private var numbering = PacketNumbering()
    @exclusivity(unchecked) private var outer = OuterPackets()
    /// True if packets of underlays come, too.
    private let hasOuter: Bool

    /// - Parameter hasOuter: Packets of underlays come, too.
    package init(hasOuter: Bool = false) { self.hasOuter = hasOuter }

    /// Knows a version of the table from now on. The last sixteen are kept.
    ///
    /// - Throws: `SnapshotError` or `EngineError` if an engine would not take the table.
    package func take(_ image: TableImage, network: TracedNetwork) throws {
        tables[image.generation] = try TracedTable(image, network: network, numbers: Array(network.nodes.indices))
        newest = max(newest, image.generation)
        (last, nodes) = (nil, NearNodes())
        if tables.count > 16, let oldest = tables.keys.min() { tables[oldest] = nil }
    }

    /// What a capture says of a frame.
    package func notes(_ frame: CapturedFrame) -> FrameNotes {
        guard let table = table(frame.generation), table.has(frame.interface) else { return FrameNotes() }
        if frame.isOuter { return outside(frame, table) }
        if hasOuter, frame.direction == .received, table.replay.snapshot.tunnel(of: frame.interface) >= 0,
            case .packets(let packets) = reader.read(frame),
            let known = packets.first.flatMap({ outer.take($0, .received, on: frame.interface) })
        {
            return known
        }
        return described(frame, table)
    }

    private func table(_ generation: UInt64) -> TracedTable? {
        if let last, last.generation == generation { return last.table }
        guard let table = tables[generation] ?? tables[newest] else { return nil }
        (last, nodes) = ((generation, table), NearNodes())
        return table
    }

    private func described(_ frame: CapturedFrame, _ table: TracedTable) -> FrameNotes {
        let isInTunnel = hasOuter && table.replay.snapshot.tunnel(of: frame.interface) >= 0
        // What goes into a tunnel leaves as its packets.
        let reading = reader.read(frame, isInTunnel ? .all : .first)
        return frame.direction == .received
            ? read(frame, reading, table) : written(frame, reading, table, isInTunnel: isInTunnel)
    }

    /// A packet of an underlay with a frame of a tunnel in it: it has the number of what is inside.
    private func outside(_ frame: CapturedFrame, _ table: TracedTable) -> FrameNotes {
        _ = reader.read(frame)
        let mac = frame.direction == .received ? reader.fields.sourceMAC : reader.fields.destinationMAC
        var notes = FrameNotes()
        notes.node = table.network.node(mac, on: frame.interface).map { table.network.nodes[$0].name }
        guard let inner = OuterPackets.inner(of: frame, table.replay.snapshot) else { return notes }
        notes.tunnel = table.network.interfaceName(inner.interface)
        guard case .packets(let packets) = reader.read(inner), let first = packets.first else { return notes }
        if frame.direction == .received {
            let inside = described(inner, table)
            outer.add(first, .received, on: inner.interface, inside)
            (notes.identifier, notes.service) = (inside.identifier, inside.service)
            return notes
        }
        // What was seen of it before is itself or its superframe; or nothing, if only the underlay is captured.
        let seen = outer.take(first, .sent, on: inner.interface)
        notes.identifier = seen?.identifier ?? outer.number(of: first, on: inner.interface)
        guard notes.identifier == nil else { return notes }
        notes.identifier = described(inner, table).identifier
        _ = outer.take(first, .sent, on: inner.interface)
        return notes
    }

    /// A frame that the engine wrote, or tried to.
    private func written(
        _ frame: CapturedFrame, _ reading: FrameReader.Reading, _ table: TracedTable, isInTunnel: Bool
    ) -> FrameNotes {
        var notes = FrameNotes()
        let mac = reader.fields.destinationMAC
        let node = nodes.node(mac, on: frame.interface, table)
        notes.node = node?.name
        if frame.failure != 0 { notes.drop = Self.drop(DropReason(writing: frame.failure)) }
        guard case .packets(let packets) = reading, let first = packets.first else { return notes }
        let receiver = frame.failure == 0 ? node?.passing : nil
        let numbers = numbering.written(
            reader.keys, first.flow, to: (interface: frame.interface, mac: mac), receiver, at: frame.time.nanoseconds)
        notes.identifier = numbers?.first
        guard isInTunnel, let numbers else { return notes }
        for (index, packet) in packets.prefix(reader.keys.keys.count).enumerated() {
            note(packet, numbers[index], on: frame.interface)
        }
        return notes
    }

    /// A packet was written to a tunnel: it leaves with this number on the underlay.
    private func note(_ packet: TracedPacket, _ number: UInt64, on interface: Int) {
        var notes = FrameNotes()
        notes.identifier = number
        outer.add(packet, .sent, on: interface, notes)
        outer.add(packet, on: interface, number)
    }

    /// A frame that the engine read.
    private func read(_ frame: CapturedFrame, _ reading: FrameReader.Reading, _ table: TracedTable) -> FrameNotes {
        var notes = FrameNotes()
        let source = reader.fields.sourceMAC
        let node = nodes.node(source, on: frame.interface, table)
        notes.node = node?.name
        if frame.failure != 0 {
            // An impaired link lost it before the engine saw it.
            notes.drop = Self.drop(DropReason(writing: frame.failure))
            return notes
        }
        var reason: DropReason?
        if case .dropped(let said) = table.replay.answer(frame.octets, length: frame.length, on: frame.interface) {
            reason = said
        }
        guard case .packets(let packets) = reading, let first = packets.first else {
            notes.drop = reason.flatMap { Self.drop($0, table) }
            return notes
        }
        let isRefused = reason.map { !$0.followsEntry } ?? false
        notes.ends = (first.flow.source, first.flow.destination)
        var copies: [TracedTable.Copy] = []
        // All packets of a superframe have one flow.
        switch isRefused ? nil : table.route(first, from: source, on: frame.interface) {
        case .forward(let counter, _, let all):
            copies = all
            let entry = table.network.entries[counter]
            notes.entry = entry?.name ?? "number \(counter)"
            notes.service = entry?.service
        case .drop(let said):
            // The replay has not seen all fragments that the engine has.
            reason = reason ?? said
            copies = table.mirrored(first, on: frame.interface)
        case .engine, .undecided, nil: copies = table.mirrored(first, on: frame.interface)
        }
        let known = numbering.read(reader.keys, first.flow, from: node?.passing, copies, at: frame.time.nanoseconds)
        (notes.identifier, notes.inside) = (known?.numbers.first, known?.inside)
        notes.drop = reason.flatMap { Self.drop($0, table) }
        return notes
    }

    /// What is said of a drop. Kernels send some frames by themselves: nothing is lost with them.
    private static func drop(
        _ reason: DropReason, _ table: TracedTable? = nil
    ) -> (name: String, sentence: String)? {
        reason == .housekeeping ? nil : (reason.name, table?.sentence(of: reason) ?? reason.sentence)
    }
}

/// The nodes of the last frames, so that most frames look up none. It is for one table.
struct NearNodes {
    /// What notes need of a node.
    struct Node {
        var name: String
        /// Its number, if packets pass it: what comes out of any other node is another packet.
        var passing: Int?
    }

    private struct Entry {
        var interface = -1
        var mac = MACAddress(bits: 0)
        var node: Node?
    }

    /// A power of two.
    private static let count = 64
    private var entries = [Entry](repeating: Entry(), count: count)

    /// The node with a MAC address on an interface; nil if the network names none.
    mutating func node(_ mac: MACAddress, on interface: Int, _ table: TracedTable) -> Node? {
        let mixed = Int(truncatingIfNeeded: mac.bits ^ mac.bits &>> 8) &+ interface &* 7
        let place = mixed & (Self.count - 1)
        if entries[place].interface == interface, entries[place].mac == mac { return entries[place].node }
        let network = table.network
        let node = network.node(mac, on: interface).map {
            Node(name: network.nodes[$0].name, passing: Self.passes(network.nodes[$0]) ? $0 : nil)
        }
        entries[place] = Entry(interface: interface, mac: mac, node: node)
        return node
    }

    private static func passes(_ node: TracedNetwork.Node) -> Bool {
        switch node.kind {
        case .inline: true
        case .router: Set(node.legs.map(\.interface)).count > 1
        case .customer, .passive, .terminal: false
        }
    }
}
