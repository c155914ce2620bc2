import EngineRig
import Testing
import Wire

@testable import Tracing

/// Times in applications, counted for metrics.
@Suite struct TimeMeterTests {
    private typealias F = TestFrame

    @Test func timesFallIntoTheFirstBucketThatHoldsThem() {
        var times = NodeTimes(node: "firewall")
        for time in [0, 10_000, 10_001, 1_000_000_000, 1_000_000_001] as [UInt64] { times.record(time) }
        #expect(times.counts[0] == 2 && times.counts[1] == 1)
        #expect(times.counts[NodeTimes.bounds.count - 1] == 1 && times.counts.last == 1)
        #expect(times.counts.reduce(0, +) == 5 && times.sum == 2_000_020_002)
        var both = times
        both.add(times)
        #expect(both.counts == times.counts.map { $0 * 2 } && both.sum == 2 * times.sum)
        #expect(NodeTimes.bounds == NodeTimes.bounds.sorted())
    }

    @Test func aPacketThatPassesIsCountedAndOneThatStaysIsNot() throws {
        let lab = try Lab("four-interface")
        for number in 1...3 {
            let first = lab.send(
                "alice", "customers",
                F.tcp("192.0.2.10", 4_000 + number, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 1))
            let inside = lab.frames(first, for: "firewall", "inspection")
            lab.wait(.milliseconds(3))
            if number < 3 { for out in inside { lab.forward(out, "firewall", "inspected") } }
        }
        let meter = TimeMeter(lab.network)
        let before = meter.report
        for record in lab.records { meter.add(record.frame) }
        // Only what passes packets on has times: neither the detector nor the server.
        #expect(before.allSatisfy { $0.counts.allSatisfy { $0 == 0 } })
        let inline = lab.network.nodes.filter { $0.kind == .inline || $0.kind == .router }.map(\.name)
        #expect(before.map(\.node) == inline)
        let firewall = try #require(meter.report.first { $0.node == "firewall" })
        #expect(firewall.counts.reduce(0, +) == 2)
        let bucket = try #require(NodeTimes.bounds.firstIndex(of: 5_000_000))
        #expect(firewall.counts[bucket] == 2 && firewall.sum >= 6_000_000, "\(firewall)")
    }
}
