import CLinux
import Forwarding
import Synchronization
import Wire

/// The packeting engine's process: takes what the control process hands it, gives up every privilege, and forwards.
///
/// The main thread speaks with the control process; each worker is a thread that owns one queue of every TAP. A table is
/// mapped and checked by the main thread, taken by the workers between two batches, and the one before is unmapped when
/// the last worker has moved on.
public struct EngineMain: ~Copyable {
    private let socket: ControlSocket
    private let started = monotonicNanoseconds()
    private var workers: [UnsafeMutablePointer<WorkerSeat>] = []
    private var threads: [pthread_t] = []
    private var current: UnsafeMutablePointer<PublishedTable>?
    private var mappings: [Mapping] = []
    private let moved: Int32
    private var queueCount = 0

    /// What is mapped for the table in force.
    private struct Mapping {
        var table: UnsafeMutableRawPointer
        var tableSize: Int
        var counters: UnsafeMutableRawPointer
        var countersSize: Int
    }

    /// An engine whose end of the control socket is `descriptor`.
    public init(descriptor: Int32) throws(EngineError) {
        socket = ControlSocket(descriptor: descriptor)
        moved = eventfd(0, Int32(EFD_CLOEXEC))
        guard moved >= 0 else { throw EngineError("make an event descriptor", errno: clinux_errno()) }
    }

    /// Runs until the control process says stop or goes away.
    public mutating func run() throws(EngineError) {
        guard let (hello, descriptors) = try socket.receive(), hello.kind == .hello, descriptors.count == 3 else {
            throw EngineError("start", because: "the first message was not hello")
        }
        do throws(EngineError) {
            try begin(hello, descriptors)
        } catch {
            try? socket.send(ControlMessage(.refused, [hello.fields[2]], text: error.description))
            throw error
        }
        while let (message, descriptors) = try socket.receive() {
            switch message.kind {
            case .table: try replaceTable(message, descriptors)
            case .stop:
                finish()
                return
            default:
                for descriptor in descriptors { close(descriptor) }
            }
        }
        finish()
    }

    // MARK: - The start

    private mutating func begin(_ hello: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        let interfaces = Int(truncatingIfNeeded: hello.fields[0])
        let count = Int(truncatingIfNeeded: hello.fields[1])
        let expected = Int(truncatingIfNeeded: hello.fields[5])
        guard (1...4_096).contains(interfaces), (1...64).contains(count), expected == interfaces * count else {
            throw EngineError(
                "start", because: "hello names \(interfaces) interfaces, \(count) workers, \(expected) queues")
        }
        queueCount = expected
        let queues = try receiveQueues(expected)
        let counters = try SharedMapping(
            mapping: descriptors[0], size: Int(truncatingIfNeeded: hello.fields[4]), writable: true)
        let neighbourMemory = try SharedMapping(mapping: descriptors[1], size: NeighbourTable.memorySize, writable: true)
        let table = try SharedMapping(
            mapping: descriptors[2], size: Int(truncatingIfNeeded: hello.fields[3]), writable: false)
        try checkSealed(descriptors[2])
        for descriptor in descriptors { close(descriptor) }
        guard let layout = CounterLayout(reading: counters.base, size: counters.size), layout.workers >= count else {
            throw EngineError("start", because: "the counters' layout is of another version, or too small")
        }
        let neighbours = NeighbourTable(memory: neighbourMemory.leak())
        guard neighbours.isValid else {
            throw EngineError("start", because: "the neighbour table's layout is of another version")
        }
        neighbours.heal()
        let published = try publish(table, counters: counters.base, layout: layout)
        mappings = [
            Mapping(
                table: table.base, tableSize: table.size, counters: counters.base, countersSize: counters.size)
        ]
        _ = table.leak()
        _ = counters.leak()
        guard published.pointee.snapshot.interfaceCount == interfaces else {
            throw EngineError(
                "take the table",
                because: "it has \(published.pointee.snapshot.interfaceCount) interfaces, and the engine \(interfaces)")
        }
        current = published
        for worker in 0..<count {
            let wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
            guard wake >= 0 else { throw EngineError("make an event descriptor", errno: clinux_errno()) }
            let io = try EpollFrameIO(queues: (0..<interfaces).map { queues[$0 * count + worker] }, wake: wake)
            let seat = UnsafeMutablePointer<WorkerSeat>.allocate(capacity: 1)
            seat.initialize(
                to: WorkerSeat(
                    worker: Worker(io: io, table: published.pointee, neighbours: neighbours, worker: worker),
                    table: published, wake: wake, moved: moved))
            workers.append(seat)
        }
        let status = clinux_open("/proc/self/status", O_RDONLY, 0)
        try Confinement.enter()
        let report = Confinement.report(status)
        try startThreads()
        try socket.send(
            ControlMessage(
                .ready,
                [
                    UInt64(getpid()), report.capabilities, report.noNewPrivileges ? 1 : 0, UInt64(report.seccompMode),
                    published.pointee.snapshot.generation, (monotonicNanoseconds() - started) / 1_000,
                ]))
    }

    private func receiveQueues(_ expected: Int) throws(EngineError) -> [Int32] {
        var queues: [Int32] = []
        while queues.count < expected {
            guard let (message, more) = try socket.receive(), message.kind == .queues, !more.isEmpty,
                message.fields[0] == UInt64(queues.count), queues.count + more.count <= expected
            else { throw EngineError("start", because: "the queues did not come as hello said") }
            queues += more
        }
        return queues
    }

    /// A table that could still be written to could not be trusted after its check.
    private func checkSealed(_ descriptor: Int32) throws(EngineError) {
        let seals = clinux_memfd_seals(descriptor)
        let needed = F_SEAL_WRITE | F_SEAL_SHRINK
        guard seals >= 0, seals & needed == needed else {
            throw EngineError("take the table", because: "its memory is not sealed")
        }
    }

    private func publish(
        _ table: borrowing SharedMapping, counters: UnsafeMutableRawPointer, layout: CounterLayout
    ) throws(EngineError) -> UnsafeMutablePointer<PublishedTable> {
        let snapshot: Snapshot
        do {
            snapshot = try Snapshot(validating: UnsafeRawBufferPointer(start: table.base, count: table.size))
        } catch {
            throw EngineError("take the table", because: "\(error)")
        }
        let value = try PublishedTable(snapshot: snapshot, counters: counters, layout: layout)
        let published = UnsafeMutablePointer<PublishedTable>.allocate(capacity: 1)
        published.initialize(to: value)
        return published
    }

    private mutating func startThreads() throws(EngineError) {
        var allowed = cpu_set_t()
        let many = workers.count > 1 && sched_getaffinity(0, MemoryLayout<cpu_set_t>.size, &allowed) == 0
        for (index, seat) in workers.enumerated() {
            var thread = pthread_t()
            var attributes = pthread_attr_t()
            pthread_attr_init(&attributes)
            defer { pthread_attr_destroy(&attributes) }
            pthread_attr_setstacksize(&attributes, 256 * 1_024)
            // Several workers get a processor each. A single one is left to the scheduler, which knows what else runs.
            if many, let processor = Self.processor(index, of: &allowed) {
                var set = cpu_set_t()
                withUnsafeMutableBytes(of: &set) { $0[processor / 8] |= 1 << UInt8(processor % 8) }
                pthread_attr_setaffinity_np(&attributes, MemoryLayout<cpu_set_t>.size, &set)
            }
            let failure = pthread_create(&thread, &attributes, { runWorker($0) }, seat)
            guard failure == 0 else { throw EngineError("start a worker", errno: failure) }
            threads.append(thread)
        }
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

    // MARK: - Tables

    private mutating func replaceTable(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        defer { for descriptor in descriptors { close(descriptor) } }
        let generation = message.fields[0]
        do throws(EngineError) {
            try take(message, descriptors)
        } catch {
            try socket.send(ControlMessage(.refused, [generation], text: error.description))
            return
        }
        try socket.send(ControlMessage(.applied, [generation]))
    }

    private mutating func take(_ message: ControlMessage, _ descriptors: [Int32]) throws(EngineError) {
        guard let old = current, var mapping = mappings.last else { return }
        let countersSize = Int(truncatingIfNeeded: message.fields[2])
        guard descriptors.count == (countersSize > 0 ? 2 : 1) else {
            throw EngineError("take the table", because: "it came with \(descriptors.count) descriptors")
        }
        try checkSealed(descriptors[0])
        let table = try SharedMapping(
            mapping: descriptors[0], size: Int(truncatingIfNeeded: message.fields[1]), writable: false)
        let before = mapping
        mapping.table = table.base
        mapping.tableSize = table.size
        var layout = old.pointee.layout
        var larger: UnsafeMutableRawPointer?
        if countersSize > 0 {
            let counters = try SharedMapping(mapping: descriptors[1], size: countersSize, writable: true)
            guard let read = CounterLayout(reading: counters.base, size: countersSize), read.workers >= workers.count
            else { throw EngineError("take the counters", because: "their layout is of another version, or too small") }
            layout = read
            mapping.countersSize = countersSize
            mapping.counters = counters.leak()
            larger = mapping.counters
        }
        let published: UnsafeMutablePointer<PublishedTable>
        do throws(EngineError) {
            published = try publish(table, counters: mapping.counters, layout: layout)
            guard published.pointee.snapshot.interfaceCount * workers.count == queueCount else {
                throw EngineError(
                    "take the table",
                    because: "it has \(published.pointee.snapshot.interfaceCount) interfaces, and the engine "
                        + "\(queueCount / workers.count)")
            }
        } catch {
            if let larger { munmap(larger, countersSize) }
            throw error
        }
        _ = table.leak()
        moveWorkers(to: published)
        current = published
        mappings = [mapping]
        old.deallocate()
        munmap(before.table, before.tableSize)
        if larger != nil { munmap(before.counters, before.countersSize) }
    }

    /// Returns once every worker decides by `table`.
    private func moveWorkers(to table: UnsafeMutablePointer<PublishedTable>) {
        for seat in workers {
            seat.pointee.next.store(table, ordering: .releasing)
            Self.ring(seat.pointee.wake)
        }
        for seat in workers {
            while seat.pointee.taken.load(ordering: .acquiring) != UnsafeMutablePointer?(table) {
                var count: UInt64 = 0
                _ = read(moved, &count, 8)
            }
        }
    }

    private mutating func finish() {
        for seat in workers {
            seat.pointee.stop.store(true, ordering: .releasing)
            Self.ring(seat.pointee.wake)
        }
        for thread in threads { pthread_join(thread, nil) }
    }

    fileprivate static func ring(_ descriptor: Int32) {
        var one: UInt64 = 1
        _ = write(descriptor, &one, 8)
    }
}

/// What a worker's thread and the main thread share.
private struct WorkerSeat: ~Copyable {
    var worker: Worker<EpollFrameIO>
    /// The table to decide by from the next turn on: the main thread's to write.
    let next: Atomic<UnsafeMutablePointer<PublishedTable>?>
    /// The table decided by: the worker's to write.
    let taken: Atomic<UnsafeMutablePointer<PublishedTable>?>
    let stop = Atomic<Bool>(false)
    let wake: Int32
    let moved: Int32

    init(
        worker: consuming Worker<EpollFrameIO>, table: UnsafeMutablePointer<PublishedTable>, wake: Int32, moved: Int32
    ) {
        self.worker = worker
        next = Atomic(table)
        taken = Atomic(table)
        self.wake = wake
        self.moved = moved
    }
}

private func runWorker(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let seat = context?.assumingMemoryBound(to: WorkerSeat.self) else { return nil }
    while !seat.pointee.stop.load(ordering: .acquiring) {
        let next = seat.pointee.next.load(ordering: .acquiring)
        if next != seat.pointee.taken.load(ordering: .relaxed), let next {
            seat.pointee.worker.forwarder.take(next.pointee)
            seat.pointee.taken.store(next, ordering: .releasing)
            EngineMain.ring(seat.pointee.moved)
        }
        seat.pointee.worker.turn()
    }
    return nil
}
