import Forwarding

/// The way of one packet, from the first place where the engine read it to its end.
///
/// As JSON it has the same keys. All times are nanoseconds: `began` of the machine's monotonic clock, all others are
/// durations. A key without a value is left out.
package struct PacketTrace: Codable, Sendable, Hashable {
    /// The number of the trace, from 1.
    package var id: UInt64
    /// When the engine read the packet first: nanoseconds of CLOCK_MONOTONIC.
    package var began: UInt64
    /// From the first read to the last write or read, in nanoseconds.
    package var took: UInt64
    /// The packet as its sender sent it.
    package var packet: TracedPacketText
    /// The node that the packet began at; a MAC address if the topology does not name the sender.
    package var from: String
    /// The node whose device it came from, if the packet does not have that device's MAC address.
    package var device: String?
    /// What the sender has to do with the packet.
    package var beginning: TraceBeginning
    /// `request` or `response`, as the first entry says.
    package var direction: String?
    /// The services of the entries that took the packet.
    package var services: [String]
    /// Each time that the engine read the packet, in order.
    package var hops: [TraceHop]
    /// Where the packet ended.
    package var end: TraceEnd
    /// The trace of the packet that this one answers.
    package var answers: TraceLink?
    /// The trace of the packet that made an application send this one: always a guess.
    package var follows: TraceLink?
    /// What nftables in nodes dropped of the packet's copies, if it was asked.
    package var rules: [RuleVerdict] = []
    /// True if a part of the trace is a guess.
    package var isGuess: Bool
    /// What else happened, one sentence each.
    package var notes: [String]
    /// The digest of the payload's first octets (`PayloadDigest`), by which probes are known; not in JSON.
    package var digest: UInt64?

    private enum CodingKeys: String, CodingKey {
        case id, began, took, packet, from, device, beginning, direction, services, hops, end, answers, follows,
            isGuess, notes,
            rules
    }
}

/// A packet as a person reads it.
package struct TracedPacketText: Codable, Sendable, Hashable {
    /// `tcp`, `udp`, `icmp`, `icmpv6` or the protocol's number.
    package var `protocol`: String
    /// The source address.
    package var source: String
    /// The destination address.
    package var destination: String
    /// The source port, if there is one.
    package var sourcePort: UInt16?
    /// The destination port, if there is one.
    package var destinationPort: UInt16?
    /// Octets of the network packet.
    package var length: Int
    /// The segments of a superframe, else 1.
    package var packets: Int
    /// The fragments that the sender sent; 0 for a packet that is not fragmented.
    package var fragments: Int
    /// `SYN`, `echo request`, `time exceeded`: what kind of packet it is; empty if there is nothing to say.
    package var detail: String
    /// The first sequence number of TCP.
    package var sequence: UInt32?

    /// `192.0.2.10:4000 → 203.0.113.80:80`.
    package var ends: String {
        "\(Self.end(source, sourcePort)) → \(Self.end(destination, destinationPort))"
    }

    static func end(_ address: String, _ port: UInt16?) -> String {
        guard let port else { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}

/// What a sender has to do with a packet.
package enum TraceBeginning: String, Codable, Sendable, Hashable {
    /// A customer sent it.
    case customer
    /// The end of a chain sent it: an answer, or a packet of its own.
    case end
    /// An application in mid-chain made it: an error, or a proxy's own connection. The packet that went in ended there.
    case made
    /// An application let a packet out a second time.
    case duplicate
    /// Earlier records are missing, so the packet was seen first in mid-chain.
    case midway
    /// The topology does not name the sender.
    case stranger
}

/// Another trace.
package struct TraceLink: Codable, Sendable, Hashable {
    /// Its number.
    package var trace: UInt64
    /// True if several would fit.
    package var isGuess: Bool
}

/// One read of the packet by the engine, and what it wrote.
package struct TraceHop: Codable, Sendable, Hashable {
    /// Nanoseconds after the trace began.
    package var at: UInt64
    /// The interface that the engine read the packet from.
    package var interface: String
    /// The node that sent it there.
    package var from: String
    /// The name of the entry that took it.
    package var entry: String?
    /// The line of the file that the entry is from.
    package var line: Int?
    /// `request` or `response`.
    package var direction: String?
    /// Why the engine dropped it, by the reason's stable name.
    package var drop: String?
    /// The time inside the node that it came from, in nanoseconds: from the write of its last octet to the read of its
    /// last octet. nil at the first hop.
    package var inside: UInt64?
    /// The new ends, if the node has changed addresses or ports.
    package var translated: String?
    /// True if it is only likely that this is the same packet.
    package var isGuess: Bool
    /// The frames that the packet came in.
    package var frames: Int
    /// The copies that the engine wrote.
    package var copies: [TraceCopy]
}

/// One copy of the packet.
package struct TraceCopy: Codable, Sendable, Hashable {
    /// Nanoseconds after the trace began; nil if it was not written.
    package var at: UInt64?
    /// The interface that it was written to.
    package var interface: String
    /// The node that it is for.
    package var to: String
    /// `passive`, `inline`, `terminal`, `router`, `customer` or `engine`.
    package var system: String
    /// From the read of its last octet to the write of its last octet, in nanoseconds.
    package var engine: UInt64?
    /// The new destination or source, if the engine has rewritten an address or a port.
    package var rewritten: String?
    /// The frames that it left in.
    package var frames: Int
    /// The packet as the node got it; not in JSON.
    var arrival: PacketArrival?

    private enum CodingKeys: CodingKey { case at, interface, to, system, engine, rewritten, frames }
}

/// Where a packet ended.
package struct TraceEnd: Codable, Sendable, Hashable {
    /// The kinds of ends.
    package enum Kind: String, Codable, Sendable, Hashable, CaseIterable {
        /// It reached the end of its chain, or its customer.
        case delivered
        /// Only passive applications got it.
        case copied
        /// The engine dropped it.
        case dropped
        /// It entered an application or a router and did not come out in time.
        case vanished
        /// nftables in the node that it ended at dropped it.
        case filtered
        /// An application in mid-chain answered it itself: with an error, or as the end of its connection.
        case answered
        /// It was for the engine itself.
        case engine
        /// Not all of its fragments came.
        case incomplete
        /// Records were lost, or too many packets were under way, so nobody can tell.
        case unknown
    }
    /// The kind.
    package var kind: Kind
    /// The node that it ended at, if there is one.
    package var node: String?
    /// The reason's stable name, if the engine dropped it.
    package var reason: String?
    /// Nanoseconds after the trace began, if there is such a moment.
    package var at: UInt64?
    /// All of it in one sentence.
    package var sentence: String
    /// True if the reason is only likely.
    package var isGuess: Bool
    /// True if an application in mid-chain refused it: with an ICMP error or a reset.
    package var isRefusal: Bool?
}

extension PacketTrace {
    /// The steps of the way: the sender, then each hop's receivers. Packets with equal steps took one path.
    package var steps: [String] {
        var steps = [from]
        for hop in hops where !hop.copies.isEmpty {
            steps.append(hop.copies.filter { $0.at != nil }.map(\.to).joined(separator: ", "))
        }
        switch end.kind {
        case .delivered, .copied: break
        case .dropped: steps.append("dropped: \(end.reason ?? "unknown reason")")
        case .vanished: steps.append("did not come out")
        case .filtered: steps.append(rules.last { $0.node == end.node }.map { "dropped: \($0.short)" } ?? "dropped")
        case .answered: steps.append("answered there")
        case .engine: steps.append("the engine")
        case .incomplete: steps.append("fragments missing")
        case .unknown: steps.append("unknown")
        }
        return steps.filter { !$0.isEmpty }
    }

    /// True if the steps are those of another trace. It is cheaper than to compare them; false where that takes more.
    func hasPath(of other: PacketTrace) -> Bool {
        guard end.kind == other.end.kind, end.kind != .filtered, hops.count == other.hops.count,
            end.reason == other.end.reason, from == other.from
        else { return false }
        for index in hops.indices {
            guard hops[index].copies.count == other.hops[index].copies.count else { return false }
            for copy in hops[index].copies.indices {
                guard hops[index].copies[copy].to == other.hops[index].copies[copy].to,
                    (hops[index].copies[copy].at == nil) == (other.hops[index].copies[copy].at == nil)
                else { return false }
            }
        }
        return true
    }

    /// `alice → ids, fw → web`.
    package var path: String { steps.joined(separator: " → ") }

    /// The time in the engine, in nanoseconds: at each hop until the last copy was written.
    package var engineTime: UInt64 { hops.reduce(0) { $0 + ($1.copies.compactMap(\.engine).max() ?? 0) } }

    /// The nodes that the packet passed, each with the time inside in nanoseconds.
    package var nodeTimes: [(node: String, time: UInt64)] {
        hops.compactMap { hop in hop.inside.map { (hop.from, $0) } }
    }
}

extension DestinationSystemType {
    /// The word in traces.
    var traceWord: String {
        switch self {
        case .passiveApplication: "passive"
        case .inlineApplication: "inline"
        case .terminalApplication: "terminal"
        case .router: "router"
        case .customer: "customer"
        case .packetingEngine: "engine"
        }
    }
}
