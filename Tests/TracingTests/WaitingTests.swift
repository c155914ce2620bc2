import EngineRig
import Plan
import Testing
import Wire

@testable import Engine
@testable import Tracing

private typealias F = TestFrame

@Suite struct WaitingTests {
    private func tracer(_ lab: Lab) throws -> PacketTracer {
        var tracer = PacketTracer()
        try tracer.take(lab.plan.table, generation: 1, network: lab.network)
        return tracer
    }

    /// The number of records that the tracer has taken is kept, so that a lab's later ones can follow.
    private func follow(_ lab: Lab, _ tracer: inout PacketTracer, from first: inout Int) {
        for record in lab.records[first...] {
            tracer.add(record.frame, worker: record.worker, sequence: record.sequence, generation: 1)
        }
        first = lab.records.count
        lab.wait(.milliseconds(20))
        tracer.advance(to: MonotonicTime(nanoseconds: lab.time))
    }

    @Test func nothingOfAPacketThatHasEndedStaysInMemory() throws {
        let lab = try Lab("four-interface")
        var tracer = try tracer(lab)
        var first = 0
        let outs = lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        follow(lab, &tracer, from: &first)
        weak var flight = tracer.flights.values.first
        weak var stage = tracer.flights.values.first?.stages.last
        #expect(flight != nil && stage != nil && tracer.room.count > 0)
        for out in lab.frames(outs, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        follow(lab, &tracer, from: &first)
        #expect(tracer.takeFinished().map(\.end.kind) == [.delivered])
        #expect(flight == nil && stage == nil && tracer.room.count == 0)
        // One that does not come out ends later.
        lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, sequence: 100))
        follow(lab, &tracer, from: &first)
        weak var lost = tracer.flights.values.first
        #expect(lost != nil)
        lab.wait(.seconds(2))
        follow(lab, &tracer, from: &first)
        #expect(tracer.takeFinished().map(\.end.kind) == [.vanished])
        #expect(lost == nil && tracer.room.count == 0)
    }

    /// Packets whose addresses a node changes are found by more than their first key, also after many others were not.
    @Test func whatTheFirstKeyDoesNotFindIsFoundAgainAndAgain() throws {
        let lab = try Lab(IdentityTests.translating)
        let outside = lab.address("fw", "inspected")
        var tracer = try tracer(lab)
        tracer.room.unsearched = 16
        var first = 0
        var isSearched: [Bool] = []
        for turn in 0..<3 {
            // One is in the node before it is looked for, one after it.
            for number in 0..<2 {
                let payload = Array("content \(turn) \(number)".utf8)
                lab.send(
                    "alice", "customers",
                    F.udp("192.0.2.10", 4_000 + turn, "203.0.113.80", 53, payload: payload, identification: 0))
                lab.send(
                    "alice", "customers",
                    F.udp("192.0.2.10", 5_000 + turn, "203.0.113.80", 53, payload: payload + [1], identification: 0))
                lab.send(
                    "fw", "inspected",
                    F.udp(outside, 61_000 + turn, "203.0.113.80", 53, payload: payload, identification: 0))
                lab.send(
                    "fw", "inspected",
                    F.udp(outside, 62_000 + turn, "203.0.113.80", 53, payload: payload + [1], identification: 0))
                follow(lab, &tracer, from: &first)
            }
            isSearched.append(isNodeSearched(tracer))
            for number in 0..<40 {
                let outs = lab.send(
                    "alice", "customers",
                    F.udp(
                        "192.0.2.10", 6_000, "203.0.113.80", 53, payload: Array("plain".utf8),
                        identification: number + 1)
                )
                for out in lab.frames(outs, for: "fw", "inspection") { lab.forward(out, "fw", "inspected") }
                follow(lab, &tracer, from: &first)
            }
            isSearched.append(isNodeSearched(tracer))
        }
        #expect(isSearched == [true, false, true, false, true, false])
        let traces = tracer.takeFinished()
        #expect(traces.count == 3 * (4 + 40))
        #expect(traces.allSatisfy { $0.path == "alice → fw → web" && $0.end.kind == .delivered })
        #expect(traces.count { $0.hops[1].translated != nil } == 12 && traces.allSatisfy { !$0.isGuess })
        #expect(tracer.room.count == 0 && tracer.totals.strays == 0)
    }

    private func isNodeSearched(_ tracer: borrowing PacketTracer) -> Bool {
        tracer.room.searched.keys.contains { if case .node = $0 { true } else { false } }
    }
}
