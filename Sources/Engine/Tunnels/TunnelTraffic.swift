import Forwarding
import Wire

/// The tunnels of one worker, and the memory for their frames, which is as large from the beginning as it ever gets.
struct TunnelTraffic: ~Copyable {
    var table: Snapshot?
    var counters: CounterBlock?
    /// The tunnel of the frame before, and its place in the table.
    var record: TunnelRecord?
    var place = -1
    /// Copies packets of underlays as they are on the wire; nil while nobody wants them.
    var wire: CapturePoint?
    /// The time of the batch.
    var time = MonotonicTime(nanoseconds: 0)
    /// The tunnels of the batch's interface.
    var range = 0..<0
    /// The frames of the batch that came out of tunnels, and the interface of each; -1 behind the last `next`.
    private let frames: UnsafeMutablePointer<ReceivedFrame>
    private let owners: UnsafeMutablePointer<Int32>
    private var kept = 0
    /// The first of `frames` that `next` has not given out.
    private var first = 0
    private let lost: UnsafeMutablePointer<LostFrame>
    private var losses = 0
    /// The frames of the batch from the first on that must be cut before it is known what is in them, and their interface.
    let rest: UnsafeMutablePointer<ReceivedFrame>
    var restFirst = 0
    var restCount = 0
    var restInterface = 0
    /// How many segments of the first of `rest` are cut.
    var cut = 0
    /// What they are cut into.
    let room: UnsafeMutableRawPointer
    static let roomSize = 4 * frameSlotSize
    /// The base's losses may be as many as a batch, and so may the tunnels'.
    private static let mostLosses = 2 * FrameBatch.capacity
    /// What is sent.
    var writes = WriteList()
    /// The place of each write of `writes` in the list that it is from.
    let places: UnsafeMutablePointer<Int32>

    init() {
        frames = .allocate(capacity: FrameBatch.capacity)
        owners = .allocate(capacity: FrameBatch.capacity)
        lost = .allocate(capacity: Self.mostLosses)
        rest = .allocate(capacity: FrameBatch.capacity)
        room = .allocate(byteCount: Self.roomSize, alignment: 64)
        places = .allocate(capacity: WriteList.capacity)
    }

    deinit {
        frames.deallocate()
        owners.deallocate()
        lost.deallocate()
        rest.deallocate()
        room.deallocate()
        places.deallocate()
    }

    mutating func take(_ table: Snapshot, _ counters: CounterBlock) {
        self.table = table
        self.counters = counters
        (record, place) = (nil, -1)
    }

    var lostFrames: UnsafeBufferPointer<LostFrame> { UnsafeBufferPointer(start: lost, count: losses) }

    // MARK: - Receipt

    /// Leaves the frames in the batch that are for no tunnel, and keeps back those that come out of tunnels.
    ///
    /// - Parameter others: What the base has lost.
    mutating func sort(
        _ batch: inout FrameBatch, besides others: UnsafeBufferPointer<LostFrame>, at now: MonotonicTime
    ) {
        (losses, restFirst, restCount) = (0, 0, 0)
        for other in others.prefix(FrameBatch.capacity) {
            (lost + losses).initialize(to: other)
            losses &+= 1
        }
        sort(&batch, mayCut: true, at: now)
    }

    /// The same of a part of a batch.
    mutating func sort(_ batch: inout FrameBatch, mayCut: Bool, at now: MonotonicTime) {
        (kept, first) = (0, 0)
        guard batch.count > 0, let table else { return }
        range = table.tunnels(on: batch.interface)
        time = now
        guard !range.isEmpty else { return }
        var plain = 0
        for index in 0..<batch.count {
            let frame = batch.frames[index]
            switch open(frame, table, mayCut: mayCut) {
            case .plain:
                batch.frames[plain] = frame
                plain &+= 1
            case .opened(let opened):
                frames[kept] = opened
                owners[kept] = Int32(truncatingIfNeeded: record?.interface ?? 0)
                kept &+= 1
            case .lost(let reason): lose(frame, reason, batch.interface, now)
            case .uncut:
                setAside(batch, from: index)
                batch.count = plain
                return
            }
        }
        batch.count = plain
    }

    /// The frames of one more tunnel, or the next of those that must be cut.
    ///
    /// - Returns: False if there is none.
    @inline(__always)
    mutating func next(_ batch: inout FrameBatch, at now: MonotonicTime) -> Bool {
        if first < kept {
            give(&batch)
            return true
        }
        guard restFirst < restCount else { return false }
        losses = 0
        resume(&batch)
        sort(&batch, mayCut: false, at: now)
        return true
    }

    private mutating func give(_ batch: inout FrameBatch) {
        let owner = owners[first]
        losses = 0
        batch.interface = Int(owner)
        batch.truncated = 0
        batch.closed = false
        var count = 0
        for index in first..<kept where owners[index] == owner {
            batch.frames[count] = frames[index]
            owners[index] = -1
            count &+= 1
        }
        batch.count = count
        while first < kept, owners[first] < 0 { first &+= 1 }
    }

    /// Reads the tunnel at a place.
    mutating func take(_ place: Int, _ table: Snapshot) {
        record = table.tunnel(at: place)
        self.place = place
    }

    /// A received frame at `start`, with an offload header before it.
    @inline(__always)
    static func framed(_ start: UnsafeMutableRawPointer, _ count: Int) -> ReceivedFrame {
        let header = start - VirtioNetHeader.length
        header.storeBytes(of: 0, as: UInt64.self)
        header.storeBytes(of: 0, toByteOffset: 8, as: UInt16.self)
        return ReceivedFrame(start: header, length: count &+ VirtioNetHeader.length)
    }

    @inline(never)
    private mutating func lose(
        _ frame: ReceivedFrame, _ reason: DropReason, _ interface: Int, _ now: MonotonicTime
    ) {
        if losses < Self.mostLosses {
            (lost + losses).initialize(to: LostFrame(frame: frame, failure: WriteOutcome.dropped(reason)))
            losses &+= 1
        }
        guard let counters else { return }
        let packets = Self.packets(of: frame)
        counters.countReceived(interface, packets: packets, bytes: max(0, frame.length &- VirtioNetHeader.length))
        counters.countDrop(reason, packets)
        counters.countReceiveDrop(interface, packets)
        guard counters.isUnnoted(reason, at: now.nanoseconds), frame.length >= CircuitTraffic.headroom else { return }
        let octets = UnsafeRawBufferPointer(
            start: frame.start + VirtioNetHeader.length, count: frame.length &- VirtioNetHeader.length)
        let outer = OuterTransport(octets.bytes)
        counters.note(
            DroppedFrame(
                interface: interface, sourceMAC: EthernetAddresses(of: frame.start + VirtioNetHeader.length).source,
                source: outer?.source, destination: outer?.destination, time: now),
            for: reason)
    }
}
