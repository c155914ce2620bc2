import Foundation
import Testing

/// Programs of their own kind that judge by access lists, and applications that are no station of the network.
@Suite(.serialized) struct AccessProgramTests {
    private static func list(_ rules: String..., otherwise: String = #"{"action": "deny"}"#) -> String {
        #"{"rules": [\#(rules.joined(separator: ", "))], "default": \#(otherwise)}"#
    }

    private static func connects(_ lab: RecordsLab, _ address: String = "203.0.113.97") throws -> Finished {
        let script = "import socket; socket.create_connection((\"\(address)\", 443), 2)"
        return try lab.tapline("exec", lab.name, "alice", "--", "python3", "-c", script)
    }

    private static func events(_ lab: RecordsLab) throws -> String { try lab.tapline("events", lab.name).output }

    private static let served = RecordsLab.usual.replacing(
        "attach: servers }",
        with: "attach: servers, run: \"exec python3 -m http.server 443\", ready: { tcp: 443 } }")

    /// iptables-restore loads all chains at once, and says beforehand whether it would.
    @Test func iptablesJudges() throws {
        let template = """
            *filter
            :FORWARD ACCEPT [0:0]
            {{ each list }}
            :of_{{ list.tenant }} - [0:0]
            {{ end }}
            {{ each list }}
            {{ each own }}
            {{ if own.family = 4 }}
            -A FORWARD -d {{ own }} -j of_{{ list.tenant }}
            -A FORWARD -s {{ own }} -j of_{{ list.tenant }}
            {{ end }}
            {{ end }}
            {{ each rule }}
            {{ if rule.family = 4 }}
            -A of_{{ list.tenant }} -d {{ rule.own }}{{ if rule.remote }} -s {{ rule.remote }}{{ end }}{{ if rule.protocol }} -p {{ rule.protocol }}{{ end }}{{ if rule.own-ports }} --dport {{ rule.own-ports }}{{ end }} {{ if rule.action = allow }}-j RETURN{{ end }}{{ if rule.action = deny }}-j DROP{{ end }}
            -A of_{{ list.tenant }} -s {{ rule.own }}{{ if rule.remote }} -d {{ rule.remote }}{{ end }}{{ if rule.protocol }} -p {{ rule.protocol }}{{ end }}{{ if rule.own-ports }} --sport {{ rule.own-ports }}{{ end }} {{ if rule.action = allow }}-j RETURN{{ end }}{{ if rule.action = deny }}-j DROP{{ end }}
            {{ end }}
            {{ end }}
            {{ if list.default = deny }}
            -A of_{{ list.tenant }} -j DROP
            {{ end }}
            {{ end }}
            COMMIT

            """
        let access =
            #"access: { application: { template: iptables.txt, path: rules.v4, reload: 'iptables-restore < "$TAPLINE_DIR/rules.v4"', check: 'iptables-restore --test < "$TAPLINE_CANDIDATE"' } }"#
        let lab = try RecordsLab(
            Self.served.replacing("out: inspected } }", with: "out: inspected }, \(access) }"),
            files: ["iptables.txt": template])
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, service).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
        let ping = Self.list(#"{"action": "allow", "protocol": "icmp"}"#)
        let put = try lab.ask("PUT", "/v1/access/firewall", token: alice, ping)
        #expect(put.status == 200, "\(put.text)")
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status != 0)
        #expect(try lab.answers("203.0.113.80"))
        let web = Self.list(#"{"action": "allow", "protocol": "tcp", "own-ports": ["443"], "remote": "192.0.2.0/24"}"#)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, web).status == 200)
        #expect(try lab.misses("203.0.113.97") && Self.connects(lab).status == 0)
        // iptables writes ranges with a colon, which the template does not: the list is refused, and all is as before.
        let wrong = Self.list(#"{"action": "allow", "protocol": "tcp", "own-ports": ["5-9"]}"#)
        let refused = try lab.ask("PUT", "/v1/access/firewall", token: alice, wrong)
        let sentence = "the application \"firewall\" refused the list: its operator sees why in events"
        #expect(refused.status == 409 && refused.json["detail"] as? String == sentence, "\(refused.text)")
        #expect(!refused.text.contains("iptables") && !refused.text.contains("node"), "\(refused.text)")
        let events = try Self.events(lab)
        #expect(events.contains("access-refused") && events.contains("iptables-restore"), "\(events)")
        #expect(try lab.misses("203.0.113.97") && Self.connects(lab).status == 0)
        #expect(try lab.ask("GET", "/v1/access/firewall", token: alice).text.contains("443"))
        // Another tenant's list beside it.
        let closed = try lab.ask("PUT", "/v1/access/firewall", token: bob, Self.list())
        #expect(closed.status == 200, "\(closed.text)")
        #expect(try Self.connects(lab).status == 0)
        let listed = try lab.tapline("exec", lab.name, "firewall", "--", "iptables", "-S").output
        #expect(listed.contains("-A of_bob -j DROP"), "\(listed)")
        #expect(try lab.ask("DELETE", "/v1/access/firewall", token: alice).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
    }

    /// haproxy is asked by its own check, and reads its configuration without losing connections.
    @Test func haproxyJudges() throws {
        let template = """
            global
              pidfile "${TAPLINE_DIR}/haproxy.pid"
            defaults
              mode http
              timeout client 20s
              timeout server 20s
              timeout connect 20s
            frontend web
              bind *:443
            {{ each list }}
            {{ each rule }}
              {{ if rule.protocol = udp }}udp-request connection{{ end }}
              tcp-request connection {{ if rule.action = allow }}accept{{ end }}{{ if rule.action = deny }}reject{{ end }} if { dst {{ rule.own }} }{{ if rule.remote }} { src {{ rule.remote }} }{{ end }}
            {{ end }}
            {{ each own }}
              tcp-request connection {{ if list.default = allow }}accept{{ end }}{{ if list.default = deny }}reject{{ end }} if { dst {{ own }} }
            {{ end }}
            {{ end }}
              http-request return status 200 content-type text/plain string "hello"

            """
        let access = """
            access: { application: { template: haproxy.txt, path: haproxy.cfg, \
            check: 'haproxy -c -f "$TAPLINE_CANDIDATE"', \
            reload: 'haproxy -c -f "$TAPLINE_DIR/haproxy.cfg" && kill -USR2 $(cat "$TAPLINE_DIR/haproxy.pid")' } }
            """
        let lab = try RecordsLab(
            RecordsLab.usual.replacing(
                "attach: servers }",
                with:
                    #"attach: servers, run: 'exec haproxy -W -f "$TAPLINE_DIR/haproxy.cfg"', ready: { tcp: 443 }, \#(access) }"#
            ),
            files: ["haproxy.txt": template])
        let alice = try lab.token("alice")
        #expect(
            try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service(ports: #"["tcp/443"]"#)).status
                == 200)
        func answers() throws -> Bool {
            try lab.tapline("exec", lab.name, "alice", "--", "curl", "-sS", "-m", "3", "http://203.0.113.97:443/")
                .output.contains("hello")
        }
        try lab.eventually("it answers") { try answers() }
        let closed = try lab.ask(
            "PUT", "/v1/access/web", token: alice,
            Self.list(#"{"action": "deny", "remote": "192.0.2.0/24"}"#, otherwise: #"{"action": "allow"}"#))
        #expect(closed.status == 200, "\(closed.text)")
        try lab.eventually("the customer is shut out") { try !answers() }
        let wrong = try lab.ask(
            "PUT", "/v1/access/web", token: alice, Self.list(#"{"action": "allow", "protocol": "udp"}"#))
        #expect(wrong.status == 409, "\(wrong.text)")
        #expect(try Self.events(lab).contains("haproxy"))
        #expect(try !answers())
        let open = try lab.ask(
            "PUT", "/v1/access/web", token: alice, Self.list(#"{"action": "allow", "remote": "192.0.2.0/24"}"#))
        #expect(open.status == 200, "\(open.text)")
        try lab.eventually("it answers again") { try answers() }
    }

    /// squid parses its configuration beforehand, and reads it again while it runs.
    @Test func squidJudges() throws {
        let template = """
            http_port 443 accel defaultsite=shop
            pid_filename none
            access_log none
            cache_log none
            cache deny all
            cache_effective_user nobody
            shutdown_lifetime 1 seconds
            cache_peer 127.0.0.1 parent 8080 0 no-query originserver
            {{ each list }}
            {{ each rule }}
            acl own_{{ list.tenant }}_{{ rule.number }} localip {{ rule.own }}
            acl remote_{{ list.tenant }}_{{ rule.number }} {{ if rule.remote }}src {{ rule.remote }}{{ end }}{{ if rule.protocol }} {{ rule.protocol }}{{ end }}
            http_access {{ rule.action }} own_{{ list.tenant }}_{{ rule.number }} remote_{{ list.tenant }}_{{ rule.number }}
            {{ end }}
            {{ each own }}
            {{ if own.family = 4 }}
            acl of_{{ list.tenant }} localip {{ own }}
            {{ end }}
            {{ end }}
            http_access {{ list.default }} of_{{ list.tenant }}
            {{ end }}
            http_access allow all

            """
        let access = """
            access: { application: { template: squid.txt, path: squid.conf, \
            check: 'squid -k parse -f "$TAPLINE_CANDIDATE"', \
            reload: 'squid -k parse -f "$TAPLINE_DIR/squid.conf" && kill -HUP $(cat "$TAPLINE_DIR/squid.pid")' } }
            """
        let run =
            #"python3 -m http.server 8080 --bind 127.0.0.1 & echo $$ > "$TAPLINE_DIR/squid.pid"; exec squid -N -f "$TAPLINE_DIR/squid.conf""#
        let lab = try RecordsLab(
            RecordsLab.usual.replacing(
                "attach: servers }", with: "attach: servers, run: '\(run)', ready: { tcp: 443 }, \(access) }"),
            files: ["squid.txt": template])
        let alice = try lab.token("alice")
        #expect(
            try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service(ports: #"["tcp/443"]"#)).status
                == 200)
        func status() throws -> String {
            try lab.tapline(
                "exec", lab.name, "alice", "--", "curl", "-s", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}",
                "http://203.0.113.97:443/"
            ).output
        }
        try lab.eventually("it answers") { try status().contains("200") }
        let closed = try lab.ask(
            "PUT", "/v1/access/web", token: alice,
            Self.list(#"{"action": "deny", "remote": "192.0.2.0/24"}"#, otherwise: #"{"action": "allow"}"#))
        #expect(closed.status == 200, "\(closed.text)")
        try lab.eventually("the customer is shut out") { try status().contains("403") }
        // Without a remote address, the template makes no access list of squid's.
        let wrong = try lab.ask(
            "PUT", "/v1/access/web", token: alice, Self.list(#"{"action": "allow", "protocol": "udp"}"#))
        #expect(wrong.status == 409, "\(wrong.text)")
        #expect(try Self.events(lab).contains("squid"))
        #expect(try status().contains("403"))
        let open = try lab.ask(
            "PUT", "/v1/access/web", token: alice, Self.list(#"{"action": "allow", "remote": "192.0.2.0/24"}"#))
        #expect(open.status == 200, "\(open.text)")
        try lab.eventually("it answers again") { try status().contains("200") }
    }

    /// Instances may be of different vendors: each is asked before any of them gets the list.
    @Test func everyInstanceIsAskedBefore() throws {
        let template = "{{ each list }}{{ each rule }}{{ rule.action }} {{ rule.own }}\n{{ end }}{{ end }}"
        // The second instance refuses an address that the first takes.
        let check = #"test ! -e "$TAPLINE_DIR/strict" || ! grep -q .103 "$TAPLINE_CANDIDATE""#
        let access =
            "access: { application: { template: acl.txt, path: acl.conf, check: '\(check)', "
            + #"reload: 'echo x >> "$TAPLINE_DIR/loads"' } }"#
        let lab = try RecordsLab(
            RecordsLab.usual.replacing("attach: servers }", with: "attach: servers, instances: 2, \(access) }"),
            files: ["acl.txt": template])
        let alice = try lab.token("alice")
        func inside(_ node: String, _ command: String) throws -> String {
            try lab.tapline("exec", lab.name, node, "--", "sh", "-c", command).output
        }
        func put(_ address: String) throws -> RecordsLab.Answer {
            try lab.ask(
                "PUT", "/v1/access/web", token: alice, Self.list(#"{"action": "allow", "own": "\#(address)"}"#))
        }
        _ = try inside("web-2", "touch $TAPLINE_DIR/strict")
        #expect(try put("203.0.113.97").status == 200)
        let loads = try inside("web-1", "cat $TAPLINE_DIR/loads")
        #expect(loads.contains("x"))
        let refused = try put("203.0.113.103")
        #expect(refused.status == 409, "\(refused.text)")
        #expect(try inside("web-1", "cat $TAPLINE_DIR/loads") == loads)
        #expect(try inside("web-1", "cat $TAPLINE_DIR/acl.conf").contains(".97"))
        let events = try Self.events(lab)
        #expect(events.contains("access-refused") && events.contains("web-2"), "\(events)")
    }

    /// What a program says is the operator's to know; the tenant is told that it did not work, and when to try again.
    @Test func aReloadThatFailsIsToldToEachAsIsTheirs() throws {
        let template = "{{ each list }}{{ each rule }}{{ rule.action }} {{ rule.own }}\n{{ end }}{{ end }}"
        let lab = try RecordsLab(
            RecordsLab.usual.replacing(
                "out: inspected } }",
                with:
                    "out: inspected }, access: { application: { template: acl.txt, path: acl.conf, reload: \"cd $TAPLINE_DIR && if grep -q .103 acl.conf; then echo the secret fault; exit 3; fi; cp acl.conf seen.conf\" } } }"
            ), files: ["acl.txt": template])
        let alice = try lab.token("alice")
        func seen(_ name: String) throws -> String {
            try lab.tapline("exec", lab.name, "firewall", "--", "sh", "-c", "cat $TAPLINE_DIR/\(name)").output
        }
        func put(_ address: String) throws -> RecordsLab.Answer {
            try lab.ask(
                "PUT", "/v1/access/firewall", token: alice, Self.list(#"{"action": "allow", "own": "\#(address)"}"#))
        }
        #expect(try put("203.0.113.97").status == 200)
        let refused = try put("203.0.113.103")
        #expect(refused.status == 503 && refused.headers["retry-after"] == "5", "\(refused.text)")
        #expect(
            refused.json["detail"] as? String
                == "the application \"firewall\" refused the list: its operator sees why in events", "\(refused.text)")
        #expect(try seen("acl.conf") == "allow 203.0.113.97\n" && seen("seen.conf") == "allow 203.0.113.97\n")
        #expect(try lab.ask("GET", "/v1/access/firewall", token: alice).text.contains("203.0.113.97"))
        let events = try Self.events(lab)
        #expect(events.contains("access-refused") && events.contains("the secret fault"), "\(events)")
        func reason(_ token: String?) throws -> String? {
            let target = token == nil ? "/v1/audit?tenant=alice" : "/v1/audit"
            let audit = try lab.ask("GET", target, token: token).json["entries"] as? [[String: Any]] ?? []
            let line = audit.first { $0["outcome"] as? String == "failed" }
            #expect(line?["subject"] as? String == "access/firewall", "\(audit)")
            return line?["reason"] as? String
        }
        #expect(try reason(nil)?.contains("the secret fault") == true)
        #expect(try reason(alice) == nil)
        // Somebody in the node has written the file: the next instruction puts it back, even one that changes nothing in it.
        #expect(
            try lab.tapline("exec", lab.name, "firewall", "--", "sh", "-c", "echo other > $TAPLINE_DIR/acl.conf").status
                == 0)
        let same = try put("203.0.113.97")
        #expect(same.status == 200, "\(same.text)")
        #expect(try seen("acl.conf") == "allow 203.0.113.97\n" && seen("seen.conf") == "allow 203.0.113.97\n")
    }

    /// A bump in the wire has no address: its frames are judged where they come in, by the engine, or by both.
    @Test(arguments: ["engine", "application", "[engine, application]"])
    func aBumpInTheWireHasLists(access: String) throws {
        let bump = """
            firewall: { type: firewall, transparent: true, attach: { in: inspection, out: inspected }, access: \(access), \
            setup: ['ip link add name bump type bridge', 'ip link set dev "$TAPLINE_IN" master bump', \
            'ip link set dev "$TAPLINE_OUT" master bump', 'ip link set dev bump up'] }
            """
        let lab = try RecordsLab(
            Self.served.replacing(
                "firewall: { type: firewall, attach: { in: inspection, out: inspected } }", with: bump))
        let alice = try lab.token("alice")
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        let made = try lab.ask("PUT", "/v1/services/shop", token: alice, service)
        #expect(made.status == 200, "\(made.text)")
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
        let list = Self.list(
            #"{"action": "allow", "protocol": "icmp"}"#, otherwise: #"{"action": "deny", "answer": "reset"}"#)
        let put = try lab.ask("PUT", "/v1/access/firewall", token: alice, list)
        #expect(put.status == 200, "\(put.text)")
        #expect(try lab.answers("203.0.113.97") && lab.answers("203.0.113.80"))
        let tried = try Self.connects(lab)
        #expect(tried.output.contains("ConnectionRefusedError"), "\(tried.output)")
        let read = try lab.ask("GET", "/v1/access/firewall", token: alice)
        let hits = (read.json["rules"] as? [[String: Any]])?.first?["hits"] as? [String: [String: Int]]
        // The request and the answer, with 84 octets each, whoever counts.
        for (judge, count) in hits ?? [:] {
            #expect(count["packets"] == 2 && count["octets"] == 168, "\(judge): \(read.text)")
        }
        #expect(hits?.count == (access.contains(",") ? 2 : 1), "\(read.text)")
        // The other answer, of a node without an address as well.
        let told = Self.list(otherwise: #"{"action": "deny", "answer": "icmp"}"#)
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, told).status == 200)
        let ping = try lab.tapline("exec", lab.name, "alice", "--", "ping", "-c", "2", "-W", "2", "203.0.113.97")
        #expect(ping.output.contains("Packet filtered"), "\(ping.output)")
        #expect(try lab.answers("203.0.113.80"))
        #expect(try lab.ask("DELETE", "/v1/access/firewall", token: alice).status == 200)
        #expect(try lab.answers("203.0.113.97") && Self.connects(lab).status == 0)
    }
}
