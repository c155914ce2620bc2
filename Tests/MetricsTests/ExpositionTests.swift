import ControlAPI
import Testing

@testable import Metrics

@Suite("Metrics of samples, as text")
struct ExpositionTests {
    private func lines(_ format: Exposition, _ samples: [Sample] = [Samples.one()], silent: [String] = []) -> [String] {
        MetricSet(samples, silent: silent).text(format).split(separator: "\n", omittingEmptySubsequences: false)
            .map(String.init)
    }

    @Test("OpenMetrics names the family without the ending of its samples, and ends with EOF")
    func openMetrics() {
        let lines = lines(.openmetrics)
        #expect(lines.contains("# TYPE tapline_entry_packets counter"))
        #expect(
            lines.contains(
                "tapline_entry_packets_total{topology=\"lab\",entry=\"shop.request.customers\",kind=\"distribution\"} 10"
            ))
        #expect(lines.contains("# UNIT tapline_node_cpu_seconds seconds"))
        #expect(lines.contains("tapline_node_cpu_seconds_total{topology=\"lab\",node=\"fw-a\"} 1.500000"))
        #expect(lines.contains("# TYPE tapline_topology info"))
        #expect(lines.contains("tapline_topology_info{topology=\"lab\",run=\"r1\",file=\"/topology.yaml\"} 1"))
        #expect(lines.contains("# TYPE tapline_instance_state stateset"))
        #expect(lines.suffix(2) == ["# EOF", ""])
        #expect(!lines.contains { $0.hasPrefix("# ") && $0.contains("_total ") })
    }

    @Test("the older format names the samples, and has the older types alone")
    func text() {
        let lines = lines(.text)
        #expect(lines.contains("# TYPE tapline_entry_packets_total counter"))
        #expect(lines.contains("# TYPE tapline_topology_info gauge"))
        #expect(lines.contains("# TYPE tapline_instance_state gauge"))
        #expect(!lines.contains { $0.hasPrefix("# UNIT") || $0.hasPrefix("# EOF") })
    }

    @Test("both formats have the same samples in the same order", arguments: [["a"], ["a", "b"]])
    func same(_ names: [String]) {
        let samples = names.map { Samples.one($0) }
        let values = Exposition.allCases.map { lines($0, samples, silent: ["c"]).filter { !$0.hasPrefix("#") } }
        #expect(values[0] == values[1])
    }

    @Test("each family of several topologies is written once, with all of its samples together")
    func together() {
        var seen: Set<String> = []
        var last = ""
        for line in lines(.openmetrics, [Samples.one("a"), Samples.one("b")]) where line.hasPrefix("# TYPE") {
            let name = String(line.split(separator: " ")[2])
            #expect(name == last || seen.insert(name).inserted)
            last = name
        }
        #expect(seen.count > 30)
    }

    @Test("a name cannot break out of its label")
    func escaping() {
        let lines = lines(.openmetrics, [Samples.one("a\\b\"c\nd")])
        #expect(lines.contains("tapline_topology_up{topology=\"a\\\\b\\\"c\\nd\"} 1"))
    }

    @Test("a topology that gives no sample is known to be down, and no more")
    func silent() {
        let lines = lines(.openmetrics, [], silent: ["gone"])
        #expect(lines.filter { !$0.hasPrefix("#") } == ["tapline_topology_up{topology=\"gone\"} 0", ""])
    }

    @Test("counts of 64 bits are printed exactly, whatever an engine has written")
    func large() {
        var sample = Samples.one()
        sample.entries[0].traffic = Sample.Traffic(packets: .max, bytes: 1 << 53 + 1)
        sample.engines[0].use = Sample.ProcessUse(processorMilliseconds: .max)
        let lines = lines(.openmetrics, [sample])
        #expect(lines.contains { $0.hasPrefix("tapline_entry_packets_total") && $0.hasSuffix(" 18446744073709551615") })
    }

    @Test("times in applications are cumulative buckets in seconds")
    func histogram() {
        var sample = Samples.one()
        sample.timesInApplications = [
            Sample.TimeInApplication(
                application: "firewall", instance: "fw-a", since: 1_700_000_000_500_000,
                buckets: [
                    .init(atMost: 1000, packets: 3), .init(atMost: 1_000_000, packets: 4),
                    .init(atMost: nil, packets: 1),
                ], sum: 2_500_000_000)
        ]
        let name = "tapline_time_in_application_seconds"
        let labels = "topology=\"lab\",application=\"firewall\",instance=\"fw-a\""
        #expect(
            lines(.openmetrics, [sample]).filter { $0.hasPrefix(name) } == [
                "\(name)_bucket{\(labels),le=\"0.000001000\"} 3", "\(name)_bucket{\(labels),le=\"0.001000000\"} 7",
                "\(name)_bucket{\(labels),le=\"+Inf\"} 8", "\(name)_sum{\(labels)} 2.500000000",
                "\(name)_count{\(labels)} 8", "\(name)_created{\(labels)} 1700000000.500000",
            ])
        #expect(!lines(.text, [sample]).contains { $0.contains("_created") })
    }
}
