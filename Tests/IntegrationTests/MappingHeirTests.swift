import Foundation
import Testing

/// A redundant application: what one instance got is the next one's.
@Suite(.serialized) struct MappingHeirTests {
    private static let topology = """
        name: heirs
        interfaces:
          customers: { address: 192.0.2.1/24 }
          middle:    { address: 198.18.2.1/24 }
          servers:   { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          firewall: { attach: { in: middle, out: servers } }
          game:
            attach: servers
            run: "exec python3 -m http.server 27005"
            ready: { tcp: 27005 }
            instances:
              game-a: { priority: 200, address: 198.18.4.11 }
              game-b: { priority: 100, address: 198.18.4.12 }
            health: { tcp: 27005, interval: 100ms, timeout: 1s }
            negotiate: { addresses: 192.0.1.82, ports: tcp/27000-27009, through: [firewall], lifetime: 30s..1h }
        """

    private func holders(_ lab: Lab) throws -> [[String]] { try lab.mappings().compactMap { $0["nodes"] as? [String] } }

    private func isWorking(_ lab: Lab, _ node: String) throws -> Bool {
        let applications = try #require(try lab.status()["applications"] as? [[String: Any]])
        let instances = applications.flatMap { $0["instances"] as? [[String: Any]] ?? [] }
        let state = instances.first { $0["name"] as? String == node }?["state"] as? String
        return state == "active" || state == "standby"
    }

    @Test func theInstanceThatTakesOverHasTheMapping() throws {
        try Lab.with(Self.topology) { lab in
            func ask(_ node: String, _ address: String, _ nonce: String) throws -> String {
                let request = MappingTests.map(address, nonce: nonce, lifetime: 3600)
                return String(try #require(try lab.ask(node, "198.18.4.1 \(request)").first).prefix(8))
            }
            #expect(try ask("game-a", "198.18.4.11", "01") == "02810000")
            #expect(try holders(lab) == [["game-a"]] && lab.fetches())
            let epoch = try lab.epoch()
            #expect(try lab.tapline("kill", lab.name, "game-a").status == 0)
            #expect(try lab.waitUntil { try holders(lab) == [["game-b"]] })
            #expect(try lab.waitUntil { try lab.fetches() })
            #expect(try lab.epoch() >= epoch, "nothing was lost")
            // Its program knows no nonce: the first one that it sends counts, and no other afterwards.
            #expect(try ask("game-b", "198.18.4.12", "0b") == "02810000")
            #expect(try ask("game-b", "198.18.4.12", "0c") == "02810002")
            // The first one has come back meanwhile: it gets the mapping again.
            #expect(try lab.waitUntil { try isWorking(lab, "game-a") })
            #expect(try lab.tapline("kill", lab.name, "game-b").status == 0)
            #expect(try lab.waitUntil { try holders(lab) == [["game-a"]] && lab.fetches() })
            #expect(try lab.epoch() >= epoch)
            // Nobody is left who could take it.
            #expect(try lab.tapline("disable", lab.name, "game-b").status == 0)
            #expect(try lab.tapline("kill", lab.name, "game-a").status == 0)
            #expect(try lab.waitUntil { try lab.mappings().isEmpty && lab.askedEntries().isEmpty })
            let events = try lab.tapline("events", lab.name, "--text").output
            #expect(events.contains("game-a does not work any more"), "\(events)")
        }
    }
}
