import Forwarding
import Seeds
import TableReading
import Testing
import Wire

@Suite("Properties")
struct PropertyTests {
    @Test("the snapshot decides as reading the entries one by one does, and refuses exactly the ties")
    func agreesWithReading() throws {
        let seed = Seed.drawn()
        var universe = TableUniverse(SeededGenerator(seed: seed))
        let stations = TableUniverse<SeededGenerator>.stations
        var forwarded = 0
        var packets = 0
        #if DEBUG
            let tables = 150
        #else
            let tables = 2_000
        #endif
        for _ in 0..<tables {
            var table = universe.table()
            let refused = table.removeTies()
            guard refused.isEmpty else {
                Issue.record("seed \(seed): \(refused)")
                return
            }
            for (index, left) in table.entries.enumerated() {
                for right in table.entries[(index + 1)...] {
                    #expect(!PlainReading.tie(left, right), "seed \(seed): \(left.name) and \(right.name) tie")
                }
            }
            let reading = PlainReading(of: table)
            let buffer = try table.snapshot()
            for _ in 0..<100 {
                let packet = universe.packet()
                let mac = stations[universe.pick(0..<stations.count)]
                let interface = universe.pick(0..<2)
                let expected = reading.matchingEntry(packet, from: mac, on: interface)
                let decision = buffer.snapshot.decide(packet, sourceMAC: mac, receivedInterface: interface)
                packets += 1
                if let expected {
                    forwarded += 1
                    #expect(decision == .forward(entry: expected), "seed \(seed): \(packet)")
                } else {
                    #expect(decision == .drop(.noService, answer: .networkUnreachable), "seed \(seed): \(packet)")
                }
            }
            withExtendedLifetime(buffer) {}
        }
        // A universe in which nothing matched, or everything, would show little.
        #expect(forwarded > packets / 10 && forwarded < packets, "seed \(seed): \(forwarded) of \(packets)")
    }
}
