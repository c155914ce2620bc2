import Forwarding
import Wire

/// The rules of forwarding for one worker: one frame in, its copies out. It knows no operating system. Besides the
/// table, its only state is the frames that wait, and the limits of each sender.
struct Forwarder: ~Copyable {
    /// The offset of a frame behind its `virtio_net_hdr`, in octets.
    static let frameOffset = VirtioNetHeader.length

    var table: Snapshot
    var counters: CounterBlock
    let neighbours: NeighbourTable
    let drains: DrainTable
    let memberships: MembershipTable
    let worker: Int
    /// The monotonic clock in nanoseconds, read once a turn.
    var now: UInt64 = 0
    /// Frames that wait for a neighbour.
    var pending = PendingFrames()
    /// The ports of fragmented datagrams, if ports decide.
    let datagrams = DatagramTable()
    /// Fragments that wait for the first one of their datagram.
    var held = HeldFragments()
    /// The value of `NeighbourTable.lessons` at the last look at all waiting frames.
    var lessonsSeen: UInt64 = 0

    // The parts of the frame at hand. They are stored here, so that nothing is passed around by value.
    var fields = PacketFields()
    var offload = VirtioNetHeader()
    /// The packets of the frame: its segments if it is a GSO frame.
    var packets = 1
    /// The size of the longest packet that the receiver's kernel makes of the frame, in octets.
    var packetLength = 0
    /// Counts the frames, so that a frame that is kept is recognized.
    var frameNumber: UInt64 = 0
    /// The readable parts of the frame, for the record of the last one dropped.
    var seen = Seen()
    /// The targets of the frame at hand that depend on a membership: those that get a copy, and those that do not.
    var joined = (taken: 0, skipped: 0)
    /// If the frame waited for a neighbour, only the copies for this neighbour are made.
    var only: (interface: Int, address: IPAddress)?

    // State of the fast path; see FastPath.swift.
    var coalescer: FrameCoalescer
    var plans = CopyPlans()
    var verdicts = AccessVerdicts()
    /// The counter of the rule that denied a packet last; -1 if none has.
    var lastDenial = -1
    var fast = FastPathPacket()
    var ends = FrameEnds(sender: Sender.unknown)
    var prefixes = PrefixMemory()
    /// A destination that is known not to be the engine's own.
    var foreign = IPAddress(ipv4: 0)
    var received = ReceivedSum()
    /// For each run of the batch, its entry; -1 if it did not take the fast path.
    let decided: UnsafeMutablePointer<Int32>
    var arrivals = ArrivalOrder(capacity: FrameBatch.capacity)

    /// The limits of the engine's own frames, by the sender that causes them.
    let budgets = Budgets()

    init(table: PublishedTable, neighbours: NeighbourTable, worker: Int, tuning: EngineTuning) {
        coalescer = FrameCoalescer(
            capacity: FrameBatch.capacity,
            coalescing: FrameCoalescer.Kinds(
                tcp: tuning.coalesces, udp: tuning.coalesces && tuning.coalescesUDP,
                heartbeatToken: table.snapshot.heartbeatToken))
        decided = .allocate(capacity: FrameBatch.capacity)
        decided.initialize(repeating: -1, count: FrameBatch.capacity)
        self.table = table.snapshot
        counters = CounterBlock(memory: table.counters, layout: table.layout, worker: worker)
        self.neighbours = neighbours
        drains = DrainTable(behind: neighbours)
        memberships = MembershipTable(behind: neighbours)
        self.worker = worker
        counters.generation = table.snapshot.generation
    }

    deinit { decided.deallocate() }

    /// Decides by another table from now on.
    mutating func take(_ published: PublishedTable) {
        table = published.snapshot
        counters = CounterBlock(memory: published.counters, layout: published.layout, worker: worker)
        counters.generation = published.snapshot.generation
        coalescer.coalescing.heartbeatToken = table.heartbeatToken
        plans.removeAll()
        prefixes = PrefixMemory()
        foreign = IPAddress(ipv4: 0)
    }

    /// Forwards one frame: adds its copies, or an answer, to `writes`, and counts.
    mutating func forward(_ frame: ReceivedFrame, from interface: Int, into writes: inout WriteList) {
        packets = 1
        only = nil
        frameNumber &+= 1
        seen = Seen()
        let reason = handle(frame, from: interface, into: &writes)
        counters.countReceived(interface, packets: packets, bytes: max(0, frame.length &- Self.frameOffset))
        if let reason {
            counters.countDrop(reason, packets)
            counters.countReceiveDrop(interface, packets)
            if seen.ethernet, counters.isUnnoted(reason, at: now) { noteDrop(reason, on: interface) }
        }
    }

    @inline(never)
    func noteDrop(_ reason: DropReason, on interface: Int) {
        counters.note(
            DroppedFrame(
                interface: interface, sourceMAC: fields.sourceMAC, source: seen.source, destination: seen.destination,
                time: MonotonicTime(nanoseconds: now)),
            for: reason)
    }

    /// - Returns: Why the whole frame is dropped; nil if it was answered, or at least one copy was tried.
    private mutating func handle(
        _ frame: ReceivedFrame, from interface: Int, into writes: inout WriteList
    ) -> DropReason? {
        switch admit(frame, from: interface) {
        case .refused(let reason): return reason
        case .heartbeat:
            counters.countHeartbeat()
            return nil
        case .packet(let sender): return forwardPacket(frame, from: interface, sender, into: &writes)
        case .arp(let sender):
            let octets = UnsafeRawBufferPointer(
                start: frame.start + Self.frameOffset, count: frame.length &- Self.frameOffset)
            return answerARP(octets.bytes, from: interface, sender, into: &writes)
        }
    }

    /// Whether a frame gets as far as the table. It reads the frame into `fields` and `offload`, and counts nothing.
    mutating func admit(_ frame: ReceivedFrame, from interface: Int) -> Admission {
        let raw = UnsafeRawBufferPointer(start: frame.start, count: frame.length)
        guard let header = VirtioNetHeader(raw.bytes) else { return .refused(.truncatedFrame) }
        offload = header
        let octets = UnsafeRawBufferPointer(
            start: frame.start + Self.frameOffset, count: frame.length &- Self.frameOffset)
        if isHeartbeat(frame.start, frame.length) { return .heartbeat }
        let verdict = fields.parse(octets.bytes)
        seen.ethernet = octets.count >= EthernetView.length
        if case .packet = verdict { (seen.source, seen.destination) = (fields.flow.source, fields.flow.destination) }
        if case .malformed(let reason) = verdict { return .refused(Self.dropReason(reason)) }
        guard fields.destinationMAC.isMulticast || table.isOwnMAC(fields.destinationMAC, on: interface) else {
            return .refused(.notForUs)
        }
        guard !table.isOwnMAC(fields.sourceMAC, on: interface) else { return .refused(.looped) }
        let sender = table.sender(of: fields.sourceMAC, on: interface)
        switch verdict {
        case .packet:
            guard checkOffload(octets.bytes) else { return .refused(.badOffloadHeader) }
            guard isGenuine(from: sender, on: interface) else { return .refused(.spoofedSource) }
            return .packet(sender)
        case .arp:
            return .arp(sender)
        case .unsupported, .malformed:
            return .refused(sender.isStranger ? .spoofedSource : .unsupportedEthertype)
        }
    }

    /// True for the health checks' own packets. They end in a secret that only the watched nodes learn. They are small,
    /// so only small frames are looked at.
    @inline(__always)
    func isHeartbeat(_ start: UnsafeRawPointer, _ length: Int) -> Bool {
        HeartbeatLimits.ends(start + Self.frameOffset, length &- Self.frameOffset, with: table.heartbeatToken)
    }

    private mutating func forwardPacket(
        _ frame: ReceivedFrame, from interface: Int, _ sender: Sender, into writes: inout WriteList
    ) -> DropReason? {
        let octets = UnsafeRawBufferPointer(
            start: frame.start + Self.frameOffset, count: frame.length &- Self.frameOffset)
        if fields.message == .neighbourDiscovery {
            return answerDiscovery(octets.bytes, from: interface, sender, into: &writes)
        }
        if table.asksGroups(on: interface, fields.family), GroupMessage.isOne(fields, octets.bytes) {
            switch noteGroups(octets.bytes, on: interface) {
            case .taken: return nil
            case .refused(let reason): return reason
            case .unrelated: break
            }
        }
        if fields.destinationMAC.isMulticast, !fields.flow.destination.isMulticast,
            !fields.flow.destination.isLimitedBroadcast,
            !table.isLinkBroadcast(fields.flow.destination, on: interface)
        {
            // RFC 1122, section 3.3.6: a unicast packet in a broadcast frame is never forwarded.
            return .notForUs
        }
        let isForAll = fields.destinationMAC.isMulticast
        if table.takes(fields.flow) {
            return answerEcho(octets.bytes, from: interface, into: &writes)
        }
        switch decide(from: sender, on: interface) {
        case nil: return hold(frame, on: interface)
        case .forward(let index)?:
            let entry = table.entry(index)
            counters.countEntry(entry.counter, packets: packets, bytes: octets.count)
            copyAll(frame, entry, from: interface, sender: sender, into: &writes)
            return nil
        case .drop(let reason, let answer)?:
            // The broadcast address of a network, without an entry.
            if isForAll, answer != .none { return .notForUs }
            switch answer {
            case .none: break
            case .networkUnreachable:
                sendError(.networkUnreachable(fields.family), about: frame, to: interface, sender, into: &writes)
            case .portUnreachable:
                sendError(
                    .portUnreachable(fields.family), about: frame, to: interface, sender,
                    from: fields.flow.destination, into: &writes)
            }
            return reason
        }
    }

    /// Makes the copies of a frame that waited for a neighbour: only the copies for that neighbour.
    mutating func forwardAgain(_ index: Int, into writes: inout WriteList) {
        let slot = pending.slots[index].place
        let frame = pending.frame(index)
        guard readAgain(frame) else { return }
        only = (slot.interface, slot.address)
        defer { only = nil }
        let sender = table.sender(of: fields.sourceMAC, on: slot.receivedInterface)
        // It is decided again, because the table may have changed.
        guard case .forward(let entry)? = decide(from: sender, on: slot.receivedInterface) else {
            counters.countDrop(.neighbourUnresolved, packets)
            return
        }
        copyAll(frame, table.entry(entry), from: slot.receivedInterface, sender: sender, into: &writes)
    }

    /// Reads a frame that was read before.
    mutating func readAgain(_ frame: ReceivedFrame) -> Bool {
        let raw = UnsafeRawBufferPointer(start: frame.start, count: frame.length)
        guard let header = VirtioNetHeader(raw.bytes) else { return false }
        offload = header
        let octets = UnsafeRawBufferPointer(
            start: frame.start + Self.frameOffset, count: frame.length &- Self.frameOffset)
        guard case .packet = fields.parse(octets.bytes) else { return false }
        return checkOffload(octets.bytes)
    }

    // MARK: - The offload header

    /// True if the `virtio_net_hdr` fits the packet. Then `packets` and `packetLength` are right.
    ///
    /// The kernel refuses some false headers, but not all: a packet socket with PACKET_VNET_HDR in a node can send any.
    private mutating func checkOffload(_ frame: RawSpan) -> Bool {
        packets = 1
        packetLength = fields.packetLength
        let needsChecksum = offload.flags & VirtioNetHeader.needsChecksum != 0
        if needsChecksum {
            let field = Int(offload.checksumStart) &+ Int(offload.checksumOffset)
            guard Int(offload.checksumStart) >= fields.networkOffset, field &+ 2 <= frame.byteCount else {
                return false
            }
        }
        guard Int(offload.headerLength) <= frame.byteCount else { return false }
        let type = offload.gsoType & ~VirtioNetHeader.gsoECN
        if type == VirtioNetHeader.gsoNone {
            return offload.gsoType == VirtioNetHeader.gsoNone
        }
        guard needsChecksum, offload.gsoSize > 0, fields.fragment == .whole,
            Int(offload.checksumStart) == fields.transportOffset
        else { return false }
        let upper: Int
        switch type {
        case VirtioNetHeader.gsoTCPv4, VirtioNetHeader.gsoTCPv6:
            guard fields.family == (type == VirtioNetHeader.gsoTCPv4 ? .ipv4 : .ipv6),
                fields.transportProtocol == IPProtocol.tcp, Int(offload.checksumOffset) == TCPHeader.checksum.offset,
                let header = TCPView(frame, at: fields.transportOffset)
            else { return false }
            upper = header.headerLength
        case VirtioNetHeader.gsoUDPL4:
            guard offload.gsoType == type, fields.transportProtocol == IPProtocol.udp,
                Int(offload.checksumOffset) == UDPHeader.checksum.offset
            else { return false }
            upper = UDPView.length
        default:
            return false
        }
        let headers = fields.transportOffset &+ upper
        let payload = fields.end &- headers
        let size = Int(offload.gsoSize)
        guard payload > 0 else { return false }
        packets = (payload &+ size &- 1) / size
        packetLength = headers &- fields.networkOffset &+ min(size, payload)
        return true
    }

    private static func dropReason(_ reason: MalformedReason) -> DropReason {
        switch reason {
        case .truncatedEthernet: .truncatedFrame
        case .badSourceMAC, .sourceIsMulticast, .loopbackAddress: .badSourceAddress
        case .badDestination: .badDestinationAddress
        case .truncatedARP, .truncatedIPv4, .truncatedIPv6, .truncatedExtensionHeader: .truncatedNetworkHeader
        case .badARP, .badNeighbourMessage: .badNeighbourMessage
        case .badGroupMessage: .badGroupMessage
        case .badIPv4Version, .badIPv4HeaderLength, .badIPv4Options, .badIPv6Version, .misplacedExtensionHeader,
            .sourceRouted, .hopLimitZero:
            .badNetworkHeader
        case .badIPv4TotalLength, .badIPv6PayloadLength, .badUDPLength: .lyingLength
        case .badIPv4HeaderChecksum: .badHeaderChecksum
        case .headerChainTooLong: .headerChainTooLong
        case .badFragment: .badFragment
        case .truncatedTransport, .badTCPOffset, .truncatedICMP: .truncatedUpperHeader
        case .badQuotedPacket: .badQuote
        }
    }
}

/// Whether a frame gets as far as the table.
enum Admission {
    /// It is dropped before.
    case refused(DropReason)
    /// It is a health check's own packet, which ends here.
    case heartbeat
    /// An IP packet that its sender may send.
    case packet(Sender)
    case arp(Sender)
}

/// The readable parts of a frame.
struct Seen {
    /// True if the Ethernet header could be read.
    var ethernet = false
    /// The packet's source, or the address that a neighbour message's sender claims.
    var source: IPAddress?
    /// The packet's destination, or the address that a neighbour message is about.
    var destination: IPAddress?
}
