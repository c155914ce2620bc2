import Forwarding
import Reporting
import Wire

/// An address as the file has it.
public struct RawAddress: Sendable, Hashable {
    /// The address, with the length of its prefix; without one, the whole length.
    public var value: InterfaceAddress
    /// True if the file gives the length of the prefix.
    public var hasLength: Bool
}

/// Service ports as the file has them, for both families.
public struct PortSpecification: Sendable, Hashable {
    /// The upper-layer protocol.
    public enum UpperProtocol: Sendable, Hashable {
        /// Every one.
        case any
        /// ICMP for IPv4, ICMPv6 for IPv6.
        case icmp
        /// One, by its number.
        case number(UInt8)
    }
    /// The upper-layer protocol.
    public var upperProtocol: UpperProtocol
    /// The ports; all of them if the protocol has none.
    public var ports: ClosedRange<UInt16>

    /// Every protocol and port.
    public static let any = PortSpecification(upperProtocol: .any, ports: 0...65535)

    /// ICMP, or ICMPv6.
    public static let icmp = PortSpecification(upperProtocol: .icmp, ports: 0...65535)

    init(upperProtocol: UpperProtocol, ports: ClosedRange<UInt16>) {
        self.upperProtocol = upperProtocol
        self.ports = ports
    }

    /// The protocols that have names here.
    static let protocolNames = ["tcp", "udp", "sctp", "dccp", "udplite", "icmp", "icmpv6", "any", "protocol"]

    /// Reads `tcp/80`, `udp/5000-5100`, `tcp`, `icmp`, `protocol/47` or `any`.
    public init?(_ text: String) {
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false)
        let numbers: [Substring: UInt8] = ["tcp": 6, "udp": 17, "sctp": 132, "dccp": 33, "udplite": 136]
        guard let first = parts.first, parts.count <= 2 else { return nil }
        if let number = numbers[first] {
            guard parts.count == 2 else {
                self.init(upperProtocol: .number(number), ports: 0...65535)
                return
            }
            let ends = parts[1].split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2, ends.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }),
                let low = ends.first.flatMap({ UInt16($0) }), let high = ends.last.flatMap({ UInt16($0) }), low <= high
            else { return nil }
            self.init(upperProtocol: .number(number), ports: low...high)
        } else if first == "protocol", parts.count == 2 {
            guard let number = UInt8(parts[1]), parts[1].first != "+" else { return nil }
            self.init(upperProtocol: .number(number), ports: 0...65535)
        } else {
            guard parts.count == 1 else { return nil }
            switch first {
            case "any": self = .any
            case "icmp", "icmpv6": self = .icmp
            default: return nil
            }
        }
    }

    /// The ports as the packets of a family carry them.
    public func servicePort(_ family: AddressFamily) -> ServicePort {
        switch upperProtocol {
        case .any: .any
        case .icmp: ServicePort(protocolNumber: family == .ipv4 ? 1 : 58)
        case .number(let number): ServicePort(protocolNumber: number, ports: ports)
        }
    }
}

/// An interface as the file has it.
struct RawInterface: Sendable {
    var name: Located<String>
    var addresses: [Located<RawAddress>] = []
    var mtu: Located<Int>
    /// `copies: everything`.
    var copiesEverything: SourceOrigin?
    /// The name of the file's interface, if the planner made this one of it.
    var home: String?
    /// `anti-spoofing`.
    var antiSpoofing: Located<Bool>?
    /// The frames that may wait in each queue.
    var queue = Grammar.usualQueue
}

/// The packets that passive applications get copies of.
enum CopyMode: String, CaseIterable, Sendable {
    /// The packets that services and entries forward.
    case services
    /// All packets that arrive.
    case everything
}

/// A node's place on an interface as the file has it.
struct RawLeg: Sendable {
    var interface: Located<String>
    /// nil: the planner chooses them.
    var addresses: [Located<RawAddress>]?
    var origin: SourceOrigin
}

/// When a process counts as ready, as the file has it.
typealias RawReadiness = ReadinessPlan

/// A customer, application or router as the file has it.
struct RawNode: Sendable {
    var name: Located<String>
    var kind: NodeKind
    /// The application that it is an instance of; nil if it is no instance.
    var application: String?
    var type: String?
    var passive = false
    /// `copies: everything`.
    var copiesEverything: SourceOrigin?
    var transparent = false
    var activeResponses: Located<Bool>?
    /// The place in the file that asks for a network send address.
    var networkAddress: SourceOrigin?
    /// `in`, or the only one.
    var inLeg: RawLeg?
    var outLeg: RawLeg?
    /// The networks behind a customer.
    var prefixes: [Located<IPPrefix>] = []
    var offload: Bool?
    /// `anti-spoofing`; nil: as its interface has it.
    var antiSpoofing: Located<Bool>?
    var routes: [RawRoute] = []
    var sysctls: [SysctlPlan] = []
    /// The place of each sysctl.
    var sysctlPlaces: [(name: String, origin: SourceOrigin)] = []
    var hosts: [HostPlan] = []
    var process = ProcessPlan()
    var depends: [Located<String>] = []
}

/// A route by hand.
struct RawRoute: Sendable {
    var destination: IPPrefix
    var gateway: Located<IPAddress>
}

/// A service as the file has it.
struct RawService: Sendable {
    var name: Located<String>
    var addresses: [Located<IPPrefix>] = []
    var ports: [Located<PortSpecification>] = []
    /// Empty: every interface that has customers.
    var from: [Located<String>] = []
    var distribute: [Located<String>] = []
    var sequence: [Located<String>] = []
    var owner: String?
}

/// The value that a raw entry compares a source or destination with.
enum RawEndpoint: Sendable {
    case any
    case prefix(IPPrefix)
    case mac(MACAddress)
    case node(String)
}

/// A send target by hand.
struct RawTarget: Sendable {
    enum Address: Sendable {
        case mac(MACAddress)
        case network(IPAddress)
        case neighbour(via: IPAddress?)
        /// A node of the file: its leg on the interface, or its `in` leg.
        case node(Located<String>)
    }
    var origin: SourceOrigin
    var interface: Located<String>?
    var address: Address
    var system: DestinationSystemType?
}

/// An entry by hand.
struct RawEntry: Sendable {
    var name: Located<String>
    var kind: EntryKind
    var origin: SourceOrigin
    var received: Located<String>
    var source: Located<RawEndpoint>?
    var destination: Located<RawEndpoint>?
    var ports: [Located<PortSpecification>] = []
    var direction: ChainDirection = .request
    var rewriteSource: Located<IPAddress>?
    var targets: [RawTarget] = []
}
