import Forwarding

/// Which traces a person wants to see.
package struct TraceSelection: Sendable, Hashable {
    /// The first so many packets, and the answers to them; nil for all.
    package var first: Int?
    /// Only packets that the engine dropped, or that did not come out of a node whole.
    package var onlyLost: Bool
    /// Only packets that this node, or an instance of this application, sent first, and the answers that it got.
    package var from: String?
    /// Only packets that an entry of this service took.
    package var service: String?
    /// Only packets that this node, or an instance of this application, got.
    package var via: String?
    /// Also what kernels send by themselves, and the engine drops without a loss. Without a choice of packets it is shown.
    package var takesHousekeeping: Bool
    /// The nodes that `from` and `via` mean.
    private var senders: Set<String> = []
    private var receivers: Set<String> = []
    private var taken: [UInt64] = []
    private var count = 0

    /// Memberwise.
    package init(
        first: Int? = nil, onlyLost: Bool = false, from: String? = nil, service: String? = nil, via: String? = nil,
        takesHousekeeping: Bool = false
    ) {
        self.first = first
        self.onlyLost = onlyLost
        self.from = from
        self.service = service
        self.via = via
        let isChoice = first != nil || onlyLost || from != nil || service != nil || via != nil
        self.takesHousekeeping = takesHousekeeping || !isChoice
    }

    /// Finds the nodes that the names mean. Instances may come while the topology runs.
    package mutating func resolve(in network: TracedNetwork) {
        if let from { senders.formUnion(network.nodes(named: from).map(\.name)) }
        if let via { receivers.formUnion(network.nodes(named: via).map(\.name)) }
    }

    /// Whether a trace is wanted. Traces are given in the order in which they end.
    package mutating func takes(_ trace: PacketTrace) -> Bool {
        if onlyLost, !trace.isLost { return false }
        if !takesHousekeeping, trace.end.reason == DropReason.housekeeping.name { return false }
        if from != nil, !isSent(trace), trace.answers == nil || !sent(trace.end.node) { return false }
        if let service, !trace.services.contains(service) { return false }
        if via != nil, !trace.hops.contains(where: { got($0.from) || $0.copies.contains { got($0.to) } }) {
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

    private func sent(_ node: String?) -> Bool { node.map { $0 == from || senders.contains($0) } ?? false }

    private func got(_ node: String) -> Bool { node == via || receivers.contains(node) }

    /// True if a wanted node sent it first, under whatever addresses.
    private func isSent(_ trace: PacketTrace) -> Bool {
        trace.beginning != .duplicate && (sent(trace.from) || sent(trace.device))
    }

    /// True if all packets that were asked for have been taken; only answers to them may follow.
    package var isFull: Bool { first.map { count >= $0 } ?? false }

    /// What is wrong with the names, as sentences with the names that there are; empty if nothing is.
    ///
    /// - Parameter sender: The option that `from` was given by: `--send` names one node, never an application.
    package func problems(in network: TracedNetwork, sender: String = "--from") -> [String] {
        var problems: [String] = []
        for (option, name) in [(sender, from), ("--via", via)] {
            guard let name else { continue }
            let found = network.nodes(named: name)
            let isOne = option == "--send"
            if found.isEmpty {
                let names = isOne ? network.nodes.map(\.name) : network.names
                problems.append(
                    "\(option) \(name): the topology has no such node; it has \(names.joined(separator: ", "))")
            } else if isOne, found[0].name != name {
                let names = found.map(\.name).joined(separator: ", ")
                problems.append("\(option) \(name): an application cannot send; name one of its instances: \(names)")
            }
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
