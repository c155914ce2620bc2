import Forwarding
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

/// Nodes that are each other's neighbours, groups among them, and addresses that move.
@Suite struct NeighbourhoodTests {
    static let link = """
        name: link
        interfaces:
          core: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          edge: { address: 198.18.3.1/24 }
        applications:
          r1: { attach: { core: core, edge: edge } }
          r2: { attach: core }
          ids: { passive: true, attach: core }
        services:
          ospf: { between: [r1, r2], address: [224.0.0.5, "ff02::5"], ports: protocol/89, distribute: ids }

        """

    private func lines(_ text: String) throws -> [String] { try plan(text).entryLines }

    @Test func neighboursReachEachOtherAndTheirGroups() throws {
        let all = try lines(Self.link)
        #expect(
            all.filter { $0.contains("224.0.0.5") } == [
                "S ospf.request.r1: core from r1.core dst 224.0.0.5 89 -> core!ids.core + core!r2.core",
                "S ospf.request.r2: core from r2.core dst 224.0.0.5 89 -> core!ids.core + core!r1.core",
            ])
        #expect(all.filter { $0.contains("dst ff02::5 89") }.count == 2)
        #expect(
            all.contains("S ospf.request.r1: core from r1.core dst 198.18.2.3 89 -> core!ids.core + core!r2.core"))
        // Among neighbours there are echo, and link-local addresses.
        #expect(all.contains("S ospf.request.r1: core from r1.core dst 198.18.2.3 1 -> core!ids.core + core!r2.core"))
        #expect(all.contains { $0.contains("ospf.request.r2") && $0.contains("dst fe80::") && $0.contains(" 89 ") })
        let entries = try plan(Self.link).table.entries
        #expect(entries.allSatisfy { $0.isBetween && $0.sourceMAC != nil && $0.source == nil })
    }

    @Test func aPortHasAnswers() throws {
        let text = Self.link.replacing("address: [224.0.0.5, \"ff02::5\"], ports: protocol/89", with: "ports: tcp/179")
        let all = try lines(text).filter { $0.contains("6/179") && !$0.contains("2001") && !$0.contains("fe80") }
        #expect(
            all == [
                "S ospf.request.r1: core from r1.core dst 198.18.2.3 6/179 -> core!ids.core + core!r2.core",
                "S ospf.response.r1: core from r1.core src 198.18.2.2 dst 198.18.2.3 6/179 -> core!ids.core + core!r2.core",
                "S ospf.request.r2: core from r2.core dst 198.18.2.2 6/179 -> core!ids.core + core!r1.core",
                "S ospf.response.r2: core from r2.core src 198.18.2.3 dst 198.18.2.2 6/179 -> core!ids.core + core!r1.core",
            ])
    }

    /// What lies behind them is no neighbour: nothing is promised to it.
    @Test(arguments: ["protocol/89", "tcp/179", "any"])
    func routersAndCustomersWithNetworksBehindThemAreNeighbours(_ ports: String) throws {
        let all = try lines(
            """
            name: behind
            interfaces:
              core: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
              edge: { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
            customers:
              branch: { interface: core, prefixes: [172.16.0.0/24, "2001:db8:77::/64"] }
              other: { interface: edge, prefixes: 172.16.1.0/24 }
            routers:
              r1: { interface: core }
              r2: { interface: edge }
            services:
              routing: { between: [branch, other, r1, r2], address: 224.0.0.5, subnet: true, ports: \(ports) }
              net: { address: 172.17.0.0/24, from: [branch, other], sequence: r1 }

            """)
        for node in ["branch", "other", "r1", "r2"] {
            #expect(all.contains { $0.contains(" routing.request.\(node): ") }, "\(all)")
        }
    }

    @Test func allInstancesOfAnApplicationAreNeighbours() throws {
        let all = try lines(
            """
            name: vrrp
            interfaces:
              servers: { address: 198.18.4.1/24 }
              customers: { address: 192.0.2.1/24 }
            customers:
              alice: { interface: customers }
            applications:
              web: { attach: servers, instances: 3, send: announced }
            services:
              shop: { address: 198.18.4.100, ports: tcp/80, sequence: web }
              vrrp: { between: web, address: 224.0.0.18, ports: protocol/112 }
            """)
        #expect(
            all.first { $0.contains("vrrp.request.web") && $0.contains("224.0.0.18") }
                == "S vrrp.request.web: servers from web-1.servers dst 224.0.0.18 112 -> servers!web-2.servers + "
                + "servers!web-3.servers")
        // Packets go to the instance that announced the address; each of them may answer.
        #expect(all.first == "D shop.request.customers: customers dst 198.18.4.100 6/80 -> servers!via 198.18.4.100")
        #expect(all.filter { $0.contains("shop.response.web") && $0.contains(" 6/80") }.count == 3)
    }

    @Test func broadcastsReachTheOthersAcrossInterfaces() throws {
        let text = """
            name: dhcp
            interfaces:
              lan: { address: 192.0.2.1/24 }
              servers: { address: 198.18.4.1/24 }
            customers:
              alice: { interface: lan, address: [], may-have: 192.0.2.128/26 }
              bob: { interface: lan }
            applications:
              dhcp: { attach: servers }
            services:
              lease: { between: [alice, bob, dhcp], address: 255.255.255.255, subnet: true, ports: [udp/67, udp/68] }
            """
        let plan = try plan(text)
        #expect(
            plan.entryLines.contains(
                "D lease.request.alice: lan from alice.lan dst 255.255.255.255 17/67 -> lan!bob.lan + servers!dhcp.servers"
            ))
        #expect(
            plan.entryLines.contains(
                "D lease.request.bob: lan from bob.lan dst 192.0.2.255 17/68 -> lan!alice.lan + servers!dhcp.servers"))
        #expect(
            plan.entryLines.contains(
                "S lease.request.dhcp: servers from dhcp.servers dst 192.0.2.128/26 17/68 -> lan!neighbour"))
        #expect(plan.table.sources[0].origins?.map(\.description) == ["192.0.2.128/26"])
        #expect(
            plan.table.holders.filter(\.moves)
                == [
                    AddressHolder(
                        interface: 0, mac: plan.node("alice").legs[0].mac, prefix: IPPrefix("192.0.2.128/26")!,
                        moves: true)
                ])
    }

    /// Servers that share a service address may move it; a single one just has it.
    @Test func redundantServersMayMoveTheirAddress() throws {
        func movable(_ instances: String) throws -> Int {
            try plan(
                """
                name: redundant
                interfaces:
                  customers: { address: 192.0.2.1/24 }
                  servers: { address: 198.18.4.1/24 }
                customers:
                  alice: { interface: customers }
                applications:
                  web: { attach: servers, instances: \(instances) }
                services:
                  shop: { address: 198.18.4.100, sequence: web }
                """
            ).table.holders.count { $0.moves }
        }
        #expect(try movable("2") == 2)
        #expect(try movable("1") == 0)
    }

    /// Who is named gets the packets of a group in any case, who joins gets them while it reports the group, others send
    /// alone. Broadcasts are for all.
    @Test func membersGetTheGroupsPackets() throws {
        func targets(_ members: String, to destination: String = "224.0.0.5") throws -> [String] {
            let text = Self.link.replacing(
                "between: [r1, r2]", with: "between: [r1, r2, r3], members: \(members)"
            ).replacing("r2: { attach: core }", with: "r2: { attach: core }\n  r3: { attach: core }")
                .replacing("address: [224.0.0.5", with: "address: [255.255.255.255, 224.0.0.5")
            let plan = try plan(text)
            let nodes = Dictionary(uniqueKeysWithValues: plan.table.sources.map { ($0.mac, $0.node) })
            return plan.table.entries.filter { $0.destination == IPPrefix(destination)! }.map { entry in
                let names = entry.targets.filter { $0.system != .passiveApplication }.map { target -> String in
                    guard case .mac(let mac) = target.address else { return "?" }
                    return nodes[mac, default: "?"] + (target.whileJoined ? " if joined" : "")
                }
                return "\(entry.sourceMAC.flatMap { nodes[$0] } ?? "?"): \(names.joined(separator: ", "))"
            }
        }
        #expect(
            try targets("joined")
                == [
                    "r1: r2 if joined, r3 if joined", "r2: r1 if joined, r3 if joined",
                    "r3: r1 if joined, r2 if joined",
                ])
        #expect(
            try targets("[r3, joined]")
                == ["r1: r2 if joined, r3", "r2: r1 if joined, r3", "r3: r1 if joined, r2 if joined"])
        // Its only member sends to the detector alone.
        #expect(try targets("r3") == ["r1: r3", "r2: r3", "r3: "])
        #expect(try targets("joined", to: "255.255.255.255") == ["r1: r2, r3", "r2: r1, r3", "r3: r1, r2"])
    }

    /// Only pairs of a group and a node that may join it have a limit: named members need not join, and broadcasts have
    /// no members.
    @Test func pairsThatNobodyHasToReportDoNotCount() {
        func problems(members: String, groups: Int) -> [String] {
            let addresses = ["255.255.255.255"] + (1...groups).map { "239.1.2.\($0)" }
            let text = """
                name: pairs
                interfaces: { lan: { address: 198.18.2.1/24 } }
                applications:
                  feed: { attach: lan, instances: 12 }
                  desk: { attach: lan, instances: 4 }
                services:
                  news:
                    between: [feed, desk]
                    address: [\(addresses.joined(separator: ", "))]
                    ports: udp/5000
                    members: \(members)
                """
            return TopologyTests.problems(text).map(\.message)
        }
        #expect(problems(members: "joined", groups: 64) == [])
        #expect(problems(members: "[desk, joined]", groups: 85) == [])
        let refused = "12 nodes may join 86 groups: 1032 pairs, and there may be 1024"
        #expect(problems(members: "[desk, joined]", groups: 86) == [refused])
    }

    @Test func aVirtualMACAddressGoesWithItsAddresses() throws {
        let plan = try plan(
            """
            name: virtual
            interfaces:
              servers: { address: 198.18.4.1/24 }
              customers: { address: 192.0.2.1/24 }
            customers:
              alice: { interface: customers, may-have: [192.0.2.200, { address: 192.0.2.201, mac: "00:00:5e:00:01:01" }] }
            applications:
              web: { attach: servers, instances: 2, send: announced, may-have: { address: 198.18.4.100, mac: "00:00:5E:00:01:33" } }
            services:
              shop: { address: 198.18.4.100, ports: tcp/80, sequence: web }
            """)
        let mac = MACAddress("00:00:5e:00:01:33")!
        for node in ["web-1", "web-2"] {
            #expect(
                plan.node(node).legs[0].virtual == [
                    LegPlan.VirtualAddress(prefix: IPPrefix("198.18.4.100")!, mac: mac)
                ])
        }
        #expect(plan.table.holders.filter { $0.moves && $0.interface == 0 }.count == 2)
        // A device of its own would hear nothing of the port.
        #expect(plan.node("alice").legs[0].virtual.count == 1 && plan.node("alice").legs[0].fabricDevice != nil)
        #expect(plan.table.sources.allSatisfy { $0.mac != mac })
    }
}
