import Wire

/// Filters for engines in the pcap-filter language, which let through the frames of the packets that are wanted, at each of
/// their hops.
///
/// Everything but the protocol of a packet may change on its way: the engine rewrites addresses for network send addresses,
/// and applications translate addresses and ports as they like. So engines copy every frame of the protocol (`wide`), and
/// the tracer selects. On a busy topology that is too much: there engines copy what a person's filter matches, beside
/// frames to and from the own addresses of applications and routers (`whole`), and a packet may be lost from sight.
package enum TraceFilter {
    /// The expression for packets of one protocol and the errors about them; nil: every frame.
    ///
    /// - Parameter written: What a person wrote.
    package static func wide(_ written: String?) -> String? {
        guard let written, let name = lastingProtocol(written) else { return nil }
        return "\(name) or icmp or icmp6 or arp"
    }

    /// The protocol that every packet has which an expression matches; nil if it is not plain to see.
    private static func lastingProtocol(_ expression: String) -> Substring? {
        guard !expression.contains(where: { "()[]!|<>=&\\\"".contains($0) }) else { return nil }
        let words = expression.split(whereSeparator: \.isWhitespace)
        guard !words.contains("or"), !words.contains("not") else { return nil }
        return words.split(separator: "and").compactMap(\.first).first {
            ["tcp", "udp", "icmp", "icmp6", "sctp"].contains($0)
        }
    }

    /// The expression; nil if no filter is right: everything may belong to a packet that is wanted.
    ///
    /// - Parameters:
    ///   - selection: Its `from`, `service` and `via` decide.
    ///   - network: The topology; it must have what the selection names (`TraceSelection.problems`).
    package static func expression(_ selection: TraceSelection, _ network: TracedNetwork) -> String? {
        var parts: [String] = []
        if let from = selection.from {
            let nodes = network.nodes(named: from)
            let own = nodes.flatMap { node in
                node.legs.flatMap(\.addresses).map { IPPrefix(host: $0) } + node.prefixes
            }
            // Of a node without addresses nothing is known. A packet may have a false source address.
            if !own.isEmpty, let addresses = alternative(own, own: middle(network), network).first {
                let macs = nodes.flatMap(\.legs).compactMap(\.macs.first).map { "ether host \($0)" }
                parts.append(([addresses] + macs).joined(separator: " or "))
            }
        }
        let services = network.services.filter { service in
            if let name = selection.service, service.name != name { return false }
            if let via = selection.via {
                let names = network.nodes(named: via).map(\.name)
                guard service.applications.contains(where: names.contains) else { return false }
            }
            return true
        }
        if selection.service != nil || selection.via != nil {
            guard !services.isEmpty else { return joined(parts) }
            let own = Set(services.flatMap(\.applications)).union(middle(network))
            parts += alternative(services.flatMap(\.addresses), own: own, network)
        }
        return joined(parts)
    }

    /// Both expressions: frames that match one and the other.
    package static func both(_ one: String?, _ other: String?) -> String? {
        joined([one, other].compactMap { $0 }.filter { !$0.allSatisfy(\.isWhitespace) })
    }

    /// An expression for engines that lets through every packet that a person's filter matches at its first hop.
    ///
    /// Behind a rewrite or a translation the filter may not match any more. So own addresses of applications and
    /// routers are let through beside it. ARP and neighbour discovery are, too: they tell which neighbours the engine
    /// knows.
    ///
    /// - Parameters:
    ///   - written: What a person wrote; nil or blank: everything.
    ///   - made: An expression of `expression(_:_:)`.
    package static func whole(_ written: String?, _ made: String?, _ network: TracedNetwork) -> String? {
        var parts = made.map { [$0] } ?? []
        if let written, !written.allSatisfy(\.isWhitespace) {
            let nodes = Set(network.nodes.filter { $0.kind != .customer && $0.kind != .passive }.map(\.name))
            // Of an application without an address only what the filter matches is followed.
            parts.append((["(\(written))"] + alternative([], own: nodes, network)).joined(separator: " or "))
        }
        return joined(parts).map { "(\($0)) or arp or (icmp6 and (ip6[40] = 135 or ip6[40] = 136))" }
    }

    private static func joined(_ parts: [String]) -> String? {
        parts.isEmpty ? nil : parts.count == 1 ? parts[0] : parts.map { "(\($0))" }.joined(separator: " and ")
    }

    /// The nodes that may translate addresses to their own: those that packets pass.
    private static func middle(_ network: TracedNetwork) -> Set<String> {
        Set(network.nodes.filter { $0.kind == .inline || $0.kind == .router }.map(\.name))
    }

    private static func alternative(_ prefixes: [IPPrefix], own nodes: Set<String>, _ network: TracedNetwork)
        -> [String]
    {
        var all = prefixes
        for node in network.nodes where nodes.contains(node.name) {
            all += node.legs.flatMap(\.addresses).map { IPPrefix(host: $0) }
        }
        var seen: Set<IPPrefix> = []
        // A prefix that is everything of its family needs no host of that family beside it.
        let whole = Set(all.filter { $0.length == 0 }.map(\.family))
        if whole == Set(AddressFamily.allCases) { return [] }
        let words = all.filter { seen.insert($0).inserted && ($0.length == 0 || !whole.contains($0.family)) }.map(word)
        return words.isEmpty ? [] : [words.joined(separator: " or ")]
    }

    private static func word(_ prefix: IPPrefix) -> String {
        if prefix.length == 0 { return prefix.family == .ipv4 ? "ip" : "ip6" }
        return prefix.isHost ? "host \(prefix.address)" : "net \(prefix.address)/\(prefix.length)"
    }
}
