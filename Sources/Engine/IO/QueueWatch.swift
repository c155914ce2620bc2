import CLinux

/// Waits until queues have frames: with epoll, level-triggered, and with poll for queues that epoll does not take. (The
/// limit `fs.epoll.max_user_watches` applies to all processes of a user together.)
struct QueueWatch: ~Copyable {
    private let epoll: Int32
    private let wake: Int32
    private let queues: UnsafeMutableBufferPointer<Int32>
    private let watched: UnsafeMutableBufferPointer<Bool>
    private let events: UnsafeMutableBufferPointer<epoll_event>
    /// The epoll descriptor, then the queues that epoll does not take.
    private let polled: UnsafeMutableBufferPointer<pollfd>
    private var polledCount = 1
    private static let wakeTag = UInt64.max

    /// Watches no queue yet.
    ///
    /// - Parameters:
    ///   - queues: All queues that may be watched. The caller owns them, and keeps them valid as long as this value
    ///     lives.
    ///   - wake: A non-blocking eventfd that ends a `wait`.
    /// - Throws: `EngineError` with the errno of epoll.
    init(queues: UnsafeMutableBufferPointer<Int32>, wake: Int32) throws(EngineError) {
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw EngineError("make an epoll descriptor", errno: clinux_errno()) }
        let failure = Self.watch(wake, Self.wakeTag, epoll)
        guard failure == 0 else {
            close(epoll)
            throw EngineError("watch the event descriptor", errno: failure)
        }
        self.epoll = epoll
        self.wake = wake
        self.queues = queues
        watched = .allocate(capacity: queues.count)
        watched.initialize(repeating: false)
        events = .allocate(capacity: queues.count + 1)
        events.initialize(repeating: epoll_event())
        polled = .allocate(capacity: queues.count + 1)
        polled.initialize(repeating: pollfd())
        polled[0] = pollfd(fd: epoll, events: Int16(POLLIN), revents: 0)
    }

    deinit {
        watched.deallocate()
        events.deallocate()
        polled.deallocate()
        close(epoll)
    }

    /// Made whole: the compiler breaks down, under the thread sanitizer, over an assignment to a member of a packed structure.
    @inline(__always)
    private static func event(_ tag: UInt64) -> epoll_event {
        epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u64: tag))
    }

    private static func watch(_ descriptor: Int32, _ tag: UInt64, _ epoll: Int32) -> Int32 {
        var event = Self.event(tag)
        return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : clinux_errno()
    }

    /// Watches exactly these queues from the next `wait` on.
    mutating func take(where isWanted: (Int) -> Bool) {
        for index in 0..<queues.count {
            let wanted = isWanted(index)
            guard wanted != watched[index] else { continue }
            if wanted {
                let failure = Self.watch(queues[index], UInt64(index), epoll)
                if failure != 0 && failure != EEXIST { poll(index) }
            } else {
                forget(index)
            }
            watched[index] = wanted
        }
    }

    private mutating func poll(_ index: Int) {
        polled[polledCount] = pollfd(fd: queues[index], events: Int16(POLLIN), revents: 0)
        polledCount += 1
    }

    /// Stops watching the queue, until it is released and taken again.
    mutating func forget(_ index: Int) {
        for place in 1..<polledCount where polled[place].fd == queues[index] {
            polledCount -= 1
            polled[place] = polled[polledCount]
            return
        }
        // epoll has removed a queue whose device is gone.
        var event = epoll_event()
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, queues[index], &event)
    }

    /// Waits until a queue has frames, the worker is woken, or the time is over.
    ///
    /// - Parameter limit: The longest wait.
    /// - Returns: The number of queues with frames, for `ready`.
    mutating func wait(_ limit: WaitLimit) -> Int {
        var limit = limit
        if polledCount > 1 {
            // Whole milliseconds have to do here; rather too long than in a circle.
            let timeout =
                limit.milliseconds ?? Int32(clamping: (limit.microseconds &+ 999) / 1_000)
            guard CLinux.poll(polled.baseAddress!, nfds_t(polledCount), timeout) > 0 else { return 0 }
            limit = .zero
        }
        let found: Int
        if let timeout = limit.milliseconds {
            found = Int(epoll_wait(epoll, events.baseAddress!, Int32(events.count), timeout))
        } else {
            found = Int(
                clinux_epoll_wait(epoll, events.baseAddress!, Int32(events.count), limit.microseconds))
        }
        var ready = 0
        for index in 0..<max(0, found) {
            let tag = events[index].data.u64
            if tag == Self.wakeTag {
                var count: UInt64 = 0
                _ = clinux_read(wake, &count, 8)
                continue
            }
            events[ready] = Self.event(tag)
            ready &+= 1
        }
        for place in 1..<polledCount where polled[place].revents != 0 {
            guard let index = queues.firstIndex(of: polled[place].fd) else { continue }
            events[ready] = Self.event(UInt64(index))
            ready &+= 1
        }
        return ready
    }

    /// Number `turn` of the queues that the last `wait` found.
    @inline(__always)
    func ready(_ position: Int) -> Int { Int(truncatingIfNeeded: events[position].data.u64) }
}
