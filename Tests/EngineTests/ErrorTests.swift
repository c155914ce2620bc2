import Engine
import Forwarding
import Testing
import Wire

/// Echo, ICMP errors, MTUs and fragments.
@Suite struct ErrorTests {
    typealias F = TestFrame
    let four = FourInterfaces.self

    private func fromAlice(_ packet: [UInt8]) -> [UInt8] { F.frame(packet, from: four.alice, to: four.engine[0]) }

    @Test(arguments: [
        ("192.0.2.10", "192.0.2.1"), ("2001:db8:2::10", "2001:db8:2::1"), ("2001:db8:2::10", "2001:db8:4::1"),
    ])
    func echoToOwnAddressesIsAnswered(alice: String, own: String) throws {
        let pipeline = try Pipeline()
        let six = alice.contains(":")
        for size in [0, 1, 56, 1_400, 9_001] {
            let data = (0..<size).map { UInt8(truncatingIfNeeded: $0) }
            let out = pipeline.send(fromAlice(F.icmp(alice, own, type: six ? 128 : 8, data: data)), on: 0)
            let reply = try #require(out.first)
            #expect(Array(reply.bytes[10..<22]) == four.alice.octets + four.engine[0].octets)
            #expect(F.checksumsAreRight(reply.bytes))
            let fields = try #require(F.read(reply.bytes))
            #expect(fields.message == .echoReply)
            #expect(fields.flow.source == F.address(own))
            #expect(Array(reply.bytes.suffix(size)) == data)
        }
        #expect(pipeline.allDrops == "")
    }

    @Test func unservedDestinationsAndPortsAreToldOf() throws {
        let rows: [(String, String, Int, UInt8, UInt8, String, String)] = [
            ("192.0.2.10", "198.51.100.1", 80, 3, 0, "192.0.2.1", "no-service:1"),
            ("192.0.2.10", "203.0.113.80", 81, 3, 3, "203.0.113.80", "port-not-served:1"),
            ("2001:db8:2::10", "2001:db8:99::1", 80, 1, 0, "2001:db8:2::1", "no-service:1"),
            ("2001:db8:2::10", "2001:db8:cb::80", 81, 1, 4, "2001:db8:cb::80", "port-not-served:1"),
        ]
        for (source, destination, port, type, code, from, drops) in rows {
            let pipeline = try Pipeline()
            let request = F.udp(source, 4_000, destination, port, payload: [UInt8](repeating: 1, count: 1_200))
            let out = pipeline.send(fromAlice(request), on: 0)
            let error = try #require(out.first.flatMap { F.read($0.bytes) }, "\(destination)")
            #expect(out[0].interface == 0)
            #expect(Array(out[0].bytes[10..<22]) == four.alice.octets + four.engine[0].octets)
            #expect([error.icmpType, error.icmpCode] == [type, code])
            #expect(error.flow.source == F.address(from))
            #expect(error.flow.destination == F.address(source))
            #expect(error.quoted.destination == F.address(destination))
            #expect(error.packetLength <= (type == 3 ? 576 : 1_280))
            #expect(F.checksumsAreRight(out[0].bytes))
            #expect(pipeline.allDrops == drops)
        }
    }

    @Test func someThingsAreNeverAnswered() throws {
        let unserved = "198.51.100.1"
        let quoted = F.udp(unserved, 5, "192.0.2.10", 6)
        let rows: [(String, [UInt8], Int)] = [
            (
                "an ICMP error",
                fromAlice(F.icmp("192.0.2.10", unserved, type: 3, code: 3, word: [0, 0, 0, 0], data: quoted)), 0
            ),
            (
                "a later fragment",
                fromAlice(F.packet("192.0.2.10", unserved, 17, [UInt8](repeating: 0, count: 64), fragmentWord: 8)), 0
            ),
            ("multicast", fromAlice(F.udp("192.0.2.10", 5, "224.0.0.9", 6)), 0),
            ("no source", fromAlice(F.udp("0.0.0.0", 5, unserved, 6)), 0),
            ("the engine's own address as source", fromAlice(F.udp("192.0.2.1", 5, unserved, 6)), 0),
            (
                "a passive application",
                F.frame(F.udp("192.0.2.10", 5, unserved, 6), from: four.ids, to: four.engine[1]), 1
            ),
        ]
        for (what, frame, interface) in rows {
            let pipeline = try Pipeline()
            #expect(pipeline.send(frame, on: interface).isEmpty, "\(what)")
        }
    }

    @Test func errorsAreRateLimited() throws {
        let pipeline = try Pipeline()
        let frame = fromAlice(F.udp("192.0.2.10", 4_000, "198.51.100.1", 80))
        var sent = 0
        for _ in 0..<500 { sent += pipeline.send(frame, on: 0).count }
        #expect(sent == 100)
        #expect(pipeline.drops(.errorRateLimited) == 400)
        pipeline.turn(after: 1)
        for _ in 0..<500 { sent += pipeline.send(frame, on: 0).count }
        #expect(sent == 200)
    }

    @Test func packetsLargerThanTheSendInterfacesMTUAreToldOf() throws {
        for (alice, service, type, code) in [
            ("192.0.2.10", "203.0.113.53", UInt8(3), UInt8(4)), ("2001:db8:2::10", "2001:db8:cb::53", 2, 0),
        ] {
            let pipeline = try Pipeline()
            let request = F.udp(alice, 4_000, service, 53, payload: [UInt8](repeating: 1, count: 1_300))
            let out = pipeline.send(fromAlice(request), on: 0)
            let error = try #require(out.first.flatMap { F.read($0.bytes) })
            #expect(out.map(\.interface) == [0])
            #expect([error.icmpType, error.icmpCode] == [type, code])
            // The next hop's MTU: 1300.
            #expect(
                Array(out[0].bytes[(10 + error.transportOffset + 6)..<(10 + error.transportOffset + 8)]) == [5, 20])
            #expect(F.checksumsAreRight(out[0].bytes))
            #expect(pipeline.allDrops == "too-big:1")
        }
    }

    @Test func segmentsAreMeasuredAndNotTheFrame() throws {
        let payload = [UInt8](repeating: 7, count: 20_000)
        for (size, fits) in [(1_260, true), (1_261, false)] {
            let pipeline = try Pipeline()
            let request = F.tcp("192.0.2.10", 4_000, "203.0.113.53", 53, payload: payload, partial: true)
            let offload: [UInt8] = [1, 1, 54, 0, UInt8(size & 255), UInt8(size >> 8), 34, 0, 16, 0]
            let out = pipeline.send(fromAlice(request), on: 0, offload: offload)
            #expect(out.map(\.interface) == [fits ? 3 : 0])
            #expect(pipeline.allDrops == (fits ? "" : "too-big:16"))
        }
    }

    @Test(arguments: [false, true])
    func packetsThatMayBeFragmentedAre(partial: Bool) throws {
        let pipeline = try Pipeline()
        let payload = (0..<4_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let request = F.udp(
            "192.0.2.10", 4_000, "203.0.113.53", 53, payload: payload, partial: partial, fragmentWord: 0)
        let offload = partial ? four.offloadUDPPartial4 : [UInt8](repeating: 0, count: 10)
        let out = pipeline.send(fromAlice(request), on: 0, offload: offload)
        #expect(out.map(\.interface) == [3, 3, 3, 3])
        var whole: [UInt8] = []
        for (index, frame) in out.enumerated() {
            #expect(frame.bytes.count - 24 <= 1_300)
            #expect(Array(frame.bytes.prefix(10)) == [UInt8](repeating: 0, count: 10))
            let word = Int(frame.bytes[30]) << 8 | Int(frame.bytes[31])
            #expect((word & 0x1FFF) * 8 == whole.count)
            #expect(word & 0x2000 == (index < 3 ? 0x2000 : 0))
            #expect(F.read(frame.bytes)?.flow.destination == F.address("198.18.4.53"))
            whole += frame.bytes.dropFirst(44)
        }
        // Put together it is the datagram, rewritten, with a full checksum.
        let expected = F.udp("192.0.2.10", 4_000, "198.18.4.53", 53, payload: payload, fragmentWord: 0)
        #expect(whole == Array(expected.dropFirst(20)))
    }

    @Test func fragmentsOfOneDatagramFollowOnePath() throws {
        let pipeline = try Pipeline()
        let datagram = F.udp("192.0.2.10", 4_000, "203.0.113.80", 99, payload: [UInt8](repeating: 3, count: 600))
        let data = Array(datagram.dropFirst(20))
        for (range, word) in [(0..<304, 0x2000), (304..<608, 38)] {
            let fragment = F.packet("192.0.2.10", "203.0.113.53", 17, Array(data[range]), fragmentWord: word)
            let out = pipeline.send(fromAlice(fragment), on: 0)
            #expect(out.map(\.interface) == [3])
            #expect(out.first.flatMap { F.read($0.bytes)?.flow.destination } == F.address("198.18.4.53"))
        }
    }

    /// RFC 4443, section 2.4: a later fragment that is too big is told of, or its sender never learns why its datagrams
    /// are lost.
    @Test func aLaterFragmentOfIPv6ThatIsTooBigIsToldOf() throws {
        let pipeline = try Pipeline()
        let data = [17, 0] + F.big16(1_440) + [0, 0, 0, 5] + [UInt8](repeating: 7, count: 1_400)
        let fragment = F.packet("2001:db8:2::10", "2001:db8:cb::53", 44, data)
        let out = pipeline.send(fromAlice(fragment), on: 0)
        let error = try #require(out.first.flatMap { F.read($0.bytes) })
        #expect(error.icmpType == 2 && error.quotedFragment == .later && error.packetLength == 1_280)
        #expect(Array(out[0].bytes[10 + 58..<10 + 62]) == [0, 0] + F.big16(1_300))
        #expect(error.quoted.destination == F.address("2001:db8:cb::53"))
        #expect(pipeline.allDrops == "too-big:1")
    }

    /// Headers that tie a packet to its addresses: it is passed by them where nothing is rewritten, and refused where
    /// something would be. In both families authentication headers are looked behind.
    @Test func boundPacketsPassUnchangedOrNotAtAll() throws {
        let segment4 = Array(F.tcp("192.0.2.10", 5, "203.0.113.80", 80).dropFirst(20))
        let segment6 = Array(F.tcp("2001:db8:2::10", 5, "2001:db8:cb::80", 80).dropFirst(40))
        let authentication: [UInt8] = [6, 4] + [UInt8](repeating: 9, count: 22)
        let routing: [UInt8] = [6, 2, 4, 1] + [UInt8](repeating: 0, count: 4) + F.octets(F.address("2001:db8::99"))
        let rows: [([UInt8], Bool)] = [
            (F.packet("192.0.2.10", "203.0.113.80", 51, authentication + segment4), true),
            (F.packet("2001:db8:2::10", "2001:db8:cb::80", 51, authentication + segment6), true),
            (F.packet("2001:db8:2::10", "2001:db8:cb::80", 43, routing + segment6), true),
            (F.packet("192.0.2.10", "203.0.113.53", 51, authentication + segment4), false),
            (F.packet("2001:db8:2::10", "2001:db8:cb::53", 51, authentication + segment6), false),
            (F.packet("2001:db8:2::10", "2001:db8:cb::53", 43, routing + segment6), false),
        ]
        for (index, (packet, passes)) in rows.enumerated() {
            let pipeline = try Pipeline()
            let out = pipeline.send(fromAlice(packet), on: 0)
            #expect(out.count == (passes ? 2 : 0), "row \(index)")
            #expect(out.allSatisfy { Array($0.bytes.dropFirst(24)) == packet }, "row \(index)")
            #expect(pipeline.allDrops == (passes ? "" : "rewrite-impossible:1"), "row \(index)")
        }
    }

    @Test func aLoopbackDestinationHasItsOwnReason() throws {
        let pipeline = try Pipeline()
        for destination in ["127.0.0.1", "0.0.0.0", "::1", "::"] {
            let source = destination.contains(":") ? "2001:db8:2::10" : "192.0.2.10"
            #expect(pipeline.send(fromAlice(F.udp(source, 5, destination, 9)), on: 0).isEmpty)
        }
        #expect(pipeline.send(fromAlice(F.udp("127.0.0.1", 5, "203.0.113.80", 9)), on: 0).isEmpty)
        #expect(pipeline.allDrops == "bad-source-address:1 bad-destination-address:4")
    }
}
