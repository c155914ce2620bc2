import Forwarding
import Plan
import Planning
import Reporting
import Testing
import TopologyFiles
import Wire

/// Services whose applications have other ports.
@Suite struct PortTranslationFileTests {
    private func text(_ ports: String, web: String = "", services: String = "") -> String {
        """
        name: clinic
        interfaces:
          customers:  { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected:  { address: 198.18.3.1/24 }
          servers:    { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers }
        applications:
          ids: { type: intrusion-detection, passive: true, attach: inspection }
          inner: { type: intrusion-detection, passive: true, attach: servers }
          firewall: { type: firewall, attach: { in: inspection, out: inspected } }
          web: { type: web-server, attach: servers\(web) }
        services:
          shop: { address: 203.0.113.80, ports: \(ports), distribute: ids, sequence: [firewall, inner, web] }
        \(services)
        """
    }

    private func table(_ text: String) throws -> ForwardingTable {
        try plan(text).table
    }

    /// The ports that entries match and that their targets have, as `80 -> 80 8080`.
    private func ports(_ table: ForwardingTable, _ name: String) -> [String] {
        table.entries.filter { $0.name == name && $0.servicePort.protocolNumber == 6 }.map { entry in
            let port = entry.servicePort.ports.lowerBound
            return "\(port) -> " + entry.targets.map { "\($0.portShift.applied(to: port))" }.joined(separator: " ")
        }
    }

    @Test(arguments: ["[tcp/80 -> 8080]", "tcp/80->8080", "{ tcp/80: 8080 }", "[{ tcp/80: 8080, at: web }]"])
    func theLastApplicationHasAnotherPort(_ written: String) throws {
        for web in ["", ", send: network"] {
            let table = try table(text(written, web: web))
            #expect(ports(table, "shop.request.customers") == ["80 -> 80 80"])
            // The detector before the server gets copies as they come to the server's place.
            #expect(ports(table, "shop.request.firewall") == ["80 -> 80 8080"])
            #expect(ports(table, "shop.response.web") == ["8080 -> 80 80"])
            #expect(ports(table, "shop.response.firewall") == ["80 -> 80 80"])
        }
    }

    @Test(arguments: ["{ tcp/80: 8080, at: firewall }", "tcp/80 -> 8080 at firewall"])
    func anApplicationInMidChainAndAllBehindItHaveAnotherPort(_ written: String) throws {
        let table = try table(text(written))
        #expect(ports(table, "shop.request.customers") == ["80 -> 80 8080"])
        #expect(ports(table, "shop.request.firewall") == ["8080 -> 8080 8080"])
        #expect(ports(table, "shop.response.web") == ["8080 -> 8080 8080"])
        #expect(ports(table, "shop.response.firewall") == ["8080 -> 80 80"])
    }

    @Test func aRangeKeepsItsOrder() throws {
        let table = try table(text("[tcp/8000-8099 -> 9000-9099, tcp/80]"))
        let request = try #require(
            table.entries.first { $0.name == "shop.request.firewall" && $0.servicePort.ports == 8000...8099 })
        let target = try #require(request.targets.last)
        #expect(target.portShift.applied(to: 8042) == 9042)
        #expect(ports(table, "shop.response.web") == ["9000 -> 8000 8000", "80 -> 80 80"])
    }

    /// Two services may share a server that rewrites addresses, as long as its ports tell them apart.
    @Test func servicesShareAServerByItsPorts() throws {
        let other = "  library: { address: 203.0.113.81, ports: tcp/80 -> 8081, sequence: [firewall, web] }"
        let table = try table(text("tcp/80 -> 8080", web: ", send: network", services: other))
        #expect(ports(table, "shop.response.web") == ["8080 -> 80 80"])
        #expect(ports(table, "library.response.web") == ["8081 -> 80"])
        // Nothing in an echo's answer tells which address was asked, so the first service has it.
        let echoes = table.entries.filter { $0.servicePort.protocolNumber == 1 }.map(\.name)
        #expect(echoes.contains("shop.response.web") && !echoes.contains { $0.hasPrefix("library.") })
    }

    /// Both lines are told, also where the one translates and the other does not.
    @Test(arguments: [
        ("tcp/81 -> 8080", "203.0.113.81", ", send: network"), ("tcp/8080", "203.0.113.81", ", send: network"),
        ("tcp/81 -> 8080", "203.0.113.80", ""), ("tcp/8000-8100", "203.0.113.80", ""),
        ("tcp/8000-8099 -> 8050-8149", "203.0.113.80", ""),
    ])
    func twoServicesAtOneApplicationPortAreRefused(_ ports: String, _ address: String, _ web: String) throws {
        let other = "  library: { address: \(address), ports: \(ports), sequence: [firewall, web] }"
        let text = text("tcp/80 -> 8080", web: web, services: other)
        let found = problems(text)
        let problem = try #require(found.first)
        #expect(found.count == 1)
        #expect(problem.origin.lineNumber == 16)
        #expect(problem.related.first?.origin.lineNumber == 15)
        #expect(problem.message.contains("at \"web\": nothing tells its answers"), "\(problem.message)")
    }

    @Test func proofsTellBothPorts() throws {
        let plan = try Planner.prove(TopologyFile.parse(text("tcp/80 -> 8080"), path: "t.yaml"))
        let path = try #require(plan.services.first?.paths.first)
        #expect(path.request.map(\.servicePort) == [nil, "tcp/80"])
        #expect(path.request.last?.copies.map(\.rewritePort) == [nil, "tcp/8080"])
        #expect(path.response.map(\.servicePort) == ["tcp/8080", nil])
        #expect(path.response.first?.copies.map(\.rewritePort) == ["tcp/80", "tcp/80"])
    }

    @Test func textsAreReadAndWrittenAlike() throws {
        for text in ["tcp/80 -> 8080", "udp/8000-8099 -> 9000-9099", "tcp/80 -> 8080 at firewall", "tcp/443"] {
            #expect(try PortSpecification.service(text)?.description == text)
        }
        #expect(try PortSpecification.service("tcp/80->8080")?.description == "tcp/80 -> 8080")
        #expect(try PortSpecification.service("tcp/80 -> 80")?.description == "tcp/80")
        #expect(try PortSpecification.service("nothing -> 80") == nil)
    }
}
