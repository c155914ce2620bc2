import Wire

/// The packets that nodes got, by what an answer to them looks like.
struct Questions {
    /// Who got a packet: a node, or the engine on an interface.
    enum Receiver: Hashable {
        case node(Int)
        case engine(Int)
    }

    /// A packet that a node got.
    struct Question {
        var flight: UInt64
        var segment: TracedPacket.Segment?
        var identification: UInt32
        var message: ICMPMessage
        var word: UInt32
        /// The number of the stage in which the node has the packet; 0 at the end of a chain. A reference would cost an object
        /// of its own for each packet.
        var stage: UInt64
        var number: UInt64
    }

    /// A receiver and the flow of an answer, as a hash (`Mixed`).
    private typealias Key = MixedNumber

    private static func key(_ receiver: Receiver, _ flow: FlowFields) -> Key {
        let place =
            switch receiver {
            case .node(let number): UInt64(truncatingIfNeeded: number)
            case .engine(let interface): ~UInt64(truncatingIfNeeded: interface)
            }
        return Key(Mixed.number(flow.mixed, place))
    }

    /// The most packets of one flow, and of all together.
    private static let perFlow = 64
    private let capacity: Int
    private var questions: [Key: [Question]] = [:]
    private var order: [(key: Key, number: UInt64)] = []
    private var next: UInt64 = 0

    init(capacity: Int) { self.capacity = capacity }

    mutating func note(
        _ packet: TracedPacket, flow: FlowFields, _ receiver: Receiver, _ flight: Flight, _ stage: Stage?
    ) {
        let key = Self.key(receiver, flow.reversed)
        next += 1
        let question = Question(
            flight: flight.id, segment: flight.packet.segment, identification: packet.identification,
            message: packet.message, word: packet.icmpWord, stage: stage?.number ?? 0, number: next)
        if let place = questions.index(forKey: key) {
            // A packet that comes in pieces is one question.
            if questions.values[place].last?.flight == flight.id { return }
            questions.values[place].append(question)
            if questions.values[place].count > Self.perFlow { questions.values[place].removeFirst(Self.perFlow / 2) }
        } else {
            questions[key] = [question]
        }
        order.append((key, next))
        guard order.count > capacity else { return }
        // Those of a flow are in the order of their numbers, so the newest old one takes all that are older with it.
        for old in order.prefix(capacity / 4).reversed() {
            guard let place = questions.index(forKey: old.key), let first = questions.values[place].first,
                first.number <= old.number
            else { continue }
            let kept = questions.values[place].firstIndex { $0.number > old.number }
            if let kept { questions.values[place].removeFirst(kept) } else { questions.remove(at: place) }
        }
        order.removeFirst(capacity / 4)
    }

    /// The packet that this one answers, and whether that is a guess. All that TCP acknowledges are answered.
    mutating func answered(
        by packet: TracedPacket, _ receiver: Receiver
    ) -> (question: Question, isGuess: Bool, answered: [Question])? {
        guard !questions.isEmpty else { return nil }
        let key = Self.key(receiver, packet.lookup)
        guard var list = questions[key], !list.isEmpty else { return nil }
        if packet.message == .error { return quoted(packet, list).map { ($0.0, $0.1, [$0.0]) } }
        if let segment = packet.segment {
            guard segment.hasACK || segment.isRST else { return nil }
            let met = list.filter { question in
                guard let asked = question.segment else { return false }
                if !segment.hasACK { return true }
                return Int32(truncatingIfNeeded: segment.acknowledgment &- asked.end) >= 0
            }
            guard let best = met.last(where: { ($0.segment?.length ?? 0) > 0 }) ?? (segment.isRST ? met.last : nil)
            else { return nil }
            let isSure = segment.hasACK && best.segment?.end == segment.acknowledgment
            return (best, !isSure, met)
        }
        if packet.message == .echoReply {
            guard let best = list.last(where: { $0.message == .echoRequest && $0.word == packet.icmpWord }) else {
                return nil
            }
            return (best, false, [best])
        }
        guard packet.message == .none else { return nil }
        // One answer to each question, in their order.
        let (first, isGuess) = (list[0], list.count > 1)
        // The list is not copied for it.
        list = []
        if isGuess { questions[key]?.removeFirst() } else { questions[key] = nil }
        return (first, isGuess, [first])
    }

    private func quoted(_ packet: TracedPacket, _ list: [Question]) -> (Question, Bool)? {
        guard let quote = packet.quote, let last = list.last else { return nil }
        guard quote.hasNumber else { return (last, list.count > 1) }
        let found = list.last { question in
            if let segment = question.segment {
                return Int(quote.number &- segment.sequence) < max(1, segment.length)
            }
            return question.message == .none ? question.identification == quote.number : question.word == quote.number
        }
        return found.map { ($0, false) }
    }
}
