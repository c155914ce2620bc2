import Forwarding
import Glibc
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

@Suite struct PlanTests {
    @Test func thePictureGivesTheEntriesOfThePicture() throws {
        let plan = try plan(picture)
        _ = try TableCompiler.compile(plan.table, generation: 1)
        let four = plan.entryLines.filter { $0.contains(" 6/80") && $0.contains("203.0.113.80") }
        #expect(
            four == [
                "D shop.request.customers: customers dst 203.0.113.80 6/80 -> inspection!ids.inspection + inspection!fw.inspection",
                "S shop.request.fw: inspected from fw.inspected dst 203.0.113.80 6/80 -> servers!web.servers",
                "S shop.response.web: servers from web.servers src 203.0.113.80 6/80 -> inspected!fw.inspected",
                "S shop.response.fw: inspection from fw.inspection src 203.0.113.80 dst 192.0.2.0/24 6/80 -> "
                    + "inspection!ids.inspection + customers!neighbour",
            ])
        let six = plan.entryLines.filter { $0.contains("2001:db8:cb::80") }
        #expect(six.count == 8)
        #expect(
            six.contains(
                "S shop.response.fw: inspection from fw.inspection src 2001:db8:cb::80 dst 2001:db8:2::/64 6/80 -> "
                    + "inspection!ids.inspection + customers!neighbour"))
        // ICMP and ICMPv6 run the same way.
        #expect(
            plan.entryLines.contains(
                "S shop.request.fw: inspected from fw.inspected dst 203.0.113.80 1 -> servers!web.servers"))
        #expect(
            plan.entryLines.contains(
                "S shop.request.fw: inspected from fw.inspected dst 2001:db8:cb::80 58 -> servers!web.servers"))
        #expect(plan.table.entries.map(\.counter) == Array(0..<16))
        #expect(plan.table.entries[0].targets.map(\.system) == [.passiveApplication, .inlineApplication])
        #expect(plan.table.entries[1].targets.map(\.system) == [.terminalApplication])
    }

    @Test func nodesGetAddressesRoutesAndDevices() throws {
        let plan = try plan(picture)
        #expect(plan.node("bob").legs[0].addresses.map(\.description) == ["192.0.2.2/24", "2001:db8:2::2/64"])
        #expect(plan.node("ids").legs[0].addresses.map(\.description) == ["198.18.2.2/24", "2001:db8:12::2/64"])
        #expect(plan.node("fw").legs.map(\.device) == ["inspection", "inspected"])
        #expect(plan.node("fw").legs[0].addresses.map(\.description) == ["198.18.2.3/24", "2001:db8:12::3/64"])
        let routes = plan.node("fw").routes.map { "\($0.destination) \($0.gateway) \($0.leg)" }
        #expect(
            routes == [
                "192.0.2.0/24 198.18.2.1 0", "0.0.0.0/0 198.18.3.1 1",
                "2001:db8:2::/64 2001:db8:12::1 0", "::/0 2001:db8:13::1 1",
            ])
        #expect(
            plan.node("alice").routes.map { "\($0.destination) \($0.gateway) \($0.leg)" } == [
                "0.0.0.0/0 192.0.2.1 0", "::/0 2001:db8:2::1 0",
            ])
        #expect(plan.node("web").loopback.map(\.description) == ["203.0.113.80", "2001:db8:cb::80"])
        #expect(plan.node("fw").sysctls.contains(SysctlPlan("net.ipv4.ip_forward", "1")))
        #expect(!plan.node("web").sysctls.contains(SysctlPlan("net.ipv4.ip_forward", "1")))
        #expect(plan.node("web").sysctls.contains(SysctlPlan("net.ipv4.conf.all.rp_filter", "0")))
        #expect(plan.node("fw").process.environment["TAPLINE_IN"] == "inspection")
        #expect(plan.node("fw").process.environment["TAPLINE_OUT"] == "inspected")
        #expect(plan.node("fw").process.environment["TAPLINE_OUT_GATEWAY6"] == "2001:db8:13::1")
        #expect(plan.node("alice").namespace == "picture-alice")
        let attachments = plan.interfaces.map(\.attachment)
        #expect(attachments[2...] == [.direct(node: "fw"), .direct(node: "web")])
        let devices = attachments[..<2].flatMap { attachment -> [String] in
            guard case .bridge(let bridge, let tap) = attachment else { return [] }
            return [bridge, tap]
        }
        #expect(devices.map { "\($0.prefix(1))\($0.suffix(5))" } == ["b-cust", "t-cust", "b-insp", "t-insp"])
        #expect(Set(devices).count == 4)
        #expect(plan.node("ids").legs[0].offload == false)
        #expect(plan.node("ids").legs[0].fabricDevice?.hasSuffix("-ids") == true)
        #expect(plan.node("web").legs[0].fabricDevice == nil)
    }

    @Test func theTableKnowsItsNeighboursSourcesAndClaims() throws {
        let table = try plan(picture).table
        #expect(
            table.sources.map { "\($0.node) \($0.system)" } == [
                "alice customer", "bob customer", "ids passiveApplication", "fw inlineApplication",
                "fw inlineApplication",
                "web terminalApplication",
            ])
        #expect(table.claimed.map { "\($0.interface) \($0.prefix)" } == ["0 203.0.113.80", "0 2001:db8:cb::80"])
        #expect(table.neighbours.count == 6 * 3)
        #expect(Set(table.neighbours.map(\.address)).count == 6 * 3)
        let alice = table.neighbours.filter { $0.mac == table.sources[0].mac }.map(\.address)
        #expect(alice.map(\.description).prefix(2) == ["192.0.2.10", "2001:db8:2::10"])
        #expect(alice[2].isLinkLocal && alice[2].low >> 24 & 0xFFFF == 0xFFFE)
        let macs = table.interfaces.map(\.mac) + table.sources.map(\.mac)
        #expect(Set(macs).count == macs.count)
        #expect(macs.allSatisfy { $0.octets[0] == 2 })
    }

    @Test func aNamedCustomerIsTheSource() throws {
        let plan = try plan(picture.replacing("distribute: [ids, fw]", with: "from: alice"))
        #expect(
            plan.entryLines[0]
                == "D shop.request.customers: customers src 192.0.2.10 dst 203.0.113.80 6/80 -> inspection!fw.inspection"
        )
        #expect(
            plan.entryLines[3]
                == "S shop.response.fw: inspection from fw.inspection src 203.0.113.80 dst 192.0.2.10 6/80 -> customers!neighbour"
        )
        #expect(plan.node("fw").routes[0].destination.description == "192.0.2.10")
    }

    @Test func networksBehindACustomerAreReachedByIt() throws {
        let plan = try plan(
            picture.replacing(
                "bob:   { interface: customers }", with: "bob: { interface: customers, prefixes: 10.9.0.0/16 }"))
        #expect(
            plan.entryLines.contains(
                "S shop.response.fw: inspection from fw.inspection src 203.0.113.80 dst 10.9.0.0/16 6/80 -> "
                    + "inspection!ids.inspection + customers!via 192.0.2.2"))
        #expect(plan.node("fw").routes.contains { $0.destination.description == "10.9.0.0/16" && $0.leg == 0 })
    }

    @Test func customersTellServicesWithOneAddressApart() throws {
        let plan = try plan(
            picture.replacing("distribute: [ids, fw]", with: "from: alice")
                .replacing("web: {", with: "other: { attach: servers }\n  web: {")
                + "  shop2: { address: 203.0.113.80, ports: tcp/80, from: bob, sequence: [fw, other] }\n")
        let lines = plan.entryLines.filter { $0.contains(" 6/80") && $0.contains("203.0.113.80") }
        #expect(
            lines.contains(
                "S shop.request.fw: inspected from fw.inspected src 192.0.2.10 dst 203.0.113.80 6/80 -> servers!web.servers"
            ))
        #expect(
            lines.contains(
                "S shop2.request.fw: inspected from fw.inspected src 192.0.2.2 dst 203.0.113.80 6/80 -> servers!other.servers"
            ))
        #expect(
            lines.contains(
                "S shop2.response.other: servers from other.servers src 203.0.113.80 dst 192.0.2.2 6/80 -> inspected!fw.inspected"
            ))
    }

    @Test func thePlanIsTheSameEveryTime() throws {
        let first = try plan(picture)
        let second = try plan(picture)
        #expect(first.table == second.table)
        #expect(first.nodes == second.nodes)
        let renamed = try plan(picture, name: "other")
        #expect(renamed.name == "other")
        #expect(renamed.entryLines == first.entryLines)
        #expect(renamed.table.sources[0].mac != first.table.sources[0].mac)
    }

    @Test func longNamesBecomeDevicesOfFifteenOctets() throws {
        let long = "a-very-long-name-of-an-interface"
        let plan = try plan(
            picture.replacing("inspected", with: long).replacing("inspection", with: long + "-too"))
        let legs = plan.nodes.flatMap(\.legs)
        #expect(legs.allSatisfy { $0.device.utf8.count <= 15 && ($0.fabricDevice?.utf8.count ?? 0) <= 15 })
        let firewall = plan.node("fw").legs.map(\.device)
        #expect(Set(firewall).count == 2)
    }

    @Test func theScenarioOfTheRepositoryHasAPlan() throws {
        var root = #filePath.split(separator: "/").dropLast(3).map(String.init)
        root += ["Topologies", "four-interface", "topology.yaml"]
        let plan = try Planner.plan(TopologyFile.read("/" + root.joined(separator: "/")))
        _ = try TableCompiler.compile(plan.table, generation: 1)
        #expect(plan.nodes.map(\.name) == ["alice", "bob", "ids", "firewall", "shop", "library"])
        #expect(plan.checks.count > 20)
    }

    @Test func theExamplesOfTheReferenceHavePlans() throws {
        var path = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        path += "/Topologies/FORMAT.md"
        let text = try String(decoding: octets(of: path), as: UTF8.self)
        let examples = text.split(separator: "```yaml\n").dropFirst().compactMap { $0.split(separator: "```").first }
        #expect(examples.count == 30)
        for example in examples {
            let plan = try plan(String(example))
            _ = try TableCompiler.compile(plan.table, generation: 1)
        }
    }
}

/// The octets of a file of the repository.
private func octets(of path: String) throws -> [UInt8] {
    let file = try #require(fopen(path, "r"))
    defer { fclose(file) }
    var octets: [UInt8] = []
    while case let octet = fgetc(file), octet != EOF { octets.append(UInt8(truncatingIfNeeded: octet)) }
    return octets
}
