import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// Remote applications in a plan: their tunnels, the table, and what `apply` can change of them.
@Suite struct TunnelPlanTests {
    static func text(_ firewall: String = both, ids: String = "geneve: { id: 12, peer: 198.51.100.8 }") -> String {
        """
        name: remote
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers: { address: 198.18.4.1/24 }
          underlay: { address: [198.18.64.1/24, "2001:db8:64::1/64"] }
        customers:
          alice: { interface: customers }
        routers:
          transit: { interface: underlay }
        applications:
          firewall: { type: firewall, remote: { interface: underlay, \(firewall) } }
          ids: { passive: true, remote: { interface: underlay, \(ids) } }
          web: { type: web-server, attach: servers }
        services:
          shop: { address: 203.0.113.80, ports: tcp/80, from: alice, distribute: [ids, firewall], sequence: [firewall, web] }
        """
    }

    static let both = """
        in: { vxlan: { id: 10, peer: 198.51.100.7 }, gateway: 198.18.2.1/24, mac: "02:00:00:00:10:07" }, \
        out: { vxlan: { id: 11, peer: "2001:db8:100::7" }, gateway: 198.18.3.1/24, mtu: 1300 }
        """

    @Test func tunnelsStandBehindInterfacesWithDevices() throws {
        let plan = try plan(Self.text())
        #expect(
            plan.interfaces.map(\.name) == ["customers", "servers", "underlay", "firewall-in", "firewall-out", "ids"])
        #expect(plan.interfaces.map(\.carrier) == [nil, nil, nil, 2, 2, 2])
        #expect(plan.interfaces.map(\.link) == [nil, nil, .ethernet, nil, nil, nil])
        #expect(plan.interfaces.map(\.mtu) == [1500, 1500, 1500, 1450, 1300, 1450])
        #expect(plan.interfaces[4].encapsulation == "vxlan 11 to 2001:db8:100::7")
        #expect(plan.table.queuedPlaces == 3)
        let transit = try #require(plan.nodes.first { $0.name == "transit" })
        let tunnel = try #require(plan.table.interfaces[3].tunnel)
        #expect(tunnel.nextHop == transit.legs[0].mac && tunnel.carrier == 2)
        #expect("\(tunnel.local)" == "198.18.64.1" && "\(tunnel.peer)" == "198.51.100.7")
        #expect(plan.table.interfaces[4].tunnel.map { "\($0.local)" } == "2001:db8:64::1")
        let firewall = try #require(plan.nodes.first { $0.name == "firewall" })
        #expect(firewall.legs.map(\.isRemote) == [true, true] && firewall.legs.allSatisfy { $0.fabricDevice == nil })
        #expect(firewall.legs.map(\.interface) == [3, 4] && firewall.legs[0].mac == MACAddress("02:00:00:00:10:07"))
        #expect(firewall.routes.isEmpty && firewall.loopback.isEmpty && firewall.sysctls.isEmpty)
        #expect(firewall.legs.flatMap(\.addresses).map { "\($0)" } == ["198.18.2.2/24", "198.18.3.2/24"])
        _ = try TableCompiler.compile(plan.table, generation: 1)
    }

    /// The entries are those of applications on interfaces: only the numbers of interfaces differ.
    @Test func theEntriesAreThoseOfOtherApplications() throws {
        let plan = try plan(Self.text())
        let request = try #require(plan.table.entries.first { $0.kind == .distribution && $0.direction == .request })
        #expect(Set(request.targets.map(\.interface)) == [3, 5])
        #expect(plan.table.entries.contains { $0.receivedInterface == 4 && $0.direction == .request })
        #expect(plan.table.entries.contains { $0.receivedInterface == 3 && $0.direction == .response })
    }

    @Test func serviceHeadersHaveTheirPlace() throws {
        let plan = try plan(
            Self.text(
                "in: { nsh: { path: 42, peer: 198.51.100.7 }, gateway: 198.18.2.1/24 }, "
                    + "out: { nsh: { path: 42, index: 254 }, gateway: 198.18.3.1/24 }"))
        #expect(
            plan.interfaces.compactMap(\.encapsulation) == [
                "nsh 42/255 in vxlan 0 to 198.51.100.7", "nsh 42/254", "geneve 12 to 198.51.100.8",
            ])
        #expect(plan.interfaces.map(\.mtu).suffix(3) == [1426, 1462, 1450])
        _ = try TableCompiler.compile(plan.table, generation: 1)
    }

    /// A service's path, and one for each application that packets have passed, whatever that understands.
    @Test func thePlaceInAServicePathFollowsFromTheChain() throws {
        let header = "nsh: { peer: 198.51.100.7 }, gateway: 198.18.2.1/24"
        func encapsulations(_ services: String) throws -> [String] {
            let text = """
                name: remote
                interfaces:
                  customers: { address: 192.0.2.1/24 }
                  servers: { address: 198.18.4.1/24 }
                  underlay: { address: [198.18.64.1/24, "2001:db8:64::1/64"] }
                customers: { alice: { interface: customers } }
                routers: { transit: { interface: underlay } }
                applications:
                  ids: { passive: true, remote: { interface: underlay, mtu: 1300, nsh: { id: 1, peer: 198.51.100.7 } } }
                  firewall: { remote: { interface: underlay, mtu: 1300, \(Self.both) } }
                  scrubber: { remote: { interface: underlay, mtu: 1300, \(header) } }
                  web: { attach: servers }
                services:
                """
            let plan = try plan(text.replacing("198.18.2.1/24, mac", with: "198.18.5.1/24, mac") + "\n" + services)
            _ = try TableCompiler.compile(plan.table, generation: 1)
            return plan.interfaces.compactMap(\.encapsulation).filter { $0.hasPrefix("nsh") }
        }
        func shop(_ keys: String, name: String = "shop", port: Int = 80) -> String {
            "  \(name): { address: 203.0.113.80, ports: tcp/\(port), from: alice, \(keys) }\n"
        }
        let chain = "distribute: [ids, firewall], sequence: [firewall, scrubber, web]"
        #expect(
            try encapsulations(shop("path: 42, " + chain)) == [
                "nsh 42/255 in vxlan 1 to 198.51.100.7", "nsh 42/254 in vxlan 0 to 198.51.100.7",
            ])
        // Passive applications of a sequence take nothing from the index.
        #expect(
            try encapsulations(shop("path: 42, sequence: [firewall, ids, scrubber, web]")) == [
                "nsh 42/254 in vxlan 1 to 198.51.100.7", "nsh 42/254 in vxlan 0 to 198.51.100.7",
            ])
        // The same chain is the same path, also without a number in the file, and whatever the services are called.
        let one = try encapsulations(shop(chain))
        let two = try encapsulations(shop(chain, name: "one") + shop(chain, name: "two", port: 81))
        #expect(one == two && one[0].hasPrefix("nsh ") && !one[0].hasPrefix("nsh 42/"))
    }

    /// Customers may be behind a tunnel; the file may say the engine's address in it, and packets lose a hop there.
    @Test func customersAreBehindTunnels() throws {
        let plan = try plan(
            """
            name: datacentre
            interfaces:
              uplink: { address: 198.18.65.1/24 }
              servers: { address: 198.18.4.1/24 }
            customers:
              branch:
                remote: { interface: uplink, vxlan: { id: 100, peer: 198.18.64.1 }, gateway: 198.18.100.2/30, \
                  gateway-mac: "02:00:00:00:64:02", address: 198.18.100.1, mac: "02:00:00:00:64:01" }
                prefixes: 192.0.2.0/24
            routers: { internet: { interface: uplink } }
            applications:
              web: { attach: servers }
              far: { remote: { interface: uplink, vxlan: { id: 101, peer: 198.18.64.1 }, gateway: 198.18.101.2/30 } }
            services:
              shop: { address: 203.0.113.80, ports: tcp/80, from: branch, sequence: web }
              site: { address: 203.0.113.81, ports: tcp/80, from: branch, sequence: far }
            """)
        let tunnel = try #require(plan.interfaces.firstIndex { $0.name == "branch" })
        #expect(plan.table.interfaces[tunnel].mac == MACAddress("02:00:00:00:64:02"))
        #expect(plan.table.interfaces.map { $0.tunnel?.takesHop } == [nil, nil, true, false])
        #expect(plan.nodes.first { $0.name == "branch" }?.legs.first?.mac == MACAddress("02:00:00:00:64:01"))
        _ = try TableCompiler.compile(plan.table, generation: 1)
    }

    @Test func instancesAreAtSitesOfTheirOwn() throws {
        let text = Self.text().replacing(
            "remote: { interface: underlay, \(Self.both) }",
            with: """
                remote: { interface: underlay, mtu: 1350 }, instances: { \
                north: { remote: { in: { vxlan: { id: 10, peer: 198.51.100.7 }, gateway: 198.18.2.1/24 }, \
                out: { vxlan: { id: 11, peer: 198.51.100.7 }, gateway: 198.18.3.1/24 } } }, \
                south: { remote: { in: { vxlan: { id: 10, peer: 198.51.100.9 }, gateway: 198.18.5.1/24 }, \
                out: { vxlan: { id: 11, peer: 198.51.100.9 }, gateway: 198.18.6.1/24 } } } }, health: { heartbeat: true }
                """
        ).replacing("ids, ", with: "")
        let plan = try plan(
            text.replacing(
                "  ids: { passive: true, remote: { interface: underlay, geneve: { id: 12, peer: 198.51.100.8 } } }\n",
                with: ""))
        #expect(
            plan.interfaces.map(\.name).suffix(4) == ["north-in", "north-out", "south-in", "south-out"])
        #expect(plan.interfaces.suffix(4).allSatisfy { $0.mtu == 1350 })
        _ = try TableCompiler.compile(plan.table, generation: 1)
    }

    @Test func tunnelsAreChangedAndComeAndGo() throws {
        let before = try plan(Self.text())
        let moved = try plan(Self.text(ids: "geneve: { id: 13, peer: 198.51.100.9 }"))
        #expect(PlanDifference(from: before, to: moved.adopting(before)).refusals.isEmpty)
        func isAccepted(_ text: String, where running: AppliancePlan) throws -> AppliancePlan {
            let fresh = try Planner.plan(TopologyFile.parse(text, path: "t.yaml"), keeping: running).adopting(running)
            let difference = PlanDifference(from: running, to: fresh)
            #expect(difference.refusals.isEmpty, "\(difference.refusals)")
            _ = try TableCompiler.compile(fresh.table, generation: 1)
            return fresh
        }
        // One leg in place of two: a tunnel goes, and its place with it or for the next one.
        let single = try isAccepted(
            Self.text("vxlan: { id: 10, peer: 198.51.100.7 }, gateway: 198.18.2.1/24"), where: before)
        let double = try isAccepted(Self.text(), where: single)
        #expect(double.interfaces.filter { !$0.isVacant }.count == before.interfaces.count)
    }

    @Test func whatLeavesSegmentsToTheKernelGoesOnToDoSo() throws {
        let transit = "transit: { interface: underlay }"
        let whole = Self.text().replacing(transit, with: "transit: { interface: underlay, offload: on }")
        let (cutting, leaving) = (try plan(Self.text()), try plan(whole))
        #expect(!cutting.interfaces[2].isUnderlay && leaving.interfaces[2].isUnderlay)
        func refusals(_ text: String, where running: AppliancePlan) throws -> [String] {
            let fresh = try Planner.plan(TopologyFile.parse(text, path: "t.yaml"), keeping: running).adopting(running)
            return PlanDifference(from: running, to: fresh).refusals.map(\.what)
        }
        #expect(
            try refusals(Self.text(), where: leaving) == [
                "interface underlay leaves segments in tunnels to the kernel, and what comes there does not take them"
            ])
        #expect(
            try refusals(whole, where: cutting) == [
                "interface underlay cuts segments in tunnels, and its nodes would take them whole from now on"
            ])
    }
}
