import CLinux

/// A message of an engine to its control process.
public enum EngineEvent: Sendable, Hashable {
    /// The engine is confined and has its first table. From now on it reads what it is assigned.
    case ready(EngineConfinement)
    /// Every worker decides by the table of this generation. The table before it is out of use.
    case applied(generation: UInt64)
    /// The engine refuses this table, and keeps the one that it has. It ends if this is its first table.
    case refused(generation: UInt64, reason: String)
    /// The engine reads exactly the queue sets of the assignment of this number. It has sent on all frames of other
    /// sets.
    case assigned(UInt64)
    /// Every worker has completed a turn since the ping of this number.
    case alive(UInt64)
    /// Every worker captures for the observers of this number, unless the engine refuses them: then for those before.
    case observed(UInt64, refusal: String?)
    /// Every worker's frames cross the links of this number, unless the engine refuses them: then those before.
    case impaired(UInt64, refusal: String?)
}

/// The confinement that an engine reports when it is ready, from `/proc/self/status` just before the first frame.
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
    /// From the start of `main` to this message.
    public var startTime: Duration
}

/// The control process's end of the control protocol. It owns its end of the socket.
public struct EngineLink: ~Copyable, Sendable {
    /// The socket, for polling. If it is readable, `receive` does not block.
    public let descriptor: Int32
    /// The number of the descriptor where an engine finds its own end.
    public static let engineDescriptor: Int32 = 3

    private var socket: ControlSocket { ControlSocket(descriptor: descriptor) }

    /// Takes ownership of the control process's end.
    public init(owning descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Makes a socket pair; both ends are close-on-exec. The control process's end never blocks. `exec` places the
    /// engine's end at `engineDescriptor`. The control process then closes that end.
    ///
    /// - Throws: `EngineError` with the errno of `socketpair` or `fcntl`.
    public static func makePair() throws(EngineError) -> (control: Int32, engine: Int32) {
        var pair: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &pair) {
            socketpair(
                AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0,
                $0.assumingMemoryBound(to: Int32.self).baseAddress!)
        }
        guard result == 0 else { throw EngineError("make a control socket", errno: clinux_errno()) }
        // An engine that hangs does not read, and must not block the control process.
        let set = clinux_set_nonblocking(pair.0)
        guard set >= 0 else {
            close(pair.0)
            close(pair.1)
            throw EngineError("make a control socket", errno: -set)
        }
        return (pair.0, pair.1)
    }

    /// A descriptor in place of a queue: nothing ever comes from it. The caller closes it.
    public static func makeIdleQueue() -> Int32 { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) }

    /// Gives an engine all that it needs. It answers `ready` or `refused`.
    ///
    /// An earlier engine may have had the same queues and changed their flags. So the flags are set here again.
    ///
    /// - Parameters:
    ///   - resources: The queues and memories of the engine.
    ///   - user: The user and group that it becomes (`EngineIdentity`); 0 leaves them as they are.
    ///   - spareMebibytes: The address space, in MiB, beyond what it holds and twice its table and counters.
    /// - Returns: The places of the queues, counted through all interfaces, whose flags somebody had changed.
    /// - Throws: `EngineError`, as for every message: EAGAIN if the engine has not read for long, EPIPE if it has
    ///   ended.
    @discardableResult
    public func start(
        _ resources: EngineResources, user: UInt32 = 0, spareMebibytes: UInt32 = 64
    ) throws(EngineError) -> [Int] {
        let queueCount = resources.queues.first?.count ?? 0
        let queues = resources.queues.flatMap { $0 }
        let queueSets = resources.queueSets.flatMap { $0 }
        guard queueSets.count == queues.count, queueSets.allSatisfy({ (0..<QueueSets.capacity).contains($0) }) else {
            throw EngineError("hand over the queues", because: "some queue belongs to no queue set")
        }
        let corrected = try Self.correctFlags(queues)
        try Self.correctFlags([resources.counters, resources.neighbours, resources.table])
        try socket.send(
            ControlMessage(
                .hello,
                [
                    UInt64(resources.queues.count), UInt64(queueCount), UInt64(resources.workers), resources.generation,
                    UInt64(resources.tableSize), UInt64(resources.counterLayout.size), UInt64(resources.firstBlock),
                    resources.tuning.word,
                ], payload: withUnsafeBytes(of: (user, spareMebibytes)) { Array($0) }),
            descriptors: [resources.counters, resources.neighbours, resources.table])
        var first = 0
        while first < queues.count {
            let last = min(first + Int(CLINUX_MAX_FDS), queues.count)
            try socket.send(
                ControlMessage(.queues, [UInt64(first)], payload: queueSets[first..<last].map { UInt8($0) }),
                descriptors: Array(queues[first..<last]))
            first = last
        }
        return corrected
    }

    /// Makes these descriptors non-blocking and removes signals from them. All holders of a descriptor share its flags.
    ///
    /// - Returns: The places of descriptors whose flags somebody had changed.
    /// - Throws: `EngineError` with the errno of `fcntl`.
    @discardableResult
    public static func correctFlags(_ descriptors: [Int32]) throws(EngineError) -> [Int] {
        var corrected: [Int] = []
        for (place, descriptor) in descriptors.enumerated() {
            let result = clinux_correct_flags(descriptor)
            guard result >= 0 else { throw EngineError("set the flags of a shared descriptor", errno: -result) }
            if result > 0 { corrected.append(place) }
        }
        return corrected
    }

    /// Sealed memory that an engine maps.
    public struct Memory: Sendable {
        /// The descriptor. The caller owns it; the engine gets a copy.
        public var descriptor: Int32
        /// The size, in octets.
        public var size: Int

        /// Memberwise.
        public init(descriptor: Int32, size: Int) {
            self.descriptor = descriptor
            self.size = size
        }
    }

    /// Publishes another table, other groups for a table, or both. A table with more entries than the counters hold
    /// comes with larger counters. The engine answers `applied` or `refused`.
    ///
    /// - Parameters:
    ///   - table: nil keeps the engine's table.
    ///   - isPatch: True if `table` is a patch of the engine's table (`CompiledTable.change`).
    ///   - groups: nil means the table's own groups; beside a patch, those that the engine has.
    /// - Throws: `EngineError`, as `start(_:user:spareMebibytes:)` does.
    public func publish(
        table: Memory?, isPatch: Bool = false, groups: Memory? = nil, generation: UInt64,
        counters: (descriptor: Int32, layout: CounterLayout)? = nil
    ) throws(EngineError) {
        let larger = counters.map { Memory(descriptor: $0.descriptor, size: $0.layout.size) }
        try socket.send(
            ControlMessage(
                .table,
                [
                    generation, UInt64(table?.size ?? 0), UInt64(larger?.size ?? 0), UInt64(groups?.size ?? 0),
                    isPatch ? 1 : 0,
                ]),
            descriptors: [table, larger, groups].compactMap { $0?.descriptor })
    }

    /// Tells the engine which queue sets to read from now on. It answers `assigned` with the same number when it has
    /// sent on all frames of the other sets.
    ///
    /// - Throws: `EngineError`, as `start(_:user:spareMebibytes:)` does.
    public func assign(_ queueSets: QueueSets, number: UInt64) throws(EngineError) {
        try socket.send(ControlMessage(.assign, [number], payload: queueSets.numbers.map { UInt8($0) }))
    }

    /// Has every worker capture for these observers from now on, and for no others. It answers `observed`.
    ///
    /// - Parameters:
    ///   - observers: Sealed memory (`CaptureObservers.bytes`); nil ends all capturing.
    ///   - rings: The memory of all rings. The engine uses as many as it has workers, from the ring of its first worker's
    ///     block on. It maps them when it captures for the first time, and after it has captured for nobody.
    ///   - firstBlock: The index of that block.
    /// - Throws: `EngineError`, as `start(_:user:spareMebibytes:)` does.
    public func observe(
        _ observers: Memory?, rings: Int32, firstBlock: Int, workers: Int, number: UInt64
    ) throws(EngineError) {
        guard let observers else { return try socket.send(ControlMessage(.observe, [number])) }
        try socket.send(
            ControlMessage(
                .observe,
                [
                    number, UInt64(observers.size), UInt64(workers * CaptureRing.size),
                    UInt64(firstBlock * CaptureRing.size),
                ]),
            descriptors: [observers.descriptor, rings])
    }

    /// Has the frames of every worker cross these links from now on, and no others. It answers `impaired`.
    ///
    /// - Parameters:
    ///   - links: Sealed memory (`ImpairmentSet.bytes`); nil: none.
    ///   - counters: The memory of `ImpairmentCounters`. The engine maps it when the first links come, and keeps it.
    ///   - firstBlock: The index of its first worker's block.
    /// - Throws: `EngineError`, as `start(_:user:spareMebibytes:)` does.
    public func impair(
        _ links: Memory?, counters: Memory, firstBlock: Int, number: UInt64
    ) throws(EngineError) {
        guard let links else { return try socket.send(ControlMessage(.impair, [number])) }
        try socket.send(
            ControlMessage(
                .impair, [number, UInt64(links.size), UInt64(counters.size), UInt64(firstBlock)]),
            descriptors: [links.descriptor, counters.descriptor])
    }

    /// Asks whether the engine makes progress. It answers `alive` with the same number when every worker has completed
    /// a turn.
    ///
    /// - Throws: `EngineError`, as `start(_:user:spareMebibytes:)` does.
    public func ping(_ number: UInt64) throws(EngineError) {
        try socket.send(ControlMessage(.ping, [number]))
    }

    /// Asks the engine to end when it has sent on all frames that it has read.
    ///
    /// - Throws: `EngineError`, as `start(_:user:spareMebibytes:)` does.
    public func stop() throws(EngineError) {
        try socket.send(ControlMessage(.stop))
    }

    /// The result of a look at the socket.
    public enum Hearing: Sendable, Hashable {
        /// There is no message now.
        case nothing
        /// A message of the engine.
        case event(EngineEvent)
        /// There will be no more messages: the engine has ended, has closed its end, or has sent an empty message.
        case end
    }

    /// Waits for the next message of the engine; nil after it has ended.
    ///
    /// - Throws: `EngineError` if the message is not one that an engine sends, or with the errno of the receive.
    public func receive() throws(EngineError) -> EngineEvent? {
        while true {
            switch try receiveNow() {
            case .event(let event): return event
            case .end: return nil
            case .nothing:
                var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&entry, 1, -1)
            }
        }
    }

    /// Takes the next message of the engine without waiting.
    ///
    /// - Throws: `EngineError` if the message is not one that an engine sends. An engine never sends descriptors. A
    ///   message with descriptors is refused, and they are not opened here.
    public func receiveNow() throws(EngineError) -> Hearing {
        let message: ControlMessage
        do throws(EngineError) {
            guard let received = try socket.receive(descriptors: 0) else { return .end }
            message = received.message
        } catch {
            switch error.errno {
            case EAGAIN: return .nothing
            case ECONNRESET: return .end
            case EMSGSIZE:
                throw EngineError("read a control message", because: "it is too long, or has descriptors with it")
            default: throw error
            }
        }
        return .event(try Self.event(message))
    }

    /// The event in a message of an engine.
    static func event(_ message: ControlMessage) throws(EngineError) -> EngineEvent {
        let fields = message.fields
        switch message.kind {
        case .ready:
            return .ready(
                EngineConfinement(
                    pid: Int32(truncatingIfNeeded: fields[0]), capabilities: fields[1],
                    noNewPrivileges: fields[2] == 1, seccompMode: Int(truncatingIfNeeded: fields[3]),
                    generation: fields[4], startTime: .microseconds(Int64(clamping: fields[5]))))
        case .applied: return .applied(generation: fields[0])
        case .refused: return .refused(generation: fields[0], reason: message.text)
        case .assigned: return .assigned(fields[0])
        case .pong: return .alive(fields[0])
        case .observed: return .observed(fields[0], refusal: fields[1] == 0 ? nil : message.text)
        case .impaired: return .impaired(fields[0], refusal: fields[1] == 0 ? nil : message.text)
        case .hello, .queues, .table, .assign, .observe, .impair, .ping, .stop:
            throw EngineError("read a control message", because: "an engine does not send such messages")
        }
    }
}
