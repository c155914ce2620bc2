import Forwarding
import Wire

// The seam between forwarding and the operating system: a batch of frames in, a batch of writes out. Everything above it
// (`Forwarder`, `Worker`) is specialised for one backend at compile time; each backend is a file of its own.

/// The octets of one slot: a `virtio_net_hdr`, link headers, and the longest packet that offloading makes, rounded up
/// to pages.
public let frameSlotSize = 65_536 + 4_096

/// One frame as it was read.
public struct ReceivedFrame {
    /// The start of its `virtio_net_hdr`, valid until the next `receive`.
    public var start: UnsafeMutableRawPointer
    /// The octets that were read, including the `virtio_net_hdr`.
    public var length: Int

    /// Memberwise.
    @inlinable
    public init(start: UnsafeMutableRawPointer, length: Int) {
        self.start = start
        self.length = length
    }
}

/// The frames of one `receive`, all from one interface. Its memory is allocated once.
///
/// Until the next `receive` they belong to the engine. It may edit them in place, and write them from there.
public struct FrameBatch: ~Copyable {
    /// The largest number of frames in one batch: half of a TAP's ring. With more, flows that take turns would have
    /// longer runs, but other interfaces would wait longer while one is flooded.
    public static let capacity = 512
    /// The interface that they came from.
    public var interface = 0
    /// The number of frames.
    public var count = 0
    /// The number of frames that did not fit their slot. They are not in the batch.
    public var truncated = 0
    /// True if the queue is gone: its device was deleted, or the queue was detached.
    public var closed = false
    /// The frames: `capacity` of them, the first `count` in use.
    public let frames: UnsafeMutablePointer<ReceivedFrame>

    /// An empty batch.
    public init() {
        frames = .allocate(capacity: Self.capacity)
    }

    deinit { frames.deallocate() }
}

/// One write: a header of its own, then a part of a received frame.
public struct FrameWrite {
    /// The interface that it goes out of.
    public var interface: Int
    /// The `virtio_net_hdr` and the leading headers.
    public var header: UnsafeMutableRawPointer
    /// The octets at `header`.
    public var headerLength: Int
    /// The rest of the frame, in the buffer that it was read into.
    public var body: UnsafeRawPointer
    /// The octets at `body`; may be 0.
    public var bodyLength: Int
    /// The number of packets: the segments of a GSO frame.
    public var packets: Int
    /// The octets that it counts for: those of the received frames, from the Ethernet header on.
    public var octets: Int
    /// Set by the backend: 0, the errno of the failure, or a `WriteOutcome`.
    public var failure: Int32
}

/// The writes of one `send`. Its memory is allocated once.
public struct WriteList: ~Copyable {
    /// The largest number of writes in one list. One frame may need a good hundred of them (the fragments of a 64 KiB
    /// datagram).
    public static let capacity = 1_024
    /// The octets for the header of one write: the `virtio_net_hdr`, and everything that a rewrite edits.
    public static let headerCapacity = 576
    /// The octets for frames that the engine composes itself: answers, errors, fragments, superframes.
    static let scratchCapacity = 768 * 1_024
    /// The octets that one frame may need: two copies of it, and the headers of its fragments.
    static let comfortableScratch = 160 * 1_024

    /// The number of writes.
    public private(set) var count = 0
    /// The writes: `capacity` of them, the first `count` in use.
    public let writes: UnsafeMutablePointer<FrameWrite>
    private let headers: UnsafeMutableRawPointer
    private var headersUsed = 0
    private let scratch: UnsafeMutableRawPointer
    private var scratchUsed = 0

    /// An empty list.
    public init() {
        writes = .allocate(capacity: Self.capacity)
        headers = .allocate(byteCount: Self.capacity * Self.headerCapacity, alignment: 64)
        scratch = .allocate(byteCount: Self.scratchCapacity, alignment: 64)
    }

    deinit {
        writes.deallocate()
        headers.deallocate()
        scratch.deallocate()
    }

    /// True if the copies of any one frame fit. If not, send first.
    @inline(__always)
    var isComfortable: Bool { hasRoom(for: Self.comfortableScratch) }

    /// True if 256 more writes fit, with so many octets that are composed.
    @inline(__always)
    func hasRoom(for scratch: Int) -> Bool {
        count <= Self.capacity - 256 && scratchUsed <= Self.scratchCapacity - scratch
    }

    /// True if one more write fits.
    @inline(__always)
    var hasRoom: Bool { count < Self.capacity }

    /// The place of the next write's header, of `headerCapacity` octets. The caller has checked `hasRoom`.
    @inline(__always)
    var nextHeader: UnsafeMutableRawPointer { headers + headersUsed }

    /// Adds a write. Its header is at `nextHeader` (which it then occupies), in composed memory, or in a received
    /// frame.
    ///
    /// - Parameters:
    ///   - octets: The octets that it counts for; nil for those of the written frame.
    @inline(__always)
    mutating func add(
        interface: Int, header: UnsafeMutableRawPointer, headerLength: Int, body: UnsafeRawPointer, bodyLength: Int,
        packets: Int, octets: Int? = nil
    ) {
        precondition(count < Self.capacity)
        (writes + count).initialize(
            to: FrameWrite(
                interface: interface, header: header, headerLength: headerLength, body: body, bodyLength: bodyLength,
                packets: packets, octets: octets ?? headerLength &+ bodyLength &- VirtioNetHeader.length,
                failure: 0))
        count &+= 1
        // Short headers are close together.
        if header == nextHeader { headersUsed &+= (headerLength &+ 63) & ~63 }
    }

    /// `length` octets for a composed frame, until the list is sent; nil if there is no room.
    mutating func compose(_ length: Int) -> UnsafeMutableRawBufferPointer? {
        guard hasRoom, length <= Self.scratchCapacity - scratchUsed else { return nil }
        return UnsafeMutableRawBufferPointer(start: scratch + scratchUsed, count: length)
    }

    /// Keeps the first `length` octets of the last `compose`.
    mutating func keepComposed(_ length: Int) {
        scratchUsed += (length + 63) & ~63
    }

    /// Forgets all writes.
    @inline(__always)
    mutating func removeAll() {
        count = 0
        headersUsed = 0
        scratchUsed = 0
    }
}

/// How long a `FrameIO` may wait for frames.
public struct WaitLimit: Sendable, Hashable {
    /// Whole microseconds; -1: without end.
    let microseconds: Int64

    /// Until there is something to do.
    public static let unlimited = WaitLimit(microseconds: -1)
    /// Not at all.
    public static let zero = WaitLimit(microseconds: 0)
    /// A worker's turn while frames wait for a neighbour.
    static let short = WaitLimit(microseconds: 10_000)
    /// A worker's turn while nodes are to be asked which groups they are in.
    static let asking = WaitLimit(microseconds: 1_000_000)

    private init(microseconds: Int64) { self.microseconds = microseconds }

    /// - Parameter duration: At least zero; it is cut to whole microseconds.
    public init(_ duration: Duration) {
        microseconds = max(0, duration.wholeNanoseconds) / 1_000
    }

    /// The shorter one of this limit and a time, rounded up to whole microseconds.
    func or(nanoseconds: UInt64) -> WaitLimit {
        let other = Int64(truncatingIfNeeded: min(nanoseconds, 1 << 62) &+ 999) / 1_000
        return microseconds < 0 || other < microseconds ? WaitLimit(microseconds: other) : self
    }

    /// As epoll takes it, if it is whole milliseconds, or without end (-1).
    var milliseconds: Int32? {
        if microseconds < 0 { return -1 }
        return microseconds % 1_000 == 0 ? Int32(clamping: microseconds / 1_000) : nil
    }
}

/// Moves frames between the worker and the queues of the interfaces.
public protocol FrameIO: ~Copyable {
    /// The monotonic clock in nanoseconds, read once a turn.
    func now() -> MonotonicTime
    /// Waits until an interface has frames, the worker is woken, or the time is over.
    ///
    /// - Returns: How many queues have frames.
    mutating func wait(_ limit: WaitLimit) -> Int
    /// Reads a burst from one of the queues of the last `wait`, number `turn`, without blocking. The frames of the
    /// batch before are gone.
    mutating func receive(_ position: Int, into batch: inout FrameBatch)
    /// Gives further frames of the last `receive`, if they are of another interface.
    ///
    /// - Returns: False if there are none; the batch is as it was then.
    mutating func receiveMore(into batch: inout FrameBatch) -> Bool
    /// This table is in force from now on.
    mutating func decide(by table: Snapshot, counters: CounterBlock)
    /// Sends all writes in order, without blocking, and notes the failure of each.
    mutating func send(_ list: borrowing WriteList)
    /// True if the device of an interface finishes what is in tunnels over UDP: it completes checksums and cuts segments
    /// (`VirtioNetHeader.gsoTunnel`).
    func finishesTunnels(on interface: Int) -> Bool
    /// The queue index of the last batch, by which frames leave.
    var queueIndex: Int { get set }
    /// The frames that the last `receive` read and did not put into its batch, because an impaired link lost them.
    var lostFrames: UnsafeBufferPointer<LostFrame> { get }
}

/// A frame that was read and then lost. It is valid until the next `receive`.
public struct LostFrame {
    /// The frame.
    public var frame: ReceivedFrame
    /// Why: a `WriteOutcome`.
    public var failure: Int32
}

extension FrameIO where Self: ~Copyable {
    /// No link is impaired.
    public var lostFrames: UnsafeBufferPointer<LostFrame> { UnsafeBufferPointer(start: nil, count: 0) }

    /// Each `receive` has frames of one interface.
    @inlinable
    public mutating func receiveMore(into batch: inout FrameBatch) -> Bool { false }

    /// Nothing depends on the table.
    @inlinable
    public mutating func decide(by table: Snapshot, counters: CounterBlock) {}

    /// No device does.
    @inlinable
    public func finishesTunnels(on interface: Int) -> Bool { false }

    /// There is one queue.
    public var queueIndex: Int {
        get { 0 }
        set {}
    }
}
