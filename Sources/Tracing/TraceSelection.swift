/// Which traces a person wants to see.
package struct TraceSelection: Sendable, Hashable {
    /// The first so many packets, and the answers to them; nil for all.
    package var first: Int?
    /// Only packets that the engine dropped, or that did not come out of a node whole.
    package var onlyLost: Bool
    /// Only packets that this node sent first, and the answers that it got.
    package var from: String?
    /// Only packets that an entry of this service took.
    package var service: String?
    /// Only packets that this node got.
    package var via: String?
    private var taken: [UInt64] = []
    private var count = 0

    /// Memberwise.
    package init(
        first: Int? = nil, onlyLost: Bool = false, from: String? = nil, service: String? = nil, via: String? = nil
    ) {
        self.first = first
        self.onlyLost = onlyLost
        self.from = from
        self.service = service
        self.via = via
    }

    /// Whether a trace is wanted. Traces are given in the order in which they end.
    package mutating func takes(_ trace: PacketTrace) -> Bool {
        if onlyLost, !trace.isLost { return false }
        if let from, trace.from != from || trace.beginning == .duplicate, trace.answers == nil || trace.end.node != from
        {
            return false
        }
        if let service, !trace.services.contains(service) { return false }
        if let via, !trace.hops.contains(where: { $0.from == via || $0.copies.contains { $0.to == via } }) {
            return false
        }
        guard let first else { return true }
        // In a connection the customer's packets answer, too.
        if let answered = trace.answers, trace.beginning != .customer { return taken.contains(answered.trace) }
        guard count < first else { return false }
        count += 1
        taken.append(trace.id)
        if taken.count > 4_096 { taken.removeFirst(1_024) }
        return true
    }

    /// True if all packets that were asked for have been taken; only answers to them may follow.
    package var isFull: Bool { first.map { count >= $0 } ?? false }

    /// What is wrong with the names, as sentences with the names that there are; empty if nothing is.
    package func problems(in network: TracedNetwork) -> [String] {
        var problems: [String] = []
        let nodes = network.nodes.map(\.name)
        for (option, name) in [("--from", from), ("--via", via)] {
            guard let name, !nodes.contains(name) else { continue }
            problems.append("\(option) \(name): the topology has no such node; it has \(nodes.joined(separator: ", "))")
        }
        let services = network.services.map(\.name)
        if let service, !services.contains(service) {
            problems.append(
                "--service \(service): the topology has no such service; it has \(services.joined(separator: ", "))")
        }
        return problems
    }
}

extension PacketTrace {
    /// True if the packet was dropped, or did not come out of a node whole.
    package var isLost: Bool {
        switch end.kind {
        case .dropped, .vanished, .filtered, .incomplete: true
        case .delivered, .copied, .answered, .engine, .unknown: false
        }
    }
}
