import CLinux
import Forwarding
import Wire

/// The contents of the first message.
struct EngineHello {
    /// The number of interfaces that have queues. Those behind them in the table are circuits and tunnels.
    var interfaces: Int
    /// The number of queues of each interface.
    var queueCount: Int
    var workers: Int
    /// The size of the table, in octets.
    var tableSize: Int
    /// The size of the counters, in octets.
    var countersSize: Int
    /// The block of the first worker in the counters.
    var firstBlock: Int
    var tuning: EngineTuning
    /// The user and group that the engine becomes; 0 leaves them as they are.
    var user: UInt32
    /// The address space beyond what the engine holds and twice its table and counters, in octets.
    var spareRoom: Int

    init(_ message: ControlMessage) throws(EngineError) {
        func field(_ index: Int) -> Int { Int(truncatingIfNeeded: message.fields[index]) }
        interfaces = field(0)
        queueCount = field(1)
        workers = field(2)
        tableSize = field(4)
        countersSize = field(5)
        firstBlock = field(6)
        tuning = EngineTuning(word: message.fields[7])
        func number(_ place: Int) -> UInt32 {
            message.payload.dropFirst(place * 4).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
        user = number(0)
        spareRoom = Int(number(1)) << 20
        guard (1...4_096).contains(interfaces), (1...QueueSets.capacity).contains(queueCount),
            (1...QueueSets.capacity).contains(workers)
        else {
            throw EngineError(
                "start",
                because: "hello names \(interfaces) interfaces, \(queueCount) queues of each, \(workers) workers")
        }
    }
}

extension EngineMain {
    /// Does everything from `hello` to `ready`.
    mutating func begin(_ hello: EngineHello, _ descriptors: [Int32]) throws(EngineError) {
        let queues = try receiveQueues(hello.interfaces * hello.queueCount)
        var hello = hello
        hello.tuning.segmentedOctets = CacheSize.burst()
        let ports = try Self.makePorts(hello, queues.descriptors)
        let confinement = Confinement()
        // Checking a large table takes tens of milliseconds of a processor. A worker that wakes on that processor must
        // not wait for the end of a normal scheduler slice, some 3 ms. If the kernel refuses, only that time is lost.
        _ = clinux_take_short_slices(100_000)
        let isOwnUser = try confinement.isolate(user: hello.user)
        // From here on, these descriptors are all that the process has of the machine.
        let counters = try SharedMapping(mapping: descriptors[0], size: hello.countersSize, writable: true)
        let neighbourMemory = try SharedMapping(
            mapping: descriptors[1], size: NeighbourTable.memorySize, writable: true)
        try Self.checkSealed(descriptors[2])
        let table = try TableImages(descriptors[2], size: hello.tableSize)
        for descriptor in descriptors { close(descriptor) }
        let layout = try Self.layout(of: counters, from: hello.firstBlock, workers: hello.workers)
        let neighbours = NeighbourTable(memory: neighbourMemory.leak())
        guard neighbours.isValid else {
            throw EngineError("start", because: "the neighbour table's layout is of another version")
        }
        let published = try PublishedTable(snapshot: table.snapshot, counters: counters.base, layout: layout)
        mapping = Mapping(
            table: table, counters: counters.base, countersSize: counters.size, firstBlock: hello.firstBlock)
        _ = counters.leak()
        guard published.snapshot.queuedPlaces == hello.interfaces else {
            throw EngineError(
                "take the table",
                because:
                    "it has \(published.snapshot.queuedPlaces) places with queues, but the engine \(hello.interfaces)")
        }
        (interfaces, queuedPlaces) = (published.snapshot.interfaceCount, hello.interfaces)
        hire(hello, queues.queueSets, ports, published, neighbours)
        try crew.start()
        try confinement.enter(
            writesByRing: crew.writesByRing, room: hello.spareRoom + 2 * (hello.tableSize + hello.countersSize),
            // If the kernel writes for a ring later, it uses a thread of its own.
            threads: isOwnUser ? 1 + 2 * hello.workers : nil)
        let report = confinement.report()
        _ = consume confinement
        let first = WorkerOrder(table: published, queueSets: QueueSets())
        crew.obey(first)
        order = first
        try socket.send(
            ControlMessage(
                .ready,
                [
                    UInt64(pid), report.capabilities, report.noNewPrivileges ? 1 : 0, UInt64(report.seccompMode),
                    published.snapshot.generation, UInt64(max(0, (MonotonicTime.now - started).wholeMicroseconds)),
                ]))
    }

    /// The parts that a worker reads and writes with.
    private struct Port: ~Copyable {
        var io: EpollFrameIO
        /// The eventfd that ends its wait.
        let wake: Int32
    }

    /// Makes a port for each worker while the process has its privileges. If kernel.io_uring_disabled is 1, only root
    /// may make a ring.
    private static func makePorts(
        _ hello: EngineHello, _ queues: [Int32]
    ) throws(EngineError) -> UnsafeMutablePointer<Port> {
        let ports = UnsafeMutablePointer<Port>.allocate(capacity: hello.workers)
        for index in 0..<hello.workers {
            let wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
            guard wake >= 0 else { throw EngineError("make an event descriptor", errno: clinux_errno()) }
            let io = try EpollFrameIO(queues: queues, queueCount: hello.queueCount, wake: wake, tuning: hello.tuning)
            (ports + index).initialize(to: Port(io: io, wake: wake))
        }
        return ports
    }

    private func receiveQueues(_ expected: Int) throws(EngineError) -> (descriptors: [Int32], queueSets: [UInt8]) {
        var descriptors: [Int32] = []
        var queueSets: [UInt8] = []
        while descriptors.count < expected {
            guard let (message, more) = try socket.receive(), message.kind == .queues, !more.isEmpty,
                message.payload.count == more.count, message.fields[0] == UInt64(descriptors.count),
                descriptors.count + more.count <= expected
            else { throw EngineError("start", because: "the number of queues differs from 'hello'") }
            descriptors += more
            queueSets += message.payload
        }
        return (descriptors, queueSets)
    }

    /// Makes the workers. Each has all queues and reads none yet. The workers own the ports from then on.
    private mutating func hire(
        _ hello: EngineHello, _ setOfQueue: [UInt8], _ ports: UnsafeMutablePointer<Port>, _ table: PublishedTable,
        _ neighbours: NeighbourTable
    ) {
        // For the lifetime of the process.
        let queueSets = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: setOfQueue.count)
        _ = queueSets.initialize(from: setOfQueue)
        for index in 0..<hello.workers {
            let port = (ports + index).move()
            let wake = port.wake
            crew.add(
                WorkerHandle(
                    worker: Worker(
                        io: CapturingFrameIO(
                            ImpairingFrameIO(
                                TunnelFrameIO(
                                    CircuitFrameIO(port.io, table: table.snapshot), table: table.snapshot))),
                        table: table,
                        neighbours: neighbours,
                        worker: hello.firstBlock + index,
                        tuning: hello.tuning),
                    queues: WorkerHandle.Queues(
                        queueSets: UnsafeBufferPointer(queueSets), worker: index, workers: hello.workers),
                    wake: wake, moved: crew.moved))
        }
        ports.deallocate()
    }
}
