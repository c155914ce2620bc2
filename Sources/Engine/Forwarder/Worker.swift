import CLinux
import Forwarding
import Wire

/// One worker: queues of the interfaces, and the loop over them. It reads a batch, writes a batch, and changes the
/// table only between batches.
public struct Worker<IO: FrameIO & ~Copyable>: ~Copyable {
    /// Where frames come from and go to.
    public var io: IO
    /// The forwarding rules.
    var forwarder: Forwarder
    private var batch = FrameBatch()
    private var writes = WriteList()

    /// A worker that decides by `table`.
    ///
    /// - Parameters:
    ///   - worker: The index of its block in the counters.
    ///   - tuning: Whether it coalesces frames.
    public init(
        io: consuming IO, table: PublishedTable, neighbours: NeighbourTable, worker: Int,
        tuning: EngineTuning = EngineTuning()
    ) {
        self.io = io
        forwarder = Forwarder(table: table, neighbours: neighbours, worker: worker, tuning: tuning)
        self.io.decide(by: table.snapshot, counters: forwarder.counters)
    }

    /// The counter of the rule of an access list, or of a default, that denied a packet last; -1 if none has.
    public var lastDenial: Int { forwarder.lastDenial }

    /// Decides by this table from the next turn on.
    public mutating func take(_ table: PublishedTable) {
        forwarder.take(table)
        io.decide(by: table.snapshot, counters: forwarder.counters)
    }

    /// True while frames wait for a neighbour, or for the first fragment of their datagram.
    public var hasWaitingFrames: Bool { forwarder.pending.waiting | forwarder.held.waiting != 0 }

    /// How long a turn may wait, in milliseconds. It is short while frames wait.
    @inline(__always)
    private var patience: WaitLimit {
        hasWaitingFrames ? .short : forwarder.table.asksGroups ? .asking : .unlimited
    }

    /// Waits for frames and forwards one batch of every interface that has some.
    ///
    /// - Parameters:
    ///   - wait: False returns at once if there are no frames.
    public mutating func turn(wait: Bool = true) {
        let ready = io.wait(wait ? patience : .zero)
        forwarder.now = io.now().nanoseconds
        forwarder.counters.countTurn()
        for position in 0..<ready {
            io.receive(position, into: &batch)
            if batch.closed { forwarder.counters.countClosedQueue() }
            if batch.truncated > 0 {
                forwarder.counters.countDrop(.truncatedFrame, batch.truncated)
                forwarder.counters.countReceiveDrop(batch.interface, batch.truncated)
            }
            forwardBatch()
            flush()
            while io.receiveMore(into: &batch) {
                forwardBatch()
                flush()
            }
        }
        if forwarder.held.waiting > 0 {
            forwarder.retryHeld(into: &writes)
            flush()
        }
        if forwarder.pending.waiting > 0 { retryPending() }
    }

    /// Asks the nodes which groups they are in, if that is due and no other worker does. It follows a turn.
    mutating func askGroups() {
        guard forwarder.table.asksGroups else { return }
        forwarder.askGroups(into: &writes)
        flush()
    }

    /// Looks after the frames that wait for neighbours.
    private mutating func retryPending() {
        while !forwarder.retryPending(into: &writes) { flush() }
        flush()
    }

    /// Forwards the batch run by run. If a run cannot go as one, its frames go one by one.
    private mutating func forwardBatch() {
        let interface = batch.interface
        let mirrors = forwarder.table.mirrors(of: interface)
        if !mirrors.isEmpty { mirrorBatch(mirrors) }
        forwarder.begin(batch)
        if forwarder.coalescer.isInterleaved {
            forwardInterleaved(interface)
        } else {
            for run in 0..<forwarder.coalescer.count {
                makeRoom()
                if forwarder.forwardRun(run, from: interface, into: &writes) { continue }
                var frame = forwarder.coalescer.runs[run].first
                while frame >= 0 {
                    makeRoom()
                    forwarder.forward(batch.frames[Int(frame)], from: interface, into: &writes)
                    frame = forwarder.coalescer.next(after: frame)
                }
            }
        }
        forwarder.end(from: interface)
    }

    /// Sends copies of the whole batch as it arrived, because frames are edited in place later.
    @inline(never)
    private mutating func mirrorBatch(_ mirrors: Range<Int>) {
        for frame in 0..<batch.count {
            if !writes.isComfortable { flush() }
            forwarder.mirror(batch.frames[frame], mirrors, into: &writes)
        }
        flush()
    }

    /// Forwards a batch whose conversations are interleaved. A run that can go as one goes in the turn of its first
    /// frame. Its copies for passive applications, and the frames of other runs, go in the turn of each frame.
    private mutating func forwardInterleaved(_ interface: Int) {
        for run in 0..<forwarder.coalescer.count {
            forwardOwed(before: forwarder.coalescer.runs[run].first, interface)
            makeRoom()
            if forwarder.forwardRun(run, from: interface, into: &writes) { continue }
            forwarder.arrivals.owe(run, of: forwarder.coalescer)
        }
        forwardOwed(before: Int32(truncatingIfNeeded: batch.count), interface)
    }

    private mutating func forwardOwed(before limit: Int32, _ interface: Int) {
        while let (frame, run) = forwarder.arrivals.take(before: limit) {
            makeRoom()
            if forwarder.decided[Int(run)] >= 0 {
                forwarder.sendPassive(frame, of: Int(run), into: &writes)
            } else {
                forwarder.forward(batch.frames[Int(frame)], from: interface, into: &writes)
            }
        }
    }

    /// Makes room for the copies of one more frame. Frames that waited for a neighbour go before it.
    @inline(__always)
    private mutating func makeRoom() {
        if !writes.isComfortable { flush() }
        if forwarder.mayHaveAnswered { retryPending() }
    }

    private mutating func flush() {
        guard writes.count > 0 else { return }
        io.send(writes)
        forwarder.counters.countWrites(writes)
        writes.removeAll()
        forwarder.pending.releaseLeaving()
        forwarder.held.releaseLeaving()
    }

    /// Why a frame is dropped before the table is asked; nil if it gets that far. Nothing is sent or counted.
    ///
    /// - Parameter frame: It must not be edited meanwhile.
    public mutating func refusal(of frame: ReceivedFrame, on interface: Int) -> DropReason? {
        guard case .refused(let reason) = forwarder.admit(frame, from: interface) else { return nil }
        return reason
    }
}

extension Worker where IO == EngineFrameIO {
    /// Frames cross these links from the next turn on; nil: none.
    mutating func impair(_ order: ImpairmentOrder?, worker: Int) {
        io.base.impair(order, worker: worker, counters: forwarder.counters)
    }

    /// True while frames wait: for a neighbour, for the first fragment of their datagram, or on an impaired link.
    var holdsFrames: Bool {
        mutating get {
            if hasWaitingFrames { return true }
            return io.base.holds
        }
    }

    /// Writes into the counters how frames are written now.
    ///
    /// - Returns: The way that it noted.
    func noteWriting() -> EngineTuning.Writing {
        forwarder.counters.noteWriting(io.base.base.base.base.writing, failure: io.base.base.base.base.ringFailure)
        return io.base.base.base.base.writing
    }
}

/// A table in force, with counters that have room for its entries.
public struct PublishedTable: @unchecked Sendable {
    /// The table.
    public let snapshot: Snapshot
    /// The memory of the counters.
    public let counters: UnsafeMutableRawPointer
    /// Its layout.
    public let layout: CounterLayout

    /// - Throws: `EngineError` if the counters have no room for the table's entries, rules or interfaces.
    public init(
        snapshot: Snapshot, counters: UnsafeMutableRawPointer, layout: CounterLayout
    ) throws(EngineError) {
        guard snapshot.counterCount <= layout.entries, snapshot.ruleCounterCount <= layout.rules,
            snapshot.interfaceCount <= layout.interfaces
        else {
            throw EngineError(
                "take the table",
                because: "it counts \(snapshot.counterCount) entries and \(snapshot.ruleCounterCount) rules of access "
                    + "lists on \(snapshot.interfaceCount) interfaces, but the counters have room for "
                    + "\(layout.entries) and \(layout.rules) on \(layout.interfaces)")
        }
        self.snapshot = snapshot
        self.counters = counters
        self.layout = layout
    }
}
