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
        /// The stage in which the node has the packet; nil at the end of a chain.
        weak var stage: Stage?
        var number: UInt64
    }

    private struct Key: Hashable {
        var receiver: Receiver
        /// The flow of an answer.
        var flow: FlowFields

        func hash(into hasher: inout Hasher) {
            switch receiver {
            case .node(let number): hasher.combine(number)
            case .engine(let interface): hasher.combine(~interface)
            }
            hasher.combine(flow)
        }
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
        let key = Key(receiver: receiver, flow: flow.reversed)
        // A packet that comes in pieces is one question.
        if questions[key]?.last?.flight == flight.id { return }
        next += 1
        // In place: a copy of the list would count a reference for each of its stages.
        questions[key, default: []].append(
            Question(
                flight: flight.id, segment: flight.packet.segment, identification: packet.identification,
                message: packet.message, word: packet.icmpWord, stage: stage, number: next))
        if let count = questions[key]?.count, count > Self.perFlow { questions[key]?.removeFirst(count / 2) }
        order.append((key, next))
        guard order.count > capacity else { return }
        for old in order.prefix(capacity / 4) {
            questions[old.key]?.removeAll { $0.number <= old.number }
            if questions[old.key]?.isEmpty == true { questions[old.key] = nil }
        }
        order.removeFirst(capacity / 4)
    }

    /// The packet that this one answers, and whether that is a guess. All that TCP acknowledges are answered: `stages`.
    mutating func answered(
        by packet: TracedPacket, _ receiver: Receiver
    ) -> (question: Question, isGuess: Bool, stages: [Stage])? {
        let key = Key(receiver: receiver, flow: packet.lookup)
        guard let list = questions[key], let last = list.last else { return nil }
        if packet.message == .error { return quoted(packet, list).map { ($0.0, $0.1, $0.0.stage.map { [$0] } ?? []) } }
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
            return (best, !isSure, met.compactMap(\.stage))
        }
        if packet.message == .echoReply {
            guard let best = list.last(where: { $0.message == .echoRequest && $0.word == packet.icmpWord }) else {
                return nil
            }
            return (best, false, best.stage.map { [$0] } ?? [])
        }
        guard packet.message == .none else { return nil }
        // One answer to each question, in their order.
        questions[key] = list.count == 1 ? nil : Array(list.dropFirst())
        let first = list[0]
        return (first, first.number != last.number, first.stage.map { [$0] } ?? [])
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
