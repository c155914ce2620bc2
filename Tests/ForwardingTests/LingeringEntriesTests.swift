import Forwarding
import Testing
import Wire

/// What stays of a table beside the one that follows it.
@Suite("Entries that linger") struct LingeringEntriesTests {
    private typealias P = FourInterface

    /// A second firewall between the first and the servers, which may be taken out.
    private static let slowIn = mac("02:00:00:00:02:07")
    private static let slowOut = mac("02:00:00:00:03:07")

    private static let withSlow: ForwardingTable = {
        var table = P.table
        table.sources += [
            KnownSource(interface: P.inspected, mac: slowIn, node: "slow", system: .inlineApplication),
            KnownSource(interface: P.servers, mac: slowOut, node: "slow", system: .inlineApplication),
        ]
        let toSlow = [SendTarget(interface: P.inspected, address: .mac(slowIn), system: .inlineApplication)]
        let backToSlow = [SendTarget(interface: P.servers, address: .mac(slowOut), system: .inlineApplication)]
        for index in table.entries.indices {
            var entry = table.entries[index]
            switch entry.name {
            case "shop.request.firewall":
                table.entries[index].targets = toSlow
                (entry.name, entry.receivedInterface, entry.sourceMAC) = ("shop.request.slow", P.servers, slowOut)
            case "shop.response.server":
                table.entries[index].targets = backToSlow
                (entry.name, entry.receivedInterface, entry.sourceMAC) = ("shop.response.slow", P.inspected, slowIn)
            default: continue
            }
            entry.counter = table.entries.count
            table.entries.append(entry)
        }
        return table
    }()

    private let request = flow(tcp, "192.0.2.10", 50000, to: FourInterface.shop4, 80)

    private func entry(
        _ table: ForwardingTable, _ flow: FlowFields, _ source: MACAddress, _ interface: Int
    ) throws -> (Row.Verdict, [SendTarget]) {
        let buffer = try table.snapshot()
        return withExtendedLifetime(buffer) {
            switch buffer.snapshot.decide(flow, sourceMAC: source, receivedInterface: interface) {
            case .forward(let index): (.forward(table.entries[index].name), table.entries[index].targets)
            case .drop(let reason, let answer): (.drop(reason, answer), [])
            }
        }
    }

    @Test("what a removed stage emits goes on, in both directions, and nothing new comes to it")
    func removedStage() throws {
        let lingering = LingeringEntries(from: Self.withSlow, to: P.table)
        #expect(Set(lingering.entries.map(\.name)) == ["shop.request.slow", "shop.response.slow"])
        let between = P.table.with(lingering, from: Self.withSlow)
        let forth = try entry(between, request, Self.slowOut, P.servers)
        #expect(forth.0 == .forward("shop.request.slow"))
        #expect(forth.1.map(\.address) == [.mac(P.web)])
        let back = try entry(between, request.reversed, Self.slowIn, P.inspected)
        #expect(back.0 == .forward("shop.response.slow"))
        // What is new is decided as the new table alone decides it.
        for row in FourInterfaceTests.rows {
            #expect(try row.decide(by: between) == row.verdict, "\(row.testDescription)")
        }
        #expect(try entry(between, request, P.firewallOut, P.inspected).1.map(\.address) == [.mac(P.web)])
        let sent = between.entries.filter { !lingering.entries.map(\.name).contains($0.name) }.flatMap(\.targets)
        #expect(!sent.contains { $0.address == .mac(Self.slowIn) || $0.address == .mac(Self.slowOut) })
        // Counters stay apart.
        #expect(Set(between.entries.map(\.counter)).count == between.entries.count)
    }

    @Test("after its time a removed node's packets are dropped as such")
    func afterwards() throws {
        let table = P.table.with(leaversOf: Self.withSlow)
        #expect(try entry(table, request, Self.slowOut, P.servers).0 == .drop(.removedNode, .none))
        #expect(try entry(table, request.reversed, Self.slowIn, P.inspected).0 == .drop(.removedNode, .none))
        for row in FourInterfaceTests.rows { #expect(try row.decide(by: table) == row.verdict) }
        // The next table knows nothing of it any more, nor does one in which the node is back.
        #expect(P.table.with(leaversOf: table) == P.table)
        #expect(Self.withSlow.with(leaversOf: table) == Self.withSlow)
    }

    @Test("a removed service's packets in mid-chain go on; customers send nothing new")
    func removedService() throws {
        var after = P.table
        after.entries.removeAll { $0.name.hasPrefix("shop.") }
        let lingering = LingeringEntries(from: P.table, to: after)
        #expect(
            Set(lingering.entries.map(\.name))
                == ["shop.request.firewall", "shop.response.server", "shop.response.firewall"])
        let between = after.with(lingering, from: P.table)
        #expect(try entry(between, request, P.firewallOut, P.inspected).0 == .forward("shop.request.firewall"))
        #expect(
            try entry(between, request.reversed, P.firewallIn, P.inspection).0 == .forward("shop.response.firewall"))
        #expect(try entry(between, request, P.alice, P.customers).0 == .drop(.portNotServed, .portUnreachable))
        // Another service is as it was.
        let post = flow(tcp, "192.0.2.10", 50000, to: P.post4, 25)
        #expect(try entry(between, post, P.firewallOut, P.inspected).0 == .forward("post.request.firewall"))
    }

    @Test(
        "nothing lingers at a node where the new table has any entry for the same packets",
        arguments: ["203.0.113.0/24", "203.0.113.80/32", "0.0.0.0/0"])
    func overlapping(destination: String) throws {
        var after = P.table
        after.entries.removeAll { $0.name.hasPrefix("shop.") }
        after.entries.append(
            Entry(
                name: "wide", kind: .sequencing, direction: .request, receivedInterface: P.inspected,
                sourceMAC: P.firewallOut, destination: prefix(destination), servicePort: .tcp(1...100),
                targets: [SendTarget(interface: P.servers, address: .mac(P.mail), system: .terminalApplication)],
                counter: 1_000))
        let lingering = LingeringEntries(from: P.table, to: after)
        #expect(!lingering.entries.contains { $0.name == "shop.request.firewall" && $0.servicePort == .tcp(80) })
        #expect(lingering.entries.contains { $0.name == "shop.response.server" })
        let between = after.with(lingering, from: P.table)
        #expect(try entry(between, request, P.firewallOut, P.inspected).0 == .forward("wide"))
    }

    @Test("entries that would make a circle with the new ones do not linger")
    func circle() throws {
        // Before: from the firewall to the server. Now: from the server, which passes packets on, to the firewall.
        var after = P.table
        after.entries.removeAll { $0.name.hasPrefix("shop.") }
        after.sources = after.sources.map { source in
            var source = source
            if source.node == "web" { source.system = .inlineApplication }
            return source
        }
        let shop = IPPrefix(host: address(P.shop4))
        after.entries.append(
            Entry(
                name: "turned", kind: .sequencing, direction: .request, receivedInterface: P.servers,
                sourceMAC: P.web, destination: shop, servicePort: .tcp(80),
                targets: [
                    SendTarget(interface: P.inspection, address: .mac(P.firewallIn), system: .terminalApplication)
                ],
                counter: 1_000))
        let lingering = LingeringEntries(from: P.table, to: after)
        #expect(!lingering.entries.contains { $0.name == "shop.request.firewall" && $0.servicePort == .tcp(80) })
        #expect(lingering.entries.contains { $0.name == "shop.response.firewall" })
    }

    @Test("hops to instances go on with the groups that the new table has, or with a copy of what was")
    func groups() throws {
        func group(_ name: String, _ count: Int) -> InstanceGroup {
            InstanceGroup(name: name, members: (0..<count).map { GroupMember(name: "\(name)-\($0)") })
        }
        func targets(_ count: Int) -> [SendTarget] {
            (0..<count).map {
                SendTarget(
                    interface: P.servers, address: .mac(MACAddress(bits: 0x0200_0000_0400 | UInt64($0))),
                    system: .terminalApplication)
            }
        }
        var before = Self.withSlow
        before.groups = [group("gone", 2), group("stays", 3)]
        let place = try #require(before.entries.firstIndex { $0.name == "shop.request.slow" })
        before.entries[place].hops = [
            .instance(group: 1, targets: targets(3), otherwise: .drop(.silence)),
            .instance(group: 0, targets: targets(2), otherwise: .drop(.silence)),
        ]
        var after = P.table
        after.groups = [group("stays", 3)]
        after.groups[0].members[1].availability = .down
        let between = after.with(LingeringEntries(from: before, to: after), from: before)
        #expect(between.groups.map(\.name) == ["stays", "gone"])
        let hops = try #require(between.entries.first { $0.name == "shop.request.slow" && $0.servicePort == .tcp(80) })
            .hops
        #expect(
            hops == [
                .instance(group: 0, targets: targets(3), otherwise: .drop(.silence)),
                .instance(group: 1, targets: targets(2), otherwise: .drop(.silence)),
            ])
        _ = try between.snapshot()
    }
}
