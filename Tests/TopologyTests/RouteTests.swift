import Plan
import Testing

/// The routes of what sits in mid-chain: each packet leaves by the side that leads to where it goes.
@Suite struct RouteTests {
    private func routes(_ text: String, _ node: String = "fw") throws -> [String] {
        try plan(text).node(node).routes.map { "\($0.destination) \($0.gateway) \($0.leg)" }
    }

    private static let chain = """
        name: chain
        interfaces:
          c: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          i: { address: [198.18.1.1/24, "2001:db8:11::1/64"] }
          o: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          s: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
        customers: { alice: { interface: c } }
        applications:
          fw: { attach: { in: i, out: o } }
          web: { attach: s }
        services:
          shop: { address: ADDRESS, ports: tcp/80, sequence: [fw, web] }

        """

    private func chain(_ address: String) -> String { Self.chain.replacing("ADDRESS", with: address) }

    @Test(arguments: [
        ("192.0.2.80", "192.0.2.80 198.18.2.1 1"), ("198.18.1.80", "198.18.1.80 198.18.2.1 1"),
        ("198.18.2.80", "198.18.2.80 198.18.2.1 1"), ("\"2001:db8:2::80\"", "2001:db8:2::80 2001:db8:12::1 1"),
        ("\"2001:db8:11::80\"", "2001:db8:11::80 2001:db8:12::1 1"), ("192.0.2.64/28", "192.0.2.64/28 198.18.2.1 1"),
        ("198.18.1.64/28", "198.18.1.64/28 198.18.2.1 1"),
    ])
    func anAddressThatSomethingElseCoversHasARoute(_ address: String, _ route: String) throws {
        let routes = try routes(chain(address))
        #expect(routes.contains(route), "\(routes)")
        #expect(routes.contains { $0.hasPrefix("192.0.2.0/24 198.18.1.1 0") })
    }

    @Test(arguments: ["203.0.113.80", "198.18.3.80", "\"2001:db8:13::80\"", "198.18.0.0/15"])
    func anAddressThatNothingCoversHasNone(_ address: String) throws {
        #expect(try routes(chain(address)).count == 4)
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.0/24 lies on both sides of \"fw\""),
        ("198.18.1.0/24", "is the network that \"fw\" on line 9 has on one of its interfaces"),
        ("198.18.2.0/24", "is the network that \"fw\" on line 9 has on one of its interfaces"),
        ("198.18.1.0/28", "holds 198.18.1.2"), ("198.18.2.0/31", "holds 198.18.2.1"),
        ("\"2001:db8:11::/64\"", "is the network that \"fw\""), ("\"2001:db8:11::/120\"", "holds 2001:db8:11::2"),
    ])
    func aPrefixThatNoRouteCanLeadToIsRefused(_ address: String, _ message: String) throws {
        let found = problems(chain(address))
        #expect(found.count == 1, "\(found.map(\.summary))")
        #expect(found.first?.message.contains(message) == true, "\(found.map(\.summary))")
        #expect(found.first.map { "\($0.line):\($0.column)" } == "12:20" && found.first?.hint != nil)
    }

    /// Customers inside a narrower prefix of the service's are named, so that their answers come back.
    @Test func customersInsideAServicesPrefixAreNamed() throws {
        let text = chain("192.0.2.64/26").replacing("{ interface: c }", with: "{ interface: c, address: 192.0.2.70 }")
        #expect(try routes(text).contains("192.0.2.70 198.18.1.1 0"))
    }

    @Test func oneArmAndAFirewallBehindIt() throws {
        let text = chain("198.18.1.80").replacing("fw: {", with: "arm: { attach: i }\n  fw: {")
            .replacing("[fw, web]", with: "[arm, fw, web]")
        #expect(try routes(text, "arm").contains("198.18.1.80 198.18.1.1 0"))
        #expect(try routes(text).contains("198.18.1.80 198.18.2.1 1"))
    }

    @Test func bothLegsInOneNetwork() throws {
        let text = chain("203.0.113.80").replacing(
            "o: { address: [198.18.2.1/24,", with: "o: { address: [198.18.1.2/24,")
        #expect(try routes(text).prefix(2) == ["192.0.2.0/24 198.18.1.1 0", "0.0.0.0/0 198.18.1.2 1"])
    }

    @Test func aFarLegInTheCustomersNetworkNamesThem() throws {
        let text = chain("203.0.113.80").replacing(
            "o: { address: [198.18.2.1/24,", with: "o: { address: [192.0.2.2/24,")
        #expect(try routes(text).contains("192.0.2.3 198.18.1.1 0"))
        #expect(try !routes(text).contains { $0.hasPrefix("192.0.2.0/24") })
    }

    private static let hand = """
        name: hand
        interfaces:
          c: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          i: { address: [198.18.1.1/24, "2001:db8:11::1/64"] }
          o: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          s: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
        customers: { alice: { interface: c, prefixes: 10.9.0.0/16 } }
        applications:
          fw: { attach: { in: i, out: o } }
          web: { attach: s, setup: ip address add 203.0.113.80/32 dev lo }
        entries:
          distribution:
            - { name: in, received-interface: c, destination: 203.0.113.80, to: { application: fw, interface: i } }
          sequencing:
            - { name: mid, received-interface: o, source: fw, destination: 203.0.113.80, to: web }
            - { name: back, received-interface: s, source: web, direction: response, to: { application: fw, interface: o } }
            - { name: out, received-interface: i, source: fw, destination: 192.0.2.0/24, direction: response, to: { interface: c, neighbour: true } }
            - { name: far, received-interface: i, source: fw, destination: 10.9.0.0/16, direction: response, to: { interface: c, neighbour: 192.0.2.2 } }

        """

    @Test func entriesByHandGetRoutesToTheirCustomers() throws {
        let routes = try routes(Self.hand)
        for route in ["192.0.2.0/24 198.18.1.1 0", "10.9.0.0/16 198.18.1.1 0", "0.0.0.0/0 198.18.2.1 1"] {
            #expect(routes.contains(route), "\(routes)")
        }
        #expect(
            try self.routes(Self.hand.replacing("203.0.113.80", with: "198.18.1.80")).contains(
                "198.18.1.80 198.18.2.1 1"))
    }

    @Test func oneArmByHandForwards() throws {
        let text = Self.hand.replacing("fw: { attach: { in: i, out: o } }", with: "fw: { attach: i }")
            .replacing("interface: o }", with: "interface: i }").replacing(
                "received-interface: o", with: "received-interface: i")
        let forwarding = SysctlPlan("net.ipv4.ip_forward", "1")
        #expect(try plan(text).node("fw").sysctls.contains(forwarding))
        #expect(try !plan(text).node("web").sysctls.contains(forwarding))
    }

    /// The answers' entry names no customers: they follow from whom the requests are taken from.
    @Test func theCustomersOfEntriesByHandAreHandedOn() throws {
        let text = Self.hand
            .replacing("  web: {", with: "  next: { attach: { in: i, out: o } }\n  web: {")
            .replacing(
                "destination: 203.0.113.80, to: web }",
                with:
                    "destination: 203.0.113.80, to: { application: next, interface: i } }\n    - { name: mid2, received-interface: o, source: next, destination: 203.0.113.80, to: web }\n    - { name: back2, received-interface: i, source: next, direction: response, to: { application: fw, interface: o } }"
            )
            .replacing(
                "source: web, direction: response, to: { application: fw,",
                with: "source: web, direction: response, to: { application: next,")
        let routes = try routes(text, "next")
        for route in ["192.0.2.0/24 198.18.1.1 0", "10.9.0.0/16 198.18.1.1 0", "0.0.0.0/0 198.18.2.1 1"] {
            #expect(routes.contains(route), "\(routes)")
        }
    }
}
