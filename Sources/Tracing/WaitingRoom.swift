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

    typealias Key = WaitingKey

    /// The stages of a key, the oldest first. There is nearly always one.
    struct Waiting {
        fileprivate var first: Stage?
        fileprivate var others: [Stage] = []

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

        func hash(into hasher: inout Hasher) {
            hasher.combine(Mixed.number(flow.mixed, UInt64(truncatingIfNeeded: node)))
        }
    }

    /// How many stages of one key are looked at: the oldest.
    private static let looked = 512
    private static let translationCapacity = 16_384
    /// The stages by the key that finds nearly all of them.
    private var stages: [Key: Waiting] = [:]
    /// By all their other keys, at the places of `searched` alone.
    private var others: [Key: Waiting] = [:]
    /// The places where something was looked for that the first key does not find, each with the stages that came there since.
    private(set) var searched: [WaitingPlace: Int] = [:]
    /// After so many stages that were found by their first key, the other keys of a place are forgotten.
    var unsearched = 8_192
    /// The most places of `searched`.
    private static let mostSearched = 4_096
    /// How many stages wait at the places of each share: where none do, none is looked for.
    private var counts = [Int32](repeating: 0, count: 1 << shareBits)
    private static let shareBits = 10
    private var arrivals: UInt64 = 0
    /// For a flow that left a node, the flow that entered it.
    private(set) var translations: [Translation: FlowFields] = [:]
    /// For fragments that leave a node, the datagram that they are of.
    var fragments = FragmentLinks()

    mutating func insert(_ stage: Stage) {
        guard !stage.isWaiting else { return }
        stage.isWaiting = true
        arrivals += 1
        stage.arrival = arrivals
        for place in stage.places {
            Self.insert(stage, Self.firstKey(of: stage, place), &stages)
            counts[Self.share(place)] += 1
            guard !searched.isEmpty, let count = searched[place] else { continue }
            for key in Self.otherKeys(of: stage, place) { Self.insert(stage, key, &others) }
            searched[place] = count + 1
            if count > unsearched { stopSearching(place) }
        }
    }

    mutating func remove(_ stage: Stage) {
        guard stage.isWaiting else { return }
        stage.isWaiting = false
        for place in stage.places {
            Self.remove(stage, Self.firstKey(of: stage, place), &stages)
            counts[Self.share(place)] -= 1
            guard !searched.isEmpty, searched[place] != nil else { continue }
            for key in Self.otherKeys(of: stage, place) { Self.remove(stage, key, &others) }
        }
    }

    private static func insert(_ stage: Stage, _ key: Key, _ stages: inout [Key: Waiting]) {
        if let place = stages.index(forKey: key) {
            stages.values[place].append(stage)
        } else {
            stages[key] = Waiting(stage)
        }
    }

    private static func remove(_ stage: Stage, _ key: Key, _ stages: inout [Key: Waiting]) {
        guard let place = stages.index(forKey: key) else { return }
        stages.values[place].remove(stage)
        if stages.values[place].isEmpty { stages.remove(at: place) }
    }

    private static func share(_ place: WaitingPlace) -> Int {
        Int(truncatingIfNeeded: (place.word &* 0x9E37_79B9_7F4A_7C15) >> UInt64(64 - shareBits))
    }

    /// The places of stages that wait.
    var count: Int { counts.reduce(0) { $0 + Int($1) } }

    /// True if no stage waits at a place.
    func isEmpty(_ place: WaitingPlace) -> Bool { counts[Self.share(place)] == 0 }

    /// The stages of another key than the first one, the oldest first.
    mutating func waiting(_ key: Key, at place: WaitingPlace) -> [Stage] {
        guard !isEmpty(place) else { return [] }
        search(place)
        return others[key]?.all ?? []
    }

    /// Knows the stages of a place by all their keys from now on.
    private mutating func search(_ place: WaitingPlace) {
        if searched.count >= Self.mostSearched, searched[place] == nil {
            searched = [:]
            others = [:]
        }
        guard searched.updateValue(0, forKey: place) == nil else { return }
        let here = stages.flatMap { key, waiting in
            waiting.all.filter { $0.places.contains(place) && Self.firstKey(of: $0, place) == key }
        }
        for stage in here.sorted(by: { $0.arrival < $1.arrival }) {
            for key in Self.otherKeys(of: stage, place) { Self.insert(stage, key, &others) }
        }
    }

    private mutating func stopSearching(_ place: WaitingPlace) {
        searched[place] = nil
        guard !searched.isEmpty else { return others.removeAll() }
        for waiting in stages.values {
            for stage in waiting.all where stage.places.contains(place) {
                for key in Self.otherKeys(of: stage, place) { Self.remove(stage, key, &others) }
            }
        }
    }

    /// The key by which a stage is looked for first: whatever it finds belongs to it better than what other keys find.
    private static func firstKey(of stage: Stage, _ place: WaitingPlace) -> Key { firstKey(stage.packet, place) }

    private static func firstKey(_ packet: TracedPacket, _ place: WaitingPlace) -> Key {
        let isFour = packet.flow.source.family == .ipv4
        guard packet.fragment == .whole else {
            return .datagram(place, packet.datagramFlow, isFour ? packet.identification : 0)
        }
        guard packet.segment == nil else { return .flow(place, packet.flow) }
        // Of the last datagrams of a superframe the content is not captured.
        if isFour, packet.identification != 0 { return .numbered(place, packet.flow, packet.identification) }
        return ContentKey(packet).map { .exact(place, packet.flow, $0) } ?? .flow(place, packet.flow)
    }

    private static func otherKeys(of stage: Stage, _ place: WaitingPlace) -> [Key] {
        var keys = otherKeys(stage.packet, place)
        guard case .node = place else { return keys }
        if stage.packet.fragment == .whole, let content = ContentKey(stage.packet) {
            keys.append(.content(place, content))
        }
        guard stage.isCuttable else { return keys }
        if let start = stage.start { keys.append(.start(place, start)) }
        keys.append(.cuttable(place, stage.packet.protocolNumber))
        return keys
    }

    /// In the order in which they are looked for.
    private static func otherKeys(_ packet: TracedPacket, _ place: WaitingPlace) -> [Key] {
        var keys: [Key] = []
        keys.reserveCapacity(6)
        let isFour = packet.flow.source.family == .ipv4
        if packet.fragment == .whole {
            if packet.segment == nil, let content = ContentKey(packet) {
                keys.append(.exact(place, packet.flow, content))
            }
            keys.append(.flow(place, packet.flow))
            guard isFour, packet.identification != 0 else { return keys }
        }
        keys.append(.datagram(place, packet.datagramFlow, isFour ? packet.identification : 0))
        return keys
    }

    /// The stages at a place that a packet with these addresses belongs to, each with the part of it.
    mutating func matches(_ seen: TracedPacket, at place: WaitingPlace) -> [Match] {
        guard !isEmpty(place) else { return [] }
        // Fragments may be of whole packets, too.
        if seen.fragment == .whole, let waiting = stages[Self.firstKey(seen, place)] {
            let found = choose(seen, waiting, isTranslated: false)
            if !found.isEmpty { return found }
        }
        search(place)
        for key in Self.otherKeys(seen, place) {
            guard let waiting = others[key] else { continue }
            let found = choose(seen, waiting, isTranslated: false)
            if !found.isEmpty { return found }
        }
        return []
    }

    /// The stages in a node that a packet belongs to if the node has changed addresses or ports.
    mutating func translated(_ seen: TracedPacket, in node: Int) -> [Match] {
        guard seen.fragment == .whole else { return [] }
        let place = WaitingPlace.node(node)
        if let original = translations[Translation(node: node, flow: seen.flow)] {
            let found = choose(seen, waiting(.flow(place, original), at: place), isTranslated: true)
            if !found.isEmpty { return found }
        }
        guard let content = ContentKey(seen) else { return [] }
        // A packet that goes back where another one came from is an answer with the same content, and no translation.
        let candidates = waiting(.content(place, content), at: place).filter { $0.packet.flow != seen.flow.reversed }
        let found = choose(seen, candidates, isTranslated: true)
        for match in found where seen.isDistinct && !match.isGuess { learn(node, seen.flow, match.stage.packet.flow) }
        return found
    }

    mutating func learn(_ node: Int, _ outside: FlowFields, _ inside: FlowFields) {
        if translations.count >= Self.translationCapacity { translations.removeAll() }
        translations[Translation(node: node, flow: outside)] = inside
        translations[Translation(node: node, flow: inside.reversed)] = outside.reversed
    }

    private func choose(_ seen: TracedPacket, _ waiting: Waiting, isTranslated: Bool) -> [Match] {
        guard let only = waiting.first, waiting.others.isEmpty, only.packet.segment == nil else {
            return choose(seen, waiting.all, isTranslated: isTranslated)
        }
        guard !only.isOver,
            let (range, score) = only.flight.relation(of: seen, to: only.packet, isTranslated: isTranslated),
            only.entered.subtracting(only.left).overlaps(range)
        else { return [] }
        return [match(seen, only, range, score, isOneOfSeveral: false, isTranslated: isTranslated)]
    }

    private func match(
        _ seen: TracedPacket, _ stage: Stage, _ range: Range<Int>, _ score: Int, isOneOfSeveral: Bool,
        isTranslated: Bool
    ) -> Match {
        // Several flows with one content: any of them may be the one that was translated.
        let isWeak = isTranslated && !(seen.isDistinct || score >= 2)
        return Match(
            stage: stage, range: range, isGuess: isOneOfSeveral || isWeak,
            isTranslated: isTranslated && stage.packet.flow != seen.flow)
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
            return [
                match(
                    seen, top[0].stage, top[0].range, best, isOneOfSeveral: top.count > 1, isTranslated: isTranslated)
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
