import Forwarding
import Reporting
import Wire

/// Everything that one topology needs, decided and named, before anything is built: a pure function of the file.
///
/// Applying it is `Appliance`'s work. Device names, MAC addresses and entries are the same every time the same file is
/// planned under the same name.
public struct AppliancePlan: Sendable {
    /// The topology's name: the file's, or the one given on the command line.
    public var name: String
    /// The folder of the file, where the nodes' commands start.
    public var directory: String
    /// The interfaces, in the order of the table's.
    public var interfaces: [InterfacePlan]
    /// Every node with a namespace.
    public var nodes: [NodePlan]
    /// The entries, interfaces and neighbours of the packeting engine.
    public var table: ForwardingTable
    /// The checks that `run` proves once all is up, in the order of the file.
    public var checks: [CheckPlan]
    /// The packeting engines.
    public var engines: EnginesPlan
    /// The applications whose health Tapline looks after.
    public var applications: [ApplicationPlan]
    /// The services as customers find them, in the order of the file.
    public var services: [ServiceAddresses] = []
    /// The addresses that the file leaves to Tapline.
    public var givenAddresses: [GivenAddress] = []
    /// The services and the entries by hand, in the order of the file.
    public var entryOrigins: [EntryOrigin] = []
    /// The instances that were added to the file's, or removed from them.
    public var changes = InstanceChanges()
    /// The impaired links, in the order of the file.
    public var impairments: [ImpairmentPlan] = []
    /// What the file says of records; nil: tenants keep none.
    public var records: RecordsPlan?
    /// What applications may ask for; nil: nothing.
    public var negotiation: NegotiationPlan?
    /// The records of tenants that are in force.
    public var serviceRecords: [ServiceRecord] = []
    /// Where their entries are in the table.
    public var recordEntries = RecordEntries()
    /// Those that are not, and why.
    public var recordsSetAside: [RecordSetAside] = []
    /// The records that tenants want in force: those that are, and those that are set aside.
    public var wantedRecords: [ServiceRecord] { serviceRecords + recordsSetAside.map(\.record) }
    /// The applications whose packets tenants' access lists judge, in the order of the file.
    public var access: [AccessPlan] = []
    /// The access lists that are in force, in the order in which they came.
    public var accessLists: [PlannedAccess] = []
    /// Those that are not, and why.
    public var accessSetAside: [AccessSetAside] = []
    /// The access lists that tenants want in force: those that are, and those that are set aside.
    public var wantedAccess: [AccessRecord] { accessLists.map(\.record) + accessSetAside.map(\.record) }
    /// Remarks on parts of the file that are valid but hardly intended, in the order of the text.
    public var remarks: [TopologyProblem] = []

    /// Memberwise.
    public init(
        name: String, directory: String, interfaces: [InterfacePlan], nodes: [NodePlan], table: ForwardingTable,
        checks: [CheckPlan], engines: EnginesPlan = EnginesPlan(), applications: [ApplicationPlan] = []
    ) {
        self.name = name
        self.directory = directory
        self.interfaces = interfaces
        self.nodes = nodes
        self.table = table
        self.checks = checks
        self.engines = engines
        self.applications = applications
        fabricNamespace = DerivedNames.fabric(topology: name)
    }

    /// The namespace that holds the bridges, visible to `ip netns`; only made if a bridge is needed.
    public var fabricNamespace: String
}

/// One claimed interface: a TAP device, and its connection to its nodes.
public struct InterfacePlan: Sendable, Hashable {
    /// How the TAP reaches the nodes.
    public enum Attachment: Sendable, Hashable {
        /// The TAP is the node's own device: it is made in the node's namespace under the leg's device name, with the
        /// leg's MAC address.
        case direct(node: String)
        /// The TAP `tapDevice` is a port of the bridge `bridgeDevice` in the fabric namespace. Each node has a veth to
        /// the bridge.
        case bridge(bridgeDevice: String, tapDevice: String)
        /// There is none: an interface was removed, and those behind it keep their places.
        case vacant
    }
    /// The name in the file.
    public var name: String
    /// The largest network-layer packet in octets: 576…65521, and at least 1280 where IPv6 is to pass.
    public var mtu: Int
    /// How many frames from the nodes each queue of the TAP has room for.
    public var queue: Int
    /// How the TAP reaches the nodes. A circuit has its carrier's.
    public var attachment: Attachment
    /// The device of the machine that is a port of the bridge, too; nil: none.
    public var device: DevicePlan?
    /// The index of the interface whose TAP has its frames, if it is a circuit or a tunnel.
    public var carrier: Int?
    /// The kind of the device, if it carries circuits or tunnels: a TAP without offloads but those of `isUnderlay`, or a TUN.
    public var link: Encapsulation.Link?
    /// The headers before its packets, for people; nil if it is no circuit.
    public var encapsulation: String?
    /// True if it is the tunnel of an application at another site.
    public var isTunnel = false
    /// True if its device carries tunnels and no circuits, and its nodes have `offload: on`: the kernel can cut segments in tunnels.
    public var isUnderlay = false

    /// True if the place is free (`TableInterface.isVacant`).
    public var isVacant: Bool { attachment == .vacant }

    /// Memberwise.
    public init(name: String, mtu: Int, queue: Int, attachment: Attachment) {
        self.name = name
        self.mtu = mtu
        self.queue = queue
        self.attachment = attachment
    }
}

/// The kind of a node in the topology.
public enum NodeKind: String, Sendable, Codable, Hashable {
    case customer
    case application
    case router
}

/// A node's device on an interface.
public struct LegPlan: Sendable, Hashable {
    /// The index of the interface in the plan.
    public var interface: Int
    /// Its name in the file, or `port` for a node with one leg.
    public var role: String
    /// The device inside the node's namespace, at most 15 octets.
    public var device: String
    /// The other end of the veth, in the fabric namespace, at most 15 octets; nil if the TAP is the device itself.
    public var fabricDevice: String?
    /// The device's MAC address.
    public var mac: MACAddress
    /// MAC addresses beside `mac` that the bridge must deliver to this leg (transparent applications).
    public var deliverToo: [MACAddress]
    /// The device's addresses.
    public var addresses: [InterfaceAddress]
    /// False: the node gets single frames of its MTU with full checksums, and sends such.
    public var offload: Bool
    /// True: the bridge must deliver every frame to it, for any destination.
    public var takesEverything: Bool
    /// True: the bridge takes frames from it alone that have `mac` or one of `deliverToo` as their source.
    public var isLocked: Bool
    /// True if a virtual machine is behind the device: the addresses and the MAC address are the machine's, and the device
    /// is a port of a bridge in the node's namespace.
    public var isOfMachine = false
    /// True if a program of the node ends a circuit there: the device has no addresses and no routes, and the program makes one
    /// that has them.
    public var isCircuit = false
    /// True if it is the leg of an application at another site: Tapline has no device of it.
    public var isRemote = false
    /// The MAC addresses besides `mac` that the node uses for addresses that it may announce.
    public var virtual: [VirtualAddress] = []

    /// Addresses that a node has under a MAC address that is not its device's (VRRP).
    public struct VirtualAddress: Hashable, Sendable {
        /// The addresses.
        public var prefix: IPPrefix
        /// The MAC address.
        public var mac: MACAddress

        /// Memberwise.
        public init(prefix: IPPrefix, mac: MACAddress) {
            self.prefix = prefix
            self.mac = mac
        }
    }

    /// The part of the names of variables that stands for the leg: `LAN_2` of `TAPLINE_LAN_2_ADDRESS`.
    public static func variable(ofLeg role: String) -> String {
        String(role.uppercased().map { $0 == "-" ? "_" : $0 })
    }

    /// Memberwise.
    public init(
        interface: Int, role: String, device: String, fabricDevice: String?, mac: MACAddress,
        deliverToo: [MACAddress] = [], addresses: [InterfaceAddress], offload: Bool, takesEverything: Bool = false,
        isLocked: Bool = false
    ) {
        self.interface = interface
        self.role = role
        self.device = device
        self.fabricDevice = fabricDevice
        self.mac = mac
        self.deliverToo = deliverToo
        self.addresses = addresses
        self.offload = offload
        self.takesEverything = takesEverything
        self.isLocked = isLocked
    }
}

/// A route in a node.
public struct RoutePlan: Sendable, Hashable {
    /// The destination.
    public var destination: IPPrefix
    /// The next hop: one of the engine's addresses on the leg's interface.
    public var gateway: IPAddress
    /// The index of the leg in the node's legs.
    public var leg: Int
    /// The source address that the node's own packets on this route prefer.
    public var source: IPAddress?

    /// Memberwise.
    public init(destination: IPPrefix, gateway: IPAddress, leg: Int, source: IPAddress? = nil) {
        self.destination = destination
        self.gateway = gateway
        self.leg = leg
        self.source = source
    }
}

/// When an application counts as ready.
public enum ReadinessPlan: Sendable, Hashable {
    /// As soon as it has been started.
    case started
    /// When the shell command exits with status 0 inside the node.
    case command(String)
    /// When a TCP connection to the address (a literal; 127.0.0.1 by default) and port succeeds inside the node.
    case tcp(address: IPAddress, port: UInt16)
    /// When a GET of the path answers with the status.
    case http(address: IPAddress, port: UInt16, path: String, host: String, status: Int)
    /// When something that is asked inside the node is as it should be.
    case question(NodeQuestion)
}

/// The reaction to the end of an application's process while the topology is up.
public enum RestartPolicy: String, Sendable, Codable, Hashable, CaseIterable {
    case never
    case onFailure = "on-failure"
    case always
}

/// The process of a node.
public struct ProcessPlan: Sendable, Hashable {
    /// Shell commands that must each exit with status 0, in order, before `run` starts.
    public var setup: [String]
    /// Programs that run beside the application, and are ready before it starts.
    public var programs: [ProgramPlan] = []
    /// The shell command that is the application; nil if the kernel does the job (nftables, routing). Of a guest: what
    /// stands for it in messages.
    public var run: String?
    /// The application, if it is no shell command.
    public var guest: GuestPlan?
    /// Shell commands that must each exit with status 0, in order, whenever the programs have become ready. Only then
    /// the node is ready.
    public var after: [String] = []
    /// When it counts as ready.
    public var ready: ReadinessPlan
    /// How long it may take to become ready, in milliseconds.
    public var readyTimeout: Int
    /// The reaction to its end.
    public var restart: RestartPolicy
    /// The shell command that makes the application read its changed files; nil: it is started again.
    public var reload: String?
    /// Who `run` and the programs are, and what they may do.
    public var confinement = ConfinementPlan()
    /// The nodes that must be ready before `setup` starts.
    public var depends: [String]
    /// Those of `depends` that must be healthy as well.
    public var healthy: [String] = []
    /// Variables beside PATH, HOME, TERM, LANG and Tapline's own (TAPLINE_TOPOLOGY, TAPLINE_NODE, TAPLINE_DIR).
    public var environment: [String: String]

    /// Where commands look for programs, unless `environment` has another PATH.
    public static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Memberwise.
    public init(
        setup: [String] = [], run: String? = nil, ready: ReadinessPlan = .started, readyTimeout: Int = 30_000,
        restart: RestartPolicy = .onFailure, depends: [String] = [], environment: [String: String] = [:]
    ) {
        self.setup = setup
        self.run = run
        self.ready = ready
        self.readyTimeout = readyTimeout
        self.restart = restart
        self.depends = depends
        self.environment = environment
    }
}

/// A node: a network namespace, its devices, and its process.
public struct NodePlan: Sendable, Hashable {
    /// The name in the file.
    public var name: String
    /// Its kind.
    public var kind: NodeKind
    /// The application's type in the file ("firewall"), nil for customers and routers.
    public var type: String?
    /// Where it is described, for messages: a line of the file, or a record.
    public var origin: SourceOrigin
    /// The network namespace, as `ip netns` shows it: `<topology>-<node>` if both are short plain names. Of an attached
    /// node: the place of the namespace, which has a colon, a slash or a space.
    public var namespace: String
    /// Its devices.
    public var legs: [LegPlan]
    /// Addresses on its loopback device: the service addresses that a terminal application answers for.
    public var loopback: [IPAddress]
    /// Prefixes that it takes as its own, each address of them.
    public var local: [IPPrefix]
    /// Its routes.
    public var routes: [RoutePlan]
    /// Sysctls inside its namespace, as `net.ipv4.ip_forward` → `1`, in this order.
    public var sysctls: [SysctlPlan]
    /// Names for its hosts file beside its own.
    public var hosts: [HostPlan]
    /// What it sees of the machine's files.
    public var filesystem = FilesystemPlan()
    /// The files that it gets, before anything runs in it.
    public var files: [FilePlan] = []
    /// The addresses that it asks for names; empty: it has its hosts file alone.
    public var nameServers: [IPAddress] = []
    /// The network namespace of somebody else's that it is in; nil: it has one of its own.
    public var attachment: AttachmentPlan?
    /// Where its namespace is beside the virtual machine in it; nil: there is none, or no address is free.
    public var vantage: VantagePlan?
    /// True if it answers the others: it reads its hosts file again when that has changed.
    public var isResolver = false
    /// Its process.
    public var process: ProcessPlan

    /// Memberwise.
    public init(
        name: String, kind: NodeKind, type: String? = nil, origin: SourceOrigin, namespace: String, legs: [LegPlan],
        loopback: [IPAddress] = [], local: [IPPrefix] = [], routes: [RoutePlan] = [], sysctls: [SysctlPlan] = [],
        hosts: [HostPlan] = [],
        process: ProcessPlan = ProcessPlan()
    ) {
        self.name = name
        self.kind = kind
        self.type = type
        self.origin = origin
        self.namespace = namespace
        self.legs = legs
        self.loopback = loopback
        self.local = local
        self.routes = routes
        self.sysctls = sysctls
        self.hosts = hosts
        self.process = process
    }
}

extension NodePlan {
    /// The node and where it is described, for messages: `node web (line 14)`.
    public var place: String { "node \(name) (\(origin))" }

    /// The address under which health checks probe a leg. It is the leg's first one, IPv4 before IPv6. A leg without
    /// any has the link-local one that the kernel forms from the leg's MAC address.
    public func probedAddress(leg: Int) -> IPAddress {
        let own = legs[leg].addresses.map(\.address)
        return own.first { $0.family == .ipv4 } ?? own.first ?? GeneratedNames.linkLocal(legs[leg].mac)
    }
}

/// One sysctl: its dotted name (`net.ipv4.ip_forward`; a device name with dots is written with slashes) and value.
public struct SysctlPlan: Sendable, Hashable {
    /// The dotted name.
    public var name: String
    /// The value to write.
    public var value: String

    /// Memberwise.
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// One line of a node's hosts file.
public struct HostPlan: Sendable, Hashable {
    /// The address.
    public var address: IPAddress
    /// The name.
    public var name: String

    /// Memberwise.
    public init(address: IPAddress, name: String) {
        self.address = address
        self.name = name
    }
}

extension NodePlan {
    /// Makes it the stand-in of an application at another site: a namespace with nothing in it.
    public mutating func isRemote() {
        (loopback, local, routes, sysctls) = ([], [], [], [])
    }
}
