import Forwarding
import Seeds
import TableReading
import Testing
import Wire

@Suite("Properties of access lists")
struct AccessPropertyTests {
    @Test("the compiled lists say of random packets what the rules say one by one")
    func agreesWithEvaluator() throws {
        let seed = Seed.drawn()
        var universe = AccessUniverse(SeededGenerator(seed: seed))
        #if DEBUG
            let (tables, packets) = (150, 200)
        #else
            let (tables, packets) = (2_000, 400)
        #endif
        var (allowed, denied, twice) = (0, 0, 0)
        for _ in 0..<tables {
            let lists = universe.lists()
            var table = ForwardingTable()
            table.access = [AccessPoint(application: "firewall", nodes: ["firewall"], lists: lists)]
            let buffer = try table.snapshot()
            let evaluator = AccessEvaluator(lists)
            for _ in 0..<packets {
                let packet = universe.packet()
                let decisions = evaluator.decisions(packet)
                let verdict = buffer.snapshot.judge(packet, at: 1)
                var denial: AccessDenial?
                if case .deny(let wanted)? = decisions.last?.action { denial = wanted }
                #expect(verdict.denial == denial, "seed \(seed): \(packet) by \(lists): \(decisions)")
                let counters = [verdict.counters.first, verdict.counters.second].filter { $0 >= 0 }
                #expect(counters == decisions.compactMap(\.counter), "seed \(seed): \(packet) by \(lists)")
                if let denial, let counter = decisions.last?.counter {
                    #expect(verdict.denyingCounter == counter, "seed \(seed): \(packet): \(denial)")
                }
                denied += denial == nil ? 0 : 1
                allowed += denial == nil && !decisions.isEmpty ? 1 : 0
                twice += decisions.count > 1 ? 1 : 0
            }
            withExtendedLifetime(buffer) {}
        }
        let all = tables * packets
        #expect(
            allowed > all / 20 && denied > all / 20 && twice > all / 400, "seed \(seed): \(allowed) \(denied) \(twice)")
    }
}
