import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

extension AppliancePlan {
    /// Hops as a person would read them aloud: `fw-a|fw-b (else web)`.
    func text(_ hops: [Hop]) -> String {
        hops.map { hop in
            switch hop {
            case .target(let target): return text(target)
            case .instance(_, let targets, let otherwise):
                let members = targets.map { text($0) }.joined(separator: "|")
                switch otherwise {
                case .drop(let answer): return "\(members) (else \(answer))"
                case .hops(let hops): return "\(members) (else \(hops.isEmpty ? "nobody" : text(hops)))"
                }
            case .whether(let group, let up, let down):
                return "{\(table.groups[group].name) up: \(text(up)); down: \(text(down))}"
            }
        }.joined(separator: " + ")
    }

    private func text(_ target: SendTarget) -> String {
        switch target.address {
        case .mac(let mac): owner(mac)
        case .network(let address): "net \(address)"
        case .neighbour(let via): via.map { "via \($0)" } ?? "customer"
        }
    }

    /// What entries of a name send, by the node that the packets come from.
    func hops(_ name: String, port: UInt16 = 80, family: AddressFamily = .ipv4) -> [String] {
        table.entries.filter { entry in
            entry.name == name && entry.servicePort.ports == port...port
                && (entry.source ?? entry.destination)?.family == family
        }.map { entry in
            let from = entry.sourceMAC.map { "\(owner($0)): " } ?? ""
            let to = entry.direction == .response ? entry.destination.map { "\($0) " } ?? "" : ""
            return from + to + text(entry.hops)
        }
    }
}

/// The picture with two firewalls.
let redundant = picture.replacing(
    "attach: { in: inspection, out: inspected } }",
    with: """
        attach: { in: inspection, out: inspected }, instances: [fw-a, fw-b] }
        """)

@Suite struct InstanceTests {
    @Test func entriesSendToTheGroupAndComeFromEachInstance() throws {
        let plan = try plan(redundant)
        for family in AddressFamily.allCases {
            #expect(
                plan.hops("shop.request.customers", family: family) == [
                    "ids.inspection + fw-a.inspection|fw-b.inspection (else silence)"
                ])
            #expect(
                plan.hops("shop.request.fw", family: family) == [
                    "fw-a.inspected: web.servers", "fw-b.inspected: web.servers",
                ])
            let back = plan.hops("shop.response.web", family: family)
            #expect(back[0] == "web.servers: fw-a.inspected|fw-b.inspected (else silence)")
            // What an instance sent with its own address is answered to it.
            let far = plan.node("fw-b").legs[1].addresses.first { $0.address.family == family }
            #expect(back.count == 3)
            #expect(try back.contains("web.servers: \(#require(far).address) fw-b.inspected"))
            #expect(plan.hops("shop.response.fw", family: family).count == 2)
        }
        #expect(plan.table.groups.map(\.name) == ["fw"])
        #expect(plan.table.groups[0].members.map(\.name) == ["fw-a", "fw-b"])
        #expect(plan.table.groups[0].active == 1 && plan.table.groups[0].hashing == .sessions)
        #expect(plan.table.groups[0].seed != 0)
    }

    @Test func instancesAreNodesLikeTheApplication() throws {
        let plan = try plan(redundant)
        #expect(plan.nodes.map(\.name) == ["alice", "bob", "ids", "fw-a", "fw-b", "web"])
        #expect(plan.node("fw-b").namespace == "picture-fw-b")
        #expect(plan.node("fw-b").type == "firewall")
        for name in ["fw-a", "fw-b"] {
            let node = plan.node(name)
            #expect(node.legs.map(\.device) == ["inspection", "inspected"])
            #expect(node.legs.allSatisfy { $0.fabricDevice != nil })
            #expect(node.routes.map { "\($0.destination)" }.prefix(2) == ["192.0.2.0/24", "0.0.0.0/0"])
            #expect(node.sysctls.contains(SysctlPlan("net.ipv4.ip_forward", "1")))
        }
        // Its interfaces are on bridges, whoever else is there; others are not.
        guard case .bridge = plan.interfaces[2].attachment else {
            Issue.record("\(plan.interfaces[2])")
            return
        }
        #expect(plan.interfaces[3].attachment == .direct(node: "web"))
        let application = try #require(plan.applications.first)
        #expect(plan.applications.count == 1)
        #expect(application.redundancy == .activeStandby && application.whenDown == .drop)
        #expect(application.drainTime == 30_000 && application.damping == DampingPlan() && application.scale == nil)
        #expect(
            application.instances == [
                InstancePlan(node: "fw-a", group: 0, member: 0), InstancePlan(node: "fw-b", group: 0, member: 1),
            ])
    }

    @Test func withoutTheKeysNothingIsLookedAfter() throws {
        let plan = try plan(picture)
        #expect(plan.applications.isEmpty && plan.table.groups.isEmpty)
        #expect(plan.table.entries.allSatisfy { $0.hops == $0.targets.map { .target($0) } })
    }

    @Test func anInstancesOwnKeysStandInPlaceOfTheApplications() throws {
        let plan = try plan(
            picture.replacing(
                "web: { type: web-server, attach: servers }",
                with: """
                    web:
                        attach: servers
                        run: exec nginx
                        ready: { tcp: 80 }
                        environment: { A: "1", B: "2" }
                        sysctls: { net.ipv4.tcp_ecn: 1 }
                        hosts: { one: 203.0.113.1, two: 203.0.113.2 }
                        redundancy: balance
                        instances:
                          web-a: { weight: 3, address: 198.18.4.77, environment: { B: "3" } }
                          web-b: { run: exec haproxy, ready: started, restart: never, depends: web-a, hosts: { two: 203.0.113.3 } }
                          web-c:
                    """))
        let (a, b, c) = (plan.node("web-a"), plan.node("web-b"), plan.node("web-c"))
        #expect(a.process.run == "exec nginx" && b.process.run == "exec haproxy" && c.process.run == "exec nginx")
        #expect(a.process.ready == .tcp(address: IPAddress(ipv4: 0x7F00_0001), port: 80) && b.process.ready == .started)
        #expect(a.process.environment["A"] == "1" && a.process.environment["B"] == "3")
        #expect(b.process.environment["B"] == "2" && b.process.restart == .never && b.process.depends == ["web-a"])
        #expect(b.sysctls.contains(SysctlPlan("net.ipv4.tcp_ecn", "1")))
        #expect(b.hosts.map { "\($0.name) \($0.address)" } == ["one 203.0.113.1", "two 203.0.113.3"])
        #expect(a.legs[0].addresses.map(\.description) == ["198.18.4.77/24"])
        #expect(c.legs[0].addresses.map(\.description) == ["198.18.4.3/24", "2001:db8:14::3/64"])
        #expect(plan.table.groups[0].members.map(\.weight) == [3, 1, 1])
        #expect(plan.table.groups[0].active == nil && plan.table.groups[0].hashing == .ports)
        for node in [a, b, c] { #expect(node.loopback.map(\.description) == ["203.0.113.80", "2001:db8:cb::80"]) }
        #expect(
            plan.hops("shop.request.fw") == [
                "fw.inspected: web-a.servers|web-b.servers|web-c.servers (else unreachable)"
            ])
        #expect(plan.hops("shop.response.web").map { $0.prefix(6) } == ["web-a.", "web-b.", "web-c."])
    }

    @Test func prioritiesNumbersAndSharingAreTheTables() throws {
        let plan = try plan(
            picture.replacing(
                "web: { type: web-server, attach: servers }",
                with: """
                    web: { attach: servers, instances: { a: { priority: 50 }, b: {}, c: {} }, active: 2, minimum: 2, hash: addresses,
                        seed: 7, answer: reset, drain: 5s, damping: false }
                    """))
        let group = plan.table.groups[0]
        #expect(group.members.map(\.priority) == [50, 100, 100])
        #expect(group.active == 2 && group.minimum == 2 && group.hashing == .addresses && group.seed == 7)
        #expect(plan.hops("shop.request.fw") == ["fw.inspected: a.servers|b.servers|c.servers (else reset)"])
        #expect(plan.applications[0].drainTime == 5_000 && plan.applications[0].damping == nil)
        let numbered = try Planner.plan(
            TopologyFile.parse(redundant.replacing("[fw-a, fw-b]", with: "3"), path: "t.yaml"))
        #expect(numbered.table.groups[0].members.map(\.name) == ["fw-1", "fw-2", "fw-3"])
        let sole = try Planner.plan(
            TopologyFile.parse(redundant.replacing("[fw-a, fw-b]", with: "fw"), path: "t.yaml"))
        #expect(sole.applications[0].instances.map(\.node) == ["fw"])
    }

    @Test func everyInstanceOfAPassiveApplicationGetsACopy() throws {
        let two = picture.replacing(
            "passive: true, attach: { in: inspection } }",
            with: "passive: true, attach: { in: inspection }, instances: 2 }")
        var plan = try plan(two)
        #expect(
            plan.hops("shop.request.customers") == [
                "ids-1.inspection (else nobody) + ids-2.inspection (else nobody) + fw.inspection"
            ])
        #expect(plan.table.groups.map { $0.members.map(\.name) } == [["ids-1"], ["ids-2"]])
        #expect(plan.applications[0].redundancy == .copies && plan.applications[0].whenDown == .bypass)
        #expect(
            plan.applications[0].instances == [
                InstancePlan(node: "ids-1", group: 0, member: 0), InstancePlan(node: "ids-2", group: 1, member: 0),
            ])
        plan = try Planner.plan(
            TopologyFile.parse(two.replacing("instances: 2", with: "instances: 2, redundancy: balance"), path: "t.yaml")
        )
        #expect(
            plan.hops("shop.request.customers") == [
                "ids-1.inspection|ids-2.inspection (else nobody) + fw.inspection"
            ])
        // What they may say themselves comes from each.
        plan = try Planner.plan(
            TopologyFile.parse(
                two.replacing("instances: 2", with: "instances: 2, active-responses: true"), path: "t.yaml"))
        #expect(plan.hops("shop.request.ids").map { $0.prefix(6) } == ["ids-1.", "ids-2."])
    }

    @Test func whatIsLeftOutOnTheWayThereIsLeftOutOnTheWayBack() throws {
        let plan = try plan(redundant.replacing("[fw-a, fw-b]", with: "[fw-a, fw-b], when-down: bypass"))
        #expect(
            plan.hops("shop.request.customers") == [
                "ids.inspection + fw-a.inspection|fw-b.inspection (else web.servers)"
            ])
        // The customer decides where answers go that pass the firewall by; a translated one's address still does not.
        #expect(
            plan.hops("shop.response.web").prefix(2) == [
                "web.servers: 192.0.2.0/24 fw-a.inspected|fw-b.inspected (else ids.inspection + customer)",
                "web.servers: fw-a.inspected|fw-b.inspected (else silence)",
            ])
        #expect(plan.hops("shop.response.fw")[0] == "fw-a.inspection: 192.0.2.0/24 ids.inspection + customer")
    }
}
