import CLinux
import Wire

/// TAP queues: a burst of `read` when epoll says so, then all writes of the burst in one submission to io_uring, or, where
/// the kernel allows none, one by one.
///
/// Every write that is a system call of its own runs the receiver's stack and lets the receiver that it woke have the
/// processor; in one submission they do not.
///
/// Level-triggered: what a burst leaves is found by the next `wait`, after every other queue had its turn, so that no
/// interface starves another.
///
/// It knows every queue of every interface and reads those that it is told to. A frame goes out of the same column of
/// queues that it came in by: the kernel learns from that to hand all of a flow to one column, whoever reads it, so a
/// column that goes from one engine to another takes its flows with it.
public struct EpollFrameIO: FrameIO, ~Copyable {
    private let columns: Int
    private let queues: QueueNumbers
    private var watch: QueueWatch
    private var arena: FrameArena
    private var ring: WriteRing?
    /// How long it looks for more frames before it sleeps, in nanoseconds.
    private let spin: UInt64
    /// Octets of segmented frames after which a batch ends.
    private let segmentedOctets: Int
    /// Whether the last turn found frames.
    private var isBusy = false
    /// The column of the frames at hand.
    private var column = 0
    /// How frames are written: `ring` or `plain`.
    public private(set) var writing: EngineTuning.Writing
    /// The errno that io_uring was refused or has failed with; 0 where it was not.
    public private(set) var ringFailure: Int32
    /// The longest that it looks for more frames before it sleeps.
    static let longestSpin = Duration.milliseconds(10)

    /// Reads no queue yet.
    ///
    /// - Parameters:
    ///   - queues: Every queue of interface 0, then every one of interface 1 …: non-blocking. They stay the caller's to
    ///     close.
    ///   - columns: The queues of each interface; at least 1.
    ///   - wake: An eventfd, non-blocking, that ends a `wait`.
    /// - Throws: Where `tuning` insists on io_uring and the kernel refuses it, among others.
    public init(
        queues: [Int32], columns: Int, wake: Int32, tuning: EngineTuning = EngineTuning()
    ) throws(EngineError) {
        precondition(columns > 0 && queues.count % columns == 0)
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
        self.queues = all
        self.columns = columns
        segmentedOctets = tuning.segmentedOctets
        spin = UInt64(max(0, min(tuning.spin, Self.longestSpin).wholeNanoseconds))
    }

    /// - Returns: nil where there is to be none, or `failure` tells why there can be none.
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

    /// Makes the calling thread the one that waits, receives and sends. To be called once, before any of these.
    public mutating func begin() {
        let failure = ring?.enable() ?? 0
        if failure != 0 { giveUpRing(failure) }
    }

    /// Reads these queues from the next `wait` on, and no other.
    ///
    /// - Parameter isWanted: Whether the queue of this place in the initializer's order is to be read.
    public mutating func takeQueues(where isWanted: (Int) -> Bool) { watch.take(where: isWanted) }

    /// The monotonic clock.
    public func now() -> MonotonicTime { .now }

    /// Waits with `epoll_wait`; after a turn that had frames it looks for more for a while before it sleeps, where it is
    /// told to.
    public mutating func wait(_ limit: WaitLimit) -> Int {
        var ready = 0
        if spin > 0, isBusy, limit.milliseconds != 0 {
            let end = MonotonicTime.now.nanoseconds &+ spin
            repeat {
                ready = watch.wait(milliseconds: 0)
                // Who is to answer may want this very processor.
                if ready == 0 { sched_yield() }
            } while ready == 0 && MonotonicTime.now.nanoseconds < end
        }
        if ready == 0 { ready = watch.wait(milliseconds: limit.milliseconds) }
        isBusy = ready > 0
        return ready
    }

    /// Reads until the queue is empty, the batch is full, or its memory is. Frames that are superframes already end it
    /// sooner: nothing can be joined to them, and what is written is to be still in the cache.
    public mutating func receive(_ turn: Int, into batch: inout FrameBatch) {
        let index = watch.ready(turn)
        let queue = queues.buffer[index]
        column = index % columns
        batch.interface = index / columns
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
                    // Watching it on would spin for ever.
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
    }

    /// One submission for all of them. What a ring that fails has left is written one by one, and so is everything
    /// from then on.
    public mutating func send(_ list: borrowing WriteList) {
        var done = 0
        if let (sent, failure) = ring?.send(list, columns: columns, column: column) {
            done = sent
            if ring?.hasRefusedToHurry == true {
                for index in 0..<done where list.writes[index].failure == EOPNOTSUPP { write(list.writes + index) }
            }
            if failure != 0 { giveUpRing(failure) }
        }
        for index in done..<list.count { write(list.writes + index) }
    }

    /// One `write` or `writev`.
    private func write(_ write: UnsafeMutablePointer<FrameWrite>) {
        let queue = queues.buffer[write.pointee.interface &* columns &+ column]
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

    /// On its own, so that a look at the machine code finds what is given back here and nowhere else.
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
