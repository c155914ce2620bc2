import Engine
import EngineRig
import Plan
import Seeds
import Testing
import Wire

@testable import Tracing

/// Random traffic whose fate is known, beside what the traces say.
@Suite struct TruthTests {
    private typealias F = TestFrame

    private static let topology = """
        name: truth
        interfaces:
          customers:  { address: [192.0.2.1/24, "2001:db8:2::1/64"] }
          inspection: { address: [198.18.2.1/24, "2001:db8:12::1/64"] }
          inspected:  { address: [198.18.3.1/24, "2001:db8:13::1/64"] }
          servers:    { address: [198.18.4.1/24, "2001:db8:14::1/64"] }
        customers:
          alice: { interface: customers, address: [192.0.2.10/24, "2001:db8:2::10/64"] }
        applications:
          fw:  { type: firewall, attach: { in: inspection, out: inspected } }
          web: { type: web-server, attach: servers }
        services:
          shop: { address: [203.0.113.80, "2001:db8:cb::80"], sequence: [fw, web] }

        """

    /// A packet that is in the firewall.
    private struct Inside {
        var number: Int
        var packet: [UInt8]
        var since: UInt64
    }

    /// A packet of its own content, as alice sends it or behind the translation.
    private func packet(_ number: Int, kind: Int, from source: String, port: Int) -> [UInt8] {
        let payload = F.big16(number) + F.big16(number ^ 0x5A5A) + [UInt8](repeating: 7, count: number % 40)
        let isSix = source.contains(":")
        let shop = isSix ? "2001:db8:cb::80" : "203.0.113.80"
        switch kind {
        case 0:
            return F.tcp(source, port, shop, 80, payload: payload, flags: 0x10, sequence: 1 + number * 100)
        case 1: return F.udp(source, port, shop, 53, payload: payload, identification: number)
        default:
            return F.icmp(source, shop, type: isSix ? 128 : 8, word: F.big16(port) + F.big16(number), data: payload)
        }
    }

    @Test(arguments: [false, true])
    func tracesSayWhatHappened(isTranslated: Bool) throws {
        var generator = SeededGenerator(seed: Seed.drawn())
        let lab = try Lab(Self.topology, engines: 3)
        let outside = ["192.0.2.10": lab.address("fw", "inspected"), "2001:db8:2::10": "2001:db8:13::77"]
        var inside: [Inside] = []
        var lost: Set<Int> = []
        var times: [Int: UInt64] = [:]
        for number in 1...400 {
            let kind = Int.random(in: 0...2, using: &generator)
            let source = Bool.random(using: &generator) ? "192.0.2.10" : "2001:db8:2::10"
            let port = Int.random(in: 4_000...4_003, using: &generator)
            let engine = Int.random(in: 0...2, using: &generator)
            lab.send("alice", "customers", packet(number, kind: kind, from: source, port: port), engine: engine)
            let there = isTranslated ? outside[source] ?? source : source
            let passed = packet(number, kind: kind, from: there, port: isTranslated ? port + 50_000 : port)
            inside.append(Inside(number: number, packet: passed, since: lab.time))
            // What is written is read after that.
            lab.wait(.microseconds(Int.random(in: 1...50, using: &generator)))
            // Up to eight packets are in the firewall; they come out in any order, and one in ten does not.
            while inside.count > Int.random(in: 0...8, using: &generator) {
                let next = inside.remove(at: Int.random(in: 0..<inside.count, using: &generator))
                guard Int.random(in: 0..<10, using: &generator) > 0 else {
                    lost.insert(next.number)
                    continue
                }
                lab.wait(.microseconds(1))
                times[next.number] = lab.time - next.since
                lab.send("fw", "inspected", next.packet, engine: Int.random(in: 0...2, using: &generator))
            }
        }
        lost.formUnion(inside.map(\.number))
        // Each engine's records come in their order, and up to a millisecond after others.
        let late = (0...2).map { _ in UInt64.random(in: 0...1_000_000, using: &generator) }
        lab.records.sort {
            ($0.frame.time.nanoseconds + late[$0.worker], $0.worker, $0.sequence)
                < ($1.frame.time.nanoseconds + late[$1.worker], $1.worker, $1.sequence)
        }
        let traces = try lab.trace().traces.sorted { $0.id < $1.id }
        #expect(traces.count == 400)
        for (trace, number) in zip(traces, 1...) {
            #expect(trace.from == "alice")
            #expect(trace.end.kind == (lost.contains(number) ? .vanished : .delivered), "packet \(number): \(trace)")
            guard let time = times[number], trace.hops.count == 2 else { continue }
            #expect(trace.hops[1].inside == time, "packet \(number): \(trace)")
            #expect((trace.hops[1].translated != nil) == isTranslated)
            #expect(!trace.isGuess, "packet \(number): \(trace)")
        }
    }

    @Test func answersFindTheirRequestsAmongMany() throws {
        var generator = SeededGenerator(seed: Seed.drawn())
        let lab = try Lab(Self.topology)
        var asked: [Int] = []
        var expected: [Int: Int] = [:]
        for number in 1...100 {
            for out in lab.send(
                "alice", "customers", F.udp("192.0.2.10", 5_000 + number, "203.0.113.80", 53, identification: number))
            {
                lab.forward(out, "fw", "inspected")
            }
            asked.append(number)
            while asked.count > Int.random(in: 0...5, using: &generator) {
                let next = asked.remove(at: Int.random(in: 0..<asked.count, using: &generator))
                expected[next] = next
                for out in lab.send(
                    "web", "servers",
                    F.udp("203.0.113.80", 53, "192.0.2.10", 5_000 + next, payload: F.big16(next) + F.big16(next)))
                {
                    lab.forward(out, "fw", "inspection")
                }
            }
        }
        let (traces, counts) = try lab.trace()
        let requests = Dictionary(
            uniqueKeysWithValues: traces.filter { $0.from == "alice" }.map { ($0.id, $0.packet.sourcePort ?? 0) })
        let answers = traces.filter { $0.from == "web" }
        #expect(answers.count == expected.count && requests.count == 100)
        for answer in answers {
            #expect(answer.answers.flatMap { requests[$0.trace] } == answer.packet.destinationPort)
            #expect(answer.answers?.isGuess == false && answer.end.node == "alice")
        }
        #expect(counts.strays == 0)
    }

    @Test func tracesGoOnOverAChangeOfTheTable() throws {
        let lab = try Lab(Self.topology)
        let first = lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        for out in first { lab.forward(out, "fw", "inspected") }
        // The new topology has a node more, before all others.
        let later = try Lab(
            Self.topology.replacing(
                "customers:\n  alice", with: "customers:\n  aaron: { interface: customers }\n  alice"))
        #expect(later.network.nodes.count == lab.network.nodes.count + 1)
        var tracer = PacketTracer()
        try tracer.take(lab.plan.table, generation: 1, network: lab.network)
        try tracer.take(later.plan.table, generation: 2, network: later.network)
        for (index, record) in lab.records.enumerated() {
            tracer.add(record.frame, worker: 0, sequence: record.sequence, generation: index < 2 ? 1 : 2)
        }
        tracer.finish()
        let traces = tracer.takeFinished()
        #expect(traces.map(\.path) == ["alice → fw → web"])
    }

    @Test func changedOctetsHarmNothing() throws {
        var generator = SeededGenerator(seed: Seed.drawn())
        let lab = try Lab(Self.topology)
        for number in 1...30 {
            let kind = number % 3
            for out in lab.send(
                "alice", "customers", packet(number, kind: kind, from: "192.0.2.10", port: 4_000 + number % 3))
            {
                lab.forward(out, "fw", "inspected")
            }
        }
        var tracer = PacketTracer(.init(open: 50))
        try tracer.take(lab.plan.table, generation: 1, network: lab.network)
        var time = lab.time
        for sequence in 0..<6_000 {
            var frame = lab.records[Int.random(in: 0..<lab.records.count, using: &generator)].frame
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                frame.octets[Int.random(in: 0..<frame.octets.count, using: &generator)] =
                    UInt8.random(in: 0...255, using: &generator)
            }
            // The header's checksum is right, so that more than the first check is passed.
            if frame.octets.count > 44, Bool.random(using: &generator) {
                frame.octets[34] = 0
                frame.octets[35] = 0
                let sum = ~F.sum(Array(frame.octets[24..<44])) & 0xFFFF
                frame.octets.replaceSubrange(34..<36, with: F.big16(sum))
            }
            if Int.random(in: 0..<10, using: &generator) == 0 {
                frame.length += Int.random(in: 0...70_000, using: &generator)
            }
            if Bool.random(using: &generator) { frame.direction = frame.direction == .sent ? .received : .sent }
            frame.interface = Int.random(in: 0...4, using: &generator)
            time += UInt64.random(in: 0...3_000_000, using: &generator)
            frame.time = MonotonicTime(nanoseconds: time - UInt64.random(in: 0...8_000_000, using: &generator))
            tracer.add(
                frame, worker: Int.random(in: 0...2, using: &generator), sequence: UInt64(sequence), generation: 1)
            #expect(tracer.open <= 50)
        }
        tracer.finish()
        let traces = tracer.takeFinished()
        #expect(tracer.open == 0 && UInt64(traces.count) == tracer.totals.traces)
        #expect(Set(traces.map(\.id)).count == traces.count)
        for trace in traces { #expect(TraceText.lines(trace).allSatisfy { $0.count <= 80 }) }
    }
}
