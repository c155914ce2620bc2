import Foundation
import Testing

/// Instructions through the whole chain: by curl and by the command line, judged by pings of customers and by `sqlite3`.
@Suite(.serialized) struct InstructionTests {
    @Test func anInstructionIsInForceWhenItIsAnswered() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        #expect(try lab.answers("203.0.113.80"))
        #expect(try lab.misses("203.0.113.97"))
        let made = try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service())
        #expect(made.status == 200, "\(made.text)")
        #expect(try lab.answers("203.0.113.97") && lab.answers("203.0.113.97", to: "bob"))
        #expect(made.headers["etag"] == "\"\(made.json["version"] ?? 0)\"")
        #expect((made.json["generation"] as? Int ?? 0) > 1)
        let read = try lab.ask("GET", "/v1/services/shop", token: alice)
        #expect(
            read.status == 200 && read.headers["etag"] == made.headers["etag"]
                && read.json["state"] as? String == "in-force")
        let moved = try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service("203.0.113.98"))
        #expect(moved.status == 200, "\(moved.text)")
        #expect(try lab.answers("203.0.113.98") && lab.misses("203.0.113.97"))
        let gone = try lab.ask("DELETE", "/v1/services/shop", token: alice)
        #expect(gone.status == 200, "\(gone.text)")
        #expect(try lab.misses("203.0.113.98") && lab.answers("203.0.113.80"))
        #expect(try lab.ask("GET", "/v1/services/shop", token: alice).status == 404)
        let audit = try lab.ask("GET", "/v1/audit", token: alice).json["entries"] as? [[String: Any]] ?? []
        #expect(
            audit.compactMap { $0["outcome"] as? String } == [
                "in-force", "written", "in-force", "written", "in-force", "written", "done",
            ])
        let back = try lab.ask("POST", "/v1/restore", token: alice, "{\"version\": \(made.json["version"] ?? 0)}")
        #expect(back.status == 200, "\(back.text)")
        #expect(try lab.answers("203.0.113.97"))
    }

    @Test func whatIsWrongIsAnsweredWithItsPlaceAndChangesNothing() throws {
        let lab = try RecordsLab()
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        func put(_ body: String, _ name: String = "shop", token: String? = nil, _ headers: [String] = []) throws
            -> RecordsLab.Answer
        {
            try lab.ask("PUT", "/v1/services/\(name)", token: token ?? alice, body, headers: headers)
        }
        #expect(try put(RecordsLab.service("203.0.113")).mistakes == ["/addresses/0 \"203.0.113\" is no address"])
        let foreign = try put(RecordsLab.service("203.0.113.104"))
        #expect(foreign.status == 403 && foreign.mistakes == ["/addresses/0 203.0.113.104 is none of your addresses"])
        let without = try put(RecordsLab.service(sequence: #"["web"]"#))
        #expect(
            without.status == 403
                && without.mistakes == ["/sequence the chain leaves out \"firewall\", which every chain of yours has"])
        // A packet that would be lost: the firewall answers nobody.
        let lost = try put(RecordsLab.service(sequence: #"["web", "firewall"]"#))
        #expect(lost.status == 409 && lost.headers["content-type"] == "application/problem+json", "\(lost.text)")
        #expect(try put("{").status == 400)
        #expect(try put(#"{"addresses": [1], "sequence": ["web"]}"#).status == 422)
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice).status == 415)
        #expect(try put(RecordsLab.service(), "a%2Fb").status == 422)
        #expect(try put(RecordsLab.service(), "shop?dry-run=true").json["dry-run"] as? Bool == true)
        #expect(try lab.ask("GET", "/v1/services", token: alice).json["services"] as? [String] == [])
        #expect(try put(RecordsLab.service()).status == 200)
        let second = try put(RecordsLab.service(), "other")
        #expect(second.status == 409 && second.text.contains("have the same address 203.0.113.97"), "\(second.text)")
        // What is another's looks as if it did not exist.
        #expect(try lab.ask("GET", "/v1/services/shop", token: bob).status == 404)
        #expect(try lab.ask("DELETE", "/v1/services/shop", token: bob).status == 404)
        #expect(try lab.ask("GET", "/v1/services?tenant=alice", token: bob).status == 404)
        #expect(try lab.ask("GET", "/v1/audit", token: bob).text.contains("alice") == false)
        #expect(try lab.ask("GET", "/v1/tenants", token: bob).status == 404)
        #expect(try lab.ask("POST", "/v1/tenants/bob/tokens", token: bob, "{}").status == 404)
        #expect(try lab.ask("PATCH", "/v1/services/shop", token: bob).headers["allow"] == "GET, HEAD, PUT, DELETE")
        #expect(try lab.ask("PATCH", "/v1/nothing", token: bob).status == 404)
        #expect(try lab.ask("GET", "/v1/services", token: bob + "0").status == 401)
        #expect(try lab.ask("GET", "/v1/services?colour=red", token: bob).status == 400)
        #expect(try lab.answers("203.0.113.97"))
    }

    @Test func aRequestIsMadeOnConditionAndOnce() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        func put(_ address: String, _ headers: String...) throws -> RecordsLab.Answer {
            try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service(address), headers: headers)
        }
        #expect(try put("203.0.113.97", "If-Match: *").status == 412)
        let first = try put("203.0.113.97", "If-None-Match: *", "Idempotency-Key: one")
        #expect(first.status == 200, "\(first.text)")
        let again = try put("203.0.113.97", "If-None-Match: *", "Idempotency-Key: one")
        #expect(again.status == 200 && again.text == first.text && again.headers["idempotency-replayed"] == "true")
        #expect(try put("203.0.113.98", "Idempotency-Key: one").status == 422)
        #expect(try put("203.0.113.98", "If-None-Match: *").status == 412)
        let tag = try #require(first.headers["etag"])
        let second = try put("203.0.113.98", "If-Match: \(tag)")
        #expect(second.status == 200)
        #expect(try put("203.0.113.99", "If-Match: \(tag)").status == 412)
        // All or nothing.
        let batch =
            #"{"remove": ["shop"], "put": [{"name": "a", "addresses": ["203.0.113.97"], "ports": ["icmp"], "sequence": ["firewall", "web"]}, {"name": "b", "addresses": ["203.0.113.80"], "sequence": ["firewall", "web"]}]}"#
        let refused = try lab.ask("POST", "/v1/batch", token: alice, batch)
        #expect(
            refused.status == 403 && refused.mistakes == ["/put/1/addresses/0 203.0.113.80 is none of your addresses"],
            "\(refused.text)")
        #expect(try lab.answers("203.0.113.98"))
        let done = try lab.ask("POST", "/v1/batch", token: alice, batch.replacing("203.0.113.80", with: "203.0.113.99"))
        #expect(done.status == 200, "\(done.text)")
        #expect(try lab.misses("203.0.113.98") && lab.answers("203.0.113.97"))
    }

    @Test func aTokenMayDoWhatItWasMadeFor() throws {
        let lab = try RecordsLab()
        let reader = try lab.token("alice", "--read-only")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: reader, RecordsLab.service()).status == 403)
        #expect(try lab.ask("GET", "/v1/services", token: reader).status == 200)
        let id = reader.split(separator: "_")[1]
        #expect(try lab.tapline("tenant", "revoke", lab.name, "alice", String(id)).status == 0)
        #expect(try lab.ask("GET", "/v1/services", token: reader).status == 401)
        #expect(try lab.tapline("tenant", "token", lab.name, "eve").status == 5)
        // The command line, as the operator and as a tenant.
        let put = try lab.tapline(
            "service", "put", lab.name, "shop", "--tenant", "alice", "--address", "203.0.113.97", "--port", "icmp",
            "--sequence", "firewall,web")
        #expect(put.status == 0 && put.output.contains("in force: version 1, table "), "\(put.output)")
        let alice = try lab.token("alice", "--expires", "1h")
        let list = try lab.tapline("service", "list", lab.name, "--json", token: alice)
        #expect(list.status == 0 && list.output.contains("\"state\" : \"in-force\""), "\(list.output)")
        let refused = try lab.tapline(
            "service", "put", lab.name, "shop", "--address", "203.0.113.80", "--sequence", "web", token: alice)
        #expect(
            refused.status == 3 && refused.output.contains("/addresses/0: 203.0.113.80 is none of your addresses"),
            "\(refused.output)")
        for words in [["tenant", "list"], ["tenant", "tokens"], ["audit"]] {
            let shown = try lab.run(
                [RecordsLab.programs.path + "/tapline"] + words + [lab.name] + (words.last == "tokens" ? ["alice"] : [])
            )
            #expect(
                shown.status == 0 && shown.output.contains(words.last == "tokens" ? "revoked" : "alice"),
                "\(shown.output)")
        }
        // Options that are given again add to what they have, as commas do.
        let many = try lab.tapline(
            "service", "put", lab.name, "shop", "--address", "203.0.113.97", "--address", "203.0.113.98,203.0.113.99",
            "--port", "tcp/80", "--port", "icmp,udp/53", "--from", "alice", "--from", "customers", "--distribute",
            "ids",
            "--sequence", "firewall", "--sequence", "web", token: alice)
        #expect(many.status == 0, "\(many.output)")
        let shown = try lab.ask("GET", "/v1/services/shop", token: alice).json
        #expect(shown["addresses"] as? [String] == ["203.0.113.97", "203.0.113.98", "203.0.113.99"])
        #expect(shown["ports"] as? [String] == ["tcp/80", "icmp", "udp/53"])
        #expect(shown["from"] as? [String] == ["alice", "customers"])
        #expect(shown["sequence"] as? [String] == ["firewall", "web"])
        #expect(try lab.tapline("service", "remove", lab.name, "shop", token: alice).status == 0)
        // All of the audit is what its pages have.
        let audit = try lab.tapline("audit", lab.name, "--all", "--json", token: alice)
        let entries = try JSONSerialization.jsonObject(with: Data(audit.output.utf8)) as? [String: Any]
        let page = try lab.ask("GET", "/v1/audit?limit=500", token: alice).json
        #expect((entries?["entries"] as? [Any])?.count == (page["entries"] as? [Any])?.count)
        #expect(try lab.tapline("audit", lab.name, "--all", "--count", "3", token: alice).status == 64)
        #expect(try lab.ask("GET", "/v1/tenants").text.contains("\"name\":\"bob\""))
    }

    @Test func aFloodIsToldToWait() throws {
        let lab = try RecordsLab(
            RecordsLab.usual.replacing(
                "must: [firewall] }", with: "must: [firewall], limits: { instructions: 5/min } }"))
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        let answers = try (0..<6).map { _ in
            try lab.ask("PUT", "/v1/services/shop?dry-run", token: alice, RecordsLab.service())
        }
        #expect(answers.map(\.status) == [200, 200, 200, 200, 200, 429])
        #expect(answers.last?.headers["retry-after"].flatMap { Int($0) }.map { (1...12).contains($0) } == true)
        let other = RecordsLab.service("203.0.113.105").replacing("[\"ids\"]", with: "[]")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: bob, other).status == 200)
    }
}
