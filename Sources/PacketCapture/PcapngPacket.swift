/// Which way a packet went, as seen from the node at whose interface it was captured.
///
/// The engine's view is the other one: what the engine reads from an interface, the node has sent. The node's view is taken
/// because tcpdump in the node's namespace, and the captures of checks, have it, too.
public enum PacketDirection: UInt32, Sendable, CaseIterable {
    /// The node received it; the engine sent it.
    case inbound = 1
    /// The node sent it; the engine received it.
    case outbound = 2
}

/// One packet of a capture, as it is written.
public struct PcapngPacket: Sendable, Hashable {
    /// The index of the interface in the section.
    public var interface: Int
    /// Which way it went.
    public var direction: PacketDirection?
    /// When, in nanoseconds since 1970.
    public var nanoseconds: UInt64
    /// Its octets from the Ethernet header on, or as many of the first as there are.
    public var octets: [UInt8]
    /// The octets that it had.
    public var length: Int
    /// A number that the packet has wherever it is captured (`frame.packet_id`).
    public var identifier: UInt64?
    /// The engine's worker that handled it, shown as the interface's queue.
    public var worker: UInt32?
    /// How many packets of this interface were lost between the one before and this one.
    public var lostBefore: UInt64
    /// Sentences about it.
    public var comments: [String]

    /// Memberwise.
    public init(
        interface: Int, direction: PacketDirection? = nil, nanoseconds: UInt64, octets: [UInt8], length: Int? = nil,
        identifier: UInt64? = nil, worker: UInt32? = nil, lostBefore: UInt64 = 0, comments: [String] = []
    ) {
        self.interface = interface
        self.direction = direction
        self.nanoseconds = nanoseconds
        self.octets = octets
        self.length = length ?? octets.count
        self.identifier = identifier
        self.worker = worker
        self.lostBefore = lostBefore
        self.comments = comments
    }
}

/// What was counted at an interface while a section was written.
public struct PcapngStatistics: Sendable, Hashable {
    /// The index of the interface in the section.
    public var interface: Int
    /// Packets that passed the interface, the lost ones among them.
    public var received: UInt64
    /// Packets that were lost on their way into the capture, because its reader was too slow.
    public var lost: UInt64
    /// When the capture of this interface began, in nanoseconds since 1970.
    public var start: UInt64?
    /// When these were counted, in nanoseconds since 1970.
    public var end: UInt64

    /// Memberwise.
    public init(interface: Int, received: UInt64, lost: UInt64, start: UInt64? = nil, end: UInt64) {
        self.interface = interface
        self.received = received
        self.lost = lost
        self.start = start
        self.end = end
    }
}
