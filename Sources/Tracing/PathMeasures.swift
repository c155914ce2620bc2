/// What checks measure over finished traces: paths, loss, order, duplicates and times of the packets between two nodes.
package struct PathMeasures: Sendable {
    /// Packets that the first node sent, and whose end is known.
    package private(set) var sent = 0
    /// Those of them that reached the last node.
    package private(set) var delivered = 0
    /// Packets whose end nobody can tell; they count neither as delivered nor as lost.
    package private(set) var unknown = 0
    /// Packets that an application let out again.
    package private(set) var duplicates = 0
    /// Packets that arrived after one of their flow that was sent later (RFC 4737, section 3).
    package private(set) var reordered = 0
    /// The longest time without an arrival, in nanoseconds: between two arrivals, or after the last one until the last
    /// packet was sent. 0 if nothing arrived.
    package private(set) var longestGap: UInt64 = 0
    /// The distinct paths with their packets, the most frequent first.
    package private(set) var paths: [(path: String, count: Int)] = []
    /// The times in each application and router, in nanoseconds.
    package private(set) var inside: [String: LatencyHistogram] = [:]
    /// The time in the engine, of all hops together.
    package private(set) var engine = LatencyHistogram()
    /// From the first read to the arrival.
    package private(set) var whole = LatencyHistogram()
    /// Traces of which a part is a guess.
    package private(set) var guesses = 0

    /// Packets that did not reach the last node.
    package var lost: Int { sent - delivered }

    /// - Parameters:
    ///   - traces: Finished traces, in any order.
    ///   - from: The node that sends.
    ///   - to: The node that the packets are for; nil: the end of the chain, whatever it is.
    package init(_ traces: [PacketTrace], from: String, to: String? = nil) {
        var counts: [String: Int] = [:]
        var order: [String] = []
        var arrivals: [(flow: String, sent: Int, time: UInt64)] = []
        let own = traces.filter { $0.from == from && $0.beginning != .duplicate }
            .sorted { ($0.began, $0.id) < ($1.began, $1.id) }
        let ids = Set(own.map(\.id))
        for (place, trace) in own.enumerated() {
            if trace.end.kind == .unknown {
                unknown += 1
                continue
            }
            sent += 1
            if trace.isGuess { guesses += 1 }
            if counts.updateValue(counts[trace.path, default: 0] + 1, forKey: trace.path) == nil {
                order.append(trace.path)
            }
            for (node, time) in trace.nodeTimes { inside[node, default: .init()].record(time) }
            engine.record(trace.engineTime)
            guard trace.end.kind == .delivered, to == nil || trace.reached(to) else { continue }
            delivered += 1
            let at = trace.began + (trace.end.at ?? trace.took)
            whole.record(at - trace.began)
            arrivals.append((trace.packet.ends, place, at))
        }
        duplicates = traces.count { trace in
            trace.beginning == .duplicate && trace.follows.map { ids.contains($0.trace) } == true
        }
        paths = order.map { ($0, counts[$0] ?? 0) }.enumerated()
            .sorted { ($1.element.1, $0.offset) < ($0.element.1, $1.offset) }.map(\.element)
        judgeOrder(arrivals)
        judgeGaps(arrivals.map(\.time).sorted(), lastSent: own.last?.began ?? 0)
    }

    private mutating func judgeOrder(_ arrivals: [(flow: String, sent: Int, time: UInt64)]) {
        var newest: [String: Int] = [:]
        for arrival in arrivals.sorted(by: { ($0.time, $0.sent) < ($1.time, $1.sent) }) {
            if let last = newest[arrival.flow], arrival.sent < last {
                reordered += 1
            } else {
                newest[arrival.flow] = arrival.sent
            }
        }
    }

    private mutating func judgeGaps(_ times: [UInt64], lastSent: UInt64) {
        for (earlier, later) in zip(times, times.dropFirst()) { longestGap = max(longestGap, later - earlier) }
        if let last = times.last, lastSent > last { longestGap = max(longestGap, lastSent - last) }
    }
}

extension PacketTrace {
    /// True if a copy that counts went to a node.
    fileprivate func reached(_ node: String?) -> Bool {
        hops.contains { $0.copies.contains { $0.to == node && $0.system != "passive" && $0.at != nil } }
    }
}
