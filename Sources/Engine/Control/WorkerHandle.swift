import CLinux
import Forwarding
import Synchronization

/// What all workers do from their next turn on. An order does not change after it was given.
struct WorkerOrder {
    /// The table to decide by.
    var table: PublishedTable
    /// The queue sets to read. Each worker takes its own.
    var queueSets: QueueSets
    /// What to capture; nil: nothing.
    var capture: CaptureOrder?
    /// The impaired links; nil: none.
    var impairments: ImpairmentOrder?
}

/// What a worker of an engine reads and writes with. Impaired links lie between the engine with its capture points and the
/// queues, so captures and traces show frames as the engine sees them. Circuits' and tunnels' headers are taken off and written below both.
typealias EngineFrameIO = CapturingFrameIO<ImpairingFrameIO<TunnelFrameIO<CircuitFrameIO<EpollFrameIO>>>>

/// The state that a worker's thread and the main thread share.
struct WorkerHandle: ~Copyable {
    /// The owner of each queue.
    struct Queues {
        /// The queue set of each queue, in the order of the worker's `EpollFrameIO`.
        var queueSets: UnsafeBufferPointer<UInt8>
        /// This worker's index.
        var worker: Int
        /// The number of workers.
        var workers: Int
    }

    fileprivate var worker: Worker<EngineFrameIO>
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
    init(worker: consuming Worker<EngineFrameIO>, queues: Queues, wake: Int32, moved: Int32) {
        self.worker = worker
        self.queues = queues
        self.wake = wake
        self.moved = moved
    }
}

/// The workers of one engine, as its main thread drives them.
struct WorkerCrew: ~Copyable {
    private var handles: [UnsafeMutablePointer<WorkerHandle>] = []
    private var threads: [pthread_t] = []
    private var current: UnsafeMutablePointer<WorkerOrder>?
    /// Signalled by every worker that has taken an order.
    let moved: Int32

    var count: Int { handles.count }

    init() throws(EngineError) {
        moved = eventfd(0, Int32(EFD_CLOEXEC))
        guard moved >= 0 else { throw EngineError("make an event descriptor", errno: clinux_errno()) }
    }

    /// Whether a worker has a ring to write with.
    var writesByRing: Bool { handles.contains { $0.pointee.worker.io.base.base.base.base.writing == .ring } }

    /// Adds a worker, before the threads start.
    mutating func add(_ handle: consuming WorkerHandle) {
        let place = UnsafeMutablePointer<WorkerHandle>.allocate(capacity: 1)
        place.initialize(to: handle)
        handles.append(place)
    }

    /// Starts a thread for each worker. Returns when each has all kernel resources that it needs, and waits for its
    /// first order.
    ///
    /// - Throws: `EngineError` with the errno of `pthread_create`.
    mutating func start() throws(EngineError) {
        var allowed = cpu_set_t()
        let many = handles.count > 1 && sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &allowed) == 0
        for (index, handle) in handles.enumerated() {
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
            let failure = pthread_create(&thread, &attributes, { runWorker($0) }, handle)
            guard failure == 0 else { throw EngineError("start a worker", errno: failure) }
            threads.append(thread)
        }
        var prepared = 0
        while prepared < handles.count { prepared += take(moved) }
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
        for handle in handles {
            handle.pointee.next.store(place, ordering: .releasing)
            ring(handle.pointee.wake)
        }
        for handle in handles {
            while handle.pointee.taken.load(ordering: .acquiring) != UnsafeMutablePointer?(place) {
                _ = take(moved)
            }
        }
        current?.deallocate()
        current = place
    }

    /// Ends every worker when no frame that it has read is waiting.
    mutating func end() {
        for handle in handles {
            handle.pointee.isEnding.store(true, ordering: .releasing)
            ring(handle.pointee.wake)
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
    guard let handle = context?.assumingMemoryBound(to: WorkerHandle.self) else { return nil }
    // Workers need no descriptors that the main thread opens later. If the kernel refuses, reads cost a little more.
    _ = clinux_own_descriptors()
    handle.pointee.worker.io.base.base.base.base.begin()
    var noted = handle.pointee.worker.noteWriting()
    ring(handle.pointee.moved)
    // Before the process is confined there is nothing to do.
    while handle.pointee.next.load(ordering: .acquiring) == nil {
        var entry = pollfd(fd: handle.pointee.wake, events: Int16(POLLIN), revents: 0)
        _ = poll(&entry, 1, -1)
    }
    while true {
        let next = handle.pointee.next.load(ordering: .acquiring)
        if next != handle.pointee.taken.load(ordering: .relaxed), let next {
            take(next, handle)
        }
        if noted != handle.pointee.worker.io.base.base.base.base.writing { noted = handle.pointee.worker.noteWriting() }
        // Frames wait for a neighbour for some seconds at most, and on an impaired link as long as it delays them.
        if handle.pointee.isEnding.load(ordering: .acquiring), !handle.pointee.worker.holdsFrames { return nil }
        handle.pointee.worker.turn()
        handle.pointee.worker.askGroups()
    }
}

private func take(_ order: UnsafeMutablePointer<WorkerOrder>, _ handle: UnsafeMutablePointer<WorkerHandle>) {
    handle.pointee.worker.take(order.pointee.table)
    // The table may have new counters.
    _ = handle.pointee.worker.noteWriting()
    let queues = handle.pointee.queues
    let queueSets = order.pointee.queueSets
    handle.pointee.worker.io.base.base.base.base.takeQueues { index in
        let queueSet = Int(queues.queueSets[index])
        return queueSet % queues.workers == queues.worker && queueSets.contains(queueSet)
    }
    handle.pointee.worker.io.observe(
        order.pointee.capture, worker: queues.worker, generation: order.pointee.table.snapshot.generation)
    handle.pointee.worker.io.base.base.observe(
        order.pointee.capture, worker: queues.worker, generation: order.pointee.table.snapshot.generation)
    handle.pointee.worker.io.base.base.base.observe(
        order.pointee.capture, worker: queues.worker, generation: order.pointee.table.snapshot.generation)
    handle.pointee.worker.impair(order.pointee.impairments, worker: queues.worker)
    handle.pointee.taken.store(order, ordering: .releasing)
    ring(handle.pointee.moved)
}
