import Forwarding
import Plan
import Reporting
import Wire

/// An address as the file has it.
public struct RawAddress: Sendable, Hashable {
    /// The address, with the length of its prefix; without one, the whole length.
    public var value: InterfaceAddress
    /// True if the file gives the length of the prefix.
    public var hasLength: Bool

    /// Memberwise.
    package init(value: InterfaceAddress, hasLength: Bool) {
        self.value = value
        self.hasLength = hasLength
    }
}

/// An interface as the file has it.
package struct RawInterface: Sendable {
    package var name: Located<String>
    package var addresses: [Located<RawAddress>] = []
    /// True if the file says its addresses, also if it says that it has none.
    package var namesAddresses = false
    /// True if Tapline gives it its addresses.
    package var isGiven = false
    package var mtu: Located<Int>
    /// `copies: everything`.
    package var copiesEverything: SourceOrigin?
    /// The name of the file's interface, if the planner made this one of it.
    package var home: String?
    /// `anti-spoofing`.
    package var antiSpoofing: Located<Bool>?
    /// The frames that may wait in each queue.
    package var queue = Grammar.usualQueue
    /// `impair`.
    package var impairment: ImpairmentPair?
    /// The device of the machine that is bound to it.
    package var device: Located<String>?
    /// The networks behind that.
    package var behind: [Located<IPPrefix>] = []
    /// Its headers, if its packets are on another interface's device.
    package var circuit: RawCircuit?
    /// Its far end, if its frames are in packets of another interface.
    package var tunnel: RawTunnel?
    /// The engine's MAC address on it; nil: one that is derived from names.
    package var engineMAC: Located<MACAddress>?
}

extension RawInterface {
    /// A free place, where an interface was.
    package init(vacant place: Int, at origin: SourceOrigin) {
        self.init(name: Located(TableInterface.vacantName(place), origin), mtu: Located(1500, origin))
    }
}

/// The packets that passive applications get copies of.
package enum CopyMode: String, CaseIterable, Sendable {
    /// The packets that services and entries forward.
    case services
    /// All packets that arrive.
    case everything
}

/// A node's place on an interface as the file has it.
package struct RawLeg: Sendable {
    /// Its name in `attach`; nil if the node is on one interface, and the file names no leg.
    package var name: String?
    package var interface: Located<String>
    /// nil: the planner chooses them.
    package var addresses: [Located<RawAddress>]?
    package var origin: SourceOrigin
    /// `impair`.
    package var impairment: ImpairmentPair?
    /// True if the file names a circuit, and not an interface.
    package var namesCircuit = false
    /// The MAC address of a remote application; nil: the planner chooses it.
    package var mac: Located<MACAddress>?
}

/// When a process counts as ready, as the file has it.
package typealias RawReadiness = ReadinessPlan

/// A customer, application or router as the file has it.
package struct RawNode: Sendable {
    package var name: Located<String>
    package var kind: NodeKind
    /// The application that it is an instance of; nil if it is no instance.
    package var application: String?
    package var type: String?
    package var passive = false
    /// `copies: everything`.
    package var copiesEverything: SourceOrigin?
    package var transparent = false
    package var activeResponses: Located<Bool>?
    /// Who judges its packets by tenants' access lists; nil: nobody.
    package var access: RawAccess?
    /// What it may ask for; nil: nothing.
    package var negotiation: RawNegotiation?
    /// The place in the file that asks for a network send address.
    package var networkAddress: SourceOrigin?
    /// The place in the file that says that packets go to the node that announced the service's address.
    package var announced: SourceOrigin?
    /// Its legs: `in` first, `out` last, the others between them in the order of the file.
    package var legs: [RawLeg] = []
    /// The networks behind a customer.
    package var prefixes: [Located<IPPrefix>] = []
    /// Addresses that it may announce besides its own.
    package var mayHave: [Located<IPPrefix>] = []
    /// Those of `mayHave` that it has under a MAC address that is not its device's.
    package var virtual: [(prefix: Located<IPPrefix>, mac: Located<MACAddress>)] = []
    package var offload: Bool?
    /// `anti-spoofing`; nil: as its interface has it.
    package var antiSpoofing: Located<Bool>?
    package var routes: [RawRoute] = []
    package var sysctls: [SysctlPlan] = []
    /// The place of each sysctl.
    package var sysctlPlaces: [(name: String, origin: SourceOrigin)] = []
    package var hosts: [HostPlan] = []
    package var process = ProcessPlan()
    package var depends: [Located<String>] = []
    package var files: [RawFile] = []
    /// nil: as the topology has it.
    package var filesystem: FilesystemPlan?
    /// The places of its texts that have `{{ … }}` in them, by the texts.
    package var expressionPlaces: [String: SourceOrigin] = [:]
    /// What `ready` says, if it has expressions beside its command: of the node itself (""), and of its programs.
    package var unreadReadiness: [String: UnreadPart] = [:]
    /// Those of `depends` that must be healthy, and not only ready.
    package var dependsOnHealth: [Located<String>] = []
    /// The network namespace of somebody else that its legs are put in; nil: it gets one of its own.
    package var attachment: AttachmentPlan?
    /// The place of `remote`, if it is an application at another site.
    package var remote: SourceOrigin?
    /// The tunnel of each leg of such an application, until they are interfaces of the file.
    package var tunnels: [RawInterface] = []
}

/// A route by hand.
package struct RawRoute: Sendable {
    package var destination: IPPrefix
    package var gateway: Located<IPAddress>
}

/// A node in a list of a service, with the legs that the file names: `firewall`, or `{ firewall: { in: wan, out: lan } }`.
package struct RawStop: Sendable {
    package var name: Located<String>
    /// The leg that requests enter by; for a customer, the leg that it sends them by.
    package var enter: Located<String>?
    /// The leg that requests leave by.
    package var leave: Located<String>?

    /// Memberwise.
    package init(name: Located<String>, enter: Located<String>? = nil, leave: Located<String>? = nil) {
        self.name = name
        self.enter = enter
        self.leave = leave
    }

    package var value: String { name.value }
    package var origin: SourceOrigin { name.origin }
}

/// A service as the file has it.
package struct RawService: Sendable {
    package var name: Located<String>
    package var addresses: [Located<IPPrefix>] = []
    /// True if Tapline gives it its addresses.
    package var isGiven = false
    package var ports: [Located<PortSpecification>] = []
    /// Empty: every interface that has customers.
    package var from: [RawStop] = []
    package var distribute: [RawStop] = []
    package var sequence: [RawStop] = []
    /// The nodes that are each other's neighbours; empty for a service with a sequence.
    package var between: [RawStop] = []
    /// The place of `subnet: true`.
    package var subnet: SourceOrigin?
    /// The nodes of `between` that get what is sent to multicast groups, and `joined`; empty: all.
    package var members: [Located<String>] = []
    package var owner: String?
    /// The service path identifier of its chain; nil: it follows from the names of the applications.
    package var path: Located<Int>?
    /// `impair`.
    package var impairment: ImpairmentPair?
}

/// The value that a raw entry compares a source or destination with.
package enum RawEndpoint: Sendable {
    case any
    case prefix(IPPrefix)
    case mac(MACAddress)
    case node(String)
}

/// A send target by hand.
package struct RawTarget: Sendable {
    package enum Address: Sendable {
        case mac(MACAddress)
        case network(IPAddress)
        case neighbour(via: IPAddress?)
        /// A node of the file: its leg on the interface, or its `in` leg.
        case node(Located<String>)
    }
    package var origin: SourceOrigin
    package var interface: Located<String>?
    package var address: Address
    package var system: DestinationSystemType?
}

/// An entry by hand.
package struct RawEntry: Sendable {
    package var name: Located<String>
    package var kind: EntryKind
    package var origin: SourceOrigin
    package var received: Located<String>
    package var source: Located<RawEndpoint>?
    package var destination: Located<RawEndpoint>?
    package var ports: [Located<PortSpecification>] = []
    package var direction: ChainDirection = .request
    package var rewriteSource: Located<IPAddress>?
    package var targets: [RawTarget] = []
}
