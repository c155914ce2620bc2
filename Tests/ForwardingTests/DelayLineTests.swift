import Forwarding
import Seeds
import Testing

/// Frames that wait on impaired links, beside a plain list of them.
@Suite struct DelayLineTests {
    @Test func framesComeOutWhenTheyAreDueAndElseInTheirOrder() {
        var generator = SeededGenerator(seed: Seed.drawn())
        var line = DelayLine(capacity: 300)
        var plain: [(due: UInt64, number: Int)] = []
        for number in 0..<20_000 {
            let adds = plain.count < 300 && (plain.isEmpty || Bool.random(using: &generator))
            if adds {
                let due = UInt64.random(in: 0..<50, using: &generator)
                line.add(
                    .init(due: due, piece: Int32(number), length: 60, interface: 0, queueIndex: 0, packets: 1, rule: 0))
                plain.append((due, number))
            } else {
                let expected = plain.min { ($0.due, $0.number) < ($1.due, $1.number) }!
                plain.removeAll { $0.number == expected.number }
                #expect(line.nextDue == expected.due)
                #expect(Int(line.removeFirst().piece) == expected.number)
            }
            #expect(line.count == plain.count)
            #expect(line.hasRoom == (plain.count < 300))
        }
    }

    @Test func framesOfEveryLengthComeBackAsTheyWere() {
        let pieces = 40
        let size = FrameStore.size(pieces: pieces)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: size + 64, alignment: 64)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0xEE)
        var store = FrameStore(memory: memory.baseAddress!, pieces: pieces)
        var generator = SeededGenerator(seed: Seed.drawn())
        var kept: [(piece: Int32, bytes: [UInt8])] = []
        for length in Array(1...9_000).shuffled(using: &generator).prefix(3_000) + [2_048, 4_096, 4_097, 65_546] {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ length) }
            let cut = Int.random(in: 0...length, using: &generator)
            let needed = (length + FrameStore.pieceSize - 1) / FrameStore.pieceSize
            let fits = needed <= store.free
            let piece = bytes.withUnsafeBytes { store.keep($0.baseAddress!, cut, $0.baseAddress! + cut, length - cut) }
            #expect((piece != nil) == fits)
            if let piece { kept.append((piece, bytes)) }
            while !kept.isEmpty, store.free < 20 || Bool.random(using: &generator) {
                let (piece, bytes) = kept.remove(at: Int.random(in: 0..<kept.count, using: &generator))
                var target = [UInt8](repeating: 0, count: bytes.count)
                target.withUnsafeMutableBytes { store.take(piece, length: bytes.count, to: $0.baseAddress!) }
                #expect(target == bytes)
            }
        }
        for (piece, bytes) in kept {
            var target = [UInt8](repeating: 0, count: bytes.count)
            target.withUnsafeMutableBytes { store.take(piece, length: bytes.count, to: $0.baseAddress!) }
            #expect(target == bytes)
        }
        #expect(store.free == pieces)
        #expect(memory[size...].allSatisfy { $0 == 0xEE }, "it wrote behind its memory")
    }
}
