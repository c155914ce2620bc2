import Wire

/// Who emits a packet: a node's leg, or a station that only an entry names.
public struct Emitter: Hashable, Sendable {
    /// The index of the node; nil where the topology has none with this address.
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
    /// True where the receiver keeps it.
    public var isPassive: Bool
}

/// One step of a packet through the engine.
public struct ProvedHop: Hashable, Sendable {
    /// Who sent the packet to the engine.
    public var emitter: Emitter
    /// The packet as the engine gets it.
    public var flow: FlowFields
    /// The entry that decides it.
    public var entry: Int
    /// The copies that it sends.
    public var copies: [ProvedCopy]
}

/// A packet of a customer, every hop of it and of its answers: nothing is lost, and nothing runs in a circle.
public struct ProvedPath: Sendable {
    /// The entry that takes the packet from the customer.
    public var entry: Int
    /// The nodes that all see the same; the path is that of the first.
    public var customers: [Int]
    /// The packet that the path was proved with.
    public var flow: FlowFields
    /// True where the packet stands for all that the entry's destination names, false for a part of that.
    public var isWholeDestination: Bool
    /// The hops of the request, in the order of the way; copies that are passed on follow one after the other.
    public var request: [ProvedHop]
    /// The hops of the answers.
    public var response: [ProvedHop]
    /// Why there are none, where there are none.
    public var silence: AnswerSilence?
}

/// Why nothing of a packet's answer was followed.
public enum AnswerSilence: Hashable, Sendable {
    /// Passive applications alone get the packet.
    case passiveAlone
    /// The packet is an answer itself: the entry that takes it is for responses.
    case isAnswer
    /// It is for a group or for everybody on a link.
    case group
    /// Nobody of the topology is known by where it is sent to, so that nothing tells who would answer.
    case unknownEnd
}

/// A packet that shows a problem: its first emitter, and its hops until the problem shows.
public struct ExampleTrace: Hashable, Sendable {
    /// The hops, at least one where any entry took the packet.
    public var hops: [ProvedHop]
    /// Who holds the packet at the end, with the packet as it then is.
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
    /// It reaches the one who asked with another source or destination than its request's.
    case wrongAddress(expected: IPAddress, found: IPAddress)
    /// Nobody on the send interface has the address that the last entry sends it to.
    case nobody(interface: Int, IPAddress?)
    /// It runs in a circle.
    case loop
}

/// Why an entry can never match.
public enum DeadReason: Hashable, Sendable {
    /// More specific entries take every packet that it matches.
    case shadowed(by: [Int])
    /// No node is on its received interface.
    case noNode
    /// Nobody on its received interface has the Ethernet source that it names; who has it elsewhere.
    case unknownSource(MACAddress, owner: Emitter?)
    /// Its source is a passive application, whose packets are dropped before any entry is looked at.
    case silencedSource(Int)
    /// All nodes on its received interface are passive applications that may send nothing.
    case silencedInterface
    /// None of the customers on its received interface has an address in its source; who has it elsewhere.
    case sourceElsewhere(Int?)
    /// Nobody on its received interface has an address of its family.
    case family(AddressFamily)
    /// Its destination is an address of the engine itself, which answers for that without any entry.
    case ownAddress(IPAddress)
}

/// A send target that does not fit its interface.
public enum MismatchReason: Hashable, Sendable {
    /// No node is on the send interface.
    case noNode
    /// Nobody there has the MAC address; who has it elsewhere.
    case unknownMAC(MACAddress, owner: Emitter?)
    /// The MAC address is the engine's own.
    case ownMAC(MACAddress)
    /// Nobody there has the network address, though it is on the link; who has it elsewhere.
    case unknownAddress(IPAddress, owner: Int?)
    /// The network address is not in any network of the interface; who has it elsewhere.
    case offLink(IPAddress, owner: Int?)
    /// No destination that the entry matches is on the send interface.
    case destinationOffLink(IPPrefix)
}

/// Packets that are lost without anybody being told.
public enum MTUTrap: Hashable, Sendable {
    /// A transparent application joins interfaces of different MTUs.
    case transparent(node: Int)
    /// A passive application's interface has a smaller MTU than the packets that it gets copies of.
    case copy(TargetPlace, node: Int?, packets: Int)
    /// The engine has no address of the family on any interface, so that it can tell nobody that a packet is too big.
    case mute(TargetPlace, AddressFamily)
}

/// One thing that stands in the way of loading a table.
public enum ProofFinding: Hashable, Sendable {
    /// Packets run in a circle; the entries of the circle.
    case loop(entry: Int, circle: [Int], ExampleTrace)
    /// The entry can never match.
    case dead(entry: Int, DeadReason, example: FlowFields?)
    /// The last one of the trace passes the packet on, and no entry takes it.
    case brokenOff(entry: Int, DropReason, ExampleTrace)
    /// The answer of the trace's last one does not reach who asked.
    case unanswered(entry: Int, AnswerFailure, request: ExampleTrace, answer: ExampleTrace)
    /// An entry of another service decides a packet of this one.
    case confused(entry: Int, other: Int, ExampleTrace)
    /// A target does not fit its interface.
    case mismatch(TargetPlace, MismatchReason)
    /// Packets are lost without anybody being told.
    case mtu(MTUTrap)
}
