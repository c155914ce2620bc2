import EngineRig
import Plan
import Testing
import Wire

@testable import Tracing

/// Packets that look different at each hop: rewritten, translated, in fragments, in superframes.
@Suite struct IdentityTests {
    private typealias F = TestFrame

    static let translating = """
        name: translating
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"], mtu: 1400 }
        customers:
          alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
        applications:
          fw:  { type: firewall, attach: { in: inspection, out: inspected } }
          web: { type: web-server, attach: servers }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], sequence: [fw, web] }

        """

    @Test func networkSendAddressesAreSeenThrough() throws {
        let lab = try Lab("network-address")
        let own = lab.address("switch", "inside")
        let first = lab.send(
            "alice", "customers", F.tcp("198.18.1.2", 4_000, "203.0.113.1", 80, payload: [], flags: 0x02))
        for out in lab.frames(first, for: "firewall", "outside") { lab.forward(out, "firewall", "inside") }
        lab.wait(.microseconds(50))
        let back = lab.send("switch", "inside", F.tcp(own, 80, "198.18.1.2", 4_000, payload: [], flags: 0x12))
        for out in lab.frames(back, for: "firewall", "inside") { lab.forward(out, "firewall", "outside") }
        // The switch now opens a connection of its own.
        lab.wait(.microseconds(50))
        let mine = lab.address("switch", "servers")
        lab.send("switch", "servers", F.tcp(mine, 50_000, "203.0.113.2", 80, payload: [], flags: 0x02, sequence: 9))
        let (traces, counts) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → firewall → switch", "switch → firewall → alice", "switch → web-a"])
        #expect(traces[0].hops[1].copies[0].rewritten == "destination \(own)")
        #expect(traces[1].hops[0].copies[0].rewritten == "source 203.0.113.1")
        #expect(traces[1].answers == TraceLink(trace: traces[0].id, isGuess: false))
        #expect(traces[1].end.kind == .delivered)
        #expect(traces[2].answers == nil)
        #expect(traces[2].beginning == .end)
        #expect(traces[2].follows == TraceLink(trace: traces[0].id, isGuess: true))
        #expect(counts.strays == 0)
        #expect(traces.allSatisfy { !$0.isGuess })
    }

    @Test func translationIsLearntFromTheFirstPacket() throws {
        let lab = try Lab(Self.translating)
        let outside = lab.address("fw", "inspected")
        func go(_ flags: UInt8, _ sequence: Int, _ payload: [UInt8]) {
            lab.send(
                "alice", "customers",
                F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: payload, flags: flags, sequence: sequence))
            lab.wait(.microseconds(20))
            lab.send(
                "fw", "inspected",
                F.tcp(outside, 61_000, "203.0.113.80", 80, payload: payload, flags: flags, sequence: sequence))
        }
        go(0x02, 5_000, [])
        go(0x18, 5_001, Array("GET /".utf8))
        // The answer is for the translated port, and leaves the firewall for alice's.
        lab.send("web", "servers", F.tcp("203.0.113.80", 80, outside, 61_000, payload: [], flags: 0x12, sequence: 77))
        lab.send(
            "fw", "inspection",
            F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000, payload: [], flags: 0x12, sequence: 77))
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → fw → web", "alice → fw → web", "web → fw → alice"])
        #expect(traces[0].hops[1].translated == "\(outside):61000 → 203.0.113.80:80")
        #expect(traces.map { $0.hops[1].inside ?? 0 }.prefix(2) == [20_000, 20_000])
        #expect(traces.allSatisfy { !$0.isGuess })
    }

    @Test func aTranslatedPacketWithoutContentIsAGuess() throws {
        let lab = try Lab(Self.translating)
        let outside = lab.address("fw", "inspected")
        for port in [4_000, 4_001] {
            lab.send(
                "alice", "customers", F.udp("192.0.2.10", port, "203.0.113.80", 53, payload: [1], identification: 0))
        }
        for port in [61_000, 61_001] {
            lab.send("fw", "inspected", F.udp(outside, port, "203.0.113.80", 53, payload: [1], identification: 0))
        }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.end.kind) == [.delivered, .delivered])
        #expect(traces.allSatisfy { $0.isGuess && $0.hops[1].isGuess })
    }

    @Test func echoBehindTranslationKeepsItsNumber() throws {
        let lab = try Lab(Self.translating)
        let outside = lab.address("fw", "inspected")
        for number: UInt8 in 1...2 {
            lab.send(
                "alice", "customers",
                F.icmp("192.0.2.10", "203.0.113.80", type: 8, word: [0, 7, 0, number], data: Array("abcd".utf8)))
        }
        for number: UInt8 in [2, 1] {
            lab.send(
                "fw", "inspected",
                F.icmp(outside, "203.0.113.80", type: 8, word: [0, 99, 0, number], data: Array("abcd".utf8)))
        }
        let (traces, _) = try lab.trace()
        #expect(traces.sorted { $0.id < $1.id }.map { $0.hops[1].at } == [9_000, 3_000])
        #expect(traces.allSatisfy { $0.end.kind == .delivered && !$0.isGuess })
    }

    /// The datagram of an echo request in fragments of `size` octets.
    private func fragments(_ data: Int, size: Int, identification: Int) -> [[UInt8]] {
        let whole = F.icmp(
            "192.0.2.10", "203.0.113.80", type: 8, data: (0..<data).map { UInt8(truncatingIfNeeded: $0) })
        let message = Array(whole[20...])
        return stride(from: 0, to: message.count, by: size).map { start in
            let end = min(start + size, message.count)
            return F.packet(
                "192.0.2.10", "203.0.113.80", 1, Array(message[start..<end]),
                fragmentWord: start / 8 | (end < message.count ? 0x2000 : 0), identification: identification)
        }
    }

    @Test func fragmentsThatAreMadeAnewBelongTogether() throws {
        let lab = try Lab(Self.translating)
        for piece in fragments(3_000, size: 1_480, identification: 0x77) { lab.send("alice", "customers", piece) }
        lab.wait(.microseconds(30))
        // The firewall puts the datagram together, and fragments it anew. The engine does so for the servers' MTU.
        for piece in fragments(3_000, size: 1_456, identification: 0x77) { lab.send("fw", "inspected", piece) }
        let (traces, _) = try lab.trace()
        #expect(traces.count == 1)
        let trace = try #require(traces.first)
        #expect(trace.path == "alice → fw → web")
        #expect(trace.packet.fragments == 3)
        #expect(trace.hops.map(\.frames) == [3, 3])
        #expect(trace.hops[1].copies[0].frames == 5)
        #expect(trace.hops[1].inside == 36_000)
        #expect(!trace.isGuess)
    }

    @Test func aMissingFragmentIsTold() throws {
        let lab = try Lab(Self.translating)
        let pieces = fragments(3_000, size: 1_480, identification: 0x78)
        for piece in [pieces[0], pieces[2]] { lab.send("alice", "customers", piece) }
        let (traces, _) = try lab.trace()
        // What the firewall has of it cannot come out.
        #expect(traces.map(\.end.kind) == [.vanished])
        let other = try Lab(Self.translating)
        for piece in pieces.prefix(2) {
            for out in other.send("alice", "customers", piece) { other.forward(out, "fw", "inspected") }
        }
        #expect(try other.trace().traces.map(\.end.kind) == [.incomplete])
    }

    private static let segmentation: [UInt8] = [1, 1, 54, 0, 232, 3, 34, 0, 16, 0]

    private func bulk(_ sequence: Int, _ count: Int, identification: Int) -> [UInt8] {
        F.tcp(
            "192.0.2.10", 4_000, "203.0.113.80", 80, payload: [UInt8](repeating: 9, count: count), partial: true,
            flags: 0x10, sequence: sequence, identification: identification)
    }

    @Test func aSuperframeMayBeCutAndMerged() throws {
        let lab = try Lab(Self.translating)
        lab.send("alice", "customers", bulk(1, 4_000, identification: 10), offload: Self.segmentation)
        lab.send("alice", "customers", bulk(4_001, 2_000, identification: 14), offload: Self.segmentation)
        lab.wait(.microseconds(10))
        // The firewall lets 3,000 octets out, and then the rest of the first with all of the second.
        lab.send("fw", "inspected", bulk(1, 3_000, identification: 10), offload: Self.segmentation)
        lab.wait(.microseconds(10))
        lab.send("fw", "inspected", bulk(3_001, 3_000, identification: 13), offload: Self.segmentation)
        let (traces, counts) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → fw → web", "alice → fw → web"])
        #expect(traces.map(\.packet.packets) == [4, 2])
        #expect(traces[0].hops[1].frames == 2 && traces[0].hops[1].copies[0].frames == 2)
        #expect(traces[1].hops[1].frames == 1)
        #expect(traces.map { $0.hops[1].inside ?? 0 } == [26_000, 23_000])
        #expect(traces.allSatisfy { !$0.isGuess })
        #expect(counts.strays == 0)
    }

    @Test func framesThatTheEngineCoalescesKeepTheirTraces() throws {
        let lab = try Lab(Self.translating)
        let packets = (0..<4).map { bulk(1 + 1_000 * $0, 1_000, identification: 20 + $0) }
        let header: [UInt8] = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0]
        let first = lab.send(
            "alice", "customers", packets[0], packets[1], packets[2], packets[3], offload: header)
        #expect(first.count == 1, "the engine should coalesce them")
        for out in first { lab.forward(out, "fw", "inspected") }
        let (traces, _) = try lab.trace()
        #expect(traces.count == 4)
        #expect(traces.allSatisfy { $0.path == "alice → fw → web" && !$0.isGuess })
    }

    @Test func aSuperframeOfDatagramsIsOnePacketForEach() throws {
        let lab = try Lab(Self.translating)
        func datagrams(_ count: Int, _ identification: Int) -> [UInt8] {
            F.udp(
                "192.0.2.10", 4_000, "203.0.113.80", 9,
                payload: (0..<count * 100).map { UInt8($0 / 100 + identification) },
                partial: true, identification: identification)
        }
        let header: [UInt8] = [1, 5, 42, 0, 100, 0, 34, 0, 6, 0]
        lab.send("alice", "customers", datagrams(5, 1), offload: header)
        // The third one is lost in the firewall.
        lab.send("fw", "inspected", datagrams(2, 1), offload: header)
        lab.send("fw", "inspected", datagrams(2, 4), offload: header)
        let (traces, _) = try lab.trace()
        let ends = traces.sorted { $0.id < $1.id }.map(\.end.kind)
        #expect(ends == [.delivered, .delivered, .vanished, .delivered, .delivered])
    }

    @Test func aRetransmissionIsKnownByItsIdentification() throws {
        let lab = try Lab(Self.translating)
        lab.send("alice", "customers", bulk(1, 1_000, identification: 50))
        lab.wait(.milliseconds(200))
        let again = lab.send("alice", "customers", bulk(1, 1_000, identification: 51))
        for out in again { lab.forward(out, "fw", "inspected") }
        let (traces, _) = try lab.trace()
        let sorted = traces.sorted { $0.id < $1.id }
        #expect(sorted.map(\.end.kind) == [.vanished, .delivered])
        #expect(sorted[1].hops[1].inside == 0)
        #expect(sorted.allSatisfy { !$0.isGuess })
    }

    @Test func aDuplicateIsTold() throws {
        let lab = try Lab(Self.translating)
        let first = lab.send("alice", "customers", F.icmp("192.0.2.10", "203.0.113.80", type: 8))
        for out in first {
            lab.forward(out, "fw", "inspected")
            lab.forward(out, "fw", "inspected")
        }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.beginning) == [.customer, .duplicate])
        #expect(traces[1].follows == TraceLink(trace: traces[0].id, isGuess: false))
    }

    @Test func aProxyEndsAPacketAndBeginsAnother() throws {
        let lab = try Lab(Self.translating)
        lab.send(
            "alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 1))
        // The application answers in the server's name, and then asks the server itself.
        lab.send(
            "fw", "inspection", F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000, payload: [], flags: 0x12, sequence: 70))
        lab.send(
            "fw", "inspected",
            F.tcp(lab.address("fw", "inspected"), 50_000, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 444))
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.end.kind) == [.answered, .delivered, .delivered])
        #expect(traces[0].end.sentence == "fw answered it itself: tcp SYN,ACK.")
        #expect(traces[1].answers == TraceLink(trace: traces[0].id, isGuess: false))
        #expect(traces[2].beginning == .made && traces[2].follows?.isGuess == true)
    }

    @Test func anErrorAnswersWhatItQuotes() throws {
        let lab = try Lab(Self.translating)
        let packet = F.udp("192.0.2.10", 4_000, "203.0.113.80", 9, identification: 321)
        lab.send("alice", "customers", packet)
        lab.send(
            "fw", "inspection",
            F.icmp(
                lab.address("fw", "inspection"), "192.0.2.10", type: 3, code: 13, word: [0, 0, 0, 0],
                data: Array(packet.prefix(28))))
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.end.kind) == [.answered, .delivered])
        #expect(traces[0].end.sentence == "fw answered it itself: icmp prohibited.")
        #expect(traces[1].answers == TraceLink(trace: traces[0].id, isGuess: false))
    }

    @Test func fragmentsOfIPv6MayGetAnotherIdentification() throws {
        let lab = try Lab(Self.translating)
        func pieces(_ identification: UInt8, size: Int) -> [[UInt8]] {
            let whole = F.icmp(
                "2001:db8:2::10", "2001:db8:cb::80", type: 128, data: [UInt8](repeating: 3, count: 2_000))
            let message = Array(whole[40...])
            return stride(from: 0, to: message.count, by: size).map { start in
                let end = min(start + size, message.count)
                let header: [UInt8] =
                    [58, 0] + F.big16(start | (end < message.count ? 1 : 0)) + [0, 0, 0, identification]
                return F.packet("2001:db8:2::10", "2001:db8:cb::80", 44, header + message[start..<end])
            }
        }
        for piece in pieces(5, size: 1_232) { lab.send("alice", "customers", piece) }
        for piece in pieces(9, size: 1_000) { lab.send("fw", "inspected", piece) }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → fw → web"])
    }
}
