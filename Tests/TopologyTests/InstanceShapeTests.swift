import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

@Suite struct InstanceShapeTests {
    @Test func aNetworkSendAddressIsEachInstancesOwn() throws {
        let plan = try plan(
            picture.replacing(
                "web: { type: web-server, attach: servers }",
                with: "web: { attach: servers, send: network, instances: [a, b], redundancy: balance }"))
        #expect(plan.hops("shop.request.fw") == ["fw.inspected: net 198.18.4.2|net 198.18.4.3 (else unreachable)"])
        #expect(
            plan.hops("shop.request.fw", family: .ipv6) == [
                "fw.inspected: net 2001:db8:14::2|net 2001:db8:14::3 (else unreachable)"
            ])
        let answers = plan.table.entries.filter { $0.name == "shop.response.web" && $0.servicePort.ports == 80...80 }
        #expect(
            answers.map { "\(plan.owner($0.sourceMAC ?? MACAddress(bits: 0))) \($0.source?.description ?? "any")" } == [
                "a.servers 198.18.4.2", "b.servers 198.18.4.3", "a.servers 2001:db8:14::2", "b.servers 2001:db8:14::3",
            ])
        #expect(
            answers.map { $0.rewriteSource?.description } == [
                "203.0.113.80", "203.0.113.80", "2001:db8:cb::80", "2001:db8:cb::80",
            ])
        #expect(plan.node("b").loopback.isEmpty)
    }

    @Test func transparentInstancesAreToldApartByTheirAliases() throws {
        let plan = try plan(
            redundant.replacing("instances: [fw-a, fw-b]", with: "transparent: true, instances: [fw-a, fw-b]"))
        let request = try #require(plan.table.entries.first { $0.name == "shop.request.customers" })
        guard case .instance(_, let targets, _) = request.hops[1] else {
            Issue.record("\(request.hops)")
            return
        }
        #expect(Set(targets.compactMap(\.sourceMAC)).count == 2)
        let passed = plan.table.entries.filter { $0.name == "shop.request.fw" && $0.servicePort.ports == 80...80 }
        #expect(passed.prefix(2).map(\.sourceMAC) == targets.map(\.sourceMAC))
        #expect(Set(plan.table.interfaces[1].aliases).count == 2)
        // Bumps in the wire have no addresses of their own to be answered at.
        #expect(plan.hops("shop.response.web").count == 1)
    }

    @Test func oneArmedInstancesReturnBothWaysOnOneInterface() throws {
        let plan = try plan(redundant.replacing("{ in: inspection, out: inspected }", with: "inspection"))
        #expect(
            plan.hops("shop.request.fw") == ["fw-a.inspection: web.servers", "fw-b.inspection: web.servers"])
        #expect(plan.hops("shop.response.web")[0] == "web.servers: fw-a.inspection|fw-b.inspection (else silence)")
        let two = plan.nodes.filter { $0.name.hasPrefix("fw-") }
        #expect(two.allSatisfy { $0.legs.map(\.role) == ["port"] })
    }

    @Test func instancesThatOpenConnectionsAreAnsweredEach() throws {
        let plan = try plan(
            picture.replacing(
                "web: { type: web-server, attach: servers }",
                with: """
                    proxy: { attach: { in: inspected, out: servers }, instances: 2, redundancy: balance }
                      origin: { attach: servers }
                    """
            ).replacing("sequence: [fw, web]", with: "sequence: [fw, proxy]")
                + "  origin: { address: 198.51.100.1, ports: tcp/80, from: proxy, sequence: origin }\n")
        #expect(plan.hops("shop.request.fw")[0].hasSuffix("proxy-1.inspected|proxy-2.inspected (else unreachable)"))
        let answers = plan.hops("origin.response.origin")
        #expect(
            answers == [
                "origin.servers: 198.18.4.2 proxy-1.servers", "origin.servers: 198.18.4.3 proxy-2.servers",
            ])
        let requests = plan.table.entries.filter {
            $0.name == "origin.request.customers" && $0.servicePort.ports == 80...80
        }
        #expect(
            requests.map { plan.owner($0.sourceMAC ?? MACAddress(bits: 0)) } == ["proxy-1.servers", "proxy-2.servers"])
    }

    @Test func theWayBackOfTranslatingInstancesIsRouted() throws {
        let plan = try plan(
            picture.replacing(
                "attach: { in: inspection, out: inspected } }",
                with: "attach: { in: inspection, out: servers }, instances: [fw-a, fw-b] }"
            )
            .replacing("sequence: [fw, web]", with: "sequence: [fw, web]"))
        // On one link the server meets them only through the engine: each is a route of its own.
        #expect(plan.hops("shop.response.web").count == 3)
        #expect(plan.node("web").routes.count >= 2)
    }

    @Test func namesMeanWhatIsAskedFor() throws {
        let plan = try plan(
            redundant.replacing(
                "web: { type: web-server, attach: servers }",
                with: "web: { attach: servers, depends: fw, instances: 2, redundancy: balance, run: exec nginx }")
                    + """
                    checks:
                      - { name: one, on: web-2, run: "true" }
                      - { name: path, packet: { from: alice, to: 203.0.113.80, port: tcp/80 }, reaches: [[ids, fw], web], answer: [fw, [alice, ids]] }
                      - { name: named, packet: { from: alice, to: 203.0.113.80, port: tcp/80 }, reaches: [[ids, fw], web-1] }
                      - { name: entry, entry: shop.request.fw, packets: ">= 1" }

                    """)
        #expect(plan.node("web-1").process.depends == ["fw-a", "fw-b"])
        guard case .packet(let packet) = plan.checks[1].steps[0].action else {
            Issue.record("\(plan.checks[1])")
            return
        }
        #expect(packet.reaches == [["ids", "fw"], ["web"]])
        #expect(packet.standIns == ["fw-a": "fw", "fw-b": "fw", "web-1": "web", "web-2": "web"])
        guard case .packet(let named) = plan.checks[2].steps[0].action else {
            Issue.record("\(plan.checks[2])")
            return
        }
        #expect(named.reaches[1] == ["web-1"] && named.standIns == ["fw-a": "fw", "fw-b": "fw"])
    }

    @Test func enginesShareByQueuesOrByDirection() throws {
        #expect(try plan(picture).engines == EnginesPlan())
        #expect(try plan(picture + "engine: { workers: 3 }\n").engines == EnginesPlan(workers: 3))
        #expect(try plan(picture + "engines: 3\n").engines == EnginesPlan(count: 3))
        #expect(
            try plan(picture + "engines: { workers: 2 }\n").engines == EnginesPlan(count: 2, workers: 2))
        let split = try plan(picture + "engines: { share: direction }\n").engines
        #expect(split == EnginesPlan(count: 2, sharing: .direction, engineOfInterface: [0, 1, 0, 1]))
        // An interface that requests and answers come in on goes with the requests.
        let oneArmed = try plan(
            picture.replacing("{ in: inspection, out: inspected }", with: "inspection")
                + "engines: { share: direction }\n")
        #expect(oneArmed.engines.engineOfInterface == [0, 0, 0, 1])
    }

    @Test func theFileSaysHowEnginesMoveFrames() throws {
        let one = try plan(picture + "engine: { io: io_uring, coalescing: off, latency: low }\n").engines
        #expect(one == EnginesPlan(writing: .ring, coalesces: false, latency: .low))
        let several = try plan(picture + "engines: { count: 3, io: write, coalescing: on, latency: normal }\n").engines
        #expect(several == EnginesPlan(count: 3, writing: .plain))
        #expect(try plan(picture + "engine: { io: auto }\n").engines == EnginesPlan())
    }

    @Test func aPathNamesTheApplicationAndWhatMustBeDown() throws {
        let text = redundant.replacing("[fw-a, fw-b]", with: "[fw-a, fw-b], when-down: bypass")
        let proved = try Planner.prove(TopologyFile.parse(text, path: "t.yaml"))
        let path = try #require(proved.services.first?.paths.first)
        #expect(path.request.map(\.from) == [["alice", "bob"], ["fw"]])
        let copies = path.request[0].copies
        #expect(copies.map(\.to) == [["ids"], ["fw"], ["web"]])
        #expect(copies.map(\.oneOf) == [[], ["fw-a", "fw-b"], []])
        #expect(copies.map(\.condition) == [nil, nil, "fw is down"])
        #expect(path.response.map(\.from) == [["web"], ["fw"]])
    }
}
