import CLinux

/// TAP queues by epoll: a burst of `read` into slots, then a `writev` for each write.
///
/// Level-triggered: what a burst leaves is found by the next `wait`, after every other interface had its turn, so that no
/// interface starves another.
public struct EpollFrameIO: FrameIO, ~Copyable {
    private let epoll: Int32
    private let wake: Int32
    private let queues: UnsafeMutableBufferPointer<Int32>
    private let slots: UnsafeMutableRawPointer
    private let events: UnsafeMutableBufferPointer<epoll_event>
    private static let wakeTag = UInt64.max
    private static let slotBytes = FrameBatch.capacity * frameSlotSize

    /// - Parameters:
    ///   - queues: One queue of every interface, non-blocking. They stay the caller's to close.
    ///   - wake: An eventfd, non-blocking, that ends a `wait`.
    public init(queues: [Int32], wake: Int32) throws(EngineError) {
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw EngineError("make an epoll descriptor", errno: clinux_errno()) }
        let memory = mmap(nil, Self.slotBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, Int(bitPattern: memory) != -1 else {
            let failure = clinux_errno()
            close(epoll)
            throw EngineError("map the frames' slots", errno: failure)
        }
        do throws(EngineError) {
            for (index, queue) in queues.enumerated() {
                try Self.watch(queue, UInt64(index), epoll)
            }
            try Self.watch(wake, Self.wakeTag, epoll)
        } catch {
            munmap(memory, Self.slotBytes)
            close(epoll)
            throw error
        }
        self.epoll = epoll
        slots = memory
        self.wake = wake
        self.queues = .allocate(capacity: queues.count)
        _ = self.queues.initialize(from: queues)
        events = .allocate(capacity: queues.count + 1)
        events.initialize(repeating: epoll_event())
    }

    private static func watch(_ descriptor: Int32, _ tag: UInt64, _ epoll: Int32) throws(EngineError) {
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.u64 = tag
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            throw EngineError("watch descriptor \(descriptor)", errno: clinux_errno())
        }
    }

    deinit {
        munmap(slots, Self.slotBytes)
        queues.deallocate()
        events.deallocate()
        close(epoll)
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
        let interface = Int(truncatingIfNeeded: events[turn].data.u64)
        let queue = queues[interface]
        batch.interface = interface
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
                let queue = queues[write.pointee.interface]
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
