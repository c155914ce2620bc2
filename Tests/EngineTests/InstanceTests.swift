import Engine
import Forwarding
import Testing
import Wire

/// What the engine makes of applications with instances.
@Suite struct InstanceTests {
    typealias F = TestFrame
    let four = FourInterfaces.self
    static let token: UInt64 = 0xA1B2_C3D4_E5F6_0718
    /// The legs of two firewalls: towards customers, towards servers.
    static let legs: [(near: MACAddress, far: MACAddress)] = [
        (FourInterfaces.firewallIn, FourInterfaces.firewallOut), (F.mac(0xF3), F.mac(0xF4)),
    ]

    /// DESIGN's picture with two firewalls.
    static func table(
        _ availability: [Availability] = [.up, .up], otherwise: Hop.Otherwise = .drop(.silence)
    ) -> ForwardingTable {
        var table = FourInterfaces.table
        table.heartbeatToken = token
        table.groups = [
            InstanceGroup(
                name: "firewall", hashing: .sessions, seed: 3,
                members: availability.enumerated().map { GroupMember(name: "fw-\($0)", availability: $1) })
        ]
        for (near, far) in legs.dropFirst() {
            table.sources += [
                KnownSource(interface: 1, mac: near, node: "fw-1", system: .inlineApplication),
                KnownSource(interface: 2, mac: far, node: "fw-1", system: .inlineApplication),
            ]
        }
        func firewalls(_ interface: Int) -> Hop {
            .instance(
                group: 0,
                targets: legs.map {
                    SendTarget(
                        interface: interface, address: .mac(interface == 1 ? $0.near : $0.far),
                        system: .inlineApplication)
                },
                otherwise: otherwise)
        }
        for index in table.entries.indices {
            switch table.entries[index].name {
            case "shop.request.customers": table.entries[index].hops[1] = firewalls(1)
            case "shop.response.web": table.entries[index].hops = [firewalls(2)]
            default: break
            }
        }
        return table
    }

    /// The last octets of where frames went.
    private func destinations(_ frames: [MemoryFrameIO.Frame]) -> [UInt8] { frames.map { $0.bytes[15] } }

    private func request(_ pipeline: Pipeline, port: Int, from alice: String = "192.0.2.10") -> [UInt8] {
        let shop = alice.contains(":") ? "2001:db8:cb::80" : "203.0.113.80"
        return destinations(
            pipeline.send(F.frame(F.tcp(alice, port, shop, 80), from: four.alice, to: four.engine[0]), on: 0))
    }

    private func response(_ pipeline: Pipeline, port: Int, to alice: String = "192.0.2.10") -> [UInt8] {
        let shop = alice.contains(":") ? "2001:db8:cb::80" : "203.0.113.80"
        return destinations(
            pipeline.send(F.frame(F.tcp(shop, 80, alice, port), from: four.web, to: four.engine[3]), on: 3))
    }

    @Test(arguments: ["192.0.2.10", "2001:db8:2::10"])
    func bothDirectionsMeetTheSameFirewallAndTheDetectorEveryPacket(alice: String) throws {
        let pipeline = try Pipeline(Self.table())
        var met: Set<UInt8> = []
        for port in 40_000..<40_064 {
            let there = request(pipeline, port: port, from: alice)
            #expect(there.first == 0x1D && there.count == 2)
            #expect(response(pipeline, port: port, to: alice) == [there[1] == 0xF1 ? 0xF2 : 0xF4])
            met.insert(there[1])
        }
        #expect(met == [0xF1, 0xF3])
        #expect(pipeline.allDrops == "")
    }

    @Test func errorsMeetTheFirewallOfTheFlowThatTheyQuote() throws {
        let pipeline = try Pipeline(Self.table())
        for port in 40_000..<40_016 {
            let there = request(pipeline, port: port)
            let quoted = F.tcp("203.0.113.80", 80, "192.0.2.10", port)
            let error = F.icmp("192.0.2.10", "203.0.113.80", type: 3, code: 3, word: [0, 0, 0, 0], data: quoted)
            #expect(
                destinations(pipeline.send(F.frame(error, from: four.alice, to: four.engine[0]), on: 0)) == there)
        }
    }

    @Test func whatOneLosesTheOtherTakesAndDownIsToldAsTheFileSays() throws {
        let alone = try Pipeline(Self.table([.down, .up]))
        for port in 40_000..<40_016 { #expect(request(alone, port: port) == [0x1D, 0xF3]) }

        let silent = try Pipeline(Self.table([.down, .down]))
        #expect(request(silent, port: 40_000) == [0x1D])
        #expect(silent.allDrops == "application-down:1")

        let summary = try Pipeline(Self.table([.down, .down], otherwise: .drop(.unreachable)))
        let answers = summary.send(
            F.frame(F.tcp("192.0.2.10", 1_234, "203.0.113.80", 80), from: four.alice, to: four.engine[0]), on: 0)
        #expect(answers.map(\.interface) == [1, 0])
        #expect(answers.last.map { Array($0.bytes[44...45]) } == [3, 1])

        let web = SendTarget(interface: 3, address: .mac(four.web), system: .terminalApplication)
        let bypassed = try Pipeline(Self.table([.down, .down], otherwise: .hops([.target(web)])))
        #expect(request(bypassed, port: 40_000) == [0x1D, 0x3B])
        #expect(bypassed.allDrops == "")
    }

    @Test(arguments: ["192.0.2.10", "2001:db8:2::10"])
    func aSegmentIsResetAsIfByItsDestination(alice: String) throws {
        let pipeline = try Pipeline(Self.table([.down, .down], otherwise: .drop(.reset)))
        let shop = alice.contains(":") ? "2001:db8:cb::80" : "203.0.113.80"
        // Sequence 1, acknowledgment 2, five octets, PSH and ACK.
        let out = pipeline.send(F.frame(F.tcp(alice, 1_234, shop, 80), from: four.alice, to: four.engine[0]), on: 0)
        let reset = try #require(out.last)
        #expect(reset.interface == 0)
        #expect(F.checksumsAreRight(reset.bytes))
        let fields = try #require(F.read(reset.bytes))
        #expect(fields.flow.source == F.address(shop) && fields.flow.destination == F.address(alice))
        #expect(fields.flow.sourcePort == 80 && fields.flow.destinationPort == 1_234)
        let segment = Array(reset.bytes[(10 + fields.transportOffset)...])
        #expect(Array(segment[4..<8]) == [0, 0, 0, 2])
        #expect(segment[13] == TCPView.rst)
        // A reset is not answered with one.
        var again = F.tcp(alice, 1_234, shop, 80)
        again[again.count - 5 - 20 + 13] = TCPView.rst
        #expect(pipeline.send(F.frame(again, from: four.alice, to: four.engine[0]), on: 0).map(\.interface) == [1])
    }

    @Test func aResetAcknowledgesWhatOpensAConnection() throws {
        let pipeline = try Pipeline(Self.table([.down, .down], otherwise: .drop(.reset)))
        var opening = F.tcp("192.0.2.10", 1_234, "203.0.113.80", 80, payload: [])
        opening[20 + 13] = TCPView.syn
        let out = pipeline.send(F.frame(opening, from: four.alice, to: four.engine[0]), on: 0)
        let segment = Array(try #require(out.last).bytes[44...])
        #expect(Array(segment[4..<12]) == [0, 0, 0, 0, 0, 0, 0, 2])
        #expect(segment[13] == TCPView.rst | TCPView.ack)
    }

    @Test func healthChecksPacketsEndHere() throws {
        let pipeline = try Pipeline(Self.table())
        let secret = (0..<8).map { UInt8(truncatingIfNeeded: Self.token >> UInt64(56 - $0 * 8)) }
        for (payload, passes) in [
            (secret, false), (Array("hello".utf8) + secret, false), (secret + [0], true),
            ([UInt8](repeating: 7, count: 300) + secret, true),
        ] {
            let packet = F.tcp("192.0.2.10", 40_000, "203.0.113.80", 80, payload: payload)
            let out = pipeline.send(F.frame(packet, from: four.firewallOut, to: four.engine[2]), on: 2)
            #expect(out.isEmpty == !passes)
        }
        #expect(pipeline.heartbeats == 2)
        #expect(pipeline.allDrops == "")
    }

    @Test func connectionsThatBeginAvoidAnInstanceThatDrains() throws {
        let pipeline = try Pipeline(Self.table([.draining, .up]))
        func send(_ port: Int, _ flags: UInt8) -> UInt8? {
            var packet = F.tcp("192.0.2.10", port, "203.0.113.80", 80)
            packet[20 + 13] = flags
            return destinations(pipeline.send(F.frame(packet, from: four.alice, to: four.engine[0]), on: 0)).last
        }
        // What was there stays, in both directions, also when the same slot is asked for again.
        let old = (40_000..<40_200).filter { send($0, TCPView.ack) == 0xF1 }
        #expect(old.count > 50)
        for port in old {
            #expect(send(port, TCPView.ack) == 0xF1)
            #expect(response(pipeline, port: port) == [0xF2])
        }
        // What begins goes to the other one, and stays there.
        let new = (50_000..<50_200).filter { send($0, TCPView.syn) == 0xF3 }
        #expect(new.count > 190)
        for port in new {
            #expect(response(pipeline, port: port) == [0xF4])
            #expect(send(port, TCPView.ack) == 0xF3)
        }
        // A slot that is used does not go over: the old connection would be lost.
        #expect(old.allSatisfy { send($0, TCPView.syn) == 0xF1 })
        // Two stretches of silence later it may.
        let table = DrainTable(behind: pipeline.neighbours)
        table.beginPeriod(0)
        table.beginPeriod(0)
        #expect(old.allSatisfy { send($0, TCPView.syn) == 0xF3 })
        #expect(table.movedSlots(0) > 0)
        table.clear(0)
        #expect(table.movedSlots(0) == 0)
    }
}
