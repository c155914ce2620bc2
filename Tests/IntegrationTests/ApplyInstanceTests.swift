import Foundation
import Testing

/// Instances that come and go while a topology runs: by command, and by the file's rule.
@Suite(.enabled(if: getuid() == 0, "these tests make namespaces, which takes root")) struct ApplyInstanceTests {
    private func topology(_ instances: String, scale: String = "") -> String {
        """
        name: instances
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          web:
            type: web-server
            attach: servers
            run: exec python3 who.py
            ready: { tcp: 80 }
            redundancy: balance
            instances: \(instances)
            health: [{ tcp: 80, interval: 50ms }]
            drain: 100ms
        \(scale)
        services:
          shop: { address: 203.0.113.80, ports: [tcp/80], from: customers, sequence: [web] }
        """
    }

    private static let files = ["who.py": InstanceOperationTests.who]

    /// Who answers, of all that might.
    private func answering(_ lab: Lab) throws -> String {
        let finished = try lab.exec("alice", "python3 -c \"\(InstanceOperationTests.ask)\"")
        #expect(finished.status == 0, "\(finished.output)")
        return finished.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func namespaces(_ lab: Lab) throws -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []).filter {
            $0.hasPrefix("\(lab.name)-")
        }
        .map { String($0.dropFirst(lab.name.count + 1)) }.sorted()
    }

    private func pids(_ lab: Lab) throws -> [String: Int] {
        let nodes = try #require(try lab.status()["nodes"] as? [[String: Any]])
        return Dictionary(
            nodes.compactMap { node in
                guard let name = node["name"] as? String, let pid = node["pid"] as? Int else { return nil }
                return (name, pid)
            }
        ) { first, _ in first }
    }

    private func events(_ lab: Lab, _ kind: String) throws -> [[String: Any]] {
        try lab.tapline("events", lab.name, "--json").output.split(separator: "\n").compactMap { line in
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        }.filter { $0["event"] as? String == kind }
    }

    @Test("an instance is added and removed by command, and stays so over apply")
    func byCommand() throws {
        try Lab.with(topology("2"), files: Self.files) { lab in
            #expect(try answering(lab) == "web-1 web-2")
            let before = try pids(lab)
            let added = try lab.tapline("add", lab.name, "web")
            #expect(added.status == 0, "\(added.output)")
            #expect(added.output.contains("node web-3 is added"), "\(added.output)")
            #expect(try answering(lab) == "web-1 web-2 web-3")
            #expect(try lab.tapline("add", lab.name, "web", "special").status == 0)
            #expect(try answering(lab) == "special web-1 web-2 web-3")
            let summary = try events(lab, "instance-added")
            #expect(summary.map { $0["instance"] as? String } == ["web-3", "special"])
            #expect(summary.allSatisfy { $0["application"] as? String == "web" })

            let again = try lab.tapline("apply", lab.name)
            #expect(again.status == 0 && again.output.contains("nothing differs"), "\(again.output)")
            let removed = try lab.tapline("remove", lab.name, "special", "--drain", "200ms")
            #expect(removed.status == 0 && removed.output.contains("node special is removed"), "\(removed.output)")
            #expect(try lab.tapline("remove", lab.name, "web-1").status == 0)
            #expect(try answering(lab) == "web-2 web-3")
            #expect(try namespaces(lab) == ["alice", "fabric", "web-2", "web-3"])
            #expect(try lab.tapline("apply", lab.name).output.contains("nothing differs"))
            #expect(try events(lab, "instance-removed").map { $0["instance"] as? String } == ["special", "web-1"])

            // One of the file's comes back as it was in the file.
            #expect(try lab.tapline("add", lab.name, "web", "web-1").status == 0)
            #expect(try answering(lab) == "web-1 web-2 web-3")
            #expect(try pids(lab)["web-2"] == before["web-2"])

            // The file names what was added by hand: then it is the file's.
            try topology("4").write(
                to: lab.folder.appendingPathComponent("topology.yaml"), atomically: true, encoding: .utf8)
            let applied = try lab.tapline("apply", lab.name)
            #expect(applied.output.contains("node web-4 is added") && !applied.output.contains("node web-3"))
            #expect(try answering(lab) == "web-1 web-2 web-3 web-4")
        }
    }

    @Test("instances whose health checks change go on meanwhile, and the entries go on counting")
    func otherChecks() throws {
        try Lab.with(topology("2"), files: Self.files) { lab in
            #expect(try answering(lab) == "web-1 web-2")
            let before = try pids(lab)
            func counted() throws -> Int {
                let tables = try run(Product.tapline, ["tables", lab.name, "--json"])
                let rows = try JSONSerialization.jsonObject(with: Data(tables.output.utf8)) as? [String: Any]
                return (rows?["distribution"] as? [[String: Any]] ?? []).compactMap { $0["packets"] as? Int }.reduce(
                    0, +)
            }
            let packets = try counted()
            let moved = try events(lab, "flows-moved").count
            #expect(packets > 100)
            let changed = topology("2").replacingOccurrences(of: "interval: 50ms", with: "interval: 40ms, rise: 3")
            try changed.write(
                to: lab.folder.appendingPathComponent("topology.yaml"), atomically: true, encoding: .utf8)
            let applied = try lab.tapline("apply", lab.name)
            #expect(applied.output.contains("application web: its health checks"), "\(applied.output)")
            #expect(try events(lab, "instance-down").isEmpty)
            #expect(try events(lab, "flows-moved").count == moved)
            #expect(try pids(lab) == before)
            #expect(try lab.tapline("add", lab.name, "web").status == 0)
            #expect(try counted() >= packets)
            #expect(try answering(lab) == "web-1 web-2 web-3")
        }
    }

    @Test("what there is not cannot be added or removed, and the last of an application stays")
    func mistakes() throws {
        try Lab.with(topology("[only]"), files: Self.files) { lab in
            for (words, status, text) in [
                (["add", lab.name, "wbe"], 5, "there is no application 'wbe' with instances"),
                (["add", lab.name, "web", "alice"], 5, "already has a node 'alice'"),
                (["remove", lab.name, "ony"], 5, "there is no instance 'ony' in '\(lab.name)'; did you mean 'only'?"),
                (["remove", lab.name, "alice"], 5, "the node 'alice' is not an instance of an application"),
                (["remove", lab.name, "only"], 2, "'only' is the last instance of 'web'"),
                (["remove", lab.name, "only", "--drain", "soon"], 64, "write a duration"),
            ] as [([String], Int32, String)] {
                let finished = try run(Product.tapline, words)
                #expect(finished.status == status && finished.output.contains(text), "\(words): \(finished.output)")
            }
            #expect(try namespaces(lab) == ["alice", "fabric", "only"])
        }
    }

    @Test("an instance whose health check never passes is explained, and taken away again")
    func neverHealthy() throws {
        let late = topology("2")
            .replacingOccurrences(of: "run: exec python3 who.py", with: "run: exec sh late.sh")
            .replacingOccurrences(of: "ready: { tcp: 80 }", with: "ready-timeout: 5s")
        let script = "[ $TAPLINE_NODE = web-3 ] && exec sleep 1000\nexec python3 who.py\n"
        try Lab.with(late, files: Self.files.merging(["late.sh": script]) { $1 }) { lab in
            let before = try pids(lab)
            let added = try lab.tapline("add", lab.name, "web")
            #expect(added.status == 2)
            #expect(added.output.contains("web-3") && added.output.contains("never passed"), "\(added.output)")
            #expect(added.output.contains("the former state is restored"), "\(added.output)")
            #expect(try namespaces(lab) == ["alice", "fabric", "web-1", "web-2"])
            #expect(try pids(lab) == before)
            #expect(try answering(lab) == "web-1 web-2")
        }
    }

    @Test("the rule adds an instance under load, and takes it away when there is calm")
    func byRule() throws {
        let rule = "    scale: { rate: 50, for: 1s, most: 2 }"
        try Lab.with(topology("1", scale: rule), files: Self.files) { lab in
            #expect(try answering(lab) == "web-1")
            // A fast client: some 500 packets a second, and more than 50 on the busiest machine.
            let load = try lab.exec(
                "alice",
                "ping -n -q -i 0.002 -w 600 203.0.113.80 >/dev/null 2>&1 & echo $! > $TAPLINE_DIR/load.pid; sleep 0.1")
            #expect(load.status == 0)
            try eventually("there is a second instance") { try namespaces(lab).contains("web-2") }
            try eventually("it is told") { try !events(lab, "scaled").isEmpty }
            let scaled = try #require(try events(lab, "scaled").first)
            #expect(scaled["application"] as? String == "web" && scaled["instance"] as? String == "web-2")
            #expect((scaled["reason"] as? String)?.contains("packets a second and instance, above 50") == true)
            #expect(try answering(lab) == "web-1 web-2")
            try lab.exec("alice", "kill $(cat $TAPLINE_DIR/load.pid)")
            try eventually("the second instance has gone") { try !namespaces(lab).contains("web-2") }
            #expect(try answering(lab) == "web-1")
            // The event follows the change.
            try eventually("the removal is told, too") { try events(lab, "scaled").count == 2 }
        }
    }

    private func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<600 {
            if try holds() { return }
            usleep(100_000)
        }
        Issue.record("it did not come true within 60 s: \(what)")
    }
}
