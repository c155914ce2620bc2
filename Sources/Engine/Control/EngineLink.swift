import CLinux

/// What an engine tells its control process.
public enum EngineEvent: Sendable, Hashable {
    /// It holds its first table, confined, and reads what it is assigned from now on.
    case ready(EngineConfinement)
    /// Every worker decides by the table of this generation, and what it replaced is out of use.
    case applied(generation: UInt64)
    /// It does not take this table, and goes on with the one that it has. At its start: it ends.
    case refused(generation: UInt64, reason: String)
    /// It reads the shares of the assignment of this number and no others, and what it read of others it has sent on.
    case assigned(UInt64)
    /// Every worker has gone round since the ping of this number.
    case alive(UInt64)
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

    /// A socket pair, both close-on-exec: the control process's end, which never blocks, and the engine's, which `exec`
    /// places at `engineDescriptor`, and which the control process then closes.
    public static func makePair() throws(EngineError) -> (control: Int32, engine: Int32) {
        var pair: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutableBytes(of: &pair) {
            socketpair(
                AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0,
                $0.assumingMemoryBound(to: Int32.self).baseAddress!)
        }
        guard result == 0 else { throw EngineError("make a control socket", errno: clinux_errno()) }
        // An engine that stands still does not read: nobody may wait for it.
        let set = clinux_set_nonblocking(pair.0)
        guard set >= 0 else {
            close(pair.0)
            close(pair.1)
            throw EngineError("make a control socket", errno: -set)
        }
        return (pair.0, pair.1)
    }

    /// Hands an engine all that it needs. It answers `ready` or `refused`.
    ///
    /// An engine before it may have had the same queues and changed their flags: they are what they must be from here on.
    ///
    /// - Parameters:
    ///   - user: The user and group that it is to become (`EngineIdentity`); 0: it stays what it is.
    ///   - spareMebibytes: Address space that it may use beyond what it holds and twice its table and counters, in MiB.
    /// - Throws: As every message does: EAGAIN where the engine has long read nothing, EPIPE where it has ended.
    public func start(_ resources: EngineResources, user: UInt32 = 0, spareMebibytes: UInt32 = 64) throws(EngineError) {
        let columns = resources.queues.first?.count ?? 0
        let queues = resources.queues.flatMap { $0 }
        let shares = resources.shares.flatMap { $0 }
        guard shares.count == queues.count, shares.allSatisfy({ (0..<ShareSet.capacity).contains($0) }) else {
            throw EngineError("hand over the queues", because: "some queue belongs to no queue set")
        }
        try Self.mend(queues + [resources.counters, resources.neighbours, resources.table])
        try socket.send(
            ControlMessage(
                .hello,
                [
                    UInt64(resources.queues.count), UInt64(columns), UInt64(resources.workers), resources.generation,
                    UInt64(resources.tableSize), UInt64(resources.counterLayout.size), UInt64(resources.firstBlock),
                    resources.tuning.word,
                ], payload: withUnsafeBytes(of: (user, spareMebibytes)) { Array($0) }),
            descriptors: [resources.counters, resources.neighbours, resources.table])
        var first = 0
        while first < queues.count {
            let last = min(first + Int(CLINUX_MAX_FDS), queues.count)
            try socket.send(
                ControlMessage(.queues, [UInt64(first)], payload: shares[first..<last].map { UInt8($0) }),
                descriptors: Array(queues[first..<last]))
            first = last
        }
    }

    /// Sees to it that nobody who reads these descriptors waits, and that nobody is signalled by them. Their flags are shared by
    /// all who hold them.
    ///
    /// - Returns: The places of those on which somebody had changed that.
    @discardableResult
    public static func mend(_ descriptors: [Int32]) throws(EngineError) -> [Int] {
        var mended: [Int] = []
        for (place, descriptor) in descriptors.enumerated() {
            let result = clinux_mend_flags(descriptor)
            guard result >= 0 else { throw EngineError("set the flags of a shared descriptor", errno: -result) }
            if result > 0 { mended.append(place) }
        }
        return mended
    }

    /// Sealed memory that an engine maps.
    public struct Memory: Sendable {
        /// The caller's; the engine gets a copy.
        public var descriptor: Int32
        /// Its octets.
        public var size: Int

        /// Memberwise.
        public init(descriptor: Int32, size: Int) {
            self.descriptor = descriptor
            self.size = size
        }
    }

    /// Publishes another table, other groups for a table, or both; and larger counters with a table that has more entries
    /// than they hold. The engine answers `applied` or `refused`.
    ///
    /// - Parameters:
    ///   - table: nil: the one that the engine holds.
    ///   - groups: nil: the table's own.
    public func publish(
        table: Memory?, groups: Memory? = nil, generation: UInt64,
        counters: (descriptor: Int32, layout: CounterLayout)? = nil
    ) throws(EngineError) {
        let larger = counters.map { Memory(descriptor: $0.descriptor, size: $0.layout.size) }
        try socket.send(
            ControlMessage(
                .table,
                [generation, UInt64(table?.size ?? 0), UInt64(larger?.size ?? 0), UInt64(groups?.size ?? 0)]),
            descriptors: [table, larger, groups].compactMap { $0?.descriptor })
    }

    /// Tells the engine which shares to read from now on. It answers `assigned` with the same number when what it read
    /// of the others is sent on.
    public func assign(_ shares: ShareSet, number: UInt64) throws(EngineError) {
        try socket.send(ControlMessage(.assign, [number], payload: shares.shares.map { UInt8($0) }))
    }

    /// Asks whether the engine goes round. It answers `alive` with the same number when every worker has.
    public func ping(_ number: UInt64) throws(EngineError) {
        try socket.send(ControlMessage(.ping, [number]))
    }

    /// Asks the engine to end when all that it has read is sent on.
    public func stop() throws(EngineError) {
        try socket.send(ControlMessage(.stop))
    }

    /// What there is to hear.
    public enum Hearing: Sendable, Hashable {
        /// Nothing just now.
        case nothing
        /// The engine has said this.
        case event(EngineEvent)
        /// It says nothing any more: it has ended, has closed its end, or has sent an empty message.
        case end
    }

    /// Waits for what the engine says next; nil once it has ended.
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

    /// Takes what the engine has said, and waits for nothing.
    ///
    /// - Throws: Where it is no message that an engine sends. Descriptors are none of its business: a message that
    ///   brings some is refused, and they are not opened here.
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

    /// What a message of an engine's says.
    static func event(_ message: ControlMessage) throws(EngineError) -> EngineEvent {
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
        case .assigned: return .assigned(fields[0])
        case .pong: return .alive(fields[0])
        case .hello, .queues, .table, .assign, .ping, .stop:
            throw EngineError("read a control message", because: "an engine does not send such messages")
        }
    }
}
