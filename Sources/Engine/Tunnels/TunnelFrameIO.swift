import Forwarding
import Wire

/// A frame I/O that does what its base does, and takes frames out of tunnels and puts them into tunnels.
///
/// The base has the underlay. What is above has an interface for each tunnel besides, as the table has, and sees plain Ethernet:
///
///     base          underlay: [Ethernet IP UDP VXLAN 10 [frame]]   [… VXLAN 11 [frame]]   frame
///     this                              │                               │                   │
///     above                tunnel 4: frame                 tunnel 5: frame      interface 0: frame
///
/// Frames that are for no tunnel are the underlay's own: ARP, echo, errors. It lies above circuits, so an underlay can be one. What is
/// inside a tunnel is not opened again. Captures, traces and impaired links are above, so they know tunnels; a second capture point is
/// here, for packets as they are on the wire. Without tunnels it costs one branch for each batch.
public struct TunnelFrameIO<Base: FrameIO & ~Copyable>: FrameIO, ~Copyable {
    /// What reads and writes the frames.
    public var base: Base
    /// Nil if the table has no tunnels.
    private let traffic: UnsafeMutablePointer<TunnelTraffic>?

    /// - Parameters:
    ///   - base: What reads and writes the frames.
    ///   - table: The first table. If it has no tunnels, later ones have none either.
    public init(_ base: consuming Base, table: Snapshot) {
        self.base = base
        guard table.tunnelCount > 0 else {
            traffic = nil
            return
        }
        let place = UnsafeMutablePointer<TunnelTraffic>.allocate(capacity: 1)
        place.initialize(to: TunnelTraffic())
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

    /// Received frames that no tunnel takes, although they are for its port.
    public var lostFrames: UnsafeBufferPointer<LostFrame> { traffic?.pointee.lostFrames ?? base.lostFrames }

    /// The table's tunnels are in force.
    public mutating func decide(by table: Snapshot, counters: CounterBlock) {
        base.decide(by: table, counters: counters)
        traffic?.pointee.take(table, counters)
    }

    /// From now on copies packets of underlays as they are on the wire, if an observer wants them.
    func observe(_ order: CaptureOrder?, worker: Int, generation: UInt64) {
        guard let traffic else { return }
        CapturePoint.set(&traffic.pointee.wire, order, worker: worker, generation: generation, isOuter: true)
    }

    /// The base's clock.
    public func now() -> MonotonicTime { base.now() }

    /// Waits as the base does.
    public mutating func wait(_ limit: WaitLimit) -> Int { base.wait(limit) }

    /// Reads as the base does, and keeps back what comes out of tunnels.
    public mutating func receive(_ position: Int, into batch: inout FrameBatch) {
        base.receive(position, into: &batch)
        traffic?.pointee.sort(&batch, besides: base.lostFrames, at: base.now())
    }

    /// The frames of one more tunnel, or of one more of the base's interfaces.
    public mutating func receiveMore(into batch: inout FrameBatch) -> Bool {
        guard let traffic else { return base.receiveMore(into: &batch) }
        if traffic.pointee.next(&batch, at: base.now()) { return true }
        guard base.receiveMore(into: &batch) else { return false }
        traffic.pointee.sort(&batch, besides: base.lostFrames, at: base.now())
        return true
    }

    /// Writes as the base does, and puts what is for tunnels into them.
    public mutating func send(_ list: borrowing WriteList) {
        guard let traffic, traffic.pointee.concerns(list) else { return base.send(list) }
        traffic.pointee.send(list, &base)
    }
}
