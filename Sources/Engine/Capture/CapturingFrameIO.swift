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
        guard let order else {
            point = nil
            return
        }
        observe(order.observers, in: order.rings + worker * CaptureRing.size, generation: generation)
    }

    /// From now on copies what these observers want into a ring.
    mutating func observe(
        _ observers: CaptureObservers, in ring: UnsafeMutableRawPointer, capacity: Int = CaptureRing.capacity,
        generation: UInt64
    ) {
        if point?.writer.memory == ring {
            point?.observers = observers
            point?.generation = generation
        } else {
            point = CapturePoint(
                observers: observers, generation: generation, writer: CaptureWriter(memory: ring, capacity: capacity))
        }
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

/// The observers of a worker's frames, and the ring that copies go to.
struct CapturePoint: ~Copyable {
    var observers: CaptureObservers
    /// The generation of the worker's table.
    var generation: UInt64
    fileprivate var writer: CaptureWriter

    init(observers: CaptureObservers, generation: UInt64, writer: consuming CaptureWriter) {
        self.observers = observers
        self.generation = generation
        self.writer = writer
    }

    @inline(never)
    mutating func capture(_ batch: borrowing FrameBatch, at time: MonotonicTime) {
        for index in 0..<batch.count {
            let frame = batch.frames[index]
            put(
                .received, batch.interface, time, 0,
                CaptureParts(header: frame.start, headerLength: frame.length, body: frame.start, bodyLength: 0))
        }
    }

    /// Frames that were read, and lost before the engine saw them.
    @inline(never)
    mutating func capture(_ frames: UnsafeBufferPointer<LostFrame>, of interface: Int, at time: MonotonicTime) {
        for index in 0..<frames.count {
            let lost = frames[index]
            put(
                .received, interface, time, lost.failure,
                CaptureParts(
                    header: lost.frame.start, headerLength: lost.frame.length, body: lost.frame.start, bodyLength: 0))
        }
    }

    @inline(never)
    mutating func capture(_ list: borrowing WriteList, at time: MonotonicTime) {
        for index in 0..<list.count {
            let write = list.writes[index]
            put(
                .sent, write.interface, time, write.failure == WriteOutcome.held ? 0 : write.failure,
                CaptureParts(
                    header: write.header, headerLength: write.headerLength, body: write.body,
                    bodyLength: write.bodyLength))
        }
    }

    @inline(__always)
    private mutating func put(
        _ direction: CaptureDirection, _ interface: Int, _ time: MonotonicTime, _ failure: Int32, _ parts: CaptureParts
    ) {
        guard parts.headerLength >= VirtioNetHeader.length else { return }
        let wish = observers.wish(direction, interface: interface, parts)
        guard wish.observers != 0 else { return }
        writer.put(
            direction, interface: interface, time: time, generation: generation, observers: wish.observers,
            failure: failure, parts, most: wish.octets &+ VirtioNetHeader.length)
    }
}
