import Wire

/// Which packets nftables in a node should report, as commands of nft.
///
/// The rules match more packets than are followed: what nft reports is compared with the packets of the traces. They are in a table that the kernel removes when the process that made it ends.
package enum RuleMark {
    /// The most packets a second that one node reports.
    package static let rate = 200
    /// The most alternatives; beyond them every packet is reported.
    private static let mostAlternatives = 64

    /// The command that makes the table, on one line.
    ///
    /// The chains come first of all: the priority is below those of every known user.
    ///
    /// - Parameters:
    ///   - family: `inet` or `bridge`.
    ///   - table: Its name.
    ///   - matches: See `matches`.
    package static func command(family: String, table: String, matches: [String]) -> String {
        // Neighbours and multicast groups are not of packets that are followed.
        let always = "icmpv6 type { 130-137, 143 } return"
        let jumps = matches.map { $0.isEmpty ? "jump follow" : "\($0) jump follow" }
        let rules = ([always] + jumps).joined(separator: "; ")
        let chains = ["prerouting", "output"].map {
            "chain \($0) { type filter hook \($0) priority -2000; policy accept; \(rules); }"
        }
        return "table \(family) \(table) { flags owner; chain follow { limit rate \(rate)/second burst \(rate) packets "
            + "meta nftrace set 1; }; \(chains.joined(separator: "; ")); }"
    }

    /// The conditions of which one must hold; an empty one is every packet.
    ///
    /// - Parameters:
    ///   - written: A filter in the language of pcap-filter. Only parts that stand between `and` count.
    ///   - selection: Its `from` and `service` count.
    package static func matches(
        _ written: String?, _ selection: TraceSelection, _ network: TracedNetwork
    ) -> [String] {
        var wanted = Wanted()
        if let written { wanted.read(written) }
        if wanted.prefixes.isEmpty, let name = selection.service {
            wanted.prefixes = network.services.filter { $0.name == name }.flatMap(\.addresses)
        }
        if wanted.prefixes.isEmpty, let from = selection.from {
            wanted.prefixes = network.nodes(named: from).flatMap { node in
                node.legs.flatMap(\.addresses).map { IPPrefix(host: $0) } + node.prefixes
            }
        }
        if wanted.prefixes.contains(where: { $0.length == 0 }) { wanted.prefixes = [] }
        guard !wanted.isEverything else { return [""] }
        // Addresses and ports change on the way: to those of nodes that packets pass or end at.
        let own = network.nodes.filter { $0.kind != .customer && $0.kind != .passive }
            .flatMap { $0.legs.flatMap(\.addresses) }.map { IPPrefix(host: $0) }
        let matches =
            wanted.conditions + own.flatMap(addresses)
            + ["icmp type { destination-unreachable, time-exceeded, parameter-problem }", "icmpv6 type 1-4"]
        return matches.count > mostAlternatives ? [""] : matches
    }

    private static func addresses(_ prefix: IPPrefix) -> [String] {
        let family = prefix.family == .ipv4 ? "ip" : "ip6"
        let text = prefix.isHost ? "\(prefix.address)" : "\(prefix.address)/\(prefix.length)"
        return ["\(family) saddr \(text)", "\(family) daddr \(text)"]
    }

    /// What an expression asks for at least, in either direction.
    private struct Wanted {
        var protocols: [String] = []
        var port: UInt16?
        var prefixes: [IPPrefix] = []

        var isEverything: Bool { protocols.isEmpty && port == nil && prefixes.isEmpty }

        mutating func read(_ expression: String) {
            guard !expression.contains(where: { "()[]!|<>=&\\".contains($0) }) else { return }
            let words = expression.split(whereSeparator: \.isWhitespace)
            guard !words.contains("or"), !words.contains("not") else { return }
            for part in words.split(separator: "and") { read(part: Array(part)) }
        }

        private mutating func read(part: [Substring]) {
            let known: [Substring: String] = ["tcp": "tcp", "udp": "udp", "icmp": "icmp", "icmp6": "ipv6-icmp"]
            var rest = part[...]
            if let first = rest.first, let name = known[first] {
                protocols = [name]
                rest = rest.dropFirst()
            }
            if let first = rest.first, first == "src" || first == "dst" { rest = rest.dropFirst() }
            guard rest.count == 2, let kind = rest.first, let value = rest.last else { return }
            switch kind {
            case "port": port = UInt16(value) ?? port
            case "host", "net":
                guard prefixes.isEmpty else { return }
                if let prefix = IPPrefix(String(value)) {
                    prefixes = [prefix]
                } else if let address = IPAddress(String(value)) {
                    prefixes = [IPPrefix(host: address)]
                }
            default: break
            }
        }

        var conditions: [String] {
            let type = protocols.first.map { "meta l4proto \($0)" }
            // Only these have ports where nft looks for them.
            let ports = port.map { number in
                ["sport", "dport"].map { "\(type ?? "meta l4proto { tcp, udp, sctp }") th \($0) \(number)" }
            }
            let tails = ports ?? [type ?? ""]
            guard !prefixes.isEmpty else { return tails }
            return prefixes.flatMap(RuleMark.addresses).flatMap { address in
                tails.map { $0.isEmpty ? address : "\(address) \($0)" }
            }
        }
    }
}
