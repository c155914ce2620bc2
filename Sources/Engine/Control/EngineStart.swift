import CLinux

/// What the first message says.
struct EngineHello {
    /// How many interfaces there are, and how many queues each has.
    var interfaces: Int
    /// See `interfaces`.
    var columns: Int
    var workers: Int
    /// Octets of the table and of the counters.
    var tableSize: Int
    /// See `tableSize`.
    var countersSize: Int
    /// The block of the first worker in the counters.
    var firstBlock: Int
    var tuning: EngineTuning

    init(_ message: ControlMessage) throws(EngineError) {
        func field(_ index: Int) -> Int { Int(truncatingIfNeeded: message.fields[index]) }
        interfaces = field(0)
        columns = field(1)
        workers = field(2)
        tableSize = field(4)
        countersSize = field(5)
        firstBlock = field(6)
        tuning = EngineTuning(word: message.fields[7])
        guard (1...4_096).contains(interfaces), (1...ShareSet.capacity).contains(columns),
            (1...ShareSet.capacity).contains(workers)
        else {
            throw EngineError(
                "start", because: "hello names \(interfaces) interfaces, \(columns) queues of each, \(workers) workers")
        }
    }
}

extension EngineMain {
    /// Everything from hello to ready.
    mutating func begin(_ hello: EngineHello, _ descriptors: [Int32]) throws(EngineError) {
        let queues = try receiveQueues(hello.interfaces * hello.columns)
        let counters = try SharedMapping(mapping: descriptors[0], size: hello.countersSize, writable: true)
        let neighbourMemory = try SharedMapping(mapping: descriptors[1], size: NeighbourTable.memorySize, writable: true)
        let table = try SharedMapping(mapping: descriptors[2], size: hello.tableSize, writable: false)
        try Self.checkSealed(descriptors[2])
        for descriptor in descriptors { close(descriptor) }
        let layout = try Self.layout(of: counters, from: hello.firstBlock, workers: hello.workers)
        let neighbours = NeighbourTable(memory: neighbourMemory.leak())
        guard neighbours.isValid else {
            throw EngineError("start", because: "the neighbour table's layout is of another version")
        }
        let published = try Self.publish(table, counters: counters.base, layout: layout)
        mapping = Mapping(
            table: table.base, tableSize: table.size, own: published.snapshot, counters: counters.base,
            countersSize: counters.size, firstBlock: hello.firstBlock)
        _ = table.leak()
        _ = counters.leak()
        guard published.snapshot.interfaceCount == hello.interfaces else {
            throw EngineError(
                "take the table",
                because: "it has \(published.snapshot.interfaceCount) interfaces, and the engine \(hello.interfaces)")
        }
        interfaces = hello.interfaces
        var hello = hello
        hello.tuning.segmentedOctets = CacheSize.burst()
        try hire(hello, queues, published, neighbours)
        let status = clinux_open("/proc/self/status", O_RDONLY, 0)
        // Checking a large table takes tens of milliseconds of a processor, and a worker that wakes there should not wait for
        // the end of an ordinary turn, some 3 ms. Where the kernel will not, that is all that is lost.
        _ = clinux_take_short_slices(100_000)
        try Confinement.enter(writesByRing: crew.writesByRing)
        let report = Confinement.report(status)
        try crew.start()
        let first = WorkerOrder(table: published, shares: ShareSet())
        crew.obey(first)
        order = first
        try socket.send(
            ControlMessage(
                .ready,
                [
                    UInt64(getpid()), report.capabilities, report.noNewPrivileges ? 1 : 0, UInt64(report.seccompMode),
                    published.snapshot.generation, (monotonicNanoseconds() - started) / 1_000,
                ]))
    }

    private func receiveQueues(_ expected: Int) throws(EngineError) -> (descriptors: [Int32], shares: [UInt8]) {
        var descriptors: [Int32] = []
        var shares: [UInt8] = []
        while descriptors.count < expected {
            guard let (message, more) = try socket.receive(), message.kind == .queues, !more.isEmpty,
                message.payload.count == more.count, message.fields[0] == UInt64(descriptors.count),
                descriptors.count + more.count <= expected
            else { throw EngineError("start", because: "the queues did not come as hello said") }
            descriptors += more
            shares += message.payload
        }
        return (descriptors, shares)
    }

    /// Makes the workers, each of which knows every queue and reads none yet.
    private mutating func hire(
        _ hello: EngineHello, _ queues: (descriptors: [Int32], shares: [UInt8]), _ table: PublishedTable,
        _ neighbours: NeighbourTable
    ) throws(EngineError) {
        // As long as the process lives.
        let shares = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: queues.shares.count)
        _ = shares.initialize(from: queues.shares)
        for index in 0..<hello.workers {
            let wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
            guard wake >= 0 else { throw EngineError("make an event descriptor", errno: clinux_errno()) }
            let io = try EpollFrameIO(
                queues: queues.descriptors, columns: hello.columns, wake: wake, tuning: hello.tuning)
            crew.add(
                WorkerSeat(
                    worker: Worker(
                        io: io, table: table, neighbours: neighbours, worker: hello.firstBlock + index,
                        tuning: hello.tuning),
                    queues: WorkerSeat.Queues(
                        shares: UnsafeBufferPointer(shares), worker: index, workers: hello.workers),
                    wake: wake, moved: crew.moved))
        }
    }
}
