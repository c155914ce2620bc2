import Foundation
import Testing

/// `dns: true`, asked by dig.
@Suite("Names by DNS, running", .enabled(if: isRoot))
struct NameServiceTests {
    private static func write(_ topology: ScratchTopology, more: String = "") throws {
        try """
        name: \(topology.name)
        dns: true
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:1::1/64"] }
          servers: { address: [198.18.4.1/24, "2001:db8:4::1/64"] }
        customers: { alice: { interface: customers } }
        applications:
          web: { attach: { in: { interface: servers, address: [198.18.4.80, "2001:db8:4::80"] } } }
        \(more)
        services: { shop: { address: [203.0.113.80, "2001:db8:cb::80"], sequence: [web] } }
        """.write(toFile: topology.file, atomically: true, encoding: .utf8)
    }

    private static func dig(_ topology: ScratchTopology, _ node: String, _ question: String) throws -> String {
        try CommandLineRun.run("exec", topology.name, node, "--", "sh", "-c", "dig +tries=5 +time=5 \(question)").output
    }

    @Test(
        "forward and reverse, over UDP and TCP, IPv4 and IPv6; unknown names are refused; the engine still answers echo"
    )
    func answers() throws {
        let topology = try ScratchTopology(small: nil)
        try Self.write(topology)
        let up = try CommandLineRun.run("up", "-d", topology.file)
        #expect(up.status == 0, "\(up)")
        for (node, question, expected) in [
            ("alice", "+short @192.0.2.1 shop.service", "203.0.113.80\n"),
            ("alice", "+short @2001:db8:1::1 shop.service AAAA", "2001:db8:cb::80\n"),
            ("alice", "+short +tcp @192.0.2.1 web", "198.18.4.80\n"),
            ("alice", "+short @192.0.2.1 -x 203.0.113.80", "shop.service.\n"),
            ("web", "+short @198.18.4.1 web", "198.18.4.80\n"),
            // /etc/resolv.conf names the engine.
            ("alice", "+short shop.service", "203.0.113.80\n"), ("web", "+short shop.service", "203.0.113.80\n"),
        ] {
            #expect(try Self.dig(topology, node, question) == expected, "\(node): \(question)")
        }
        #expect(try Self.dig(topology, "alice", "@192.0.2.1 example.org").contains("status: REFUSED"))
        let echo = try CommandLineRun.run("exec", topology.name, "alice", "--", "ping", "-c1", "-W5", "192.0.2.1")
        #expect(echo.status == 0, "\(echo)")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    @Test("names that apply adds are answered, and a resolver that ends is started again")
    func changes() throws {
        let topology = try ScratchTopology(small: nil)
        try Self.write(topology)
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        #expect(try Self.dig(topology, "alice", "+short @192.0.2.1 mail") == "")
        try Self.write(topology, more: "  mail: { attach: { in: { interface: servers, address: 198.18.4.25 } } }")
        let applied = try CommandLineRun.run("apply", topology.name, topology.file)
        #expect(applied.status == 0, "\(applied)")
        try CommandLineRun.eventually("the new name is answered") {
            try Self.dig(topology, "alice", "+short @192.0.2.1 mail") == "198.18.4.25\n"
        }
        let killed = try CommandLineRun.run("exec", topology.name, "dns", "--", "sh", "-c", "kill -9 2")
        #expect(killed.status == 0, "\(killed)")
        try CommandLineRun.eventually("it answers again") {
            try Self.dig(topology, "alice", "+short @192.0.2.1 mail") == "198.18.4.25\n"
        }
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }
}
