import Wire

// The seam between forwarding and the operating system: a batch of frames in, a batch of writes out. Everything above it
// (`Forwarder`, `Worker`) is specialised for one backend at compile time; each backend is a file of its own.

/// Octets of one slot: a `virtio_net_hdr`, link headers, and the longest packet that offloading makes, rounded to pages.
public let frameSlotSize = 65_536 + 4_096

/// One frame as it was read.
public struct ReceivedFrame {
    /// Where its `virtio_net_hdr` starts; valid until the next `receive`.
    public var start: UnsafeMutableRawPointer
    /// Octets read, the `virtio_net_hdr` among them.
    public var length: Int

    /// Memberwise.
    @inlinable
    public init(start: UnsafeMutableRawPointer, length: Int) {
        self.start = start
        self.length = length
    }
}

/// The frames that one `receive` brought, all from one interface. Its memory is allocated once.
///
/// Until the next `receive` they are the engine's: it may change them where they are, and write them out from there.
public struct FrameBatch: ~Copyable {
    /// The most frames that a backend puts into one batch: half of what a TAP's ring holds. More would find more frames of
    /// one flow together where many flows take turns, and let other interfaces wait longer while one is flooded.
    public static let capacity = 512
    /// The interface that they came from.
    public var interface = 0
    /// How many there are.
    public var count = 0
    /// Frames that did not fit their slot, and so are not among them.
    public var truncated = 0
    /// True where the queue turned out to be gone (its device was deleted, or the queue detached).
    public var closed = false
    /// The frames: `capacity` of them, the first `count` in use.
    public let frames: UnsafeMutablePointer<ReceivedFrame>

    /// An empty batch.
    public init() {
        frames = .allocate(capacity: Self.capacity)
    }

    deinit { frames.deallocate() }
}

/// One write: a header of its own, then a stretch of a received frame.
public struct FrameWrite {
    /// The interface that it goes out of.
    public var interface: Int
    /// The `virtio_net_hdr` and the leading headers.
    public var header: UnsafeMutableRawPointer
    /// Octets at `header`.
    public var headerLength: Int
    /// The rest of the frame, in the buffer that it was read into.
    public var body: UnsafeRawPointer
    /// Octets at `body`; may be 0.
    public var bodyLength: Int
    /// Packets that it stands for: the segments of a GSO frame.
    public var packets: Int
    /// What it counts for: the octets of the frames that it was received as, from the Ethernet header on.
    public var octets: Int
    /// Set by the backend: 0, or the errno that it failed with.
    public var failure: Int32
}

/// The writes that one `send` takes out. Its memory is allocated once.
public struct WriteList: ~Copyable {
    /// The most writes in one list; one frame may need a good hundred of them (the fragments of a 64 KiB datagram).
    public static let capacity = 1_024
    /// Octets for the header of one write: the `virtio_net_hdr` and all that a rewrite edits.
    public static let headerCapacity = 576
    /// Octets for frames that the engine composes itself: answers, errors, fragments, superframes.
    static let scratchCapacity = 768 * 1_024
    /// What one frame may need: two copies of it, and the headers of its fragments.
    static let comfortableScratch = 160 * 1_024

    /// How many there are.
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

    /// True where any one frame's copies fit; false: send first.
    @inline(__always)
    var isComfortable: Bool {
        count <= Self.capacity - 256 && scratchUsed <= Self.scratchCapacity - Self.comfortableScratch
    }

    /// True where one more write fits.
    @inline(__always)
    var hasRoom: Bool { count < Self.capacity }

    /// Where the next write's header goes: `headerCapacity` octets. The caller has looked at `hasRoom`.
    @inline(__always)
    var nextHeader: UnsafeMutableRawPointer { headers + headersUsed }

    /// Adds a write whose header lies at `nextHeader`, which takes its place, in composed memory, or where a frame was
    /// received.
    ///
    /// - Parameter octets: What it counts for; nil: the frame that is written.
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
        // Short headers lie close to one another.
        if header == nextHeader { headersUsed &+= (headerLength &+ 63) & ~63 }
    }

    /// `length` octets for a composed frame, until the list is sent; nil where none are left.
    mutating func compose(_ length: Int) -> UnsafeMutableRawBufferPointer? {
        guard hasRoom, length <= Self.scratchCapacity - scratchUsed else { return nil }
        return UnsafeMutableRawBufferPointer(start: scratch + scratchUsed, count: length)
    }

    /// Keeps the first `length` octets of what `compose` gave.
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
    /// As epoll takes it; -1: without end.
    let milliseconds: Int32

    /// Until there is something to do.
    public static let unlimited = WaitLimit(milliseconds: -1)
    /// Not at all.
    public static let zero = WaitLimit(milliseconds: 0)
    /// A worker's turn while frames wait for a neighbour.
    static let short = WaitLimit(milliseconds: 10)

    private init(milliseconds: Int32) { self.milliseconds = milliseconds }

    /// - Parameter duration: At least zero; it is cut to whole milliseconds.
    public init(_ duration: Duration) {
        milliseconds = Int32(clamping: max(0, duration.wholeNanoseconds) / 1_000_000)
    }
}

/// What moves frames between the worker and queues of the interfaces.
public protocol FrameIO: ~Copyable {
    /// The monotonic clock, read once per turn.
    func now() -> MonotonicTime
    /// Waits until an interface has frames, someone wakes the worker, or the time is over.
    ///
    /// - Returns: How many queues have frames.
    mutating func wait(_ limit: WaitLimit) -> Int
    /// Reads a burst from the `turn`-th of the queues that the last `wait` found, without blocking. The frames of
    /// the batch before are gone.
    mutating func receive(_ turn: Int, into batch: inout FrameBatch)
    /// Takes all writes out in their order, without blocking, and notes each one's failure.
    mutating func send(_ list: borrowing WriteList)
}
