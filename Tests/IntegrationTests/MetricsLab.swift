import Foundation
import Testing

/// A topology for metrics: echoes run through a firewall with a health check, and a program uses processor time and memory.
enum MetricsLab {
    static let topology = """
        name: metrics
        interfaces:
          customers:  { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected:  { address: 198.18.3.1/24 }
          servers:    { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          firewall:
            attach: { in: inspection, out: inspected }
            instances: [fw-a, fw-b]
            health: [{ heartbeat: true, interval: 50ms, timeout: 500ms }]
          web:
            attach: servers
            run: exec python3 busy.py
            ready: { tcp: 80 }
            restart: always
        services:
          shop: { address: 203.0.113.80, sequence: [firewall, web] }
        """

    /// Half a second of processor time and 64 MiB of memory, then it waits.
    static let busy = """
        import socket, time
        memory = bytearray(64 << 20)
        while time.process_time() < 0.5: pass
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", 80))
        s.listen()
        while True: s.accept()[0].close()
        """

    static func with(_ body: (Lab) throws -> Void) throws {
        try Lab.with(topology, files: ["busy.py": busy], body)
    }

    /// Sends echo requests through the chain; all of them come back.
    static func echoes(_ lab: Lab, _ count: Int) throws {
        let ping = try lab.exec("alice", "fping -q -c \(count) -p 2 -t 20000 203.0.113.80")
        try #require(ping.status == 0 && ping.output.contains("/0%"), "\(ping.output)")
    }

    /// One sample of a metric.
    struct Value: Decodable, Hashable {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    /// The metrics as a parser of Prometheus' client library for Python reads them.
    static func values(_ lab: Lab, format: String = "openmetrics") throws -> [Value] {
        let printed = try lab.tapline("metrics", lab.name, "--format", format)
        try #require(printed.status == 0, "\(printed.output)")
        return try parsed(printed.output, format: format)
    }

    /// - Throws: What the parser says of a text that is not in the format.
    static func parsed(_ text: String, format: String) throws -> [Value] {
        let module = format == "openmetrics" ? "prometheus_client.openmetrics.parser" : "prometheus_client.parser"
        let script = """
            import json, sys
            from \(module) import text_string_to_metric_families
            families = list(text_string_to_metric_families(open(sys.argv[1], encoding="utf-8", newline="").read()))
            assert all(family.documentation for family in families)
            print(json.dumps([
                {"name": sample.name, "labels": sample.labels, "value": sample.value}
                for family in families for sample in family.samples]))
            """
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(UUID().uuidString).txt")
        try text.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let read = try run("/usr/bin/python3", ["-c", script, file.path])
        try #require(read.status == 0, "\(read.output)")
        return try JSONDecoder().decode([Value].self, from: Data(read.output.utf8))
    }
}

extension [MetricsLab.Value] {
    /// The value of a metric with these labels beside the topology's.
    func of(_ name: String, _ labels: [String: String] = [:]) throws -> Double {
        let found = filter { value in
            value.name == name && labels.allSatisfy { value.labels[$0.key] == $0.value }
        }
        try #require(found.count == 1, "\(name) \(labels): \(found)")
        return found[0].value
    }
}
