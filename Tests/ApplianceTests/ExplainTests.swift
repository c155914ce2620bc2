import Foundation
import Glibc
import Testing

/// `tapline trace --explain`: rules of nftables in nodes that run, named by nft itself.
@Suite("drops in nodes, explained", .serialized)
struct ExplainTests {
    private static let rules = """
        table inet filter {
          chain sub {
            tcp dport 24 counter drop comment "no mail # handle 1 (verdict accept)"
            udp dport { 53, 54 } reject
          }
          chain early { type filter hook prerouting priority -200; tcp dport 22 drop; }
          chain forward {
            type filter hook forward priority 0; policy drop;
            tcp dport 23 drop
            jump sub
            tcp dport { 80, 81 } accept
            tcp sport 80 accept
            tcp dport 443 reject with tcp reset
            meta l4proto icmp accept
          }
        }
        """

    private static let topology = """
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          outside:   { address: [198.18.2.1/24, "2001:db8:3::1/64"] }
          inside:    { address: [198.18.3.1/24, "2001:db8:4::1/64"] }
          servers:   { address: [198.18.4.1/24, "2001:db8:5::1/64"] }
        customers:
          alice: { interface: customers }
        applications:
          firewall: { attach: { in: outside, out: inside }, setup: [nft -f rules.nft] }
          web: { attach: servers }
        services:
          shop: { address: 203.0.113.80, ports: [any], sequence: [firewall, web] }
          six: { address: "2001:db8:80::80", ports: [any], sequence: [firewall, web] }
        """

    private static let bump = """
        interfaces:
          customers: { address: 192.0.2.1/24 }
          outside:   { address: 198.18.2.1/24 }
          inside:    { address: 198.18.3.1/24 }
          servers:   { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          firewall:
            transparent: true
            attach: { in: outside, out: inside }
            setup:
              - ip link add name bump type bridge
              - ip link set dev "$TAPLINE_IN" master bump
              - ip link set dev "$TAPLINE_OUT" master bump
              - ip link set dev bump up
              - nft -f rules.nft
          web: { attach: servers }
        services:
          shop: { address: 203.0.113.80, ports: [any], sequence: [firewall, web] }
        """

    /// A topology with rules in its firewall, up while `body` runs.
    private func with(
        _ text: String = topology, rules: String = rules, _ body: (ScratchTopology) throws -> Void
    ) throws {
        let topology = try ScratchTopology(small: nil)
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        try "name: \(topology.name)\n\(text)".write(toFile: topology.file, atomically: true, encoding: .utf8)
        try rules.write(
            to: topology.folder.appendingPathComponent("rules.nft"), atomically: true, encoding: .utf8)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up)")
        try body(topology)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    /// What a trace of one packet that is sent prints.
    private func sent(_ topology: ScratchTopology, _ words: String, _ options: String = "") throws -> String {
        let ran = try CommandLineRun.shell(
            "COLUMNS=400 timeout 30 \(CommandLineRun.tapline) trace \(topology.name) --explain \(options) --send \(words) 2>&1"
        )
        #expect(ran.status == 0, "\(ran)")
        // Lines are broken at blanks.
        return ran.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private func rules(_ topology: ScratchTopology, _ node: String = "firewall") throws -> String {
        try CommandLineRun.run("exec", topology.name, node, "--", "nft", "-s", "-a", "list", "ruleset").output
    }

    @Test("each kind of drop is named with table, chain and handle, and the rules stay as they are")
    func named() throws {
        try with { topology in
            let before = try rules(topology)
            for (port, text) in [
                ("tcp/22", "firewall dropped it: table inet filter, chain early, handle"),
                ("tcp/23", "firewall dropped it: table inet filter, chain forward, handle"),
                ("tcp/24", "tcp dport 24 counter drop comment \"no mail # handle 1 (verdict accept)\"."),
                ("tcp/25", "firewall dropped it: table inet filter, the policy of chain forward."),
                ("tcp/443", "firewall rejected it: table inet filter, chain forward, handle"),
                ("udp/53", "firewall rejected it: table inet filter, chain sub, handle"),
            ] {
                let output = try sent(topology, "alice 203.0.113.80 \(port)")
                #expect(output.contains(text) && output.contains("filtered: "), "\(port): \(output)")
                #expect(output.contains("no nftables rules in web: no drop is explained there"))
                if port == "tcp/23" {
                    let handle = try #require(
                        before.split(separator: "\n").first { $0.contains("tcp dport 23 drop # handle") }?
                            .split(separator: " ").last)
                    #expect(output.contains("chain forward, handle \(handle): tcp dport 23 drop."), "\(output)")
                }
            }
            let six = try sent(topology, "alice 2001:db8:80::80 tcp/23")
            #expect(six.contains("chain forward, handle") && six.contains("tcp dport 23 drop."), "\(six)")
            let accepted = try sent(topology, "alice 203.0.113.80 icmp")
            #expect(accepted.contains("delivered: It reached alice.") && !accepted.contains("filtered"), "\(accepted)")
            #expect(try rules(topology) == before)
        }
    }

    @Test("with --json each verdict is an object; a server's own drops, iptables and later rules are named, too")
    func others() throws {
        try with { topology in
            let line = try CommandLineRun.shell(
                "\(CommandLineRun.tapline) trace \(topology.name) --explain --json --send alice 203.0.113.80 tcp/23 2>&1 | grep '\"rules\"'"
            ).output
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
            let verdict = try #require((object["rules"] as? [[String: Any]])?.first)
            #expect(verdict["table"] as? String == "filter" && verdict["chain"] as? String == "forward")
            #expect(verdict["rule"] as? String == "tcp dport 23 drop" && verdict["handle"] as? Int != nil)
            #expect((object["end"] as? [String: Any])?["kind"] as? String == "filtered")
            func run(_ node: String, _ command: String) throws {
                let ran = try CommandLineRun.run("exec", topology.name, node, "--", "sh", "-c", command)
                #expect(ran.status == 0, "\(ran)")
            }
            try run("firewall", "iptables-nft -I FORWARD -p tcp --dport 81 -m comment --comment why -j DROP")
            try run(
                "web",
                "nft add table ip own; nft add chain ip own in '{ type filter hook input priority 0; }';"
                    + "nft add rule ip own in tcp dport 80 drop; nft add chain ip own out '{ type filter hook output priority 0; }';"
                    + "nft add rule ip own out icmp type echo-reply drop")
            let iptables = try sent(topology, "alice 203.0.113.80 tcp/81")
            #expect(iptables.contains("firewall dropped it: table ip filter, chain FORWARD, handle"), "\(iptables)")
            let server = try sent(topology, "alice 203.0.113.80 tcp/80")
            #expect(server.contains("web dropped it: table ip own, chain in, handle"), "\(server)")
            let own = try sent(topology, "alice 203.0.113.80 icmp")
            #expect(own.contains("1 packet that web made itself: web dropped it: table ip own, chain out"), "\(own)")
            // A firewall that loads its rules anew during the trace takes the marks away from nobody.
            try
                "flush ruleset\ntable ip young {\n chain f { type filter hook forward priority 5; tcp dport 80 drop; }\n}\n"
                .write(to: topology.folder.appendingPathComponent("young.nft"), atomically: true, encoding: .utf8)
            let started = try CommandLineRun.Started([
                CommandLineRun.tapline, "trace", topology.name, "--explain", "--first", "1", "--for", "60s",
                "tcp port 80",
            ])
            try waitForMarks(topology)
            try run("firewall", "nft -f \(topology.folder.path)/young.nft")
            try run("alice", "timeout 20 bash -c 'echo > /dev/tcp/203.0.113.80/80' & sleep 0.5; kill %1; true")
            let young = started.finish()
            #expect(young.output.contains("table ip young"), "\(young)")
        }
    }

    private func waitForMarks(_ topology: ScratchTopology) throws {
        try CommandLineRun.eventually("packets are marked") { try rules(topology).contains("tapline_trace_") }
        // The monitor is the last that begins.
        try CommandLineRun.eventually("nft listens") { try monitors(topology) > 0 }
    }

    /// The monitors of nft in the firewall.
    private func monitors(_ topology: ScratchTopology) throws -> Int {
        let listed = try CommandLineRun.run(
            "exec", topology.name, "firewall", "--", "sh", "-c",
            "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null | grep -c '^nft.*monitor trace'"
        )
        return Int(listed.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }

    @Test("nothing is left in the node after SIGKILL and SIGINT, and a topology that goes away ends the trace")
    func cleanup() throws {
        try with { topology in
            let before = try rules(topology)
            for number in [SIGKILL, SIGINT] {
                let started = try CommandLineRun.Started([CommandLineRun.tapline, "trace", topology.name, "--explain"])
                try waitForMarks(topology)
                started.signal(number)
                _ = started.finish()
                try CommandLineRun.eventually("the marks are gone") { try rules(topology) == before }
                try CommandLineRun.eventually("nft is gone") { try monitors(topology) == 0 }
            }
            let started = try CommandLineRun.Started([CommandLineRun.tapline, "trace", topology.name, "--explain"])
            try waitForMarks(topology)
            #expect(try CommandLineRun.run("down", topology.name).status == 0)
            let ended = started.finish()
            #expect(ended.status == 5 && ended.errors.contains("was taken away"), "\(ended)")
            try #require(try CommandLineRun.run("up", topology.file, "-d").status == 0)
        }
    }

    @Test("a bridge's rules are named in a transparent firewall, and a node without rules is told once")
    func bridge() throws {
        let rules = """
            table bridge filter {
              chain forward { type filter hook forward priority 0; tcp dport 23 drop; }
            }
            """
        try with(Self.bump, rules: rules) { topology in
            let dropped = try sent(topology, "alice 203.0.113.80 tcp/23")
            #expect(dropped.contains("firewall dropped it: table bridge filter, chain forward, handle"), "\(dropped)")
            let passed = try sent(topology, "alice 203.0.113.80 tcp/80")
            #expect(passed.contains("delivered: It reached web.") && !passed.contains("filtered"), "\(passed)")
            #expect(
                try CommandLineRun.run("exec", topology.name, "firewall", "--", "nft", "flush", "ruleset").status == 0)
            let none = try sent(topology, "alice 203.0.113.80 tcp/80")
            #expect(none.contains("no nftables rules in firewall, web: no drop is explained there"), "\(none)")
        }
    }
}
