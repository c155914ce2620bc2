import ControlAPI
import Testing

@testable import Metrics

@Suite("Rates between two samples")
struct RateTests {
    @Test("rates are differences by the clock that never steps, whatever the time of day says")
    func rates() throws {
        var later = Samples.one(clock: 3_000_000, factor: 3)
        later.time = 0
        let report = try #require(RateReport(from: Samples.one(clock: 1_000_000), to: later))
        #expect(report.seconds == 2)
        let rows = Dictionary(grouping: report.rows, by: \.kind)
        let entry = try #require(rows[.entry]?.first)
        #expect(entry.packets == 10 && entry.bits == 8000)
        let interface = try #require(rows[.interface])
        #expect(interface.map(\.direction) == ["received", "sent"])
        // Those of the kernel, and those of the engine.
        #expect(interface.map(\.drops) == [4, 2])
        #expect(rows[.engine]?.first?.coalesced == 0.5)
        #expect(rows[.node]?.first?.processor == 150)
        #expect(rows[.node]?.first?.memory == 4096)
        // A reason that never counted, and housekeeping, are no rows.
        #expect(rows[.drop]?.map(\.name) == ["no-service"])
        #expect(rows[.service]?.map(\.packets) == [10, 8])
    }

    @Test("a counter that began anew has counted what it shows")
    func anew() throws {
        let report = try #require(
            RateReport(from: Samples.one(clock: 1_000_000, factor: 5), to: Samples.one(clock: 2_000_000)))
        #expect(report.rows.first { $0.kind == .entry }?.packets == 10)
    }

    @Test("two runs of a topology, or one moment, have no rates")
    func none() {
        #expect(RateReport(from: Samples.one(), to: Samples.one(run: "r2", clock: 2_000_000)) == nil)
        #expect(RateReport(from: Samples.one(), to: Samples.one()) == nil)
    }

    @Test("rows are sorted by what is asked for, and filtered by kind and text")
    func order() throws {
        let report = try #require(
            RateReport(from: Samples.one(clock: 1_000_000), to: Samples.one(clock: 2_000_000, factor: 2)))
        let byDrops = report.rows(by: .drops)
        #expect(byDrops.first?.kind == .drop)
        #expect(report.rows(by: .drops, isReversed: true) == byDrops.reversed())
        #expect(report.rows(filter: "SHOP", by: .packets).map(\.kind) == [.entry, .service, .service])
        #expect(report.rows(of: .service, filter: "response", by: .packets).map(\.direction) == ["response"])
        #expect(report.rows(by: .name).map(\.kind.rawValue) == report.rows.map(\.kind.rawValue).sorted())
    }

    private func times(_ counts: [UInt64]) -> Sample.TimeInApplication {
        Sample.TimeInApplication(
            application: "firewall", instance: "fw-a", since: 0,
            buckets: zip([1_000, 2_000, 10_000, nil], counts).map { .init(atMost: $0, packets: $1) }, sum: 0)
    }

    @Test("times in applications are those of the packets between the samples")
    func times() throws {
        var (earlier, later) = (Samples.one(clock: 1_000_000), Samples.one(clock: 3_000_000))
        #expect(try #require(RateReport(from: earlier, to: later)).rows.allSatisfy { $0.kind != .time })
        later.timesInApplications = [times([100, 40, 10, 0])]
        // Measuring has begun between the two.
        var row = try #require(RateReport(from: earlier, to: later)?.rows(of: .time, by: .time).first)
        #expect(row.name == "fw-a" && row.packets == 75 && row.p50 == 750 && row.p99 == 8_800)
        earlier.timesInApplications = [times([100, 20, 10, 0])]
        row = try #require(RateReport(from: earlier, to: later)?.rows(of: .time, by: .time).first)
        #expect(row.packets == 10 && row.p50 == 1_500 && row.p99 == 1_990)
        // Nothing came since, and what is beyond all bounds has the last one.
        earlier.timesInApplications = later.timesInApplications
        row = try #require(RateReport(from: earlier, to: later)?.rows(of: .time, by: .time).first)
        #expect(row.packets == 0 && row.p50 == nil && row.p99 == nil)
        later.timesInApplications = [times([100, 40, 10, 5])]
        row = try #require(RateReport(from: earlier, to: later)?.rows(of: .time, by: .time).first)
        #expect(row.p50 == 10_000 && row.p99 == 10_000)
    }
}
