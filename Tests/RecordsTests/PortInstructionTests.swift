import Foundation
import Testing

/// Tenants whose services translate ports, at one application that they share.
@Suite(.serialized) struct PortInstructionTests {
    @Test func tenantsShareAnApplicationByItsPorts() throws {
        let text = RecordsLab.usual.replacing(
            "web: { type: web-server, attach: servers }",
            with: """
                web: { type: web-server, attach: servers, send: network, run: "exec socat TCP4-LISTEN:8081,fork,reuseaddr EXEC:'echo this is 8081'", ready: { tcp: 8081 } }
                """)
        let lab = try RecordsLab(text)
        let (alice, bob) = (try lab.token("alice"), try lab.token("bob"))
        func put(_ token: String, _ address: String, _ port: String) throws -> RecordsLab.Answer {
            try lab.ask(
                "PUT", "/v1/services/shop", token: token,
                #"{"addresses": ["\#(address)"], "ports": ["\#(port)"], "sequence": ["firewall", "web"]}"#)
        }
        func page(_ address: String, _ port: Int, to node: String) throws -> String {
            try lab.tapline(
                "exec", lab.name, node, "--", "socat", "-t", "20", "-", "TCP4:\(address):\(port),connect-timeout=20"
            )
            .output
        }
        let unequal = try put(alice, "203.0.113.97", "tcp/80-81 -> 8081")
        #expect(unequal.status == 422, "\(unequal.text)")
        #expect(unequal.mistakes == ["/ports/0 the service port: tcp/80-81 is 2 ports, and 8081 is 1"])
        let made = try put(alice, "203.0.113.97", "tcp/80 -> 8081")
        #expect(made.status == 200, "\(made.text)")
        #expect(try page("203.0.113.97", 80, to: "alice") == "this is 8081\n")
        #expect(
            try lab.ask("GET", "/v1/services/shop", token: alice).json["ports"] as? [String] == ["tcp/80 -> 8081"])
        // Nothing of the other tenant's is told.
        let conflict = try put(bob, "203.0.113.105", "tcp/25 -> 8081")
        #expect(conflict.status == 409, "\(conflict.text)")
        #expect(!conflict.text.contains("alice") && !conflict.text.contains("tcp/80"), "\(conflict.text)")
        #expect(try put(bob, "203.0.113.105", "tcp/25 -> 8082").status == 200)
        #expect(try page("203.0.113.97", 80, to: "alice") == "this is 8081\n")
        let moved = try put(bob, "203.0.113.105", "tcp/25 -> 8083 at firewall")
        #expect(moved.status == 200, "\(moved.text)")
    }
}
