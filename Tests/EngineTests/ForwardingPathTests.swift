import Engine
import Testing
import Wire

/// Frames in → frames out, for everything that a table decides.
@Suite struct ForwardingPathTests {
    typealias F = TestFrame
    let four = FourInterfaces.self

    /// What left, as `interface: destination source`.
    private func routes(_ frames: [MemoryFrameIO.Frame]) -> [String] {
        frames.map { frame in
            let octets = frame.bytes[10..<22].map { String($0, radix: 16) }
            return "\(frame.interface): \(octets[5]) \(octets[11])"
        }
    }

    private func packet(_ frame: MemoryFrameIO.Frame) -> [UInt8] { Array(frame.bytes.dropFirst(24)) }

    @Test(arguments: [("192.0.2.10", "203.0.113.80"), ("2001:db8:2::10", "2001:db8:cb::80")])
    func copiesGoToEveryApplicationAndThePacketIsNotTouched(alice: String, shop: String) throws {
        let pipeline = try Pipeline()
        let request = F.tcp(alice, 40_000, shop, 80)
        let out = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0)
        #expect(routes(out) == ["1: 1d e1", "1: f1 e1"])
        #expect(out.allSatisfy { packet($0) == request })
        let counter = alice.contains(":") ? 4 : 0
        #expect(pipeline.entry(counter) == TrafficCount(packets: 1, bytes: UInt64(14 + request.count)))
        #expect(pipeline.interface(0).received.packets == 1)
        #expect(pipeline.interface(1).sent.packets == 2)
        #expect(pipeline.allDrops == "")
    }

    @Test(arguments: [("192.0.2.10", "203.0.113.80"), ("2001:db8:2::10", "2001:db8:cb::80")])
    func sequencingLeadsBothWaysThroughTheChain(alice: String, shop: String) throws {
        let pipeline = try Pipeline()
        let request = F.tcp(alice, 40_000, shop, 80)
        let response = F.tcp(shop, 80, alice, 40_000)
        let atWeb = pipeline.send(F.frame(request, from: four.firewallOut, to: four.engine[2]), on: 2)
        #expect(routes(atWeb) == ["3: 3b e3"])
        let atFirewall = pipeline.send(F.frame(response, from: four.web, to: four.engine[3]), on: 3)
        #expect(routes(atFirewall) == ["2: f2 e2"])
        let atAlice = pipeline.send(F.frame(response, from: four.firewallIn, to: four.engine[1]), on: 1)
        #expect(routes(atAlice) == ["0: a1 e0", "1: 1d e1"])
        #expect(atAlice.allSatisfy { packet($0) == response })
        #expect(pipeline.allDrops == "")
    }

    @Test(arguments: [false, true], ["ipv4", "ipv6"])
    func networkAddressesAreRewrittenThereAndBack(partial: Bool, family: String) throws {
        let pipeline = try Pipeline()
        let six = family == "ipv6"
        let (alice, service, server) =
            six
            ? ("2001:db8:2::10", "2001:db8:cb::53", "2001:db8:4::53") : ("192.0.2.10", "203.0.113.53", "198.18.4.53")
        let offload =
            partial
            ? six ? four.offloadUDPPartial6 : four.offloadUDPPartial4 : [UInt8](repeating: 0, count: 10)
        let request = F.udp(alice, 5_000, service, 53, partial: partial)
        let there = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0, offload: offload)
        #expect(routes(there) == ["3: 53 e3"])
        let frame = try #require(there.first)
        #expect(F.checksumsAreRight(frame.bytes))
        #expect(F.read(frame.bytes)?.flow.destination == F.address(server))
        #expect(packet(frame) == F.udp(alice, 5_000, server, 53, partial: partial))
        let response = F.udp(server, 53, alice, 5_000, partial: partial)
        let back = pipeline.send(F.frame(response, from: four.dns, to: four.engine[3]), on: 3, offload: offload)
        #expect(routes(back) == ["0: a1 e0"])
        #expect(back.first.map { packet($0) } == F.udp(service, 53, alice, 5_000, partial: partial))
        #expect(F.checksumsAreRight(back[0].bytes))
    }

    @Test func tcpWithPartialChecksumsIsRewritten() throws {
        let pipeline = try Pipeline()
        for (alice, service, server, offload) in [
            ("192.0.2.10", "203.0.113.53", "198.18.4.53", four.offloadTCPPartial4),
            ("2001:db8:2::10", "2001:db8:cb::53", "2001:db8:4::53", four.offloadTCPPartial6),
        ] {
            let request = F.tcp(alice, 5_000, service, 53, partial: true)
            let out = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0, offload: offload)
            #expect(out.map { packet($0) } == [F.tcp(alice, 5_000, server, 53, partial: true)])
        }
    }

    @Test func rewriteReachesIntoTheErrorsThatQuoteIt() throws {
        let pipeline = try Pipeline()
        for (alice, service, server, type) in [
            ("192.0.2.10", "203.0.113.53", "198.18.4.53", UInt8(3)),
            ("2001:db8:2::10", "2001:db8:cb::53", "2001:db8:4::53", 1),
        ] {
            // The server refuses a rewritten request: its error quotes its own address.
            let quoted = F.udp(alice, 5_000, server, 53)
            let error = F.icmp(server, alice, type: type, code: 3, word: [0, 0, 0, 0], data: quoted)
            let out = pipeline.send(F.frame(error, from: four.dns, to: four.engine[3]), on: 3)
            #expect(routes(out) == ["0: a1 e0"])
            let fields = try #require(out.first.flatMap { F.read($0.bytes) })
            #expect(fields.flow.source == F.address(service))
            #expect(fields.quoted.destination == F.address(service))
            #expect(F.checksumsAreRight(out[0].bytes))
            // The customer refuses a rewritten response.
            let answer = F.udp(service, 53, alice, 5_000)
            let refused = F.icmp(alice, service, type: type, code: 3, word: [0, 0, 0, 0], data: answer)
            let there = pipeline.send(F.frame(refused, from: four.alice, to: four.engine[0]), on: 0)
            #expect(routes(there) == ["3: 53 e3"])
            let inner = try #require(there.first.flatMap { F.read($0.bytes) })
            #expect(inner.flow.destination == F.address(server))
            #expect(inner.quoted.source == F.address(server))
            #expect(F.checksumsAreRight(there[0].bytes))
        }
    }

    @Test func errorsFollowTheFlowTheyQuote() throws {
        let pipeline = try Pipeline()
        // Alice refuses a segment of the shop's: the error runs the request's way.
        let quoted = F.tcp("203.0.113.80", 80, "192.0.2.10", 40_000)
        let error = F.icmp("192.0.2.10", "203.0.113.80", type: 3, code: 3, word: [0, 0, 0, 0], data: quoted)
        #expect(
            routes(pipeline.send(F.frame(error, from: four.alice, to: four.engine[0]), on: 0))
                == ["1: 1d e1", "1: f1 e1"])
    }

    @Test func segmentsCountAsThePacketsTheyAreCutInto() throws {
        let pipeline = try Pipeline()
        let payload = [UInt8](repeating: 7, count: 14_600)
        let request = F.tcp("192.0.2.10", 40_000, "203.0.113.80", 80, payload: payload, partial: true)
        // TCPV4, hdr_len 54, gso_size 1460.
        let offload: [UInt8] = [1, 1, 54, 0, 0xB4, 0x05, 34, 0, 16, 0]
        let out = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0, offload: offload)
        #expect(routes(out) == ["1: 1d e1", "1: f1 e1"])
        #expect(out.allSatisfy { Array($0.bytes.prefix(10)) == offload && packet($0) == request })
        #expect(pipeline.entry(0).packets == 10)
        #expect(pipeline.interface(1).sent.packets == 20)
    }

    @Test func anOffloadHeaderThatLiesIsDropped() throws {
        let request = F.tcp(
            "192.0.2.10", 40_000, "203.0.113.80", 80, payload: [UInt8](repeating: 7, count: 4_000), partial: true)
        let lies: [[UInt8]] = [
            [1, 1, 54, 0, 0, 0, 34, 0, 16, 0],  // no segment size
            [0, 1, 54, 0, 0xB4, 5, 34, 0, 16, 0],  // segments without a checksum to complete
            [1, 4, 54, 0, 0xB4, 5, 34, 0, 16, 0],  // TCP over IPv6
            [1, 5, 54, 0, 0xB4, 5, 34, 0, 6, 0],  // UDP
            [1, 3, 54, 0, 0xB4, 5, 34, 0, 6, 0],  // UFO
            [1, 0x77, 54, 0, 0xB4, 5, 34, 0, 16, 0],  // nothing that exists
            [1, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF],  // a checksum beyond the frame
            [1, 0, 0, 0, 0, 0, 2, 0, 2, 0],  // a checksum in the Ethernet header
            [1, 1, 0xFF, 0xFF, 0xB4, 5, 34, 0, 16, 0],  // headers longer than the frame
        ]
        for (count, lie) in lies.enumerated() {
            let pipeline = try Pipeline()
            let out = pipeline.send(F.frame(request, from: four.alice, to: four.engine[0]), on: 0, offload: lie)
            #expect(out.isEmpty, "lie \(count)")
            #expect(pipeline.allDrops == "bad-offload-header:1", "lie \(count)")
        }
    }

    @Test func aFailingWriteIsADropOfThatCopyAlone() throws {
        for (errno, reason) in [(Int32(11), "tap-full"), (105, "tap-full"), (5, "interface-gone"), (22, "send-failed")]
        {
            let pipeline = try Pipeline()
            pipeline.worker.io.failures = [1: errno]
            let response = F.tcp("203.0.113.80", 80, "192.0.2.10", 40_000)
            let out = pipeline.send(F.frame(response, from: four.firewallIn, to: four.engine[1]), on: 1)
            #expect(routes(out) == ["0: a1 e0"])
            #expect(pipeline.allDrops == "\(reason):1")
            #expect(pipeline.interface(1).sentDrops == 1)
        }
    }

    @Test func whatIsNotTheEnginesToForwardIsDropped() throws {
        let request = F.tcp("192.0.2.10", 40_000, "203.0.113.80", 80)
        let rows: [(String, [UInt8], Int, String)] = [
            ("another's MAC", F.frame(request, from: four.alice, to: F.mac(0x99)), 0, "not-for-us:1"),
            ("unicast in a broadcast frame", F.frame(request, from: four.alice, to: .broadcast), 0, "not-for-us:1"),
            ("its own MAC as source", F.frame(request, from: four.engine[0], to: four.engine[0]), 0, "looped:1"),
            ("the passive application", F.frame(request, from: four.ids, to: four.engine[1]), 1, "passive-emission:1"),
            (
                "a group as source", F.frame(request, from: MACAddress(bits: 0x0100_5E00_0001), to: four.engine[0]), 0,
                "bad-source-address:1"
            ),
            (
                "an own address", F.frame(F.udp("192.0.2.10", 1, "192.0.2.1", 9), from: four.alice, to: four.engine[0]),
                0, "to-the-engine:1"
            ),
            (
                "multicast", F.frame(F.udp("192.0.2.10", 1, "224.0.0.251", 5_353), from: four.alice, to: .broadcast), 0,
                "multicast-not-served:1"
            ),
            (
                "a VLAN tag", four.engine[0].octets + four.alice.octets + [0x81, 0, 0, 1, 8, 0] + request, 0,
                "unsupported-ethertype:1"
            ),
        ]
        for (what, frame, interface, drops) in rows {
            let pipeline = try Pipeline()
            let out = pipeline.send(frame, on: interface)
            #expect(out.isEmpty, "\(what)")
            #expect(pipeline.allDrops == drops, "\(what)")
        }
    }
}
