import Wire

/// What one list says about a packet.
public struct AccessDecision: Hashable, Sendable {
    /// The index of the list.
    public var list: Int
    /// The index of the first rule that matches; nil if none does.
    public var rule: Int?
    /// What happens to the packet.
    public var action: AccessRule.Action
    /// The index of the counters that count it. nil for an ICMP error that passes because no rule matches it.
    public var counter: Int?
}

/// What an application's lists say about packets, rule by rule, straight from the rules' definitions. The engine finds
/// the same in compiled form (`Snapshot.judge`).
public struct AccessEvaluator: Sendable {
    /// The lists. No two share an own address.
    public var lists: [AccessList]

    /// - Parameter lists: An application's lists.
    public init(_ lists: [AccessList]) {
        self.lists = lists
    }

    /// What the lists say, in the order in which they are asked: the destination's list, then the source's. Nothing is asked after
    /// a list that denies. The packet passes unless the last one denies it.
    public func decisions(_ packet: AccessPacket) -> [AccessDecision] {
        let first = lists.firstIndex { list in list.own.contains { $0.contains(packet.destination) } }
        let second = lists.firstIndex { list in list.own.contains { $0.contains(packet.source) } }
        var decisions: [AccessDecision] = []
        for list in [first, second == first ? nil : second].compactMap(\.self) {
            let decision = decide(list, packet)
            decisions.append(decision)
            if case .deny = decision.action { break }
        }
        return decisions
    }

    private func decide(_ index: Int, _ packet: AccessPacket) -> AccessDecision {
        let list = lists[index]
        if let rule = list.rules.firstIndex(where: { $0.matches(packet) }) {
            return AccessDecision(
                list: index, rule: rule, action: list.rules[rule].action, counter: list.rules[rule].counter)
        }
        if packet.isPassingError { return AccessDecision(list: index, rule: nil, action: .allow, counter: nil) }
        return AccessDecision(list: index, rule: nil, action: list.otherwise, counter: list.counter)
    }
}

extension AccessRule {
    /// True if the rule matches a packet, in one direction or in the other.
    public func matches(_ packet: AccessPacket) -> Bool {
        switch packet.upper {
        case .unread:
            matches(packet, packet.destination, packet.source, nil)
                || matches(packet, packet.source, packet.destination, nil)
        case .icmp(let type):
            matches(packet, packet.destination, packet.source, (UInt16(type), 0))
                || matches(packet, packet.source, packet.destination, (UInt16(type), 0))
        case .ports(let source, let destination):
            matches(packet, packet.destination, packet.source, (destination, source))
                || matches(packet, packet.source, packet.destination, (source, destination))
        }
    }

    private func matches(
        _ packet: AccessPacket, _ own: IPAddress, _ remote: IPAddress, _ upper: (own: UInt16, remote: UInt16)?
    ) -> Bool {
        guard self.own.contains(own), self.remote?.contains(remote) ?? true else { return false }
        switch matter {
        case .any: return true
        case .protocolNumber(let number): return packet.protocolNumber == number
        case .ports(let number, let ownPorts, let remotePorts):
            guard packet.protocolNumber == number else { return false }
            guard let upper else { return action == .allow || ownPorts == 0...65535 && remotePorts == 0...65535 }
            return ownPorts.contains(upper.own) && remotePorts.contains(upper.remote)
        case .icmp(let type):
            guard packet.protocolNumber == (own.family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6) else {
                return false
            }
            guard let upper else { return action == .allow }
            return Self.types(type, own.family).contains(UInt8(truncatingIfNeeded: upper.own))
        }
    }

    /// The ICMP types that a rule for a type matches: a query's type stands for its answer's, too.
    public static func types(_ type: UInt8, _ family: AddressFamily) -> [UInt8] {
        switch (family, type) {
        case (.ipv4, 8): [8, 0]
        case (.ipv4, 13): [13, 14]
        case (.ipv6, 128): [128, 129]
        default: [type]
        }
    }
}
