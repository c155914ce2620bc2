import Forwarding
import Testing
import Wire

@Suite("Access lists")
struct AccessListTests {
    private static let own4 = prefix("203.0.113.80/28")
    private static let own6 = prefix("2001:db8:cb:1::/64")

    private static func rule(
        _ action: AccessRule.Action, _ matter: AccessRule.Matter, own: IPPrefix = own4, remote: IPPrefix? = nil
    ) -> AccessRule {
        AccessRule(action: action, own: own, remote: remote, matter: matter, counter: 7)
    }

    private static func ports(
        _ number: UInt8, own: ClosedRange<UInt16> = 0...65535, remote: ClosedRange<UInt16> = 0...65535
    ) -> AccessRule.Matter {
        .ports(protocolNumber: number, own: own, remote: remote)
    }

    private static func packet(
        _ number: UInt8, _ source: String, to destination: String, _ upper: AccessPacket.Upper = .unread
    ) -> AccessPacket {
        AccessPacket(
            source: address(source), destination: address(destination), protocolNumber: number, upper: upper)
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let what: String
        let rule: AccessRule
        let packet: AccessPacket
        let matches: Bool
        var testDescription: String { what }
    }

    private static let web = rule(.allow, ports(6, own: 80...80))
    private static let noSSH = rule(.deny(.drop), ports(6, own: 22...22))
    private static let noTCP = rule(.deny(.drop), ports(6))

    static let rows: [Row] = [
        Row(
            what: "a request to the own port", rule: web,
            packet: packet(6, "192.0.2.10", to: "203.0.113.81", .ports(source: 50_000, destination: 80)), matches: true),
        Row(
            what: "its answer", rule: web,
            packet: packet(6, "203.0.113.81", to: "192.0.2.10", .ports(source: 80, destination: 50_000)), matches: true),
        Row(
            what: "a request to the same port elsewhere", rule: web,
            packet: packet(6, "203.0.113.81", to: "192.0.2.10", .ports(source: 50_000, destination: 80)), matches: false
        ),
        Row(
            what: "another protocol", rule: web,
            packet: packet(17, "192.0.2.10", to: "203.0.113.81", .ports(source: 50_000, destination: 80)),
            matches: false),
        Row(
            what: "a later fragment, by a rule that allows", rule: web,
            packet: packet(6, "192.0.2.10", to: "203.0.113.81"), matches: true),
        Row(
            what: "a later fragment, by a rule that denies a port", rule: noSSH,
            packet: packet(6, "192.0.2.10", to: "203.0.113.81"), matches: false),
        Row(
            what: "a later fragment, by a rule that denies the protocol", rule: noTCP,
            packet: packet(6, "192.0.2.10", to: "203.0.113.81"), matches: true),
        Row(
            what: "the remote side of a request", rule: rule(.allow, .any, remote: prefix("192.0.2.0/24")),
            packet: packet(47, "192.0.2.10", to: "203.0.113.81"), matches: true),
        Row(
            what: "the remote side of an answer", rule: rule(.allow, .any, remote: prefix("192.0.2.0/24")),
            packet: packet(47, "203.0.113.81", to: "192.0.2.10"), matches: true),
        Row(
            what: "another remote side", rule: rule(.allow, .any, remote: prefix("192.0.2.0/24")),
            packet: packet(47, "198.51.100.1", to: "203.0.113.81"), matches: false),
        Row(
            what: "an echo", rule: rule(.allow, .icmp(type: 8)),
            packet: packet(1, "192.0.2.10", to: "203.0.113.81", .icmp(type: 8)), matches: true),
        Row(
            what: "the echo's answer", rule: rule(.allow, .icmp(type: 8)),
            packet: packet(1, "203.0.113.81", to: "192.0.2.10", .icmp(type: 0)), matches: true),
        Row(
            what: "an echo, by a rule about answers alone", rule: rule(.allow, .icmp(type: 0)),
            packet: packet(1, "192.0.2.10", to: "203.0.113.81", .icmp(type: 8)), matches: false),
        Row(
            what: "a timestamp's answer", rule: rule(.allow, .icmp(type: 13)),
            packet: packet(1, "203.0.113.81", to: "192.0.2.10", .icmp(type: 14)), matches: true),
        Row(
            what: "an echo in IPv6", rule: rule(.allow, .icmp(type: 128), own: own6),
            packet: packet(58, "2001:db8:2::10", to: "2001:db8:cb:1::5", .icmp(type: 129)), matches: true),
        Row(
            what: "IPv4, by a rule about IPv6", rule: rule(.allow, .any, own: own6),
            packet: packet(6, "192.0.2.10", to: "203.0.113.81", .ports(source: 1, destination: 2)), matches: false),
    ]

    @Test("a rule matches", arguments: rows)
    func matches(row: Row) throws {
        #expect(row.rule.matches(row.packet) == row.matches)
        // The compiled rule agrees: what it does not match is denied by the default.
        var rule = row.rule
        rule.counter = 0
        let list = AccessList(
            tenant: "alice", own: [Self.own4, Self.own6], rules: [rule], otherwise: .deny(.icmp), counter: 1)
        var table = ForwardingTable()
        table.access = [AccessPoint(application: "firewall", nodes: ["firewall"], lists: [list])]
        let buffer = try table.snapshot()
        let (first, second) = buffer.snapshot.judge(row.packet, at: 1).counters
        #expect(max(first, second) == (row.matches ? 0 : 1))
        #expect(table.accessRule(counter: 0)?.rule == 0)
        #expect(table.accessRule(counter: 1)?.list.tenant == "alice")
        withExtendedLifetime(buffer) {}
    }

    @Test("ICMP errors that no rule matches pass, and nobody counts them")
    func errors() throws {
        let list = AccessList(
            tenant: "alice", own: [Self.own4, Self.own6], rules: [], otherwise: .deny(.drop), counter: 0)
        var table = ForwardingTable()
        table.access = [AccessPoint(application: "firewall", nodes: ["firewall"], lists: [list])]
        let buffer = try table.snapshot()
        for (type, passes) in [(3, true), (4, false), (5, false), (11, true), (12, true), (8, false)] {
            let packet = Self.packet(1, "192.0.2.1", to: "203.0.113.81", .icmp(type: UInt8(type)))
            let verdict = buffer.snapshot.judge(packet, at: 1)
            #expect((verdict.denial == nil) == passes)
            #expect(verdict.counters.first == (passes ? -1 : 0))
        }
        for (type, passes) in [(0, false), (1, true), (2, true), (3, true), (4, true), (5, false), (128, false)] {
            let packet = Self.packet(58, "2001:db8:2::1", to: "2001:db8:cb:1::5", .icmp(type: UInt8(type)))
            #expect((buffer.snapshot.judge(packet, at: 1).denial == nil) == passes)
        }
        withExtendedLifetime(buffer) {}
    }

    // MARK: - Targets

    /// The access points of an entry's copies, with the names of the nodes that they go to.
    private func judged(_ table: ForwardingTable, _ entry: Int) throws -> [Int] {
        let buffer = try table.snapshot()
        defer { withExtendedLifetime(buffer) {} }
        let snapshot = buffer.snapshot
        return snapshot.entry(entry).targets.map { index in
            switch snapshot.hop(index) {
            case .target, .hops: snapshot.access(index)
            case .instance(let choice): snapshot.access(choice)
            }
        }
    }

    private func table(_ application: String, _ nodes: Set<String>) -> ForwardingTable {
        var table = FourInterface.table
        let list = AccessList(
            tenant: "alice", own: [prefix("203.0.113.0/24")], rules: [], otherwise: .allow, counter: 0)
        table.access = [
            AccessPoint(application: "empty", nodes: ["ids"], lists: []),
            AccessPoint(application: application, nodes: nodes, lists: [list]),
        ]
        return table
    }

    @Test("targets that lead to the application are marked, in both directions, and no others")
    func marks() throws {
        var table = table("firewall", ["firewall"])
        // From customers: to the IDS and to the firewall. From the server: to the firewall's other leg. The firewall's own packets: on.
        #expect(try judged(table, 0) == [0, 2])
        #expect(try judged(table, 1) == [0])
        #expect(try judged(table, 2) == [2])
        #expect(try judged(table, 3) == [0, 0])
        // Network addresses, and the destination itself.
        let own = address("198.18.2.9")
        table.neighbours.append(StaticNeighbour(interface: 1, address: own, mac: FourInterface.firewallIn))
        table.holders.append(
            AddressHolder(interface: 1, mac: FourInterface.firewallIn, prefix: prefix("198.18.9.0/24")))
        let addresses: [(SendAddress, IPPrefix?, Int)] = [
            (.network(own), nil, 2), (.neighbour(via: own), nil, 2), (.neighbour(via: address("198.18.2.8")), nil, 0),
            (.neighbour(via: address("198.18.9.7")), nil, 2), (.neighbour(via: nil), IPPrefix(host: own), 2),
            (.neighbour(via: nil), prefix("198.18.9.64/26"), 2), (.neighbour(via: nil), prefix("198.18.0.0/16"), 0),
            (.neighbour(via: nil), nil, 0),
        ]
        for (address, destination, expected) in addresses {
            table.entries[0].destination = destination ?? prefix("203.0.113.80/32")
            table.entries[0].targets = [SendTarget(interface: 1, address: address, system: .inlineApplication)]
            #expect(try judged(table, 0) == [expected], "\(address) for \(String(describing: destination))")
            // The same hops for other destinations are other hops.
            #expect(try judged(table, 2) == [2])
        }
    }

    @Test("an application's instances are marked, and those that linger stay so")
    func instances() throws {
        var table = table("firewall", ["firewall", "firewall-2"])
        let other = mac("02:00:00:00:01:03")
        table.sources.append(
            KnownSource(interface: 1, mac: other, node: "firewall-2", system: .inlineApplication))
        table.groups = [
            InstanceGroup(name: "firewall", members: [GroupMember(name: "firewall"), GroupMember(name: "firewall-2")])
        ]
        let targets = [FourInterface.firewallIn, other].map {
            SendTarget(interface: 1, address: .mac($0), system: .inlineApplication)
        }
        let web = SendTarget(interface: 3, address: .mac(FourInterface.web), system: .terminalApplication)
        table.entries[0].hops = [.instance(group: 0, targets: targets, otherwise: .hops([.target(web)]))]
        #expect(try judged(table, 0) == [2])
        table.entries.append(
            Entry(
                name: "second", kind: .sequencing, direction: .response, receivedInterface: 1, sourceMAC: other,
                source: prefix("203.0.113.80/32"),
                targets: [SendTarget(interface: 0, address: .neighbour(via: nil), system: .customer)],
                counter: table.entries.count))
        // Without the second instance: its packets go on for a while.
        var after = table
        after.access[1].nodes = ["firewall"]
        after.sources.removeLast()
        after.entries.removeLast()
        after.entries[0].targets = [targets[0]]
        after.groups = []
        let merged = after.with(LingeringEntries(from: table, to: after), from: table)
        #expect(merged.access[1].nodes == ["firewall", "firewall-2"])
    }

    @Test("lists that break a rule are refused, each with its reason")
    func problems() {
        func faults(_ change: (inout AccessList) -> Void) -> [String] {
            var list = AccessList(
                tenant: "alice", own: [Self.own4],
                rules: [AccessRule(action: .allow, own: Self.own4, counter: 0)], otherwise: .deny(.drop), counter: 1)
            change(&list)
            var table = ForwardingTable()
            table.access = [AccessPoint(application: "firewall", nodes: [], lists: [list])]
            return table.problems.map(\.description)
        }
        #expect(faults { _ in }.isEmpty)
        let place = "the access list of alice at firewall: "
        #expect(
            faults { $0.rules[0].own = prefix("203.0.113.0/24") } == [
                place + "rule 1: its own side 203.0.113.0/24 is not in the list's own addresses"
            ])
        #expect(
            faults { $0.rules[0].remote = prefix("2001:db8::/32") } == [
                place + "rule 1: 203.0.113.80/28 and 2001:db8::/32 are of different address families"
            ])
        #expect(
            faults { $0.rules[0].matter = Self.ports(47, own: 1...2) } == [
                place + "rule 1 has ports, but protocol 47 has none (TCP, UDP, SCTP, DCCP and UDP-Lite do)"
            ])
        #expect(faults { $0.counter = 0 } == [place + "counter 0 is another rule's, or out of range"])
        #expect(
            faults { list in
                list.rules = (0...1_000).map { AccessRule(action: .allow, own: Self.own4, counter: $0 + 2) }
            } == [place + "it has 1001 rules, and the limit is 1000"])
        var table = ForwardingTable()
        let lists = ["alice", "bob"].enumerated().map {
            AccessList(tenant: $1, own: [Self.own4], rules: [], otherwise: .allow, counter: $0)
        }
        table.access = [
            AccessPoint(application: "firewall", nodes: ["one"], lists: lists),
            AccessPoint(application: "cache", nodes: ["one"], lists: []),
        ]
        #expect(
            table.problems.map(\.description) == [
                "the access list of bob at firewall: it shares addresses with alice's, so nothing tells which one judges",
                "firewall and cache both have access lists for the node one",
            ])
    }
}
