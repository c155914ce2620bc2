import Foundation
import Testing

/// Access lists that the engine judges by, through the whole chain: the kernels of customers and servers are the judges.
@Suite(.serialized) struct EngineAccessTests {
    private static func file(_ access: String) -> String {
        RecordsLab.usual.replacing(
            "out: inspected } }",
            with: "out: inspected }, access: \(access), instances: 2, redundancy: active-standby }"
        ).replacing(
            "attach: servers }",
            with: "attach: servers, run: \"exec python3 -m http.server 443\", ready: { tcp: 443 } }")
    }

    private static func list(_ rules: String..., otherwise: String = #"{"action": "deny"}"#) -> String {
        #"{"rules": [\#(rules.joined(separator: ", "))], "default": \#(otherwise)}"#
    }

    private static func run(_ lab: RecordsLab, _ node: String, _ words: String...) throws -> Finished {
        try lab.run([RecordsLab.programs.path + "/tapline", "exec", lab.name, node, "--"] + words)
    }

    /// A TCP connection of a customer's.
    private static func connects(_ lab: RecordsLab, from customer: String = "alice") throws -> Finished {
        let script = "import socket; socket.create_connection((\"203.0.113.97\", 443), 2)"
        return try run(lab, customer, "python3", "-c", script)
    }

    /// The packets that the engine counted for a rule of alice's, or for the default.
    private static func packets(_ lab: RecordsLab, rule: Int?) throws -> Int {
        let output = try lab.run([RecordsLab.programs.path + "/tapline", "tables", lab.name, "--json"]).output
        let tables = try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any]
        let rows = tables?["access"] as? [[String: Any]] ?? []
        return rows.filter { $0["tenant"] as? String == "alice" && $0["rule"] as? Int == rule }
            .reduce(0) { $0 + ($1["packets"] as? Int ?? 0) }
    }

    @Test(arguments: ["engine", "[engine, application]"])
    func deniedPacketsAreCountedAndToldOf(access: String) throws {
        let lab = try RecordsLab(Self.file(access))
        let alice = try lab.token("alice")
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, service).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
        // Answers: the customer's own kernel says what it was told.
        let web = #"{"action": "allow", "protocol": "tcp", "own-ports": ["443"]}"#
        let icmp = Self.list(web, otherwise: #"{"action": "deny", "answer": "icmp"}"#)
        let put = try lab.ask("PUT", "/v1/access/firewall", token: alice, icmp)
        #expect(put.status == 200, "\(put.text)")
        #expect(try Self.connects(lab).status == 0)
        let ping = try Self.run(lab, "alice", "ping", "-c", "3", "-i", "0.2", "-W", "1", "203.0.113.97")
        #expect(ping.status != 0 && ping.output.contains("Packet filtered"), "\(ping.output)")
        #expect(try Self.packets(lab, rule: nil) == 3)
        // Both directions of the connection: the request at one leg of the firewall, and the answer at the other.
        #expect(try Self.packets(lab, rule: 1) > 4)
        let read = try lab.ask("GET", "/v1/access/firewall", token: alice)
        let hits = ((read.json["default"] as? [String: Any])?["hits"] as? [String: Any])?["engine"] as? [String: Any]
        #expect(hits?["packets"] as? Int == 3, "\(read.text)")
        // Nothing of it reached the firewall.
        let status = try lab.run([RecordsLab.programs.path + "/tapline", "status", lab.name]).output
        #expect(status.contains("access-denied"), "\(status)")
        let metrics = try lab.run([RecordsLab.programs.path + "/tapline", "metrics", lab.name]).output
        #expect(
            metrics.contains(
                "tapline_access_rule_packets_total{topology=\"\(lab.name)\",application=\"firewall\",tenant=\"alice\","
                    + "rule=\"default\"} 3"), "\(metrics)")
        // A reset is told at once.
        let reset = Self.list(otherwise: #"{"action": "deny", "answer": "reset"}"#)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, reset).status == 200)
        #expect(try Self.connects(lab).output.contains("ConnectionRefusedError"))
        // Nobody else's packets are touched.
        #expect(try lab.answers("203.0.113.80"))
        // A further instance is judged as well, and without the list everything passes again.
        let added = try lab.tapline("add", lab.name, "firewall")
        #expect(added.status == 0, "\(added.output)")
        #expect(try Self.connects(lab).status != 0)
        #expect(try lab.ask("DELETE", "/v1/access/firewall", token: alice).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
    }

    @Test func theDetectorSeesWhatTheFirewallDoesNotGet() throws {
        let lab = try RecordsLab(Self.file("engine"))
        let alice = try lab.token("alice")
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        let made = try lab.ask("PUT", "/v1/services/shop", token: alice, service)
        #expect(made.status == 200, "\(made.text)")
        let own = #"{"action": "deny", "protocol": "icmp", "remote": "192.0.2.0/24"}"#
        let put = try lab.ask("PUT", "/v1/access/firewall", token: alice, Self.list(own))
        #expect(put.status == 200, "\(put.text)")
        func count(_ node: String, _ command: String) throws -> Int {
            let output = try Self.run(lab, node, "sh", "-c", command).output
            return output.split(whereSeparator: \.isNewline).compactMap { Int($0) }.reduce(0, +)
        }
        func detected() throws -> Int { try count("ids", "cat /sys/class/net/*/statistics/rx_packets") }
        // What the firewalls' kernels have forwarded (ForwDatagrams of RFC 4293).
        func forwarded() throws -> Int {
            try ["firewall-1", "firewall-2"].reduce(0) {
                try $0 + count($1, "awk '/^Ip: [0-9]/ { print $7 }' /proc/net/snmp")
            }
        }
        let before = try forwarded()
        // The shop of the file is none of alice's: its packets pass.
        #expect(try lab.answers("203.0.113.80"))
        let (detector, firewalls) = (try detected(), try forwarded())
        #expect(firewalls - before == 2)
        let ping = try Self.run(lab, "alice", "ping", "-f", "-c", "200", "-W", "1", "203.0.113.97")
        #expect(ping.status != 0, "\(ping.output)")
        #expect(try Self.packets(lab, rule: 1) == 200)
        #expect(try detected() - detector >= 200)
        #expect(try forwarded() == firewalls)
    }

    /// Tables are changed in place from the first instruction on, whatever is new about it.
    @Test func noInstructionHasTheTableCompiled() throws {
        let lab = try RecordsLab(Self.file("engine"))
        try lab.down()
        let up = try lab.run(
            [RecordsLab.programs.path + "/tapline", "up", lab.file, "-d"], environment: ["TAPLINE_LOG": "debug"])
        try #require(up.status == 0, "\(up.output)")
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        // A first service, a length of prefixes that no entry has, and a chain whose sender had no entry.
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, service).status == 200)
        let wide = RecordsLab.service("203.0.113.100/30", ports: #"["tcp/443"]"#)
        #expect(try lab.ask("PUT", "/v1/services/wide", token: alice, wide).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
        // The first list of the application, another rule, another tenant's list, and none.
        let web = #"{"action": "allow", "protocol": "tcp", "own-ports": ["443"]}"#
        let ping = #"{"action": "allow", "protocol": "icmp"}"#
        let put = try lab.ask("PUT", "/v1/access/firewall", token: alice, Self.list(web))
        #expect(put.status == 200, "\(put.text)")
        #expect(try lab.misses("203.0.113.97") && Self.connects(lab).status == 0)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: bob, Self.list(ping)).status == 200)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, Self.list(ping, web)).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, Self.list(ping)).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status != 0)
        #expect(try lab.ask("DELETE", "/v1/access/firewall", token: alice).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
        let log = try String(contentsOfFile: "\(lab.state)/appliance.log", encoding: .utf8)
        let whole = log.split(separator: "\n").filter { $0.contains("the whole table is compiled") }
        #expect(log.contains("instruction took") && whole.isEmpty, "\(whole)")
    }
}
