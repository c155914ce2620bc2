import Engine
import Forwarding
import Seeds
import Testing
import Wire

/// Nothing that a frame contains stops, slows or grows the engine.
@Suite struct HostileFrameTests {
    typealias F = TestFrame
    let four = FourInterfaces.self

    /// One of every kind, with the interface it comes in on and its `virtio_net_hdr`.
    private var specimens: [(Int, [UInt8], [UInt8])] {
        let none = [UInt8](repeating: 0, count: 10)
        func alice(_ packet: [UInt8]) -> [UInt8] { F.frame(packet, from: four.alice, to: four.engine[0]) }
        let quoted = F.udp("203.0.113.53", 53, "192.0.2.10", 5_000)
        let quoted6 = F.udp("2001:db8:cb::53", 53, "2001:db8:2::10", 5_000)
        let large = [UInt8](repeating: 9, count: 3_000)
        return [
            (0, none, alice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))),
            (0, none, alice(F.tcp("2001:db8:2::10", 4_000, "2001:db8:cb::80", 80))),
            (0, none, alice(F.udp("192.0.2.10", 4_000, "203.0.113.53", 53))),
            (0, four.offloadUDPPartial6, alice(F.udp("2001:db8:2::10", 4_000, "2001:db8:cb::53", 53, partial: true))),
            (
                0, [1, 1, 54, 0, 0xB4, 4, 34, 0, 16, 0],
                alice(F.tcp("192.0.2.10", 4_000, "203.0.113.53", 53, payload: large, partial: true))
            ),
            (0, none, alice(F.icmp("192.0.2.10", "203.0.113.53", type: 3, code: 3, word: [0, 0, 0, 0], data: quoted))),
            (
                0, none,
                alice(F.icmp("2001:db8:2::10", "2001:db8:cb::53", type: 1, code: 4, word: [0, 0, 0, 0], data: quoted6))
            ),
            (0, none, alice(F.icmp("192.0.2.10", "192.0.2.1", type: 8))),
            (0, none, alice(F.udp("192.0.2.10", 4_000, "203.0.113.53", 53, payload: large, fragmentWord: 0))),
            (0, none, F.arp(1, from: F.mac(0xB0), "192.0.2.20", to: .broadcast, "192.0.2.1")),
            (
                1, none,
                F.frame(F.tcp("203.0.113.80", 80, "192.0.2.30", 4_000), from: four.firewallIn, to: four.engine[1])
            ),
            (3, none, F.frame(F.udp("198.18.4.53", 53, "192.0.2.10", 4_000), from: four.dns, to: four.engine[3])),
        ]
    }

    /// True where a frame that leaves has room for what its headers say.
    private func isSound(_ frame: MemoryFrameIO.Frame) -> Bool {
        guard frame.bytes.count >= 24 else { return false }
        if Array(frame.bytes[22..<24]) == [8, 6] { return frame.bytes.count >= 52 }
        return F.read(frame.bytes) != nil
    }

    @Test func everyFrameCutAtEveryByteIsDroppedOrPassedWhole() throws {
        let pipeline = try Pipeline()
        var frames = 0
        for (interface, offload, frame) in specimens {
            for length in 0...min(frame.count, 200) {
                let out = pipeline.send(Array(frame.prefix(length)), on: interface, offload: offload)
                frames += 1
                #expect(out.allSatisfy(isSound), "\(frame.prefix(40)) cut to \(length)")
            }
        }
        for length in 0..<10 {
            pipeline.worker.io.input.append(.init(interface: 0, bytes: [UInt8](repeating: 0, count: length)))
        }
        #expect(pipeline.turn().isEmpty)
        #expect(pipeline.interface(0).received.packets > 0)
    }

    @Test func everyByteChangedIsDroppedOrPassed() throws {
        let pipeline = try Pipeline()
        for (interface, offload, frame) in specimens {
            let whole = offload + frame
            for index in 0..<min(whole.count, 130) {
                for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] {
                    var changed = whole
                    changed[index] = value
                    pipeline.worker.io.input.append(.init(interface: interface, bytes: changed))
                    let out = pipeline.turn()
                    #expect(out.allSatisfy(isSound), "byte \(index) of \(frame.prefix(40)) set to \(value)")
                }
            }
        }
    }

    @Test func chanceFindsNothing() throws {
        let seed = Seed.drawn()
        var state = seed
        func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        let pipeline = try Pipeline()
        let specimens = specimens
        for round in 0..<30_000 {
            let (interface, offload, frame) = specimens[Int(next() % UInt64(specimens.count))]
            var bytes = offload + frame
            for _ in 0..<(next() % 6) { bytes[Int(next() % UInt64(min(bytes.count, 150)))] = UInt8(next() & 0xFF) }
            if next() % 8 == 0 { bytes.removeLast(Int(next() % UInt64(bytes.count))) }
            if next() % 64 == 0 { pipeline.worker.io.time += .nanoseconds(500_000_000) }
            pipeline.worker.io.input.append(.init(interface: interface, bytes: bytes))
            let out = pipeline.turn()
            guard out.allSatisfy(isSound) else {
                Issue.record("round \(round) of seed \(seed)")
                return
            }
        }
    }

    @Test func everySizeIsSentOrCounted() throws {
        let pipeline = try Pipeline()
        let sizes = Array(14...1_700) + stride(from: 1_701, through: 65_400, by: 977) + Array(65_400...65_549)
        var sent: UInt64 = 0
        for (index, size) in sizes.enumerated() {
            // What the frame says of its length is right as far as an IPv4 packet can say it.
            let length = min(max(size - 42, 0), 65_507)
            var frame = F.frame(
                F.udp(
                    "192.0.2.10", 4_000, "203.0.113.53", 53, payload: [UInt8](repeating: 3, count: length),
                    fragmentWord: 0, identification: index & 0xFFFF), from: four.alice, to: four.engine[0])
            frame = Array(frame.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - frame.count))
            let before = pipeline.interface(0).receivedDrops
            let out = pipeline.send(frame, on: 0)
            #expect(out.allSatisfy(isSound), "\(size) octets")
            let dropped = pipeline.interface(0).receivedDrops - before
            #expect((out.isEmpty ? 0 : 1) + dropped == 1, "\(size) octets")
            sent += UInt64(out.count)
        }
        #expect(pipeline.interface(0).received.packets == UInt64(sizes.count))
        #expect(pipeline.interface(3).sent.packets == sent)
        // In batches they meet one another.
        pipeline.worker.io.input = sizes.map {
            .init(interface: 0, bytes: [UInt8](repeating: 0, count: 10) + [UInt8](repeating: 8, count: $0))
        }
        #expect(pipeline.turn().isEmpty)
        #expect(pipeline.interface(0).received.packets == UInt64(2 * sizes.count))
    }

    @Test func offloadHeadersThatLieAreCountedAndNeverCoalesced() throws {
        let pipeline = try Pipeline()
        func frame(_ index: Int) -> [UInt8] {
            F.frame(
                F.udp("192.0.2.10", 4_000, "203.0.113.53", 53, partial: true, identification: index),
                from: four.alice, to: four.engine[0])
        }
        let right = four.offloadUDPPartial4
        let frames = (0..<256).map { index -> [UInt8] in
            var offload = right
            // Every second one has a type, a header length, a size or a checksum that is not so.
            if index % 2 == 1 { offload[1 + index / 2 % 9] = 0xF7 }
            return offload + frame(index)
        }
        pipeline.worker.io.input = frames.map { .init(interface: 0, bytes: $0) }
        let out = pipeline.turn()
        #expect(pipeline.coalesced == 0 || out.count + Int(pipeline.drops(.badOffloadHeader)) < 256)
        #expect(pipeline.interface(0).received.packets == 256)
        #expect(pipeline.interface(3).sent.packets + pipeline.drops(.badOffloadHeader) == 256)
        #expect(pipeline.drops(.badOffloadHeader) >= 64)
        // And right ones all go as four.
        pipeline.worker.io.input = (0..<256).map { .init(interface: 0, bytes: right + frame($0)) }
        #expect(pipeline.turn().count == 4)
    }

    @Test func giantsAreDropped() throws {
        let pipeline = try Pipeline()
        pipeline.worker.io.input.append(.init(interface: 0, bytes: [UInt8](repeating: 1, count: frameSlotSize)))
        #expect(pipeline.turn().isEmpty)
        #expect(pipeline.allDrops == "truncated-frame:1")
    }
}
