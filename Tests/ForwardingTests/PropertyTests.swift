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
                    #expect(!NaiveReading.tie(left, right), "seed \(seed): \(left.name) and \(right.name) tie")
                }
            }
            let reading = NaiveReading(of: table)
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

    @Test("what is decided by its addresses alone goes where it would go with any ports")
    func fragmentsThatPortsMakeNoDifferenceTo() throws {
        let seed = Seed.drawn()
        var universe = TableUniverse(SeededGenerator(seed: seed))
        let stations = TableUniverse<SeededGenerator>.stations
        var (alike, byPorts) = (0, 0)
        for _ in 0..<60 {
            var table = universe.table()
            guard table.removeTies().isEmpty else { continue }
            // Several places to go to, in few entries.
            for index in table.entries.indices {
                let interface = universe.pick(0..<2)
                table.entries[index].hops = [
                    .target(SendTarget(interface: interface, address: .neighbour(via: nil), system: .router))
                ]
            }
            let buffer = try table.snapshot()
            for _ in 0..<60 {
                var packet = universe.packet()
                guard packet.protocolNumber == 6 || packet.protocolNumber == 17 else { continue }
                packet.hasPorts = false
                (packet.sourcePort, packet.destinationPort) = (0, 0)
                let mac = stations[universe.pick(0..<stations.count)]
                let interface = universe.pick(0..<2)
                let sender = buffer.snapshot.sender(of: mac, on: interface)
                let whole = buffer.snapshot.decide(packet, from: sender, receivedInterface: interface)
                switch buffer.snapshot.decideFragment(packet, from: sender, receivedInterface: interface) {
                case .byPorts: byPorts += 1
                case .alike(let decision):
                    alike += 1
                    #expect(decision == whole, "seed \(seed): \(packet)")
                    for (source, destination) in [(0, 0), (3, 9), (9, 3), (5, 5), (13, 1), (60_000, 2), (2, 60_000)] {
                        packet.hasPorts = true
                        packet.sourcePort = UInt16(source)
                        packet.destinationPort = UInt16(destination)
                        let other = buffer.snapshot.decide(packet, from: sender, receivedInterface: interface)
                        guard case .forward(let found) = other else { continue }
                        guard case .forward(let entry) = decision else {
                            Issue.record("seed \(seed): \(packet) is forwarded, and its fragments are not")
                            continue
                        }
                        #expect(
                            table.entries[found].hops == table.entries[entry].hops,
                            "seed \(seed): \(packet) by \(found), its fragments by \(entry)")
                    }
                }
            }
            withExtendedLifetime(buffer) {}
        }
        #expect(alike > 10 && byPorts > 10, "seed \(seed): \(alike) and \(byPorts)")
    }
}
