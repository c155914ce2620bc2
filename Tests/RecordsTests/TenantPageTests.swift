import Foundation
import Testing

/// The customers' page as curl and attackers see it.
@Suite(.serialized) struct TenantPageTests {
    @Test func onlyATokenOpensIt() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        let stranger = PageVisitor(lab)
        // The operator's socket makes nobody the operator here.
        for path in ["/", "/history", "/new-service", "/services/shop"] {
            let answer = try stranger.get(path)
            #expect(answer.status == 303 && answer.headers["location"] == "/login", "\(path)")
        }
        #expect(try stranger.get("/login").text.contains("type=\"password\""))
        for wrong in ["", "x", alice + "0", String(alice.dropLast()) + (alice.hasSuffix("0") ? "1" : "0")] {
            let answer = try stranger.post("/login", ["token": wrong])
            #expect(answer.status == 401 && answer.headers["set-cookie"] == nil, "\(wrong)")
            #expect(!answer.text.contains(alice.dropLast()))
        }
        let answer = try stranger.post("/login", ["token": alice])
        let cookie = try #require(answer.headers["set-cookie"])
        #expect(answer.status == 303 && answer.headers["location"] == "/")
        for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/"] { #expect(cookie.contains(part), "\(cookie)") }
        #expect(!cookie.contains(alice) && !cookie.contains(alice.suffix(16)))
        var visitor = PageVisitor(lab)
        visitor.cookie = String(cookie.prefix { $0 != ";" })
        let page = try visitor.get("/")
        #expect(page.status == 200 && page.text.contains("<strong>alice</strong>"))
        #expect(page.headers["content-security-policy"]?.hasPrefix("default-src 'none'; script-src 'self'") == true)
        #expect(page.headers["cache-control"] == "no-store")
        // The cookie opens the page, and never the API: there it is nothing.
        let api = try visitor.get("/v1/audit?tenant=bob")
        #expect(api.status == 200 && !api.text.contains("alice"))
        #expect(try visitor.post("/logout", [:]).status == 303)
        #expect(try visitor.get("/").headers["location"] == "/login")
    }

    @Test func wrongTokensAreCountedByPlace() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        let visitor = PageVisitor(lab)
        let answers = try (0..<11).map { _ in try visitor.post("/login", ["token": "x"]) }
        #expect(answers.map(\.status) == Array(repeating: 401, count: 10) + [429])
        #expect(answers.last?.headers["retry-after"].flatMap { Int($0) }.map { (1...61).contains($0) } == true)
        // The right one has to wait, too: nobody learns which one it is.
        #expect(try visitor.post("/login", ["token": alice]).status == 429)
    }

    @Test func aFormChangesWhatTheAPIWould() throws {
        let lab = try RecordsLab()
        let alice = try lab.token("alice")
        let visitor = try PageVisitor(lab, token: alice)
        let made = try visitor.post("/new-service", PageVisitor.service())
        #expect(made.status == 303 && made.headers["location"] == "/services/shop", "\(made.text)")
        #expect(try lab.answers("203.0.113.97"))
        #expect(try visitor.get("/services/shop").text.contains("shop is in force: version 1."))
        // It is said once.
        #expect(try !visitor.get("/services/shop").text.contains("shop is in force: version 1."))
        let kept = try lab.ask("GET", "/v1/services/shop", token: alice)
        #expect(kept.json["sequence"] as? [String] == ["firewall", "web"] && kept.json["version"] as? Int == 1)
        let twice = try visitor.post("/new-service", PageVisitor.service())
        #expect(twice.status == 412 && twice.text.contains("exists already"), "\(twice.status)")
        // Mistakes stand at their fields.
        let wrong = try visitor.post("/new-service", PageVisitor.service("other", "203.0.113.4"))
        #expect(wrong.status == 403)
        #expect(
            wrong.text.contains("id=\"e-addresses\"><li>203.0.113.4 is none of your addresses")
                && wrong.text.contains("<title>Error: New service"), "\(wrong.text)")
        #expect(try visitor.post("/new-service", ["addresses": "203.0.113.98"]).text.contains("id=\"e-name\""))
        let lost = try visitor.post(
            "/new-service", PageVisitor.service("other", "203.0.113.98", sequence: "web, firewall"))
        #expect(lost.status == 409 && lost.text.contains("id=\"problem\""), "\(lost.status)")
        let tried = try visitor.post(
            "/new-service", PageVisitor.service("other", "203.0.113.98").merging(["do": "check"]) { $1 })
        #expect(tried.status == 200 && tried.text.contains("It can be done"), "\(tried.text)")
        #expect(try lab.misses("203.0.113.98"))
        // A form of a version that is old by now changes nothing.
        var form = PageVisitor.service("shop", "203.0.113.99")
        form["version"] = "0"
        #expect(try visitor.post("/services/shop", form).status == 412)
        form["version"] = "1"
        #expect(try visitor.post("/services/shop", form).status == 303)
        #expect(try lab.answers("203.0.113.99") && lab.misses("203.0.113.97"))
        #expect(try visitor.post("/services/shop/remove", ["version": "2"]).status == 303)
        #expect(try lab.misses("203.0.113.99"))
        // A form that is sent twice is done once.
        let once = ["version": "1", "once": "the-same"]
        #expect(try visitor.post("/restore", once).status == 303)
        #expect(try visitor.post("/restore", once).status == 303)
        #expect(try lab.answers("203.0.113.97"))
        let entries = try lab.ask("GET", "/v1/audit", token: alice).json["entries"] as? [[String: Any]] ?? []
        #expect(entries.filter { $0["instruction"] as? String == "restoreServices" }.count == 2)
        #expect(entries.first?["origin"] as? String == "operator's socket, by the page")
        #expect(try visitor.get("/history").text.contains("Restore version 1"))
    }

    /// Rule by rule; judged by pings through the firewall's own nftables.
    @Test func accessListsAreChangedRuleByRule() throws {
        let lab = try RecordsLab(
            RecordsLab.usual.replacing("out: inspected } }", with: "out: inspected }, access: application }"))
        let visitor = try PageVisitor(lab, token: lab.token("alice"))
        #expect(try visitor.post("/new-service", PageVisitor.service()).status == 303)
        func change(_ fields: [String: String]) throws -> RecordsLab.Answer {
            let page = try visitor.get("/access/firewall").text
            let version = page.components(separatedBy: "name=\"version\" value=\"").dropFirst().first
            let known = version.map { String($0.prefix { $0 != "\"" }) } ?? ""
            return try visitor.post("/access/firewall", fields.merging(["version": known]) { first, _ in first })
        }
        #expect(try visitor.get("/access").text.contains("href=\"/access/firewall\""))
        #expect(try visitor.get("/access/web").status == 404 && visitor.get("/access/nothing").status == 404)
        let evil = "<script>alert(1)</script>"
        let closed = try change(["do": "add", "action": "deny", "protocol": "icmp", "comment": evil])
        #expect(closed.status == 303, "\(closed.text)")
        #expect(try lab.misses("203.0.113.97") && lab.answers("203.0.113.80"))
        let page = try visitor.get("/access/firewall").text
        #expect(page.contains("deny icmp") && page.contains("<bdi>&lt;script&gt;") && !page.contains(evil))
        // A rule before it opens the service to alice alone.
        #expect(
            try change(["do": "add", "action": "allow", "protocol": "icmp", "remote": "192.0.2.2", "place": "1"]).status
                == 303)
        #expect(try lab.answers("203.0.113.97") && lab.misses("203.0.113.97", to: "bob"))
        #expect(try change(["do": "down", "index": "0"]).status == 303)
        #expect(try lab.misses("203.0.113.97"))
        #expect(try change(["do": "up", "index": "1"]).status == 303)
        #expect(try lab.answers("203.0.113.97"))
        // A mistake stands at its field, and changes nothing.
        let wrong = try change(["do": "replace", "index": "0", "action": "allow", "own": "203.0.113.4"])
        #expect(wrong.status >= 400 && wrong.text.contains("id=\"e-own\""), "\(wrong.text)")
        #expect(try change(["do": "delete", "index": "7"]).status == 412)
        #expect(try change(["do": "delete", "index": "0", "version": "1"]).status == 412)
        #expect(try visitor.get("/access/firewall?rule=1").text.contains("value=\"192.0.2.2"))
        #expect(try change(["do": "delete", "index": "0"]).status == 303)
        #expect(try lab.misses("203.0.113.97"))
        #expect(try change(["do": "remove"]).status == 303)
        #expect(try lab.answers("203.0.113.97"))
        #expect(try change(["do": "default", "default": "deny icmp"]).status == 303)
        #expect(try lab.misses("203.0.113.97"))
        #expect(try visitor.get("/history").text.contains("access/firewall"))
    }

    @Test func nothingOfOthersIsThere() throws {
        let lab = try RecordsLab()
        let alice = try PageVisitor(lab, token: lab.token("alice"))
        let bob = try PageVisitor(lab, token: lab.token("bob"))
        #expect(try alice.post("/new-service", PageVisitor.service("secret-shop")).status == 303)
        for path in ["/", "/history", "/new-service"] {
            #expect(try !bob.get(path).text.contains("secret-shop"), "\(path)")
        }
        #expect(try bob.get("/services/secret-shop").status == 404)
        #expect(try bob.post("/services/secret-shop/remove", ["version": "1"]).status == 404)
        // A secret of another session is none.
        #expect(try bob.post("/restore", ["version": "0", "secret": try alice.secret()]).status == 403)
        let reader = try PageVisitor(lab, token: lab.token("alice", "--read-only"))
        let page = try reader.get("/services/secret-shop").text
        #expect(page.contains("(may only look)") && !page.contains("/remove"))
        #expect(try reader.post("/services/secret-shop/remove", ["version": "1"]).status == 403)
        #expect(try lab.answers("203.0.113.97"))
    }

    @Test func aRevokedTokenEndsItsSessions() throws {
        let lab = try RecordsLab()
        let token = try lab.token("alice")
        let (visitor, other) = (try PageVisitor(lab, token: token), try PageVisitor(lab, token: lab.token("alice")))
        let secret = try visitor.secret()
        #expect(try visitor.get("/").status == 200)
        let id = String(token.split(separator: "_")[1])
        #expect(try lab.tapline("tenant", "revoke", lab.name, "alice", id).status == 0)
        #expect(try visitor.get("/").headers["location"] == "/login")
        let late = try visitor.post("/new-service", PageVisitor.service().merging(["secret": secret]) { $1 })
        #expect(late.status == 303 && late.headers["location"] == "/login")
        #expect(try lab.misses("203.0.113.97"))
        #expect(try other.get("/").status == 200)
    }

    @Test func otherSitesChangeNothing() throws {
        let lab = try RecordsLab()
        let visitor = try PageVisitor(lab, token: lab.token("alice"))
        let form = PageVisitor.service()
        let foreign = [
            ["Origin: https://evil.example"], ["Origin: null"], ["Sec-Fetch-Site: cross-site"],
            ["Sec-Fetch-Site: same-site"], ["Origin: http://tapline.evil.example"],
        ]
        for headers in foreign {
            #expect(try visitor.post("/new-service", form, headers: headers).status == 403, "\(headers)")
            #expect(try visitor.post("/login", ["token": "x"], headers: headers).status == 403, "\(headers)")
            #expect(try visitor.post("/logout", [:], headers: headers).status == 403, "\(headers)")
        }
        for secret in ["wrong", String(repeating: "0", count: 64)] {
            #expect(try visitor.post("/new-service", form.merging(["secret": secret]) { $1 }).status == 403)
        }
        // A form of another type is none: pages of other sites can send these without asking.
        let plain = try lab.ask(
            "POST", "/new-service", headers: ["Cookie: \(visitor.cookie ?? "")", "Content-Type: text/plain"],
            form: "secret=\(try visitor.secret())&name=shop")
        #expect(plain.status == 415)
        #expect(try visitor.get("/logout").status == 405 && visitor.get("/restore").status == 405)
        #expect(try lab.ask("GET", "/v1/services?tenant=alice").json["services"] as? [String] == [])
        let own = ["Origin: http://tapline", "Sec-Fetch-Site: same-origin"]
        #expect(try visitor.post("/new-service", form, headers: own).status == 303)
    }

    @Test func hostileTextsStayTexts() throws {
        let lab = try RecordsLab()
        let visitor = try PageVisitor(lab, token: lab.token("alice"))
        let evil = "\"><script>alert(1)</script>' onmouseover='x"
        let fields = ["name", "addresses", "ports", "sequence", "distribute", "from", "version"]
        let answer = try visitor.post(
            "/new-service", Dictionary(uniqueKeysWithValues: fields.map { ($0, evil) }).merging(["version": ""]) { $1 })
        #expect(answer.status >= 400)
        for path in [
            "/services/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/?after=%3Cscript%3E",
            "/history?after=%3Cscript%3E",
            "/%3Cscript%3E", "/services/..%2f..%2fv1", "/?a=1&a=2", "/%00", "/%zz",
        ] {
            let answer = try visitor.get(path)
            #expect(answer.status >= 400 && answer.status < 500, "\(path) \(answer.status)")
            #expect(!answer.text.contains("<script>alert") && !answer.text.contains("<script>\""), "\(path)")
        }
        #expect(!answer.text.contains("<script>alert") && !answer.text.contains("' onmouseover='"), "\(answer.text)")
    }
}
