import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// The plan of a text, whose table the engine must take.
private func plan(_ text: String) throws -> AppliancePlan {
    let plan = try Planner.plan(TopologyFile.parse(text, path: "t.yaml"))
    _ = try TableCompiler.compile(plan.table, generation: 1)
    return plan
}

/// The first thing that is wrong with a text, and the hint.
private func complaint(_ text: String) -> String {
    problems(text).first.map { "\($0.line): \($0.message); \($0.hint ?? "")" } ?? "nothing is wrong"
}

extension AppliancePlan {
    fileprivate func routes(_ name: String) -> [String] {
        node(name).routes.map { route in
            "\(route.destination) \(route.gateway) \(route.leg)" + (route.source.map { " src \($0)" } ?? "")
        }
    }

    /// The entries for one service port, or for IPv4's ICMP.
    fileprivate func lines(_ port: String) -> [String] {
        entryLines.filter { $0.contains(" \(port) ") && !$0.contains("2001:db8") }
    }
}

/// Applications and routers that are customers of further services.
@Suite struct FurtherServiceTests {
    static let proxy = """
        name: proxied
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inside:    { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          outside:   { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:   { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers }
        applications:
          proxy: { attach: { in: inside, out: outside } }
          web:   { attach: servers }
        services:
          front: { address: [203.0.113.31, "2001:db8:cb::31"], ports: tcp/3128, sequence: proxy }
          back:  { address: [203.0.113.80, "2001:db8:cb::80"], ports: tcp/80, from: proxy, sequence: web }

        """

    @Test func aProxyOpensItsOwnConnections() throws {
        let plan = try plan(Self.proxy)
        #expect(
            plan.lines("6/80") == [
                "D back.request.customers: outside from proxy.outside src 198.18.3.2 dst 203.0.113.80 6/80 -> servers!web.servers",
                "S back.response.web: servers from web.servers src 203.0.113.80 dst 198.18.3.2 6/80 -> outside!proxy.outside",
            ])
        #expect(
            plan.lines("6/3128") == [
                "D front.request.customers: customers dst 203.0.113.31 6/3128 -> inside!proxy.inside",
                "S front.response.proxy: inside from proxy.inside src 203.0.113.31 dst 192.0.2.0/24 6/3128 -> customers!neighbour",
            ])
        #expect(plan.table.entries.first { $0.name == "back.response.web" }?.targets[0].system == .terminalApplication)
        #expect(
            plan.table.claimed.map { "\(plan.interfaces[$0.interface].name) \($0.prefix)" } == [
                "customers 203.0.113.31", "customers 2001:db8:cb::31", "outside 203.0.113.80",
                "outside 2001:db8:cb::80",
            ])
        // Answers leave from the service address, what it asks for itself from its own.
        #expect(
            plan.routes("proxy") == [
                "192.0.2.0/24 198.18.2.1 0 src 203.0.113.31", "0.0.0.0/0 198.18.3.1 1",
                "2001:db8:2::/64 2001:db8:12::1 0 src 2001:db8:cb::31", "::/0 2001:db8:13::1 1",
            ])
        #expect(plan.node("proxy").sysctls.contains { $0.name == "net.ipv4.ip_forward" } == false)
    }

    @Test func aProxyWithOneLegAnswersAndAsksThere() throws {
        let plan = try plan(Self.proxy.replacing("{ in: inside, out: outside }", with: "inside"))
        #expect(
            plan.lines("1") == [
                "D front.request.customers: customers dst 203.0.113.31 1 -> inside!proxy.inside",
                "S front.response.proxy: inside from proxy.inside src 203.0.113.31 dst 192.0.2.0/24 1 -> customers!neighbour",
                "D back.request.customers: inside from proxy.inside src 198.18.2.2 dst 203.0.113.80 1 -> servers!web.servers",
                "S back.response.web: servers from web.servers src 203.0.113.80 dst 198.18.2.2 1 -> inside!proxy.inside",
            ])
        #expect(
            plan.routes("proxy").prefix(2) == ["192.0.2.0/24 198.18.2.1 0 src 203.0.113.31", "0.0.0.0/0 198.18.2.1 0"])
    }

    /// With a network send address and a chain before it, answers and requests have one source: the customers' addresses
    /// tell them apart.
    @Test func answersToCustomersAreToldFromRequestsByTheirDestination() throws {
        let plan = try plan(
            Self.proxy.replacing("{ in: inside, out: outside }", with: "inside, send: network")
                .replacing("sequence: proxy", with: "sequence: [fw, proxy]")
                .replacing("web:   {", with: "fw: { attach: { in: servers, out: outside } }\n  web:   {"))
        #expect(
            plan.lines("6/3128").contains(
                "S front.response.proxy: inside from proxy.inside src 198.18.2.2 dst 192.0.2.0/24 6/3128 as 203.0.113.31 "
                    + "-> outside!fw.outside"))
    }

    @Test func whatNothingTellsApartIsRefused() throws {
        let single = Self.proxy.replacing("{ in: inside, out: outside }", with: "inside, send: network")
            .replacing("tcp/3128, sequence", with: "tcp/3128, from: edge, sequence")
            .replacing("services:", with: "routers: { edge: { interface: customers } }\nservices:")
        #expect(complaint(single).contains("sends requests of service \"back\" on interface \"inside\""))
        #expect(complaint(single).contains("its answers of service \"front\" on line 14"), "\(complaint(single))")
        #expect(complaint(single).contains("attach: { in: …, out: … }"))
        // The hint works.
        _ = try plan(
            single.replacing("proxy: { attach: inside,", with: "proxy: { attach: { in: inside, out: outside },"))
    }

    @Test func aWebSwitchHasOneServiceForEachServer() throws {
        let plan = try plan(
            Self.proxy.replacing(
                "web:   { attach: servers }",
                with: """
                    a: { attach: servers, send: network }
                      b: { attach: { in: { interface: servers, address: [198.18.4.9, "2001:db8:14::9"] } } }
                    """
            ).replacing(
                "back:  { address: [203.0.113.80, \"2001:db8:cb::80\"], ports: tcp/80, from: proxy, sequence: web }",
                with: """
                    one: { address: 198.51.100.1, ports: tcp/80, from: proxy, sequence: a }
                      two: { address: [198.18.4.9, "2001:db8:14::9"], ports: tcp/80, from: proxy, sequence: b }
                    """))
        #expect(
            plan.lines("6/80") == [
                "D one.request.customers: outside from proxy.outside src 198.18.3.2 dst 198.51.100.1 6/80 -> servers!net 198.18.4.2",
                "S one.response.a: servers from a.servers src 198.18.4.2 dst 198.18.3.2 6/80 as 198.51.100.1 -> outside!proxy.outside",
                "D two.request.customers: outside from proxy.outside src 198.18.3.2 dst 198.18.4.9 6/80 -> servers!b.servers",
                "S two.response.b: servers from b.servers src 198.18.4.9 dst 198.18.3.2 6/80 -> outside!proxy.outside",
            ])
        #expect(plan.node("b").loopback.isEmpty)
    }

    static let internet = """
        name: out
        interfaces:
          customers: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          core:      { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          internet:  { address: [198.51.100.1/24, "2001:db8:64::1/64"] }
        customers:
          alice: { interface: customers }
        applications:
          dns: { attach: { in: { interface: internet, address: [198.51.100.53, "2001:db8:64::53"] } }, send: network }
        routers:
          gate: { attach: { in: core, out: internet } }
        services:
          egress: { address: [0.0.0.0/0, "::/0"], from: customers, sequence: gate }
          names: { address: [198.51.100.53, "2001:db8:64::53"], ports: udp/53, from: gate, sequence: dns }

        """

    @Test func aRouterPassesWhatCustomersSendOnToServers() throws {
        let plan = try plan(Self.internet)
        #expect(
            plan.lines("17/53") == [
                "D names.request.customers: internet from gate.internet dst 198.51.100.53 17/53 -> internet!dns.internet",
                "S names.response.dns: internet from dns.internet src 198.51.100.53 dst 0.0.0.0/0 17/53 -> internet!gate.internet",
            ])
        #expect(plan.table.entries.first { $0.name == "names.response.dns" }?.targets[0].system == .router)
        #expect(
            plan.routes("gate") == [
                "192.0.2.0/24 198.18.2.1 0", "0.0.0.0/0 198.51.100.1 1", "2001:db8:2::/64 2001:db8:12::1 0",
                "::/0 2001:db8:64::1 1",
            ])
        // The router's own address is on the server's link, and nodes of a link meet through the engine alone.
        #expect(
            plan.routes("dns") == [
                "198.51.100.2 198.51.100.1 0", "0.0.0.0/0 198.51.100.1 0", "2001:db8:64::2 2001:db8:64::1 0",
                "::/0 2001:db8:64::1 0",
            ])
        #expect(plan.node("gate").legs.map(\.role) == ["in", "out"])
    }

    @Test func aRouterWithOneLegIsAsGood() throws {
        let plan = try plan(
            Self.internet.replacing("attach: { in: core, out: internet }", with: "interface: core"))
        #expect(
            plan.entryLines.contains(
                "S egress.response.gate: core from gate.core src 0.0.0.0/0 dst 192.0.2.0/24 -> customers!neighbour"))
        #expect(
            plan.entryLines.contains(
                "D names.request.customers: core from gate.core dst 198.51.100.53 17/53 -> internet!dns.internet"))
        #expect(plan.routes("gate").prefix(2) == ["192.0.2.0/24 198.18.2.1 0", "198.51.100.53 198.18.2.1 0"])
    }

    /// Behind a router lies everything, so an application between it and the server leads back to everything by `in`.
    @Test func anApplicationBehindARouterLeadsBackToEverything() throws {
        let text = Self.internet.replacing("sequence: dns }", with: "sequence: [filter, dns] }")
            .replacing("  internet:  {", with: "  shield: { address: 198.18.3.1/24 }\n  internet:  {")
            .replacing("  dns: {", with: "  filter: { attach: { in: internet, out: shield } }\n  dns: {")
        let plan = try plan(text)
        #expect(
            plan.routes("filter") == [
                "198.51.100.3 198.51.100.1 0", "0.0.0.0/0 198.51.100.1 0", "198.51.100.53 198.18.3.1 1 src 198.18.3.2",
                "2001:db8:64::3 2001:db8:64::1 0", "::/0 2001:db8:64::1 0", "2001:db8:64::53 fe80::1 1",
            ])
        let both = text.replacing(
            "names: { address: [198.51.100.53, \"2001:db8:64::53\"]", with: "names: { address: 0.0.0.0/0"
        )
        .replacing("send: network", with: "send: mac")
        #expect(complaint(both).contains("0.0.0.0/0 lies on both sides of \"filter\""), "\(complaint(both))")
        #expect(complaint(both.replacing("filter: {", with: "filter: { transparent: true,")) == "nothing is wrong")
    }

    @Test(arguments: [
        ("from: alice,", "from: web,", "is a customer of service \"back\" and in its sequence"),
        ("from: alice,", "from: outside,", "nothing is wrong"),
        (
            "from: alice,", "from: prozy,",
            "there is no interface, customer, application or router \"prozy\"; did you mean \"proxy\"?"
        ),
        ("proxy: { attach", "proxy: { transparent: true, attach", "ends at \"proxy\", which is transparent"),
        ("inside:    {", "web: {", "there is no interface \"inside\""),
        (
            "address: [203.0.113.80, \"2001:db8:cb::80\"]", "address: 203.0.113.31",
            "\"proxy\" has the address 203.0.113.31 itself"
        ),
        ("address: [203.0.113.80, \"2001:db8:cb::80\"]", "address: 198.18.3.2", "nothing is wrong"),
    ])
    func customersThatCannotBe(_ change: (String, String, String)) {
        let text = Self.proxy.replacing(
            "from: proxy", with: change.0 == "from: alice," ? String(change.1.dropLast()) : "from: proxy"
        )
        .replacing(change.0, with: change.1)
        #expect(complaint(text).contains(change.2), "\(complaint(text))")
    }

    /// An inspector that takes every connection by a rule of its own opens those to single sites itself.
    @Test func whatEndsAServiceForEverythingMayAskForOneAddress() throws {
        let text = Self.proxy.replacing("address: [203.0.113.31, \"2001:db8:cb::31\"]", with: "address: 0.0.0.0/0")
        #expect(text != Self.proxy)
        let plan = try plan(text)
        #expect(plan.routes("proxy").contains("0.0.0.0/0 198.18.3.1 1"), "\(plan.routes("proxy"))")
        #expect(plan.nodes.first { $0.name == "proxy" }?.local.isEmpty == true)
    }

    /// A transparent proxy sends from its customers' addresses; the answers to them are steered to it.
    @Test func aTransparentProxySendsFromTheCustomersAddresses() throws {
        let text = Self.internet.replacing("sequence: gate", with: "sequence: tproxy")
            .replacing("  internet:  {", with: "  far: { address: 198.18.3.1/24 }\n  internet:  {")
            .replacing(
                "  dns: {", with: "  tproxy: { attach: { in: core, out: far }, prefixes: 192.0.2.0/24 }\n  dns: {"
            )
            .replacing("in: core, out: internet", with: "in: far, out: internet")
            .replacing(
                "  names:", with: "  on: { address: 0.0.0.0/0, ports: tcp/80, from: tproxy, sequence: gate }\n  names:"
            )
            .replacing("address: [0.0.0.0/0, \"::/0\"]", with: "address: 0.0.0.0/0, ports: tcp/80")
        let plan = try plan(text)
        #expect(
            plan.entryLines.filter { $0.contains(" on.") && $0.contains("6/80") } == [
                "D on.request.customers: far from tproxy.far src 198.18.3.2 dst 0.0.0.0/0 6/80 -> far!gate.far",
                "D on.request.customers: far from tproxy.far src 192.0.2.0/24 dst 0.0.0.0/0 6/80 -> far!gate.far",
                "S on.response.gate: far from gate.far src 0.0.0.0/0 dst 198.18.3.2 6/80 -> far!tproxy.far",
                "S on.response.gate: far from gate.far src 0.0.0.0/0 dst 192.0.2.0/24 6/80 -> far!tproxy.far",
            ])
        #expect(plan.routes("gate").prefix(2) == ["198.18.3.2 198.18.3.1 0", "192.0.2.0/24 198.18.3.1 0"])
        let unused = text.replacing("from: tproxy", with: "from: gate").replacing(
            "sequence: gate", with: "sequence: dns"
        )
        .replacing("address: 0.0.0.0/0, ports: tcp/80, from: gate", with: "address: 203.0.113.7, from: gate")
        #expect(
            complaint(unused).contains(
                "\"tproxy\" sends from 192.0.2.0/24 as a customer, but is a customer of no service"),
            "\(complaint(unused))")
    }

    @Test func aTransparentApplicationIsNoCustomer() {
        let text = Self.proxy.replacing(
            "web:   {", with: "tap: { transparent: true, attach: { in: outside, out: servers } }\n  web:   {"
        )
        .replacing("from: proxy", with: "from: tap")
        #expect(
            complaint(text).contains("\"tap\" on line 11 is transparent: it opens no connections"),
            "\(complaint(text))")
        let both = Self.proxy.replacing("  servers:   {", with: "  proxy: { address: 198.18.9.1/24 }\n  servers:   {")
        #expect(
            complaint(both).contains("\"proxy\" is an interface and also the application on line 11"),
            "\(complaint(both))")
    }

    @Test func aRouterAndAnApplicationOnBothItsSides() {
        let text = Self.internet.replacing("sequence: gate", with: "sequence: [fw, gate]")
            .replacing("sequence: dns", with: "sequence: [fw, dns]")
            .replacing("  dns: {", with: "  fw: { attach: { in: core, out: internet } }\n  dns: {")
        #expect(
            complaint(text).contains(
                "packets to 198.51.100.53 would pass \"fw\" before and behind the router \"gate\""),
            "\(complaint(text))")
    }

    @Test func aServiceAddressMayBeTheServersOwn() throws {
        let own = picture.replacing(
            "attach: servers", with: "attach: { in: { interface: servers, address: 198.18.4.9 } }"
        )
        .replacing("[203.0.113.80, \"2001:db8:cb::80\"]", with: "198.18.4.9")
        let plan = try plan(own)
        #expect(
            plan.entryLines.contains(
                "S shop.request.fw: inspected from fw.inspected dst 198.18.4.9 6/80 -> servers!web.servers"))
        #expect(plan.node("web").loopback.isEmpty)
        #expect(
            try Planner.plan(
                TopologyFile.parse(own.replacing("type: web-server,", with: "send: network,"), path: "t.yaml")
            ).entryLines == plan.entryLines)
        let other = own.replacing("sequence: [fw, web]", with: "sequence: [fw, other]")
            .replacing("web: {", with: "other: { attach: servers }\n  web: {")
        #expect(
            complaint(other).contains(
                "is that of web on line 14; choose an unused address, or end the sequence at \"web\""),
            "\(complaint(other))")
    }

    @Test func aPrefixMayEndAtAnApplication() throws {
        let text = picture.replacing(
            "[203.0.113.80, \"2001:db8:cb::80\"]", with: "[203.0.113.0/24, \"2001:db8:cb::/64\"]")
        let plan = try plan(text)
        #expect(plan.node("web").local.map(\.description) == ["203.0.113.0/24", "2001:db8:cb::/64"])
        #expect(
            plan.entryLines.contains(
                "S shop.response.web: servers from web.servers src 203.0.113.0/24 6/80 -> inspected!fw.inspected"))
        #expect(
            complaint(text.replacing("attach: servers", with: "attach: servers, send: network")).contains(
                "is a prefix, and \"web\" has a network send address"))
        // Its own network, and everything, it does not take for its own.
        let wide = try Planner.plan(
            TopologyFile.parse(
                picture.replacing("[203.0.113.80, \"2001:db8:cb::80\"]", with: "[198.18.0.0/16, \"::/0\"]"),
                path: "t.yaml"))
        #expect(wide.node("web").local.isEmpty)
    }

    /// Through one arm, the customers' addresses tell the requests for everything from the responses; what one customer
    /// sends to another turns round, and does not run in a circle.
    @Test func everythingMayPassOneArm() throws {
        let text = Self.internet.replacing("sequence: gate", with: "sequence: [arm, gate]")
            .replacing("  dns: {", with: "  arm: { attach: core }\n  dns: {")
        let plan = try plan(text)
        #expect(
            plan.entryLines.filter { $0.contains("from arm") && $0.contains("192.0.2") } == [
                "S egress.request.arm: core from arm.core src 192.0.2.0/24 dst 0.0.0.0/0 -> core!gate.core",
                "S egress.response.arm: core from arm.core src 0.0.0.0/0 dst 192.0.2.0/24 -> customers!neighbour",
                "S egress.response.arm: core from arm.core src 192.0.2.0/24 dst 192.0.2.0/24 -> customers!neighbour",
            ])
        let everywhere = text.replacing("from: customers", with: "from: edge")
            .replacing("  gate: {", with: "  edge: { interface: customers }\n  gate: {")
        #expect(
            complaint(everywhere).contains("both the customers and the service are 0.0.0.0/0"),
            "\(complaint(everywhere))")
    }
}
