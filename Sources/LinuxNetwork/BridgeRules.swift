import CNetlink
import Wire

/// What the bridges of a namespace do to frames, besides finding the port.
///
/// A bridge floods frames to a group. So a frame that is for one member of a group crosses it under the member's own
/// MAC address, and gets the group's address at the port (RFC 1112, section 6.4; RFC 2464, section 7): receivers see
/// what a wire would show. It is the same with virtual MAC addresses (VRRP), which move between nodes.
public struct BridgeRules: Hashable, Sendable {
    /// True if frames with a multicast packet, or one to 255.255.255.255, leave with the group's MAC address.
    public var addressesGroups: Bool
    /// Further IPv4 addresses whose packets leave to ff:ff:ff:ff:ff:ff: the broadcast addresses of networks.
    public var broadcasts: [Broadcast]
    /// The virtual MAC addresses of nodes.
    public var virtual: [VirtualMAC]

    /// The broadcast address of a network, at one port. On other bridges it may be a host's.
    public struct Broadcast: Hashable, Sendable {
        /// The name of the bridge's port.
        public var port: String
        /// The IPv4 address.
        public var address: IPAddress

        /// Memberwise.
        public init(port: String, address: IPAddress) {
            self.port = port
            self.address = address
        }
    }

    /// A MAC address that a node uses for some of its addresses, while another node may do the same elsewhere.
    ///
    /// The bridge knows the node by its own MAC address alone. So the bridge learns nothing, and no other node can take
    /// over a virtual MAC address.
    public struct VirtualMAC: Hashable, Sendable {
        /// The name of the bridge's port.
        public var port: String
        /// The node's own MAC address.
        public var own: MACAddress
        /// The virtual one.
        public var mac: MACAddress
        /// The addresses that the node has under it.
        public var prefix: IPPrefix

        /// Memberwise.
        public init(port: String, own: MACAddress, mac: MACAddress, prefix: IPPrefix) {
            self.port = port
            self.own = own
            self.mac = mac
            self.prefix = prefix
        }
    }

    /// Memberwise.
    public init(addressesGroups: Bool = false, broadcasts: [Broadcast] = [], virtual: [VirtualMAC] = []) {
        self.addressesGroups = addressesGroups
        self.broadcasts = broadcasts
        self.virtual = virtual
    }

    /// True if frames pass as they are.
    public var isEmpty: Bool { !addressesGroups && broadcasts.isEmpty && virtual.isEmpty }

    /// The name of the table, which is Tapline's alone.
    static let table = "tapline"

    /// The rules for frames that leave a port.
    private var leaving: [NetfilterRule] {
        var rules: [NetfilterRule] = []
        if addressesGroups {
            var four = NetfilterRule()
            four.matchProtocol(EtherType.ipv4)
            four.match(.network, at: 16, [0xE0], mask: [0xF0])
            four.write(at: 0, [0x01, 0x00, 0x5E])
            four.copy(from: 17, to: 3, mask: [0x7F, 0xFF, 0xFF])
            var six = NetfilterRule()
            six.matchProtocol(EtherType.ipv6)
            six.match(.network, at: 24, [0xFF])
            six.write(at: 0, [0x33, 0x33])
            six.copy(from: 36, to: 2, mask: [0xFF, 0xFF, 0xFF, 0xFF])
            rules += [four, six]
        }
        let everyPort: [(port: String?, address: IPAddress)] = addressesGroups ? [(nil, IPAddress(ipv4: .max))] : []
        for (port, address) in everyPort + broadcasts.map({ ($0.port, $0.address) }) {
            var rule = NetfilterRule()
            if let port { rule.matchPort(port, leaving: true) }
            rule.matchProtocol(EtherType.ipv4)
            rule.match(.network, at: 16, address.octets)
            rule.write(at: 0, [UInt8](repeating: 0xFF, count: 6))
            rules.append(rule)
        }
        return rules
    }

    /// The rules for frames that arrive at a port: a virtual MAC address becomes the node's own, in the Ethernet header,
    /// in ARP (RFC 826) and in the options of neighbour discovery (RFC 4861, section 4.6.1).
    private var arriving: [NetfilterRule] {
        var seen: Set<[String]> = []
        return virtual.filter { seen.insert([$0.port, "\($0.mac)"]).inserted }.flatMap { one -> [NetfilterRule] in
            func rule(_ body: (inout NetfilterRule) -> Void) -> NetfilterRule {
                var rule = NetfilterRule()
                rule.matchPort(one.port, leaving: false)
                body(&rule)
                return rule
            }
            let arp = rule {
                $0.matchProtocol(EtherType.arp)
                $0.match(.network, at: 8, one.mac.octets)
                $0.write(.network, at: 8, one.own.octets)
            }
            // A solicitation with its source's address, an advertisement with its target's.
            let discoveries = [(UInt8(135), UInt8(1)), (136, 2)].map { type, option in
                rule {
                    $0.matchProtocol(EtherType.ipv6)
                    $0.match(.network, at: 6, [58])
                    $0.match(.network, at: 40, [type])
                    $0.match(.network, at: 64, [option, 1] + one.mac.octets)
                    $0.write(.network, at: 66, one.own.octets, checksum: 42)
                }
            }
            let ethernet = rule {
                $0.match(.link, at: 6, one.mac.octets)
                $0.write(at: 6, one.own.octets)
            }
            return [arp] + discoveries + [ethernet]
        }
    }

    /// The rules for frames to the addresses that a node has under a virtual MAC address.
    private var returning: [NetfilterRule] {
        virtual.flatMap { one -> [NetfilterRule] in
            let isFour = one.prefix.family == .ipv4
            let width = isFour ? 4 : 16
            let mask = (0..<width).map { octet -> UInt8 in
                let bits = min(8, max(0, one.prefix.length - octet * 8))
                return UInt8(truncatingIfNeeded: 0xFF00 >> bits)
            }
            func rule(_ type: UInt16, at offset: UInt32, _ body: (inout NetfilterRule) -> Void) -> NetfilterRule {
                var rule = NetfilterRule()
                rule.matchPort(one.port, leaving: true)
                rule.matchProtocol(type)
                // Frames to all keep their address.
                rule.match(.link, at: 0, one.own.octets)
                rule.match(.network, at: offset, one.prefix.address.octets, mask: mask)
                body(&rule)
                return rule
            }
            let packets = rule(isFour ? EtherType.ipv4 : EtherType.ipv6, at: isFour ? 16 : 24) {
                $0.write(at: 0, one.mac.octets)
            }
            guard isFour else { return [packets] }
            let answered = rule(EtherType.arp, at: 24) {
                $0.match(.network, at: 18, one.own.octets)
                $0.write(.network, at: 18, one.mac.octets)
            }
            let asked = rule(EtherType.arp, at: 24) { $0.write(at: 0, one.mac.octets) }
            return [packets, answered, asked]
        }
    }

    /// The changes that replace the rules of before by these.
    fileprivate var batch: NetfilterBatch {
        var batch = NetfilterBatch(family: UInt8(NFPROTO_BRIDGE))
        // A table must be there to be deleted.
        batch.add(NFT_MSG_NEWTABLE, flags: NLM_F_CREATE) { $0.put(NFTA_TABLE_NAME.rawValue, Self.table) }
        batch.add(NFT_MSG_DELTABLE) { $0.put(NFTA_TABLE_NAME.rawValue, Self.table) }
        guard !isEmpty else { return batch }
        batch.add(NFT_MSG_NEWTABLE, flags: NLM_F_CREATE) { $0.put(NFTA_TABLE_NAME.rawValue, Self.table) }
        for (name, hook, rules) in [
            ("leaving", UInt32(NF_BR_POST_ROUTING), leaving + returning),
            ("arriving", UInt32(NF_BR_PRE_ROUTING), arriving),
        ] where !rules.isEmpty {
            batch.add(NFT_MSG_NEWCHAIN, flags: NLM_F_CREATE) {
                $0.put(NFTA_CHAIN_TABLE.rawValue, Self.table)
                $0.put(NFTA_CHAIN_NAME.rawValue, name)
                $0.nest(NFTA_CHAIN_HOOK.rawValue) {
                    $0.put(NFTA_HOOK_HOOKNUM.rawValue, hook)
                    $0.put(NFTA_HOOK_PRIORITY.rawValue, UInt32(0))
                }
                $0.put(NFTA_CHAIN_TYPE.rawValue, "filter")
            }
            for rule in rules {
                batch.add(NFT_MSG_NEWRULE, flags: NLM_F_CREATE | NLM_F_APPEND) {
                    $0.put(NFTA_RULE_TABLE.rawValue, Self.table)
                    $0.put(NFTA_RULE_CHAIN.rawValue, name)
                    $0.put(NFTA_RULE_EXPRESSIONS.rawValue | UInt32(NLA_F_NESTED), rule.attributes.octets)
                }
            }
        }
        return batch
    }
}

extension NetworkNamespace {
    /// Gives the bridges of the namespace these rules, in place of the rules of before.
    ///
    /// - Throws: The kernel's refusal: EOPNOTSUPP, EPROTONOSUPPORT or ENOENT if it has no packet filter for bridges
    ///   (`CONFIG_NF_TABLES_BRIDGE`). The rules are as before then.
    public func setBridgeRules(_ rules: BridgeRules) throws(SystemError) {
        try perform { () throws(SystemError) in
            try rules.batch.commit(BridgeRules.operation, name)
        }
    }
}

extension BridgeRules {
    /// The attempt of `setBridgeRules`, as the words after "cannot".
    public static let operation = "set the packet filter of the bridges in"
}
