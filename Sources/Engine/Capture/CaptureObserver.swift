/// Where frames are captured, and what stands before them.
public enum CaptureLayer: UInt8, Sendable, CaseIterable {
    /// At the table's interfaces: frames of circuits are without their outer headers.
    case interfaces
    /// At devices that carry circuits: Ethernet frames with their outer headers.
    case ethernet
    /// At TUNs that carry circuits: frames of frame relay or ATM, behind a `virtio_net_hdr` of zeros.
    case tun
    /// At underlays: packets with frames of tunnels in them, as on the wire.
    case underlay
}

/// One wish of a capture: which frames of which interfaces, and how much of each.
public struct CaptureObserver: Sendable, Hashable {
    /// The most observers at a time.
    public static let most = 32

    /// Its number, less than `most`; the bit of records that are for it.
    public var number: Int
    /// The ways of the frames.
    public var directions: Set<CaptureDirection>
    /// The indexes of the interfaces; empty for all, or for none at devices that carry circuits.
    public var interfaces: [Int]
    /// Where.
    public var layer: CaptureLayer
    /// True: at underlays among its interfaces, packets with frames of tunnels in them are wanted besides.
    public var hasOuter: Bool
    /// Which flows.
    public var sample: FlowSample
    /// The most octets of each frame that are kept, from the Ethernet header on.
    public var snapLength: Int
    /// What frames match; empty for all.
    public var filter: [ClassicBPFInstruction]

    /// Memberwise.
    public init(
        number: Int, directions: Set<CaptureDirection> = [.received, .sent], interfaces: [Int] = [],
        layer: CaptureLayer = .interfaces, hasOuter: Bool = false, sample: FlowSample = .all, snapLength: Int = 262_144,
        filter: [ClassicBPFInstruction] = []
    ) {
        self.number = number
        self.directions = directions
        self.interfaces = interfaces
        self.layer = layer
        self.hasOuter = hasOuter
        self.sample = sample
        self.snapLength = snapLength
        self.filter = filter
    }
}
