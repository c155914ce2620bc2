import Forwarding
import Reporting

/// An access list that a tenant keeps by instructions for one application. Its texts are as they were sent: the planner reads
/// them, and reports what is wrong with the place in the record.
public struct AccessRecord: Sendable, Hashable {
    /// What happens to a packet.
    public struct Verdict: Sendable, Hashable {
        /// `allow` or `deny`.
        public var action: String
        /// How the sender of a denied packet is told: `drop`, `icmp` or `reset`; nil: `drop`.
        public var answer: String?

        /// Memberwise.
        public init(_ action: String, answer: String? = nil) {
            self.action = action
            self.answer = answer
        }
    }

    /// One rule.
    public struct Rule: Sendable, Hashable {
        /// What happens to a packet that matches.
        public var verdict: Verdict
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

        /// Memberwise.
        public init(
            _ verdict: Verdict, protocolName: String? = nil, own: String? = nil, ownPorts: [String] = [],
            remote: String? = nil, remotePorts: [String] = [], icmpTypes: [String] = []
        ) {
            self.verdict = verdict
            self.protocolName = protocolName
            self.own = own
            self.ownPorts = ownPorts
            self.remote = remote
            self.remotePorts = remotePorts
            self.icmpTypes = icmpTypes
        }
    }

    /// The tenant that it belongs to.
    public var tenant: String
    /// The application whose packets it judges.
    public var application: String
    /// The rules in order.
    public var rules: [Rule]
    /// What happens to a packet that matches no rule.
    public var otherwise: Verdict

    /// Memberwise.
    public init(tenant: String, application: String, rules: [Rule], otherwise: Verdict) {
        self.tenant = tenant
        self.application = application
        self.rules = rules
        self.otherwise = otherwise
    }

    /// What tells it from all other records: `alice/access/firewall`. No service is called so: a name has no slash.
    public var id: String { "\(tenant)/access/\(application)" }

    /// The place of the record, or of a value in it.
    ///
    /// - Parameter pointer: A JSON pointer (RFC 6901) into the record as it was sent: `/rules/0/own`.
    public func origin(_ pointer: String? = nil) -> SourceOrigin {
        .record(SourceRecord(kind: "access", id: id, field: pointer))
    }
}

/// An access list that is in force.
public struct PlannedAccess: Sendable, Hashable {
    /// The record that it is of.
    public var record: AccessRecord
    /// The record as the engine and applications judge by it. A rule of the record may be several rules here.
    public var list: AccessList
    /// For each rule of `list`, the index of the record's rule that it is of.
    public var sources: [Int]
    /// What of the record is not in force, because the file no longer allows it. The rest of the list is.
    public var omissions: [AccessRemark]

    /// Memberwise.
    public init(record: AccessRecord, list: AccessList, sources: [Int], omissions: [AccessRemark] = []) {
        self.record = record
        self.list = list
        self.sources = sources
        self.omissions = omissions
    }

    /// What the operator is told of what is not in force, a line each.
    package var notes: [String] {
        omissions.map { "the access list of \(record.tenant) on \(record.application): \($0.message)" }
    }
}

/// An access list that is not in force although its tenant wants it: the file no longer has the tenant, or `access` at the
/// application.
public struct AccessSetAside: Sendable, Hashable {
    /// The record.
    public var record: AccessRecord
    /// Why, a sentence each.
    public var reasons: [String]

    /// Memberwise.
    public init(_ record: AccessRecord, reasons: [String]) {
        self.record = record
        self.reasons = reasons
    }

    /// What the operator is told.
    package var note: String {
        "the access list of \(record.tenant) on \(record.application) is set aside, and stops nothing: "
            + reasons.joined(separator: "; ")
    }
}

/// Something about an access list that works but is hardly intended.
public struct AccessRemark: Sendable, Hashable {
    /// A JSON pointer (RFC 6901) into the record: `/rules/3`.
    public var pointer: String
    /// One sentence.
    public var message: String

    /// Memberwise.
    public init(_ pointer: String, _ message: String) {
        self.pointer = pointer
        self.message = message
    }
}
