import Wire

/// What `nft monitor trace` told of the packets that came to nodes, until the traces of these packets end.
///
/// Its memory is bounded: of each node the last few thousand packets are kept.
package struct RuleTraces: Sendable {
    /// The beginning of the names of tables that mark packets.
    package static let tablePrefix = "tapline_trace_"
    /// The packets that are kept of one node.
    static let mostPackets = 4_096

    /// What is known of a packet at a node.
    enum Finding: Sendable, Hashable {
        case dropped(RuleVerdict)
        /// No rule and no policy dropped it.
        case passed
    }

    fileprivate struct Packet: Sendable {
        var arrival: PacketArrival
        /// True if the node made it.
        var isOwn: Bool
        var verdict: RuleVerdict?
        /// True once it was found.
        var isTaken = false
        /// The frame of the packet that it was found for. Packets that share a frame may be one packet in the node.
        var frame: UInt64?
    }

    fileprivate struct Node: Sendable {
        var packets: [Packet] = []
        /// The place of each kernel number in `packets`, counted from the first packet of all.
        var places: [Substring: Int] = [:]
        /// The packets that were forgotten.
        var forgotten = 0
    }

    private var nodes: [String: Node] = [:]

    /// - Parameter nodes: The names of the nodes that are watched.
    package init(nodes: some Sequence<String>) {
        for name in nodes { self.nodes[name] = Node() }
    }

    /// True if nft is asked in the node.
    func watches(_ node: String) -> Bool { nodes[node] != nil }

    /// Takes a line of `nft -a monitor trace` in a node.
    ///
    /// - Parameter text: Finds the text of a rule that nft did not know: family, table, chain, handle.
    package mutating func add(
        _ line: String, at node: String, text: (String, String, String, UInt64) -> String? = { _, _, _, _ in nil }
    ) {
        guard nodes[node] != nil, let line = RuleTraceLine(line) else { return }
        if case .packet(let arrival, let isOwn) = line.content {
            nodes[node]?.begin(line.id, arrival, isOwn, isFirst: line.table.hasPrefix(Self.tablePrefix))
            return
        }
        guard !line.table.hasPrefix(Self.tablePrefix) else { return }
        switch line.content {
        case .packet: break
        case .policy("drop"):
            nodes[node]?.end(
                line.id,
                RuleVerdict(node: node, family: line.family, table: line.table, chain: line.chain, isPolicy: true))
        case .rule(let known, let handle, "drop"):
            let rule = known ?? handle.flatMap { text(line.family, line.table, line.chain, $0) }
            nodes[node]?.end(
                line.id,
                RuleVerdict(
                    node: node, family: line.family, table: line.table, chain: line.chain, handle: handle, rule: rule))
        case .policy, .rule: break
        }
    }

    /// What became of a packet that came to a node; nil if nft told nothing of it. Each packet is found once, but a
    /// superframe is found for every packet in it.
    mutating func find(_ arrival: PacketArrival, at node: String) -> Finding? { nodes[node]?.find(arrival) }

    /// The packets that nodes made themselves and dropped: the engine never sees them.
    package mutating func takeOwnDrops() -> [RuleVerdict] {
        var drops: [RuleVerdict] = []
        for name in nodes.keys.sorted() { drops += nodes[name]?.takeOwnDrops() ?? [] }
        return drops
    }
}

extension RuleTraces.Node {
    fileprivate mutating func begin(_ id: Substring, _ arrival: PacketArrival, _ isOwn: Bool, isFirst: Bool) {
        if let place = places[id], place >= forgotten {
            // Every base chain begins with the packet. The kernel uses a number again when a packet is gone.
            guard isFirst, packets[place - forgotten].verdict != nil || packets[place - forgotten].arrival != arrival
            else { return }
        }
        places[id] = forgotten + packets.count
        packets.append(.init(arrival: arrival, isOwn: isOwn))
        guard packets.count > RuleTraces.mostPackets else { return }
        let count = RuleTraces.mostPackets / 4
        packets.removeFirst(count)
        forgotten += count
        places = places.filter { $0.value >= forgotten }
    }

    fileprivate mutating func end(_ id: Substring, _ verdict: RuleVerdict) {
        guard let place = places[id], place >= forgotten else { return }
        packets[place - forgotten].verdict = verdict
    }

    fileprivate mutating func find(_ arrival: PacketArrival) -> RuleTraces.Finding? {
        var best: (place: Int, likeness: Int, isFree: Bool)?
        var others: Set<RuleVerdict?> = []
        for (place, packet) in packets.enumerated() where !packet.isOwn {
            guard !packet.isTaken || packet.frame != nil && packet.frame == arrival.frame,
                let likeness = packet.arrival.likeness(whole: arrival),
                (likeness, packet.isTaken ? 0 : 1) >= (best?.likeness ?? 0, best?.isFree ?? false ? 1 : 0)
            else { continue }
            if best.map({ (likeness, !packet.isTaken) != ($0.likeness, $0.isFree) }) ?? true {
                best = (place, likeness, !packet.isTaken)
                others = []
            }
            others.insert(packet.verdict)
        }
        guard let best else { return nil }
        packets[best.place].isTaken = true
        packets[best.place].frame = arrival.frame
        guard var verdict = packets[best.place].verdict else { return .passed }
        verdict.isGuess = others.count > 1
        return .dropped(verdict)
    }

    fileprivate mutating func takeOwnDrops() -> [RuleVerdict] {
        var drops: [RuleVerdict] = []
        for place in packets.indices where packets[place].isOwn && !packets[place].isTaken {
            guard let verdict = packets[place].verdict else { continue }
            packets[place].isTaken = true
            drops.append(verdict)
        }
        return drops
    }
}

extension PacketTrace {
    /// Adds what nftables in the nodes on the way decided. A node that dropped the packet is its end.
    mutating func explain(_ rules: inout RuleTraces) {
        for hop in hops {
            for copy in hop.copies where copy.system != "passive" && rules.watches(copy.to) {
                guard let arrival = copy.arrival else { continue }
                explain(rules.find(arrival, at: copy.to), at: copy.to)
            }
        }
    }

    private mutating func explain(_ finding: RuleTraces.Finding?, at node: String) {
        switch finding {
        case .dropped(let verdict):
            self.rules.append(verdict)
            guard end.node == node, [.vanished, .answered, .delivered].contains(end.kind) else {
                notes.append("\(verdict.sentence).")
                return
            }
            end = TraceEnd(
                kind: .filtered, node: node, at: end.at, sentence: "\(verdict.sentence).", isGuess: verdict.isGuess)
            isGuess = isGuess || verdict.isGuess
        case .passed:
            guard end.node == node, end.kind == .vanished else { return }
            notes.append("The nftables of \(node) let it pass: its routing or a program dropped it.")
        case nil:
            guard end.node == node, end.kind == .vanished else { return }
            notes.append(
                "The nftables of \(node) did not report it: it was dropped before prerouting, or more packets came than "
                    + "are marked.")
        }
    }
}
