/// What an access list does with packets. The keys are those of the tenants' API.
public struct RecordedVerdict: Codable, Sendable, Hashable {
    /// `allow` or `deny`.
    public var action: String
    /// How the sender of a denied packet is told: `drop`, `icmp` or `reset`; nil: `drop`.
    public var answer: String?
    /// For people.
    public var comment: String?

    /// Memberwise.
    public init(action: String, answer: String? = nil, comment: String? = nil) {
        self.action = action
        self.answer = answer
        self.comment = comment
    }
}

/// One rule of an access list, as instructions carry it. The keys are those of the tenants' API.
public struct RecordedAccessRule: Codable, Sendable, Hashable {
    /// `allow` or `deny`.
    public var action: String
    /// How the sender of a denied packet is told: `drop`, `icmp` or `reset`; nil: `drop`.
    public var answer: String?
    /// `tcp`, `icmp`, the number of a protocol, or `any`; nil: `any`.
    public var protocolName: String?
    /// A prefix of the tenant's addresses; nil: all of them.
    public var own: String?
    /// Ports and ranges of them; empty: every one.
    public var ownPorts: [String]
    /// A prefix; nil: every address.
    public var remote: String?
    /// Ports and ranges of them; empty: every one.
    public var remotePorts: [String]
    /// Types of ICMP, by name or number; empty: every one.
    public var icmpTypes: [String]
    /// For people.
    public var comment: String?

    /// Memberwise.
    public init(
        action: String, answer: String? = nil, protocolName: String? = nil, own: String? = nil, ownPorts: [String] = [],
        remote: String? = nil, remotePorts: [String] = [], icmpTypes: [String] = [], comment: String? = nil
    ) {
        self.action = action
        self.answer = answer
        self.protocolName = protocolName
        self.own = own
        self.ownPorts = ownPorts
        self.remote = remote
        self.remotePorts = remotePorts
        self.icmpTypes = icmpTypes
        self.comment = comment
    }

    private enum CodingKeys: String, CodingKey {
        case action, answer, own, remote, comment
        case protocolName = "protocol"
        case ownPorts = "own-ports"
        case remotePorts = "remote-ports"
        case icmpTypes = "icmp-types"
    }

    /// Lists that are not there are empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func texts(_ key: CodingKeys) throws -> [String] {
            try container.decodeIfPresent([String].self, forKey: key) ?? []
        }
        func text(_ key: CodingKeys) throws -> String? { try container.decodeIfPresent(String.self, forKey: key) }
        self.init(
            action: try container.decode(String.self, forKey: .action), answer: try text(.answer),
            protocolName: try text(.protocolName), own: try text(.own), ownPorts: try texts(.ownPorts),
            remote: try text(.remote), remotePorts: try texts(.remotePorts), icmpTypes: try texts(.icmpTypes),
            comment: try text(.comment))
    }
}

/// The access list that a tenant keeps for one application, as instructions carry it.
public struct RecordedAccess: Codable, Sendable, Hashable {
    /// The tenant that it belongs to.
    public var tenant: String
    /// The application whose packets it judges.
    public var application: String
    /// The rules in order.
    public var rules: [RecordedAccessRule]
    /// What happens to a packet that matches no rule.
    public var otherwise: RecordedVerdict

    /// Memberwise.
    public init(tenant: String, application: String, rules: [RecordedAccessRule], otherwise: RecordedVerdict) {
        self.tenant = tenant
        self.application = application
        self.rules = rules
        self.otherwise = otherwise
    }

    private enum CodingKeys: String, CodingKey {
        case tenant, application, rules
        case otherwise = "default"
    }

    /// What tells it from the tenant's other records: `access/firewall`. No service is called so: a name has no slash.
    public var subject: String { Self.subject(application) }
    /// The same for an application.
    public static func subject(_ application: String) -> String { "access/\(application)" }
    /// What tells it from all other records.
    public var id: String { "\(tenant)/\(subject)" }
}

/// How often packets matched.
public struct PacketCount: Codable, Sendable, Hashable {
    /// Packets, each segment of a superframe by itself.
    public var packets: UInt64
    /// Octets of these, from the network-layer header on.
    public var octets: UInt64

    /// Memberwise.
    public init(packets: UInt64 = 0, octets: UInt64 = 0) {
        self.packets = packets
        self.octets = octets
    }

    /// The sum.
    public static func + (left: PacketCount, right: PacketCount) -> PacketCount {
        PacketCount(packets: left.packets &+ right.packets, octets: left.octets &+ right.octets)
    }
}

/// How often a rule matched, by who judges.
public struct RuleHits: Codable, Sendable, Hashable {
    /// The engines' counts; nil: they do not judge.
    public var engine: PacketCount?
    /// The sum of the application's instances, since each has its table; nil: it does not judge, or does not count.
    public var application: PacketCount?

    /// Memberwise.
    public init(engine: PacketCount? = nil, application: PacketCount? = nil) {
        self.engine = engine
        self.application = application
    }
}

/// Something about a record that works but is hardly intended.
public struct RecordRemark: Codable, Sendable, Hashable {
    /// The record.
    public var record: String
    /// A JSON pointer (RFC 6901) into it.
    public var pointer: String
    /// One sentence.
    public var message: String

    /// Memberwise.
    public init(record: String, pointer: String, message: String) {
        self.record = record
        self.pointer = pointer
        self.message = message
    }
}

/// How an access list does.
public struct AccessState: Codable, Sendable, Hashable {
    /// The record.
    public var id: String
    /// For each rule of the record.
    public var rules: [RuleHits]
    /// For packets that match no rule.
    public var otherwise: RuleHits
    /// What is hardly intended.
    public var remarks: [RecordRemark]

    /// Memberwise.
    public init(id: String, rules: [RuleHits], otherwise: RuleHits, remarks: [RecordRemark]) {
        self.id = id
        self.rules = rules
        self.otherwise = otherwise
        self.remarks = remarks
    }
}
