import CLinux
import Wire

/// TAP queues. When epoll reports frames, a burst of `read` follows. Then all writes of the burst go out in one
/// submission to io_uring, or one by one if the kernel permits no ring.
///
/// A write that is a system call of its own runs the receiver's network stack, and the woken receiver may take the
/// processor. In one submission this does not happen.
///
/// Epoll is level-triggered. Frames that a burst leaves are found by the next `wait`, after every other queue had its
/// turn, so no interface starves another.
///
/// It has every queue of every interface, and reads the ones that it is told to. A frame leaves by the queue index that
/// it came in by. The kernel learns from that to give all frames of a flow to one queue index, whichever engine reads
/// it. So a queue set that goes from one engine to another takes its flows with it.
public struct EpollFrameIO: FrameIO, ~Copyable {
    private let queueCount: Int
    private let queues: QueueNumbers
    /// Which interfaces have devices that take segments in tunnels; nil: none.
    private let underlays: InterfaceSet?
    private var watch: QueueWatch
    private var arena: FrameArena
    private var ring: WriteRing?
    /// How long it looks for more frames before it sleeps, in nanoseconds.
    private let spin: UInt64
    /// A batch ends after so many octets of segmented frames.
    private let segmentedOctets: Int
    /// Whether the last turn had frames.
    private var isBusy = false
    /// The queue index of the frames at hand.
    public var queueIndex = 0
    /// How frames are written: `ring` or `plain`.
    public private(set) var writing: EngineTuning.Writing
    /// The errno of the refusal or failure of io_uring; 0 if there was none.
    public private(set) var ringFailure: Int32
    /// The longest time to poll before sleeping.
    static let longestSpin = Duration.milliseconds(10)

    /// Reads no queue yet.
    ///
    /// - Parameters:
    ///   - queues: Every queue of interface 0, then every one of interface 1 …, all non-blocking. The caller closes
    ///     them.
    ///   - columns: The number of queues of each interface, at least 1.
    ///   - wake: A non-blocking eventfd that ends a `wait`.
    /// - Throws: `EngineError` if an epoll descriptor cannot be made, or if `tuning` insists on io_uring and the kernel
    ///   refuses it.
    public init(
        queues: [Int32], queueCount: Int, wake: Int32, tuning: EngineTuning = EngineTuning()
    ) throws(EngineError) {
        precondition(queueCount > 0 && queues.count % queueCount == 0)
        let all = QueueNumbers(queues)
        let watch = try QueueWatch(queues: all.buffer, wake: wake)
        let arena = try FrameArena()
        var failure: Int32 = 0
        let ring = try Self.makeRing(all.buffer, tuning.writing, &failure)
        writing = tuning.writing == .plain || failure != 0 ? .plain : .ring
        ringFailure = failure
        self.ring = ring
        self.watch = watch
        self.arena = arena
        let underlays = InterfaceSet.underlays(all.buffer, queueCount: queueCount)
        self.underlays = underlays
        self.queues = all
        self.queueCount = queueCount
        segmentedOctets = tuning.segmentedOctets
        spin = UInt64(max(0, min(tuning.spin, Self.longestSpin).wholeNanoseconds))
    }

    /// - Returns: nil if no ring is wanted, or if there can be none. `failure` tells why.
    private static func makeRing(
        _ queues: UnsafeMutableBufferPointer<Int32>, _ writing: EngineTuning.Writing, _ failure: inout Int32
    ) throws(EngineError) -> WriteRing? {
        guard writing != .plain else { return nil }
        do throws(EngineError) {
            return try WriteRing(queues: queues)
        } catch {
            if writing == .ring { throw RingRefusal(errno: error.errno).error }
            failure = error.errno
            return nil
        }
    }

    /// Makes the calling thread the one that waits, receives and sends. Call it once, before these.
    public mutating func begin() {
        let failure = ring?.enable() ?? 0
        if failure != 0 { giveUpRing(failure) }
    }

    /// Reads exactly these queues from the next `wait` on.
    ///
    /// - Parameter isWanted: Whether the queue at this place in the initializer's order is read.
    public mutating func takeQueues(where isWanted: (Int) -> Bool) { watch.take(where: isWanted) }

    /// The monotonic clock.
    public func now() -> MonotonicTime { .now }

    /// Waits with `epoll_wait`. After a turn with frames, it first polls for a while if the tuning says so.
    public mutating func wait(_ limit: WaitLimit) -> Int {
        var ready = 0
        if spin > 0, isBusy, limit != .zero {
            let end = MonotonicTime.now.nanoseconds &+ spin
            repeat {
                ready = watch.wait(.zero)
                // The process that answers may need this very processor.
                if ready == 0 { sched_yield() }
            } while ready == 0 && MonotonicTime.now.nanoseconds < end
        }
        if ready == 0 { ready = watch.wait(limit) }
        isBusy = ready > 0
        return ready
    }

    /// Reads until the queue is empty, the batch is full, or its memory is. If the frames are superframes already, the
    /// batch ends sooner: they cannot be coalesced, and they should still be in the cache when they are written.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        let index = watch.ready(position)
        let queue = queues.buffer[index]
        queueIndex = index % queueCount
        batch.interface = index / queueCount
        batch.truncated = 0
        batch.closed = false
        arena.removeAll()
        var count = 0
        var segmented = 0
        while count < FrameBatch.capacity, segmented < segmentedOctets, let place = arena.next {
            let length = clinux_read(queue, place, frameSlotSize)
            if length <= 0 {
                let failure = length == 0 ? EBADFD : clinux_errno()
                if failure == EINTR { continue }
                if failure != EAGAIN {
                    // A queue that is gone would report events for ever.
                    watch.forget(index)
                    batch.closed = true
                }
                break
            }
            if length >= frameSlotSize {
                batch.truncated &+= 1
                if batch.truncated >= FrameBatch.capacity { break }
                continue
            }
            batch.frames[count] = ReceivedFrame(start: place, length: length)
            arena.keep(length)
            count &+= 1
            let type = place.load(fromByteOffset: VirtioNetHeader.gsoType.offset, as: UInt8.self)
            if type != VirtioNetHeader.gsoNone { segmented &+= length }
        }
        batch.count = count
        if finishesTunnels(on: batch.interface) { shorten(&batch) }
    }

    /// Leaves ten octets of the longer offload headers of an underlay.
    @inline(never)
    private func shorten(_ batch: inout FrameBatch) {
        for index in 0..<batch.count {
            let frame = batch.frames[index]
            guard frame.length >= VirtioNetHeader.longLength else { continue }
            VirtioNetHeader.shorten(frame.start)
            batch.frames[index] = ReceivedFrame(
                start: frame.start + VirtioNetHeader.extraLength, length: frame.length &- VirtioNetHeader.extraLength)
        }
    }

    /// True if the device has the long offload header.
    @inline(__always)
    public func finishesTunnels(on interface: Int) -> Bool { underlays?.contains(interface) ?? false }

    /// Sends all writes in one submission. If the ring fails, the rest is written one by one, and so are all later
    /// writes.
    public mutating func send(_ list: borrowing WriteList) {
        var done = 0
        if let (sent, failure) = ring?.send(
            list, queueCount: queueCount, queueIndex: queueIndex, underlays: underlays)
        {
            done = sent
            if ring?.hasRefusedToHurry == true {
                for index in 0..<done where list.writes[index].failure == EOPNOTSUPP { write(list.writes + index) }
            }
            if failure != 0 { giveUpRing(failure) }
        }
        for index in done..<list.count { write(list.writes + index) }
    }

    /// Does one `write` or `writev`.
    private func write(_ write: UnsafeMutablePointer<FrameWrite>) {
        let queue = queues.buffer[write.pointee.interface &* queueCount &+ queueIndex]
        if finishesTunnels(on: write.pointee.interface) { return writeLong(write, queue) }
        var vector = (
            iovec(iov_base: write.pointee.header, iov_len: write.pointee.headerLength),
            iovec(
                iov_base: UnsafeMutableRawPointer(mutating: write.pointee.body), iov_len: write.pointee.bodyLength)
        )
        var sent: Int
        repeat {
            sent =
                write.pointee.bodyLength == 0
                ? clinux_write(queue, write.pointee.header, write.pointee.headerLength)
                : withUnsafePointer(to: &vector) {
                    clinux_writev(queue, UnsafeRawPointer($0).assumingMemoryBound(to: iovec.self), 2)
                }
        } while sent < 0 && clinux_errno() == EINTR
        write.pointee.failure = sent < 0 ? clinux_errno() : 0
    }

    /// The same with the longer offload header of an underlay.
    @inline(never)
    private func writeLong(_ write: UnsafeMutablePointer<FrameWrite>, _ queue: Int32) {
        var header = LongHeader()
        var sent = 0
        withUnsafeMutableBytes(of: &header) { header in
            guard let long = header.baseAddress else { return }
            var vector = (iovec(), iovec(), iovec())
            withUnsafeMutablePointer(to: &vector) {
                let vector = UnsafeMutableRawPointer($0).assumingMemoryBound(to: iovec.self)
                let count = LongHeader.place(write, in: vector, header: long)
                repeat {
                    sent = clinux_writev(queue, vector, Int32(count))
                } while sent < 0 && clinux_errno() == EINTR
            }
        }
        write.pointee.failure = sent < 0 ? clinux_errno() : 0
    }

    /// A function of its own, so that a check of the machine code finds the release of memory here and nowhere else.
    @inline(never)
    private mutating func giveUpRing(_ failure: Int32) {
        ring = nil
        ringFailure = failure
        writing = .plain
    }
}

/// The descriptors of all queues, in memory of their own.
struct QueueNumbers: ~Copyable {
    let buffer: UnsafeMutableBufferPointer<Int32>

    init(_ queues: [Int32]) {
        buffer = .allocate(capacity: queues.count)
        _ = buffer.initialize(from: queues)
    }

    deinit { buffer.deallocate() }
}

extension MonotonicTime {
    /// What CLOCK_MONOTONIC says (a vDSO call).
    public static var now: MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec))
    }
}
