/// Asks for the entries, with their counters.
package struct TablesRequest: ControlCommand {
    package typealias Answer = TableListing
    package typealias CodingKeys = NoKeys

    package init() {}

    package var request: ControlRequest { .tables(self) }
}

/// The output of `tapline tables --json`. The keys are stable.
public struct TableListing: Codable, Sendable {
    /// One copy that an entry sends.
    public struct Copy: Codable, Sendable {
        /// The interface that it leaves by.
        public var sendInterface: String
        /// A MAC address, a network address, or `neighbour` (of the packet's own destination, or of `via`).
        public var sendAddress: String
        /// The node that the send address is a leg of.
        public var node: String?
        /// The service port of the copy, if it is translated: `tcp/8080`.
        public var rewritePort: String?
        /// The Ethernet source, if it is not the send interface's own.
        public var sourceMAC: String?
        /// The kind of system behind the send address, in words.
        public var destinationSystemType: String
        /// The application of which this is one instance, if the packet goes to one of several.
        public var oneOf: String?
        /// The condition of the copy, if it depends on whether applications are up or down: `firewall down`.
        public var when: String?

        /// Memberwise.
        package init(
            sendInterface: String, sendAddress: String, node: String? = nil, rewritePort: String? = nil,
            sourceMAC: String? = nil, destinationSystemType: String, oneOf: String? = nil, when: String? = nil
        ) {
            self.sendInterface = sendInterface
            self.sendAddress = sendAddress
            self.node = node
            self.rewritePort = rewritePort
            self.sourceMAC = sourceMAC
            self.destinationSystemType = destinationSystemType
            self.oneOf = oneOf
            self.when = when
        }
    }
    /// One entry.
    public struct Row: Codable, Sendable {
        /// Its name.
        public var name: String
        /// `request` or `response`.
        public var direction: String
        /// The interface that the packet comes in on.
        public var receivedInterface: String
        /// The Ethernet source that frames must come from.
        public var sourceMAC: String?
        /// The node that `sourceMAC` is a leg of.
        public var sourceNode: String?
        /// A prefix, or nil for any.
        public var source: String?
        /// A prefix, or nil for any.
        public var destination: String?
        /// `tcp/80`, `udp/5000-5010`, `icmp`, or `any`.
        public var servicePort: String
        /// The new source of the packet.
        public var rewriteSource: String?
        /// Its copies, at least one.
        public var copies: [Copy]
        /// nil if no engine counts: the table of a file.
        public var packets: UInt64?
        /// Octets of the frames that it matched; nil if no engine counts.
        public var bytes: UInt64?

        /// Memberwise.
        package init(
            name: String, direction: String, receivedInterface: String, sourceMAC: String? = nil,
            sourceNode: String? = nil, source: String? = nil, destination: String? = nil, servicePort: String,
            rewriteSource: String? = nil, copies: [Copy], packets: UInt64? = nil, bytes: UInt64? = nil
        ) {
            self.name = name
            self.direction = direction
            self.receivedInterface = receivedInterface
            self.sourceMAC = sourceMAC
            self.sourceNode = sourceNode
            self.source = source
            self.destination = destination
            self.servicePort = servicePort
            self.rewriteSource = rewriteSource
            self.copies = copies
            self.packets = packets
            self.bytes = bytes
        }
    }
    /// A rule of a tenant's access list that the engine judges by, or what happens to packets that match none.
    public struct AccessRow: Codable, Sendable {
        /// The application whose packets are judged.
        public var application: String
        /// The tenant.
        public var tenant: String
        /// The tenant's number of the rule, from 1. A rule may have several rows. nil for packets that match no rule.
        public var rule: Int?
        /// `allow`, `deny`, `deny, icmp` or `deny, reset`.
        public var action: String
        /// `tcp`, `icmp`, a protocol's number, or `any`.
        public var `protocol`: String
        /// A prefix; nil for all of the tenant's addresses.
        public var own: String?
        /// Ports, or the ICMP type; nil for any.
        public var ownPorts: String?
        /// A prefix, or nil for any.
        public var remote: String?
        /// nil for any.
        public var remotePorts: String?
        /// Packets that it decided about; nil if no engine counts.
        public var packets: UInt64?
        /// Octets of these, from the network header on; nil if no engine counts.
        public var bytes: UInt64?

        /// Memberwise.
        package init(
            application: String, tenant: String, rule: Int?, action: String, protocol: String, own: String? = nil,
            ownPorts: String? = nil, remote: String? = nil, remotePorts: String? = nil, packets: UInt64? = nil,
            bytes: UInt64? = nil
        ) {
            self.application = application
            self.tenant = tenant
            self.rule = rule
            self.action = action
            self.protocol = `protocol`
            self.own = own
            self.ownPorts = ownPorts
            self.remote = remote
            self.remotePorts = remotePorts
            self.packets = packets
            self.bytes = bytes
        }
    }
    /// The version of this format.
    public var version = 1
    /// Its name.
    public var name: String
    /// The entries for packets from customers.
    public var distribution: [Row]
    /// The entries for packets from applications and routers.
    public var sequencing: [Row]
    /// The rules of tenants' access lists that the engine judges by: by application, tenant and order.
    public var access: [AccessRow]

    /// Memberwise.
    public init(name: String, distribution: [Row], sequencing: [Row], access: [AccessRow] = []) {
        self.name = name
        self.distribution = distribution
        self.sequencing = sequencing
        self.access = access
    }
}
