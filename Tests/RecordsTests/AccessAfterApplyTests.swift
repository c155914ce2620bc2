import Foundation
import Testing

/// What a changed file leaves of access lists: packets are still denied, and everybody is told what is not in force any more.
@Suite(.serialized) struct AccessAfterApplyTests {
    private static func file(_ access: String, addresses: String = "203.0.113.96/29", limits: String = "") -> String {
        RecordsLab.usual.replacing("out: inspected } }", with: "out: inspected }, access: \(access) }")
            .replacing(
                "attach: servers }",
                with: "attach: servers, run: \"exec python3 -m http.server 443\", ready: { tcp: 443 } }"
            ).replacing(
                "addresses: 203.0.113.96/29, applications: [ids, firewall, web]",
                with: "addresses: \(addresses), applications: [ids, firewall, web]\(limits)")
    }

    private static func connects(_ lab: RecordsLab) throws -> Bool {
        let script = "import socket; socket.create_connection((\"203.0.113.97\", 443), 2)"
        return try lab.tapline("exec", lab.name, "alice", "--", "python3", "-c", script).status == 0
    }

    @Test(arguments: ["engine", "application"])
    func packetsAreStillDenied(access: String) throws {
        let lab = try RecordsLab(Self.file(access))
        let alice = try lab.token("alice")
        let service = RecordsLab.service(ports: #"["icmp", "tcp/443"]"#)
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, service).status == 200)
        let rules = #"""
            {"rules": [{"action": "deny", "protocol": "tcp", "own": "203.0.113.97"},
                       {"action": "deny", "own": "203.0.113.102"}],
             "default": {"action": "allow"}}
            """#
        #expect(try lab.ask("PUT", "/v1/access/firewall", token: alice, rules).status == 200)
        #expect(try lab.answers("203.0.113.97") && !Self.connects(lab))
        // An address of the second rule is no more the tenant's, and the list has more rules than it may have.
        let narrow = Self.file(access, addresses: "203.0.113.96/30", limits: ", limits: { rules: 1 }")
        try lab.write(narrow)
        let applied = try lab.tapline("apply", lab.file)
        let why = "rule 2 is not in force: 203.0.113.102 is none of the tenant's addresses any more"
        #expect(
            applied.status == 0 && applied.output.contains("the access list of alice on firewall: \(why)"),
            "\(applied.output)")
        #expect(try lab.answers("203.0.113.97") && !Self.connects(lab))
        let status = try lab.tapline("status", lab.name).output
        #expect(status.contains(why), "\(status)")
        let read = try lab.ask("GET", "/v1/access/firewall", token: alice)
        #expect(
            read.json["state"] as? String == "in-part" && read.json["reasons"] as? [String] == [why], "\(read.text)")
        let page = try PageVisitor(lab, token: alice).get("/access/firewall").text
        #expect(
            page.contains("in-part") && page.contains("<li>rule 2 is not in force: 203.0.113.102 is none of"), "\(page)"
        )
        func last() throws -> [String: Any]? {
            let audit = try lab.ask("GET", "/v1/audit", token: alice).json["entries"] as? [[String: Any]] ?? []
            return audit.first { $0["subject"] as? String == "access/firewall" }
        }
        try lab.eventually("the audit has it") { try last()?["outcome"] as? String == "in-part" }
        #expect(try last()?["reason"] as? String == why && last()?["instruction"] as? String == "apply")
        // What is kept is tolerated; what is new is not.
        let refused = try lab.ask(
            "PUT", "/v1/access/firewall", token: alice, rules.replacing("203.0.113.102", with: "203.0.113.98"))
        #expect(
            refused.status == 403
                && refused.mistakes == [
                    "/rules there is room for 1 rule in all lists together, and this makes 2"
                ], "\(refused.text)")
        // Another tenant's instruction goes its way.
        let bob = try lab.ask(
            "PUT", "/v1/access/firewall", token: try lab.token("bob"), #"{"rules": [], "default": {"action": "deny"}}"#)
        #expect(bob.status == 200, "\(bob.text)")
        #expect(try lab.answers("203.0.113.97") && !Self.connects(lab))
        // The same from an old database.
        try lab.down()
        try lab.up()
        #expect(try lab.answers("203.0.113.97") && !Self.connects(lab))
        #expect(try lab.tapline("status", lab.name).output.contains(why))
        // With the former file, all of it is in force again.
        try lab.write(Self.file(access))
        #expect(try lab.tapline("apply", lab.file).status == 0)
        #expect(try lab.ask("GET", "/v1/access/firewall", token: alice).json["state"] as? String == "in-force")
        try lab.eventually("the audit has it") { try last()?["outcome"] as? String == "in-force" }
        #expect(try lab.answers("203.0.113.97") && !Self.connects(lab))
    }

    /// One tenant's change touches nothing of another's, and its counts go on.
    @Test func oneTenantsChangeLeavesTheOthersChain() throws {
        let lab = try RecordsLab(Self.file("application"))
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        func put(_ token: String, _ port: Int) throws -> Int {
            let list =
                #"{"rules": [{"action": "deny", "protocol": "tcp", "own-ports": ["\#(port)"]}, {"action": "allow", "protocol": "icmp"}], "default": {"action": "deny"}}"#
            return try lab.ask("PUT", "/v1/access/firewall", token: token, list).status
        }
        func rules(_ tenant: String) throws -> [String] {
            // With handles: a rule that is written again has another one.
            let words = ["nft", "-a", "-s", "list", "chain", "inet", "tapline_access", "of_\(tenant)"]
            let listing = try lab.run(
                [RecordsLab.programs.path + "/tapline", "exec", lab.name, "firewall", "--"] + words)
            return listing.output.split(separator: "\n").map(String.init)
        }
        #expect(try put(alice, 80) == 200 && put(bob, 80) == 200)
        #expect(try lab.answers("203.0.113.97") && lab.answers("203.0.113.97"))
        func hits() throws -> Int? {
            let read = try lab.ask("GET", "/v1/access/firewall", token: alice)
            let rule = (read.json["rules"] as? [[String: Any]])?.last
            return ((rule?["hits"] as? [String: Any])?["application"] as? [String: Any])?["packets"] as? Int
        }
        let before = try rules("alice")
        try lab.eventually("the packets are counted") { try hits() == 4 }
        let bobs = try rules("bob")
        for port in 81...83 { #expect(try put(bob, port) == 200) }
        #expect(try rules("alice") == before && rules("bob") != bobs)
        // Removing it changes which chains packets are led to, and still no chain of another's.
        #expect(try lab.ask("DELETE", "/v1/access/firewall", token: bob).status == 200)
        #expect(try rules("alice") == before)
        try lab.eventually("the packets are still counted") { try hits() == 4 }
        #expect(try lab.answers("203.0.113.97"))
        try lab.eventually("further packets are counted") { try hits() == 6 }
        // Nothing of all that was something that a node had changed.
        #expect(try !lab.tapline("events", lab.name).output.contains("access-restored"))
    }
}
