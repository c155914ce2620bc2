import Foundation
import Testing

/// Where a mistake is: the JSON pointer leads to the very member of the body, in single instructions, batches and dry runs, for a
/// tenant and for the operator alike.
@Suite(.serialized) struct PointerTests {
    private static let file = RecordsLab.usual.replacing(
        "out: inspected } }", with: "out: inspected }, access: engine }"
    ).replacing(
        "applications: [ids, firewall, web], must: [firewall] }",
        with:
            "applications: [ids, firewall, web], must: [firewall], limits: { services: 3, rules: 4, instructions: 1000/s } }"
    )

    private static func service(_ name: String, _ address: String, _ more: String = "") -> String {
        #"{"name": "\#(name)", "addresses": ["\#(address)"], "ports": ["icmp"], "sequence": ["firewall", "web"]\#(more)}"#
    }

    private static func list(_ rules: String...) -> String {
        #"{"application": "firewall", "rules": [\#(rules.joined(separator: ", "))], "default": {"action": "deny"}}"#
    }

    private static let allow = #"{"action": "allow", "protocol": "icmp"}"#

    /// A request, the status of its answer, and the pointers in that.
    private struct Case {
        var method = "POST"
        var target = "/v1/batch"
        var body: String
        var status: Int
        var pointers: [String]
    }

    private static let good = service("good", "203.0.113.98")

    private static let batches: [Case] = [
        // Its form.
        Case(body: "[]", status: 422, pointers: [""]),
        Case(body: "{}", status: 422, pointers: [""]),
        Case(body: #"{"put": {}}"#, status: 422, pointers: ["/put"]),
        Case(body: #"{"put": [\#(good)], "more": 1}"#, status: 422, pointers: ["/more"]),
        Case(body: #"{"put": [\#(good), 7]}"#, status: 422, pointers: ["/put/1"]),
        Case(
            body: #"{"put": [\#(good), {"name": "b", "addresses": ["203.0.113.99"]}]}"#, status: 422,
            pointers: ["/put/1"]),
        Case(body: #"{"put": [\#(good), \#(service("b/c", "203.0.113.99"))]}"#, status: 422, pointers: ["/put/1/name"]),
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.99", #", "from": ["x", 1]"#))]}"#, status: 422,
            pointers: ["/put/1/from/1"]),
        Case(body: #"{"remove": ["shop", 1]}"#, status: 422, pointers: ["/remove/1"]),
        Case(body: #"{"put-access": [{"application": "firewall"}]}"#, status: 422, pointers: ["/put-access/0"]),
        Case(
            body: #"{"put-access": [\#(list(allow, #"{"protocol": "icmp"}"#))]}"#, status: 422,
            pointers: ["/put-access/0/rules/1"]),
        // Named twice.
        Case(
            body: #"{"put": [\#(good), \#(service("good", "203.0.113.99"))]}"#, status: 422, pointers: ["/put/1/name"]),
        Case(body: #"{"put": [\#(good)], "remove": ["shop", "good"]}"#, status: 422, pointers: ["/remove/1"]),
        Case(body: #"{"remove": ["shop", "shop", "shop"]}"#, status: 422, pointers: ["/remove/1", "/remove/2"]),
        Case(
            body: #"{"put-access": [\#(list()), \#(list(allow))]}"#, status: 422,
            pointers: ["/put-access/1/application"]),
        Case(
            body: #"{"put-access": [\#(list())], "remove-access": ["firewall"]}"#, status: 422,
            pointers: ["/remove-access/0"]),
        // What is not there.
        Case(body: #"{"put": [\#(good)], "remove": ["shop", "gone"]}"#, status: 404, pointers: ["/remove/1"]),
        Case(body: #"{"put": [\#(good)], "remove-access": ["web"]}"#, status: 404, pointers: ["/remove-access/0"]),
        // Values that are none.
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113"))]}"#, status: 422, pointers: ["/put/1/addresses/0"]),
        Case(
            body: #"{"put": [\#(good.replacing("icmp", with: "80")), \#(service("b", "203.0.113.99/29"))]}"#,
            status: 422, pointers: ["/put/0/ports/0", "/put/1/addresses/0"]),
        Case(
            body:
                #"{"put": [\#(good)], "put-access": [\#(list(allow, #"{"action": "allow", "protocol": "icmp", "remote": "x"}"#))]}"#,
            status: 422, pointers: ["/put-access/0/rules/1/remote"]),
        // What the tenant may not do.
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.104"))]}"#, status: 403,
            pointers: ["/put/1/addresses/0"]),
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.99").replacing("\"web\"", with: "\"cache\""))]}"#,
            status: 403, pointers: ["/put/1/sequence/1"]),
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.99").replacing("\"firewall\", ", with: ""))]}"#,
            status: 403, pointers: ["/put/1/sequence"]),
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.99", #", "distribute": ["ids", "tap"]"#))]}"#,
            status: 403, pointers: ["/put/1/distribute/1"]),
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.99", #", "from": ["alice", "bob"]"#))]}"#,
            status: 403, pointers: ["/put/1/from/1"]),
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.99")), \#(service("c", "203.0.113.100"))]}"#,
            status: 403, pointers: ["/put/2"]),
        Case(
            body:
                #"{"put": [\#(good)], "put-access": [\#(list(allow, #"{"action": "deny", "own": "203.0.113.104"}"#))]}"#,
            status: 403, pointers: ["/put-access/0/rules/1/own"]),
        Case(
            body: #"{"put": [\#(good)], "put-access": [\#(list().replacing("firewall", with: "web"))]}"#, status: 403,
            pointers: ["/put-access/0"]),
        Case(
            body: #"{"put": [\#(good)], "put-access": [\#(list(allow, allow, allow, allow, allow))]}"#, status: 403,
            pointers: ["/put-access/0/rules"]),
        // What contradicts another.
        Case(
            body: #"{"put": [\#(service("a", "203.0.113.98")), \#(service("b", "203.0.113.98"))]}"#, status: 409,
            pointers: ["/put/1/addresses/0"]),
        Case(
            body: #"{"put": [\#(good), \#(service("b", "203.0.113.97"))]}"#, status: 409,
            pointers: ["/put/1/addresses/0"]),
    ]

    private static let singles: [Case] = [
        Case(
            method: "PUT", target: "/v1/services/b", body: RecordsLab.service("203.0.113"), status: 422,
            pointers: ["/addresses/0"]),
        Case(
            method: "PUT", target: "/v1/services/b", body: RecordsLab.service(ports: #"["icmp", "x"]"#), status: 422,
            pointers: ["/ports/1"]),
        Case(
            method: "PUT", target: "/v1/services/b", body: RecordsLab.service("203.0.113.104"), status: 403,
            pointers: ["/addresses/0"]),
        Case(
            method: "PUT", target: "/v1/services/b", body: RecordsLab.service(sequence: #"["firewall", "cache"]"#),
            status: 403, pointers: ["/sequence/1"]),
        Case(
            method: "PUT", target: "/v1/services/b", body: RecordsLab.service("203.0.113.97"), status: 409,
            pointers: ["/addresses/0"]),
        Case(
            method: "PUT", target: "/v1/access/firewall",
            body: #"{"rules": [{"action": "allow"}, {"action": "pass"}], "default": {"action": "deny"}}"#, status: 422,
            pointers: ["/rules/1/action"]),
        Case(
            method: "PUT", target: "/v1/access/firewall", body: #"{"default": {"action": "deny", "answer": "shout"}}"#,
            status: 422, pointers: ["/default/answer"]),
        Case(
            method: "PUT", target: "/v1/access/firewall",
            body: #"{"rules": [{"action": "allow", "own": "192.0.2.9"}], "default": {"action": "deny"}}"#, status: 403,
            pointers: ["/rules/0/own"]),
        Case(method: "POST", target: "/v1/restore", body: #"{"version": 999}"#, status: 404, pointers: ["/version"]),
        Case(method: "POST", target: "/v1/restore", body: #"{"version": "1"}"#, status: 422, pointers: ["/version"]),
        Case(method: "POST", target: "/v1/restore", body: "{}", status: 422, pointers: ["/version"]),
    ]

    private static func pointers(_ answer: RecordsLab.Answer) -> [String] {
        (answer.json["errors"] as? [[String: Any]] ?? []).map { $0["pointer"] as? String ?? "none" }.sorted()
    }

    @Test func everyMistakeHasItsPlaceInTheBody() throws {
        let lab = try RecordsLab(Self.file)
        let alice = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        for one in Self.batches + Self.singles {
            for (more, token) in [
                ("", alice), ("?dry-run", alice), ("?tenant=alice", nil), ("?tenant=alice&dry-run=true", nil),
            ] {
                let answer = try lab.ask(one.method, one.target + more, token: token, one.body)
                #expect(
                    answer.status == one.status && Self.pointers(answer) == one.pointers,
                    "\(one.method) \(one.target)\(more) \(one.body): \(answer.text)")
            }
        }
        // Nothing of it was done.
        let kept = try lab.ask("GET", "/v1/services", token: alice).json["services"] as? [[String: Any]] ?? []
        #expect(kept.map { $0["name"] as? String } == ["shop"])
        #expect(try lab.ask("GET", "/v1/access", token: alice).json["access"] as? [String] == [])
    }

    /// What is wanted follows from a version: so does what is wrong with it.
    @Test func aVersionThatCannotComeBackIsTheMistake() throws {
        let lab = try RecordsLab(Self.file)
        let alice = try lab.token("alice")
        let first = try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service())
        #expect(first.status == 200, "\(first.text)")
        #expect(try lab.ask("DELETE", "/v1/services/shop", token: alice).status == 200)
        try lab.write(Self.file.replacing("addresses: 203.0.113.96/29", with: "addresses: 203.0.113.100/30"))
        let applied = try lab.tapline("apply", lab.name)
        #expect(applied.status == 0, "\(applied.output)")
        for more in ["", "?dry-run"] {
            let back = try lab.ask(
                "POST", "/v1/restore\(more)", token: alice, #"{"version": \#(first.json["version"] ?? 0)}"#)
            #expect(back.status == 403 && Self.pointers(back) == ["/version"], "\(back.text)")
        }
    }
}
