import Wire

/// The paths that packets took, as `packet` checks of a topology file.
///
/// A check sends the first packet of a flow: the first segment of a connection, a datagram, an echo request. So only traces of
/// such packets are recorded. Each sender, destination and port gets one check. The order of checks does not depend on the order
/// of packets.
package struct PathRecording: Sendable {
    /// What a check sends.
    private struct Probe: Hashable, Sendable {
        /// The place of the sender in the network.
        var node: Int
        /// nil: the address that the check uses by itself.
        var source: String?
        var destination: String
        var port: String
    }

    /// What came of it.
    private struct Way: Sendable {
        var reaches: [[String]]
        /// nil: no answer is expected, nor excluded.
        var answer: [[String]]?
        /// True if answers took different paths.
        var answersDiffer = false
        /// True if its packets took different paths: then one check cannot say which.
        var differs = false
    }

    /// What was not recorded, and why.
    package struct Omissions: Sendable, Hashable {
        /// Packets in the middle of connections.
        package var midway = 0
        /// Packets of which a part of the path is not known, or which were lost for a passing reason.
        package var unclear = 0
        /// Packets that a check cannot send: of another protocol, or to a group.
        package var unsendable = 0
        /// Packets from or to an address in a network that the file leaves to Tapline, and that no expression stands for.
        package var nameless = 0
        /// New senders, destinations or ports, after the most that are recorded.
        package var more = 0
    }

    /// The most checks that are recorded.
    package static let most = 500
    /// The most packets whose answers are waited for.
    private static let mostWaiting = 4_096

    private let network: TracedNetwork
    private let standIns: [String: String]
    private var ways: [Probe: Way] = [:]
    private var waiting: [UInt64: Probe] = [:]
    private var order: [UInt64] = []
    /// What was not recorded.
    package private(set) var omissions = Omissions()

    /// - Parameter standIns: The names by which checks call instances: those of their applications.
    package init(_ network: TracedNetwork, standIns: [String: String] = [:]) {
        self.network = network
        self.standIns = standIns
    }

    /// How many checks there are.
    package var count: Int { ways.count { !$0.value.differs } }

    /// The probes whose packets took several paths, as their checks would be called.
    package var ambiguous: [String] { sorted.filter(\.way.differs).map { name(of: $0.probe) } }

    // MARK: - Taking traces

    /// Takes a trace that has ended.
    package mutating func add(_ trace: PacketTrace) {
        if let answered = trace.answers, let probe = waiting.removeValue(forKey: answered.trace) {
            return takeAnswer(trace, to: probe)
        }
        guard trace.answers == nil, trace.direction != "response" else { return }
        guard [.customer, .made, .end].contains(trace.beginning), let node = network.node(named: trace.from) else {
            return
        }
        guard let port = port(of: trace.packet) else { return }
        switch trace.end.kind {
        case .engine: return
        case .incomplete, .unknown:
            omissions.unclear += 1
            return
        case .dropped where !Self.lasting.contains(trace.end.reason ?? ""):
            if trace.end.reason != "housekeeping" { omissions.unclear += 1 }
            return
        case .delivered, .copied, .dropped, .vanished, .filtered, .answered: break
        }
        guard !trace.isGuess, let reaches = stages(of: trace) else {
            omissions.unclear += 1
            return
        }
        let destination = IPAddress(trace.packet.destination), source = IPAddress(trace.packet.source)
        guard let destination, let source, !destination.isMulticast, !destination.isLimitedBroadcast,
            !source.isLinkLocal, sends(node, source)
        else {
            omissions.unsendable += 1
            return
        }
        let isUsual = usual(node, source.family) == source
        guard isWritable(destination), isUsual || isWritable(source) else {
            omissions.nameless += 1
            return
        }
        let probe = Probe(
            node: node, source: isUsual ? nil : trace.packet.source,
            destination: trace.packet.destination, port: port)
        take(probe, reaches)
        guard trace.packet.protocol != "udp", trace.end.kind != .dropped, ways[probe] != nil else { return }
        waiting[trace.id] = probe
        order.append(trace.id)
        guard order.count > Self.mostWaiting else { return }
        for old in order.prefix(Self.mostWaiting / 4) { waiting[old] = nil }
        order.removeFirst(Self.mostWaiting / 4)
    }

    /// The reasons of drops that the table decides, and that a packet of a check meets again.
    private static let lasting: Set<String> = [
        "no-service", "port-not-served", "no-sequencing-entry", "spoofed-source", "passive-emission",
    ]

    private mutating func take(_ probe: Probe, _ reaches: [[String]]) {
        if let known = ways[probe] {
            if known.reaches != reaches { ways[probe]?.differs = true }
        } else if ways.count < Self.most {
            ways[probe] = Way(reaches: reaches)
        } else {
            omissions.more += 1
        }
    }

    private mutating func takeAnswer(_ trace: PacketTrace, to probe: Probe) {
        guard !trace.isGuess, let answer = stages(of: trace) else { return }
        switch trace.end.kind {
        case .delivered, .copied: break
        // An answer that was lost on its way says nothing of the next one.
        default: return
        }
        guard let known = ways[probe]?.answer else {
            ways[probe]?.answer = answer
            return
        }
        if known != answer { ways[probe]?.answersDiffer = true }
    }

    // MARK: - Packets

    /// The `port` of a check that sends such a packet; nil if none does.
    private mutating func port(of packet: TracedPacketText) -> String? {
        guard packet.fragments == 0, packet.detail != "fragments" else {
            omissions.unsendable += 1
            return nil
        }
        switch packet.protocol {
        case "tcp":
            guard packet.detail == "SYN", let port = packet.destinationPort else {
                omissions.midway += 1
                return nil
            }
            return "tcp/\(port)"
        case "udp":
            guard let port = packet.destinationPort else { break }
            return "udp/\(port)"
        case "icmp", "icmpv6":
            // What else ICMP carries is about other packets, or is of kernels among themselves.
            return packet.detail.hasPrefix("echo request") ? "icmp" : nil
        default:
            let words = packet.protocol.split(separator: " ")
            if words.count == 2, words[0] == "protocol" { return "protocol/\(words[1])" }
        }
        omissions.unsendable += 1
        return nil
    }

    /// The nodes that got the packet, hop by hop; nil if one of them has no name.
    private func stages(of trace: PacketTrace) -> [[String]]? {
        var stages: [[String]] = []
        for hop in trace.hops {
            let names = hop.copies.filter { $0.at != nil }.map(\.to)
            guard names.allSatisfy({ network.node(named: $0) != nil }) else { return nil }
            var seen: Set<String> = []
            let stage = names.map { standIns[$0] ?? $0 }.filter { seen.insert($0).inserted }
            if !stage.isEmpty { stages.append(stage) }
        }
        return stages
    }

    /// The address that a check sends from by itself: the node's default route leads out of its last device.
    private func usual(_ node: Int, _ family: AddressFamily) -> IPAddress? {
        // Which leg that is, services decide for a node of more legs: it gets its `source`.
        guard network.nodes[node].legs.count < 3 else { return nil }
        return network.nodes[node].legs.reversed().compactMap { leg in
            leg.addresses.first { $0.family == family && !$0.isLinkLocal }
        }.first
    }

    /// True if the node has the address, or stands for it.
    private func sends(_ node: Int, _ address: IPAddress) -> Bool {
        let node = network.nodes[node]
        return node.legs.contains { $0.addresses.contains(address) } || node.prefixes.contains { $0.contains(address) }
            || node.kind == .customer
    }

    /// What the file leaves to Tapline and has the address in it; an address goes before the network around it.
    private func given(_ address: IPAddress) -> TracedNetwork.Given? {
        network.given.first { $0.prefix.contains(address) }
    }

    /// False if the address must not stand in the file, because the part that has it would get another one then.
    private func isWritable(_ address: IPAddress) -> Bool { given(address).map { $0.expression != nil } ?? true }

    // MARK: - Text

    private var sorted: [(probe: Probe, way: Way)] {
        func key(_ probe: Probe) -> (Int, String, String, String) {
            (probe.node, probe.destination, probe.port, probe.source ?? "")
        }
        return ways.sorted { key($0.key) < key($1.key) }.map { ($0.key, $0.value) }
    }

    private func name(of probe: Probe) -> String {
        func owner(_ address: String) -> String { IPAddress(address).flatMap(given)?.owner ?? address }
        return "\(network.nodes[probe.node].name)\(probe.source.map { " as \(owner($0))" } ?? "") to "
            + "\(owner(probe.destination)) \(probe.port)"
    }

    /// An address as a file has it.
    private func word(_ address: String) -> String {
        let expression = IPAddress(address).flatMap(given)?.expression
        return YAMLWord.text(expression.map { "{{ \($0) }}" } ?? address)
    }

    /// The checks in the language of topology files.
    package var text: String {
        var lines = ["checks:"]
        for (probe, way) in sorted where !way.differs {
            let from = network.nodes[probe.node].name
            let source = probe.source.map { ", source: \(word($0))" } ?? ""
            lines.append("  - name: \(YAMLWord.quoted("\(name(of: probe)) takes its recorded path"))")
            lines.append(
                "    packet: { from: \(YAMLWord.text(from)), to: \(word(probe.destination)), "
                    + "port: \(probe.port)\(source) }")
            lines.append("    reaches: \(Self.text(way.reaches))")
            if let answer = way.answer, !way.answersDiffer { lines.append("    answer: \(Self.text(answer))") }
        }
        if lines.count == 1 { lines = ["checks: []"] }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func text(_ stages: [[String]]) -> String {
        let texts = stages.map { stage in
            stage.count == 1
                ? YAMLWord.text(stage[0]) : "[" + stage.map { YAMLWord.text($0) }.joined(separator: ", ") + "]"
        }
        return "[" + texts.joined(separator: ", ") + "]"
    }
}

/// Words of YAML.
enum YAMLWord {
    /// What YAML takes for something else than a text.
    private static let reserved: Set<String> = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]

    /// The word as it is, or in quotes if YAML would read it differently.
    static func text(_ word: String) -> String {
        let isName =
            word.utf8.first.map { (97...122).contains($0) } == true
            && word.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 45 }
        let isAddress = word.utf8.allSatisfy { (48...57).contains($0) || $0 == 46 } && word.contains(".")
        return (isName && !reserved.contains(word)) || isAddress ? word : quoted(word)
    }

    static func quoted(_ word: String) -> String {
        "\"" + word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
