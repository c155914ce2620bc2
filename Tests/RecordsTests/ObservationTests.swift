import Foundation
import Testing

/// Counters and health of a tenant's own services, judged by `tapline tables` and `tapline status`.
@Suite(.serialized) struct ObservationTests {
    private func entries(_ lab: RecordsLab, _ path: String, _ token: String) throws -> [String: [Int]] {
        let answer = try lab.ask("GET", path, token: token)
        #expect(answer.status == 200, "\(answer.text)")
        let entries = answer.json["entries"] as? [[String: Any]] ?? []
        return Dictionary(
            entries.map { ($0["name"] as? String ?? "", [$0["packets"] as? Int ?? -1, $0["octets"] as? Int ?? -1]) }
        ) { first, _ in first }
    }

    @Test func countersAreThoseOfTheTable() throws {
        let lab = try RecordsLab()
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        for _ in 0..<5 { #expect(try lab.answers("203.0.113.97")) }
        // Of the operator's service of the same name nothing is counted here.
        #expect(try lab.answers("203.0.113.80"))
        let listing = try lab.tapline("tables", lab.name, "--json")
        let tables = try #require(
            try JSONSerialization.jsonObject(with: Data(listing.output.utf8)) as? [String: Any], "\(listing.output)")
        var expected: [String: [Int]] = [:]
        for row in ["distribution", "sequencing"].flatMap({ tables[$0] as? [[String: Any]] ?? [] }) {
            guard let name = row["name"] as? String, name.hasPrefix("alice/shop.") else { continue }
            let counts = [row["packets"] as? Int ?? -1, row["bytes"] as? Int ?? -1]
            expected[name] = zip(expected[name] ?? [0, 0], counts).map { $0 + $1 }
        }
        #expect(expected["alice/shop.request.customers"]?.first == 5, "\(expected)")
        try lab.eventually("the counters are those of the table") {
            try entries(lab, "/v1/services/shop/counters", alice) == expected
        }
        let counters = try lab.ask("GET", "/v1/services/shop/counters", token: alice).json
        #expect((counters["requests"] as? [String: Any])?["packets"] as? Int == 5)
        #expect((counters["responses"] as? [String: Any])?["packets"] as? Int == 5)
        // The operator names the tenant; another tenant has no such service.
        #expect(try lab.ask("GET", "/v1/services/shop/counters?tenant=alice").status == 200)
        #expect(try lab.ask("GET", "/v1/services/shop/counters").status == 400)
        for part in ["counters", "health"] {
            #expect(try lab.ask("GET", "/v1/services/shop/\(part)", token: bob).status == 404)
            #expect(try lab.ask("GET", "/v1/services/shop/\(part)?tenant=alice", token: bob).status == 404)
        }
        let shown = try lab.tapline("service", "show", lab.name, "shop", token: alice)
        #expect(
            shown.status == 0 && shown.output.contains("alice/shop, version 1: in-force")
                && shown.output.contains("alice/shop.request.customers") && shown.output.contains("health: up"),
            "\(shown.output)")
    }

    @Test func healthNamesApplicationsAndNoNode() throws {
        let lab = try RecordsLab(
            RecordsLab.usual.replacing(
                "firewall: { type: firewall, attach: { in: inspection, out: inspected } }",
                with: """
                    firewall: { type: firewall, attach: { in: inspection, out: inspected }, redundancy: active-standby,
                        instances: [hidden-one, hidden-two] }
                    """))
        let alice = try lab.token("alice")
        #expect(try lab.ask("PUT", "/v1/services/shop", token: alice, RecordsLab.service()).status == 200)
        func health() throws -> [String: Any] {
            let answer = try lab.ask("GET", "/v1/services/shop/health", token: alice)
            #expect(answer.status == 200 && !answer.text.contains("hidden"), "\(answer.text)")
            return answer.json
        }
        func states() throws -> [String] {
            let firewall = (try health()["applications"] as? [[String: Any]] ?? []).first {
                $0["name"] as? String == "firewall"
            }
            return (firewall?["instances"] as? [[String: Any]] ?? []).compactMap { $0["state"] as? String }
        }
        try lab.eventually("one instance works, and one waits") { try states() == ["active", "standby"] }
        #expect(try health()["state"] as? String == "up")
        #expect(
            (try health()["applications"] as? [[String: Any]] ?? []).map { $0["name"] as? String } == [
                "ids", "firewall", "web",
            ])
        let out = try lab.tapline("disable", lab.name, "hidden-one")
        #expect(out.status == 0, "\(out.output)")
        try lab.eventually("the other one has taken over") { try states() == ["taken-out", "active"] }
        #expect(try health()["state"] as? String == "degraded")
        #expect(try lab.tapline("disable", lab.name, "hidden-two").status == 0)
        try lab.eventually("none works") { try health()["state"] as? String == "down" }
        #expect(try lab.misses("203.0.113.97"))
    }
}
