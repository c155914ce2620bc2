import Wire

/// One rule of an access list. It matches packets in both directions between its own side and its remote side.
public struct AccessRule: Hashable, Sendable {
    /// What happens to a packet that matches.
    public enum Action: Hashable, Sendable {
        /// It goes on.
        case allow
        /// It does not, and its sender is told as `AccessDenial` says.
        case deny(AccessDenial)
    }

    /// Which protocol, and what of its header.
    public enum Matter: Hashable, Sendable {
        /// Every packet of every protocol.
        case any
        /// Every packet of one upper-layer protocol (its IANA number).
        case protocolNumber(UInt8)
        /// Packets of a protocol with ports (`IPProtocol.hasPorts`), by ranges of ports (host integers). 0…65535 means any. A
        /// later fragment has no ports: a rule that allows matches it by its addresses and protocol, and a rule that denies
        /// matches it only if both ranges are 0…65535.
        case ports(protocolNumber: UInt8, own: ClosedRange<UInt16>, remote: ClosedRange<UInt16>)
        /// ICMP (for an IPv6 rule: ICMPv6) of one type. The type of a query stands for the type of its answer as well: 8 for 0,
        /// 13 for 14 (IPv4), 128 for 129 (IPv6). For a later fragment, the same holds as for ports.
        case icmp(type: UInt8)
    }

    /// What happens to a packet that matches.
    public var action: Action
    /// The own side: part of the list's own addresses.
    public var own: IPPrefix
    /// The remote side, of the same family as `own`; nil for every address.
    public var remote: IPPrefix?
    /// The protocol.
    public var matter: Matter
    /// The index of its counters. It is unique in the table, and stays the same from table to table.
    public var counter: Int

    /// Memberwise.
    public init(action: Action, own: IPPrefix, remote: IPPrefix? = nil, matter: Matter = .any, counter: Int) {
        self.action = action
        self.own = own
        self.remote = remote
        self.matter = matter
        self.counter = counter
    }
}

/// How the sender of a denied packet is told.
public enum AccessDenial: UInt8, Hashable, Sendable, CaseIterable {
    /// Not at all.
    case drop
    /// By an ICMP error: communication administratively prohibited (RFC 1812, 5.2.7.1: type 3, code 13; RFC 4443, 3.1: type 1,
    /// code 1). No error answers an error.
    case icmp
    /// By a TCP reset (RFC 9293, 3.10.7.1); for packets of other protocols as `icmp`.
    case reset
}

/// What one tenant lets pass through one application: the first rule that matches a packet decides, and `otherwise` decides for
/// packets that match none.
///
/// A packet between two of a list's own addresses is judged once: a rule matches it in either direction.
///
/// A list judges a packet whose destination, or whose source, is one of its own addresses, before the packet is sent to the
/// application in either direction. A packet between two lists' own addresses is judged by both, the destination's first. It is
/// denied if either denies it.
///
/// ICMP errors (types 3, 11 and 12; ICMPv6: 1 to 4) that match no rule pass, whatever `otherwise` says: without them a sender never
/// learns the path's MTU.
public struct AccessList: Hashable, Sendable {
    /// The tenant's name, for messages and listings.
    public var tenant: String
    /// The tenant's own addresses. No two lists of one application share one.
    public var own: [IPPrefix]
    /// The rules in order.
    public var rules: [AccessRule]
    /// What happens to a packet that matches no rule.
    public var otherwise: AccessRule.Action
    /// The index of the counters of `otherwise`.
    public var counter: Int
    /// For each rule, the number from 1 of the tenant's own rule that it is a part of; empty if each is a rule of its own.
    public var numbers: [Int] = []

    /// The number from 1 that the tenant knows a rule by.
    ///
    /// - Parameter rule: The index of the rule.
    public func number(of rule: Int) -> Int { numbers.indices.contains(rule) ? numbers[rule] : rule + 1 }

    /// Memberwise.
    public init(tenant: String, own: [IPPrefix], rules: [AccessRule], otherwise: AccessRule.Action, counter: Int) {
        self.tenant = tenant
        self.own = own
        self.rules = rules
        self.otherwise = otherwise
        self.counter = counter
    }
}
