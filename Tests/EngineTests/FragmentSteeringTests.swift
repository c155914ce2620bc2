import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// Two services of one address, told apart by the port: every fragment goes where its whole datagram would go.
@Suite struct FragmentSteeringTests {
    typealias F = TestFrame
    static let engine = [F.mac(0xE0), F.mac(0xE1)]
    static let alice = F.mac(0xA1)
    static let mallory = F.mac(0x66)
    static let servers = [F.mac(0x51), F.mac(0x52)]

    /// udp/1 to the first server, udp/2 to the second; by `further` udp/3 to the first as well.
    private static func table(further: Bool = false, agreeing: Bool = false, egress: Bool = false) -> ForwardingTable {
        var table = ForwardingTable()
        let addresses = [["192.0.2.1/24", "2001:db8:2::1/64"], ["198.18.4.1/24", "2001:db8:4::1/64"]]
        table.interfaces = (0..<2).map { index in
            TableInterface(
                name: ["c", "s"][index], mac: engine[index],
                addresses: addresses[index].map { InterfaceAddress($0)! })
        }
        table.sources = [
            KnownSource(interface: 0, mac: alice, node: "alice", system: .customer),
            KnownSource(interface: 1, mac: servers[0], node: "a", system: .terminalApplication),
            KnownSource(interface: 1, mac: servers[1], node: "b", system: .terminalApplication),
        ]
        func add(_ port: ServicePort, _ destination: IPPrefix, _ server: Int) {
            table.entries.append(
                Entry(
                    name: "e\(table.entries.count)", kind: .distribution, direction: .request, receivedInterface: 0,
                    destination: destination, servicePort: port,
                    targets: [SendTarget(interface: 1, address: .mac(servers[server]), system: .terminalApplication)],
                    counter: table.entries.count))
        }
        for address in ["203.0.113.80", "2001:db8:cb::80"] {
            let prefix = IPPrefix(host: F.address(address))
            add(ServicePort(protocolNumber: 17, ports: 1...1), prefix, 0)
            if !egress { add(ServicePort(protocolNumber: 17, ports: 2...2), prefix, agreeing ? 0 : 1) }
            if further { add(ServicePort(protocolNumber: 17, ports: 3...3), prefix, 0) }
            table.claimed.append(ClaimedAddress(interface: 0, prefix: prefix))
        }
        if egress { add(.any, .everything(.ipv4), 1) }
        return table
    }

    /// The fragments of one datagram to a port, in order.
    private func fragments(
        port: Int, identification: Int, family: AddressFamily = .ipv4, parts: Int = 3, from mac: MACAddress = alice,
        source: String? = nil
    ) -> [[UInt8]] {
        let (from, to) =
            family == .ipv4 ? (source ?? "192.0.2.10", "203.0.113.80") : ("2001:db8:2::10", "2001:db8:cb::80")
        let datagram = Array(
            F.udp(from, 4_000, to, port, payload: (0..<(parts * 800 - 8)).map { UInt8(truncatingIfNeeded: $0) })
                .dropFirst(family == .ipv4 ? 20 : 40))
        return (0..<parts).map { part in
            let data = Array(datagram[part * 800..<(part + 1) * 800])
            let word = part * 100
            let isLast = part == parts - 1
            let packet: [UInt8]
            if family == .ipv4 {
                packet = F.packet(
                    from, to, 17, data, fragmentWord: word | (isLast ? 0 : 0x2000), identification: identification)
            } else {
                let head = [17, 0] + F.big16(word << 3 | (isLast ? 0 : 1)) + [0, 0] + F.big16(identification)
                packet = F.packet(from, to, 44, head + data)
            }
            return F.frame(packet, from: mac, to: Self.engine[0])
        }
    }

    /// Which server each frame went to.
    private func servers(_ out: [MemoryFrameIO.Frame]) -> [Int] {
        out.map { frame in
            frame.interface == 1 ? Self.servers.firstIndex { $0.octets == Array(frame.bytes[10..<16]) } ?? -1 : -1
        }
    }

    @Test(arguments: [AddressFamily.ipv4, .ipv6])
    func fragmentsGoWhereTheirPortSays(family: AddressFamily) throws {
        let pipeline = try Pipeline(Self.table())
        for (port, server) in [(1, 0), (2, 1)] {
            let parts = fragments(port: port, identification: port, family: family)
            #expect(servers(parts.flatMap { pipeline.send($0, on: 0) }) == [server, server, server])
        }
        // Two datagrams whose fragments come in turn.
        let (one, two) = (
            fragments(port: 1, identification: 11, family: family),
            fragments(port: 2, identification: 12, family: family)
        )
        let mixed = zip(one, two).flatMap { [$0, $1] }
        #expect(servers(mixed.flatMap { pipeline.send($0, on: 0) }) == [0, 1, 0, 1, 0, 1])
        #expect(pipeline.allDrops == "")
    }

    @Test(arguments: [AddressFamily.ipv4, .ipv6])
    func fragmentsThatComeBeforeTheFirstWaitForIt(family: AddressFamily) throws {
        let pipeline = try Pipeline(Self.table())
        let parts = fragments(port: 2, identification: 7, family: family)
        #expect(pipeline.send(parts[2], on: 0).isEmpty)
        #expect(pipeline.send(parts[1], on: 0).isEmpty)
        let out = pipeline.send(parts[0], on: 0)
        #expect(servers(out) == [1, 1, 1])
        // As they were sent, behind the first in the order in which they came.
        #expect(out.map { Array($0.bytes[24...]) } == [parts[0], parts[2], parts[1]].map { Array($0[14...]) })
        #expect(pipeline.entry(1).packets + pipeline.entry(3).packets == 3)
        // One whose first fragment never comes is dropped, and so is what there is no room for.
        for number in 0..<40 {
            pipeline.send(fragments(port: 2, identification: 100 + number, family: family)[1], on: 0)
        }
        #expect(pipeline.allDrops == "fragment-undecided:24")
        #expect(pipeline.turn(after: 2).isEmpty)
        #expect(pipeline.allDrops == "fragment-undecided:40")
        #expect(pipeline.lastDrop(.fragmentUndecided)?.sourceMAC == Self.alice)
    }

    /// What is not served at a port is dropped and told of, as the whole datagram would be.
    @Test func aPortThatIsNotServedIsRefused() throws {
        let pipeline = try Pipeline(Self.table())
        let out = fragments(port: 9, identification: 9).flatMap { pipeline.send($0, on: 0) }
        #expect(out.count == 1)
        let error = try #require(out.first.flatMap { F.read($0.bytes) })
        #expect([error.icmpType, error.icmpCode] == [3, 3])
        #expect(pipeline.allDrops == "port-not-served:3 error-forbidden:2")
    }

    /// Where all services of the protocol lead to one place, nothing is asked of the first fragment.
    @Test func whereTheChainsAgreeNothingIsRemembered() throws {
        let pipeline = try Pipeline(Self.table(further: true, agreeing: true))
        #expect(servers(pipeline.send(fragments(port: 2, identification: 5)[2], on: 0)) == [0])
        #expect(pipeline.allDrops == "")
    }

    /// A service of one port, and one of everything behind it: other ports fall through to the second.
    @Test func lessSpecificServicesAreLookedAtToo() throws {
        let pipeline = try Pipeline(Self.table(egress: true))
        for (port, server) in [(1, 0), (2, 1)] {
            let parts = fragments(port: port, identification: port)
            #expect(servers(parts.flatMap { pipeline.send($0, on: 0) }) == [server, server, server])
        }
        #expect(pipeline.allDrops == "")
    }

    /// A flood of first fragments, from whatever addresses, takes nothing from another station.
    @Test func aFloodOfFirstFragmentsHarmsItsSenderAlone() throws {
        let pipeline = try Pipeline(Self.table())
        let parts = fragments(port: 2, identification: 1)
        #expect(servers(pipeline.send(parts[0], on: 0)) == [1])
        for number in 0..<10_000 {
            let source = "192.0.\(number >> 8 & 0xFF).\(number & 0xFF)"
            let first = fragments(
                port: 1, identification: number, from: Self.mallory,
                source: source.hasSuffix(".0") ? "192.0.2.9" : source)
            pipeline.send(first[0], on: 0)
            pipeline.send(
                fragments(port: 1, identification: number + 20_000, from: Self.mallory)[1], on: 0)
        }
        #expect(servers([parts[1], parts[2]].flatMap { pipeline.send($0, on: 0) }) == [1, 1])
        let late = fragments(port: 2, identification: 2)
        #expect(pipeline.send(late[1], on: 0).isEmpty)
        #expect(servers(pipeline.send(late[0], on: 0)) == [1, 1])
    }

    /// Several stations that hold all places for fragments leave some to one that has none.
    @Test func stationsThatHoldAllPlacesGiveSomeUp() throws {
        var table = Self.table()
        let crowd = (0..<4).map { F.mac(0x660 + $0) }
        for mac in crowd {
            table.sources.append(KnownSource(interface: 0, mac: mac, node: "m\(mac.bits & 0xF)", system: .customer))
        }
        let pipeline = try Pipeline(table)
        for number in 0..<200 {
            for mac in crowd { pipeline.send(fragments(port: 1, identification: number, from: mac)[1], on: 0) }
        }
        // The earliest that it has sent is there when its first one comes.
        let parts = fragments(port: 2, identification: 1)
        #expect(pipeline.send(parts[1], on: 0).isEmpty)
        #expect(pipeline.send(parts[2], on: 0).isEmpty)
        for mac in crowd { pipeline.send(fragments(port: 1, identification: 300, from: mac)[1], on: 0) }
        #expect(servers(pipeline.send(parts[0], on: 0)) == [1, 1, 1])
        #expect(pipeline.drops(.fragmentUndecided) == 4 * 200 + 4 - 64 + 2)
    }
}
