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

/// The shapes of chains beyond the picture.
@Suite struct ShapeTests {
    @Test func aNetworkSendAddressRewritesBothWays() throws {
        let plan = try plan(picture.replacing("attach: servers", with: "attach: servers, send: network"))
        let lines = plan.entryLines.filter { $0.contains(" 6/80") }
        #expect(
            lines[1] == "S shop.request.fw: inspected from fw.inspected dst 203.0.113.80 6/80 -> servers!net 198.18.4.2"
        )
        #expect(
            lines[2]
                == "S shop.response.web: servers from web.servers src 198.18.4.2 6/80 as 203.0.113.80 -> inspected!fw.inspected"
        )
        #expect(
            lines[5]
                == "S shop.request.fw: inspected from fw.inspected dst 2001:db8:cb::80 6/80 -> servers!net 2001:db8:14::2"
        )
        #expect(plan.node("web").loopback.isEmpty)
    }

    @Test func aChainOfOneGoesStraightToTheCustomer() throws {
        let plan = try plan(
            """
            name: one
            interfaces: { a: { address: 192.0.2.1/24 }, b: { address: 198.18.0.1/24 } }
            customers: { c: { interface: a } }
            applications: { web: { attach: b, send: network } }
            services: { s: { address: 203.0.113.1, ports: [tcp/80, icmp], sequence: web } }
            """)
        #expect(
            plan.entryLines == [
                "D s.request.customers: a dst 203.0.113.1 6/80 -> b!net 198.18.0.2",
                "S s.response.web: b from web.b src 198.18.0.2 dst 192.0.2.0/24 6/80 as 203.0.113.1 -> a!neighbour",
                "D s.request.customers: a dst 203.0.113.1 1 -> b!net 198.18.0.2",
                "S s.response.web: b from web.b src 198.18.0.2 dst 192.0.2.0/24 1 as 203.0.113.1 -> a!neighbour",
            ])
    }

    @Test func aOneArmedApplicationIsToldByAddressAndPort() throws {
        let plan = try plan(picture.replacing("{ in: inspection, out: inspected }", with: "{ in: inspection }"))
        let lines = plan.entryLines.filter { $0.contains(" 6/80") && $0.contains("203.0.113.80") }
        #expect(
            lines[1] == "S shop.request.fw: inspection from fw.inspection dst 203.0.113.80 6/80 -> servers!web.servers")
        #expect(
            lines[2]
                == "S shop.response.web: servers from web.servers src 203.0.113.80 6/80 -> inspection!fw.inspection")
        #expect(
            lines[3].hasPrefix("S shop.response.fw: inspection from fw.inspection src 203.0.113.80 dst 192.0.2.0/24"))
        #expect(plan.node("fw").routes.map(\.destination.description) == ["0.0.0.0/0", "::/0"])
        #expect(plan.node("fw").legs[0].role == "port")
        #expect(plan.node("fw").sysctls.contains(SysctlPlan("net.ipv4.ip_forward", "1")))
        #expect(plan.node("fw").sysctls.contains(SysctlPlan("net.ipv4.conf.all.send_redirects", "0")))
    }

    @Test func aTransparentApplicationCarriesAliases() throws {
        let plan = try plan(
            picture.replacing("type: firewall, attach", with: "type: ips, transparent: true, attach"))
        let lines = plan.entryLines.filter { $0.contains(" 6/80") && $0.contains("203.0.113.80") }
        #expect(
            lines == [
                "D shop.request.customers: customers dst 203.0.113.80 6/80 -> inspection!ids.inspection + "
                    + "inspection!alias.inspected by alias.inspection",
                "S shop.request.fw: inspected from alias.inspection dst 203.0.113.80 6/80 -> servers!web.servers",
                "S shop.response.web: servers from web.servers src 203.0.113.80 6/80 -> "
                    + "inspected!alias.inspection by alias.inspected",
                "S shop.response.fw: inspection from alias.inspected src 203.0.113.80 dst 192.0.2.0/24 6/80 -> "
                    + "inspection!ids.inspection + customers!neighbour",
            ])
        let legs = plan.node("fw").legs
        #expect(legs[0].addresses.isEmpty && legs[1].addresses.isEmpty)
        #expect(plan.owner(legs[0].deliverToo[0]) == "alias.inspected")
        #expect(plan.owner(legs[1].deliverToo[0]) == "alias.inspection")
        #expect(plan.node("fw").routes.isEmpty)
        #expect(plan.interfaces[2].attachment != .direct(node: "fw"))
        let sources = plan.table.sources.filter { $0.node == "fw" }.map { "\($0.interface) \(plan.owner($0.mac))" }
        #expect(sources == ["1 alias.inspected", "2 alias.inspection"])
        #expect(!plan.table.neighbours.contains { $0.mac == legs[0].mac })
    }

    @Test func everythingACustomerSendsOutEndsAtARouter() throws {
        let plan = try plan(
            picture
                + """
                  egress: { address: [0.0.0.0/0, "::/0"], from: alice, sequence: [fw, internet] }
                routers:
                  internet: { interface: servers, run: bird }
                """)
        #expect(
            plan.entryLines.contains(
                "D egress.request.customers: customers src 192.0.2.10 dst 0.0.0.0/0 -> inspection!fw.inspection"))
        #expect(
            plan.entryLines.contains(
                "S egress.request.fw: inspected from fw.inspected dst 0.0.0.0/0 -> servers!internet.servers"))
        #expect(
            plan.entryLines.contains(
                "S egress.response.internet: servers from internet.servers src 0.0.0.0/0 -> inspected!fw.inspected"))
        // A source that is named goes before a destination that is longer: the shop has alice's, too.
        #expect(
            plan.entryLines.contains(
                "D shop.request.customers: customers src 192.0.2.10 dst 203.0.113.80 6/80 -> "
                    + "inspection!ids.inspection + inspection!fw.inspection"))
        let router = plan.node("internet")
        #expect(
            router.routes.map { "\($0.destination) \($0.gateway)" } == [
                "192.0.2.10 198.18.4.1", "2001:db8:2::10 2001:db8:14::1",
            ])
        #expect(router.sysctls.contains(SysctlPlan("net.ipv4.ip_forward", "1")))
        #expect(plan.table.claimed.contains { $0.prefix.description == "0.0.0.0/0" && $0.interface == 0 })
    }

    @Test func copiesAreTakenInTheMiddleOfASequence() throws {
        let plan = try plan(
            picture.replacing("sequence: [fw, web]", with: "sequence: [fw, tap, web]")
                .replacing("web: {", with: "tap: { passive: true, attach: servers }\n  web: {"))
        let lines = plan.entryLines.filter { $0.contains(" 6/80") && $0.contains("203.0.113.80") }
        #expect(
            lines[1]
                == "S shop.request.fw: inspected from fw.inspected dst 203.0.113.80 6/80 -> servers!tap.servers + servers!web.servers"
        )
        #expect(
            lines[2]
                == "S shop.response.web: servers from web.servers src 203.0.113.80 6/80 -> servers!tap.servers + inspected!fw.inspected"
        )
    }

    @Test func activeResponsesGoBothWays() throws {
        let plan = try plan(picture.replacing("passive: true,", with: "passive: true, active-responses: true,"))
        let lines = plan.entryLines.filter {
            $0.contains("from ids") && $0.contains("203.0.113.80 ") && $0.contains("6/80")
        }
        #expect(
            lines == [
                "S shop.request.ids: inspection from ids.inspection dst 203.0.113.80 6/80 -> inspection!fw.inspection",
                "S shop.response.ids: inspection from ids.inspection src 203.0.113.80 dst 192.0.2.0/24 6/80 -> customers!neighbour",
            ])
        #expect(plan.table.sources.first { $0.node == "ids" }?.mayEmit == true)
    }

    @Test func withoutAnIPv6AddressOfTheEngineItsLinkLocalOneIsTheGateway() throws {
        let plan = try plan(
            picture.replacing("[198.18.3.1/24, \"2001:db8:13::1/64\"]", with: "198.18.3.1/24"))
        #expect(plan.node("fw").routes.map { "\($0.destination) \($0.gateway) \($0.leg)" }.last == "::/0 fe80::1 1")
    }

    @Test func entriesByHandAreTakenAsTheyAre() throws {
        let plan = try plan(
            """
            name: raw
            interfaces: { a: { address: 192.0.2.1/24 }, b: { address: 198.18.0.1/24 } }
            customers: { c: { interface: a, address: 192.0.2.7/24 } }
            applications: { web: { attach: b } }
            entries:
              distribution:
                - { name: in, received-interface: a, source: 192.0.2.0/25, destination: 203.0.113.1, service-port: [tcp/80, udp/53], to: [{ application: web }] }
              sequencing:
                - { name: out, received-interface: b, source: web, destination: c, service-port: tcp/80-90, direction: response, to: { interface: a, neighbour: true } }
                - { name: dns, received-interface: b, source: web, destination: c, service-port: udp/53, direction: response, to: { interface: a, neighbour: true } }
                - { name: mac, received-interface: b, source: "02:00:00:00:00:0a", to: { interface: b, mac: "02:00:00:00:00:0a", system: router } }
                - { name: net, received-interface: b, destination: 203.0.113.9, to: { interface: b, network: 198.18.0.2 } }
                - { name: back, received-interface: b, source: 198.18.0.2, direction: response, rewrite-source: 203.0.113.9, to: { interface: a, neighbour: 192.0.2.7 } }
            checks:
              - { name: counted, entry: in, packets: ">= 1" }
            """)
        #expect(
            plan.entryLines == [
                "D in: a src 192.0.2.0/25 dst 203.0.113.1 6/80 -> b!web.b",
                "D in: a src 192.0.2.0/25 dst 203.0.113.1 17/53 -> b!web.b",
                "S out: b from web.b dst 192.0.2.7 6/80-90 -> a!neighbour",
                "S dns: b from web.b dst 192.0.2.7 17/53 -> a!neighbour",
                "S mac: b from 02:00:00:00:00:0a -> b!02:00:00:00:00:0a",
                "S net: b dst 203.0.113.9 -> b!net 198.18.0.2",
                "S back: b src 198.18.0.2 as 203.0.113.9 -> a!via 192.0.2.7",
            ])
        #expect(plan.table.entries[4].targets[0].system == .router)
        #expect(
            plan.checks[0].steps.map(\.action)
                == [.entry(name: "in", packets: NumberExpectation(.atLeast, 1), bytes: nil, .start)])
    }

    @Test func processesAndChecksAreRead() throws {
        let plan = try plan(
            """
            name: full
            interfaces: { a: { address: 192.0.2.1/24, mtu: 9000 } }
            customers:
              c:
                interface: a
                setup: [one, two]
                run: three
                ready: { http: 8080, path: /up, status: 204 }
                ready-timeout: 1.5s
                restart: always
                depends: d
                environment: { A: 1 }
                sysctls: { net.ipv4.tcp_ecn: 1 }
                hosts: { shop.example: [203.0.113.80, "2001:db8::80"] }
                routes: [{ to: 10.0.0.0/8, via: 192.0.2.3 }]
                offload: off
              d: { interface: a, ready: { tcp: 22 } }
            engine: { workers: 2 }
            checks:
              - { name: runs, on: c, run: echo hi, expect: hi, within: 2m, timeout: 500ms }
              - { name: fails, on: c, run: false, expect: { status: 1, output: [a, b], lacks: c, matches: 'x+' } }
              - { name: logs, log: d, expect: { contains: y } }
              - { name: drops, drops: no-service, frames: 0 }
            """)
        let process = plan.node("c").process
        #expect(process.setup == ["one", "two"])
        #expect(process.run == "three")
        #expect(
            process.ready
                == .http(address: IPAddress(ipv4: 0x7F00_0001), port: 8080, path: "/up", host: "127.0.0.1", status: 204)
        )
        #expect(process.readyTimeout == 1500)
        #expect(process.restart == .always)
        #expect(process.depends == ["d"])
        #expect(process.environment["A"] == "1")
        #expect(process.environment["TAPLINE_ADDRESS"] == "192.0.2.2")
        #expect(plan.node("c").sysctls.last == SysctlPlan("net.ipv4.tcp_ecn", "1"))
        #expect(plan.node("c").hosts.map(\.name) == ["shop.example", "shop.example"])
        #expect(plan.node("c").routes.last?.gateway.description == "192.0.2.3")
        #expect(plan.node("d").process.ready == .tcp(address: IPAddress(ipv4: 0x7F00_0001), port: 22))
        #expect(plan.engines.workers == 2)
        #expect(plan.interfaces[0].mtu == 9000)
        #expect(plan.directory == ".")
        #expect(plan.checks.map(\.name) == ["runs", "fails", "logs", "drops"])
        let steps = plan.checks.map(\.steps[0])
        #expect(
            steps[0].action
                == .command(
                    CommandPlan(node: "c", command: "echo hi"),
                    CommandExpectation(output: TextExpectation(contains: ["hi"]))))
        #expect(steps[0].within == 120_000)
        #expect(steps[0].timeout == 500)
        #expect(
            steps[1].action
                == .command(
                    CommandPlan(node: "c", command: "false"),
                    CommandExpectation(
                        status: NumberExpectation(.equal, 1),
                        output: TextExpectation(contains: ["a", "b"], lacks: ["c"], matches: ["x+"]))))
        #expect(
            steps[3].action == .drops(reason: "no-service", frames: NumberExpectation(.equal, 0), .start))
    }
}
