import Wire

/// The ICMP error that a dropped packet's sender is owed, if any.
public enum ErrorAnswer: UInt8, Sendable, Hashable {
    /// Nothing is sent.
    case none
    /// IPv4 type 3 code 0, IPv6 type 1 code 0: nobody serves the destination.
    case networkUnreachable
    /// IPv4 type 3 code 3, IPv6 type 1 code 4: the destination is a service address, the port is not served.
    case portUnreachable
}

/// What the table says about one packet: the same for the same packet and the same table, always.
public enum Decision: Sendable, Hashable {
    /// The index of the entry that matches, in the order of the `ForwardingTable`.
    case forward(entry: Int)
    /// No copy is sent.
    case drop(DropReason, answer: ErrorAnswer)
}

/// Who a frame comes from, as far as its received interface and Ethernet source tell.
public struct Sender: Sendable, Hashable {
    /// The node's system type; nil where the file does not name the node.
    public let system: DestinationSystemType?
    /// True for a passive application whose active responses the file allows.
    public let mayEmit: Bool
    /// True for a node that has been taken away.
    public let isRemoved: Bool
    /// The scope of the sequencing entries that name this Ethernet source; 0 for none.
    @usableFromInline let sequencing: UInt32
    /// The scope of the distribution entries that name this Ethernet source; 0 for none.
    @usableFromInline let distribution: UInt32
    /// Where the prefixes stand that it may send from: `Layout.anySource`, `Layout.noSource`, or first | count<<32.
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

    /// The same on an interface whose nodes are all named.
    @inlinable static var stranger: Sender {
        Sender(
            system: nil, mayEmit: false, isRemoved: false, sequencing: 0, distribution: 0, origins: Layout.noSource)
    }

    /// True where it may send from any address.
    @inlinable @inline(__always)
    public var maySendFromAnywhere: Bool { origins == Layout.anySource }

    /// True where it may send nothing at all: the table names every node of the interface, and it is none of them.
    @inlinable
    public var isStranger: Bool { origins == Layout.noSource }

    /// True where what it emits is dropped before any lookup.
    @inlinable
    public var isSilenced: Bool { system == .passiveApplication && !mayEmit }

    /// True where ICMP errors about its packets may be sent to it: passive applications get none.
    @inlinable
    public var mayBeAnswered: Bool { system != .passiveApplication }
}

/// An entry as the engine executes it.
public struct EntryRecord: Sendable, Hashable {
    /// The indices of its copies, for `Snapshot.hop(_:)`; empty where all are mirrored.
    public let targets: Range<Int>
    /// The network address that the packet's source is rewritten to; it is of the packet's family.
    public let rewriteSource: IPAddress?
    /// The index of its counters.
    public let counter: Int
    /// Which side the service is on.
    public let direction: ChainDirection
    /// Which table it is in.
    public let kind: EntryKind

    @inlinable
    init(
        targets: Range<Int>, rewriteSource: IPAddress?, counter: Int, direction: ChainDirection, kind: EntryKind
    ) {
        self.targets = targets
        self.rewriteSource = rewriteSource
        self.counter = counter
        self.direction = direction
        self.kind = kind
    }
}

/// One copy as the engine sends it.
public struct TargetRecord: Sendable, Hashable {
    /// The index of the send interface.
    public let interface: Int
    /// The send address.
    public let address: SendAddress
    /// The Ethernet source to send with: the target's own, or else the send interface's MAC address.
    public let sourceMAC: MACAddress
    /// What the send address leads to.
    public let system: DestinationSystemType

    @inlinable
    init(interface: Int, address: SendAddress, sourceMAC: MACAddress, system: DestinationSystemType) {
        self.interface = interface
        self.address = address
        self.sourceMAC = sourceMAC
        self.system = system
    }
}

/// An interface as the engine uses it.
public struct InterfaceRecord: Sendable, Hashable {
    /// The engine's MAC address on it.
    public let mac: MACAddress
    /// The largest network-layer packet in octets.
    public let mtu: Int

    @inlinable
    init(mac: MACAddress, mtu: Int) {
        self.mac = mac
        self.mtu = mtu
    }
}
