/// All that an engine is handed at its start. The descriptors stay the caller's: the engine gets copies, so that it can
/// die and another can be started on the same ones.
public struct EngineResources: Sendable {
    /// The TAP queues: for each interface as many as for every other, non-blocking. An engine gets all of them, whether
    /// it is to read them or not, so that it can take over any.
    public var queues: [[Int32]]
    /// For each queue the share that it belongs to: less than `ShareSet.capacity`.
    public var shares: [[Int]]
    /// The engine's workers. A share is read by the worker whose index is the share's modulo their number.
    public var workers: Int
    /// Counters' memory and its layout.
    public var counters: Int32
    /// See `counters`.
    public var counterLayout: CounterLayout
    /// The block of the first worker in the counters; the other workers' follow. No other living engine's may be there.
    public var firstBlock: Int
    /// The neighbour table's memory.
    public var neighbours: Int32
    /// The first table's memory, sealed, its octets and generation.
    public var table: Int32
    /// See `table`.
    public var tableSize: Int
    /// See `table`.
    public var generation: UInt64
    /// How it moves frames.
    public var tuning: EngineTuning

    /// Memberwise.
    public init(
        queues: [[Int32]], shares: [[Int]], workers: Int, counters: Int32, counterLayout: CounterLayout,
        firstBlock: Int = 0, neighbours: Int32, table: Int32, tableSize: Int, generation: UInt64,
        tuning: EngineTuning = EngineTuning()
    ) {
        self.queues = queues
        self.shares = shares
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
}
