import Forwarding
import Testing
import Wire

@testable import Engine

/// The order of what leaves, by what it carries: what passive applications get, what inline ones do, and what has waited.
@Suite struct OrderTests {
    typealias F = TestFrame
    let four = FourInterfaces.self

    /// Everything from the customers' interface goes to the firewall, with a copy to the detector.
    private static var everything: ForwardingTable {
        let four = FourInterfaces.self
        var table = four.table
        table.entries.append(
            Entry(
                name: "all.request.customers", kind: .distribution, direction: .request, receivedInterface: 0,
                sourceMAC: nil, source: nil, destination: nil, servicePort: .any, rewriteSource: nil,
                targets: [
                    SendTarget(interface: 1, address: .mac(four.firewallIn), system: .inlineApplication),
                    SendTarget(interface: 1, address: .mac(four.ids), system: .passiveApplication),
                ], counter: table.entries.count))
        return table
    }

    /// One datagram of a conversation, from one end or the other; coalesced with the one before where their numbers
    /// follow.
    private func datagram(_ mark: String, of conversation: Int, back: Bool, number: Int) -> [UInt8] {
        let (client, server) = ("192.0.2.10", "198.51.100.\(conversation)")
        let payload = Array(mark.utf8)
        return F.frame(
            back
                ? F.udp(server, 53, client, 4_000 + conversation, payload: payload, identification: number)
                : F.udp(client, 4_000 + conversation, server, 53, payload: payload, identification: number),
            from: four.alice, to: four.engine[0])
    }

    /// The marks that a station gets, of `width` octets each, from single frames and from superframes alike.
    private func marks(_ output: [MemoryFrameIO.Frame], to mac: MACAddress, width: Int) -> [String] {
        output.filter { Array($0.bytes[10..<16]) == mac.octets }.flatMap { frame -> [String] in
            let payload = Array(frame.bytes.dropFirst(10 + 14 + 20 + 8))
            return stride(from: 0, to: payload.count, by: width).map {
                String(decoding: payload[$0..<min(payload.count, $0 + width)], as: UTF8.self)
            }
        }
    }

    /// All frames in one batch; what came out.
    private func batch(_ frames: [[UInt8]], _ pipeline: Pipeline) -> [MemoryFrameIO.Frame] {
        pipeline.worker.io.input = frames.map { .init(interface: 0, bytes: [UInt8](repeating: 0, count: 10) + $0) }
        return pipeline.turn()
    }

    @Test func anAnswerStaysBetweenItsQuestions() throws {
        let pipeline = try Pipeline(Self.everything)
        let out = batch(
            [
                datagram("q1", of: 1, back: false, number: 1), datagram("a1", of: 1, back: true, number: 1),
                datagram("q2", of: 1, back: false, number: 2), datagram("q3", of: 1, back: false, number: 3),
                datagram("a2", of: 1, back: true, number: 2), datagram("a3", of: 1, back: true, number: 3),
            ], pipeline)
        for receiver in [four.ids, four.firewallIn] {
            #expect(marks(out, to: receiver, width: 2) == ["q1", "a1", "q2", "q3", "a2", "a3"])
        }
        // What follows without an answer between travels as one.
        #expect(pipeline.coalesced == 2)
        #expect(pipeline.allDrops == "")
    }

    @Test func passiveApplicationsGetConversationsAsTheyCameAndOthersGetThemCoalesced() throws {
        let pipeline = try Pipeline(Self.everything)
        // A1 B1 A2 B2 …, with two of one conversation side by side here and there.
        let order = [1, 2, 1, 2, 3, 3, 1, 2, 2, 3, 1]
        var numbers = [0, 0, 0, 0]
        var sent: [String] = []
        let frames = order.map { conversation in
            numbers[conversation] += 1
            sent.append("\(conversation)\(numbers[conversation])")
            return datagram(sent[sent.count - 1], of: conversation, back: false, number: numbers[conversation])
        }
        let out = batch(frames, pipeline)
        #expect(marks(out, to: four.ids, width: 2) == sent)
        // Three flows, three superframes; the detector gets those side by side as one.
        #expect(out.filter { Array($0.bytes[10..<16]) == four.firewallIn.octets }.count == 3)
        #expect(out.filter { Array($0.bytes[10..<16]) == four.ids.octets }.count == order.count - 2)
        let inline = marks(out, to: four.firewallIn, width: 2)
        for conversation in ["1", "2", "3"] {
            #expect(inline.filter { $0.hasPrefix(conversation) } == sent.filter { $0.hasPrefix(conversation) })
        }
        #expect(out.allSatisfy { F.checksumsAreRight($0.bytes) })
        // Each copy counts what it stands for.
        #expect(pipeline.interface(1).sent.packets == UInt64(2 * order.count))
        #expect(pipeline.interface(0).received.packets == UInt64(order.count))
        #expect(pipeline.coalesced == UInt64(order.count - 3))
    }

    /// Fragments and ICMP take the slow path, in their place.
    @Test func whatTakesTheSlowPathKeepsItsPlace() throws {
        let pipeline = try Pipeline(Self.everything)
        func other(_ mark: String, _ packet: (String) -> [UInt8]) -> [UInt8] {
            F.frame(packet(mark), from: four.alice, to: four.engine[0])
        }
        let fragment = { (mark: String) in
            F.packet(
                "192.0.2.10", "198.51.100.1", 17, [UInt8](repeating: 0, count: 8) + Array(mark.utf8), fragmentWord: 1)
        }
        let echo = { (mark: String) in F.icmp("192.0.2.10", "198.51.100.1", type: 8, data: Array(mark.utf8)) }
        // A wrong checksum is not the engine's to judge; it is only never coalesced.
        func damaged(_ mark: String, _ conversation: Int, _ number: Int) -> [UInt8] {
            var frame = datagram(mark, of: conversation, back: false, number: number)
            frame[14 + 20 + 7] ^= 1
            return frame
        }
        let frames = [
            datagram("x1", of: 1, back: false, number: 1), datagram("y1", of: 2, back: false, number: 1),
            datagram("x2", of: 1, back: false, number: 2), other("f1", fragment),
            datagram("y2", of: 2, back: false, number: 2), datagram("x3", of: 1, back: false, number: 3),
            damaged("x4", 1, 4), datagram("y3", of: 2, back: false, number: 3), other("e1", echo),
            datagram("x5", of: 1, back: false, number: 5), datagram("y4", of: 2, back: false, number: 4),
            datagram("x6", of: 1, back: false, number: 6),
        ]
        let out = batch(frames, pipeline)
        let sent = ["x1", "y1", "x2", "f1", "y2", "x3", "x4", "y3", "e1", "x5", "y4", "x6"]
        #expect(marks(out, to: four.ids, width: 2) == sent)
        let inline = marks(out, to: four.firewallIn, width: 2)
        #expect(inline.filter { $0.hasPrefix("x") } == sent.filter { $0.hasPrefix("x") })
        #expect(inline.filter { $0.hasPrefix("y") } == sent.filter { $0.hasPrefix("y") })
        #expect(pipeline.allDrops == "")
    }

    // MARK: - What has waited

    private func response(_ mark: String, to customer: String, size: Int = 2, offload: [UInt8]? = nil) -> [UInt8] {
        let payload = Array(mark.utf8) + [UInt8](repeating: 0, count: size - 2)
        return F.frame(
            F.tcp("203.0.113.80", 80, customer, 4_000, payload: payload, partial: offload != nil),
            from: four.firewallIn,
            to: four.engine[1])
    }

    /// The first two octets that the segments to customers carry.
    private func arrived(_ output: [MemoryFrameIO.Frame]) -> [String] {
        output.filter { $0.interface == 0 && $0.bytes[22...23] == [8, 0] }.map {
            String(decoding: $0.bytes[(10 + 54)..<(10 + 56)], as: UTF8.self)
        }
    }

    private let bob = F.mac(0xB0)

    @Test func framesThatWaitedGoInTheOrderInWhichTheyCame() throws {
        let pipeline = try Pipeline()
        // A superframe waits elsewhere than small frames.
        let segmented: [UInt8] = [1, 1, 54, 0, 0xE8, 3, 34, 0, 16, 0]
        pipeline.send(response("s1", to: "192.0.2.20", size: 3_000, offload: segmented), on: 1, offload: segmented)
        pipeline.send(response("s2", to: "192.0.2.20"), on: 1)
        pipeline.send(response("t1", to: "192.0.2.21"), on: 1)
        #expect(
            arrived(pipeline.send(F.arp(2, from: bob, "192.0.2.20", to: four.engine[0], "192.0.2.1"), on: 0))
                == ["s1", "s2"])
        // What comes now takes a place that has become free, before that of t1.
        pipeline.send(response("t2", to: "192.0.2.21"), on: 1)
        #expect(
            arrived(pipeline.send(F.arp(2, from: bob, "192.0.2.21", to: four.engine[0], "192.0.2.1"), on: 0))
                == ["t1", "t2"])
    }

    /// Whoever hears of a neighbour, frames that wait for it go before those that come now.
    @Test func nothingOvertakesAFrameThatWaits() throws {
        let pipeline = try Pipeline()
        pipeline.send(response("w1", to: "192.0.2.20"), on: 1)
        pipeline.send(response("w2", to: "192.0.2.20"), on: 1)
        let lesson = pipeline.neighbours.learn(
            F.address("192.0.2.20"), on: 0, mac: bob, for: 0, evenUnasked: false,
            now: pipeline.worker.io.time.nanoseconds)
        #expect(lesson == .learned)
        pipeline.worker.io.input = ["w3", "w4"].map {
            .init(interface: 1, bytes: [UInt8](repeating: 0, count: 10) + response($0, to: "192.0.2.20"))
        }
        #expect(arrived(pipeline.turn()) == ["w1", "w2", "w3", "w4"])
        #expect(pipeline.allDrops == "")
    }
}
