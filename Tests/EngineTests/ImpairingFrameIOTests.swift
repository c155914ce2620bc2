import EngineRig
import Forwarding
import Seeds
import Testing
import Wire

@testable import Engine

/// A worker whose frames cross impaired links.
@Suite struct ImpairingFrameIOTests {
    typealias F = TestFrame
    let four = FourInterfaces.self
    static let empty = [UInt8](repeating: 0, count: VirtioNetHeader.length)

    /// A worker over memory and impaired links.
    final class Rig {
        var worker: Worker<CapturingFrameIO<ImpairingFrameIO<MemoryFrameIO>>>
        let pipeline: Pipeline
        private let counters: UnsafeMutableRawPointer
        private let stores: UnsafeMutableRawPointer
        private let traffic: UnsafeMutablePointer<ImpairedTraffic>
        private var made: [UnsafeMutablePointer<WorkerLinks>] = []
        private var sets: [UnsafeMutableRawBufferPointer] = []

        init(_ pipeline: Pipeline) {
            self.pipeline = pipeline
            worker = Worker(
                io: CapturingFrameIO(ImpairingFrameIO(MemoryFrameIO())), table: pipeline.published,
                neighbours: pipeline.neighbours, worker: 0)
            let size = ImpairmentCounters.size(blocks: 1)
            counters = .allocate(byteCount: size, alignment: 4_096)
            counters.initializeMemory(as: UInt8.self, repeating: 0, count: size)
            stores = .allocate(byteCount: ImpairedTraffic.memorySize, alignment: 4_096)
            traffic = .allocate(capacity: 1)
            traffic.initialize(to: ImpairedTraffic(memory: stores))
        }

        deinit {
            traffic.deinitialize(count: 1)
            traffic.deallocate()
            for links in made { WorkerLinks.free(links, workers: 1) }
            counters.deallocate()
            stores.deallocate()
            for set in sets { set.deallocate() }
        }

        /// Frames cross these links from now on.
        func impair(_ links: [ImpairedLinkOrder]) throws {
            guard !links.isEmpty else {
                worker.io.base.impair(nil, worker: 0, counters: pipeline.block)
                return
            }
            let bytes = try ImpairmentSet.bytes(links, interfaces: 4)
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
            memory.copyBytes(from: bytes)
            sets.append(memory)
            let set = try ImpairmentSet(validating: UnsafeRawBufferPointer(memory), interfaces: 4)
            made.append(WorkerLinks.make(set, workers: 1))
            worker.io.base.impair(
                ImpairmentOrder(
                    links: set, counters: counters, traffic: traffic, workerLinks: made[made.count - 1], firstBlock: 0
                ), worker: 0, counters: pipeline.block)
        }

        /// Whether frames wait.
        var holds: Bool { worker.io.base.holds }

        func count(_ slot: Int = 0) -> ImpairmentCount {
            ImpairmentCounters.read(counters, blocks: 1, slot: slot)
        }

        /// Turns until nothing is left to do now, and takes what came out.
        func turn(after milliseconds: Int = 0) -> [MemoryFrameIO.Frame] {
            worker.io.base.base.time += .milliseconds(milliseconds)
            for _ in 0..<4 { worker.turn(wait: false) }
            while !worker.io.base.base.input.isEmpty { worker.turn(wait: false) }
            for _ in 0..<40 { worker.turn(wait: false) }
            return worker.io.base.base.takeOutput()
        }

        func put(_ frame: [UInt8], on interface: Int, offload: [UInt8] = ImpairingFrameIOTests.empty) {
            worker.io.base.base.input.append(.init(interface: interface, bytes: offload + frame))
        }
    }

    private func rig() throws -> Rig { Rig(try Pipeline()) }

    private func order(
        _ interface: Int, _ direction: ImpairedPlace.Direction, _ match: ImpairedPlace.Match = .everything,
        slot: Int = 0, epoch: UInt64 = 1, _ change: (inout Impairment) -> Void
    ) -> ImpairedLinkOrder {
        var impairment = Impairment()
        change(&impairment)
        return ImpairedLinkOrder(
            places: [ImpairedPlace(interface: interface, direction: direction, match: match)], impairment: impairment,
            slot: slot, stream: 9, epoch: epoch)
    }

    /// A packet that the firewall passes on to the server.
    private func passed(_ port: Int, payload: [UInt8] = Array("GET /".utf8)) -> [UInt8] {
        F.frame(
            F.tcp("192.0.2.10", port, "203.0.113.80", 80, payload: payload), from: four.firewallOut, to: four.engine[2])
    }

    private func ports(_ frames: [MemoryFrameIO.Frame]) -> [Int] {
        frames.map { Int($0.bytes[44]) << 8 | Int($0.bytes[45]) }
    }

    @Test func withoutLinksFramesPassAsTheyDoElse() throws {
        let rig = try rig()
        for port in 1_000..<1_040 { rig.put(passed(port), on: 2) }
        let plain = rig.turn()
        try rig.impair([order(3, .toNodes) { $0.delay = .milliseconds(5) }])
        try rig.impair([])
        for port in 1_000..<1_040 { rig.put(passed(port), on: 2) }
        #expect(rig.turn() == plain)
        #expect(!plain.isEmpty)
    }

    @Test func lostFramesAreThoseThatTheSeedPicks() throws {
        let seed = Seed.drawn(in: 1...UInt64(Int.max))
        for direction in ImpairedPlace.Direction.allCases {
            let link = order(direction == .toNodes ? 3 : 2, direction) {
                $0.loss = .independent(Probability(billionths: 300_000_000))
                $0.seed = seed
            }
            var model = ImpairedLink(ImpairmentRule(link.impairment, stream: link.stream, epoch: 1))
            let expected = (1_000..<1_400).filter { _ in !model.next().isLost }
            for _ in 0..<2 {
                let rig = try rig()
                try rig.impair([link])
                for port in 1_000..<1_400 { rig.put(passed(port), on: 2) }
                #expect(ports(rig.turn()) == expected)
                let lost = UInt64(400 - expected.count)
                #expect(rig.pipeline.allDrops == "impaired-loss:\(lost)")
                #expect(rig.count().packets == 400)
                #expect(rig.count().lost == lost)
                #expect(rig.count().waiting == 0)
                let interface = rig.pipeline.interface(direction == .toNodes ? 3 : 2)
                #expect((direction == .toNodes ? interface.sentDrops : interface.receivedDrops) == lost)
                #expect(rig.pipeline.interface(3).sent.packets == UInt64(expected.count))
                #expect(rig.pipeline.lastDrop(.impairedLoss)?.source == F.address("192.0.2.10"))
            }
        }
    }

    @Test func delayedFramesComeWhenTheyAreDueAndAreCountedThen() throws {
        for direction in ImpairedPlace.Direction.allCases {
            let rig = try rig()
            try rig.impair([order(direction == .toNodes ? 3 : 2, direction) { $0.delay = .milliseconds(20) }])
            rig.put(passed(1_000), on: 2)
            #expect(rig.turn().isEmpty)
            #expect(rig.holds)
            #expect(rig.count().waiting == 1)
            rig.put(passed(1_001), on: 2)
            #expect(rig.turn(after: 19).isEmpty)
            #expect(rig.pipeline.interface(3).sent.packets == 0)
            #expect(ports(rig.turn(after: 1)) == [1_000])
            #expect(rig.pipeline.interface(3).sent.packets == 1)
            // The links end, and the frame that waits does not.
            try rig.impair([])
            #expect(ports(rig.turn(after: 19)) == [1_001])
            #expect(rig.count().waiting == 0)
            #expect(!rig.holds)
            rig.put(passed(1_002), on: 2)
            #expect(ports(rig.turn()) == [1_002])
            #expect(rig.pipeline.allDrops == "")
        }
    }

    @Test func lostFramesAreCapturedWithTheirReason() throws {
        for direction in ImpairedPlace.Direction.allCases {
            let rig = try rig()
            let ring = CapturingFrameIOTests.Ring(capacity: 1 << 16)
            rig.worker.io.observe(
                try ring.observers([CaptureObserver(number: 0)]), in: ring.memory.baseAddress!, capacity: ring.capacity,
                generation: 7)
            try rig.impair([
                order(direction == .toNodes ? 3 : 2, direction) { $0.loss = .independent(.always) }
            ])
            var reader = ring.reader()
            rig.put(passed(1_000), on: 2)
            #expect(rig.turn().isEmpty)
            var seen: [String] = []
            while let frame = reader.next() {
                seen.append("\(frame.direction) \(frame.interface) \(frame.failure)")
            }
            let lost = WriteOutcome.impairedLoss
            #expect(seen == (direction == .toNodes ? ["received 2 0", "sent 3 \(lost)"] : ["received 2 \(lost)"]))
        }
    }

    @Test func aFullDeviceIsCountedWhenTheFrameIsDue() throws {
        let rig = try rig()
        try rig.impair([order(3, .toNodes) { $0.delay = .milliseconds(20) }])
        rig.put(passed(1_000), on: 2)
        _ = rig.turn()
        rig.worker.io.base.base.failures[3] = 11
        _ = rig.turn(after: 20)
        #expect(rig.pipeline.allDrops == "tap-full:1")
        #expect(rig.pipeline.interface(3).sentDrops == 1)
        #expect(rig.pipeline.interface(3).sent.packets == 0)
    }

    @Test func superframesAreCutAsTheKernelCutsThem() throws {
        // TCPV4, hdr_len 54, gso_size 1000.
        let offload: [UInt8] = [1, 1, 54, 0, 0xE8, 0x03, 34, 0, 16, 0]
        let payload = (0..<9_500).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let packet = F.tcp("192.0.2.10", 1_000, "203.0.113.80", 80, payload: payload, partial: true, flags: 0x19)
        let rig = try rig()
        rig.put(F.frame(packet, from: four.firewallOut, to: four.engine[2]), on: 2, offload: offload)
        let whole = try #require(rig.turn().first)
        let header = try #require(whole.bytes.withUnsafeBytes { VirtioNetHeader($0.bytes) })
        let segments = try #require(Segmentation.frames(of: Array(whole.bytes[10...]), header))
        #expect(segments.count == 10)
        // A constant delay needs no cutting, all else does.
        for (cuts, change) in [
            (false, { $0.delay = .milliseconds(1) }),
            (true, { $0.rate = 1_000_000_000 }),
        ] as [(Bool, (inout Impairment) -> Void)] {
            try rig.impair([order(3, .toNodes, epoch: cuts ? 2 : 1, change)])
            rig.put(F.frame(packet, from: four.firewallOut, to: four.engine[2]), on: 2, offload: offload)
            _ = rig.turn()
            let output = rig.turn(after: 100)
            #expect(output.map { Array($0.bytes[10...]) } == (cuts ? segments : [Array(whole.bytes[10...])]))
            if cuts { #expect(output.allSatisfy { $0.bytes[..<10] == Self.empty[...] }) }
        }
        #expect(rig.pipeline.interface(3).sent.packets == 30)
    }

    @Test func aRateSpreadsFramesAndItsQueueDropsTheRest() throws {
        let rig = try rig()
        let link = order(3, .toNodes) {
            $0.rate = 8_000_000
            $0.queue = 10
        }
        try rig.impair([link])
        // 1000 octets with all headers: a millisecond each.
        for port in 1_000..<1_030 { rig.put(passed(port, payload: [UInt8](repeating: 1, count: 946)), on: 2) }
        #expect(rig.turn().isEmpty)
        #expect(rig.pipeline.allDrops == "impaired-queue:20")
        #expect(rig.count().overflowed == 20)
        for port in 1_000..<1_010 { #expect(ports(rig.turn(after: 1)) == [port]) }
        #expect(rig.turn(after: 100).isEmpty)
    }

    @Test func aFlippedBitIsFoundByTheChecksum() throws {
        for partial in [false, true] {
            let rig = try rig()
            try rig.impair([
                order(3, .toNodes) {
                    $0.corrupt = .always
                    $0.seed = Seed.drawn(in: 1...UInt64(Int.max))
                }
            ])
            for port in 1_000..<1_200 {
                let packet = F.tcp("192.0.2.10", port, "203.0.113.80", 80, partial: partial)
                rig.put(
                    F.frame(packet, from: four.firewallOut, to: four.engine[2]), on: 2,
                    offload: partial ? FourInterfaces.offloadTCPPartial4 : Self.empty)
            }
            let output = rig.turn()
            #expect(output.count == 200)
            for (port, frame) in zip(1_000..<1_200, output) {
                let right = F.frame(
                    F.tcp("192.0.2.10", port, "203.0.113.80", 80), from: four.engine[3], to: four.web)
                let octets = Array(frame.bytes[10...])
                #expect(frame.bytes[..<10] == Self.empty[...], "the receiver would not look at the checksum")
                #expect(octets.count == right.count)
                let different = zip(octets, right).map { $0 ^ $1 }
                #expect(different.reduce(0) { $0 + $1.nonzeroBitCount } == 1)
                #expect(different[..<34].allSatisfy { $0 == 0 })
                #expect(!F.checksumsAreRight(octets))
            }
            #expect(rig.count().corrupted == 200)
        }
    }

    @Test func duplicatesFollowTheirPackets() throws {
        let rig = try rig()
        try rig.impair([order(2, .fromNodes) { $0.duplicate = .always }])
        for port in 1_000..<1_010 { rig.put(passed(port), on: 2) }
        let output = rig.turn()
        #expect(rig.count().duplicated == 10)
        #expect(rig.pipeline.interface(3).sent.packets == 20)
        #expect(Set(ports(output)) == Set(1_000..<1_010))
    }

    @Test func theMostSpecificLinkCounts() throws {
        let rig = try rig()
        let shop = ImpairedPlace.Match.service(
            IPPrefix(host: F.address("203.0.113.80")), protocolNumber: 6, ports: 80...80)
        try rig.impair([
            order(3, .toNodes, slot: 0) { $0.loss = .independent(.always) },
            order(3, .toNodes, .station(four.dns), slot: 1) { $0.loss = .independent(.always) },
            order(3, .toNodes, shop, slot: 2) { $0.duplicate = .always },
        ])
        rig.put(passed(1_000), on: 2)
        #expect(ports(rig.turn()) == [1_000, 1_000])
        #expect([0, 1, 2].map { rig.count($0).packets } == [0, 0, 1])
        try rig.impair([
            order(3, .toNodes, slot: 0, epoch: 2) { $0.loss = .independent(.always) },
            order(3, .toNodes, .station(four.web), slot: 1, epoch: 2) { $0.delay = .milliseconds(1) },
        ])
        rig.put(passed(1_001), on: 2)
        _ = rig.turn()
        #expect(ports(rig.turn(after: 1)) == [1_001])
        #expect([0, 1].map { rig.count($0).packets } == [0, 1])
    }

    @Test func aLinkGoesOnWhereItWasWhenOthersChange() throws {
        let loss = order(3, .toNodes, slot: 5) {
            $0.loss = .independent(Probability(billionths: 500_000_000))
            $0.seed = 3
        }
        var model = ImpairedLink(ImpairmentRule(loss.impairment, stream: loss.stream, epoch: 1))
        let expected = (1_000..<1_200).filter { _ in !model.next().isLost }
        let rig = try rig()
        try rig.impair([loss])
        for port in 1_000..<1_100 { rig.put(passed(port), on: 2) }
        var output = ports(rig.turn())
        try rig.impair([order(0, .toNodes, slot: 1) { $0.delay = .seconds(1) }, loss])
        for port in 1_100..<1_200 { rig.put(passed(port), on: 2) }
        output += ports(rig.turn())
        #expect(output == expected)
        // Another epoch begins anew.
        var anew = loss
        anew.epoch = 2
        try rig.impair([anew])
        for port in 1_000..<1_100 { rig.put(passed(port), on: 2) }
        #expect(ports(rig.turn()) == expected.filter { $0 < 1_100 })
    }

    @Test func memoryForFramesThatWaitHasAnEnd() throws {
        let rig = try rig()
        try rig.impair([order(3, .toNodes) { $0.delay = .seconds(1) }])
        let more = 100
        for port in 0..<ImpairedTraffic.pieces + more { rig.put(passed(1_000 + port % 60_000), on: 2) }
        #expect(rig.turn().isEmpty)
        // Coalesced frames need fewer pieces than frames; what does not fit is counted, and nothing else.
        let waiting = rig.count().waiting
        #expect(waiting + rig.count().overflowed == UInt64(ImpairedTraffic.pieces + more))
        #expect(rig.pipeline.drops(.impairedQueue) == rig.count().overflowed)
        #expect(rig.count().overflowed > 0)
        _ = rig.turn(after: 1_000)
        #expect(rig.count().waiting == 0)
        #expect(rig.pipeline.interface(3).sent.packets == waiting)
    }

    @Test func linksOfAnotherProcessAreChecked() throws {
        let bytes = try ImpairmentSet.bytes(
            [order(3, .toNodes, slot: 7) { $0.delay = .milliseconds(1) }], interfaces: 4)
        func check(_ bytes: [UInt8], interfaces: Int = 4) throws {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(8, bytes.count), alignment: 8)
            defer { memory.deallocate() }
            memory.copyBytes(from: bytes)
            _ = try ImpairmentSet(
                validating: UnsafeRawBufferPointer(rebasing: memory[..<bytes.count]), interfaces: interfaces)
        }
        try check(bytes)
        #expect(throws: EngineError.self) { try check(bytes, interfaces: 3) }
        for count in [0, 8, 47, bytes.count - 8] {
            #expect(throws: EngineError.self) { try check(Array(bytes[..<count])) }
        }
        #expect(throws: EngineError.self) { try check(bytes + [UInt8](repeating: 0, count: 8)) }
        for place in stride(from: 0, to: 48, by: 8) {
            var wrong = bytes
            wrong.replaceSubrange(place..<place + 8, with: [UInt8](repeating: 0xFF, count: 8))
            #expect(throws: EngineError.self) { try check(wrong) }
        }
    }
}
