import Forwarding
import Wire

/// The impaired links that a worker's frames cross, from one turn of its worker on.
struct ImpairmentOrder {
    /// The links.
    var links: ImpairmentSet
    /// The memory of `ImpairmentCounters`.
    var counters: UnsafeMutableRawPointer
    /// What each of the engine's workers needs beside the links, for the life of the process.
    var traffic: UnsafeMutablePointer<ImpairedTraffic>
    /// The links of each worker, as long as the order is in force.
    var workerLinks: UnsafeMutablePointer<WorkerLinks>
    /// The block of the engine's first worker in the counters.
    var firstBlock: Int
}

/// A frame I/O that does what its base does, over links that lose, delay, duplicate, corrupt and slow down frames.
///
/// The links lie between the base and whoever uses this frame I/O: a frame from a node crosses its link after it was read, and
/// one to a node before it is written. Frames that no link concerns pass at once, in their order. All others wait in memory
/// of their own (`ImpairedTraffic`), even those without a delay, so that a link never lets frames overtake one another that it
/// is not told to. Without links it costs one branch for each batch.
public struct ImpairingFrameIO<Base: FrameIO & ~Copyable>: FrameIO, ~Copyable {
    /// What reads and writes the frames.
    public var base: Base
    /// Whether there are links, or frames that wait.
    private var isActive = false
    private var traffic: UnsafeMutablePointer<ImpairedTraffic>?
    /// See `FrameIO`.
    public var lostFrames: UnsafeBufferPointer<LostFrame> { ownLosses.isEmpty ? base.lostFrames : ownLosses }
    private var ownLosses = UnsafeBufferPointer<LostFrame>(start: nil, count: 0)
    /// How many queues of the base have frames. The position after them stands for frames that are due.
    private var ready = 0

    /// - Parameter base: What reads and writes the frames.
    public init(_ base: consuming Base) {
        self.base = base
    }

    /// From now on frames cross these links; nil: none. Frames that wait are still sent when they are due.
    ///
    /// - Parameters:
    ///   - worker: The index of the worker in its engine.
    ///   - counters: The worker's counters.
    mutating func impair(_ order: ImpairmentOrder?, worker: Int, counters: CounterBlock) {
        if traffic == nil {
            guard let order else { return }
            traffic = order.traffic + worker
        }
        traffic?.pointee.take(order, worker: worker, counters: counters)
        isActive = traffic?.pointee.isOver == false
    }

    /// True while frames wait.
    var holds: Bool {
        mutating get {
            guard isActive else { return false }
            return traffic?.pointee.holds == true
        }
    }

    /// The base's clock.
    public func now() -> MonotonicTime { base.now() }

    /// The base's.
    public var queueIndex: Int {
        get { base.queueIndex }
        set { base.queueIndex = newValue }
    }

    /// Waits as the base does, but not beyond the time at which a frame is due.
    public mutating func wait(_ limit: WaitLimit) -> Int {
        guard isActive else { return base.wait(limit) }
        return waitForDue(limit)
    }

    @inline(never)
    private mutating func waitForDue(_ limit: WaitLimit) -> Int {
        var limit = limit
        if let due = traffic?.pointee.nextDue {
            let now = base.now().nanoseconds
            limit = due <= now ? .zero : limit.or(nanoseconds: due &- now)
        }
        ready = base.wait(limit)
        let now = base.now().nanoseconds
        traffic?.pointee.begin(at: now)
        traffic?.pointee.sendDue(&base)
        if traffic?.pointee.isOver == true {
            isActive = false
            ownLosses = UnsafeBufferPointer(start: nil, count: 0)
            return ready
        }
        return traffic?.pointee.hasReceived == true ? ready &+ 1 : ready
    }

    /// Reads as the base does, less what is lost or waits; or the frames that have waited.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        guard isActive else { return base.receive(position, into: &batch) }
        ownLosses = UnsafeBufferPointer(start: nil, count: 0)
        if position >= ready {
            traffic?.pointee.receiveDue(into: &batch, &base)
        } else {
            base.receive(position, into: &batch)
            if let lost = traffic?.pointee.takeReceived(&batch, queueIndex: base.queueIndex) { ownLosses = lost }
        }
    }

    /// Reads as the base does, less what is lost or waits.
    public mutating func receiveMore(into batch: inout FrameBatch) -> Bool {
        guard base.receiveMore(into: &batch) else { return false }
        guard isActive else { return true }
        ownLosses = UnsafeBufferPointer(start: nil, count: 0)
        if let lost = traffic?.pointee.takeReceived(&batch, queueIndex: base.queueIndex) { ownLosses = lost }
        return true
    }

    /// The base's.
    public mutating func decide(by table: Snapshot, counters: CounterBlock) {
        base.decide(by: table, counters: counters)
    }

    /// Writes as the base does, less what is lost or waits.
    public mutating func send(_ list: borrowing WriteList) {
        guard isActive else { return base.send(list) }
        guard traffic?.pointee.concerns(list) == true else { return base.send(list) }
        traffic?.pointee.send(list, &base)
    }
}
