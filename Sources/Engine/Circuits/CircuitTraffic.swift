import Forwarding
import Wire

/// The circuits of one worker, and the memory for their frames, which is as large from the beginning as it ever gets.
struct CircuitTraffic: ~Copyable {
    /// Octets before a packet: an offload header and an Ethernet header.
    static let headroom = VirtioNetHeader.length + EthernetView.length
    /// Octets for packets of links without Ethernet, which need more room before them than they came with: those of a whole
    /// batch.
    private static let roomSize = FrameArena.comfortableSize + 2 * frameSlotSize + FrameBatch.capacity * 128

    var table: Snapshot?
    var counters: CounterBlock?
    /// Copies frames as they are on the devices; nil while nobody wants them.
    var devices: CapturePoint?
    let captureRoom: UnsafeMutableRawPointer
    /// The circuit of the frame before, and its place in the table.
    var record: CircuitRecord?
    var place = -1
    /// The circuits of the batch's interface.
    var range = 0..<0
    /// The frames of the batch that belong to circuits, and the interface of each; -1 behind the last `next`.
    private let frames: UnsafeMutablePointer<ReceivedFrame>
    private let owners: UnsafeMutablePointer<Int32>
    private var kept = 0
    /// The first of `frames` that `next` has not given out.
    private var first = 0
    private let lost: UnsafeMutablePointer<LostFrame>
    private var losses = 0
    private let room: UnsafeMutableRawPointer
    private var roomUsed = 0
    /// Questions of frame relay.
    var questions = 0
    let question: UnsafeMutablePointer<FrameRelayQuestion>
    static let mostQuestions = 8
    var answerInterface = 0
    /// What is sent.
    var writes = WriteList()
    /// The place of each write of `writes` in the list that it is from.
    let places: UnsafeMutablePointer<Int32>

    init() {
        frames = .allocate(capacity: FrameBatch.capacity)
        owners = .allocate(capacity: FrameBatch.capacity)
        lost = .allocate(capacity: FrameBatch.capacity)
        places = .allocate(capacity: WriteList.capacity)
        question = .allocate(capacity: Self.mostQuestions)
        room = .allocate(byteCount: Self.roomSize, alignment: 64)
        captureRoom = .allocate(byteCount: CapturePoint.roomSize, alignment: 64)
        captureRoom.initializeMemory(as: UInt8.self, repeating: 0, count: CapturePoint.roomSize)
    }

    deinit {
        frames.deallocate()
        owners.deallocate()
        lost.deallocate()
        places.deallocate()
        question.deallocate()
        room.deallocate()
        captureRoom.deallocate()
    }

    mutating func take(_ table: Snapshot, _ counters: CounterBlock) {
        self.table = table
        self.counters = counters
        (record, place) = (nil, -1)
    }

    var lostFrames: UnsafeBufferPointer<LostFrame> { UnsafeBufferPointer(start: lost, count: losses) }

    // MARK: - Receipt

    /// Leaves the frames in the batch that are the device's own interface's, and keeps back those of its circuits.
    mutating func sort(_ batch: inout FrameBatch, at now: MonotonicTime) {
        (kept, first, losses, roomUsed, questions) = (0, 0, 0, 0, 0)
        guard batch.count > 0, let table else { return }
        range = table.circuits(on: batch.interface)
        guard !range.isEmpty else { return }
        if !range.contains(place) { take(range.lowerBound, table) }
        guard let link = record?.circuit.link else { return }
        var plain = 0
        for index in 0..<batch.count {
            let frame = batch.frames[index]
            let outcome =
                link == .ethernet ? open(frame, table) : openWithoutEthernet(frame, link, table, batch.interface)
            switch outcome {
            case .plain:
                batch.frames[plain] = frame
                plain &+= 1
            case .circuit(let opened):
                frames[kept] = opened
                owners[kept] = Int32(truncatingIfNeeded: record?.interface ?? 0)
                kept &+= 1
            case .lost(let reason): lose(frame, reason, batch.interface, now)
            case .answered:
                counters?.countReceived(batch.interface, packets: 1, bytes: frame.length)
            }
        }
        batch.count = plain
    }

    /// The frames of one more circuit.
    ///
    /// - Returns: False if there is none.
    @inline(__always)
    mutating func next(_ batch: inout FrameBatch) -> Bool {
        guard first < kept else { return false }
        give(&batch)
        return true
    }

    private mutating func give(_ batch: inout FrameBatch) {
        let owner = owners[first]
        losses = 0
        batch.interface = Int(owner)
        batch.truncated = 0
        batch.closed = false
        var (count, left) = (0, first)
        for index in first..<kept where owners[index] >= 0 {
            if owners[index] == owner {
                batch.frames[count] = frames[index]
                owners[index] = -1
                count &+= 1
            }
        }
        batch.count = count
        while left < kept, owners[left] < 0 { left &+= 1 }
        first = left
    }

    /// Reads the circuit at a place.
    mutating func take(_ place: Int, _ table: Snapshot) {
        record = table.circuit(at: place)
        self.place = place
    }

    private enum Outcome {
        case plain
        case circuit(ReceivedFrame)
        case lost(DropReason)
        case answered
    }

    @inline(__always)
    private mutating func open(_ frame: ReceivedFrame, _ table: Snapshot) -> Outcome {
        let start = frame.start + VirtioNetHeader.length
        let count = frame.length &- VirtioNetHeader.length
        guard count >= EthernetView.length else { return .plain }
        let octets = UnsafeRawBufferPointer(start: start, count: count)
        var outer = OuterHeaders()
        if let fault = outer.readEthernet(octets.bytes) { return .lost(DropReason(fault)) }
        if outer.key.isPlain { return .plain }
        let found = table.circuit(outer.key, in: range, guess: place)
        guard found >= 0 else { return .lost(.unknownCircuit) }
        if found != place { take(found, table) }
        // The kernel sends none through a device without offloads. Their offsets would not be the inner frame's.
        guard frame.start.load(fromByteOffset: VirtioNetHeader.gsoType.offset, as: UInt8.self) == 0,
            frame.start.load(as: UInt8.self) & VirtioNetHeader.needsChecksum == 0
        else { return .lost(.badOffloadHeader) }
        guard let circuit = record?.circuit else { return .lost(.unknownCircuit) }
        switch circuit.content(of: octets.bytes, outer) {
        case .tagged(let type):
            let skipped = type &- 12
            memmove12(from: start, to: start + skipped)
            return .circuit(Self.framed(start + skipped, count &- skipped))
        case .frame(let range):
            guard circuit.takes(start) else { return .lost(.notForUs) }
            return .circuit(Self.framed(start + range.lowerBound, range.count))
        case .packet(let range, let type, let ttl):
            guard circuit.takes(start) else { return .lost(.notForUs) }
            let source = EthernetAddresses(of: start).source
            if let ttl { Self.lower(start + range.lowerBound, range.count, type, ttl) }
            return .circuit(Self.packet(at: start + range.lowerBound, range.count, type, from: source, circuit))
        case .fault(let fault): return .lost(DropReason(fault))
        }
    }

    @inline(__always)
    private func memmove12(from source: UnsafeMutableRawPointer, to target: UnsafeMutableRawPointer) {
        let first = source.loadUnaligned(as: UInt64.self)
        let rest = source.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
        target.storeBytes(of: first, as: UInt64.self)
        target.storeBytes(of: rest, toByteOffset: 8, as: UInt32.self)
    }

    /// A received frame at `start`, with an offload header before it.
    @inline(__always)
    private static func framed(_ start: UnsafeMutableRawPointer, _ count: Int) -> ReceivedFrame {
        let header = start - VirtioNetHeader.length
        header.storeBytes(of: 0, as: UInt64.self)
        header.storeBytes(of: 0, toByteOffset: 8, as: UInt16.self)
        return ReceivedFrame(start: header, length: count &+ VirtioNetHeader.length)
    }

    /// A packet at `start`, with an Ethernet header to the engine before it.
    private static func packet(
        at start: UnsafeMutableRawPointer, _ count: Int, _ type: UInt16, from source: MACAddress, _ circuit: Circuit
    ) -> ReceivedFrame {
        let frame = start - EthernetView.length
        var bytes = UnsafeMutableRawBufferPointer(start: frame, count: EthernetView.length).mutableBytes
        EthernetView.write(&bytes, destination: circuit.engine, source: source, type: type)
        return framed(frame, count &+ EthernetView.length)
    }

    /// Gives a packet the TTL of its label, if that is lower.
    private static func lower(_ start: UnsafeMutableRawPointer, _ count: Int, _ type: UInt16, _ ttl: UInt8) {
        guard count >= (type == EtherType.ipv4 ? IPv4View.minimumLength : IPv6View.length) else { return }
        var packet = UnsafeMutableRawBufferPointer(start: start, count: count).mutableBytes
        LabelStack.lowerHopLimit(&packet, type, to: ttl)
    }

    private mutating func openWithoutEthernet(
        _ frame: ReceivedFrame, _ link: Encapsulation.Link, _ table: Snapshot, _ interface: Int
    ) -> Outcome {
        guard frame.length > Circuit.tunLength else { return .lost(.truncatedFrame) }
        let start = frame.start + Circuit.tunLength
        let octets = UnsafeRawBufferPointer(start: start, count: frame.length &- Circuit.tunLength)
        var outer = OuterHeaders()
        let fault = link == .atm ? outer.readATM(octets.bytes) : outer.readFrameRelay(octets.bytes)
        if let fault { return .lost(DropReason(fault)) }
        if link == .frameRelay, FrameRelayStatus.isStatus(outer.key.low) {
            guard let status = FrameRelayStatus(octets.bytes) else { return .lost(.badFrameRelayStatus) }
            note(.status(status), interface)
            return .answered
        }
        let found = table.circuit(outer.key, in: range, guess: place)
        guard found >= 0 else { return .lost(.unknownCircuit) }
        if found != place { take(found, table) }
        guard let circuit = record?.circuit else { return .lost(.unknownCircuit) }
        if link == .frameRelay, InverseARP.isOne(octets.bytes) {
            guard let asked = InverseARP(octets.bytes) else { return .lost(.badInverseARP) }
            guard let own = table.ownSource(on: record?.interface ?? interface, towards: asked.address) else {
                return .lost(.neighbourNotOurs)
            }
            note(.address(asked, own: own), interface)
            return .answered
        }
        switch circuit.content(of: octets.bytes, outer) {
        case .packet(let range, let type, _):
            guard roomUsed &+ Self.headroom &+ range.count <= Self.roomSize else { return .lost(.truncatedFrame) }
            let packet = room + roomUsed + Self.headroom
            packet.copyMemory(from: start + range.lowerBound, byteCount: range.count)
            roomUsed = (roomUsed &+ Self.headroom &+ range.count &+ 63) & ~63
            return .circuit(Self.packet(at: packet, range.count, type, from: circuit.peer, circuit))
        case .fault(let fault): return .lost(DropReason(fault))
        case .tagged, .frame: return .lost(.unknownCircuit)
        }
    }

    /// Keeps a question until it is answered. So many at once are answered, and no more.
    private mutating func note(_ asked: FrameRelayQuestion, _ interface: Int) {
        guard questions < Self.mostQuestions else { return }
        (question + questions).initialize(to: asked)
        questions &+= 1
        answerInterface = interface
    }

    @inline(never)
    private mutating func lose(
        _ frame: ReceivedFrame, _ reason: DropReason, _ interface: Int, _ now: MonotonicTime
    ) {
        (lost + losses).initialize(to: LostFrame(frame: frame, failure: WriteOutcome.dropped(reason)))
        losses &+= 1
        guard let counters else { return }
        counters.countReceived(
            interface, packets: 1, bytes: max(0, frame.length &- VirtioNetHeader.length))
        counters.countDrop(reason)
        counters.countReceiveDrop(interface)
        guard counters.isUnnoted(reason, at: now.nanoseconds), frame.length >= Self.headroom else { return }
        let source =
            record?.circuit.link == .ethernet
            ? EthernetAddresses(of: frame.start + VirtioNetHeader.length).source : record?.circuit.peer
        counters.note(
            DroppedFrame(
                interface: interface, sourceMAC: source ?? MACAddress(bits: 0), source: nil, destination: nil,
                time: now),
            for: reason)
    }
}

/// What the other end of a frame relay link asks the engine itself.
enum FrameRelayQuestion {
    /// Which circuits there are.
    case status(FrameRelayStatus)
    /// Which address the engine has on a circuit.
    case address(InverseARP, own: IPAddress)
}

extension Circuit {
    /// True if a frame of labels is for the engine: to its address, to all, or to the other end of a link of two.
    ///
    /// - Parameter frame: Its Ethernet header.
    @inline(__always)
    func takes(_ frame: UnsafeRawPointer) -> Bool {
        let destination = EthernetAddresses(of: frame).destination
        return destination == engine || destination == Circuit.pointToPoint || destination.bits == 0xFFFF_FFFF_FFFF
    }
}
