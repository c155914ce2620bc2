import Engine
import Forwarding
import Wire

/// Finds the frames inside of an underlay's packets, so that a packet has one number on the underlay and in its tunnel.
///
/// What an engine reads comes on the underlay first, and what it writes comes in the tunnel first. A superframe that was written is cut
/// before it enters: all its segments on the underlay have its number.
struct OuterPackets {
    /// A packet in a tunnel, by what is the same in and outside of it, whatever its marks, hops and checksums become.
    private struct Key: Hashable {
        var direction: CaptureDirection
        var interface: Int
        var length: Int
        var likeness: UInt64
    }

    /// A superframe of TCP that was written to a tunnel.
    private struct Written {
        var interface: Int
        var flow: FlowFields
        /// Its first sequence number, and how many it takes.
        var start: UInt32
        var length: UInt32
        var number: UInt64
    }

    /// What is noted of packets that were seen on one of the two, the oldest first.
    private var known: [Key: [FrameNotes]] = [:]
    private var order: [Key] = []
    private var superframes: [Written] = []
    private static let mostKnown = 4_096
    private static let mostSuperframes = 256
    /// The frame in a packet of an underlay, as it is captured at its tunnel; nil if none is.
    static func inner(of frame: CapturedFrame, _ snapshot: Snapshot) -> CapturedFrame? {
        var octets = frame.octets
        let missing = min(frame.length, frameSlotSize) - octets.count
        let captured = octets.count
        if missing > 0 { octets += [UInt8](repeating: 0, count: missing) }
        for place in snapshot.tunnels(on: frame.interface) {
            let record = snapshot.tunnel(at: place)
            let tunnel = frame.direction == .received ? record.tunnel : record.tunnel.mirrored
            let found = octets.withUnsafeBytes { octets -> Range<Int>? in
                guard octets.count > VirtioNetHeader.length else { return nil }
                return tunnel.inner(of: UnsafeRawBufferPointer(rebasing: octets[VirtioNetHeader.length...]).bytes)
            }
            guard let found else { continue }
            let start = found.lowerBound + VirtioNetHeader.length
            guard start < captured else { return nil }
            var inner = frame
            inner.isOuter = false
            inner.interface = record.interface
            inner.octets =
                [UInt8](repeating: 0, count: VirtioNetHeader.length)
                + octets[start..<min(captured, found.upperBound + VirtioNetHeader.length)]
            inner.length = found.count + VirtioNetHeader.length
            return inner
        }
        return nil
    }

    /// What was noted of a packet when it was first seen; each sight is given once.
    mutating func take(_ packet: TracedPacket, _ direction: CaptureDirection, on interface: Int) -> FrameNotes? {
        guard let key = Self.key(packet, direction, interface), var waiting = known[key], !waiting.isEmpty else {
            return nil
        }
        let first = waiting.removeFirst()
        known[key] = waiting.isEmpty ? nil : waiting
        return first
    }

    /// Notes what is said of a packet, for its second sight.
    mutating func add(
        _ packet: TracedPacket, _ direction: CaptureDirection, on interface: Int, _ notes: FrameNotes
    ) {
        guard let key = Self.key(packet, direction, interface) else { return }
        known[key, default: []].append(notes)
        order.append(key)
        guard order.count > Self.mostKnown else { return }
        for old in order.prefix(Self.mostKnown / 4) { known[old] = nil }
        order.removeFirst(Self.mostKnown / 4)
    }

    /// Notes a packet that was written to a tunnel, if it is a superframe.
    mutating func add(_ packet: TracedPacket, on interface: Int, _ number: UInt64) {
        guard let segment = packet.segment, packet.packets > 1, segment.length > 0 else { return }
        superframes.append(
            Written(
                interface: interface, flow: packet.flow, start: segment.sequence,
                length: UInt32(truncatingIfNeeded: segment.length), number: number))
        if superframes.count > Self.mostSuperframes { superframes.removeFirst(Self.mostSuperframes / 4) }
    }

    /// The number of the superframe that a segment was cut from.
    func number(of packet: TracedPacket, on interface: Int) -> UInt64? {
        guard let segment = packet.segment else { return nil }
        return superframes.last {
            $0.interface == interface && $0.flow == packet.flow && segment.sequence &- $0.start < $0.length
        }?.number
    }

    private static func key(_ packet: TracedPacket, _ direction: CaptureDirection, _ interface: Int) -> Key? {
        packet.likeness.map {
            Key(direction: direction, interface: interface, length: packet.length, likeness: $0)
        }
    }
}
