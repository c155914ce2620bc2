import EngineRig
import Plan
import Testing
import Wire

@testable import Tracing

/// Packets through chains of real tables, with applications that pass them on unchanged.
@Suite struct ChainTests {
    private typealias F = TestFrame

    /// Alice's request passes the firewall to the shop, and the answer comes back.
    private func request(_ lab: Lab, _ packet: [UInt8], inside: Duration = .microseconds(100)) -> [Lab.Out] {
        let first = lab.send("alice", "customers", packet)
        lab.wait(inside)
        return lab.frames(first, for: "firewall", "inspection").flatMap { lab.forward($0, "firewall", "inspected") }
    }

    @Test func aRequestIsFollowedHopByHop() throws {
        let lab = try Lab("four-interface")
        _ = request(lab, F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 7))
        let (traces, counts) = try lab.trace()
        #expect(traces.count == 1)
        let trace = try #require(traces.first)
        #expect(trace.path == "alice → ids, firewall → shop")
        #expect(trace.end.kind == .delivered && trace.end.node == "shop")
        #expect(trace.hops.map(\.entry) == ["shopping.request.customers", "shopping.request.firewall"])
        #expect(trace.hops.map(\.interface) == ["customers", "inspected"])
        #expect(trace.hops.map(\.inside) == [nil, 100_000])
        #expect(trace.hops[0].copies.map(\.system) == ["passive", "inline"])
        #expect(trace.hops[0].copies.map(\.engine) == [3_000, 3_000])
        #expect(trace.services == ["shopping"])
        #expect(trace.direction == "request")
        #expect(trace.packet.detail == "SYN")
        #expect(trace.took == 106_000)
        #expect(!trace.isGuess && trace.notes.isEmpty)
        #expect(counts.lost == 0 && counts.strays == 0 && counts.traces == 1)
    }

    @Test func theAnswerIsLinkedToItsRequest() throws {
        let lab = try Lab("four-interface")
        _ = request(lab, F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 1))
        // SYN and ACK of what the test's frames have as acknowledgment: 2.
        let back = lab.send(
            "shop", "servers", F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000, payload: [], flags: 0x12, sequence: 900))
        lab.wait(.microseconds(40))
        for out in lab.frames(back, for: "firewall", "inspected") { lab.forward(out, "firewall", "inspection") }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → ids, firewall → shop", "shop → firewall → ids, alice"])
        let answer = try #require(traces.last)
        #expect(answer.answers == TraceLink(trace: traces[0].id, isGuess: false))
        #expect(answer.beginning == .end)
        #expect(answer.direction == "response")
        #expect(answer.end.node == "alice")
    }

    @Test func equalPingsAreToldApartByTime() throws {
        let lab = try Lab("four-interface")
        // Two requests with the same identification, number and payload: first in, first out.
        var outs: [Lab.Out] = []
        for _ in 0..<2 {
            outs += lab.frames(
                lab.send("alice", "customers", F.icmp("192.0.2.10", "203.0.113.80", type: 8)), for: "firewall",
                "inspection")
            lab.wait(.microseconds(10))
        }
        for out in outs { lab.forward(out, "firewall", "inspected") }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.end.kind) == [.delivered, .delivered])
        #expect(traces.map { $0.hops[1].inside ?? 0 } == [23_000, 13_000])
        // The first pair could be the other way round.
        #expect(traces[0].isGuess)
    }

    @Test func aPacketThatDoesNotComeOutIsTold() throws {
        let lab = try Lab("four-interface")
        lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 8080))
        lab.wait(.milliseconds(500))
        lab.send("bob", "customers", F.icmp("192.0.2.20", "203.0.113.81", type: 8))
        var tracer = PacketTracer()
        try tracer.take(lab.plan.table, generation: 1, network: lab.network)
        for record in lab.records { tracer.add(record.frame, worker: 0, sequence: record.sequence, generation: 1) }
        tracer.advance(to: MonotonicTime(nanoseconds: 2_000_000_000))
        #expect(tracer.takeFinished().isEmpty && tracer.open == 2)
        tracer.advance(to: MonotonicTime(nanoseconds: 2_010_000_000))
        let trace = try #require(tracer.takeFinished().first)
        #expect(trace.end.kind == .vanished && trace.end.node == "firewall")
        #expect(trace.end.sentence == "It entered firewall at 3.00 us and did not come out within 1 s.")
        #expect(tracer.open == 1)
        #expect(trace.path == "alice → ids, firewall → did not come out")
    }

    @Test func twoEnginesMakeOneTrace() throws {
        let lab = try Lab("two-engines", engines: 2)
        let first = lab.send("alice", "customers", F.tcp("198.18.1.2", 4_000, "203.0.113.1", 80), engine: 1)
        lab.wait(.microseconds(5))
        for out in first { lab.forward(out, "firewall", "inspected", engine: 0) }
        // The second engine's records come late: the window puts them in order.
        lab.records.sort { ($0.worker, $0.sequence) < ($1.worker, $1.sequence) }
        let (traces, counts) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → firewall → web"])
        #expect(traces.first?.hops.last?.inside == 5_000)
        #expect(counts.strays == 0)
    }

    @Test func withoutTheWindowLateRecordsBelongToNothing() throws {
        let lab = try Lab("two-engines", engines: 2)
        let first = lab.send("alice", "customers", F.tcp("198.18.1.2", 4_000, "203.0.113.1", 80), engine: 1)
        lab.wait(.microseconds(5))
        for out in first { lab.forward(out, "firewall", "inspected", engine: 0) }
        lab.records.sort { ($0.worker, $0.sequence) < ($1.worker, $1.sequence) }
        let (traces, _) = try lab.trace(.init(reorder: .zero))
        #expect(traces.count > 1)
    }

    @Test func aOneArmedFirewallIsPassedOnce() throws {
        let lab = try Lab("one-armed")
        let first = lab.send("alice", "customers", F.tcp("198.18.1.2", 4_000, "203.0.113.1", 80))
        for out in first { lab.forward(out, "firewall", "stick") }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → firewall → web"])
    }

    @Test func aRouterInMidChainIsPassed() throws {
        let lab = try Lab("egress")
        let first = lab.send("alice", "customers", F.udp("198.18.1.2", 5_000, "198.51.100.53", 53))
        for out in lab.frames(first, for: "firewall", "inspection") {
            for out in lab.forward(out, "firewall", "uplink") {
                lab.wait(.microseconds(7))
                lab.forward(out, "router", "internet")
            }
        }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → ids, firewall → router → names"])
        #expect(traces.first?.nodeTimes.map(\.node) == ["firewall", "router"])
        #expect(traces.first?.services == ["egress", "dns"])
    }

    @Test func aTransparentApplicationIsPassed() throws {
        let lab = try Lab("transparent-ips")
        let first = lab.send("alice", "customers", F.tcp("198.18.1.2", 4_000, "203.0.113.1", 80))
        lab.wait(.microseconds(5))
        // A bump in the wire passes frames on as they are.
        for out in first { lab.take([out.bytes], lab.interface("inside")) }
        let (traces, _) = try lab.trace()
        #expect(traces.map(\.path) == ["alice → ips → web"])
        #expect(traces.first?.hops.last?.inside == 5_000)
    }

    @Test func mirroredFramesAreCopiesToo() throws {
        let lab = try Lab(
            """
            name: everything
            interfaces:
              customers:  { address: 192.0.2.1/24 }
              inspection: { address: 198.18.2.1/24 }
              inspected:  { address: 198.18.3.1/24 }
              servers:    { address: 198.18.4.1/24 }
            customers:
              alice: { interface: customers, address: 192.0.2.10 }
            applications:
              ids:      { passive: true, copies: everything, attach: inspection }
              firewall: { attach: { in: inspection, out: inspected } }
              web:      { attach: servers }
            services:
              shop: { address: 203.0.113.80, ports: tcp/80, distribute: [ids, firewall], sequence: [firewall, web] }

            """)
        let first = lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        lab.send("alice", "customers", F.udp("192.0.2.10", 4_000, "203.0.113.80", 53))
        let (traces, _) = try lab.trace()
        #expect(traces[0].path.hasPrefix("alice → ids, firewall"))
        #expect(traces[0].end.kind == .delivered)
        #expect(traces[1].path == "alice → ids → dropped: port-not-served")
    }
}
