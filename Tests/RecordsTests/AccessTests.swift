import Foundation
import Testing

/// Access lists through the whole chain: by curl and by the command line, judged by packets of customers and by nft.
@Suite(.serialized) struct AccessTests {
    private static let file =
        RecordsLab.usual.replacing(
            "out: inspected } }",
            with: "out: inspected }, access: application, instances: 2, redundancy: active-standby }"
        ).replacing(
            "attach: servers }",
            with: "attach: servers, run: \"exec python3 -m http.server 443\", ready: { tcp: 443 } }")

    private static func list(_ rules: String..., otherwise: String = #"{"action": "deny"}"#) -> String {
        #"{"rules": [\#(rules.joined(separator: ", "))], "default": \#(otherwise)}"#
    }
    private static let ping = #"{"action": "allow", "protocol": "icmp", "comment": "so that we see it"}"#

    /// What nft lists in a node.
    private static func rules(_ lab: RecordsLab, _ node: String = "firewall-1") throws -> String {
        try lab.tapline("exec", lab.name, node, "--", "nft", "list", "ruleset").output
    }

    /// A TCP connection of a customer's.
    private static func connects(_ lab: RecordsLab, _ address: String) throws -> Finished {
        let script = "import socket; socket.create_connection((\"\(address)\", 443), 2)"
        return try lab.tapline("exec", lab.name, "alice", "--", "python3", "-c", script)
    }

    @Test func packetsAreJudgedWhenItIsAnswered() throws {
        let lab = try RecordsLab(Self.file)
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, service).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab, "203.0.113.97").status == 0)
        let put = try lab.ask("PUT", "/v1/access/firewall", token: alice, Self.list(Self.ping))
        #expect(put.status == 200 && put.headers["etag"] == "\"\(put.json["version"] ?? 0)\"", "\(put.text)")
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab, "203.0.113.97").status != 0)
        // Nobody else's packets are touched.
        #expect(try lab.answers("203.0.113.80"))
        let read = try lab.ask("GET", "/v1/access/firewall", token: alice)
        let rules = read.json["rules"] as? [[String: Any]] ?? []
        let hits = (rules.first?["hits"] as? [String: Any])?["application"] as? [String: Any]
        #expect(hits?["packets"] as? Int == 2, "\(read.text)")
        #expect(rules.first?["comment"] as? String == "so that we see it")
        let otherwise = (read.json["default"] as? [String: Any])?["hits"] as? [String: Any]
        #expect(((otherwise?["application"] as? [String: Any])?["packets"] as? Int ?? 0) > 0, "\(read.text)")
        // The standby instance has them as well.
        #expect(try Self.rules(lab, "firewall-2").contains("chain of_alice"))
        // Answers: a reset is told at once, and an ICMP error as well.
        let reset = Self.list(Self.ping, otherwise: #"{"action": "deny", "answer": "reset"}"#)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, reset).status == 200)
        #expect(try Self.connects(lab, "203.0.113.97").output.contains("ConnectionRefusedError"))
        // What is another's looks as if it did not exist.
        #expect(try lab.ask("GET", "/v1/access/firewall", token: bob).status == 404)
        #expect(try lab.ask("DELETE", "/v1/access/firewall", token: bob).status == 404)
        #expect(try lab.ask("GET", "/v1/access", token: bob).text.contains("alice") == false)
        let foreign = #"{"action": "deny", "own": "203.0.113.97"}"#
        let refused = try lab.ask("PUT", "/v1/access/firewall", token: bob, Self.list(foreign))
        #expect(
            refused.status == 403 && refused.mistakes == ["/rules/0/own 203.0.113.97 is none of your addresses"],
            "\(refused.text)")
        let gone = try lab.ask("DELETE", "/v1/access/firewall", token: alice)
        #expect(gone.status == 200, "\(gone.text)")
        #expect(try Self.connects(lab, "203.0.113.97").status == 0)
        #expect(try !Self.rules(lab).contains("tapline_access"))
        let back = try lab.ask("POST", "/v1/restore", token: alice, "{\"version\": \(put.json["version"] ?? 0)}")
        #expect(back.status == 200, "\(back.text)")
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab, "203.0.113.97").status != 0)
    }

    /// The engine judges, and the application as well: both say the same, and count.
    @Test func engineAndApplicationAgree() throws {
        let lab = try RecordsLab(Self.file.replacing("access: application", with: "access: [engine, application]"))
        let alice = try lab.token("alice")
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, service).status == 200)
        #expect(try Self.connects(lab, "203.0.113.97").status == 0)
        let reset = Self.list(Self.ping, otherwise: #"{"action": "deny", "answer": "reset"}"#)
        let put = try lab.ask("PUT", "/v1/access/firewall", token: alice, reset)
        #expect(put.status == 200, "\(put.text)")
        #expect(try lab.answers("203.0.113.97"))
        #expect(try Self.connects(lab, "203.0.113.97").output.contains("ConnectionRefusedError"))
        let read = try lab.ask("GET", "/v1/access/firewall", token: alice)
        func packets(_ part: Any?, _ judge: String) -> Int? {
            (((part as? [String: Any])?["hits"] as? [String: Any])?[judge] as? [String: Any])?["packets"] as? Int
        }
        let rule = (read.json["rules"] as? [Any])?.first
        #expect(packets(rule, "engine") == 2 && packets(rule, "application") == 2, "\(read.text)")
        // What the engine stops, the application never sees.
        #expect((packets(read.json["default"], "engine") ?? 0) > 0, "\(read.text)")
        #expect(packets(read.json["default"], "application") == 0, "\(read.text)")
        #expect(try lab.ask("DELETE", "/v1/access/firewall", token: alice).status == 200)
        #expect(try Self.connects(lab, "203.0.113.97").status == 0)
    }

    @Test func instancesHaveThemWhateverHappensThere() throws {
        let lab = try RecordsLab(Self.file)
        let alice = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, Self.list()).status == 200)
        #expect(try lab.misses("203.0.113.97"))
        #expect(try lab.tapline("exec", lab.name, "firewall-1", "--", "nft", "flush", "ruleset").status == 0)
        try lab.eventually("the table is back") { try Self.rules(lab).contains("chain of_alice") }
        #expect(try lab.misses("203.0.113.97"))
        let events = try lab.tapline("events", lab.name).output
        #expect(events.contains("access-restored"), "\(events)")
        let added = try lab.tapline("add", lab.name, "firewall")
        #expect(added.status == 0, "\(added.output)")
        #expect(try Self.rules(lab, "firewall-3").contains("chain of_alice"))
        // Another file takes it back, and the list waits for a file that has it.
        try lab.write(Self.file.replacing("access: application, ", with: ""))
        let applied = try lab.tapline("apply", lab.file)
        #expect(applied.status == 0, "\(applied.output)")
        #expect(try lab.answers("203.0.113.97") && !Self.rules(lab).contains("tapline_access"))
        let aside = try lab.ask("GET", "/v1/access/firewall", token: alice)
        #expect(aside.json["state"] as? String == "set-aside", "\(aside.text)")
        try lab.write(Self.file)
        #expect(try lab.tapline("apply", lab.file).status == 0)
        #expect(try lab.misses("203.0.113.97"))
        // It stays over a restart.
        try lab.down()
        try lab.up()
        #expect(try lab.answers("203.0.113.80") && lab.misses("203.0.113.97"))
    }

    @Test func theCommandLineKeepsLists() throws {
        let lab = try RecordsLab(Self.file)
        func access(_ words: String...) throws -> Finished {
            try lab.run([RecordsLab.programs.path + "/tapline", "access"] + words + ["--tenant", "alice"])
        }
        let allow = try access(
            "allow", lab.name, "firewall", "tcp", "203.0.113.97", "port", "443", "from", "192.0.2.0/24", "--comment",
            "shop")
        #expect(allow.status == 0 && allow.output.contains("in force: version 1, table "), "\(allow.output)")
        // A list that did not exist allows everything else.
        #expect(
            allow.output.contains("1 rule of alice")
                && allow.output.contains("remark: the list allows everything else too"), "\(allow.output)")
        let whose = try lab.ask("PUT", "/v1/access/firewall", Self.list())
        #expect(whose.json["detail"] as? String == "whose access list is meant?", "\(whose.text)")
        #expect(try access("deny", lab.name, "firewall", "any", "answer", "icmp", "--at", "1").status == 0)
        #expect(
            try access("default", lab.name, "firewall", "deny", "answer", "reset").output.contains(
                "rule 2 never matches"))
        let shown = try access("show", lab.name, "firewall").output
        for words in [
            "deny (icmp)", "tcp 203.0.113.97 port 443 from 192.0.2.0/24", "shop", "deny (reset)",
            "remark: rule 2 never matches: rule 1 before it takes all its packets",
        ] {
            #expect(shown.contains(words), "\(shown)")
        }
        #expect(try access("remove", lab.name, "firewall", "1").status == 0)
        #expect(try access("remove", lab.name, "firewall", "7").status == 64)
        #expect(try access("list", lab.name, "--json").output.contains("\"own-ports\""))
        let wrong = try access("allow", lab.name, "firewall", "tcp", "203.0.113.80")
        #expect(
            wrong.status == 3 && wrong.output.contains("/rules/1/own: 203.0.113.80 is none of your addresses"),
            "\(wrong.output)")
        let audit = try lab.ask("GET", "/v1/audit").json["entries"] as? [[String: Any]] ?? []
        #expect(
            audit.first?["subject"] as? String == "access/firewall" && audit.first?["outcome"] as? String == "in-force")
        #expect(audit.dropFirst().first?["before"] as? String != nil)
        let which = try access("remove", lab.name, "firewall")
        #expect(which.status == 64 && which.output.contains("--all removes the whole list"), "\(which.output)")
        #expect(try access("show", lab.name, "firewall").status == 0)
        #expect(try access("remove", lab.name, "firewall", "--all").status == 0)
        #expect(try access("show", lab.name, "firewall").status == 5)
        let closed = try access("allow", lab.name, "firewall", "icmp", "--default", "deny")
        #expect(closed.status == 0 && !closed.output.contains("remark"), "\(closed.output)")
        #expect(try access("list", lab.name).output.contains("deny"))
    }

    @Test func aBatchIsAllOrNothing() throws {
        let lab = try RecordsLab(Self.file)
        let alice = try lab.token("alice")
        let body = #"""
            {"put": [{"name": "shop", "addresses": ["203.0.113.97"], "ports": ["icmp"], "sequence": ["firewall", "web"]}],
             "put-access": [{"application": "firewall", "rules": [{"action": "allow", "own": "203.0.113.97"}], "default": {"action": "ALLOW"}}]}
            """#
        let refused = try lab.ask("POST", "/v1/batch", token: alice, body)
        #expect(
            refused.status == 422 && refused.mistakes == ["/put-access/0/default/action \"ALLOW\" is no action"],
            "\(refused.text)")
        #expect(try lab.ask("GET", "/v1/services/shop", token: alice).status == 404)
        let done = try lab.ask("POST", "/v1/batch", token: alice, body.replacing("ALLOW", with: "deny"))
        #expect(done.status == 200, "\(done.text)")
        #expect(try lab.answers("203.0.113.97"))
        let catalogue = try lab.ask("GET", "/v1/catalogue", token: alice)
        #expect(catalogue.text.contains(#""access":["application"]"#), "\(catalogue.text)")
        let strange = try lab.ask(
            "PUT", "/v1/access/firewall", token: alice, #"{"rules": [{"acton": "deny"}], "default": 1}"#)
        #expect(
            strange.mistakes == [
                "/rules/0/acton there is no key acton here", "/rules/0 action is missing",
                "/default it must be an object, but is a number",
            ], "\(strange.text)")
        #expect(try lab.ask("PUT", "/v1/access/web", token: alice, Self.list()).status == 403)
        // What has no right form has none, whatever else the request says.
        let long = "/v1/access/" + String(repeating: "0", count: 300)
        #expect(try lab.ask("PUT", long, token: alice, Self.list(), headers: ["If-Match: \"7\""]).status == 404)
        for after in ["%C3%8B/x", "alice", "alice/", "alice/%0A", "/x"] {
            #expect(try lab.ask("GET", "/v1/access?after=\(after)", token: alice).status == 400, "\(after)")
        }
        #expect(try lab.ask("GET", "/v1/access?after=alice/an%20application", token: alice).status == 200)
    }

    /// A program of one's own: the file is filled, and read before the answer.
    @Test func aTemplateIsFilledAndRead() throws {
        let template = "{{ each list }}{{ each rule }}{{ rule.action }} {{ rule.own }}\n{{ end }}{{ end }}"
        let lab = try RecordsLab(
            Self.file.replacing(
                "access: application",
                with:
                    "access: { application: { template: acl.txt, path: acl.conf, reload: \"cd $TAPLINE_DIR && ! grep -q .103 acl.conf && cp acl.conf seen.conf\" } }"
            ), files: ["acl.txt": template])
        func seen(_ name: String) throws -> String {
            try lab.tapline("exec", lab.name, "firewall-1", "--", "sh", "-c", "cat $TAPLINE_DIR/\(name)").output
        }
        let alice = try lab.token("alice")
        func put(_ address: String) throws -> RecordsLab.Answer {
            try lab.ask(
                "PUT", "/v1/access/firewall", token: alice, Self.list(#"{"action": "allow", "own": "\#(address)"}"#))
        }
        #expect(try put("203.0.113.97").status == 200)
        #expect(try seen("seen.conf") == "allow 203.0.113.97\n")
        // The program does not take it: all is as before.
        let refused = try put("203.0.113.103")
        #expect(refused.status == 503, "\(refused.text)")
        #expect(try seen("acl.conf") == "allow 203.0.113.97\n")
        #expect(try lab.ask("GET", "/v1/access/firewall", token: alice).text.contains("203.0.113.97"))
    }
}
