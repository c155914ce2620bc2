import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// Whoever floods uses up only their own share of what the engine limits: other nodes of the same interface, and those of
/// others, get what they are owed.
@Suite struct BudgetTests {
    typealias F = TestFrame
    private static let four = FourInterfaces.self
    private static let bob = F.mac(0xB0)

    /// The customers alice and bob on one interface, and the servers on another.
    private static var table: ForwardingTable {
        var table = four.table
        for (name, mac, addresses) in [
            ("alice", four.alice, []), ("bob", bob, ["192.0.2.20", "2001:db8:2::20"]),
        ] {
            table.sources.append(KnownSource(interface: 0, mac: mac, node: name, system: .customer))
            for address in addresses {
                table.neighbours.append(StaticNeighbour(interface: 0, address: F.address(address), mac: mac))
            }
        }
        return table
    }

    /// Who floods.
    enum Flooder: CaseIterable {
        /// From its own addresses.
        case honest
        /// From another source address with every packet.
        case manyAddresses
        /// From another MAC address with every frame.
        case manyStations

        func mac(_ number: Int) -> MACAddress {
            self == .manyStations ? F.mac(0x4000_0000 + UInt64(number)) : four.alice
        }

        func address(_ number: Int, six: Bool = false) -> String {
            switch (self, six) {
            case (.honest, false): "192.0.2.10"
            case (.honest, true): "2001:db8:2::10"
            case (_, false): "192.0.2.\(100 + number % 100)"
            case (_, true): "2001:db8:2::1:\(String(number % 65_536, radix: 16))"
            }
        }
    }

    private static func solicitation(_ source: String, _ target: String, from mac: MACAddress) -> [UInt8] {
        let address = F.address(target)
        let packet = F.icmp(
            source, address.solicitedNode.description, type: 135, word: [0, 0, 0, 0],
            data: F.octets(address) + [1, 1] + mac.octets, hopLimit: 255)
        return F.frame(packet, from: mac, to: .ipv6Multicast(for: address.solicitedNode))
    }

    /// What makes the engine send something of its own.
    enum Cause: CaseIterable {
        case arp, discovery, echo, oversized, unserved

        func frame(_ number: Int, _ flooder: Flooder) -> [UInt8] {
            frame(
                from: flooder.mac(number), flooder.address(number), flooder.address(number, six: true),
                to: four.engine[0], "192.0.2.1")
        }

        func frame(
            from mac: MACAddress, _ source: String, _ source6: String, to engine: MACAddress, _ own: String
        ) -> [UInt8] {
            switch self {
            case .arp: F.arp(1, from: mac, source, to: .broadcast, own)
            case .discovery: BudgetTests.solicitation(source6, "fe80::1", from: mac)
            case .echo: F.frame(F.icmp(source, own, type: 8), from: mac, to: engine)
            case .oversized:
                F.frame(
                    F.udp(source, 4_000, "203.0.113.53", 53, payload: [UInt8](repeating: 1, count: 1_300)), from: mac,
                    to: engine)
            case .unserved: F.frame(F.udp(source, 4_000, "198.51.100.1", 9), from: mac, to: engine)
            }
        }
    }

    /// 40,000 frames a second for a fifth of a second; after every thousand the others ask once.
    @Test(arguments: Cause.allCases, Flooder.allCases)
    func aFloodTakesAwayNobodyElsesAnswers(cause: Cause, flooder: Flooder) throws {
        let pipeline = try Pipeline(Self.table)
        var lost: [String] = []
        for number in 0..<8_000 {
            let frame = cause.frame(number, flooder)
            pipeline.worker.io.input.append(
                .init(interface: 0, bytes: [UInt8](repeating: 0, count: 10) + frame))
            guard number % 1_000 == 999 else { continue }
            pipeline.turn()
            // In the same moment, and before any limit has recovered.
            defer { pipeline.worker.io.time += .nanoseconds(25_000_000) }
            for asked in Cause.allCases {
                let bob = asked.frame(
                    from: Self.bob, "192.0.2.20", "2001:db8:2::20", to: Self.four.engine[0], "192.0.2.1")
                if pipeline.send(bob, on: 0).map(\.interface) != [0] { lost.append("bob: \(asked)") }
                // The servers' link has none larger than the others take.
                guard asked != .oversized else { continue }
                let server = asked.frame(
                    from: Self.four.dns, "198.18.4.53", "2001:db8:4::53", to: Self.four.engine[3], "198.18.4.1")
                if pipeline.send(server, on: 3).map(\.interface) != [3] { lost.append("server: \(asked)") }
            }
        }
        #expect(lost.isEmpty, "\(Set(lost)), \(lost.count) in all")
        let limited: DropReason = [.oversized, .unserved].contains(cause) ? .errorRateLimited : .answerRateLimited
        // Another station with an address that was heard of just before is not believed, either.
        #expect(pipeline.drops(limited) + pipeline.drops(.neighbourConflict) > 1_500)
    }

    /// Of the hosts behind one router each has a share of its own, too.
    @Test func hostsBehindOneRouterDoNotStarveEachOther() throws {
        let pipeline = try Pipeline(Self.table)
        for _ in 0..<500 {
            pipeline.send(
                F.frame(F.udp("192.0.2.10", 4_000, "198.51.100.1", 9), from: Self.four.alice, to: Self.four.engine[0]),
                on: 0)
        }
        #expect(pipeline.drops(.errorRateLimited) == 400)
        let other = F.frame(
            F.udp("192.0.2.11", 4_000, "198.51.100.1", 9), from: Self.four.alice, to: Self.four.engine[0])
        #expect(pipeline.send(other, on: 0).count == 1)
    }

    // MARK: - Neighbours

    /// A node that makes the engine look for thousands of neighbours that are not there.
    private func look(for count: ClosedRange<Int>, _ pipeline: Pipeline, from mac: MACAddress) {
        for number in count {
            let packet = F.tcp(
                "2001:db8:cb::80", 80,
                "2001:db8:2:0:1:\(String(number >> 16, radix: 16)):\(String(number & 0xFFFF, radix: 16)):1", 4_000)
            pipeline.worker.io.input.append(
                .init(
                    interface: 1,
                    bytes: [UInt8](repeating: 0, count: 10) + F.frame(packet, from: mac, to: Self.four.engine[1])))
        }
        pipeline.turn()
    }

    /// The frames that wait, the requests and the table of neighbours.
    @Test func lookingForManyNeighboursLeavesOthersTheirs() throws {
        let pipeline = try Pipeline(Self.table)
        var answered = 0
        for second in 0..<12 {
            for part in 0..<10 {
                let first = (second * 10 + part) * 400 + 1
                look(for: first...first + 399, pipeline, from: Self.four.firewallIn)
                pipeline.worker.io.time += .nanoseconds(100_000_000)
            }
            // Another application's answer to a customer that has to be looked for, which is there.
            let customer = "2001:db8:2:0:2::\(second + 1)"
            let response = F.frame(
                F.udp("2001:db8:4::53", 53, customer, 4_000), from: Self.four.dns, to: Self.four.engine[3])
            let asked = pipeline.send(response, on: 3)
            #expect(
                asked.contains { $0.interface == 0 && F.read($0.bytes)?.message == .neighbourDiscovery },
                "second \(second)")
            look(for: 900_001...900_500, pipeline, from: Self.four.firewallIn)
            let station = F.mac(0x7000 + UInt64(second))
            let advertisement = F.frame(
                F.icmp(
                    customer, "2001:db8:2::1", type: 136, word: [0x60, 0, 0, 0],
                    data: F.octets(F.address(customer)) + [2, 1] + station.octets, hopLimit: 255),
                from: station, to: Self.four.engine[0])
            let out = pipeline.send(advertisement, on: 0)
            answered += out.count { Array($0.bytes[10..<16]) == station.octets }
        }
        #expect(answered == 12)
    }

    /// Stations that the table does not name, and addresses that they invent, push no neighbour of others out.
    @Test func inventedNeighboursPushNobodyOut() throws {
        let pipeline = try Pipeline(Self.table)
        // A neighbour by its own question.
        pipeline.send(F.arp(1, from: Self.four.web, "198.18.4.80", to: .broadcast, "198.18.4.1"), on: 3)
        for number in 0..<40_000 {
            let source = "2001:db8:2:0:\(String(number % 65_536, radix: 16))::1"
            pipeline.worker.io.input.append(
                .init(
                    interface: 0,
                    bytes: [UInt8](repeating: 0, count: 10)
                        + Self.solicitation(source, "fe80::1", from: F.mac(0x5000_0000 + UInt64(number)))))
            if number % 500 == 499 {
                pipeline.turn()
                pipeline.worker.io.time += .nanoseconds(100_000_000)
            }
        }
        #expect(pipeline.neighbours.entries().contains { $0.address == F.address("198.18.4.80") })
        for second in 0..<20 {
            // Each is heard of for the first time, while the table is full.
            let address = "198.18.4.\(100 + second)"
            pipeline.send(F.arp(1, from: Self.four.web, address, to: .broadcast, "198.18.4.1"), on: 3)
            #expect(pipeline.neighbours.entries().contains { $0.address == F.address(address) })
        }
    }
}
