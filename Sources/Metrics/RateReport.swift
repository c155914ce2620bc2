import ControlAPI

/// What happened between two samples of a topology, for each second. One line of `tapline top --json`; the keys are
/// stable.
public struct RateReport: Codable, Sendable {
    /// The things that have rates.
    public enum Kind: String, Codable, Sendable, CaseIterable {
        case interface, service, entry, engine, node, drop, control, time
    }

    /// The rates of one thing. A key is absent where the thing has no such rate.
    public struct Row: Codable, Sendable, Hashable {
        /// What it is.
        public var kind: Kind
        /// Its name; a reason, for drops; a number, for engines.
        public var name: String
        /// `received` or `sent` of an interface, `request` or `response` of a service.
        public var direction: String?
        /// Packets a second.
        public var packets: Double?
        /// Bits of the frames a second, from the Ethernet header on.
        public var bits: Double?
        /// Dropped packets a second; at interfaces those of the kernel, too.
        public var drops: Double?
        /// Processor time, in percent of one processor.
        public var processor: Double?
        /// Resident memory in octets.
        public var memory: UInt64?
        /// Of an engine: the part of its packets that it coalesced with packets before them, 0 to 1; 0 without packets.
        public var coalesced: Double?
        /// Of the time in an application: the time in nanoseconds that half of its packets, and 99 of 100, stayed in it at
        /// most. Between the bounds of the histogram it is estimated. nil if none was measured.
        public var p50: UInt64?
        /// See `p50`.
        public var p99: UInt64?

        init(_ kind: Kind, _ name: String, _ direction: String? = nil) {
            self.kind = kind
            self.name = name
            self.direction = direction
        }
    }

    /// The version of this format.
    public var version = 1
    /// The topology's name.
    public var name: String
    /// When the second sample was taken, in microseconds since 1970.
    public var time: Int
    /// The time between the two samples, in seconds.
    public var seconds: Double
    /// The topology's state.
    public var state: StatusReport.State
    /// The version of the newest table.
    public var tableVersion: UInt64
    /// In the order of the kinds, and of the topology.
    public var rows: [Row]

    /// The rates between two samples.
    ///
    /// - Returns: nil if they are of two runs of the topology, or of one moment.
    public init?(from earlier: Sample, to later: Sample) {
        guard earlier.status.run == later.status.run, later.clock > earlier.clock else { return nil }
        name = later.status.name
        time = later.time
        seconds = Double(later.clock - earlier.clock) / 1_000_000
        state = later.status.state
        tableVersion = later.tableVersion
        let span = Span(seconds: seconds)
        rows =
            span.interfaces(earlier, later) + span.services(earlier, later) + span.entries(earlier, later)
            + span.engines(earlier, later) + span.nodes(earlier, later) + span.drops(earlier, later)
        if let use = later.control {
            var row = Row(.control, "control process")
            span.fill(&row, earlier.control, use)
            rows.append(row)
        }
        rows += span.times(earlier, later)
    }
}

/// The time between two samples.
private struct Span {
    let seconds: Double

    /// A counter that has begun anew has counted what it shows.
    func rate(_ before: UInt64?, _ after: UInt64) -> Double {
        let before = before ?? 0
        return Double(after >= before ? after - before : after) / seconds
    }

    func fill(_ row: inout RateReport.Row, _ before: Sample.Traffic?, _ after: Sample.Traffic) {
        row.packets = rate(before?.packets, after.packets)
        row.bits = rate(before?.bytes, after.bytes) * 8
    }

    func fill(_ row: inout RateReport.Row, _ before: Sample.ProcessUse?, _ after: Sample.ProcessUse) {
        // Time before the first reading is no rate.
        row.processor =
            before.map { rate($0.processorMilliseconds, after.processorMilliseconds) / 10 } ?? 0
        row.memory = after.memoryBytes
    }

    func interfaces(_ earlier: Sample, _ later: Sample) -> [RateReport.Row] {
        later.status.interfaces.enumerated().flatMap { index, interface -> [RateReport.Row] in
            let before = earlier.status.interfaces.first { $0.name == interface.name }
            let place = earlier.status.interfaces.firstIndex { $0.name == interface.name }
            let dropsBefore = place.flatMap { earlier.interfaces.indices.contains($0) ? earlier.interfaces[$0] : nil }
            let drops = later.interfaces.indices.contains(index) ? later.interfaces[index] : nil
            var received = RateReport.Row(.interface, interface.name, "received")
            fill(
                &received, before.map { Sample.Traffic(packets: $0.receivedPackets, bytes: $0.receivedBytes) },
                Sample.Traffic(packets: interface.receivedPackets, bytes: interface.receivedBytes))
            received.drops =
                rate(before?.ringDrops, interface.ringDrops)
                + (drops.map { rate(dropsBefore?.received, $0.received) } ?? 0)
            var sent = RateReport.Row(.interface, interface.name, "sent")
            fill(
                &sent, before.map { Sample.Traffic(packets: $0.sentPackets, bytes: $0.sentBytes) },
                Sample.Traffic(packets: interface.sentPackets, bytes: interface.sentBytes))
            sent.drops = drops.map { rate(dropsBefore?.sent, $0.sent) } ?? 0
            return [received, sent]
        }
    }

    func services(_ earlier: Sample, _ later: Sample) -> [RateReport.Row] {
        let known = Dictionary(earlier.services.map { ($0.name, $0) }) { first, _ in first }
        return later.services.flatMap { service -> [RateReport.Row] in
            var request = RateReport.Row(.service, service.name, "request")
            fill(&request, known[service.name]?.requests, service.requests)
            var response = RateReport.Row(.service, service.name, "response")
            fill(&response, known[service.name]?.responses, service.responses)
            return [request, response]
        }
    }

    func entries(_ earlier: Sample, _ later: Sample) -> [RateReport.Row] {
        let known = Dictionary(earlier.entries.map { ($0.name, $0.traffic) }) { first, _ in first }
        return later.entries.map { entry in
            var row = RateReport.Row(.entry, entry.name)
            fill(&row, known[entry.name], entry.traffic)
            return row
        }
    }

    func engines(_ earlier: Sample, _ later: Sample) -> [RateReport.Row] {
        later.engines.map { engine in
            let before = earlier.engines.first { $0.number == engine.number }
            var row = RateReport.Row(.engine, "\(engine.number)")
            let packets = rate(before?.packets, engine.packets)
            row.packets = packets
            row.coalesced = packets > 0 ? min(1, rate(before?.coalesced, engine.coalesced) / packets) : 0
            if let use = engine.use { fill(&row, before?.use, use) }
            return row
        }
    }

    func nodes(_ earlier: Sample, _ later: Sample) -> [RateReport.Row] {
        let known = Dictionary(earlier.nodes.map { ($0.name, $0.use) }) { first, _ in first }
        return later.nodes.map { node in
            var row = RateReport.Row(.node, node.name)
            fill(&row, known[node.name], node.use)
            return row
        }
    }

    func drops(_ earlier: Sample, _ later: Sample) -> [RateReport.Row] {
        let known = Dictionary(earlier.drops.map { ($0.reason, $0.frames) }) { first, _ in first }
        return later.drops.filter { $0.frames > 0 && $0.reason != "housekeeping" }.map { drop in
            var row = RateReport.Row(.drop, drop.reason)
            row.drops = rate(known[drop.reason], drop.frames)
            return row
        }
    }

    /// The times in applications, of the packets that were measured between the samples.
    func times(_ earlier: Sample, _ later: Sample) -> [RateReport.Row] {
        later.timesInApplications.map { times in
            let before = earlier.timesInApplications.first { $0.instance == times.instance }
            let buckets = times.buckets.enumerated().map { index, bucket in
                let known = before.flatMap { $0.buckets.indices.contains(index) ? $0.buckets[index].packets : nil } ?? 0
                let count = bucket.packets >= known ? bucket.packets - known : bucket.packets
                return Sample.TimeInApplication.Bucket(atMost: bucket.atMost, packets: count)
            }
            var row = RateReport.Row(.time, times.instance)
            row.packets = Double(buckets.reduce(0) { $0 + $1.packets }) / seconds
            row.p50 = Self.quantile(0.5, buckets)
            row.p99 = Self.quantile(0.99, buckets)
            return row
        }
    }

    /// The time that a share of the packets stayed at most: evenly spread within a bucket, and the bound of the last one.
    static func quantile(_ share: Double, _ buckets: [Sample.TimeInApplication.Bucket]) -> UInt64? {
        let wanted = share * Double(buckets.reduce(0) { $0 + $1.packets })
        guard wanted > 0 else { return nil }
        var (below, bound) = (0.0, UInt64(0))
        for bucket in buckets where bucket.packets > 0 || bucket.atMost != nil {
            guard let most = bucket.atMost else { return bound }
            let count = Double(bucket.packets)
            if count > 0, below + count >= wanted {
                return bound + UInt64(Double(most - min(most, bound)) * (wanted - below) / count)
            }
            (below, bound) = (below + count, most)
        }
        return bound
    }
}
