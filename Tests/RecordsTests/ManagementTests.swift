import Foundation
import Testing

/// Instructions from customers' own nodes, by the management address, through the engines.
@Suite(.serialized) struct ManagementTests {
    @Test func aCustomerManagesItsServiceFromItsOwnNode() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let token = try lab.token("alice")
        #expect(try lab.fetch("alice", "GET", "/v1/services").status == 401)
        #expect(try lab.fetch("alice", "GET", "/v1/services", token: token).status == 200)
        let put = try lab.fetch(
            "alice", "PUT", "/v1/services/own", token: token, body: RecordsLab.service())
        #expect(put.status == 200, "\(put.text)")
        #expect(try lab.answers("203.0.113.97"))
        // What is the operator's alone does not exist there.
        #expect(try lab.fetch("alice", "GET", "/v1/tenants", token: token).status == 404)
        #expect(try lab.fetch("alice", "GET", "/v1/tenants").status == 401)
        // The audit has the source.
        let audit = try lab.ask("GET", "/v1/audit?tenant=alice").json
        let origins = (audit["entries"] as? [[String: Any]] ?? []).compactMap { $0["origin"] as? String }
        #expect(origins.contains("192.0.2.2"), "\(audit)")
        // Its service is one like others: it is counted, and its node is shown.
        let tables = try lab.tapline("tables", lab.name, "--json").output
        #expect(tables.contains("records.request.customers"))
        let status = try lab.tapline("status", lab.name).output
        #expect(status.contains("management: https://192.0.2.254"))
        #expect(status.contains("records"))
        #expect(try lab.tapline("graph", lab.file).output.contains("records"))
    }

    @Test func theFingerprintIsThatOfTheCertificateThere() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        let path = try lab.certificate()
        let fingerprint = try #require(try lab.management()["fingerprint"] as? String)
        let seen = try lab.inside(
            "alice",
            [
                "sh", "-c",
                "openssl s_client -connect 192.0.2.254:443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256",
            ])
        #expect(seen.output.contains(fingerprint), "\(seen.output)")
        let kept = try lab.run([
            "openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256", "-ext", "subjectAltName",
        ])
        #expect(kept.output.contains(fingerprint), "\(kept.output)")
        #expect(kept.output.contains("192.0.2.254"), "\(kept.output)")
        // Old versions of TLS are not spoken.
        let old = try lab.inside(
            "alice",
            [
                "sh", "-c",
                "openssl s_client -tls1_1 -cipher DEFAULT@SECLEVEL=0 -connect 192.0.2.254:443 </dev/null 2>&1",
            ])
        #expect(old.output.contains("alert protocol version") && !old.output.contains("BEGIN"), "\(old.output)")
        // The private key is in no file of the topology.
        let found = try lab.run(["grep", "-rl", "PRIVATE KEY", lab.state, lab.folder.path])
        #expect(found.output.isEmpty, "\(found.output)")
    }

    @Test func commandsOfTenantsGoThere() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        let path = try lab.certificate()
        let token = try lab.token("alice")
        let fingerprint = try #require(try lab.management()["fingerprint"] as? String)
        let program = RecordsLab.programs.appendingPathComponent("tapline").path
        func tapline(_ words: String..., token: String? = token) throws -> Finished {
            try lab.inside("alice", [program] + words, environment: token.map { ["TAPLINE_TOKEN": $0] } ?? [:])
        }
        let url = RecordsLab.location
        let put = try tapline(
            "service", "put", "--url", url, "own", "--address", "203.0.113.97", "--port", "icmp", "--sequence",
            "firewall,web", "--certificate-fingerprint", fingerprint)
        #expect(put.status == 0, "\(put.output)")
        let list = try tapline("service", "list", "--url", url, "--ca", path)
        #expect(list.status == 0 && list.output.contains("203.0.113.97"), "\(list.output)")
        #expect(try tapline("audit", "--url", url, "--ca", path).output.contains("putService"))
        let other = fingerprint.replacing(
            fingerprint.first.map(String.init) ?? "", with: fingerprint.first == "0" ? "1" : "0")
        let wrong = try tapline("service", "list", "--url", url, "--certificate-fingerprint", other)
        #expect(wrong.status == 2 && wrong.output.contains("certificate"), "\(wrong.output)")
        // Its own authority has not signed it.
        #expect(try tapline("service", "list", "--url", url).status == 2)
        let none = try tapline("service", "list", "--url", url, "--ca", path, token: nil)
        #expect(none.status == 64 && none.output.contains("TAPLINE_TOKEN"), "\(none.output)")
        let bad = try tapline("service", "list", "--url", "http://192.0.2.254")
        #expect(bad.status == 64 && bad.output.contains("no management address"), "\(bad.output)")
    }

    @Test func aTenantSeesNothingOfAnothers() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        #expect(
            try lab.fetch("alice", "PUT", "/v1/services/own", token: alice, body: RecordsLab.service()).status == 200)
        let seen = try lab.fetch("bob", "GET", "/v1/services/own", token: bob)
        let never = try lab.fetch("bob", "GET", "/v1/services/never", token: bob)
        #expect(seen.status == 404 && seen.text == never.text.replacing("never", with: "own"))
        #expect(try lab.fetch("bob", "GET", "/v1/services?tenant=alice", token: bob).status == 404)
        #expect(try lab.fetch("bob", "DELETE", "/v1/services/own", token: bob).status == 404)
        let foreign = try lab.fetch("bob", "PUT", "/v1/services/own", token: bob, body: RecordsLab.service())
        #expect(foreign.status == 403, "\(foreign.text)")
        #expect(try lab.answers("203.0.113.97"))
    }

    @Test func aTokenForOwnCustomersIsNoneElsewhere() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let token = try lab.token("alice", "--from", "own")
        #expect(try lab.fetch("alice", "GET", "/v1/services", token: token).status == 200)
        let stolen = try lab.fetch("bob", "GET", "/v1/services", token: token)
        let digits = token.split(separator: "_")[1]
        let guessed = token.replacing(digits, with: String(digits.reversed()))
        let unknown = try lab.fetch("bob", "GET", "/v1/services", token: guessed)
        #expect(stolen.status == 401 && stolen == unknown, "\(stolen) \(unknown)")
        #expect(try lab.ask("GET", "/v1/services", token: token).status == 401)
        // The operator learns why, and the tenant does not learn from where.
        let audit = try lab.ask("GET", "/v1/audit?tenant=alice").text
        #expect(audit.contains("the token is valid from the tenant's own customers alone"), "\(audit)")
        #expect(audit.contains("192.0.2.3"), "\(audit)")
        let own = try lab.fetch("alice", "GET", "/v1/audit", token: token)
        #expect(own.status == 200 && !own.text.contains("refused") && !own.text.contains("192.0.2.3"), "\(own.text)")
        let tokens = try lab.tapline("tenant", "tokens", lab.name, "alice").output
        #expect(tokens.contains("own"))
    }

    /// One connection that stays, and a token that does not.
    @Test func aRevokedTokenIsNoneOnAConnectionThatStays() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        let path = try lab.certificate()
        let token = try lab.token("alice")
        let script = """
            import http.client, ssl, sys
            context = ssl.create_default_context(cafile=sys.argv[1])
            connection = http.client.HTTPSConnection("192.0.2.254", context=context)
            def ask():
                connection.request("GET", "/v1/services", headers={"Authorization": "Bearer " + sys.argv[2]})
                answer = connection.getresponse()
                answer.read()
                return answer.status
            print(ask())
            socket = connection.sock
            sys.stdin.readline()
            print(ask(), socket is connection.sock)
            """
        let talk = try lab.talk("alice", script, path, token)
        #expect(try talk.line() == "200")
        let revoked = try lab.tapline("tenant", "revoke", lab.name, "alice", String(token.split(separator: "_")[1]))
        #expect(revoked.status == 0, "\(revoked.output)")
        try talk.go()
        #expect(try talk.line() == "401 True")
        talk.end()
    }
}
