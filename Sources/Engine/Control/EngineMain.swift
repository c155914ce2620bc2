import CLinux
import Forwarding
import Wire

/// The packeting engine's process. It takes resources from the control process, gives up every privilege, and forwards.
///
/// The main thread talks to the control process. Each worker is a thread, which reads the queues of its own queue sets.
/// Tables and queue sets change between two turns of a worker. The main thread maps and checks a table. It unmaps the
/// one before when the last worker has moved on.
public struct EngineMain: ~Copyable {
    let socket: ControlSocket
    let started = MonotonicTime.now
    /// The process number, in its own PID namespace.
    let pid = getpid()
    var crew: WorkerCrew
    /// What the workers do now; nil before the start.
    var order: WorkerOrder?
    var mapping: Mapping?
    /// The memory that is mapped for capturing; nil while nothing is captured.
    var captureMemory: CaptureMemory?
    /// The memory that is mapped for impaired links; nil before there are any.
    var impairmentMemory: ImpairmentMemory?
    var interfaces = 0
    /// How many of them have queues; those behind them are circuits and tunnels.
    var queuedPlaces = 0

    /// The memory that is mapped for the table in force.
    struct Mapping {
        var table: TableImages
        /// Other groups than the table's own, and their octets; 0 if there are none.
        var groups: UnsafeMutableRawPointer?
        var groupsSize = 0
        var counters: UnsafeMutableRawPointer
        var countersSize: Int
        var firstBlock: Int
    }

    /// An engine whose end of the control socket is `descriptor`.
    ///
    /// - Throws: `EngineError` if an event descriptor cannot be made.
    public init(descriptor: Int32) throws(EngineError) {
        socket = ControlSocket(descriptor: descriptor)
        crew = try WorkerCrew()
    }

    /// Runs until the control process says stop or goes away.
    ///
    /// - Throws: `EngineError` if the start fails or a control message cannot be read.
    public mutating func run() throws(EngineError) {
        guard let (hello, descriptors) = try socket.receive(), hello.kind == .hello, descriptors.count == 3 else {
            throw EngineError("start", because: "the first message was not 'hello'")
        }
        do throws(EngineError) {
            try begin(EngineHello(hello), descriptors)
        } catch {
            try? socket.send(ControlMessage(.refused, [hello.fields[3]], text: error.description))
            throw error
        }
        while let (message, descriptors) = try socket.receive() {
            switch message.kind {
            case .table: try replaceTable(message, descriptors)
            case .assign:
                obey { $0.queueSets = QueueSets(message.payload.map(Int.init)) }
                try socket.send(ControlMessage(.assigned, [message.fields[0]]))
            case .observe: try takeObservers(message, descriptors)
            case .impair: try takeImpairments(message, descriptors)
            case .ping:
                obey { _ in }
                try socket.send(ControlMessage(.pong, [message.fields[0]]))
            case .stop:
                finish()
                return
            default:
                for descriptor in descriptors { close(descriptor) }
            }
        }
        finish()
    }

    /// Changes what the workers do. Returns when all of them do it.
    mutating func obey(_ change: (inout WorkerOrder) -> Void) {
        guard var changed = order else { return }
        change(&changed)
        crew.obey(changed)
        order = changed
    }

    /// Ends the workers when they have sent on all frames that they have read.
    private mutating func finish() {
        obey { $0.queueSets = QueueSets() }
        crew.end()
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

    /// Checks that a memory is sealed against writes. Otherwise it could change after the check.
    static func checkSealed(_ descriptor: Int32) throws(EngineError) {
        let seals = clinux_memfd_seals(descriptor)
        let needed = F_SEAL_WRITE | F_SEAL_SHRINK
        guard seals >= 0, seals & needed == needed else {
            throw EngineError("take the table", because: "its memory is not sealed")
        }
    }

    /// The layout of counters with a block for each worker.
    static func layout(
        of counters: borrowing SharedMapping, from firstBlock: Int, workers: Int
    ) throws(EngineError) -> CounterLayout {
        guard let layout = CounterLayout(reading: counters.base, size: counters.size),
            firstBlock >= 0, firstBlock <= layout.workers - workers
        else { throw EngineError("take the counters", because: "their layout is too small or of another version") }
        return layout
    }
}
