import Foundation
import Testing

/// What `tapline metrics` prints, judged by Prometheus' own programs and by what other commands say.
@Suite(.serialized) struct MetricsCommandTests {
    @Test func metricsAreWhatTablesAndStatusSay() throws {
        try MetricsLab.with { lab in
            try MetricsLab.echoes(lab, 100)
            let lost = "for i in 1 2 3 4 5; do echo > /dev/udp/192.0.2.1/9; done"
            #expect(try lab.exec("alice", "bash -c '\(lost)' || true").status == 0)
            // Health checks cross two interfaces all the time, and kernels send frames of their own on the others.
            var (before, values): ([String: Any], [MetricsLab.Value]) = ([:], [])
            var after = try lab.status()
            var quiet: Set<String> = []
            for _ in 0..<50 where !quiet.isSuperset(of: ["customers", "servers"]) {
                (before, values, after) = (after, try MetricsLab.values(lab), try lab.status())
                let (first, last) = (try Self.traffic(before), try Self.traffic(after))
                quiet = Set(first.keys.filter { first[$0] == last[$0] })
            }
            #expect(quiet.isSuperset(of: ["customers", "servers"]))
            let first = try Self.traffic(before)
            for (interface, counts) in try Self.traffic(after) {
                for (name, count) in counts {
                    let value = try values.of("tapline_interface_\(name)_total", ["interface": interface])
                    let least = try #require(first[interface]?[name])
                    #expect(least <= value && value <= count, "\(interface) \(name)")
                }
            }
            for drop in try #require(after["drops"] as? [[String: Any]]) {
                let reason = try #require(drop["reason"] as? String)
                #expect(
                    try values.of("tapline_dropped_packets_total", ["reason": reason]) == drop["frames"] as? Double)
            }
            #expect(try values.of("tapline_dropped_packets_total", ["reason": "to-the-engine"]) == 5)
            let tables = try Self.entries(lab)
            #expect(tables.count == 4)
            for (entry, count) in tables {
                #expect(try values.of("tapline_entry_packets_total", ["entry": entry]) == count.packets, "\(entry)")
                #expect(try values.of("tapline_entry_bytes_total", ["entry": entry]) == count.bytes, "\(entry)")
            }
            for direction in ["request", "response"] {
                let labels = ["service": "shop", "direction": direction]
                #expect(try values.of("tapline_service_packets_total", labels) == 100)
                // An echo of 56 octets, with ICMP, IPv4 and Ethernet headers.
                #expect(try values.of("tapline_service_bytes_total", labels) == 9800)
            }
            let applications = try #require(after["applications"] as? [[String: Any]])
            for instance in try #require(applications.first?["instances"] as? [[String: Any]]) {
                let name = try #require(instance["name"] as? String)
                #expect(
                    try values.of("tapline_instance_share_ratio", ["instance": name]) == instance["share"] as? Double)
                #expect(try values.of("tapline_instance_healthy", ["instance": name]) == 1)
                let labels = ["instance": name, "tapline_instance_state": name == "fw-a" ? "active" : "standby"]
                #expect(try values.of("tapline_instance_state", labels) == 1)
                #expect(try values.of("tapline_health_check_passed", ["instance": name, "check": "heartbeat"]) == 1)
                #expect(try values.of("tapline_health_check_probes_total", ["instance": name]) > 0)
                #expect(try values.of("tapline_health_check_latency_seconds", ["instance": name]) > 0)
            }
        }
    }

    /// Names with full stops, copies for a passive application, and a customer that is an application.
    @Test func aServiceCountsEachPacketOnce() throws {
        let topology = """
            name: services
            interfaces:
              customers:  { address: 192.0.2.1/24 }
              inspection: { address: 198.18.2.1/24 }
              inspected:  { address: 198.18.3.1/24 }
              servers:    { address: 198.18.4.1/24 }
            customers:
              alice: { interface: customers }
            applications:
              ids: { passive: true, attach: inspection }
              firewall: { attach: { in: inspection, out: inspected } }
              web: { attach: servers }
              db: { attach: servers }
            services:
              shop.request.x: { address: 203.0.113.80, distribute: [ids, firewall], sequence: [firewall, web] }
              db: { address: 203.0.113.90, from: web, sequence: [firewall, db] }
            """
        try Lab.with(topology) { lab in
            #expect(try lab.exec("alice", "fping -q -c 50 -p 2 -t 20000 203.0.113.80").status == 0)
            #expect(try lab.exec("web", "fping -q -c 30 -p 2 -t 20000 203.0.113.90").status == 0)
            let values = try MetricsLab.values(lab)
            for (service, count) in [("shop.request.x", 50.0), ("db", 30)] {
                for direction in ["request", "response"] {
                    let labels = ["service": service, "direction": direction]
                    #expect(try values.of("tapline_service_packets_total", labels) == count)
                }
            }
        }
    }

    @Test func bothFormatsSatisfyTheirJudges() throws {
        try MetricsLab.with { lab in
            let text = try lab.tapline("metrics", lab.name, "--format", "text")
            try #require(text.status == 0)
            let judged = try run(
                "/bin/bash", ["-c", "'\(Product.tapline)' metrics \(lab.name) --format text | promtool check metrics"])
            #expect(judged.status == 0 && judged.output.isEmpty, "\(judged.output)")
            let names = { (format: String) in Set(try MetricsLab.values(lab, format: format).map(\.name)) }
            #expect(try names("openmetrics") == names("text"))
            // The judge does judge.
            let wrong = try run(
                "/bin/bash",
                [
                    "-c",
                    "'\(Product.tapline)' metrics \(lab.name) | grep -v EOF | sed 's/_total{/_totals{/' | promtool check metrics",
                ])
            #expect(wrong.status != 0)
        }
    }

    @Test func countersOutliveEnginesAndApplications() throws {
        try MetricsLab.with { lab in
            try MetricsLab.echoes(lab, 50)
            let before = try MetricsLab.values(lab)
            let engine = try #require(try lab.status()["engine"] as? [String: Any])
            kill(try #require((engine["pid"] as? Int).map(Int32.init)), SIGKILL)
            try Self.eventually { try (lab.status()["engine"] as? [String: Any])?["starts"] as? Int == 2 }
            try MetricsLab.echoes(lab, 50)
            #expect(try lab.tapline("engine", "replace", lab.name).status == 0)
            try MetricsLab.echoes(lab, 50)
            kill(try Self.process(of: "web", lab), SIGKILL)
            try Self.eventually {
                let nodes = try #require(try lab.status()["nodes"] as? [[String: Any]])
                let web = try #require(nodes.first { $0["name"] as? String == "web" })
                return web["restarts"] as? Int == 1 && web["state"] as? String == "ready"
            }
            let after = try MetricsLab.values(lab)
            let known = Dictionary(after.map { ([$0.name: $0.labels], $0.value) }) { first, _ in first }
            for value in before where value.name.hasSuffix("_total") {
                let now = try #require(known[[value.name: value.labels]], "\(value)")
                #expect(now >= value.value, "\(value)")
            }
            #expect(try after.of("tapline_service_packets_total", ["direction": "response"]) == 150)
            // Every packet on every interface is one that the engine received, whichever process it was.
            let interfaces = after.filter { $0.name == "tapline_interface_received_packets_total" }
            #expect(try after.of("tapline_engine_received_packets_total") >= 600)
            #expect(interfaces.map(\.value).reduce(0, +) >= 600)
            #expect(try after.of("tapline_engine_starts_total") == 3)
            #expect(try after.of("tapline_node_restarts_total", ["node": "web"]) == 1)
            // Half a second of each of the two lives, less what the kernel rounds down: a tick of user and of system time.
            #expect(try after.of("tapline_node_cpu_seconds_total", ["node": "web"]) >= 0.96)
        }
    }

    @Test func theProcessesOfANodeAreMeasured() throws {
        try MetricsLab.with { lab in
            let pid = try Self.process(of: "web", lab)
            let values = try MetricsLab.values(lab)
            let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
            let resident = try #require(status.firstMatch(of: /VmRSS:\s+([0-9]+) kB/).flatMap { Double($0.1) }) * 1024
            let memory = try values.of("tapline_node_resident_memory_bytes", ["node": "web"])
            // Its init has some memory, too.
            #expect(memory >= resident - 1_000_000 && memory < resident + 20_000_000, "\(memory), \(resident)")
            #expect(try values.of("tapline_node_processes", ["node": "web"]) == 2)
            // The kernel rounds user and system time down to a tick.
            #expect(try values.of("tapline_node_cpu_seconds_total", ["node": "web"]) >= 0.48)
            // Nothing runs in it.
            #expect(try values.of("tapline_node_processes", ["node": "alice"]) == 0)
            #expect(try values.of("tapline_engine_resident_memory_bytes") > 0)
            #expect(try values.of("tapline_control_resident_memory_bytes") > 0)
        }
    }

    @Test func theTextfileIsReplacedAsAWhole() throws {
        try MetricsLab.with { lab in
            let file = lab.folder.appendingPathComponent("tapline.prom")
            #expect(try lab.tapline("metrics", lab.name, "--textfile", file.path).status == 0)
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(try MetricsLab.parsed(text, format: "text").of("tapline_topology_up") == 1)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: lab.folder.path).sorted() == [
                    "busy.py", "tapline.prom", "topology.yaml",
                ])
            // An error leaves the last text.
            let missing = try lab.tapline("metrics", "no-such-topology", "--textfile", file.path)
            #expect(missing.status == 5 && missing.output.contains("there is no topology 'no-such-topology'"))
            #expect(try String(contentsOf: file, encoding: .utf8) == text)
            let folder = try lab.tapline("metrics", lab.name, "--textfile", lab.folder.path)
            #expect(folder.status == 64 && folder.output.contains("is a folder"))
            let refused = try lab.tapline("metrics", lab.name, "--textfile", file.path, "--format", "openmetrics")
            #expect(refused.status == 64)
        }
    }

    @Test func allTopologiesAreInOneText() throws {
        try MetricsLab.with { lab in
            try Lab.with(MetricsLab.topology, files: ["busy.py": MetricsLab.busy]) { other in
                let all = try MetricsLab.parsed(try lab.tapline("metrics").output, format: "openmetrics")
                let up = all.filter { $0.name == "tapline_topology_up" }
                for name in [lab.name, other.name] {
                    #expect(up.contains { $0.labels == ["topology": name] && $0.value == 1 })
                }
                // One that does not answer any more is told as such, and hides no other.
                let control = try #require(try other.status()["pid"] as? Int)
                kill(Int32(control), SIGSTOP)
                defer { kill(Int32(control), SIGCONT) }
                let silent = try MetricsLab.parsed(try lab.tapline("metrics").output, format: "openmetrics")
                #expect(silent.filter { $0.labels["topology"] == other.name }.map(\.value) == [0])
                #expect(
                    silent.contains {
                        $0.name == "tapline_topology_up" && $0.labels["topology"] == lab.name && $0.value == 1
                    })
            }
        }
    }

    @Test func theDashboardAsksForMetricsThatExist() throws {
        let path = DocumentationTests.folder.appendingPathComponent("tapline-dashboard.json")
        let object = try JSONSerialization.jsonObject(with: Data(contentsOf: path))
        let board = try #require(object as? [String: Any])
        let panels = try #require(board["panels"] as? [[String: Any]])
        let queries = panels.flatMap { ($0["targets"] as? [[String: Any]] ?? []).compactMap { $0["expr"] as? String } }
        try #require(queries.count >= 10)
        let text = try String(contentsOf: path, encoding: .utf8)
        let asked = Set(text.matches(of: /tapline_[a-z_]+/).map { String($0.0) })
        try MetricsLab.with { lab in
            // The times in applications are there some moments after they were first asked for.
            try Self.eventually {
                try lab.tapline("metrics", lab.name, "--times", "1/64").output.contains("tapline_time_in_application")
            }
            let known = Set(try MetricsLab.values(lab).map(\.name))
            #expect(asked.subtracting(known).isEmpty, "\(asked.subtracting(known))")
        }
    }

    // MARK: - Other commands' words

    /// The number of a node's application.
    static func process(of node: String, _ lab: Lab) throws -> Int32 {
        let nodes = try #require(try lab.status()["nodes"] as? [[String: Any]])
        let found = try #require(nodes.first { $0["name"] as? String == node })
        return Int32(try #require(found["pid"] as? Int))
    }

    /// By interface: the names of its metrics, and their values.
    static func traffic(_ status: [String: Any]) throws -> [String: [String: Double]] {
        var all: [String: [String: Double]] = [:]
        for interface in try #require(status["interfaces"] as? [[String: Any]]) {
            all[try #require(interface["name"] as? String)] = [
                "received_packets": try #require(interface["receivedPackets"] as? Double),
                "received_bytes": try #require(interface["receivedBytes"] as? Double),
                "sent_packets": try #require(interface["sentPackets"] as? Double),
                "sent_bytes": try #require(interface["sentBytes"] as? Double),
                "ring_dropped_packets": try #require(interface["ringDrops"] as? Double),
            ]
        }
        return all
    }

    /// By name: what `tables` says, summed.
    static func entries(_ lab: Lab) throws -> [String: (packets: Double, bytes: Double)] {
        let finished = try lab.tapline("tables", lab.name, "--json")
        let object = try JSONSerialization.jsonObject(with: Data(finished.output.utf8))
        let listing = try #require(object as? [String: Any])
        var sums: [String: (packets: Double, bytes: Double)] = [:]
        for key in ["distribution", "sequencing"] {
            for row in try #require(listing[key] as? [[String: Any]]) {
                let name = try #require(row["name"] as? String)
                let sum = sums[name] ?? (0, 0)
                sums[name] = (
                    sum.packets + (try #require(row["packets"] as? Double)),
                    sum.bytes + (try #require(row["bytes"] as? Double))
                )
            }
        }
        return sums
    }

    /// Waits until `holds`, at most twenty seconds.
    static func eventually(_ holds: () throws -> Bool) throws {
        for _ in 0..<1_200 {
            if try holds() { return }
            usleep(50_000)
        }
        Issue.record("it did not come true within 60 s")
    }
}
