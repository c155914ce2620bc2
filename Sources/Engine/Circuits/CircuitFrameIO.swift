import Forwarding
import Wire

/// A frame I/O that does what its base does, and takes the headers of circuits off received frames and writes them before sent ones.
///
/// The base has the devices. What is above has an interface for each circuit besides, as the table has, and sees plain Ethernet:
///
///     base          device A:  [VLAN 100] frame   [VLAN 200] frame   frame
///     this                       │                  │                  │
///     above         circuit 4: frame   circuit 5: frame   interface 0: frame
///
/// Frames without such headers are the device's own interface's. A batch of a device becomes one batch for each circuit that has
/// frames in it; `receiveMore` gives those after the first. Captures, traces and impaired links are above, so they know circuits.
/// A second capture point is here, for frames as they are on the devices. Without circuits all this costs one branch for each batch.
public struct CircuitFrameIO<Base: FrameIO & ~Copyable>: FrameIO, ~Copyable {
    /// What reads and writes the frames.
    public var base: Base
    /// Nil if the table has no circuits.
    private let traffic: UnsafeMutablePointer<CircuitTraffic>?

    /// - Parameters:
    ///   - base: What reads and writes the frames.
    ///   - table: The first table. If it has no circuits, later ones have none either.
    public init(_ base: consuming Base, table: Snapshot) {
        self.base = base
        guard table.circuitCount > 0 else {
            traffic = nil
            return
        }
        let place = UnsafeMutablePointer<CircuitTraffic>.allocate(capacity: 1)
        place.initialize(to: CircuitTraffic())
        traffic = place
    }

    deinit {
        traffic?.deinitialize(count: 1)
        traffic?.deallocate()
    }

    /// The base's.
    public var queueIndex: Int {
        get { base.queueIndex }
        set { base.queueIndex = newValue }
    }

    /// Received frames whose headers cannot be read, or are of no circuit.
    public var lostFrames: UnsafeBufferPointer<LostFrame> { traffic?.pointee.lostFrames ?? base.lostFrames }

    /// The table's circuits are in force.
    public mutating func decide(by table: Snapshot, counters: CounterBlock) {
        traffic?.pointee.take(table, counters)
    }

    /// From now on copies frames as they are on the devices, if an observer wants them.
    func observe(_ order: CaptureOrder?, worker: Int, generation: UInt64) {
        guard let traffic else { return }
        CapturePoint.set(
            &traffic.pointee.devices, order, worker: worker, generation: generation, room: traffic.pointee.captureRoom)
    }

    /// As the base's devices do.
    public func finishesTunnels(on interface: Int) -> Bool { base.finishesTunnels(on: interface) }

    /// The base's clock.
    public func now() -> MonotonicTime { base.now() }

    /// Waits as the base does.
    public mutating func wait(_ limit: WaitLimit) -> Int { base.wait(limit) }

    /// Reads as the base does, and keeps back what is of circuits.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        base.receive(position, into: &batch)
        guard let traffic else { return }
        let time = base.now()
        if traffic.pointee.devices != nil {
            traffic.pointee.devices?.capture(batch, at: time)
            traffic.pointee.devices?.capture(base.lostFrames, of: batch.interface, at: time)
        }
        traffic.pointee.sort(&batch, at: time)
        if traffic.pointee.hasAnswers { traffic.pointee.answer(&base) }
    }

    /// The frames of one more circuit.
    public mutating func receiveMore(into batch: inout FrameBatch) -> Bool {
        guard let traffic else { return false }
        return traffic.pointee.next(&batch)
    }

    /// Writes as the base does, with the headers of circuits.
    public mutating func send(_ list: borrowing WriteList) {
        guard let traffic else { return base.send(list) }
        guard traffic.pointee.concerns(list) else {
            base.send(list)
            if traffic.pointee.devices != nil { traffic.pointee.devices?.capture(list, at: base.now()) }
            return
        }
        traffic.pointee.send(list, &base)
    }
}
