import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// Nodes with more legs than a near and a far side, and passive applications with legs of their own traffic.
@Suite struct LegTests {
    static let threeLegs = """
        name: three-legs
        interfaces:
          wan: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          dmz: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          lan: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
        customers:
          alice: { interface: wan }
          carol: { interface: lan }
        applications:
          firewall: { attach: { outside: wan, dmz: dmz, inside: lan } }
          web: { attach: dmz }
        routers:
          uplink: { interface: wan }
        services:
          shop:
            address: [203.0.113.80, "2001:db8:cb::80"]
            ports: tcp/80
            from: alice
            sequence: [{ firewall: { in: outside, out: dmz } }, web]
          shop-inside:
            address: [203.0.113.80, "2001:db8:cb::80"]
            from: lan
            sequence: [{ firewall: { in: inside, out: dmz } }, web]
          intranet:
            address: 203.0.113.81
            from: lan
            sequence: [{ firewall: { in: inside, out: dmz } }, web]
          internet:
            address: 0.0.0.0/0
            from: lan
            sequence: [{ firewall: { in: inside, out: outside } }, uplink]

        """

    private func lines(_ plan: AppliancePlan, _ service: String) -> [String] {
        plan.entryLines.filter { $0.contains(" \(service).") && !$0.contains("2001:db8") && !$0.contains(" 1 ") }
    }

    private func routes(_ plan: AppliancePlan, _ node: String) -> [String] {
        plan.node(node).routes.map { route in
            "\(route.destination) \(route.gateway) \(plan.node(node).legs[route.leg].role)"
                + (route.source.map { " src \($0)" } ?? "")
        }
    }

    @Test func aServiceEntersAndLeavesByTheLegsThatItNames() throws {
        let plan = try plan(Self.threeLegs)
        #expect(plan.node("firewall").legs.map(\.role) == ["outside", "dmz", "inside"])
        #expect(
            lines(plan, "shop") == [
                "D shop.request.customers: wan src 192.0.2.2 dst 203.0.113.80 6/80 -> wan!firewall.wan",
                "S shop.request.firewall: dmz from firewall.dmz src 192.0.2.2 dst 203.0.113.80 6/80 -> dmz!web.dmz",
                "S shop.response.web: dmz from web.dmz src 203.0.113.80 dst 192.0.2.2 6/80 -> dmz!firewall.dmz",
                "S shop.response.firewall: wan from firewall.wan src 203.0.113.80 dst 192.0.2.2 6/80 -> wan!neighbour",
            ])
        #expect(
            lines(plan, "intranet") == [
                "D intranet.request.customers: lan dst 203.0.113.81 -> lan!firewall.lan",
                "S intranet.request.firewall: dmz from firewall.dmz dst 203.0.113.81 -> dmz!web.dmz",
                "S intranet.response.web: dmz from web.dmz src 203.0.113.81 -> dmz!firewall.dmz",
                "S intranet.response.firewall: lan from firewall.lan src 203.0.113.81 dst 198.18.3.0/24 -> lan!neighbour",
            ])
        #expect(
            lines(plan, "internet") == [
                "D internet.request.customers: lan dst 0.0.0.0/0 -> lan!firewall.lan",
                "S internet.request.firewall: wan from firewall.wan dst 0.0.0.0/0 -> wan!uplink.wan",
                "S internet.response.uplink: wan from uplink.wan src 0.0.0.0/0 -> wan!firewall.wan",
                "S internet.response.firewall: lan from firewall.lan src 0.0.0.0/0 dst 198.18.3.0/24 -> lan!neighbour",
            ])
    }

    @Test func routesOfANodeFollowTheLegsOfItsServices() throws {
        let plan = try plan(Self.threeLegs)
        #expect(
            routes(plan, "firewall").filter { !$0.contains(":") } == [
                "192.0.2.2 192.0.2.1 outside", "198.18.3.2 198.18.3.1 inside",
                "0.0.0.0/0 192.0.2.1 outside", "203.0.113.80 198.18.2.1 dmz", "203.0.113.81 198.18.2.1 dmz",
            ])
        let environment = plan.node("firewall").process.environment
        #expect(environment["TAPLINE_DMZ"] == "dmz")
        #expect(environment["TAPLINE_DMZ_GATEWAY"] == "198.18.2.1")
        #expect(environment["TAPLINE_IN"] == nil)
        #expect(environment["TAPLINE_ADDRESS"] == "\(plan.node("firewall").legs[0].addresses[0].address)")
    }

    /// Packets to everything that a third leg takes elsewhere are no part of the service.
    @Test func everythingMustNotLeaveByALegOfAnotherService() throws {
        let start = try #require(Self.threeLegs.firstRange(of: "  shop-inside:"))
        let end = try #require(Self.threeLegs.firstRange(of: "  intranet:"))
        let found = problems(
            String(Self.threeLegs[..<start.lowerBound]) + String(Self.threeLegs[end.lowerBound...]))
        #expect(found.count == 2)
        #expect(found.first?.message.contains("no entry takes it from interface \"dmz\"") ?? false)
    }

    /// A route by hand that leads elsewhere breaks what the services say, and the proof sees it.
    @Test func theProofFollowsTheRoutesOfTheNode() throws {
        let text = Self.threeLegs.replacing(
            "inside: lan } }",
            with: "inside: lan }, routes: { to: 203.0.113.81, via: 198.18.3.1 } }")
        let found = problems(text)
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.message.contains("intranet") }, "\(found.map(\.message))")
    }

    @Test func twoLegsServeBothDirections() throws {
        let plan = try plan(
            """
            name: both-ways
            interfaces:
              wan: { address: 192.0.2.1/24 }
              lan: { address: 198.18.3.1/24 }
            customers:
              alice: { interface: wan }
              carol: { interface: lan }
            applications:
              firewall: { attach: { wan: wan, lan: lan } }
              web: { attach: lan }
              far: { attach: wan }
            services:
              inward: { address: 203.0.113.80, ports: tcp/80, from: alice, sequence: [firewall, web] }
              outward: { address: 203.0.113.90, ports: tcp/80, from: carol, sequence: [{ firewall: lan }, far] }
            """)
        #expect(
            lines(plan, "outward") == [
                "D outward.request.customers: lan src 198.18.3.2 dst 203.0.113.90 6/80 -> lan!firewall.lan",
                "S outward.request.firewall: wan from firewall.wan dst 203.0.113.90 6/80 -> wan!far.wan",
                "S outward.response.far: wan from far.wan src 203.0.113.90 6/80 -> wan!firewall.wan",
                "S outward.response.firewall: lan from firewall.lan src 203.0.113.90 dst 198.18.3.2 6/80 -> lan!neighbour",
            ])
    }

    static let detector = """
        name: detector
        interfaces:
          outside:    { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          management: { address: 198.18.9.1/24 }
        customers:
          alice: { interface: outside }
          admin: { interface: management }
        applications:
          ids: { passive: true, attach: { in: inspection, management: management } }
          web: { attach: inspection }
          collector: { attach: management }
        services:
          shop: { address: 203.0.113.80, ports: tcp/80, from: outside, distribute: ids, sequence: web }
          log:  { address: 203.0.113.14, ports: udp/514, from: ids, sequence: collector }
          view: { address: 203.0.113.43, ports: tcp/443, from: admin, sequence: { ids: management } }

        """

    @Test func aDetectorReportsByALegOfItsOwn() throws {
        let plan = try plan(Self.detector)
        #expect(
            lines(plan, "log") == [
                "D log.request.customers: management from ids.management src 198.18.9.3 dst 203.0.113.14 17/514 -> management!collector.management",
                "S log.response.collector: management from collector.management src 203.0.113.14 dst 198.18.9.3 17/514 -> management!ids.management",
            ])
        #expect(
            lines(plan, "view") == [
                "D view.request.customers: management src 198.18.9.2 dst 203.0.113.43 6/443 -> management!ids.management",
                "S view.response.ids: management from ids.management src 203.0.113.43 dst 198.18.9.2 6/443 -> management!neighbour",
            ])
        let sources = plan.table.sources.filter { $0.node == "ids" }
        #expect(sources.map(\.system) == [.passiveApplication, .terminalApplication])
        #expect(sources.map(\.mayEmit) == [false, true])
        // It passes nothing on, so it may send from its own addresses alone.
        #expect(
            sources[1].origins.map { Set($0.map(\.description)) } == [
                "198.18.2.2", "198.18.9.3", "203.0.113.43",
            ])
        #expect(plan.node("ids").loopback.map(\.description) == ["203.0.113.43"])
    }

    /// Without a further leg a detector reports where its copies arrive, from its own address.
    @Test func aDetectorWithOneLegMayBeACustomer() throws {
        let text = Self.detector.replacing("{ in: inspection, management: management }", with: "inspection")
            .split(separator: "\n").filter { !$0.hasPrefix("  view:") }.joined(separator: "\n")
        let plan = try plan(text)
        let source = try #require(plan.table.sources.first { $0.node == "ids" })
        #expect(source.system == .passiveApplication && source.mayEmit)
        #expect(source.origins?.map(\.description) == ["198.18.2.2"])
        #expect(lines(plan, "log")[0].contains(": inspection from ids.inspection src 198.18.2.2 "))
    }

    /// A detector on both sides of a firewall gets a copy by each leg.
    @Test func aDetectorListensByTwoLegs() throws {
        let plan = try plan(
            """
            name: two-taps
            interfaces:
              outside: { address: 192.0.2.1/24 }
              before:  { address: 198.18.2.1/24 }
              behind:  { address: 198.18.3.1/24 }
            customers:
              alice: { interface: outside }
            applications:
              ids: { passive: true, attach: { in: before, inner: behind } }
              firewall: { attach: { in: before, out: behind } }
              web: { attach: behind }
            services:
              shop: { address: 203.0.113.80, ports: tcp/80, sequence: [ids, firewall, { ids: inner }, web] }
            """)
        #expect(
            lines(plan, "shop").prefix(2) == [
                "D shop.request.customers: outside dst 203.0.113.80 6/80 -> before!ids.before + before!firewall.before",
                "S shop.request.firewall: behind from firewall.behind dst 203.0.113.80 6/80 -> behind!ids.behind + behind!web.behind",
            ])
        let sources = plan.table.sources.filter { $0.node == "ids" }
        #expect(sources.map(\.system) == [.passiveApplication, .passiveApplication])
    }

    /// A leg beside `in` is no way through.
    @Test func aServerHasAManagementLeg() throws {
        let plan = try plan(
            """
            name: managed
            interfaces:
              outside: { address: 192.0.2.1/24 }
              servers: { address: 198.18.4.1/24 }
              database: { address: 198.18.5.1/24 }
              management: { address: 198.18.9.1/24 }
            customers:
              alice: { interface: outside }
              admin: { interface: management }
            applications:
              web:
                attach: { in: servers, database: database, management: management }
                instances: { web-a: { address: { management: 198.18.9.20 } }, web-b: {} }
              sql: { attach: database }
            services:
              shop: { address: 203.0.113.80, ports: tcp/80, from: outside, sequence: web }
              data: { address: 203.0.113.54, ports: tcp/5432, from: { web: database }, sequence: sql }
              login: { address: 203.0.113.22, ports: tcp/22, from: admin, sequence: { web: management } }
            """)
        #expect(plan.node("web-a").legs.map(\.role) == ["in", "database", "management"])
        #expect(plan.node("web-a").legs[2].addresses.map(\.description) == ["198.18.9.20/24"])
        #expect(
            routes(plan, "web-a") == [
                "192.0.2.0/24 198.18.4.1 in src 203.0.113.80", "198.18.9.2 198.18.9.1 management src 203.0.113.22",
                "203.0.113.54 198.18.5.1 database src 198.18.5.2", "0.0.0.0/0 198.18.4.1 in",
            ])
        #expect(
            lines(plan, "login").first
                == "D login.request.customers: management src 198.18.9.2 dst 203.0.113.22 6/22 -> management!web-a.management + management!web-b.management"
        )
    }

    /// With one leg beside `in` it is the same: what the file does not name leaves by `in`.
    @Test(arguments: [("management", "in"), ("out", "out")])
    func theSecondLegOfAServerHasItsDefaultRouteOnlyIfItIsOut(_ name: String, _ usual: String) throws {
        let plan = try plan(
            """
            name: managed
            interfaces:
              outside: { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
              servers: { address: [198.18.4.1/24, "2001:db8:4::1/64"] }
              management: { address: [198.18.9.1/24, "2001:db8:9::1/64"] }
            customers:
              alice: { interface: outside }
            applications:
              web: { attach: { in: servers, \(name): management } }
              log: { attach: management }
            services:
              shop: { address: [203.0.113.80, "2001:db8:cb::80"], ports: tcp/80, from: outside, sequence: web }
              logs: { address: 203.0.113.14, ports: udp/514, from: web, sequence: log }
            """)
        let web = plan.node("web")
        let defaults = web.routes.filter { $0.destination.length == 0 }
        #expect(defaults.map { web.legs[$0.leg].role } == [usual, usual])
        let data = try #require(plan.table.entries.first { $0.name == "logs.request.customers" })
        #expect(plan.entryLines.contains { $0.contains("\(data.name): management from web.management") })
        let named = routes(plan, "web").filter { $0.hasPrefix("203.0.113.14 ") }
        #expect(named == (name == "out" ? [] : ["203.0.113.14 198.18.9.1 management src 198.18.9.2"]))
        #expect(routes(plan, "web").contains { $0.hasPrefix("192.0.2.0/24 198.18.4.1 in") })
    }
}
