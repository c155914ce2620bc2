import Wire

/// What applications may ask for by PCP (RFC 6887) or NAT-PMP (RFC 6886), and where: `negotiate` in the file.
public struct NegotiationPlan: Sendable, Hashable {
    /// The name of the node that answers, and of the interface that it is on.
    public static let node = "negotiation"
    /// The type of its node.
    public static let type = "negotiation"
    /// The UDP port of requests (RFC 6887, 19).
    public static let port: UInt16 = 5351
    /// The group of all hosts of a link, which hears announcements.
    public static func hosts(_ family: AddressFamily) -> IPAddress {
        family == .ipv4 ? IPAddress(ipv4: 0xE000_0001) : IPAddress(ipv6High: 0xFF02_0000_0000_0000, low: 1)
    }
    /// How long a mapping lasts without renewal, in seconds.
    public static let usualLifetime = 30...120
    /// How many mappings an application may have.
    public static let usualMappings = 64
    /// How many requests an application may send in a second.
    public static let usualRequests = 50

    /// Networks that its interface may have: the first that no other network overlaps (RFC 2544, RFC 6598; RFC 4193).
    package static let networks: [AddressFamily: [String]] = [
        .ipv4: ["198.19.255.241/29", "100.127.255.241/29", "192.0.0.1/29"],
        .ipv6: ["fd8e:52c6:3d1b:5351::1/64", "fd8e:52c6:3d1b:5352::1/64"],
    ]

    /// An application that may ask.
    public struct Application: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// The service addresses that it can be given.
        public var addresses: [IPAddress]
        /// The service ports that it can be given: of TCP and UDP.
        public var ports: [PortSpecification]
        /// The passive applications that get copies.
        public var distribute: [String]
        /// The applications in front of it, in order.
        public var through: [String]
        /// Interfaces and customers that may use what it gets; empty: every interface that has customers.
        public var from: [String]
        /// How long a mapping lasts without renewal, in seconds.
        public var lifetime: ClosedRange<Int>
        /// How many mappings it may have.
        public var mappings: Int
        /// How many requests it may send in a second.
        public var requests: Int
        /// The nodes that are its instances, with the addresses that they ask from.
        public var instances: [Instance]

        /// Memberwise.
        package init(
            name: String, addresses: [IPAddress], ports: [PortSpecification], distribute: [String], through: [String],
            from: [String], lifetime: ClosedRange<Int>, mappings: Int, requests: Int, instances: [Instance]
        ) {
            self.name = name
            self.addresses = addresses
            self.ports = ports
            self.distribute = distribute
            self.through = through
            self.from = from
            self.lifetime = lifetime
            self.mappings = mappings
            self.requests = requests
            self.instances = instances
        }
    }
    /// A node that may ask.
    public struct Instance: Sendable, Hashable {
        /// Its name.
        public var node: String
        /// The addresses that it asks from.
        public var addresses: [IPAddress]

        /// Memberwise.
        package init(node: String, addresses: [IPAddress]) {
            self.node = node
            self.addresses = addresses
        }
    }
    /// The applications.
    public var applications: [Application]
    /// The engine's addresses where requests are answered.
    public var servers: [IPAddress]

    /// Memberwise.
    package init(applications: [Application], servers: [IPAddress]) {
        self.applications = applications
        self.servers = servers
    }
}
