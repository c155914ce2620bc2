import Forwarding
import Wire

/// Access lists as a table of nftables: what `nft -f` reads to have a namespace judge by them, in one transaction.
///
/// The packets go through a chain of each tenant, which a map from their destination, and then from their source, leads to. The
/// table is before connection tracking, so fragments are judged as they come. The text is the same whether the table is there
/// or not, and rules keep their counters.
///
/// In a transparent application, frames are judged where they come in, in the family `netdev`: it answers them as they came, without
/// routes and addresses. The family `inet` would look for a route, and many kernels cannot answer in the family `bridge`
/// (CONFIG_NFT_BRIDGE_REJECT).
public struct NftablesAccess: Sendable, Hashable {
    /// The table's name.
    public static let table = "tapline_access"
    /// Before connection tracking puts fragments together (NF_IP_PRI_CONNTRACK_DEFRAG: -400), and before all that is usual.
    static let priority = -450

    /// The lists.
    public var lists: [AccessList]
    /// The devices that frames come in on which the namespace passes on unrouted; empty: it routes.
    public var devices: [String]

    /// Memberwise.
    public init(_ lists: [AccessList], devices: [String] = []) {
        self.lists = lists
        self.devices = devices
    }

    /// The family of the table.
    public var family: String { devices.isEmpty ? "inet" : "netdev" }
    /// The family and the name, as nft takes them.
    private var place: String { "\(family) \(Self.table)" }

    private var hook: String {
        guard !devices.isEmpty else { return "prerouting" }
        return "ingress devices = { \(devices.map { "\"\($0)\"" }.joined(separator: ", ")) }"
    }

    /// The counter of an index.
    public static func counter(_ index: Int) -> String { "c\(index)" }

    /// How the table differs from one with other lists.
    private struct Difference {
        /// The lists that are new, or say something else.
        var changed: [AccessList]
        /// The lists of tenants that have none any more.
        var gone: [AccessList]
        /// True if packets go to other chains than before. Which one they go to depends on addresses alone.
        var leadsElsewhere: Bool

        init(from former: [AccessList], to lists: [AccessList]) {
            let known = Dictionary(former.map { ($0.tenant, $0) }) { first, _ in first }
            let stay = Set(lists.map(\.tenant))
            changed = lists.filter { list in known[list.tenant].map { !$0.judgesAs(list) } ?? true }
            gone = former.filter { !stay.contains($0.tenant) }
            leadsElsewhere = former.isEmpty || !gone.isEmpty || changed.contains { known[$0.tenant]?.own != $0.own }
        }
    }

    /// Puts exactly these lists in force, in one transaction. Chains of tenants whose lists stay are not touched: what it costs
    /// goes by the lists that change.
    ///
    /// - Parameter former: The lists that are there.
    public func transaction(insteadOf former: [AccessList] = []) -> String {
        let difference = Difference(from: former, to: lists)
        let (changed, gone, leadsElsewhere) = (difference.changed, difference.gone, difference.leadsElsewhere)
        var lines: [String] = []
        if leadsElsewhere {
            lines = [
                "add table \(place)",
                "add chain \(place) judge { type filter hook \(hook) priority \(Self.priority); policy accept; }",
                "flush chain \(place) judge",
            ]
        }
        for chain in Self.chains(changed + gone) {
            // Else all of them are there, or it fails: chains that nothing leads to would judge nothing.
            if leadsElsewhere { lines.append("add chain \(place) \(chain)") }
            lines.append("flush chain \(place) \(chain)")
        }
        let touched = Set((changed + gone).map(\.tenant))
        let before = former.filter { touched.contains($0.tenant) }
        let counters = Set(changed.flatMap(\.counters))
        for counter in counters.union(before.flatMap(\.counters)).sorted() {
            lines.append("add counter \(place) \(Self.counter(counter))")
        }
        // A counter may have gone over to a rule of another list.
        let kept = Set(lists.flatMap(\.counters))
        for counter in Set(before.flatMap(\.counters)).subtracting(kept).sorted() {
            lines.append("delete counter \(place) \(Self.counter(counter))")
        }
        // A chain goes after the one that leads to it.
        for chain in Self.chains(gone).reversed() { lines.append("delete chain \(place) \(chain)") }
        for list in changed { lines += rules(of: list) }
        if leadsElsewhere { lines += judging }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The rules that lead to the tenants' chains.
    private var judging: [String] {
        var lines = devices.isEmpty ? [rule("judge", "iifname \"lo\" return")] : []
        for (side, kind) in [("daddr", Chain.of), ("saddr", Chain.from)] {
            for family in [AddressFamily.ipv4, .ipv6] {
                let pairs = lists.flatMap { list in
                    Self.apart(list.own, family).map { "\($0) : jump \(kind.name(list.tenant))" }
                }
                if pairs.isEmpty { continue }
                lines.append(rule("judge", "\(Self.word(family)) \(side) vmap { \(pairs.joined(separator: ", ")) }"))
            }
        }
        return lines
    }

    /// The names of what a transaction writes, makes and takes away.
    public struct Changes: Sendable {
        /// Chains whose rules are others.
        public var chains: [String]
        /// Chains that are gone.
        public var goneChains: [String]
        /// Counters that are there.
        public var counters: [String]
        /// Counters that are not there any more.
        public var goneCounters: [String]
    }

    /// What of the table is another one after the transaction.
    public func changes(insteadOf former: [AccessList]) -> Changes {
        let difference = Difference(from: former, to: lists)
        let counters = Set(lists.flatMap(\.counters))
        return Changes(
            chains: Self.chains(difference.changed) + (difference.leadsElsewhere ? ["judge"] : []),
            goneChains: Self.chains(difference.gone),
            counters: difference.changed.flatMap(\.counters).map(Self.counter),
            goneCounters: Set(former.flatMap(\.counters)).subtracting(counters).map(Self.counter))
    }

    /// The same in the place of whatever is there. Counts begin anew.
    public var anew: String { removal + transaction() }

    /// Takes the table away, if it is there.
    public var removal: String { "add table \(place)\ndelete table \(place)\n" }

    // MARK: - Chains

    private enum Chain: String {
        /// Judges.
        case of
        /// Judges what a tenant sends to others: what it sends to itself was judged by its destination.
        case from

        func name(_ tenant: String) -> String { "\(rawValue)_\(tenant)" }
    }

    private static func chains(_ lists: [AccessList]) -> [String] {
        var seen: Set<String> = []
        return lists.flatMap { [Chain.of.name($0.tenant), Chain.from.name($0.tenant)] }.filter {
            seen.insert($0).inserted
        }
    }

    /// Prefixes of a family that do not hold each other, as a map needs them.
    private static func apart(_ prefixes: [IPPrefix], _ family: AddressFamily) -> [IPPrefix] {
        let all = Set(prefixes.filter { $0.family == family })
        return prefixes.filter { one in
            one.family == family && !all.contains { $0 != one && $0.contains(one) }
        }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private static func word(_ family: AddressFamily) -> String { family == .ipv4 ? "ip" : "ip6" }

    private func rule(_ chain: String, _ text: String) -> String { "add rule \(place) \(chain) \(text)" }

    // MARK: - Rules

    private func rules(of list: AccessList) -> [String] {
        let (judging, sending) = (Chain.of.name(list.tenant), Chain.from.name(list.tenant))
        var lines = list.rules.flatMap { one in
            let matches = Self.matches(one.matter, one.own.family, allows: one.action == .allow)
            return Self.verdicts(one.action, one.counter, one.matter.upperProtocol(one.own.family)).flatMap { verdict in
                [true, false].flatMap { isToOwn -> [String] in
                    matches.map { match in
                        let words =
                            [Self.addresses(one, isToOwn), match(isToOwn), verdict].filter { !$0.isEmpty }
                        return rule(judging, words.joined(separator: " "))
                    }
                }
            }
        }
        // Without these, senders never learn the path's MTU.
        lines += Self.beginnings(.ipv4).map { rule(judging, "\($0) icmp type { 3, 11, 12 } return") }
        lines += Self.beginnings(.ipv6).map { rule(judging, "\($0) icmpv6 type { 1, 2, 3, 4 } return") }
        lines += Self.verdicts(list.otherwise, list.counter, nil).map { rule(judging, $0) }
        for family in [AddressFamily.ipv4, .ipv6] {
            let own = Self.apart(list.own, family).map { "\($0)" }.joined(separator: ", ")
            if own.isEmpty { continue }
            lines.append(rule(sending, "\(Self.word(family)) daddr { \(own) } return"))
        }
        return lines + [rule(sending, "goto \(judging)")]
    }

    private static func addresses(_ rule: AccessRule, _ isToOwn: Bool) -> String {
        let word = word(rule.own.family)
        let (own, remote) = isToOwn ? ("daddr", "saddr") : ("saddr", "daddr")
        return "\(word) \(own) \(rule.own)" + (rule.remote.map { " \(word) \(remote) \($0)" } ?? "")
    }

    /// What is matched beside the addresses, each a rule of its own, by the direction.
    private static func matches(
        _ matter: AccessRule.Matter, _ family: AddressFamily, allows: Bool
    ) -> [(_ isToOwn: Bool) -> String] {
        guard let number = matter.upperProtocol(family) else { return [{ _ in "" }] }
        let whole = "meta l4proto \(number)"
        let first: (_ beginning: String, _ isToOwn: Bool) -> String
        switch matter {
        case .any, .protocolNumber: return [{ _ in whole }]
        case .ports(_, 0...65535, 0...65535): return [{ _ in whole }]
        case .ports(_, let own, let remote):
            first = { beginning, isToOwn in
                let ports = [(isToOwn ? "dport" : "sport", own), (isToOwn ? "sport" : "dport", remote)]
                return ports.reduce("\(whole) \(beginning)") {
                    $1.1 == 0...65535 ? $0 : "\($0) th \($1.0) \(text($1.1))"
                }
            }
        case .icmp(let type):
            let types = AccessRule.types(type, family).map { "\($0)" }.joined(separator: ", ")
            let name = family == .ipv4 ? "icmp" : "icmpv6"
            first = { beginning, _ in "\(whole) \(beginning) \(name) type { \(types) }" }
        }
        let later = whole + (family == .ipv4 ? " ip frag-off & 0x1fff != 0" : " frag frag-off != 0")
        let begun: [(Bool) -> String] = beginnings(family).map { beginning in
            return { isToOwn in first(beginning, isToOwn) }
        }
        return allows ? begun + [{ _ in later }] : begun
    }

    /// Packets that are no later fragments. In those nftables reads ports and types as well, from what stands there in their
    /// place: payload, or the fragment header.
    private static func beginnings(_ family: AddressFamily) -> [String] {
        family == .ipv4 ? ["ip frag-off & 0x1fff == 0"] : ["exthdr frag missing", "frag frag-off 0"]
    }

    private static func text(_ ports: ClosedRange<UInt16>) -> String {
        ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
    }

    /// What happens to a packet, each a rule of its own: the first one that fits.
    ///
    /// - Parameter number: The upper-layer protocol of the packets; nil: any.
    private static func verdicts(_ action: AccessRule.Action, _ index: Int, _ number: UInt8?) -> [String] {
        let counted = "counter name \"\(counter(index))\""
        let prohibited = "\(counted) reject with icmpx admin-prohibited"
        return switch action {
        case .allow: ["\(counted) return"]
        case .deny(.drop): ["\(counted) drop"]
        case .deny(.icmp): [prohibited]
        case .deny(.reset):
            (number == nil || number == IPProtocol.tcp
                ? ["meta l4proto tcp \(counted) reject with tcp reset"] : [])
                + (number == IPProtocol.tcp ? [] : [prohibited])
        }
    }
}

extension AccessRule.Matter {
    /// The number of the upper-layer protocol; nil: any.
    func upperProtocol(_ family: AddressFamily) -> UInt8? {
        switch self {
        case .any: nil
        case .protocolNumber(let number), .ports(let number, _, _): number
        case .icmp: family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6
        }
    }
}

extension AccessList {
    /// True if another list says the same of every packet, and counts it by the same counters.
    func judgesAs(_ other: AccessList) -> Bool {
        own == other.own && rules == other.rules && otherwise == other.otherwise && counter == other.counter
    }

    /// The indices of its counters.
    public var counters: [Int] { rules.map(\.counter) + [counter] }
}
