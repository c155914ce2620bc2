import Foundation
import Testing

/// A real Prometheus scrapes a running topology: once OpenMetrics over HTTP, once node_exporter's textfile collector.
@Suite(.serialized) struct PrometheusTests {
    /// Answers each request with what `tapline metrics` prints then.
    private static let server = """
        import http.server, subprocess, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                text = subprocess.run([sys.argv[1], "metrics"] + sys.argv[2:], check=True, capture_output=True).stdout
                self.send_response(200)
                self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
            def log_message(self, *words): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        print(server.server_port, flush=True)
        server.serve_forever()
        """

    @Test func prometheusScrapesARunningTopology() throws {
        try MetricsLab.with { lab in
            let folder = lab.folder
            try Self.server.write(to: folder.appendingPathComponent("server.py"), atomically: true, encoding: .utf8)
            let server = try Background(
                "/usr/bin/python3", [folder.appendingPathComponent("server.py").path, Product.tapline, lab.name],
                in: folder)
            let port = try #require(Int(try server.firstLine()))
            let (exporterPort, prometheusPort) = (try Self.freePort(), try Self.freePort())
            #expect(try Self.export(lab).status == 0)
            let exporter = try Background(
                "/usr/bin/prometheus-node-exporter",
                [
                    "--collector.disable-defaults", "--collector.textfile",
                    "--collector.textfile.directory=\(folder.path)",
                    "--web.listen-address=127.0.0.1:\(exporterPort)",
                ], in: folder)
            let configuration = """
                global: { scrape_interval: 500ms, scrape_timeout: 500ms }
                scrape_configs:
                  - { job_name: tapline, scrape_interval: 2s, scrape_timeout: 2s, static_configs: [{ targets: ["127.0.0.1:\(port)"] }] }
                  - { job_name: textfile, static_configs: [{ targets: ["127.0.0.1:\(exporterPort)"] }] }
                """
            let file = folder.appendingPathComponent("prometheus.yml")
            try configuration.write(to: file, atomically: true, encoding: .utf8)
            let prometheus = try Background(
                "/usr/bin/prometheus",
                [
                    "--config.file=\(file.path)", "--storage.tsdb.path=\(folder.path)/data",
                    "--web.listen-address=127.0.0.1:\(prometheusPort)",
                ], in: folder)
            defer { for program in [prometheus, exporter, server] { program.end() } }

            let query = { (text: String) in try Self.query(text, port: prometheusPort) }
            try MetricsCommandTests.eventually { try query("up == 1").count == 2 }
            try MetricsLab.echoes(lab, 100)
            #expect(try Self.export(lab).status == 0)
            for job in ["tapline", "textfile"] {
                let requests = "tapline_service_packets_total{job=\"\(job)\",direction=\"request\",service=\"shop\"}"
                try MetricsCommandTests.eventually { try query(requests) == [100] }
                try MetricsCommandTests.eventually { try query("tapline_topology_up{job=\"\(job)\"}") == [1] }
                try MetricsCommandTests.eventually {
                    try query("sum(tapline_instance_state{job=\"\(job)\",tapline_instance_state=\"active\"})") == [1]
                }
            }
            try MetricsCommandTests.eventually { try query("node_textfile_scrape_error") == [0] }

            // An engine that is killed resets nothing.
            let engine = try #require(try lab.status()["engine"] as? [String: Any])
            kill(try #require((engine["pid"] as? Int).map(Int32.init)), SIGKILL)
            try MetricsCommandTests.eventually { try query("tapline_engine_starts_total{job=\"tapline\"}") == [2] }
            try MetricsLab.echoes(lab, 100)
            let responses = "tapline_service_packets_total{job=\"tapline\",direction=\"response\"}"
            try MetricsCommandTests.eventually { try query(responses) == [200] }
            for counter in ["entry", "service", "interface_received", "dropped", "engine_received"] {
                #expect(try query("max(resets(tapline_\(counter)_packets_total{job=\"tapline\"}[10m]))") == [0])
            }
            // What the dashboard asks for is what this Prometheus understands.
            for expression in try Self.dashboard() { _ = try query(expression) }
        }
    }

    /// A transparent application that holds each frame for 20 ms.
    private static let relay = """
        import collections, os, select, socket, struct, time
        ends = []
        for name in (os.environ["TAPLINE_IN"], os.environ["TAPLINE_OUT"]):
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.bind((name, 3))
            s.setsockopt(263, 1, struct.pack("IHH8s", socket.if_nametoindex(name), 1, 0, b""))
            ends.append(s)
        open(os.environ["TAPLINE_DIR"] + "/ready", "w")
        waiting = collections.deque()
        while True:
            left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            for s in select.select(ends, [], [], left)[0]:
                frame, address = s.recvfrom(65536)
                if address[2] != 4: waiting.append((time.monotonic() + 0.02, ends[1 - ends.index(s)], frame))
            while waiting and waiting[0][0] <= time.monotonic():
                _, s, frame = waiting.popleft()
                try: s.send(frame)
                except OSError: pass
        """

    private static let relayed = """
        name: relayed
        interfaces:
          customers: { address: 192.0.2.1/24 }
          outside:   { address: 198.18.2.1/24 }
          inside:    { address: 198.18.3.1/24 }
          servers:   { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          relay:
            transparent: true
            attach: { in: outside, out: inside }
            run: exec python3 relay.py
            ready: { run: test -e "$TAPLINE_DIR/ready" }
          web: { attach: servers }
        services:
          shop: { address: 203.0.113.80, sequence: [relay, web] }
        """

    @Test func timesInApplicationsAreHistogramsThatPrometheusUnderstands() throws {
        try Lab.with(Self.relayed, files: ["relay.py": Self.relay]) { lab in
            let name = "tapline_time_in_application_seconds"
            func text(_ words: String...) throws -> String {
                try run(Product.tapline, ["metrics", lab.name] + words).output
            }
            // Nobody has asked, so nothing is measured.
            #expect(try !text().contains(name))
            func count() throws -> Double? {
                let values = try MetricsLab.parsed(try text("--times", "1/1"), format: "openmetrics")
                return values.first { $0.name == "\(name)_count" && $0.labels["instance"] == "relay" }?.value
            }
            try MetricsCommandTests.eventually { try count() != nil }
            let before = try #require(try count())
            try MetricsLab.echoes(lab, 50)
            // Each echo and each answer.
            try MetricsCommandTests.eventually { try count() ?? 0 >= before + 100 }
            // A process that measures may die: what it has counted stays.
            let counted = try #require(try count())
            let measuring = try run(
                "/bin/sh",
                [
                    "-c",
                    "ps -eo pid,args | awk '$2 ~ /tapline/ && $3 == \"measure\" && $4 == \"\(lab.name)\" { print $1 }'",
                ])
            let pid = try #require(Int32(measuring.output.trimmingCharacters(in: .whitespacesAndNewlines)))
            kill(pid, SIGKILL)
            try MetricsCommandTests.eventually { try count() ?? 0 >= counted && kill(pid, 0) != 0 }
            let values = try MetricsLab.parsed(try text("--times", "1/1"), format: "openmetrics")
            let bucket = { (bound: Double) in
                values.first { $0.name == "\(name)_bucket" && Double($0.labels["le"] ?? "") == bound }?.value
            }
            #expect(bucket(0.01) == 0 && bucket(.infinity) ?? 0 >= before + 100)
            #expect(try values.of("\(name)_sum") >= 0.02 * 100)
            let file = lab.folder.appendingPathComponent("times.prom").path
            #expect(try lab.tapline("metrics", lab.name, "--textfile", file).status == 0)
            let judged = try run("/bin/sh", ["-c", "promtool check metrics < \(file) 2>&1"])
            #expect(judged.status == 0, "\(judged.output)")

            try Self.server.write(
                to: lab.folder.appendingPathComponent("server.py"), atomically: true, encoding: .utf8)
            let server = try Background(
                "/usr/bin/python3",
                [lab.folder.appendingPathComponent("server.py").path, Product.tapline, lab.name, "--times", "1/1"],
                in: lab.folder)
            let (port, prometheusPort) = (try #require(Int(try server.firstLine())), try Self.freePort())
            let configuration = lab.folder.appendingPathComponent("prometheus.yml")
            try """
            scrape_configs:
              - { job_name: tapline, scrape_interval: 2s, scrape_timeout: 2s, static_configs: [{ targets: ["127.0.0.1:\(port)"] }] }
            """.write(to: configuration, atomically: true, encoding: .utf8)
            let prometheus = try Background(
                "/usr/bin/prometheus",
                [
                    "--config.file=\(configuration.path)", "--storage.tsdb.path=\(lab.folder.path)/data",
                    "--web.listen-address=127.0.0.1:\(prometheusPort)",
                ], in: lab.folder)
            defer { for program in [prometheus, server] { program.end() } }
            let median = "histogram_quantile(0.5, sum by (le) (\(name)_bucket{application=\"relay\"}))"
            var found: [Double] = []
            try MetricsCommandTests.eventually {
                found = try Self.query(median, port: prometheusPort)
                return !found.isEmpty
            }
            // No bucket below that of 20 ms; a busy machine holds packets for longer.
            #expect(found.count == 1 && found.allSatisfy { $0 > 0.01 && $0 <= 1 }, "\(found)")
        }
    }

    private static func export(_ lab: Lab) throws -> Finished {
        try lab.tapline("metrics", lab.name, "--textfile", lab.folder.appendingPathComponent("tapline.prom").path)
    }

    /// The dashboard's queries, with values for Grafana's variables.
    private static func dashboard() throws -> [String] {
        let path = DocumentationTests.folder.appendingPathComponent("tapline-dashboard.json")
        let object = try JSONSerialization.jsonObject(with: Data(contentsOf: path))
        let panels = try #require((object as? [String: Any])?["panels"] as? [[String: Any]])
        return panels.flatMap { ($0["targets"] as? [[String: Any]] ?? []).compactMap { $0["expr"] as? String } }.map {
            $0.replacingOccurrences(of: "$topology", with: ".*")
                .replacingOccurrences(of: "$__rate_interval", with: "30s")
        }
    }

    /// The values that Prometheus answers with; none if it is not there yet.
    private static func query(_ text: String, port: Int) throws -> [Double] {
        let asked = try run(
            "/usr/bin/curl",
            ["-sS", "-m", "20", "-G", "--data-urlencode", "query=\(text)", "http://127.0.0.1:\(port)/api/v1/query"])
        guard asked.status == 0 else { return [] }
        // While it starts, it answers in words.
        guard let object = try? JSONSerialization.jsonObject(with: Data(asked.output.utf8)) else { return [] }
        let answer = try #require(object as? [String: Any])
        try #require(answer["status"] as? String == "success", "\(text): \(asked.output)")
        let result = try #require((answer["data"] as? [String: Any])?["result"] as? [[String: Any]])
        return result.compactMap { (($0["value"] as? [Any])?.last as? String).flatMap(Double.init) }
    }

    /// A port of the loopback that nothing has.
    private static func freePort() throws -> Int {
        let script = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"
        let printed = try run("/usr/bin/python3", ["-c", script]).output
        return try #require(Int(printed.trimmingCharacters(in: .whitespacesAndNewlines)))
    }
}

/// A program that runs beside the test until it is ended.
private final class Background {
    private let process = Process()
    private let output: URL

    init(_ program: String, _ words: [String], in folder: URL) throws {
        output = folder.appendingPathComponent("\(UUID().uuidString).out")
        _ = FileManager.default.createFile(atPath: output.path, contents: nil)
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = words
        process.currentDirectoryURL = folder
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = FileHandle.nullDevice
        try process.run()
    }

    deinit { end() }

    func firstLine() throws -> String {
        for _ in 0..<1_200 {
            let text = try String(contentsOf: output, encoding: .utf8)
            if let end = text.firstIndex(of: "\n") { return String(text[..<end]) }
            usleep(50_000)
        }
        return ""
    }

    func end() {
        guard process.isRunning else { return }
        // A child begins with the signals blocked that this thread has blocked.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}
