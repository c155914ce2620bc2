import Foundation
import Testing

/// The customers' page at the management address: over TLS, from customers' own nodes.
@Suite(.serialized) struct ManagedPageTests {
    /// Sends a form to the page, and gets the head of the answer with its body.
    private func send(
        _ lab: RecordsLab, _ node: String, _ path: String, _ fields: [String: String], _ more: [String] = []
    ) throws -> (status: Int, text: String) {
        let form = fields.flatMap { ["--data-urlencode", "\($0.key)=\($0.value)"] }
        return try lab.fetch(node, "POST", path, ["-D", "-"] + form + more)
    }

    /// The cookie that a node gets for a token.
    private func logIn(_ lab: RecordsLab, _ node: String, _ token: String) throws -> String {
        let answer = try send(lab, node, "/login", ["token": token])
        try #require(answer.status == 303, "\(answer.text)")
        let line = try #require(
            answer.text.split(whereSeparator: \.isNewline).first { $0.lowercased().hasPrefix("set-cookie: ") })
        return String(line.dropFirst("set-cookie: ".count))
    }

    @Test func aCookieOfTLSIsForThisAddressAlone() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let cookie = try logIn(lab, "alice", lab.token("alice"))
        #expect(cookie.hasPrefix("__Host-tapline="))
        for part in ["; Path=/", "; HttpOnly", "; SameSite=Strict", "; Secure"] {
            #expect(cookie.contains(part), "\(cookie)")
        }
        let pair = String(cookie.prefix { $0 != ";" })
        let page = try lab.fetch("alice", "GET", "/", ["-H", "Cookie: \(pair)"])
        #expect(page.status == 200 && page.text.contains("<strong>alice</strong>"), "\(page.text)")
        // The name without the prefix, which a neighbour could set, is no session.
        let renamed = pair.replacing("__Host-tapline", with: "tapline-services")
        #expect(try lab.fetch("alice", "GET", "/", ["-H", "Cookie: \(renamed)"]).status == 303)
    }

    @Test func aSessionOfATokenFromOwnIsValidThereAlone() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let token = try lab.token("alice", "--from", "own")
        #expect(try send(lab, "bob", "/login", ["token": token]).status == 401)
        let pair = String(try logIn(lab, "alice", token).prefix { $0 != ";" })
        for path in ["/", "/history", "/access", "/new-service"] {
            #expect(try lab.fetch("alice", "GET", path, ["-H", "Cookie: \(pair)"]).status == 200, "\(path)")
            let stolen = try lab.fetch("bob", "GET", path, ["-H", "Cookie: \(pair)"])
            #expect(stolen.status != 200 && !stolen.text.contains("203.0.113."), "\(path): \(stolen.text)")
        }
    }

    @Test func wrongTokensAreCountedByAddress() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        // Each comes by a connection, and so from a port, of its own.
        let answers = try (0..<11).map { _ in try send(lab, "alice", "/login", ["token": "x"]).status }
        #expect(answers == Array(repeating: 401, count: 10) + [429])
        _ = try logIn(lab, "bob", lab.token("bob"))
    }

    @Test func aTrialTellsNothingOfOthers() throws {
        let lab = try RecordsLab(RecordsLab.managed())
        _ = try lab.certificate()
        let pair = String(try logIn(lab, "alice", lab.token("alice")).prefix { $0 != ";" })
        let cookie = ["-H", "Cookie: \(pair)"]
        let page = try lab.fetch("alice", "GET", "/new-service", cookie).text
        let secret = try #require(page.components(separatedBy: "name=\"secret\" value=\"").dropFirst().first)
        let fields = PageVisitor.service().merging(
            ["do": "check", "secret": String(secret.prefix { $0 != "\"" })]) { first, _ in first }
        let tried = try send(lab, "alice", "/new-service", fields, cookie)
        #expect(tried.status == 200 && tried.text.contains("table: entries"), "\(tried.text)")
        #expect(!tried.text.contains("as before") && !tried.text.contains("bob"), "\(tried.text)")
        // The operator sees how many entries of others there are.
        let all = try lab.ask(
            "PUT", "/v1/services/shop?tenant=alice&dry-run=true",
            #"{"addresses": ["203.0.113.97"], "ports": ["icmp"], "sequence": ["firewall", "web"]}"#)
        #expect(all.status == 200 && all.text.contains("as before"), "\(all.text)")
    }
}
