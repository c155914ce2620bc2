/// Everything that an engine gets at its start. The caller still owns the descriptors, and the engine gets copies. So
/// an engine can die, and another can be started with the same ones.
public struct EngineResources: Sendable {
    /// The TAP queues, non-blocking, the same number for each interface. An engine gets all of them, so that it can
    /// take over any.
    public var queues: [[Int32]]
    /// How many interfaces of the table have no queues: the circuits and tunnels behind all that have.
    public var circuits: Int
    /// For each queue, its queue set: less than `QueueSets.capacity`.
    public var queueSets: [[Int]]
    /// The number of workers. The worker that reads a queue set has the set's index modulo the number of workers.
    public var workers: Int
    /// The memory of the counters.
    public var counters: Int32
    /// The layout of the counters.
    public var counterLayout: CounterLayout
    /// The block of the first worker in the counters. The other workers' blocks follow. No other living engine may use
    /// them.
    public var firstBlock: Int
    /// The memory of the neighbour table.
    public var neighbours: Int32
    /// The memory of the first table, sealed.
    public var table: Int32
    /// The size of the table, in octets.
    public var tableSize: Int
    /// The generation of the table.
    public var generation: UInt64
    /// How it moves frames.
    public var tuning: EngineTuning

    /// Memberwise.
    public init(
        queues: [[Int32]], circuits: Int = 0, queueSets: [[Int]], workers: Int, counters: Int32,
        counterLayout: CounterLayout,
        firstBlock: Int = 0, neighbours: Int32, table: Int32, tableSize: Int, generation: UInt64,
        tuning: EngineTuning = EngineTuning()
    ) {
        self.queues = queues
        self.circuits = circuits
        self.queueSets = queueSets
        self.workers = workers
        self.counters = counters
        self.counterLayout = counterLayout
        self.firstBlock = firstBlock
        self.neighbours = neighbours
        self.table = table
        self.tableSize = tableSize
        self.generation = generation
        self.tuning = tuning
    }

    /// How many interfaces the table has.
    public var interfaces: Int { queues.count + circuits }
}
