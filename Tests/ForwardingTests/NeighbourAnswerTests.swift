import Forwarding
import Testing
import Wire

@Suite("What is the engine's own, and what it answers for")
struct NeighbourAnswerTests {
    /// Interface 0: customers, with addresses of both families. 1: no addresses of its own. 2: only link-local IPv6.
    static let table = ForwardingTable(
        interfaces: [
            TableInterface(
                name: "customers", mac: mac("02:00:00:00:00:f0"), aliases: [mac("02:00:00:00:00:a0")],
                addresses: [
                    InterfaceAddress("192.0.2.1/24")!, InterfaceAddress("198.51.100.1/24")!,
                    InterfaceAddress("fe80::2/64")!, InterfaceAddress("2001:db8:2::1/64")!,
                    InterfaceAddress("2001:db8:3::1/64")!,
                ]),
            TableInterface(name: "bare", mac: mac("02:00:00:00:00:f1")),
            TableInterface(
                name: "local", mac: mac("02:00:00:00:00:f2"), addresses: [InterfaceAddress("fe80::3/64")!]),
        ],
        neighbours: [
            StaticNeighbour(interface: 0, address: address("192.0.2.10"), mac: mac("02:00:00:00:00:0a")),
            StaticNeighbour(interface: 1, address: address("10.7.7.7"), mac: mac("02:00:00:00:00:0b")),
        ],
        claimed: [
            ClaimedAddress(interface: 0, prefix: prefix("203.0.113.80")),
            ClaimedAddress(interface: 0, prefix: prefix("192.0.2.80")),
            ClaimedAddress(interface: 0, prefix: prefix("192.0.0.0/16")),
            ClaimedAddress(interface: 0, prefix: prefix("2001:db8:80::/48")),
            ClaimedAddress(interface: 1, prefix: prefix("0.0.0.0/0")),
        ])

    @Test("own MAC addresses and aliases, each on its interface")
    func macs() throws {
        let buffer = try Self.table.snapshot()
        let snapshot = buffer.snapshot
        #expect(snapshot.isOwnMAC(mac("02:00:00:00:00:f0"), on: 0))
        #expect(snapshot.isOwnMAC(mac("02:00:00:00:00:a0"), on: 0))
        #expect(!snapshot.isOwnMAC(mac("02:00:00:00:00:a0"), on: 1))
        #expect(!snapshot.isOwnMAC(mac("02:00:00:00:00:f1"), on: 0))
        #expect(!snapshot.isOwnMAC(mac("02:00:00:00:00:0a"), on: 0))
        #expect(!snapshot.isOwnMAC(.broadcast, on: 0))
        #expect(!snapshot.isOwnMAC(mac("02:00:00:00:00:f0"), on: 3))
        #expect(!snapshot.isOwnMAC(mac("02:00:00:00:00:f0"), on: -1))
        withExtendedLifetime(buffer) {}
    }

    @Test("own addresses")
    func addresses() throws {
        let buffer = try Self.table.snapshot()
        let snapshot = buffer.snapshot
        for own in ["192.0.2.1", "198.51.100.1", "2001:db8:2::1", "fe80::1", "fe80::2", "fe80::3"] {
            #expect(snapshot.isOwnAddress(address(own)), "\(own)")
        }
        for other in ["192.0.2.10", "192.0.2.80", "203.0.113.80", "::c000:201", "0.0.0.0", "fe80::4"] {
            #expect(!snapshot.isOwnAddress(address(other)), "\(other)")
        }
        #expect(snapshot.isOwnAddress(address("192.0.2.1"), on: 0))
        #expect(!snapshot.isOwnAddress(address("192.0.2.1"), on: 1))
        #expect(snapshot.isOwnAddress(address("fe80::1"), on: 1))
        withExtendedLifetime(buffer) {}
    }

    @Test("the engine takes what is for its own addresses, but for questions that an entry forwards to a resolver")
    func names() throws {
        var table = Self.table
        var entry = Entry(
            name: "dns.request.alice", kind: .distribution, direction: .request, receivedInterface: 0,
            source: prefix("192.0.2.10"), destination: prefix("192.0.2.1"),
            servicePort: ServicePort(protocolNumber: IPProtocol.udp, ports: 53...53),
            targets: [SendTarget(interface: 1, address: .mac(mac("02:00:00:00:00:0b")), system: .terminalApplication)],
            counter: 0)
        entry.isBetween = true
        table.entries = [entry]
        let buffer = try table.snapshot()
        let snapshot = buffer.snapshot
        func takes(_ destination: String, _ number: UInt8, _ port: UInt16) -> Bool {
            var flow = FlowFields()
            (flow.source, flow.destination, flow.protocolNumber) = (address("192.0.2.10"), address(destination), number)
            (flow.hasPorts, flow.sourcePort, flow.destinationPort) = (true, 4000, port)
            return snapshot.takes(flow)
        }
        #expect(!takes("192.0.2.1", IPProtocol.udp, 53))
        #expect(!takes("192.0.2.1", IPProtocol.tcp, 53))
        #expect(takes("192.0.2.1", IPProtocol.udp, 54))
        #expect(takes("192.0.2.1", IPProtocol.sctp, 53))
        // Addresses that no such entry names.
        #expect(takes("198.51.100.1", IPProtocol.udp, 53))
        #expect(takes("fe80::1", IPProtocol.udp, 53))
        #expect(!takes("203.0.113.80", IPProtocol.udp, 53))
        // An entry of other ports opens nothing.
        table.entries[0].servicePort = .any
        let other = try table.snapshot()
        var flow = FlowFields()
        (flow.destination, flow.protocolNumber, flow.destinationPort) = (address("192.0.2.1"), IPProtocol.udp, 53)
        #expect(other.snapshot.takes(flow))
        withExtendedLifetime((buffer, other)) {}
    }

    @Test("ARP and neighbour discovery")
    func answers() throws {
        let rows: [(String, Int, String, Bool)] = [
            ("192.0.2.1", 0, "its own address there", true),
            ("192.0.2.1", 2, "its own address on another interface", false),
            ("fe80::1", 1, "fe80::1 on every interface", true),
            ("fe80::2", 0, "its own link-local address", true),
            ("203.0.113.80", 0, "a claimed address", true),
            ("203.0.113.80", 2, "an address that is claimed elsewhere", false),
            ("192.0.2.80", 0, "a claimed address within the link's prefix", true),
            ("192.0.2.81", 0, "a claimed prefix's address within the link's prefix", false),
            ("192.0.3.81", 0, "a claimed prefix's address outside of it", true),
            ("2001:db8:80::5", 0, "the same over IPv6", true),
            ("2001:db8:2::5", 0, "somebody else's on the link", false),
            ("192.0.2.10", 0, "a named neighbour's", false),
            ("8.8.8.8", 1, "everything is claimed", true),
            ("10.7.7.7", 1, "everything is claimed, but not a named neighbour's", false),
            ("8.8.8.8", 0, "nothing of the kind is claimed", false),
            ("0.0.0.0", 1, "the unspecified address", false),
            ("224.0.0.1", 1, "a group", false),
            ("255.255.255.255", 1, "everybody", false),
            ("127.0.0.1", 1, "loopback", false),
            ("192.0.2.1", 9, "an interface that does not exist", false),
        ]
        let buffer = try Self.table.snapshot()
        for (text, interface, what, expected) in rows {
            #expect(
                buffer.snapshot.answersNeighbour(for: address(text), on: interface) == expected, "\(text): \(what)")
        }
        #expect(buffer.snapshot.isClaimed(address("192.0.2.81"), on: 0))
        #expect(!buffer.snapshot.isClaimed(address("192.0.2.81"), on: 2))
        withExtendedLifetime(buffer) {}
    }

    @Test("named neighbours")
    func neighbours() throws {
        let buffer = try Self.table.snapshot()
        #expect(buffer.snapshot.staticNeighbour(address("192.0.2.10"), on: 0) == mac("02:00:00:00:00:0a"))
        #expect(buffer.snapshot.staticNeighbour(address("192.0.2.10"), on: 1) == nil)
        #expect(buffer.snapshot.staticNeighbour(address("192.0.2.11"), on: 0) == nil)
        #expect(buffer.snapshot.staticNeighbour(address("192.0.2.1"), on: 0) == nil)
        withExtendedLifetime(buffer) {}
    }

    @Test("the source of the engine's own messages")
    func sources() throws {
        let rows: [(Int, String, String?)] = [
            (0, "192.0.2.10", "192.0.2.1"), (0, "198.51.100.7", "198.51.100.1"), (0, "8.8.8.8", "192.0.2.1"),
            (0, "2001:db8:2::9", "2001:db8:2::1"), (0, "2001:db8:3::9", "2001:db8:3::1"),
            (0, "2001:db8:9::9", "2001:db8:2::1"), (0, "fe80::9", "fe80::1"), (1, "fe80::9", "fe80::1"),
            (1, "2001:db8:9::9", "2001:db8:2::1"), (2, "2001:db8:9::9", "2001:db8:2::1"), (1, "8.8.8.8", "192.0.2.1"),
            (9, "8.8.8.8", nil),
        ]
        let buffer = try Self.table.snapshot()
        for (interface, source, own) in rows {
            #expect(
                buffer.snapshot.ownSource(on: interface, towards: address(source)) == own.map { address($0) },
                "\(interface) \(source)")
        }
        withExtendedLifetime(buffer) {}
        let bare = ForwardingTable(interfaces: [TableInterface(name: "bare", mac: mac("02:00:00:00:00:f1"))])
        let none = try bare.snapshot()
        #expect(none.snapshot.ownSource(on: 0, towards: address("8.8.8.8")) == nil)
        #expect(none.snapshot.ownSource(on: 0, towards: address("2001:db8::1")) == nil)
        withExtendedLifetime(none) {}
    }

    @Test("what is on the link")
    func onLink() throws {
        let buffer = try Self.table.snapshot()
        let rows: [(Int, String, Bool)] = [
            (0, "192.0.2.255", true), (0, "192.0.3.0", false), (0, "2001:db8:2::5", true), (1, "192.0.2.5", false),
            (1, "fe80::5", true), (1, "fe80:1::5", false), (5, "192.0.2.5", false),
        ]
        for (interface, text, expected) in rows {
            #expect(buffer.snapshot.isOnLink(address(text), on: interface) == expected, "\(interface) \(text)")
        }
        withExtendedLifetime(buffer) {}
    }

    @Test("a port of a claimed prefix is told apart from a claim on everything")
    func claimsAndAnswers() throws {
        let buffer = try Self.table.snapshot()
        let stranger = mac("02:00:00:00:00:ee")
        let rows: [(Int, String, Decision)] = [
            (0, "203.0.113.80", .drop(.portNotServed, answer: .portUnreachable)),
            (0, "192.0.9.9", .drop(.portNotServed, answer: .portUnreachable)),
            (1, "9.9.9.9", .drop(.noService, answer: .networkUnreachable)),
        ]
        for (interface, destination, decision) in rows {
            let packet = flow(udp, "192.0.2.10", 5, to: destination, 53)
            #expect(
                buffer.snapshot.decide(packet, sourceMAC: stranger, receivedInterface: interface) == decision,
                "\(destination)")
        }
        withExtendedLifetime(buffer) {}
    }
}
