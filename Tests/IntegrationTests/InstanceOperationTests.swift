import Foundation
import Testing

/// What operators ask for and what processes do becomes the table at once, and is told.
@Suite(.serialized) struct InstanceOperationTests {
    static let topology = """
        name: operations
        interfaces:
          customers: { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected: { address: 198.18.3.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          firewall:
            type: firewall
            attach: { in: inspection, out: inspected }
            instances: { fw-a: { priority: 200 }, fw-b: {} }
            drain: 1s
          web:
            type: web-server
            attach: servers
            run: exec python3 who.py
            ready: { tcp: 80 }
            restart: always
            redundancy: balance
            instances: [web-1, web-2, web-3]
          router: { type: plain, attach: servers }
        services:
          shop:
            { address: 203.0.113.80, ports: [tcp/80], from: customers, distribute: [firewall], sequence: [firewall, web] }
        """

    /// Answers each connection with the name of its node, unless it is held.
    static let who = """
        import os, socket, threading, time
        while os.path.exists(os.environ['TAPLINE_DIR'] + '/held'): time.sleep(0.02)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('', 80))
        s.listen(64)
        def serve(c):
            while True:
                if not c.recv(1): return
                c.sendall(os.environ['TAPLINE_NODE'].encode() + b'\\n')
        while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
        """

    /// Who answers 60 connections, each name once.
    static let ask = """
        import socket
        seen = set()
        for _ in range(60):
            c = socket.create_connection(('203.0.113.80', 80), 20)
            c.settimeout(20)
            c.sendall(b'x')
            seen.add(c.makefile().readline().strip())
            c.close()
        print(' '.join(sorted(seen)))
        """

    /// One connection that is asked once more for each line that comes in.
    static let stay = """
        import socket, sys, time
        c = socket.create_connection(('203.0.113.80', 80), 20)
        c.settimeout(20)
        f = c.makefile()
        end = time.time() + float(sys.argv[1])
        seen = []
        while time.time() < end:
            c.sendall(b'x')
            name = f.readline().strip()
            if name not in seen: seen.append(name)
            time.sleep(0.02)
        print(' '.join(seen))
        """

    private func with(_ body: (Lab) throws -> Void) throws {
        let files = ["who.py": Self.who, "ask.py": Self.ask, "stay.py": Self.stay]
        try Lab.with(Self.topology, files: files, body)
    }

    private func answering(_ lab: Lab) throws -> String {
        try lab.exec("alice", "python3 ask.py").output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func events(_ lab: Lab, _ more: String...) throws -> [[String: Any]] {
        let finished = try run(Product.tapline, ["events", lab.name, "--json"] + more)
        try #require(finished.status == 0, "\(finished.output)")
        return try finished.output.split(separator: "\n").map { line in
            try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
        }
    }

    private func instances(_ lab: Lab, _ application: String) throws -> [String: [String: Any]] {
        let all = try #require(try lab.status()["applications"] as? [[String: Any]])
        let one = try #require(all.first { $0["name"] as? String == application })
        let list = try #require(one["instances"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: list.map { ($0["name"] as? String ?? "", $0) })
    }

    private func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<1000 {
            if try holds() { return }
            usleep(20_000)
        }
        Issue.record("it did not come true: \(what)")
    }

    @Test func disabledHoldsWhenTheCommandEndsAndReloadKeepsIt() throws {
        try with { lab in
            #expect(try answering(lab) == "web-1 web-2 web-3")
            let out = try lab.tapline("disable", lab.name, "web-2")
            #expect(out.status == 0 && out.output.contains("until 'enable'"), "\(out.output)")
            #expect(try answering(lab) == "web-1 web-3")
            #expect(try instances(lab, "web")["web-2"]?["state"] as? String == "taken-out")
            #expect(try lab.tapline("weight", lab.name, "web-1", "0").status == 0)
            #expect(try answering(lab) == "web-3")
            #expect(try lab.tapline("reload", lab.name).status == 0)
            #expect(try answering(lab) == "web-3")
            #expect(try lab.tapline("weight", lab.name, "web-1").status == 0)
            #expect(try lab.tapline("enable", lab.name, "web-2").status == 0)
            #expect(try answering(lab) == "web-1 web-2 web-3")
            let kinds = try events(lab).compactMap { $0["event"] as? String }
            for kind in ["instance-taken-out", "instance-weighed", "instance-put-back", "flows-moved"] {
                #expect(kinds.contains(kind), "\(kinds)")
            }
            let tables = try events(lab).filter { $0["event"] as? String == "table-published" }
            #expect(
                tables.contains {
                    ($0["reason"] as? String)?.hasPrefix("web-2: it gets no packets until 'enable'") == true
                })
            let generations = tables.compactMap { $0["generation"] as? Int }
            #expect(generations.count == tables.count && generations == generations.sorted())
        }
    }

    @Test func theLastOneDisabledBringsTheApplicationDownAndSaysSo() throws {
        try with { lab in
            #expect(try lab.tapline("disable", lab.name, "fw-a").status == 0)
            #expect(try answering(lab) == "web-1 web-2 web-3", "the standby has taken over")
            let last = try lab.tapline("disable", lab.name, "fw-b")
            #expect(last.output.contains("firewall is down"), "\(last.output)")
            #expect(last.output.contains("its packets are dropped"), "\(last.output)")
            let all = try #require(try lab.status()["applications"] as? [[String: Any]])
            #expect(all.first { $0["name"] as? String == "firewall" }?["state"] as? String == "down")
            #expect(try lab.exec("alice", "curl -m 1 -s http://203.0.113.80/").status != 0)
            #expect(try lab.tapline("enable", lab.name, "fw-b").output.contains("firewall is up"))
            #expect(try answering(lab) == "web-1 web-2 web-3")
            let summary = try events(lab).compactMap { $0["event"] as? String }.filter { $0.hasPrefix("application-") }
            #expect(summary.suffix(2) == ["application-down", "application-up"])
        }
    }

    @Test func aDrainKeepsConnectionsUntilItsTimeIsOver() throws {
        try with { lab in
            let staying = Process()
            let output = Pipe()
            staying.executableURL = URL(fileURLWithPath: Product.tapline)
            staying.arguments = ["exec", lab.name, "alice", "--", "python3", "stay.py", "2"]
            staying.standardOutput = output
            try staying.run()
            usleep(500_000)
            // Whichever has the connection: it stays where it is, and nothing new comes to the drained ones.
            for name in ["web-1", "web-2"] {
                let drain = try lab.tapline("drain", lab.name, name, "--for", "60s")
                #expect(drain.status == 0 && drain.output.contains("nothing after 60 s"), "\(drain.output)")
            }
            #expect(try answering(lab) == "web-3")
            let web = try instances(lab, "web")
            #expect(web["web-1"]?["state"] as? String == "draining")
            #expect((web["web-1"]?["drainLeft"] as? Int ?? 0) > 1000)
            staying.waitUntilExit()
            let seen = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            #expect(seen.split(whereSeparator: \.isWhitespace).count == 1, "one instance kept the connection: \(seen)")
            #expect(staying.terminationStatus == 0)
            #expect(try lab.tapline("drain", lab.name, "web-1", "--for", "10ms").status == 0)
            try eventually("the drain is over") {
                try instances(lab, "web")["web-1"]?["state"] as? String == "drained"
            }
            #expect(try lab.tapline("undrain", lab.name, "web-1").status == 0)
            #expect(try answering(lab) == "web-1 web-3")
        }
    }

    @Test func aProcessThatEndsIsOutAtOnceAndBackWhenItIsReadyAgain() throws {
        try with { lab in
            let follower = Process()
            let followed = Pipe()
            follower.executableURL = URL(fileURLWithPath: Product.tapline)
            follower.arguments = ["events", lab.name, "-f", "--count", "1000"]
            follower.standardOutput = followed
            try follower.run()
            let held = "\(lab.directory(of: "web-1"))/held"
            try lab.exec("web-1", "touch \(held); kill -9 $(pgrep -f who.py)")
            try eventually("web-1 is down") { try instances(lab, "web")["web-1"]?["isHealthy"] as? Bool == false }
            #expect(try answering(lab) == "web-2 web-3")
            // An operator's word about one that is down waits for its health.
            #expect(try lab.tapline("disable", lab.name, "web-1").status == 0)
            let back = try lab.tapline("enable", lab.name, "web-1")
            #expect(back.output.contains("it gets no packets until it is healthy"), "\(back.output)")
            #expect(try answering(lab) == "web-2 web-3")
            try lab.exec("web-1", "rm \(held)")
            try eventually("web-1 is back") { try instances(lab, "web")["web-1"]?["state"] as? String == "active" }
            #expect(try answering(lab) == "web-1 web-2 web-3")
            #expect(try lab.tapline("down", lab.name).status == 0)
            follower.waitUntilExit()
            #expect(follower.terminationStatus == 0, "it ends with the topology")
            let text = String(decoding: followed.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            let lines = try text.split(separator: "\n").compactMap {
                try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any]
            }
            let own = lines.filter { $0["instance"] as? String == "web-1" }.compactMap { $0["event"] as? String }
            // Those from before it followed come first.
            let changes = own.filter { $0 == "instance-down" || $0 == "instance-up" }
            #expect(changes.suffix(2) == ["instance-down", "instance-up"], "\(changes)")
            let down = lines.last {
                $0["event"] as? String == "instance-down" && $0["instance"] as? String == "web-1"
            }
            let reason = down?["reason"] as? String ?? ""
            #expect(reason.contains("signal 9"), "\(reason)")
            let times = lines.compactMap { $0["time"] as? Int }
            #expect(times.count == lines.count && times.allSatisfy { $0 > 1_000_000_000_000_000 })
            try #require(
                try lab.tapline("up", "\(lab.folder.path)/topology.yaml", "--name", lab.name, "-d").status == 0)
        }
    }

    @Test func mistakesAreAnsweredWithWhatThereIs() throws {
        try with { lab in
            let mistakes: [([String], Int32, String)] = [
                (["drain", lab.name, "fw_a"], 5, "did you mean 'fw-a'?"),
                (["drain", lab.name, "web"], 5, "they are: web-1, web-2, web-3"),
                (["disable", lab.name, "alice"], 5, "alice is a customer"),
                (["disable", lab.name, "router"], 5, "without instances and health checks"),
                (["weight", lab.name, "web-1", "1001"], 64, "0 to 1000"),
                (["drain", lab.name, "web-1", "--for", "soon"], 64, "write a duration"),
                (["drain", "no-such-topology", "web-1"], 5, "there is no topology"),
                (["events", lab.name, "--since", "yesterday"], 64, "write a duration"),
                (["events", "no-such-topology"], 5, "there is no topology"),
                (["events", "no-such-topology", "-f"], 5, "there is no topology"),
            ]
            for (words, status, text) in mistakes {
                let finished = try run(Product.tapline, words)
                #expect(finished.status == status && finished.output.contains(text), "\(words): \(finished)")
            }
            #expect(try lab.tapline("disable", lab.name, "web-1").status == 0)
            let drain = try lab.tapline("drain", lab.name, "web-1")
            #expect(drain.status == 2 && drain.output.contains("enable it first"), "\(drain.output)")
            let status = try lab.tapline("status", lab.name).output
            #expect(status.contains("application firewall: up, active-standby; when down: drop"), "\(status)")
            for line in status.split(separator: "\n") where line.hasPrefix("  web-") || line.hasPrefix("  fw-") {
                #expect(line.utf8.count <= 80, "\(line)")
            }
        }
    }
}

/// What probes see becomes the table, and an operator's word holds beside it.
@Suite(.serialized) struct InstanceHealthTests {
    static let topology = InstanceOperationTests.topology
        .replacingOccurrences(
            of: "    drain: 1s\n",
            with: """
                    drain: 1s
                    setup: [nft -f open.nft]
                    health: [{ heartbeat: true, interval: 20ms, timeout: 200ms }]
                    damping: false

                """)

    static let open = """
        flush ruleset
        table inet filter { chain passing { type filter hook forward priority 0; policy accept; }; }
        """

    private func firewalls(_ lab: Lab) throws -> [String: [String: Any]] {
        let all = try #require(try lab.status()["applications"] as? [[String: Any]])
        let one = try #require(all.first { $0["name"] as? String == "firewall" })
        let list = try #require(one["instances"] as? [[String: Any]])
        return Dictionary(uniqueKeysWithValues: list.map { ($0["name"] as? String ?? "", $0) })
    }

    private func eventually(_ what: String, _ holds: () throws -> Bool) throws {
        for _ in 0..<1000 {
            if try holds() { return }
            usleep(20_000)
        }
        Issue.record("it did not come true: \(what)")
    }

    private func state(_ lab: Lab, _ instance: String) throws -> String? {
        try firewalls(lab)[instance]?["state"] as? String
    }

    private func answers(_ lab: Lab) throws -> Bool {
        try lab.exec("alice", "python3 ask.py").output.contains("web-1 web-2 web-3")
    }

    @Test func aFirewallThatDropsAllIsOutAndComesBackAndOperatorsAreObeyed() throws {
        let files = [
            "who.py": InstanceOperationTests.who, "ask.py": InstanceOperationTests.ask, "open.nft": Self.open,
        ]
        try Lab.with(Self.topology, files: files) { lab in
            try eventually("both are up") { try state(lab, "fw-a") == "active" && state(lab, "fw-b") == "standby" }
            let closed = Self.open.replacingOccurrences(of: "policy accept", with: "policy drop")
            try lab.exec("fw-a", "echo '\(closed)' | nft -f -")
            try eventually("the heartbeat finds it out") { try state(lab, "fw-a") == "down" }
            let seen = try #require(try firewalls(lab)["fw-a"])
            #expect((seen["reason"] as? String)?.hasPrefix("heartbeat: ") == true, "\(seen)")
            let check = (seen["checks"] as? [[String: Any]])?.first
            #expect(check?["isPassed"] as? Bool == false)
            #expect((check?["failed"] as? Int ?? 0) > 0)
            #expect(try state(lab, "fw-b") == "active")
            #expect(try answers(lab), "the standby has taken over")
            // What is said of the instance holds on over another table.
            #expect(try lab.tapline("reload", lab.name).status == 0)
            #expect(try state(lab, "fw-a") == "down")
            #expect(try lab.tapline("disable", lab.name, "fw-a").status == 0)
            try lab.exec("fw-a", "nft -f open.nft")
            try eventually("it is healthy again") { try firewalls(lab)["fw-a"]?["isHealthy"] as? Bool == true }
            #expect(try state(lab, "fw-a") == "taken-out", "health takes no operator's word back")
            #expect(try state(lab, "fw-b") == "active")
            #expect(try lab.tapline("enable", lab.name, "fw-a").status == 0)
            #expect(try state(lab, "fw-a") == "active")
            #expect(try answers(lab))
            // A link that goes is seen at once, at whichever end.
            try lab.exec("fw-a", "ip link set inspected down")
            try eventually("the link is down") { try state(lab, "fw-a") == "down" }
            #expect(try answers(lab))
            let summary = try lab.tapline("events", lab.name, "--text").output
            for part in [
                "check-failed fw-a (firewall) heartbeat", "instance-down fw-a (firewall): heartbeat: ",
                "instance-up fw-a (firewall): ", "instance-down fw-a (firewall): its link to inspected",
            ] {
                #expect(summary.contains(part), "\(part): \(summary)")
            }
        }
    }
}
