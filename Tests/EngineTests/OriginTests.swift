import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// What a customer cannot have for its source goes nowhere, and says why.
@Suite struct OriginTests {
    typealias F = TestFrame
    private static let four = FourInterfaces.self
    private static let bob = F.mac(0xB0)

    /// Alice, who may send from her own addresses and a network behind her, and bob.
    private static func table(judged: Bool = true) -> ForwardingTable {
        var table = four.table
        table.interfaces[0].namesAll = judged
        for (name, mac, prefixes) in [
            (
                "alice", four.alice,
                ["192.0.2.10/32", "2001:db8:2::10/128", "10.1.0.0/16", "10.1.7.0/24", "2001:db8:a::/48"]
            ),
            ("bob", bob, ["192.0.2.20/32", "2001:db8:2::20/128"]),
        ] {
            table.sources.append(
                KnownSource(
                    interface: 0, mac: mac, node: name, system: .customer,
                    origins: judged ? prefixes.map { IPPrefix($0)! } : nil))
        }
        for address in ["192.0.2.20", "2001:db8:2::20", "fe80::b0b"] {
            table.neighbours.append(StaticNeighbour(interface: 0, address: F.address(address), mac: bob))
        }
        return table
    }

    private static func shop(_ source: String, from mac: MACAddress) -> [UInt8] {
        let shop = source.contains(":") ? "2001:db8:cb::80" : "203.0.113.80"
        return F.frame(F.tcp(source, 4_000, shop, 80), from: mac, to: four.engine[0])
    }

    private static func discovery(
        _ type: UInt8, _ source: String, _ target: String, from mac: MACAddress, flags: UInt8 = 0, to: String? = nil
    ) -> [UInt8] {
        let address = F.address(target)
        let option: [UInt8] = source == "::" ? [] : [type == 135 ? 1 : 2, 1] + mac.octets
        let packet = F.icmp(
            source, to ?? address.solicitedNode.description, type: type, word: [flags, 0, 0, 0],
            data: F.octets(address) + option, hopLimit: 255)
        return F.frame(packet, from: mac, to: to == nil ? .ipv6Multicast(for: address.solicitedNode) : four.engine[0])
    }

    /// A router's word that a packet to `victim` did not arrive.
    private static func error(_ source: String, about victim: String, from mac: MACAddress) -> [UInt8] {
        let quoted = Array(F.tcp("203.0.113.80", 80, victim, 4_000).prefix(28))
        return F.frame(
            F.icmp(source, "203.0.113.80", type: 3, code: 1, word: [0, 0, 0, 0], data: quoted), from: mac,
            to: four.engine[0])
    }

    private static let forged: [(String, [UInt8])] = [
        ("bob's IPv4 address", shop("192.0.2.20", from: four.alice)),
        ("bob's IPv6 address", shop("2001:db8:2::20", from: four.alice)),
        ("nobody's IPv4 address", shop("198.51.100.7", from: four.alice)),
        ("beside the network behind", shop("10.2.0.1", from: four.alice)),
        ("nobody's MAC address", shop("192.0.2.10", from: F.mac(0x99))),
        ("nobody's MAC address and IPv6", shop("2001:db8:2::10", from: F.mac(0x99))),
        ("nobody's MAC address, link-local", discovery(135, "fe80::99", "fe80::1", from: F.mac(0x99))),
        ("ARP: a question as bob", F.arp(1, from: four.alice, "192.0.2.20", to: .broadcast, "192.0.2.1")),
        ("ARP: an announcement as bob", F.arp(1, from: four.alice, "192.0.2.20", to: .broadcast, "192.0.2.20")),
        ("ARP: an answer as bob", F.arp(2, from: four.alice, "192.0.2.20", to: four.engine[0], "192.0.2.1")),
        ("ARP: nobody's MAC address", F.arp(1, from: F.mac(0x99), "192.0.2.99", to: .broadcast, "192.0.2.1")),
        ("discovery: a question as bob", discovery(135, "2001:db8:2::20", "fe80::1", from: four.alice)),
        (
            "discovery: an answer as bob",
            discovery(136, "2001:db8:2::20", "2001:db8:2::20", from: four.alice, flags: 0x60, to: "2001:db8:2::1")
        ),
        (
            "discovery: an answer about bob",
            discovery(136, "2001:db8:2::10", "2001:db8:2::20", from: four.alice, flags: 0x60, to: "2001:db8:2::1")
        ),
        ("discovery: bob's link-local address", discovery(135, "fe80::b0b", "fe80::1", from: four.alice)),
        ("no address, to a service", shop("0.0.0.0", from: four.alice)),
        ("an error about bob's packet", error("192.0.2.10", about: "192.0.2.20", from: four.alice)),
    ]

    @Test func whatIsForgedIsDropped() throws {
        for (what, frame) in Self.forged {
            let pipeline = try Pipeline(Self.table())
            for _ in 0..<5 { #expect(pipeline.send(frame, on: 0).isEmpty, "\(what)") }
            #expect(pipeline.allDrops == "spoofed-source:5", "\(what)")
            #expect(pipeline.lastDrop(.spoofedSource)?.interface == 0, "\(what)")
            #expect(!pipeline.neighbours.entries().contains { $0.interface == 0 && $0.state == .resolved }, "\(what)")
        }
    }

    @Test func whereNothingIsJudgedItGoes() throws {
        for (what, frame) in Self.forged {
            let pipeline = try Pipeline(Self.table(judged: false))
            pipeline.send(frame, on: 0)
            #expect(pipeline.drops(.spoofedSource) == 0, "\(what)")
        }
        let pipeline = try Pipeline(Self.table(judged: false))
        for (_, frame) in Self.forged.prefix(6) { #expect(!pipeline.send(frame, on: 0).isEmpty) }
        #expect(pipeline.allDrops == "")
    }

    @Test func whatIsTheirsPasses() throws {
        let rows: [(String, [UInt8], Int)] = [
            ("alice", Self.shop("192.0.2.10", from: Self.four.alice), 2),
            ("alice, IPv6", Self.shop("2001:db8:2::10", from: Self.four.alice), 2),
            ("the network behind alice", Self.shop("10.1.0.0", from: Self.four.alice), 2),
            ("its last address", Self.shop("10.1.255.255", from: Self.four.alice), 2),
            ("the IPv6 network behind alice", Self.shop("2001:db8:a:ffff::1", from: Self.four.alice), 2),
            ("bob", Self.shop("192.0.2.20", from: Self.bob), 2),
            ("bob, IPv6", Self.shop("2001:db8:2::20", from: Self.bob), 2),
            ("a question", F.arp(1, from: Self.bob, "192.0.2.20", to: .broadcast, "192.0.2.1"), 1),
            (
                "a question for a host behind",
                F.arp(1, from: Self.four.alice, "10.1.2.3", to: .broadcast, "192.0.2.1"), 1
            ),
            ("a question by discovery", Self.discovery(135, "2001:db8:2::20", "fe80::1", from: Self.bob), 1),
            ("link-local", Self.discovery(135, "fe80::b0b", "fe80::1", from: Self.bob), 1),
            ("another link-local address", Self.discovery(135, "fe80::a:b:c", "fe80::1", from: Self.four.alice), 1),
            ("duplicate address detection", Self.discovery(135, "::", "fe80::1", from: Self.four.alice), 1),
            ("a probe for an address", F.arp(1, from: Self.bob, "0.0.0.0", to: .broadcast, "192.0.2.1"), 1),
            ("an error about its own packet", Self.error("192.0.2.10", about: "192.0.2.10", from: Self.four.alice), 2),
            ("a router's error", Self.error("192.0.2.10", about: "10.1.2.3", from: Self.four.alice), 2),
        ]
        for (what, frame, copies) in rows {
            let pipeline = try Pipeline(Self.table())
            #expect(pipeline.send(frame, on: 0).count == copies, "\(what): \(pipeline.allDrops)")
            #expect(pipeline.drops(.spoofedSource) == 0, "\(what)")
        }
        // DHCP, and a listener's report: they go nowhere here, but not because of their source.
        let pipeline = try Pipeline(Self.table())
        pipeline.send(F.frame(F.udp("0.0.0.0", 68, "255.255.255.255", 67), from: Self.bob, to: .broadcast), on: 0)
        let report = F.icmp("::", "ff02::16", type: 143, word: [0, 0, 0, 0], data: [], hopLimit: 1)
        pipeline.send(F.frame(report, from: Self.bob, to: .ipv6Multicast(for: F.address("ff02::16"))), on: 0)
        #expect(pipeline.allDrops == "multicast-not-served:1 housekeeping:1")
    }

    /// Applications pass on what customers sent: their MAC addresses tell who they are.
    @Test func applicationsMayPassOnAnything() throws {
        let pipeline = try Pipeline(Self.table())
        let passed = F.frame(
            F.tcp("192.0.2.20", 4_000, "203.0.113.80", 80), from: Self.four.firewallOut, to: Self.four.engine[2])
        #expect(pipeline.send(passed, on: 2).map(\.interface) == [3])
        #expect(pipeline.allDrops == "")
    }

    /// Frames of both kinds in one batch, coalesced ones among them.
    @Test func aBatchIsJudgedFrameByFrame() throws {
        let pipeline = try Pipeline(Self.table())
        for number in 0..<60 {
            let source = ["192.0.2.10", "192.0.2.20", "10.1.0.9"][number % 3]
            let frame = F.frame(
                F.tcp(source, 4_000, "203.0.113.80", 80, sequence: 1 + number / 3 * 5, identification: number / 3),
                from: Self.four.alice, to: Self.four.engine[0])
            pipeline.worker.io.input.append(.init(interface: 0, bytes: [UInt8](repeating: 0, count: 10) + frame))
        }
        pipeline.turn()
        #expect(pipeline.allDrops == "spoofed-source:20")
        #expect(pipeline.entry(0).packets == 40)
    }

    /// The search among many prefixes beside one by one.
    @Test func manyPrefixesAreSearchedRightly() throws {
        var table = Self.four.table
        var random = SystemRandomNumberGenerator()
        let prefixes = (0..<300).map { number -> IPPrefix in
            number % 2 == 0
                ? IPPrefix(
                    IPAddress(ipv4: UInt32.random(in: 0x0A00_0000...0x0AFF_FFFF, using: &random)),
                    length: 8 + Int.random(in: 4...24, using: &random))
                : IPPrefix(
                    IPAddress(
                        ipv6High: 0x2001_0DB8_0000_0000 | UInt64.random(in: 0...0xFFFF, using: &random) << 16, low: 0),
                    length: Int.random(in: 34...128, using: &random))
        }
        table.sources.append(
            KnownSource(interface: 0, mac: Self.four.alice, node: "alice", system: .customer, origins: prefixes))
        let buffer = try SnapshotBuffer(copying: TableCompiler.compile(table, generation: 1))
        defer { withExtendedLifetime(buffer) {} }
        let snapshot = buffer.snapshot
        let sender = snapshot.sender(of: Self.four.alice, on: 0)
        for _ in 0..<20_000 {
            let address =
                Bool.random(using: &random)
                ? IPAddress(ipv4: UInt32.random(in: 0x0A00_0000...0x0B00_00FF, using: &random))
                : IPAddress(
                    ipv6High: 0x2001_0DB8_0000_0000 | UInt64.random(in: 0...0xFFFF, using: &random) << 16,
                    low: UInt64.random(in: 0...1, using: &random))
            let expected = prefixes.contains { $0.contains(IPPrefix(host: address)) }
            #expect(snapshot.maySend(sender, from: address) == expected, "\(address)")
        }
    }
}
