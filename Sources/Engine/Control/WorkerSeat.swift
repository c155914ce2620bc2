import CLinux
import Synchronization

/// What all workers do from their next turn on. An order does not change after it was given.
struct WorkerOrder {
    /// The table to decide by.
    var table: PublishedTable
    /// The queue sets to read. Each worker takes its own.
    var shares: ShareSet
}

/// The state that a worker's thread and the main thread share.
struct WorkerSeat: ~Copyable {
    /// The owner of each queue.
    struct Queues {
        /// The queue set of each queue, in the order of the worker's `EpollFrameIO`.
        var shares: UnsafeBufferPointer<UInt8>
        /// This worker's index.
        var worker: Int
        /// The number of workers.
        var workers: Int
    }

    fileprivate var worker: Worker<EpollFrameIO>
    fileprivate let queues: Queues
    /// The newest order. Only the main thread writes it.
    fileprivate let next = Atomic<UnsafeMutablePointer<WorkerOrder>?>(nil)
    /// The order that the worker obeys. Only the worker writes it.
    fileprivate let taken = Atomic<UnsafeMutablePointer<WorkerOrder>?>(nil)
    fileprivate let isEnding = Atomic<Bool>(false)
    fileprivate let wake: Int32
    fileprivate let moved: Int32

    /// - Parameters:
    ///   - wake: The eventfd that ends the worker's wait.
    ///   - moved: The eventfd that signals the main thread that an order was taken.
    init(worker: consuming Worker<EpollFrameIO>, queues: Queues, wake: Int32, moved: Int32) {
        self.worker = worker
        self.queues = queues
        self.wake = wake
        self.moved = moved
    }
}

/// The workers of one engine, as its main thread drives them.
struct WorkerCrew: ~Copyable {
    private var seats: [UnsafeMutablePointer<WorkerSeat>] = []
    private var threads: [pthread_t] = []
    private var current: UnsafeMutablePointer<WorkerOrder>?
    /// Signalled by every worker that has taken an order.
    let moved: Int32

    var count: Int { seats.count }

    init() throws(EngineError) {
        moved = eventfd(0, Int32(EFD_CLOEXEC))
        guard moved >= 0 else { throw EngineError("make an event descriptor", errno: clinux_errno()) }
    }

    /// Whether a worker has a ring to write with.
    var writesByRing: Bool { seats.contains { $0.pointee.worker.io.writing == .ring } }

    /// Adds a worker, before the threads start.
    mutating func add(_ seat: consuming WorkerSeat) {
        let place = UnsafeMutablePointer<WorkerSeat>.allocate(capacity: 1)
        place.initialize(to: seat)
        seats.append(place)
    }

    /// Starts a thread for each worker. Returns when each has all kernel resources that it needs, and waits for its
    /// first order.
    ///
    /// - Throws: `EngineError` with the errno of `pthread_create`.
    mutating func start() throws(EngineError) {
        var allowed = cpu_set_t()
        let many = seats.count > 1 && sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &allowed) == 0
        for (index, seat) in seats.enumerated() {
            var thread = pthread_t()
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            defer { pthread_attr_destroy(&attributes) }
            pthread_attr_setstacksize(&attributes, 256 * 1_024)
            // If there are several workers, each is pinned to a processor. The scheduler places a single one, because
            // it knows the other load.
            if many, let processor = Self.processor(index, of: &allowed) {
                var set = cpu_set_t()
                withUnsafeMutableBytes(of: &set) { $0[processor / 8] |= 1 << UInt8(processor % 8) }
                pthread_attr_setaffinity_np(&attributes, MemoryLayout<cpu_set_t>.size, &set)
            }
            let failure = pthread_create(&thread, &attributes, { runWorker($0) }, seat)
            guard failure == 0 else { throw EngineError("start a worker", errno: failure) }
            threads.append(thread)
        }
        var prepared = 0
        while prepared < seats.count { prepared += take(moved) }
    }

    private static func processor(_ index: Int, of set: inout cpu_set_t) -> Int? {
        withUnsafeBytes(of: &set) { bytes in
            var processors: [Int] = []
            for number in 0..<bytes.count * 8 where bytes[number / 8] & 1 << UInt8(number % 8) != 0 {
                processors.append(number)
            }
            return processors.isEmpty ? nil : processors[index % processors.count]
        }
    }

    /// Gives an order to every worker. Returns when all have taken it: each has ended its turn, and so has sent on all
    /// frames that it had read.
    mutating func obey(_ order: WorkerOrder) {
        let place = UnsafeMutablePointer<WorkerOrder>.allocate(capacity: 1)
        place.initialize(to: order)
        for seat in seats {
            seat.pointee.next.store(place, ordering: .releasing)
            ring(seat.pointee.wake)
        }
        for seat in seats {
            while seat.pointee.taken.load(ordering: .acquiring) != UnsafeMutablePointer?(place) {
                _ = take(moved)
            }
        }
        current?.deallocate()
        current = place
    }

    /// Ends every worker when no frame that it has read is waiting.
    mutating func end() {
        for seat in seats {
            seat.pointee.isEnding.store(true, ordering: .releasing)
            ring(seat.pointee.wake)
        }
        for thread in threads { pthread_join(thread, nil) }
        threads = []
    }
}

private func ring(_ descriptor: Int32) {
    var one: UInt64 = 1
    _ = write(descriptor, &one, 8)
}

/// How often an event descriptor was signalled since the last call. Waits if it was not.
private func take(_ descriptor: Int32) -> Int {
    var count: UInt64 = 0
    return read(descriptor, &count, 8) == 8 ? Int(truncatingIfNeeded: count) : 0
}

private func runWorker(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let seat = context?.assumingMemoryBound(to: WorkerSeat.self) else { return nil }
    // Workers need no descriptors that the main thread opens later. If the kernel refuses, reads cost a little more.
    _ = clinux_own_descriptors()
    seat.pointee.worker.io.begin()
    var noted = seat.pointee.worker.noteWriting()
    ring(seat.pointee.moved)
    // Before the process is confined there is nothing to do.
    while seat.pointee.next.load(ordering: .acquiring) == nil {
        var entry = pollfd(fd: seat.pointee.wake, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, -1)
    }
    while true {
        let next = seat.pointee.next.load(ordering: .acquiring)
        if next != seat.pointee.taken.load(ordering: .relaxed), let next {
            take(next, seat)
        }
        if noted != seat.pointee.worker.io.writing { noted = seat.pointee.worker.noteWriting() }
        // Frames wait for a neighbour for some seconds at most.
        if seat.pointee.isEnding.load(ordering: .acquiring), !seat.pointee.worker.hasWaitingFrames { return nil }
        seat.pointee.worker.turn()
    }
}

private func take(_ order: UnsafeMutablePointer<WorkerOrder>, _ seat: UnsafeMutablePointer<WorkerSeat>) {
    seat.pointee.worker.take(order.pointee.table)
    // The table may have new counters.
    _ = seat.pointee.worker.noteWriting()
    let queues = seat.pointee.queues
    let shares = order.pointee.shares
    seat.pointee.worker.io.takeQueues { index in
        let share = Int(queues.shares[index])
        return share % queues.workers == queues.worker && shares.contains(share)
    }
    seat.pointee.taken.store(order, ordering: .releasing)
    ring(seat.pointee.moved)
}
