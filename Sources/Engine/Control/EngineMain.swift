import CLinux
import Forwarding

/// The packeting engine's process: takes what the control process hands it, gives up every privilege, and forwards.
///
/// The main thread speaks with the control process; each worker is a thread that reads the queues of the shares that
/// are its own. Tables and shares change between two turns of a worker: a table is mapped and checked by the main
/// thread, and the one before is unmapped when the last worker has moved on.
public struct EngineMain: ~Copyable {
    let socket: ControlSocket
    let started = monotonicNanoseconds()
    /// Its own number, in its PID namespace.
    let pid = getpid()
    var crew: WorkerCrew
    /// What the workers do now; nil before the start.
    var order: WorkerOrder?
    var mapping: Mapping?
    var interfaces = 0

    /// What is mapped for the table in force.
    struct Mapping {
        var table: UnsafeMutableRawPointer
        var tableSize: Int
        /// The table with its own groups.
        var own: Snapshot
        /// Other groups than its own, and their octets; 0 where there are none.
        var groups: UnsafeMutableRawPointer?
        var groupsSize = 0
        var counters: UnsafeMutableRawPointer
        var countersSize: Int
        var firstBlock: Int
    }

    /// An engine whose end of the control socket is `descriptor`.
    public init(descriptor: Int32) throws(EngineError) {
        socket = ControlSocket(descriptor: descriptor)
        crew = try WorkerCrew()
    }

    /// Runs until the control process says stop or goes away.
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
                obey { $0.shares = ShareSet(message.payload.map(Int.init)) }
                try socket.send(ControlMessage(.assigned, [message.fields[0]]))
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

    /// Changes what the workers do, and returns once all of them do it.
    mutating func obey(_ change: (inout WorkerOrder) -> Void) {
        guard var changed = order else { return }
        change(&changed)
        crew.obey(changed)
        order = changed
    }

    /// Ends the workers when all that they have read is sent on.
    private mutating func finish() {
        obey { $0.shares = ShareSet() }
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

    /// A table that could still be written to could not be trusted after its check.
    static func checkSealed(_ descriptor: Int32) throws(EngineError) {
        let seals = clinux_memfd_seals(descriptor)
        let needed = F_SEAL_WRITE | F_SEAL_SHRINK
        guard seals >= 0, seals & needed == needed else {
            throw EngineError("take the table", because: "its memory is not sealed")
        }
    }

    /// The layout of counters that have a block for each worker.
    static func layout(
        of counters: borrowing SharedMapping, from firstBlock: Int, workers: Int
    ) throws(EngineError) -> CounterLayout {
        guard let layout = CounterLayout(reading: counters.base, size: counters.size),
            firstBlock >= 0, firstBlock <= layout.workers - workers
        else { throw EngineError("take the counters", because: "their layout is too small or of another version") }
        return layout
    }
}
