import Wire

/// For fragments that leave nodes, the datagrams that they are of. Later fragments have no ports, so their addresses and
/// their identification lead to what is known of the first one.
struct FragmentLinks {
    /// Fragments of one datagram, as they leave a node.
    private struct Key: Hashable {
        var node: Int
        var flow: FlowFields
        var identification: UInt32
    }

    private struct Link {
        weak var stage: Stage?
        var isGuess: Bool
        var isTranslated: Bool
    }

    private static let capacity = 4_096
    private var links: [Key: Link] = [:]
    private var order: [Key] = []

    /// The datagram that a fragment is of, if others of it were seen.
    func link(_ seen: TracedPacket, _ node: Int) -> (stage: Stage, isGuess: Bool, isTranslated: Bool)? {
        let key = Key(node: node, flow: seen.datagramFlow, identification: seen.identification)
        guard let link = links[key], let stage = link.stage else { return nil }
        return (stage, link.isGuess, link.isTranslated)
    }

    mutating func note(_ seen: TracedPacket, _ node: Int, _ match: WaitingRoom.Match) {
        let key = Key(node: node, flow: seen.datagramFlow, identification: seen.identification)
        let link = Link(stage: match.stage, isGuess: match.isGuess, isTranslated: match.isTranslated)
        if links.updateValue(link, forKey: key) == nil { order.append(key) }
        guard order.count > Self.capacity else { return }
        for old in order.prefix(Self.capacity / 4) { links[old] = nil }
        order.removeFirst(Self.capacity / 4)
    }
}

extension WaitingRoom {
    /// The datagram in a node that a fragment belongs to, or that a whole packet was put together from; nil if there is none.
    ///
    /// A first fragment is known by its content: its ports may be others, and so may be the identification. The later ones
    /// follow it. A later fragment that comes before it, or without it, is known by its identification and its place, and
    /// without a known identification by its place alone: both are guesses where addresses were changed.
    mutating func datagram(_ seen: TracedPacket, in node: Int) -> [Match] {
        let place = WaitingPlace.node(node)
        let isWhole = seen.fragment == .whole
        if let start = seen.start {
            let candidates = waiting(.start(place, start), at: place).filter {
                !(isWhole && $0.packet.fragment == .whole) && $0.packet.flow.withoutPorts != seen.datagramFlow.reversed
            }
            if let match = best(seen, candidates) {
                if !isWhole { fragments.note(seen, node, match) }
                if match.isTranslated, !match.isGuess, let flow = match.stage.startFlow {
                    learn(node, seen.flow, flow)
                }
                return [match]
            }
        }
        guard !isWhole else { return [] }
        if let (stage, isGuess, isTranslated) = fragments.link(seen, node), let range = rest(of: stage, seen) {
            return [Match(stage: stage, range: range, isGuess: isGuess, isTranslated: isTranslated)]
        }
        let found = matches(seen, at: place)
        if let match = found.first {
            fragments.note(seen, node, match)
            return found
        }
        // One address is usually left as it was.
        let open = waiting(.cuttable(place, seen.protocolNumber), at: place).filter { stage in
            let flow = stage.packet.flow
            return (flow.source == seen.flow.source) != (flow.destination == seen.flow.destination)
        }
        let same = open.filter { $0.packet.identification == seen.identification && seen.identification != 0 }
        guard let match = first(seen, same) ?? first(seen, open) else { return [] }
        fragments.note(seen, node, match)
        return [match]
    }

    /// The one whose identification is the same, else the oldest.
    private func best(_ seen: TracedPacket, _ candidates: [Stage]) -> Match? {
        let fitting = candidates.compactMap { stage in rest(of: stage, seen).map { (stage, $0) } }
        let same = fitting.filter { $0.0.packet.identification == seen.identification && seen.identification != 0 }
        let own = same.filter { $0.0.packet.datagramFlow == seen.datagramFlow }
        let chosen = own.isEmpty ? same.isEmpty ? fitting : same : own
        guard let (stage, range) = chosen.first else { return nil }
        return Match(
            stage: stage, range: range, isGuess: chosen.count > 1 || seen.payloadLength < 4,
            isTranslated: stage.packet.datagramFlow != seen.datagramFlow)
    }

    /// The first stage with room for a fragment: a guess.
    private func first(_ seen: TracedPacket, _ candidates: [Stage]) -> Match? {
        for stage in candidates {
            guard let range = rest(of: stage, seen) else { continue }
            return Match(stage: stage, range: range, isGuess: true, isTranslated: true)
        }
        return nil
    }

    /// Where a fragment, or a whole packet, lies in a datagram of which this part has not left the node; nil: nowhere.
    private func rest(of stage: Stage, _ seen: TracedPacket) -> Range<Int>? {
        guard !stage.isOver, let range = stage.flight.place(of: seen, in: stage.packet),
            stage.entered.subtracting(stage.left).overlaps(range)
        else { return nil }
        return range
    }
}
