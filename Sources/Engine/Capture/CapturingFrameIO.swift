import Forwarding
import Wire

/// What a capture point does with frames, from one turn of its worker on.
struct CaptureOrder {
    /// Who wants which frames.
    var observers: CaptureObservers
    /// The memory of the rings of the engine's workers, one after the other (`CaptureRing.size`). It stays mapped as long
    /// as the order is in force.
    var rings: UnsafeMutableRawPointer
}

/// A capture point: a frame I/O that does what its base does, and puts copies of the frames that observers want into a
/// capture ring.
///
/// Received frames are captured before the engine may edit them, in the order of the batch. Frames to be sent are captured
/// with the time at which they were handed over, in the order of the list, and with the errno of those that the kernel did
/// not take. The ring never makes the engine wait (`CaptureWriter`). Without observers a capture point costs one branch for
/// each batch.
public struct CapturingFrameIO<Base: FrameIO & ~Copyable>: FrameIO, ~Copyable {
    /// What reads and writes the frames.
    public var base: Base
    private var point: CapturePoint?

    /// A capture point without observers.
    ///
    /// - Parameter base: What reads and writes the frames.
    public init(_ base: consuming Base) {
        self.base = base
    }

    /// From now on copies what these observers want; nil: nothing.
    ///
    /// - Parameters:
    ///   - worker: The index of this worker's ring in the order's memory.
    ///   - generation: The generation of the worker's table.
    mutating func observe(_ order: CaptureOrder?, worker: Int, generation: UInt64) {
        CapturePoint.set(&point, order, worker: worker, generation: generation)
    }

    /// From now on copies what these observers want into a ring.
    mutating func observe(
        _ observers: CaptureObservers, in ring: UnsafeMutableRawPointer, capacity: Int = CaptureRing.capacity,
        generation: UInt64
    ) {
        CapturePoint.set(&point, observers, in: ring, capacity: capacity, generation: generation)
    }

    /// The base's.
    public var queueIndex: Int {
        get { base.queueIndex }
        set { base.queueIndex = newValue }
    }

    /// The base's.
    public var lostFrames: UnsafeBufferPointer<LostFrame> { base.lostFrames }

    /// The base's clock.
    public func now() -> MonotonicTime { base.now() }

    /// Waits as the base does.
    public mutating func wait(_ limit: WaitLimit) -> Int { base.wait(limit) }

    /// Reads as the base does, and captures what it has read.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        base.receive(position, into: &batch)
        guard point != nil else { return }
        let time = base.now()
        point?.capture(batch, at: time)
        point?.capture(base.lostFrames, of: batch.interface, at: time)
    }

    /// Reads as the base does, and captures what it has read.
    public mutating func receiveMore(into batch: inout FrameBatch) -> Bool {
        guard base.receiveMore(into: &batch) else { return false }
        guard point != nil else { return true }
        let time = base.now()
        point?.capture(batch, at: time)
        point?.capture(base.lostFrames, of: batch.interface, at: time)
        return true
    }

    /// The base's.
    public mutating func decide(by table: Snapshot, counters: CounterBlock) {
        base.decide(by: table, counters: counters)
    }

    /// Writes as the base does, and captures what was written.
    public mutating func send(_ list: borrowing WriteList) {
        guard point != nil else { return base.send(list) }
        let time = base.now()
        base.send(list)
        point?.capture(list, at: time)
    }
}
