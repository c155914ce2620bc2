import CLinux

/// What an engine tells its control process.
public enum EngineEvent: Sendable, Hashable {
    /// It forwards by its first table, confined.
    case ready(EngineConfinement)
    /// Every worker decides by the table of this generation, and what it replaced is out of use.
    case applied(generation: UInt64)
    /// It does not take this table, and goes on with the one that it has. At its start: it ends.
    case refused(generation: UInt64, reason: String)
}

/// What an engine says of itself once it is ready: as `/proc/self/status` showed it just before the first frame.
public struct EngineConfinement: Sendable, Hashable {
    /// Its process, in its own PID namespace.
    public var pid: Int32
    /// The effective capabilities: 0.
    public var capabilities: UInt64
    /// Whether no_new_privs is set.
    public var noNewPrivileges: Bool
    /// 2: a seccomp filter is in force.
    public var seccompMode: Int
    /// The generation of its first table.
    public var generation: UInt64
    /// From the start of `main` to this message, in microseconds.
    public var startMicroseconds: UInt64
}

/// All that an engine is handed at its start. The descriptors stay the caller's: the engine gets copies, so that it can
/// die and another can be started on the same ones.
public struct EngineResources: Sendable {
    /// The TAP queues: for each interface, one for each worker; non-blocking.
    public var queues: [[Int32]]
    /// Counters' memory and its layout.
    public var counters: Int32
    /// See `counters`.
    public var counterLayout: CounterLayout
    /// The neighbour table's memory.
    public var neighbours: Int32
    /// The first table's memory, sealed, its octets and generation.
    public var table: Int32
    /// See `table`.
    public var tableSize: Int
    /// See `table`.
    public var generation: UInt64

    /// Memberwise.
    public init(
        queues: [[Int32]], counters: Int32, counterLayout: CounterLayout, neighbours: Int32, table: Int32,
        tableSize: Int, generation: UInt64
    ) {
        self.queues = queues
        self.counters = counters
        self.counterLayout = counterLayout
        self.neighbours = neighbours
        self.table = table
        self.tableSize = tableSize
        self.generation = generation
    }
}

/// The control process's end of the control protocol. It owns its end of the socket.
public struct EngineLink: ~Copyable, Sendable {
    /// The socket, for polling: readable means `receive` does not block.
    public let descriptor: Int32
    /// The descriptor number that an engine finds its own end at.
    public static let engineDescriptor: Int32 = 3

    private var socket: ControlSocket { ControlSocket(descriptor: descriptor) }

    /// Takes ownership of the control process's end.
    public init(owning descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// A socket pair, both close-on-exec: the control process's end and the engine's, which `exec` places at
    /// `engineDescriptor`, and which the control process then closes.
    public static func makePair() throws(EngineError) -> (control: Int32, engine: Int32) {
        var pair: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &pair) {
            socketpair(
                AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0,
                $0.assumingMemoryBound(to: Int32.self).baseAddress!)
        }
        guard result == 0 else { throw EngineError("make a control socket", errno: clinux_errno()) }
        return (pair.0, pair.1)
    }

    /// Hands an engine all that it needs. It answers `ready` or `refused`.
    public func start(_ resources: EngineResources) throws(EngineError) {
        let workers = resources.queues.first?.count ?? resources.counterLayout.workers
        let queues = resources.queues.flatMap { $0 }
        try socket.send(
            ControlMessage(
                .hello,
                [
                    UInt64(resources.queues.count), UInt64(workers), resources.generation,
                    UInt64(resources.tableSize), UInt64(resources.counterLayout.size), UInt64(queues.count),
                ]),
            descriptors: [resources.counters, resources.neighbours, resources.table])
        var first = 0
        while first < queues.count {
            let last = min(first + Int(CLINUX_MAX_FDS), queues.count)
            try socket.send(
                ControlMessage(.queues, [UInt64(first)]), descriptors: Array(queues[first..<last]))
            first = last
        }
    }

    /// Publishes another table, and larger counters with it where it has more entries than they hold. The engine answers
    /// `applied` or `refused`.
    public func publish(
        table: Int32, size: Int, generation: UInt64, counters: (descriptor: Int32, layout: CounterLayout)? = nil
    ) throws(EngineError) {
        try socket.send(
            ControlMessage(.table, [generation, UInt64(size), UInt64(counters?.layout.size ?? 0)]),
            descriptors: [table] + (counters.map { [$0.descriptor] } ?? []))
    }

    /// Asks the engine to finish the batch at hand and end.
    public func stop() throws(EngineError) {
        try socket.send(ControlMessage(.stop))
    }

    /// Waits for what the engine says next; nil once it has ended.
    public func receive() throws(EngineError) -> EngineEvent? {
        let received: (message: ControlMessage, descriptors: [Int32])?
        do throws(EngineError) {
            received = try socket.receive()
        } catch {
            if error.errno == ECONNRESET { return nil }
            throw error
        }
        guard let (message, descriptors) = received else { return nil }
        for descriptor in descriptors { close(descriptor) }
        let fields = message.fields
        switch message.kind {
        case .ready:
            return .ready(
                EngineConfinement(
                    pid: Int32(truncatingIfNeeded: fields[0]), capabilities: fields[1],
                    noNewPrivileges: fields[2] == 1, seccompMode: Int(truncatingIfNeeded: fields[3]),
                    generation: fields[4], startMicroseconds: fields[5]))
        case .applied: return .applied(generation: fields[0])
        case .refused: return .refused(generation: fields[0], reason: message.text)
        case .hello, .queues, .table, .stop:
            throw EngineError("read a control message", because: "an engine does not send it")
        }
    }
}
