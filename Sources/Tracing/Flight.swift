import Forwarding
import Wire

/// A place where a packet waits to be seen next.
enum WaitingPlace: Hashable {
    /// The engine has read it and will write it to this interface, for this MAC address or, if nil, for any.
    case egress(interface: Int, mac: MACAddress?)
    /// A node has it, and will send it on.
    case node(Int)

    /// Another number for each place.
    var word: UInt64 {
        switch self {
        case .egress(let interface, let mac): UInt64(truncatingIfNeeded: interface) << 49 | (mac?.bits ?? 1 << 48)
        case .node(let number): 1 << 63 | UInt64(truncatingIfNeeded: number)
        }
    }

    func hash(into hasher: inout Hasher) { hasher.combine(word) }
}

/// A part of a packet's way that is not over: the engine or a node has the packet.
///
/// One thread alone uses it, so accesses to what each record changes are not checked for overlaps.
final class Stage {
    let flight: Flight
    let places: [WaitingPlace]
    /// What was seen when it came here, with the flow that it leaves with.
    let packet: TracedPacket
    /// The hop whose copies it is about: of an egress its own, of a node the one before.
    let hop: Int
    /// The index of the copy in the hop.
    let copy: Int
    let system: DestinationSystemType
    /// Counts the stages, so that the first one to come is the first one to go.
    let number: UInt64
    /// True while it is in the waiting room.
    @exclusivity(unchecked) var isWaiting = false
    /// Counts what came into the waiting room.
    @exclusivity(unchecked) var arrival: UInt64 = 0
    @exclusivity(unchecked) var entered = Coverage()
    @exclusivity(unchecked) var left = Coverage()
    /// When its last octet came, in nanoseconds.
    @exclusivity(unchecked) var enteredLast: UInt64
    /// Of a node: the hop at which it came out.
    @exclusivity(unchecked) var exit: Int?
    /// The beginning of the datagram, once it was seen, and the flow that it has there with its ports.
    @exclusivity(unchecked) private(set) var start: TracedPacket.Start?
    @exclusivity(unchecked) private(set) var startFlow: FlowFields?
    /// Of an egress: why the kernel did not take a frame.
    @exclusivity(unchecked) var failure: DropReason?
    /// Of an egress: true if the engine writes it only while the node is in the group.
    @exclusivity(unchecked) var whileJoined = false
    /// Of a node: what it answered itself, and whether that is a guess, and an error or a reset.
    @exclusivity(unchecked) var answered: (what: String, isGuess: Bool, isRefusal: Bool)?

    init(
        _ flight: Flight, at places: [WaitingPlace], _ packet: TracedPacket, hop: Int, copy: Int,
        _ system: DestinationSystemType, number: UInt64, time: UInt64
    ) {
        self.flight = flight
        self.places = places
        self.packet = packet
        self.hop = hop
        self.copy = copy
        self.system = system
        self.number = number
        enteredLast = time
        noteStart(packet)
    }

    /// Notes the beginning of the datagram if this is it. Keys of the stage may change.
    func noteStart(_ packet: TracedPacket) {
        guard start == nil, let beginning = packet.start else { return }
        (start, startFlow) = (beginning, packet.flow)
    }

    /// Shorter packets are sent on whole: every link carries them.
    private static let leastCut = 500

    /// True if fragments of it may come out, or a whole packet of its fragments.
    var isCuttable: Bool { packet.fragment != .whole || packet.length > Self.leastCut }

    var node: Int? {
        if case .node(let node)? = places.first { return node }
        return nil
    }

    /// True if all that came has gone.
    var isOver: Bool { answered != nil || left.covers(entered) }

    /// True if its node is not in the group, as far as can be seen: nothing was written.
    var isUnjoined: Bool { whileJoined && left.isEmpty && failure == nil }

    /// True if it has no bearing on where the packet ends.
    var isPassive: Bool { system == .passiveApplication }
}

/// A packet that is under way. One thread alone uses it (see `Stage`).
final class Flight {
    /// What is kept of a hop beside its text.
    struct HopState {
        var interface: Int
        var node: Int?
        var sourceMAC: MACAddress
        /// When its last frame was read, in nanoseconds.
        var lastRead: UInt64
        /// The captured octets of its first frame.
        var head: [UInt8]
        var headLength: Int
        var generation: UInt64
        var stages: [Stage] = []
        /// Fragments that nobody can decide before the first one.
        var held: [(packet: TracedPacket, range: Range<Int>, time: UInt64)] = []
    }

    let id: UInt64
    let packet: TracedPacket
    let began: UInt64
    /// The first sequence number of TCP; the octets of all others count from the datagram's beginning.
    let base: UInt32
    /// Octets of the packet in its own counting; nil until the last fragment comes.
    @exclusivity(unchecked) var total: Int?
    /// What the sender has sent.
    @exclusivity(unchecked) var sent = Coverage()
    @exclusivity(unchecked) var last: UInt64
    @exclusivity(unchecked) var hops: [TraceHop] = []
    @exclusivity(unchecked) var states: [HopState] = []
    /// What reached the end of the chain or the customer.
    @exclusivity(unchecked) var delivered: [(node: String, octets: Coverage, time: UInt64)] = []
    @exclusivity(unchecked) var stages: [Stage] = []
    @exclusivity(unchecked) var drop: (reason: DropReason, hop: Int, time: UInt64)?
    @exclusivity(unchecked) var isForEngine = false
    /// True once it is nowhere any more, and only the engine's answer to its sender may follow.
    @exclusivity(unchecked) var isEnding = false
    /// The node whose device it came from, if its MAC address names none.
    @exclusivity(unchecked) var device: String?
    @exclusivity(unchecked) var beginning = TraceBeginning.customer
    @exclusivity(unchecked) var answers: TraceLink?
    @exclusivity(unchecked) var follows: TraceLink?
    @exclusivity(unchecked) var notes: [String] = []
    @exclusivity(unchecked) var services: [String] = []
    @exclusivity(unchecked) var isGuess = false
    @exclusivity(unchecked) var isOver = false
    @exclusivity(unchecked) var fragments = 0
    /// Of fragments: where they began.
    @exclusivity(unchecked) var origin: PacketTracer.Origin?

    /// Hops that there is room for from the beginning.
    private static let usualHops = 3

    init(id: UInt64, _ packet: TracedPacket, time: UInt64) {
        self.id = id
        self.packet = packet
        began = time
        last = time
        hops.reserveCapacity(Self.usualHops)
        states.reserveCapacity(Self.usualHops)
        stages.reserveCapacity(2 * Self.usualHops)
        if let segment = packet.segment {
            base = segment.sequence
            total = max(1, segment.length)
        } else {
            base = 0
            total = packet.fragment == .whole ? max(1, packet.octets.count) : nil
        }
    }

    /// Lets go of the stages, which hold the packet: nothing of one that has ended stays in memory.
    func dissolve() {
        stages = []
        for hop in states.indices { states[hop].stages = [] }
    }

    /// Where a packet lies in this one, and how sure that is; nil if it is another packet.
    ///
    /// - Parameters:
    ///   - own: This packet as it should be seen.
    ///   - isTranslated: True if an application may have changed addresses, ports and ICMP's identifier.
    func relation(of seen: TracedPacket, to own: TracedPacket, isTranslated: Bool) -> (range: Range<Int>, score: Int)? {
        guard seen.flow.source.family == own.flow.source.family, seen.protocolNumber == own.protocolNumber else {
            return nil
        }
        let areWhole = seen.fragment == .whole && own.fragment == .whole
        guard isTranslated || !areWhole || seen.flow == own.flow else { return nil }
        if let mine = own.segment {
            guard let other = seen.segment else { return fragment(seen, of: own) }
            return segment(other, seen, mine, own)
        }
        if areWhole { return datagram(seen, own, isTranslated: isTranslated) }
        let isSame = seen.identification == own.identification && seen.identification != 0
        if let one = seen.start, let other = own.start, one != other { return nil }
        // IPv6 gives fragments that were put together in between another identification.
        guard isSame || seen.flow.source.family == .ipv6 else { return nil }
        let range = seen.fragment == .whole ? 0..<max(1, seen.octets.count) : seen.octets
        if let total, range.upperBound > total { return nil }
        return (range, isSame ? 3 : 1)
    }

    private func segment(
        _ other: TracedPacket.Segment, _ seen: TracedPacket, _ mine: TracedPacket.Segment, _ own: TracedPacket
    ) -> (range: Range<Int>, score: Int)? {
        guard other.isSYN == mine.isSYN, other.isRST == mine.isRST, let total else { return nil }
        var isSure = mine.timestamp != nil && mine.timestamp == other.timestamp
        let distance = Int(Int32(truncatingIfNeeded: other.sequence &- mine.sequence))
        if own.identification != 0, seen.identification != 0 {
            let step = mine.segmentSize > 0 ? distance / mine.segmentSize : 0
            isSure = isSure || (own.identification &+ UInt32(truncatingIfNeeded: step)) & 0xFFFF == seen.identification
        }
        if mine.length == 0 {
            guard other.length == 0, distance == 0, other.acknowledgment == mine.acknowledgment else { return nil }
            return (0..<1, isSure ? 3 : 1)
        }
        guard other.length > 0 else { return nil }
        let offset = Int(Int32(truncatingIfNeeded: other.sequence &- base))
        let range = (offset..<offset + other.length).clamped(to: 0..<total)
        return range.isEmpty ? nil : (range, isSure ? 3 : 1)
    }

    /// A fragment of a segment of TCP that came here whole.
    private func fragment(_ seen: TracedPacket, of own: TracedPacket) -> (range: Range<Int>, score: Int)? {
        guard seen.identification == own.identification, seen.identification != 0 else { return nil }
        return cut(seen, of: own).map { ($0, 3) }
    }

    /// Where a fragment lies in a segment of TCP that came here whole.
    private func cut(_ seen: TracedPacket, of own: TracedPacket) -> Range<Int>? {
        guard seen.fragment != .whole, let total else { return nil }
        let first = max(0, seen.octets.lowerBound - own.headerLength)
        let end = max(first, seen.octets.upperBound - own.headerLength)
        let range = seen.isLast ? first..<max(total, first) : first..<end
        return range.clamped(to: 0..<total).isEmpty ? nil : range.clamped(to: 0..<total)
    }

    /// Where a fragment, or a packet that was put together, lies in this packet, if it is one of it.
    ///
    /// - Parameter own: This packet, or one of its fragments, as it was seen before.
    func place(of seen: TracedPacket, in own: TracedPacket) -> Range<Int>? {
        guard seen.flow.source.family == own.flow.source.family, seen.protocolNumber == own.protocolNumber else {
            return nil
        }
        if own.segment != nil { return cut(seen, of: own) }
        let range = seen.fragment == .whole ? 0..<max(1, seen.octets.count) : seen.octets
        guard let total else { return seen.fragment == .whole ? nil : range }
        // Its end must be where this packet ends.
        guard range.upperBound <= total, !seen.isLast || range.upperBound == total else { return nil }
        return range
    }

    private func datagram(
        _ seen: TracedPacket, _ own: TracedPacket, isTranslated: Bool
    ) -> (range: Range<Int>, score: Int)? {
        guard seen.octets.count == own.octets.count, seen.message == own.message, seen.icmpType == own.icmpType else {
            return nil
        }
        let range = 0..<max(1, own.octets.count)
        if own.message == .error {
            // Addresses in what it quotes are rewritten, its numbers are not.
            guard seen.icmpCode == own.icmpCode, seen.quote?.lasting == own.quote?.lasting else { return nil }
            return (range, 2)
        }
        if own.message != .none {
            let mask: UInt32 = isTranslated ? 0xFFFF : .max
            guard seen.icmpWord & mask == own.icmpWord & mask else { return nil }
        }
        if let first = own.digest, let second = seen.digest, first != second { return nil }
        let isSame = own.identification != 0 && own.identification == seen.identification
        let isKnown = own.digest != nil && seen.digest != nil
        return (range, (isSame ? 2 : 0) + (isKnown ? 1 : 0))
    }
}
