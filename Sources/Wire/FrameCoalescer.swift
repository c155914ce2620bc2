/// Coalesces frames (GRO). It finds frames of one flow that follow one another in a batch. The kernel can send them as
/// one. Segmentation gives them back exactly as they came.
///
/// It puts the frames into *runs*, in the order of their first frames. A conversation is never reordered:
///
/// - A frame that does not fit its flow's open run closes the run.
/// - A frame of the reverse flow closes the run.
/// - A frame without a known flow (a fragment, ICMP, ARP, options) closes all runs.
///
/// No frame waits for another batch. No frame is changed. Each frame is looked at once.
///
/// Frames of other conversations may have come between the frames of a run. Then the runs do not show the order of the
/// batch (`isInterleaved`). A caller that must keep that order takes a run by its parts (`part(of:from:)`).
///
/// A single frame is a run, too. If a flow has several runs, each knows the first (`Run.twin`), so a decision for that
/// one serves all.
public struct FrameCoalescer: ~Copyable {
    /// The most segments of a superframe: Linux before 6.9 takes no more for UDP (UDP_MAX_SEGMENTS).
    public static let mostSegments = 64
    /// The most octets of a superframe's network packet.
    public static let mostOctets = 65_535

    /// The kinds of frames that are coalesced.
    public struct Kinds: Sendable {
        /// TCP segments.
        public var tcp: Bool
        /// UDP datagrams.
        public var udp: Bool
        /// Frames of at most `HeartbeatLimits.maximumFrame` octets that end with this (big-endian) are not coalesced;
        /// 0: all are.
        public var heartbeatToken: UInt64

        /// Memberwise.
        public init(tcp: Bool, udp: Bool, heartbeatToken: UInt64 = 0) {
            self.tcp = tcp
            self.udp = udp
            self.heartbeatToken = heartbeatToken
        }
    }

    /// Frames that are sent as one, or one frame.
    public struct Run {
        /// The first frame's `virtio_net_hdr`.
        public let start: UnsafeMutableRawPointer
        /// The octets of the first frame, the `virtio_net_hdr` among them.
        public let length: Int
        /// The kind of all frames of the run.
        public let kind: FrameKind
        fileprivate var state = State.unknown
        @usableFromInline let networkStart: UInt16
        /// Where the network header begins in all of them, from the Ethernet header on.
        @inlinable public var networkOffset: Int { Int(networkStart) }
        /// The index of the first run of this flow, an earlier one; -1: this is the first.
        public let twin: Int32
        /// How many frames.
        public fileprivate(set) var count: Int32 = 1
        /// The index of the first frame in the batch.
        public let first: Int32
        fileprivate var last: Int32
        // From the second frame on:
        /// The octets of the headers, from the Ethernet header on; holds where there is more than one frame.
        public fileprivate(set) var headers: Int32 = 0
        /// The payload octets of every frame but the last; holds where there is more than one frame.
        public fileprivate(set) var segment: Int32 = 0
        /// The payload octets of all of them; holds where there is more than one frame.
        public fileprivate(set) var payload: Int32 = 0
        fileprivate var identification: UInt16 = 0
        fileprivate var sequence: UInt32 = 0

        fileprivate init(
            start: UnsafeMutableRawPointer, length: Int, kind: FrameKind, at networkOffset: Int, twin: Int32,
            first: Int32
        ) {
            self.start = start
            self.length = length
            self.kind = kind
            networkStart = UInt16(truncatingIfNeeded: networkOffset)
            self.twin = twin
            self.first = first
            last = first
        }

        /// Octets of the frames as they came, from the Ethernet header on.
        @inlinable
        public var octets: Int {
            count == 1 ? length &- VirtioNetHeader.length : Int(count) &* Int(headers) &+ Int(payload)
        }
    }

    fileprivate enum State: UInt8 {
        /// It is not known yet whether other frames may follow the first.
        case unknown
        case open
        case closed
    }

    /// A frame of the batch, and the one of the same run that follows it.
    @usableFromInline
    struct Link {
        @usableFromInline var start: UnsafeMutableRawPointer
        @usableFromInline var length: Int32
        @usableFromInline var next: Int32
    }

    /// The kinds that are coalesced from the next frame on.
    public var coalescing: Kinds
    /// How many runs there are.
    public private(set) var count = 0
    /// True if a frame was added to a run over frames of other runs.
    public private(set) var isInterleaved = false
    /// The runs: the first `count` are in use.
    public let runs: UnsafeMutablePointer<Run>
    @usableFromInline let links: UnsafeMutablePointer<Link>
    private var frames = 0
    private let capacity: Int
    /// For each hash of a conversation: the epoch, and behind it in 16 bits the newest run of either of its flows.
    private let table: UnsafeMutablePointer<UInt64>
    private var epoch: UInt64 = 1
    private static let slotBits: UInt64 = 11

    /// - Parameter capacity: The most frames of a batch, less than 65,536.
    public init(capacity: Int, coalescing: Kinds) {
        precondition(capacity > 0 && capacity < 1 << 16)
        self.capacity = capacity
        self.coalescing = coalescing
        runs = .allocate(capacity: capacity)
        links = .allocate(capacity: capacity)
        table = .allocate(capacity: 1 << Int(Self.slotBits))
        table.initialize(repeating: 0, count: 1 << Int(Self.slotBits))
    }

    deinit {
        runs.deallocate()
        links.deallocate()
        table.deallocate()
    }

    /// Forgets the frames; a batch begins.
    public mutating func removeAll() {
        count = 0
        frames = 0
        isInterleaved = false
        epoch &+= 1
    }

    /// The frame behind another one of the same run, by their indices in the batch.
    @inlinable @inline(__always)
    public func next(after frame: Int32) -> Int32 { links[Int(frame)].next }

    /// A part of a run as a run of its own: consecutive frames of the batch, from `frame` on.
    ///
    /// - Parameter frame: The index of a frame of the run in the batch.
    public func part(of run: borrowing Run, from frame: Int32) -> Run {
        let first = links[Int(frame)]
        var part = Run(
            start: first.start, length: Int(first.length), kind: run.kind, at: run.networkOffset, twin: -1, first: frame
        )
        part.headers = run.headers
        part.segment = run.segment
        let headers = VirtioNetHeader.length &+ Int(run.headers)
        part.payload = first.length &- Int32(truncatingIfNeeded: headers)
        while links[Int(part.last)].next == part.last &+ 1 {
            part.last &+= 1
            part.count &+= 1
            part.payload &+= links[Int(part.last)].length &- Int32(truncatingIfNeeded: headers)
        }
        return part
    }

    /// Puts the next frame of the batch, whose packet stands right behind the Ethernet header, into a run. It must stay
    /// where it is, and as it is, until the batch ends.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    public mutating func add(_ start: UnsafeMutableRawPointer, _ length: Int) {
        add(start, length, FrameKind(start, length), at: EthernetView.length)
    }

    /// Puts the next frame of the batch into a run. It must stay where it is, and as it is, until the batch ends.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    ///   - kind: The kind of its packet.
    ///   - networkOffset: Where the packet begins, from the Ethernet header on; less than 65,536. A tag or a stack of labels
    ///     before it belongs to the flow.
    @inline(__always)
    public mutating func add(
        _ start: UnsafeMutableRawPointer, _ length: Int, _ kind: FrameKind, at networkOffset: Int
    ) {
        precondition(frames < capacity)
        let frame = Int32(truncatingIfNeeded: frames)
        (links + frames).initialize(to: Link(start: start, length: Int32(truncatingIfNeeded: length), next: -1))
        frames &+= 1
        guard kind != .other else {
            epoch &+= 1
            append(start, length, .other, at: networkOffset, twin: -1, frame)
            return
        }
        let octets = UnsafeRawPointer(start) + VirtioNetHeader.length
        let slot = table + Self.slot(octets + networkOffset, kind)
        var twin: Int32 = -1
        if slot.pointee >> 16 == epoch {
            let index = Int(slot.pointee & 0xFFFF)
            let run = runs + index
            if run.pointee.kind == kind, run.pointee.networkOffset == networkOffset,
                CoalescableSegment.areOfOneFlow(
                    UnsafeRawPointer(run.pointee.start) + VirtioNetHeader.length, octets, kind, at: networkOffset)
            {
                if append(start, length, frame, to: run, at: networkOffset) {
                    if index != count &- 1 { isInterleaved = true }
                    return
                }
                twin = run.pointee.twin >= 0 ? run.pointee.twin : Int32(truncatingIfNeeded: index)
            }
        }
        slot.pointee = epoch << 16 | UInt64(truncatingIfNeeded: count)
        append(start, length, kind, at: networkOffset, twin: twin, frame)
    }

    @inline(__always)
    private mutating func append(
        _ start: UnsafeMutableRawPointer, _ length: Int, _ kind: FrameKind, at networkOffset: Int, twin: Int32,
        _ frame: Int32
    ) {
        (runs + count).initialize(
            to: Run(start: start, length: length, kind: kind, at: networkOffset, twin: twin, first: frame))
        count &+= 1
    }

    /// The slot of a conversation. Both flows have the same one, so a frame of one flow displaces the other's run.
    @inline(__always)
    private static func slot(_ network: UnsafeRawPointer, _ kind: FrameKind) -> Int {
        let (from, to): (UInt64, UInt64)
        if kind.family == .ipv4 {
            from = UInt64(network.raw(IPv4Header.sourceAddress))
            to = UInt64(network.raw(IPv4Header.destinationAddress))
        } else {
            from = halves(network, IPv6Header.sourceAddress)
            to = halves(network, IPv6Header.destinationAddress)
        }
        let ports = (network + kind.networkLength).raw(PortHeader.ports)
        // Sums and differences know no direction.
        let (sum, difference) = (from &+ to, from ^ to)
        let (low, high) = (ports & 0xFFFF, ports >> 16)
        var hash = (sum &+ UInt64(low &+ high) << 32) &* 0xBF58_476D_1CE4_E5B9
        hash ^= (difference &+ UInt64(low ^ high) << 40) &* 0x9E37_79B9_7F4A_7C15
        hash = (hash ^ hash >> 29) &* 0xBF58_476D_1CE4_E5B9
        return Int(truncatingIfNeeded: hash >> (64 - slotBits))
    }

    /// Both halves of an IPv6 address in one word.
    @inline(__always)
    private static func halves(_ network: UnsafeRawPointer, _ field: HeaderField<IPAddress>) -> UInt64 {
        network.raw(field.high) ^ network.raw(field.low) &* 0xD6E8_FEB8_6659_FD93
    }

    /// Appends a frame to a run of its flow, where that is open and the frame is its next segment.
    ///
    /// It is compiled into `add`. So the place of every field is a constant where `networkOffset` is one.
    @inline(__always)
    private mutating func append(
        _ start: UnsafeMutableRawPointer, _ length: Int, _ frame: Int32, to run: UnsafeMutablePointer<Run>,
        at networkOffset: Int
    ) -> Bool {
        let kind = run.pointee.kind
        guard kind.isTCP ? coalescing.tcp : coalescing.udp, run.pointee.state != .closed else { return false }
        if run.pointee.state == .unknown, !open(run) { return false }
        let network = VirtioNetHeader.length &+ networkOffset
        guard let next = CoalescableSegment(start, length, kind, at: networkOffset),
            next.headers == Int(run.pointee.headers),
            next.identification == run.pointee.identification, next.sequence == run.pointee.sequence,
            next.payload <= Int(run.pointee.segment), run.pointee.count < Self.mostSegments,
            next.headers &- networkOffset &+ Int(run.pointee.payload) &+ next.payload <= Self.mostOctets,
            CoalescableSegment.agree(
                UnsafeRawPointer(run.pointee.start) + network, UnsafeRawPointer(start) + network, kind,
                headers: next.headers &- networkOffset),
            CoalescableSegment.checksumsHold(start, length, kind, at: networkOffset), !isHeartbeat(start, length)
        else { return false }
        links[Int(run.pointee.last)].next = frame
        run.pointee.last = frame
        run.pointee.count &+= 1
        run.pointee.payload &+= Int32(truncatingIfNeeded: next.payload)
        expect(after: next, in: run)
        if next.payload < Int(run.pointee.segment) { run.pointee.state = .closed }
        return true
    }

    /// Finds out whether the first frame of a run may be followed by others.
    private func open(_ run: UnsafeMutablePointer<Run>) -> Bool {
        let (start, length, kind) = (run.pointee.start, run.pointee.length, run.pointee.kind)
        let networkOffset = run.pointee.networkOffset
        run.pointee.state = .closed
        guard let first = CoalescableSegment(start, length, kind, at: networkOffset), !first.isLast,
            CoalescableSegment.checksumsHold(start, length, kind, at: networkOffset), !isHeartbeat(start, length)
        else { return false }
        run.pointee.state = .open
        run.pointee.headers = Int32(truncatingIfNeeded: first.headers)
        run.pointee.segment = Int32(truncatingIfNeeded: first.payload)
        run.pointee.payload = run.pointee.segment
        expect(after: first, in: run)
        return true
    }

    /// Notes what the segment behind this one has to have.
    @inline(__always)
    private func expect(after segment: CoalescableSegment, in run: UnsafeMutablePointer<Run>) {
        if segment.isLast { run.pointee.state = .closed }
        if run.pointee.kind.family == .ipv4 { run.pointee.identification = segment.identification &+ 1 }
        if run.pointee.kind.isTCP {
            run.pointee.sequence = segment.sequence &+ UInt32(truncatingIfNeeded: segment.payload)
        }
    }

    @inline(__always)
    private func isHeartbeat(_ start: UnsafeRawPointer, _ length: Int) -> Bool {
        HeartbeatLimits.ends(
            start + VirtioNetHeader.length, length &- VirtioNetHeader.length, with: coalescing.heartbeatToken)
    }
}
