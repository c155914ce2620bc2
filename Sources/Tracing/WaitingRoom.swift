import Wire

/// The stages that packets wait in, found by what may be seen of them next.
struct WaitingRoom {
    /// A part of a packet that was seen again.
    struct Match {
        let stage: Stage
        let range: Range<Int>
        let isGuess: Bool
        /// True if addresses, ports or an identifier were changed.
        let isTranslated: Bool
    }

    enum Key: Hashable {
        case flow(WaitingPlace, FlowFields)
        /// Addresses, protocol and identification: for fragments. IPv6's identification does not count.
        case datagram(WaitingPlace, FlowFields, UInt32)
        case content(WaitingPlace, ContentKey)
        /// A datagram of a flow with its content.
        case exact(WaitingPlace, FlowFields, ContentKey)
        /// The beginning of a datagram that an application may cut, or put together.
        case start(WaitingPlace, TracedPacket.Start)
        /// A datagram that an application may cut, or put together, whatever its addresses are then.
        case cuttable(WaitingPlace, UInt8)

        /// Few words: most of the time of a trace goes into looking packets up.
        func hash(into hasher: inout Hasher) {
            switch self {
            case .flow(let place, let flow):
                hasher.combine(place.word)
                hasher.combine(flow)
            case .datagram(let place, let flow, let identification):
                hasher.combine(place.word ^ UInt64(identification))
                hasher.combine(flow)
            case .content(let place, let content):
                hasher.combine(place.word)
                hasher.combine(content)
            case .exact(let place, let flow, let content):
                hasher.combine(place.word ^ content.number)
                hasher.combine(flow)
            case .start(let place, let start): hasher.combine(place.word ^ start.digest)
            case .cuttable(let place, let number): hasher.combine(place.word ^ UInt64(number))
            }
        }
    }

    /// The stages of a key, the oldest first. There is nearly always one.
    struct Waiting {
        private var first: Stage?
        private var others: [Stage] = []

        init(_ stage: Stage) { first = stage }

        var isEmpty: Bool { first == nil }
        var all: [Stage] { first.map { [$0] + others } ?? [] }

        mutating func append(_ stage: Stage) { if first == nil { first = stage } else { others.append(stage) } }

        mutating func remove(_ stage: Stage) {
            if first === stage {
                first = others.isEmpty ? nil : others.removeFirst()
            } else if let place = others.firstIndex(where: { $0 === stage }) {
                others.remove(at: place)
            }
        }
    }

    struct Translation: Hashable {
        var node: Int
        var flow: FlowFields
    }

    /// How many stages of one key are looked at: the oldest.
    private static let looked = 512
    private static let translationCapacity = 16_384
    private var stages: [Key: Waiting] = [:]
    /// For a flow that left a node, the flow that entered it.
    private(set) var translations: [Translation: FlowFields] = [:]
    /// For fragments that leave a node, the datagram that they are of.
    var fragments = FragmentLinks()

    mutating func insert(_ stage: Stage) {
        for key in Self.keys(of: stage) {
            if let place = stages.index(forKey: key) {
                stages.values[place].append(stage)
            } else {
                stages[key] = Waiting(stage)
            }
        }
    }

    /// The stages of a key, the oldest first.
    func waiting(_ key: Key) -> [Stage] { stages[key]?.all ?? [] }

    mutating func remove(_ stage: Stage) {
        for key in Self.keys(of: stage) {
            guard let place = stages.index(forKey: key) else { continue }
            stages.values[place].remove(stage)
            if stages.values[place].isEmpty { stages.remove(at: place) }
        }
    }

    private static func keys(of stage: Stage) -> [Key] {
        if stage.places.count == 1 { return keys(of: stage, stage.places[0]) }
        return stage.places.flatMap { keys(of: stage, $0) }
    }

    private static func keys(of stage: Stage, _ place: WaitingPlace) -> [Key] {
        var keys = keys(stage.packet, place)
        guard case .node = place, stage.isCuttable else { return keys }
        if let start = stage.start { keys.append(.start(place, start)) }
        keys.append(.cuttable(place, stage.packet.protocolNumber))
        return keys
    }

    static func keys(_ packet: TracedPacket, _ place: WaitingPlace) -> [Key] {
        var keys: [Key] = []
        keys.reserveCapacity(6)
        let isFour = packet.flow.source.family == .ipv4
        if packet.fragment == .whole {
            let content = ContentKey(packet)
            if let content, packet.segment == nil { keys.append(.exact(place, packet.flow, content)) }
            keys.append(.flow(place, packet.flow))
            if let content, case .node = place { keys.append(.content(place, content)) }
            guard isFour, packet.identification != 0 else { return keys }
        }
        keys.append(.datagram(place, packet.datagramFlow, isFour ? packet.identification : 0))
        return keys
    }

    /// The stages at a place that a packet with these addresses belongs to, each with the part of it.
    func matches(_ seen: TracedPacket, at place: WaitingPlace) -> [Match] {
        for key in Self.keys(seen, place) {
            if case .content = key { continue }
            let found = choose(seen, waiting(key), isTranslated: false)
            if !found.isEmpty { return found }
        }
        return []
    }

    /// The stages in a node that a packet belongs to if the node has changed addresses or ports.
    mutating func translated(_ seen: TracedPacket, in node: Int) -> [Match] {
        guard seen.fragment == .whole else { return [] }
        let place = WaitingPlace.node(node)
        if let original = translations[Translation(node: node, flow: seen.flow)] {
            let found = choose(seen, waiting(.flow(place, original)), isTranslated: true)
            if !found.isEmpty { return found }
        }
        guard let content = ContentKey(seen) else { return [] }
        // A packet that goes back where another one came from is an answer with the same content, and no translation.
        let candidates = waiting(.content(place, content)).filter { $0.packet.flow != seen.flow.reversed }
        let found = choose(seen, candidates, isTranslated: true)
        for match in found where seen.isDistinct && !match.isGuess { learn(node, seen.flow, match.stage.packet.flow) }
        return found
    }

    /// The open stages at a place with this flow.
    func open(_ flow: FlowFields, at place: WaitingPlace) -> [Stage] {
        waiting(.flow(place, flow)).filter { !$0.isOver }
    }

    mutating func learn(_ node: Int, _ outside: FlowFields, _ inside: FlowFields) {
        if translations.count >= Self.translationCapacity { translations.removeAll() }
        translations[Translation(node: node, flow: outside)] = inside
        translations[Translation(node: node, flow: inside.reversed)] = outside.reversed
    }

    func choose(_ seen: TracedPacket, _ candidates: [Stage], isTranslated: Bool) -> [Match] {
        var found: [(stage: Stage, range: Range<Int>, score: Int)] = []
        for stage in candidates.prefix(Self.looked) where !stage.isOver {
            guard
                let (range, score) = stage.flight.relation(of: seen, to: stage.packet, isTranslated: isTranslated),
                stage.entered.subtracting(stage.left).overlaps(range)
            else { continue }
            found.append((stage, range, score))
        }
        guard let best = found.map(\.score).max() else { return [] }
        if seen.segment == nil || found.contains(where: { $0.stage.packet.segment == nil }) {
            let top = found.filter { $0.score == best }
            // Several flows with one content: any of them may be the one that was translated.
            let isWeak = isTranslated && !(seen.isDistinct || best >= 2)
            return [
                Match(
                    stage: top[0].stage, range: top[0].range, isGuess: top.count > 1 || isWeak,
                    isTranslated: isTranslated && top[0].stage.packet.flow != seen.flow)
            ]
        }
        return share(seen, found, isTranslated: isTranslated)
    }

    /// A segment may cover several packets, and one that was sent again. Each octet goes to one packet: first to those
    /// that are known by more than their sequence number, then to those that came first.
    private func share(
        _ seen: TracedPacket, _ found: [(stage: Stage, range: Range<Int>, score: Int)], isTranslated: Bool
    ) -> [Match] {
        guard let segment = seen.segment else { return [] }
        var rest = Coverage(0..<max(1, segment.length))
        var matches: [Match] = []
        let isWeak = isTranslated && !seen.isDistinct
        for (stage, range, score) in found.sorted(by: { ($1.score, $0.stage.number) < ($0.score, $1.stage.number) }) {
            let shift = segment.length == 0 ? 0 : Int(Int32(truncatingIfNeeded: stage.flight.base &- segment.sequence))
            for part in stage.entered.subtracting(stage.left).intersection(range) {
                let there = part.lowerBound + shift..<part.upperBound + shift
                for piece in rest.intersection(there) {
                    rest.remove(piece)
                    let rivals = found.count { other in
                        other.score == score && other.stage !== stage
                            && other.stage.entered.subtracting(other.stage.left).overlaps(
                                other.stage.flight.own(piece, of: segment))
                    }
                    matches.append(
                        Match(
                            stage: stage, range: piece.lowerBound - shift..<piece.upperBound - shift,
                            isGuess: isWeak || rivals > 0,
                            isTranslated: isTranslated && stage.packet.flow != seen.flow))
                }
            }
        }
        return matches
    }
}

extension Flight {
    /// Octets of a segment in this packet's own counting.
    fileprivate func own(_ piece: Range<Int>, of segment: TracedPacket.Segment) -> Range<Int> {
        guard segment.length > 0, let total else { return 0..<1 }
        let shift = Int(Int32(truncatingIfNeeded: base &- segment.sequence))
        let (first, end) = (piece.lowerBound - shift, piece.upperBound - shift)
        return (first..<end).clamped(to: 0..<total)
    }
}
