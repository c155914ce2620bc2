import Forwarding
import Testing
import Wire

/// One row: what it is about, the packet, and the name of the entry or the reason that is expected.
struct Row: Sendable, CustomTestStringConvertible {
    enum Verdict: Sendable, Equatable {
        case forward(String)
        case drop(DropReason, ErrorAnswer)
    }
    var testDescription: String
    var flow: FlowFields
    var source: MACAddress
    var interface: Int
    var verdict: Verdict

    init(_ description: String, _ flow: FlowFields, from source: MACAddress, on interface: Int, _ verdict: Verdict) {
        testDescription = description
        self.flow = flow
        self.source = source
        self.interface = interface
        self.verdict = verdict
    }

    /// What the table says about the row's packet, in the row's words.
    func decide(by table: ForwardingTable) throws -> Verdict {
        let buffer = try table.snapshot()
        return withExtendedLifetime(buffer) {
            switch buffer.snapshot.decide(flow, sourceMAC: source, receivedInterface: interface) {
            case .forward(let entry): .forward(table.entries[entry].name)
            case .drop(let reason, let answer): .drop(reason, answer)
            }
        }
    }
}

@Suite("The four-interface picture")
struct FourInterfaceTests {
    private typealias Picture = FourInterface

    static let rows: [Row] = {
        typealias P = FourInterface
        let (alice4, alice6) = ("192.0.2.10", "2001:db8:2::10")
        return [
            // The chain, hop by hop.
            Row(
                "a request reaches both applications", flow(tcp, alice4, 50000, to: P.shop4, 80),
                from: P.alice, on: P.customers, .forward("shop.request.customers")),
            Row(
                "a customer that the file does not name is served", flow(tcp, "192.0.2.99", 50000, to: P.shop4, 80),
                from: P.stranger, on: P.customers, .forward("shop.request.customers")),
            Row(
                "the firewall's request goes to the server", flow(tcp, alice4, 50000, to: P.shop4, 80),
                from: P.firewallOut, on: P.inspected, .forward("shop.request.firewall")),
            Row(
                "the server's response goes to the firewall", flow(tcp, P.shop4, 80, to: alice4, 50000),
                from: P.web, on: P.servers, .forward("shop.response.server")),
            Row(
                "the firewall's response goes to the customer", flow(tcp, P.shop4, 80, to: alice4, 50000),
                from: P.firewallIn, on: P.inspection, .forward("shop.response.firewall")),
            Row(
                "the same over IPv6: request", flow(tcp, alice6, 50000, to: P.shop6, 80),
                from: P.alice, on: P.customers, .forward("shop6.request.customers")),
            Row(
                "the same over IPv6: response", flow(tcp, P.shop6, 80, to: alice6, 50000),
                from: P.firewallIn, on: P.inspection, .forward("shop6.response.firewall")),
            Row(
                "another service ends at another server", flow(tcp, alice4, 50000, to: P.post4, 25),
                from: P.firewallOut, on: P.inspected, .forward("post.request.firewall")),

            // ICMP.
            Row(
                "echo to a service address", flow(icmp, alice4, to: P.shop4),
                from: P.alice, on: P.customers, .forward("shop.request.customers")),
            Row(
                "echo over IPv6", flow(icmp6, alice6, to: P.shop6),
                from: P.firewallOut, on: P.inspected, .forward("shop6.request.firewall")),
            Row(
                "the echo reply", flow(icmp, P.shop4, to: alice4),
                from: P.web, on: P.servers, .forward("shop.response.server")),
            Row(
                "an error from the server about the customer's packet runs back",
                flow(tcp, alice4, 50000, to: P.shop4, 80).reversed,
                from: P.web, on: P.servers, .forward("shop.response.server")),
            Row(
                "an error from the customer about the server's packet runs forth",
                flow(tcp, P.shop4, 80, to: alice4, 50000).reversed,
                from: P.alice, on: P.customers, .forward("shop.request.customers")),
            Row(
                "a quote without ports goes where fragments go", flow(tcp, P.shop4, to: alice4).reversed,
                from: P.alice, on: P.customers, .forward("shop.request.customers")),

            // Drops.
            Row(
                "what the IDS emits, even where an entry would match", flow(tcp, P.shop4, 80, to: alice4, 50000),
                from: P.ids, on: P.inspection, .drop(.passiveEmission, .none)),
            Row(
                "a service address, a port nobody serves", flow(tcp, alice4, 50000, to: P.shop4, 81),
                from: P.alice, on: P.customers, .drop(.portNotServed, .portUnreachable)),
            Row(
                "the other service's port", flow(tcp, alice4, 50000, to: P.shop4, 25),
                from: P.alice, on: P.customers, .drop(.portNotServed, .portUnreachable)),
            Row(
                "the right port of another protocol", flow(udp, alice4, 50000, to: P.shop4, 80),
                from: P.alice, on: P.customers, .drop(.portNotServed, .portUnreachable)),
            Row(
                "a destination nobody serves", flow(tcp, alice4, 50000, to: "203.0.113.99", 80),
                from: P.alice, on: P.customers, .drop(.noService, .networkUnreachable)),
            Row(
                "one customer to another", flow(icmp, alice4, to: "192.0.2.20"),
                from: P.alice, on: P.customers, .drop(.noService, .networkUnreachable)),
            Row(
                "an application's own traffic", flow(udp, "198.18.4.10", 50000, to: "9.9.9.9", 53),
                from: P.web, on: P.servers, .drop(.noSequencingEntry, .networkUnreachable)),
            Row(
                "a server answers for the other's service", flow(tcp, P.post4, 25, to: alice4, 50000),
                from: P.web, on: P.servers, .drop(.noSequencingEntry, .networkUnreachable)),
            Row(
                "the firewall's answer on the wrong interface", flow(tcp, P.shop4, 80, to: alice4, 50000),
                from: P.firewallOut, on: P.inspected, .drop(.noSequencingEntry, .networkUnreachable)),
            Row(
                "a stranger in the firewall's place", flow(tcp, P.shop4, 80, to: alice4, 50000),
                from: P.stranger, on: P.inspection, .drop(.noService, .networkUnreachable)),
            Row(
                "multicast", flow(udp, alice4, 5353, to: "224.0.0.251", 5353),
                from: P.alice, on: P.customers, .drop(.multicastNotServed, .none)),
            Row(
                "a report of groups", flow(2, alice4, 0, to: "224.0.0.22", 0),
                from: P.alice, on: P.customers, .drop(.housekeeping, .none)),
            Row(
                "a report of groups over IPv6", flow(58, alice6, 0, to: "ff02::16", 0),
                from: P.alice, on: P.customers, .drop(.housekeeping, .none)),
            Row(
                "an echo to a group", flow(58, alice6, 0, to: "ff02::1", 0),
                from: P.alice, on: P.customers, .drop(.multicastNotServed, .none)),
            Row(
                "limited broadcast", flow(udp, "0.0.0.0", 68, to: "255.255.255.255", 67),
                from: P.alice, on: P.customers, .drop(.multicastNotServed, .none)),
            Row(
                "multicast over IPv6", flow(udp, alice6, 5353, to: "ff02::fb", 5353),
                from: P.alice, on: P.customers, .drop(.multicastNotServed, .none)),
            Row(
                "an interface that the table does not have", flow(tcp, alice4, 50000, to: P.shop4, 80),
                from: P.alice, on: 4, .drop(.noService, .none)),
        ]
    }()

    @Test("decides", arguments: rows)
    func decides(_ row: Row) throws {
        #expect(try row.decide(by: FourInterface.table) == row.verdict)
    }

    @Test("what an entry sends is what the table says")
    func records() throws {
        var table = FourInterface.table
        table.entries[3].rewriteSource = address("203.0.113.1")
        table.entries[1].targets = [
            SendTarget(
                interface: 3, address: .network(address("198.18.4.10")), sourceMAC: mac("02:00:00:00:09:09"),
                system: .terminalApplication),
            SendTarget(interface: 2, address: .neighbour(via: address("198.18.3.9")), system: .router),
        ]
        let buffer = try table.snapshot(generation: 77)
        let snapshot = buffer.snapshot
        #expect(snapshot.generation == 77)
        #expect(snapshot.entryCount == table.entries.count)
        #expect(snapshot.counterCount == table.entries.count)
        #expect(snapshot.interfaceCount == 4)
        for (index, entry) in table.entries.enumerated() {
            let record = snapshot.entry(index)
            #expect(record.counter == entry.counter)
            #expect(record.direction == entry.direction)
            #expect(record.kind == entry.kind)
            #expect(record.rewriteSource == entry.rewriteSource)
            #expect(record.targets.count == entry.targets.count)
            for (place, target) in zip(record.targets, entry.targets) {
                let copy = snapshot.target(place)
                #expect(copy.interface == target.interface)
                #expect(copy.address == target.address)
                #expect(copy.system == target.system)
                #expect(copy.sourceMAC == target.sourceMAC ?? table.interfaces[target.interface].mac)
            }
        }
        for (index, interface) in table.interfaces.enumerated() {
            #expect(snapshot.interface(index) == snapshot.interface(index))
            #expect(snapshot.interface(index).mac == interface.mac)
            #expect(snapshot.interface(index).mtu == interface.mtu)
        }
        withExtendedLifetime(buffer) {}
    }

    @Test("a passive application whose active responses the file allows is heard, and never answered")
    func mayEmit() throws {
        var table = FourInterface.table
        let place = try #require(table.sources.firstIndex { $0.node == "ids" })
        table.sources[place].mayEmit = true
        let stray = Row(
            "no entry", flow(tcp, "192.0.2.10", 1, to: "203.0.113.99", 80), from: FourInterface.ids,
            on: FourInterface.inspection, .drop(.noSequencingEntry, .none))
        #expect(try stray.decide(by: table) == stray.verdict)
        table.entries.append(
            Entry(
                name: "ids.reset", kind: .sequencing, direction: .response, receivedInterface: 1,
                sourceMAC: FourInterface.ids, source: prefix(FourInterface.shop4),
                targets: [SendTarget(interface: 0, address: .neighbour(via: nil), system: .customer)], counter: 900))
        let reset = Row(
            "reset", flow(tcp, FourInterface.shop4, 80, to: "192.0.2.10", 50000), from: FourInterface.ids,
            on: FourInterface.inspection, .forward("ids.reset"))
        #expect(try reset.decide(by: table) == reset.verdict)
    }

    @Test("the same table compiles to the same bytes")
    func deterministic() throws {
        let first = try TableCompiler.compile(FourInterface.table, generation: 3)
        let second = try TableCompiler.compile(FourInterface.table, generation: 3)
        #expect(first == second)
    }

    @Test("every reason has a name and a sentence of its own, and a counter's place")
    func reasons() {
        #expect(DropReason.count == DropReason.allCases.count)
        #expect(DropReason.allCases.map { Int($0.rawValue) } == Array(0..<DropReason.count))
        #expect(Set(DropReason.allCases.map(\.name)).count == DropReason.count)
        #expect(Set(DropReason.allCases.map(\.sentence)).count == DropReason.count)
        for reason in DropReason.allCases {
            #expect(reason.name.utf8.allSatisfy { (97...122).contains($0) || $0 == 45 })
            #expect(reason.sentence.hasSuffix("."))
        }
    }
}
