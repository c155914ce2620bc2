import Wire

/// The ICMP error that the sender of a dropped packet gets, if any.
public enum ErrorAnswer: UInt8, Sendable, Hashable {
    /// Nothing is sent.
    case none
    /// IPv4 type 3 code 0, IPv6 type 1 code 0: no service has the destination.
    case networkUnreachable
    /// IPv4 type 3 code 3, IPv6 type 1 code 4: the destination is a service address, but the service does not have the
    /// port.
    case portUnreachable
}

/// What the table says about one packet. The same packet and the same table always give the same decision.
public enum Decision: Sendable, Hashable {
    /// The index of the entry that matches, in the order of the `ForwardingTable`.
    case forward(entry: Int)
    /// No copy is sent.
    case drop(DropReason, answer: ErrorAnswer)
}

/// The sender of a frame, as its received interface and Ethernet source tell.
public struct Sender: Sendable, Hashable {
    /// The node's system type; nil if the file does not name the node.
    public let system: DestinationSystemType?
    /// True for a passive application whose active responses the file allows.
    public let mayEmit: Bool
    /// True for a node that has been removed.
    public let isRemoved: Bool
    /// The scope of the sequencing entries that name this Ethernet source; 0 for none.
    @usableFromInline let sequencing: UInt32
    /// The scope of the distribution entries that name this Ethernet source; 0 for none.
    @usableFromInline let distribution: UInt32
    /// The prefixes that it may send from: `Layout.anySource`, `Layout.noSource`, or first | count<<32.
    @usableFromInline let origins: UInt64

    @inlinable
    init(
        system: DestinationSystemType?, mayEmit: Bool, isRemoved: Bool, sequencing: UInt32, distribution: UInt32,
        origins: UInt64
    ) {
        self.system = system
        self.mayEmit = mayEmit
        self.isRemoved = isRemoved
        self.sequencing = sequencing
        self.distribution = distribution
        self.origins = origins
    }

    /// A node that the file does not name.
    @inlinable public static var unknown: Sender {
        Sender(
            system: nil, mayEmit: false, isRemoved: false, sequencing: 0, distribution: 0, origins: Layout.anySource)
    }

    /// A node that the file does not name, on an interface whose nodes are all named.
    @inlinable static var stranger: Sender {
        Sender(
            system: nil, mayEmit: false, isRemoved: false, sequencing: 0, distribution: 0, origins: Layout.noSource)
    }

    /// True if it may send from any address.
    @inlinable @inline(__always)
    public var maySendFromAnywhere: Bool { origins == Layout.anySource }

    /// True if it may send nothing at all: the table names all nodes of the interface, and this is none of them.
    @inlinable
    public var isStranger: Bool { origins == Layout.noSource }

    /// True if its packets are dropped before any lookup.
    @inlinable
    public var isSilenced: Bool { system == .passiveApplication && !mayEmit }

    /// True if it may get ICMP errors about its packets. Passive applications get none.
    @inlinable
    public var mayBeAnswered: Bool { system != .passiveApplication }
}

/// An entry as the engine executes it.
public struct EntryRecord: Sendable, Hashable {
    /// The indices of its copies, for `Snapshot.hop(_:)`. Empty if all copies are mirrored.
    public let targets: Range<Int>
    /// The network address that the packet's source is rewritten to, of the packet's family.
    public let rewriteSource: IPAddress?
    /// The index of its counters.
    public let counter: Int
    /// Whether it is for requests or for responses.
    public let direction: ChainDirection
    /// Which table it is in.
    public let kind: EntryKind
    /// What turns the service port of its packets into the one that customers send to.
    public let outerShift: PortShift

    @inlinable
    init(
        targets: Range<Int>, rewriteSource: IPAddress?, counter: Int, direction: ChainDirection, kind: EntryKind,
        outerShift: PortShift
    ) {
        self.targets = targets
        self.rewriteSource = rewriteSource
        self.counter = counter
        self.direction = direction
        self.kind = kind
        self.outerShift = outerShift
    }
}

/// One copy as the engine sends it.
public struct TargetRecord: Sendable, Hashable {
    /// The index of the send interface.
    public let interface: Int
    /// The send address.
    public let address: SendAddress
    /// The Ethernet source to send with: the target's own, else the send interface's MAC address.
    public let sourceMAC: MACAddress
    /// What the send address leads to.
    public let system: DestinationSystemType
    /// True: only while the node is in the packet's group.
    public let whileJoined: Bool
    /// What turns the packet's service port into the one that the copy has.
    public let portShift: PortShift

    @inlinable
    init(
        interface: Int, address: SendAddress, sourceMAC: MACAddress, system: DestinationSystemType, whileJoined: Bool,
        portShift: PortShift
    ) {
        self.interface = interface
        self.address = address
        self.sourceMAC = sourceMAC
        self.system = system
        self.whileJoined = whileJoined
        self.portShift = portShift
    }
}

/// An interface as the engine uses it.
public struct InterfaceRecord: Sendable, Hashable {
    /// The engine's MAC address on it.
    public let mac: MACAddress
    /// The largest network-layer packet, in octets.
    public let mtu: Int

    @inlinable
    init(mac: MACAddress, mtu: Int) {
        self.mac = mac
        self.mtu = mtu
    }
}
