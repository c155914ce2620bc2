import Forwarding
import Testing
import Wire

@Suite("Tables that are refused")
struct TableProblemTests {
    private static let first = EntryReference(index: 0, name: "a")
    private static let second = EntryReference(index: 1, name: "b")

    private static func entry(
        _ name: String, counter: Int, _ port: ServicePort = .any, direction: ChainDirection = .request,
        from source: String? = nil, to destination: String? = nil, _ change: (inout Entry) -> Void = { _ in }
    ) -> Entry {
        var entry = Entry(
            name: name, kind: .distribution, direction: direction, receivedInterface: 0,
            source: source.map { prefix($0) }, destination: destination.map { prefix($0) }, servicePort: port,
            targets: [SendTarget(interface: 0, address: .mac(mac("02:00:00:00:00:02")), system: .router)],
            counter: counter)
        change(&entry)
        return entry
    }

    private static func table(_ entries: [Entry], _ change: (inout ForwardingTable) -> Void = { _ in })
        -> ForwardingTable
    {
        var table = ForwardingTable(
            interfaces: [TableInterface(name: "one", mac: mac("02:00:00:00:00:01"))], entries: entries)
        change(&table)
        return table
    }

    @Test("entries that tie")
    func ties() {
        let ranges: [(String, ServicePort, ServicePort, Bool)] = [
            ("both any", .any, .any, true),
            ("the same port", .tcp(80), .tcp(80), true),
            ("the same range", .tcp(80...90), .tcp(80...90), true),
            ("ranges that cross", .tcp(80...90), .tcp(85...95), true),
            ("ranges that meet in one port", .tcp(80...90), .tcp(90...95), true),
            ("one range in another", .tcp(80...90), .tcp(80...89), false),
            ("ranges beside each other", .tcp(80...90), .tcp(91...95), false),
            ("the same ports of two protocols", .tcp(80), ServicePort(protocolNumber: udp, ports: 80...80), false),
            ("a protocol and any protocol", ServicePort(protocolNumber: tcp), .any, false),
        ]
        for (text, left, right, tie) in ranges {
            let entries = [Self.entry("a", counter: 0, left), Self.entry("b", counter: 1, right)]
            let problems = Self.table(entries).problems
            #expect(problems.count == (tie ? 1 : 0), "\(text)")
            guard tie, case .tie(let one, let other)? = problems.first else { continue }
            #expect(Set([one, other]) == [Self.first, Self.second], "\(text)")
        }
    }

    @Test("a request and a response that one packet can match alike")
    func crossTies() {
        let pairs: [(String, ServicePort, ServicePort, Bool)] = [
            ("two ports", .tcp(80), .tcp(443), true),
            ("any and any", .any, .any, true),
            ("a port and a range", .tcp(80), .tcp(443...444), false),
            ("two protocols", .tcp(80), ServicePort(protocolNumber: udp, ports: 53...53), false),
        ]
        for (text, left, right, tie) in pairs {
            let entries = [
                Self.entry("a", counter: 0, left), Self.entry("b", counter: 1, right, direction: .response),
            ]
            #expect(Self.table(entries).problems == (tie ? [.tie(Self.first, Self.second)] : []), "\(text)")
        }
    }

    @Test("what keeps entries apart, so that they do not tie")
    func apart() {
        let differences: [(String, (inout Entry) -> Void)] = [
            ("table", { $0.kind = .sequencing }),
            ("Ethernet source", { $0.sourceMAC = mac("02:00:00:00:00:03") }),
            ("source", { $0.source = prefix("0.0.0.0/0") }),
            ("destination", { $0.destination = prefix("::/0") }),
            ("received interface", { $0.receivedInterface = 1 }),
        ]
        for (text, change) in differences {
            let entries = [Self.entry("a", counter: 0), Self.entry("b", counter: 1) { change(&$0) }]
            let table = Self.table(entries) {
                $0.interfaces.append(TableInterface(name: "two", mac: mac("02:00:00:00:00:04")))
            }
            #expect(table.problems == [], "\(text)")
        }
    }

    @Test("entries that make no sense")
    func entries() {
        let address4 = IPAddress("10.0.0.9")!
        let address6 = IPAddress("2001:db8::9")!
        func target(_ address: SendAddress, _ system: DestinationSystemType = .terminalApplication) -> [SendTarget] {
            [SendTarget(interface: 0, address: address, system: system)]
        }
        let a = Self.first
        let rows: [(String, Entry, [TableProblem])] = [
            ("nothing sent", Self.entry("a", counter: 0) { $0.targets = [] }, [.noTargets(a)]),
            (
                "received on no interface", Self.entry("a", counter: 0) { $0.receivedInterface = 7 },
                [.entryInterface(a, interface: 7)]
            ),
            (
                "a negative interface", Self.entry("a", counter: 0) { $0.receivedInterface = -1 },
                [.entryInterface(a, interface: -1)]
            ),
            (
                "sent on no interface", Self.entry("a", counter: 0) { $0.targets[0].interface = 1 },
                [.entryInterface(a, interface: 1)]
            ),
            ("mixed families", Self.entry("a", counter: 0, from: "10.0.0.0/8", to: "::/0"), [.mixedFamilies(a)]),
            (
                "rewrite to the other family",
                Self.entry("a", counter: 0, to: "10.0.0.1") { $0.targets = target(.network(address6)) },
                [.rewriteAcrossFamilies(a, address6)]
            ),
            (
                "rewritten source of the other family",
                Self.entry("a", counter: 0, from: "10.0.0.1") { $0.rewriteSource = address6 },
                [.rewriteAcrossFamilies(a, address6)]
            ),
            (
                "rewritten source in both families",
                Self.entry("a", counter: 0) { $0.rewriteSource = address4 }, [.rewriteAcrossFamilies(a, address4)]
            ),
            (
                "a prefix rewritten to one address",
                Self.entry("a", counter: 0, to: "10.1.0.0/16") { $0.targets = target(.network(address4)) },
                [.rewriteOfPrefix(a, address4)]
            ),
            (
                "a prefix copied to one passive address",
                Self.entry("a", counter: 0, to: "10.1.0.0/16") {
                    $0.targets = target(.network(address4), .passiveApplication)
                }, []
            ),
            (
                "one address rewritten to another",
                Self.entry("a", counter: 0, to: "10.1.0.1") { $0.targets = target(.network(address4)) }, []
            ),
            (
                "a port without a protocol",
                Self.entry("a", counter: 0, ServicePort(protocolNumber: nil, ports: 80...80)),
                [.portsWithoutProtocol(a)]
            ),
            (
                "a port of ICMP",
                Self.entry("a", counter: 0, ServicePort(protocolNumber: icmp, ports: 8...8)), [.portsWithoutProtocol(a)]
            ),
            ("a negative counter", Self.entry("a", counter: -1), [.counter(a, -1)]),
            ("a counter beyond all blocks", Self.entry("a", counter: 1 << 24), [.counter(a, 1 << 24)]),
            (
                "a group as its source", Self.entry("a", counter: 0) { $0.sourceMAC = .broadcast },
                [.macAddress(.broadcast, place: "a (#0)")]
            ),
            (
                "a group as its send address", Self.entry("a", counter: 0) { $0.targets = target(.mac(.broadcast)) },
                [.macAddress(.broadcast, place: "a (#0)")]
            ),
        ]
        for (text, entry, problems) in rows { #expect(Self.table([entry]).problems == problems, "\(text)") }
        let twice = [Self.entry("a", counter: 3), Self.entry("b", counter: 3, to: "10.0.0.0/8")]
        #expect(Self.table(twice).problems == [.counter(Self.second, 3)])
    }

    @Test("interfaces and nodes that make no sense")
    func interfaces() {
        let station = mac("02:00:00:00:00:05")
        let rows: [(String, (inout ForwardingTable) -> Void, [TableProblem])] = [
            ("MTU too small", { $0.interfaces[0].mtu = 575 }, [.mtu(interface: "one", 575)]),
            ("MTU too large", { $0.interfaces[0].mtu = 65522 }, [.mtu(interface: "one", 65522)]),
            (
                "MTU below IPv6's",
                {
                    $0.interfaces[0].mtu = 1279
                    $0.interfaces[0].addresses = [InterfaceAddress("2001:db8::1/64")!]
                }, [.mtu(interface: "one", 1279)]
            ),
            (
                "MTU at its limits",
                {
                    $0.interfaces[0].mtu = 576
                    $0.interfaces.append(TableInterface(name: "two", mac: station, mtu: 65521))
                }, []
            ),
            ("a group MAC", { $0.interfaces[0].mac = .broadcast }, [.macAddress(.broadcast, place: "interface one")]),
            (
                "a zero alias", { $0.interfaces[0].aliases = [MACAddress(bits: 0)] },
                [.macAddress(MACAddress(bits: 0), place: "interface one")]
            ),
            (
                "a multicast address", { $0.interfaces[0].addresses = [InterfaceAddress("224.0.0.1/24")!] },
                [.address(IPAddress("224.0.0.1")!, place: "interface one")]
            ),
            (
                "a neighbour nowhere",
                {
                    $0.neighbours = [StaticNeighbour(interface: 1, address: IPAddress("10.0.0.1")!, mac: station)]
                }, [.interface(1, place: "neighbour 10.0.0.1")]
            ),
            (
                "a neighbour twice",
                {
                    for last: UInt64 in [5, 6] {
                        $0.neighbours.append(
                            StaticNeighbour(
                                interface: 0, address: IPAddress("10.0.0.1")!,
                                mac: MACAddress(bits: 0x0200_0000_0000 + last)))
                    }
                }, [.neighbourTwice(interface: "one", IPAddress("10.0.0.1")!)]
            ),
            (
                "two nodes with one MAC address",
                {
                    for node in ["x", "y"] {
                        $0.sources.append(KnownSource(interface: 0, mac: station, node: node, system: .customer))
                    }
                }, [.sourceTwice(interface: "one", station, nodes: ["x", "y"])]
            ),
            (
                "a node with the engine's",
                {
                    $0.sources = [KnownSource(interface: 0, mac: $0.interfaces[0].mac, node: "x", system: .customer)]
                }, [.sourceTwice(interface: "one", mac("02:00:00:00:00:01"), nodes: ["the engine", "x"])]
            ),
            (
                "a claim nowhere", { $0.claimed = [ClaimedAddress(interface: 3, prefix: prefix("10.0.0.1"))] },
                [.interface(3, place: "service address 10.0.0.1")]
            ),
            (
                "too many interfaces",
                {
                    $0.interfaces = (1...4097).map {
                        TableInterface(name: "\($0)", mac: MACAddress(bits: 0x0200_0000_0000 + UInt64($0)))
                    }
                }, [.tooManyInterfaces(4097)]
            ),
        ]
        for (text, change, problems) in rows { #expect(Self.table([], change).problems == problems, "\(text)") }
    }

    @Test("all problems are told at once, each in a sentence that names its entries")
    func allAtOnce() {
        let table = Self.table([
            Self.entry("a", counter: 0) { $0.targets = [] }, Self.entry("b", counter: 1),
            Self.entry("c", counter: 2, from: "10.0.0.0/8", to: "::/0"), Self.entry("d", counter: 2, to: "10.0.0.1"),
        ]) { $0.interfaces[0].mtu = 1 }
        #expect(table.problems.count == 5)
        let text = TableError(problems: table.problems).description
        for name in ["a (#0)", "b (#1)", "c (#2)", "d (#3)", "interface one"] { #expect(text.contains(name)) }
    }

    @Test("a table of nothing compiles, and drops everything")
    func empty() throws {
        let buffer = try ForwardingTable().snapshot()
        let verdict = buffer.snapshot.decide(
            flow(tcp, "10.0.0.1", 1, to: "10.0.0.2", 2), sourceMAC: mac("02:00:00:00:00:01"), receivedInterface: 0)
        #expect(verdict == .drop(.noService, answer: .none))
        #expect(buffer.snapshot.counterCount == 0)
        withExtendedLifetime(buffer) {}
    }
}
