import Wire

/// What nftables in a node decided about a packet, as `nft monitor trace` tells it. As JSON it has the same keys.
package struct RuleVerdict: Codable, Sendable, Hashable {
    /// The node.
    package var node: String
    /// The family of the table: `inet`, `ip`, `ip6`, `bridge`.
    package var family: String
    /// The table.
    package var table: String
    /// The chain that has the rule, or the policy.
    package var chain: String
    /// The number of the rule in its table; nil for a policy.
    package var handle: UInt64?
    /// The rule as nft writes it; nil for a policy, and if the rule was gone when it was asked for.
    package var rule: String?
    /// True if no rule of the chain decided, so that its policy did.
    package var isPolicy: Bool
    /// True if several packets fit what nft told, and it decided differently about them.
    package var isGuess: Bool

    /// Memberwise.
    package init(
        node: String, family: String, table: String, chain: String, handle: UInt64? = nil, rule: String? = nil,
        isPolicy: Bool = false, isGuess: Bool = false
    ) {
        self.node = node
        self.family = family
        self.table = table
        self.chain = chain
        self.handle = handle
        self.rule = rule
        self.isPolicy = isPolicy
        self.isGuess = isGuess
    }

    /// True if the rule answers the sender.
    package var isReject: Bool {
        guard let rule else { return false }
        // A comment may say anything.
        let words = rule.split(separator: "\"", omittingEmptySubsequences: false)[0].split(separator: " ")
        return words.contains("reject")
    }

    /// `table inet filter, chain forward, handle 7: tcp dport 23 drop`.
    package var place: String {
        guard !isPolicy else { return "table \(family) \(table), the policy of chain \(chain)" }
        var text = "table \(family) \(table), chain \(chain)"
        if let handle { text += ", handle \(handle)" }
        if let rule { text += ": \(rule)" }
        return text
    }

    /// `firewall dropped it: table inet filter, …`.
    package var sentence: String { "\(node) \(isReject ? "rejected" : "dropped") it: \(place)" }

    /// `inet filter forward handle 7`: equal for all packets that one rule, or one policy, drops.
    var short: String {
        "\(family) \(table) \(chain) " + (isPolicy ? "policy" : handle.map { "handle \($0)" } ?? "rule")
    }
}

/// A packet as a node gets it: what nft also prints of it.
package struct PacketArrival: Sendable, Hashable {
    var source: IPAddress
    var destination: IPAddress
    var sourcePort: UInt16?
    var destinationPort: UInt16?
    /// IPv4's identification; nil for IPv6, and for 0, which many packets have.
    var identification: UInt32?
    /// The second word of echo messages.
    var echo: UInt32?
    /// Octets of the network packet.
    var length: Int?
    /// The six control bits of TCP that have names since RFC 793.
    var controlBits: UInt8?
    /// The superframe that it came in: a node that does not cut it sees one packet with this identification and length.
    var superframe: TracedPacket.Superframe?
    /// The number of the frame that it came in, which several packets may share; nil for what nft reports.
    var frame: UInt64?

    init(source: IPAddress, destination: IPAddress) {
        self.source = source
        self.destination = destination
    }

    /// - Parameter frame: The number of the frame that the engine wrote it in.
    init(_ packet: TracedPacket, frame: UInt64) {
        self.frame = frame
        superframe = packet.superframe
        source = packet.flow.source
        destination = packet.flow.destination
        if packet.flow.hasPorts {
            sourcePort = packet.flow.sourcePort
            destinationPort = packet.flow.destinationPort
        }
        if packet.flow.source.family == .ipv4, packet.identification != 0 { identification = packet.identification }
        if packet.message == .echoRequest || packet.message == .echoReply { echo = packet.icmpWord }
        length = packet.length
        controlBits = packet.segment.map { $0.controlBits & 0x3F }
    }

    /// How well this packet, as nft reports it, fits to be another one, or the superframe that the other one is in; nil if it
    /// is neither.
    func likeness(whole other: PacketArrival) -> Int? {
        guard let superframe = other.superframe, superframe.length == length else { return likeness(other) }
        var whole = other
        whole.identification = superframe.identification == 0 ? nil : superframe.identification
        whole.length = superframe.length
        return likeness(whole)
    }

    /// How well both fit to be one packet; nil if they are two.
    func likeness(_ other: PacketArrival) -> Int? {
        func fits<Value: Equatable>(_ one: Value?, _ two: Value?) -> Bool { one == nil || two == nil || one == two }
        guard source == other.source, destination == other.destination, fits(sourcePort, other.sourcePort),
            fits(destinationPort, other.destinationPort), fits(identification, other.identification),
            fits(echo, other.echo)
        else { return nil }
        return (identification != nil && identification == other.identification ? 4 : 0)
            + (controlBits == other.controlBits ? 2 : 0) + (length == other.length ? 1 : 0)
    }
}
