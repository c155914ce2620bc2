import Forwarding
import Seeds
import Testing
import Wire

@testable import Tracing

/// The numbers of packets, whether they go on as they came or in other superframes.
@Suite struct NumberingTests {
    /// Packets that wait at places, each for itself: what trains must be like.
    private struct Model {
        private struct Waiting {
            var key: UInt64
            var flow: FlowFields
            var number: UInt64
            var places: [WaitingPlace]
        }
        private var waiting: [Waiting] = []
        private var next: UInt64 = 1

        mutating func pass(
            _ keys: [UInt64], _ flow: FlowFields, from places: [WaitingPlace],
            to copies: [(places: [WaitingPlace], flow: FlowFields)]
        ) -> [UInt64] {
            keys.map { key in
                func found(_ isSame: (Waiting) -> Bool) -> Int? {
                    waiting.firstIndex { $0.key == key && isSame($0) && $0.places.contains { places.contains($0) } }
                }
                let index = found { $0.flow == flow } ?? found { _ in true }
                let number = index.map { waiting.remove(at: $0).number } ?? next
                if index == nil { next += 1 }
                for copy in copies {
                    waiting.append(Waiting(key: key, flow: copy.flow, number: number, places: copy.places))
                }
                return number
            }
        }
    }

    private static let mac = MACAddress(bits: 0x0200_0000_0001)

    private func flow(_ port: UInt16, to destination: String = "203.0.113.80") -> FlowFields {
        var flow = FlowFields()
        flow.source = IPAddress("192.0.2.10")!
        flow.destination = IPAddress(destination)!
        flow.protocolNumber = IPProtocol.udp
        (flow.hasPorts, flow.sourcePort, flow.destinationPort) = (true, port, 9_000)
        return flow
    }

    private func packets(_ keys: some Sequence<UInt64>) -> PacketKeys {
        var packets = PacketKeys()
        for key in keys { packets.append(key) }
        return packets
    }

    private func all(_ numbers: PacketNumbering.Numbers?, _ count: Int) -> [UInt64]? {
        numbers.map { numbers in (0..<count).map { numbers[$0] } }
    }

    /// Superframes go through two applications. Each of these sends on what it got as it came, or cuts it, or joins it, or loses some.
    @Test func trainsAreNumberedLikeTheirPackets() {
        var random = SeededGenerator(seed: Seed.drawn())
        for _ in 0..<12 { follow(&random) }
    }

    private func follow(_ random: inout SeededGenerator) {
        var numbering = PacketNumbering()
        var model = Model()
        var time: UInt64 = 1_000
        var inside: [[(flow: FlowFields, keys: [UInt64])]] = [[], []]
        var newest: UInt64 = 1_000
        let plain = FlowFields()
        for _ in 0..<300 {
            time += UInt64.random(in: 1...1_000, using: &random)
            // What the engine reads: something new from a customer, or what an application sends on.
            let node = Int.random(in: -1...1, using: &random)
            var frame = (flow: plain, keys: [UInt64]())
            if node < 0 {
                let isAlike = Int.random(in: 0..<4, using: &random) == 0
                let count = Int.random(in: 1...20, using: &random)
                newest += UInt64(count)
                frame = (
                    flow(UInt16.random(in: 1...3, using: &random)),
                    isAlike ? [UInt64](repeating: 7, count: count) : Array(newest - UInt64(count)..<newest)
                )
            } else {
                guard !inside[node].isEmpty else { continue }
                frame = inside[node].removeFirst()
                switch Int.random(in: 0..<6, using: &random) {
                case 0:
                    let cut = Int.random(in: 0...frame.keys.count, using: &random)
                    inside[node].insert((frame.flow, Array(frame.keys[cut...])), at: 0)
                    frame.keys.removeSubrange(cut...)
                case 1 where inside[node].first?.flow == frame.flow: frame.keys += inside[node].removeFirst().keys
                case 2: frame.keys.remove(at: Int.random(in: frame.keys.indices, using: &random))
                case 3: frame.flow.source = IPAddress("198.51.100.1")!
                default: break
                }
                inside[node].removeAll { $0.keys.isEmpty }
                if frame.keys.isEmpty { continue }
            }
            // An instance that drains may be replaced: a copy goes to one of two places.
            let next = node + 1
            var places = [WaitingPlace.egress(interface: next, mac: Self.mac)]
            if Int.random(in: 0..<3, using: &random) == 0 { places.append(.egress(interface: next + 10, mac: nil)) }
            let copy = TracedTable.Copy(
                interface: next, places: places, flow: frame.flow, system: .inlineApplication)
            let read = numbering.read(
                packets(frame.keys), frame.flow, from: node < 0 ? nil : node, [copy], at: time)
            let expected = model.pass(
                frame.keys, frame.flow, from: node < 0 ? [] : [.node(node)], to: [(places, frame.flow)])
            #expect(all(read?.numbers, frame.keys.count) == expected)
            #expect((read?.inside != nil) == (node >= 0))
            // The engine writes it, whole or as it likes.
            var parts = [frame.keys]
            if frame.keys.count > 1, Int.random(in: 0..<4, using: &random) == 0 {
                let cut = Int.random(in: 1..<frame.keys.count, using: &random)
                parts = [Array(frame.keys[..<cut]), Array(frame.keys[cut...])]
            }
            let isElsewhere = places.count > 1 && Bool.random(using: &random)
            for part in parts {
                let written = numbering.written(
                    packets(part), frame.flow, to: (isElsewhere ? next + 10 : next, Self.mac), next < 2 ? next : nil,
                    at: time)
                let expected = model.pass(
                    part, frame.flow,
                    from: isElsewhere
                        ? [.egress(interface: next + 10, mac: Self.mac), .egress(interface: next + 10, mac: nil)]
                        : [.egress(interface: next, mac: Self.mac), .egress(interface: next, mac: nil)],
                    to: next < 2 ? [([.node(next)], frame.flow)] : [])
                #expect(all(written, part.count) == expected)
            }
            if next < 2 { inside[next].append(frame) }
        }
    }

    /// A train whose keys were overwritten is not known again, and nothing else is taken for it.
    @Test func keysOfTrainsAreBounded() {
        var numbering = PacketNumbering()
        let flow = flow(1)
        func write(_ first: UInt64) -> PacketNumbering.Numbers? {
            numbering.written(packets(first..<first + 64), flow, to: (1, Self.mac), 0, at: 1_000)
        }
        #expect(write(0)?.first == 1)
        for train in 1...5_000 { #expect(write(UInt64(train) * 64)?.first == UInt64(train) * 64 + 1) }
        let late = numbering.read(packets([5]), flow, from: 0, [], at: 2_000)
        #expect(late?.numbers.first == 5_001 * 64 + 1 && late?.inside == nil)
        let known = numbering.read(packets([4_500 * 64 + 5]), flow, from: 0, [], at: 2_000)
        #expect(known?.numbers.first == 4_500 * 64 + 6 && known?.inside == 1_000)
    }
}
