import Wire

/// The sender of a packet: a node's leg, or a station that only an entry names.
public struct Emitter: Hashable, Sendable {
    /// The index of the node; nil if no node of the topology has this address.
    public var node: Int?
    /// The interface that the engine receives its frames on.
    public var interface: Int
    /// Their Ethernet source.
    public var mac: MACAddress

    /// Memberwise.
    public init(node: Int?, interface: Int, mac: MACAddress) {
        self.node = node
        self.interface = interface
        self.mac = mac
    }
}

/// One copy of a hop.
public struct ProvedCopy: Hashable, Sendable {
    /// The index of the send interface.
    public var interface: Int
    /// The node that it reaches; nil for a station that the topology does not name.
    public var node: Int?
    /// How it is addressed.
    public var address: SendAddress
    /// True if the receiver keeps it.
    public var isPassive: Bool
}

/// One step of a packet through the engine.
public struct ProvedHop: Hashable, Sendable {
    /// The sender of the packet to the engine.
    public var emitter: Emitter
    /// The packet as the engine gets it.
    public var flow: FlowFields
    /// The entry that decides it.
    public var entry: Int
    /// The copies that it sends.
    public var copies: [ProvedCopy]
}

/// A proved path: a customer's packet, every hop of it and of its answers. No packet is lost, and none runs in a loop.
public struct ProvedPath: Sendable {
    /// The entry that takes the packet from the customer.
    public var entry: Int
    /// The nodes whose packets all take this path. The path shows the first node.
    public var customers: [Int]
    /// The packet that the path was proved with.
    public var flow: FlowFields
    /// True if the packet represents all that the entry's destination names, false for a part of it.
    public var isWholeDestination: Bool
    /// The hops of the request, in order. If several copies are passed on, one follows after the other.
    public var request: [ProvedHop]
    /// The hops of the answers.
    public var response: [ProvedHop]
    /// Why there is no response, if there is none.
    public var silence: AnswerSilence?
}

/// Why no answer was followed.
public enum AnswerSilence: Hashable, Sendable {
    /// Only passive applications get the packet.
    case passiveAlone
    /// The packet is a fragment, which goes to no translated port.
    case fragment
    /// The packet itself is an answer: the entry that takes it is for responses.
    case isAnswer
    /// The packet is for a group or for all hosts on a link.
    case group
    /// No node of the topology has the destination, so it is unknown which node would answer.
    case unknownEnd
}

/// A packet that shows a problem: its first sender, and its hops until the problem shows.
public struct ExampleTrace: Hashable, Sendable {
    /// The hops; at least one if any entry took the packet.
    public var hops: [ProvedHop]
    /// The node that has the packet at the end.
    public var last: Emitter?
    /// The packet at the end.
    public var flow: FlowFields

    /// The packet at the beginning.
    public var firstFlow: FlowFields { hops.first?.flow ?? flow }
}

/// Why an answer does not come back.
public enum AnswerFailure: Hashable, Sendable {
    /// No entry takes it, or the engine drops it.
    case dropped(DropReason)
    /// It reaches a node that did not ask.
    case wrongNode(Int)
    /// It reaches the sender of the request, but with another source or destination than expected.
    case wrongAddress(expected: IPAddress, found: IPAddress)
    /// It reaches the sender of the request, but with another source or destination port than expected.
    case wrongPort(expected: UInt16, found: UInt16)
    /// No node on the send interface has the address that the last entry sends it to.
    case nobody(interface: Int, IPAddress?)
    /// It runs in a loop.
    case loop
}

/// Why an entry can never match.
public enum DeadReason: Hashable, Sendable {
    /// More specific entries take all packets that it matches.
    case shadowed(by: [Int])
    /// No node is on its received interface.
    case noNode
    /// No node on its received interface has the Ethernet source that it names. `owner` has it elsewhere.
    case unknownSource(MACAddress, owner: Emitter?)
    /// Its source is a passive application, whose packets are dropped before any entry is looked at.
    case silencedSource(Int)
    /// All nodes on its received interface are passive applications that may send nothing.
    case silencedInterface
    /// No customer on its received interface has an address in its source. The node, if any, has one elsewhere.
    case sourceElsewhere(Int?)
    /// No node on its received interface has an address of its family.
    case family(AddressFamily)
    /// Its destination is the engine's own address, for which the engine answers without any entry.
    case ownAddress(IPAddress)
}

/// A send target that does not fit its interface.
public enum MismatchReason: Hashable, Sendable {
    /// No node is on the send interface.
    case noNode
    /// No node there has the MAC address. `owner` has it elsewhere.
    case unknownMAC(MACAddress, owner: Emitter?)
    /// The MAC address is the engine's own.
    case ownMAC(MACAddress)
    /// The network address is on the link, but no node there has it. `owner` has it elsewhere.
    case unknownAddress(IPAddress, owner: Int?)
    /// No network of the interface contains the network address. `owner` has it elsewhere.
    case offLink(IPAddress, owner: Int?)
    /// No destination that the entry matches is on the send interface.
    case destinationOffLink(IPPrefix)
}

/// Packets that are lost while their sender gets no error.
public enum MTUTrap: Hashable, Sendable {
    /// A transparent application connects interfaces of different MTUs.
    case transparent(node: Int)
    /// A passive application's interface has a smaller MTU than the packets that it gets copies of.
    case copy(TargetPlace, node: Int?, packets: Int)
    /// The engine has no address of the family on any interface, so it cannot send errors about packets that are too
    /// big.
    case mute(TargetPlace, AddressFamily)
}

/// One problem that prevents a table from being loaded.
public enum ProofFinding: Hashable, Sendable {
    /// Packets run in a loop, through the entries of `circle`.
    case loop(entry: Int, circle: [Int], ExampleTrace)
    /// The entry can never match.
    case dead(entry: Int, DeadReason, example: FlowFields?)
    /// The last node of the trace passes the packet on, and no entry takes it.
    case brokenOff(entry: Int, DropReason, ExampleTrace)
    /// The answer of the trace's last node does not reach the sender of the request.
    case unanswered(entry: Int, AnswerFailure, request: ExampleTrace, answer: ExampleTrace)
    /// An entry of another service decides a packet of this one.
    case confused(entry: Int, other: Int, ExampleTrace)
    /// A target does not fit its interface.
    case mismatch(TargetPlace, MismatchReason)
    /// Packets are lost while their sender gets no error.
    case mtu(MTUTrap)
}
