import Wire

/// One frame as the engine's ring of captures tells it, with what its reader knows of it.
public struct CaptureRecord: Sendable {
    /// The index of the interface in the section.
    public var interface: Int
    /// Which way it went, as seen from the node.
    public var direction: PacketDirection
    /// When the engine read or wrote it: CLOCK_MONOTONIC.
    public var time: MonotonicTime
    /// The `virtio_net_hdr` and the frame, or as many of the first octets as are captured.
    public var octets: [UInt8]
    /// The octets that both had.
    public var length: Int
    /// The engine's worker that handled it.
    public var worker: UInt32?
    /// A number that the packet has wherever it is captured.
    public var identifier: UInt64?
    /// How many frames of this interface the ring lost between the one before and this one.
    public var lostBefore: UInt64
    /// Sentences about it.
    public var comments: [String]

    /// Memberwise.
    public init(
        interface: Int, direction: PacketDirection, time: MonotonicTime, octets: [UInt8], length: Int,
        worker: UInt32? = nil, identifier: UInt64? = nil, lostBefore: UInt64 = 0, comments: [String] = []
    ) {
        self.interface = interface
        self.direction = direction
        self.time = time
        self.octets = octets
        self.length = length
        self.worker = worker
        self.identifier = identifier
        self.lostBefore = lostBefore
        self.comments = comments
    }

    /// What is written of it beside its octets.
    ///
    /// - Parameter clock: What its time is since 1970.
    func packet(_ octets: [UInt8], _ clock: CaptureClock) -> PcapngPacket {
        PcapngPacket(
            interface: interface, direction: direction, nanoseconds: clock.nanoseconds(time), octets: octets,
            identifier: identifier, worker: worker, comments: comments)
    }

    /// The packets to be written; none where not even the `virtio_net_hdr` is there.
    ///
    /// All segments of a superframe have its time, number and comments. The lost frames are told with the first.
    ///
    /// - Parameters:
    ///   - cut: Cuts a superframe into the frames that a wire would carry.
    ///   - clock: What its time is since 1970.
    public func packets(segments cut: Bool, _ clock: CaptureClock) -> [PcapngPacket] {
        guard let frame = OffloadedFrame(octets, length: length) else { return [] }
        var packets = (cut ? frame.segments : [frame.completed]).map { packet($0, clock) }
        if packets.count == 1 { packets[0].length = frame.length }
        packets[0].lostBefore = lostBefore
        return packets
    }
}
