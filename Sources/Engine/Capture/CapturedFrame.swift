import Wire

/// Which way a captured frame went.
public enum CaptureDirection: UInt8, Sendable, CaseIterable {
    /// The engine read it from the interface: a node sent it.
    case received
    /// The engine wrote it to the interface, or tried to.
    case sent
}

/// A frame that was captured.
public struct CapturedFrame: Sendable, Hashable {
    /// Which way it went.
    public var direction: CaptureDirection
    /// The index of the interface.
    public var interface: Int
    /// When the engine read it, or handed it to the kernel: CLOCK_MONOTONIC.
    public var time: MonotonicTime
    /// The octets that the frame had, its `virtio_net_hdr` among them.
    public var length: Int
    /// The `virtio_net_hdr` (10 octets) and the frame: `length` octets, or as many of the first as are captured of each.
    public var octets: [UInt8]
    /// The errno with which the kernel refused the write: the engine counted the frame as dropped. 0 if it was written
    /// or read.
    public var failure: Int32
    /// The ring that it was in: the index of the worker's block in the counters.
    public var worker: Int
    /// The number of the frame in its ring, from 0. A gap means that frames were lost.
    public var sequence: UInt64
    /// The observers that wanted it: bit n is set for observer n.
    public var observers: UInt32
    /// The generation of the table that the worker decided by.
    public var generation: UInt64
    /// True for a packet of an underlay with a frame of a tunnel in it.
    public var isOuter: Bool

    /// Memberwise.
    public init(
        direction: CaptureDirection, interface: Int, time: MonotonicTime, length: Int, octets: [UInt8],
        failure: Int32 = 0, worker: Int = 0, sequence: UInt64 = 0, observers: UInt32 = 1, generation: UInt64 = 0,
        isOuter: Bool = false
    ) {
        self.direction = direction
        self.interface = interface
        self.time = time
        self.length = length
        self.octets = octets
        self.failure = failure
        self.worker = worker
        self.sequence = sequence
        self.observers = observers
        self.generation = generation
        self.isOuter = isOuter
    }
}
