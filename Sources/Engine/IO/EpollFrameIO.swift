import CLinux

/// TAP queues by epoll: a burst of `read` into slots, then a `writev` for each write.
///
/// Level-triggered: what a burst leaves is found by the next `wait`, after every other queue had its turn, so that no
/// interface starves another.
///
/// It knows every queue of every interface and reads those that it is told to. A frame goes out of the same column of
/// queues that it came in by: the kernel learns from that to hand all of a flow to one column, whoever reads it, so a
/// column that goes from one engine to another takes its flows with it.
public struct EpollFrameIO: FrameIO, ~Copyable {
    private let epoll: Int32
    private let wake: Int32
    private let columns: Int
    private let queues: UnsafeMutableBufferPointer<Int32>
    private let watched: UnsafeMutableBufferPointer<Bool>
    private let slots: UnsafeMutableRawPointer
    private let events: UnsafeMutableBufferPointer<epoll_event>
    /// The column of the frames at hand.
    private var column = 0
    private static let wakeTag = UInt64.max
    private static let slotBytes = FrameBatch.capacity * frameSlotSize

    /// Reads no queue yet.
    ///
    /// - Parameters:
    ///   - queues: Every queue of interface 0, then every one of interface 1 …: non-blocking. They stay the caller's to
    ///     close.
    ///   - columns: The queues of each interface; at least 1.
    ///   - wake: An eventfd, non-blocking, that ends a `wait`.
    public init(queues: [Int32], columns: Int, wake: Int32) throws(EngineError) {
        precondition(columns > 0 && queues.count % columns == 0)
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw EngineError("make an epoll descriptor", errno: clinux_errno()) }
        let memory = mmap(nil, Self.slotBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, Int(bitPattern: memory) != -1 else {
            let failure = clinux_errno()
            close(epoll)
            throw EngineError("map the frames' slots", errno: failure)
        }
        let failure = Self.watch(wake, Self.wakeTag, epoll)
        guard failure == 0 else {
            munmap(memory, Self.slotBytes)
            close(epoll)
            throw EngineError("watch the event descriptor", errno: failure)
        }
        self.epoll = epoll
        slots = memory
        self.wake = wake
        self.columns = columns
        self.queues = .allocate(capacity: queues.count)
        _ = self.queues.initialize(from: queues)
        watched = .allocate(capacity: queues.count)
        watched.initialize(repeating: false)
        events = .allocate(capacity: queues.count + 1)
        events.initialize(repeating: epoll_event())
    }

    private static func watch(_ descriptor: Int32, _ tag: UInt64, _ epoll: Int32) -> Int32 {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = tag
        return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : clinux_errno()
    }

    deinit {
        munmap(slots, Self.slotBytes)
        queues.deallocate()
        watched.deallocate()
        events.deallocate()
        close(epoll)
    }

    /// Reads these queues from the next `wait` on, and no other.
    ///
    /// - Parameter isWanted: Whether the queue of this place in the initializer's order is to be read.
    /// - Returns: 0, or the errno that watching one of them failed with.
    public mutating func takeQueues(where isWanted: (Int) -> Bool) -> Int32 {
        var failure: Int32 = 0
        for index in 0..<queues.count {
            let wanted = isWanted(index)
            guard wanted != watched[index] else { continue }
            if wanted {
                let result = Self.watch(queues[index], UInt64(index), epoll)
                guard result == 0 || result == EEXIST else {
                    failure = result
                    continue
                }
            } else {
                // One whose device is gone is watched no more already.
                var event = epoll_event()
                _ = epoll_ctl(epoll, EPOLL_CTL_DEL, queues[index], &event)
            }
            watched[index] = wanted
        }
        return failure
    }

    /// The monotonic clock in nanoseconds.
    public func now() -> UInt64 { monotonicNanoseconds() }

    /// Waits with `epoll_wait`.
    public mutating func wait(milliseconds: Int32) -> Int {
        let found = epoll_wait(epoll, events.baseAddress!, Int32(events.count), milliseconds)
        guard found > 0 else { return 0 }
        var ready = 0
        for index in 0..<Int(found) {
            let tag = events[index].data.u64
            if tag == Self.wakeTag {
                var count: UInt64 = 0
                _ = read(wake, &count, 8)
                continue
            }
            events[ready].data.u64 = tag
            ready &+= 1
        }
        return ready
    }

    /// Reads until the queue is empty or the batch is full.
    public mutating func receive(_ turn: Int, into batch: inout FrameBatch) {
        let index = Int(truncatingIfNeeded: events[turn].data.u64)
        let queue = queues[index]
        column = index % columns
        batch.interface = index / columns
        batch.truncated = 0
        batch.closed = false
        var count = 0
        while count < FrameBatch.capacity {
            let slot = slots + count &* frameSlotSize
            let length = read(queue, slot, frameSlotSize)
            if length <= 0 {
                let failure = length == 0 ? EBADFD : clinux_errno()
                if failure == EINTR { continue }
                if failure != EAGAIN {
                    // Watching it on would spin for ever.
                    var event = epoll_event()
                    _ = epoll_ctl(epoll, EPOLL_CTL_DEL, queue, &event)
                    batch.closed = true
                }
                break
            }
            if length >= frameSlotSize {
                batch.truncated &+= 1
                if batch.truncated >= FrameBatch.capacity { break }
                continue
            }
            batch.frames[count] = ReceivedFrame(start: slot, length: length)
            count &+= 1
        }
        batch.count = count
    }

    /// One `writev` each.
    public mutating func send(_ list: borrowing WriteList) {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vector in
            let base = vector.baseAddress!
            for index in 0..<list.count {
                let write = list.writes + index
                base.initialize(
                    to: iovec(iov_base: write.pointee.header, iov_len: write.pointee.headerLength))
                (base + 1).initialize(
                    to: iovec(
                        iov_base: UnsafeMutableRawPointer(mutating: write.pointee.body),
                        iov_len: write.pointee.bodyLength))
                let queue = queues[write.pointee.interface &* columns &+ column]
                var sent: Int
                repeat {
                    sent = writev(queue, base, write.pointee.bodyLength > 0 ? 2 : 1)
                } while sent < 0 && clinux_errno() == EINTR
                write.pointee.failure = sent < 0 ? clinux_errno() : 0
            }
        }
    }
}

/// The monotonic clock in nanoseconds (a vDSO call).
public func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
}
