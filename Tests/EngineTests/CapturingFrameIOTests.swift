import EngineRig
import Forwarding
import Testing
import Wire

@testable import Engine

/// A worker whose frames are captured does what it does without, and the ring tells what it read and wrote.
@Suite struct CapturingFrameIOTests {
    typealias F = TestFrame
    let four = FourInterfaces.self
    static let empty = [UInt8](repeating: 0, count: VirtioNetHeader.length)

    /// A ring in memory of its own, and observers.
    final class Ring {
        let memory: UnsafeMutableRawBufferPointer
        let capacity: Int
        private var wishes: [UnsafeMutableRawBufferPointer] = []

        init(capacity: Int) {
            self.capacity = capacity
            memory = .allocate(byteCount: CaptureRing.size(capacity: capacity), alignment: 64)
            memory.initializeMemory(as: UInt8.self, repeating: 0)
        }

        deinit {
            memory.deallocate()
            for wish in wishes { wish.deallocate() }
        }

        func writer() -> CaptureWriter { CaptureWriter(memory: memory.baseAddress!, capacity: capacity) }

        func reader() -> CaptureReader {
            CaptureReader(memory: UnsafeRawPointer(memory.baseAddress!), capacity: capacity)
        }

        /// Checked observers, in memory that lives as long as the ring.
        func observers(_ observers: [CaptureObserver]) throws -> CaptureObservers {
            let bytes = CaptureObservers.bytes(observers)
            let wish = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
            wish.copyBytes(from: bytes)
            wishes.append(wish)
            return try CaptureObservers(validating: UnsafeRawBufferPointer(wish))
        }
    }

    /// Everything that is in the ring.
    private func drain(_ reader: inout CaptureReader) -> [CapturedFrame] {
        var frames: [CapturedFrame] = []
        while let frame = reader.next() { frames.append(frame) }
        return frames
    }

    /// Customers' requests and the server's answers, in several flows, with some that are dropped.
    private func inputs() -> [MemoryFrameIO.Frame] {
        var inputs: [MemoryFrameIO.Frame] = []
        for port in 0..<40 {
            let request = F.tcp("192.0.2.10", 40_000 + port, "203.0.113.80", port % 4 == 3 ? 81 : 80)
            inputs.append(
                .init(interface: 0, bytes: Self.empty + F.frame(request, from: four.alice, to: four.engine[0])))
            let response = F.tcp("203.0.113.80", 80, "192.0.2.10", 40_000 + port)
            inputs.append(
                .init(interface: 3, bytes: Self.empty + F.frame(response, from: four.web, to: four.engine[3])))
        }
        return inputs
    }

    private func worker(
        _ pipeline: Pipeline, _ ring: Ring, _ observers: [CaptureObserver] = [CaptureObserver(number: 0)]
    ) throws -> Worker<CapturingFrameIO<MemoryFrameIO>> {
        var worker = Worker(
            io: CapturingFrameIO(MemoryFrameIO()), table: pipeline.published, neighbours: pipeline.neighbours,
            worker: 0)
        worker.io.observe(
            try ring.observers(observers), in: ring.memory.baseAddress!, capacity: ring.capacity, generation: 7)
        return worker
    }

    @Test func whatTheWorkerReadsAndWritesIsCapturedInOrderAndItsOutputIsTheSame() throws {
        let inputs = inputs()
        let plain = try Pipeline()
        let captured = try Pipeline()
        let ring = Ring(capacity: 1 << 20)
        var worker = try worker(captured, ring)
        var reader = ring.reader()
        for (step, input) in inputs.enumerated() {
            plain.worker.io.input = [input]
            plain.worker.io.time += .milliseconds(1)
            let expected = plain.turn()
            worker.io.base.input = [input]
            worker.io.base.time += .milliseconds(1)
            worker.turn(wait: false)
            let output = worker.io.base.takeOutput()
            #expect(output == expected, "step \(step)")
            let frames = drain(&reader)
            let sent = frames.filter { $0.direction == .sent }
            #expect(frames.first?.direction == .received && frames.first?.interface == input.interface)
            #expect(frames.first?.octets == input.bytes && frames.first?.length == input.bytes.count)
            #expect(frames.count == sent.count + 1)
            #expect(sent.map { MemoryFrameIO.Frame(interface: $0.interface, bytes: $0.octets) } == output)
            let now = worker.io.base.time
            #expect(frames.allSatisfy { $0.time == now })
        }
        #expect(captured.allDrops == plain.allDrops && !plain.allDrops.isEmpty)
        let lost = reader.lost
        #expect(lost == 0)
    }

    @Test func batchesAreCapturedInTheOrderInWhichTheyCame() throws {
        let inputs = inputs().filter { $0.interface == 0 }
        let pipeline = try Pipeline()
        let ring = Ring(capacity: 1 << 20)
        var worker = try worker(pipeline, ring)
        var reader = ring.reader()
        worker.io.base.input = inputs
        worker.turn(wait: false)
        let output = worker.io.base.takeOutput()
        let frames = drain(&reader)
        #expect(frames.filter { $0.direction == .received }.map(\.octets) == inputs.map(\.bytes))
        let sent = frames.filter { $0.direction == .sent }
        #expect(sent.map { MemoryFrameIO.Frame(interface: $0.interface, bytes: $0.octets) } == output)
        #expect(!output.isEmpty)
    }

    /// The worker counts these as dropped: they did not leave.
    @Test func aFrameThatCouldNotBeWrittenIsCapturedWithItsErrno() throws {
        let pipeline = try Pipeline()
        let ring = Ring(capacity: 1 << 16)
        var worker = try worker(pipeline, ring)
        var reader = ring.reader()
        worker.io.base.failures = [1: 11]
        worker.io.base.input = [inputs()[0]]
        worker.turn(wait: false)
        let frames = drain(&reader)
        #expect(frames.map(\.direction) == [.received, .sent, .sent] && frames.map(\.failure) == [0, 11, 11])
        #expect(frames.map(\.sequence) == [0, 1, 2] && frames.allSatisfy { $0.generation == 7 })
        #expect(pipeline.drops(.tapFull) == 2)
    }

    @Test func aSlowReaderLosesFramesAndKnowsHowManyAndTheWorkerGoesOn() throws {
        let inputs = inputs()
        let plain = try Pipeline()
        let captured = try Pipeline()
        let ring = Ring(capacity: 2_048)
        var worker = try worker(captured, ring)
        var slow = ring.reader()
        var fast = ring.reader()
        var (taken, seen) = (0, 0)
        var frames = 0
        for (step, input) in inputs.enumerated() {
            plain.worker.io.input = [input]
            worker.io.base.input = [input]
            let expected = plain.turn()
            worker.turn(wait: false)
            let output = worker.io.base.takeOutput()
            #expect(output == expected, "step \(step)")
            frames += 1 + output.count
            // One reader looks seldom; the other loses nothing by that.
            if step % 16 == 15 { taken += drain(&slow).count }
            seen += drain(&fast).count
        }
        // A frame that is read shows how many are missing before it.
        worker.io.base.input = [inputs[0]]
        worker.turn(wait: false)
        frames += 1 + worker.io.base.takeOutput().count
        taken += drain(&slow).count
        seen += drain(&fast).count
        let (lost, faults, missed) = (Int(slow.lost), slow.faults, fast.lost)
        #expect(lost > 0 && taken > 0 && lost + taken == frames && faults == 0)
        #expect(seen == frames && missed == 0)
    }

    @Test func aReaderThatStalledKnowsWhatItLostAlsoIfNothingFollows() throws {
        let ring = Ring(capacity: 2_048)
        // Its memory must live as long as the worker.
        let pipeline = try Pipeline()
        defer { withExtendedLifetime(pipeline) {} }
        var worker = try worker(pipeline, ring)
        var reader = ring.reader()
        var frames = 0
        for input in inputs() {
            worker.io.base.input = [input]
            worker.turn(wait: false)
            frames += 1 + worker.io.base.takeOutput().count
        }
        let taken = drain(&reader).count
        // The last one may still be on its way into the ring.
        let lost = Int(reader.lost)
        #expect(taken == 0 && lost == frames - 1)
        worker.io.base.input = [inputs()[0]]
        worker.turn(wait: false)
        frames += 1 + worker.io.base.takeOutput().count
        let more = drain(&reader).count
        let all = Int(reader.lost)
        #expect(more > 0 && more + all == frames)
    }

    @Test func observersGetWhatTheyAskForAndNothingElse() throws {
        let ring = Ring(capacity: 1 << 20)
        var reader = ring.reader()
        // tcp dst port 80, for IPv4 without options.
        let filter = [
            ClassicBPFInstruction(code: 0x28, k: 36), ClassicBPFInstruction(code: 0x15, jumpFalse: 1, k: 80),
            ClassicBPFInstruction(code: 0x06, k: 1), ClassicBPFInstruction(code: 0x06, k: 0),
        ]
        var worker = try worker(
            Pipeline(), ring,
            [
                CaptureObserver(number: 3, directions: [.received], snapLength: 60),
                CaptureObserver(number: 5, interfaces: [0, 2], filter: filter),
                CaptureObserver(number: 31, directions: [.sent], interfaces: [3], snapLength: 14),
            ])
        for input in inputs() {
            worker.io.base.input = [input]
            worker.turn(wait: false)
            _ = worker.io.base.takeOutput()
        }
        let frames = drain(&reader)
        for frame in frames {
            var expected: UInt32 = 0
            if frame.direction == .received { expected |= 1 << 3 }
            let isRequest = frame.octets.count >= 48 && frame.octets[46] == 0 && frame.octets[47] == 80
            if [0, 2].contains(frame.interface), isRequest { expected |= 1 << 5 }
            if frame.direction == .sent, frame.interface == 3 { expected |= 1 << 31 }
            #expect(frame.observers == expected && expected != 0)
            if expected == 1 << 3 { #expect(frame.octets.count == min(70, frame.length)) }
            if expected == 1 << 31 { #expect(frame.octets.count == 24) }
            if expected & 1 << 5 != 0 { #expect(frame.octets.count == frame.length) }
        }
        #expect(frames.contains { $0.observers == 1 << 3 } && frames.contains { $0.observers & 1 << 5 != 0 })
    }

    @Test func aSampleTakesWholeFlowsInBothDirections() throws {
        let ring = Ring(capacity: 1 << 20)
        var reader = ring.reader()
        var worker = try worker(
            Pipeline(), ring, [CaptureObserver(number: 0, sample: FlowSample(oneIn: 4))])
        for input in inputs() {
            worker.io.base.input = [input]
            worker.turn(wait: false)
            _ = worker.io.base.takeOutput()
        }
        var ports: [Int: Set<Int>] = [:]
        for frame in drain(&reader) where frame.direction == .received {
            let port = { Int(frame.octets[$0]) << 8 | Int(frame.octets[$0 + 1]) }
            ports[frame.interface, default: []].insert(frame.interface == 0 ? port(44) : port(46))
        }
        // Requests to port 81 have no response.
        let answered = ports[0, default: []].filter { ($0 - 40_000) % 4 != 3 }
        #expect(!answered.isEmpty && answered.count < 30)
        #expect(answered.isSubset(of: ports[3, default: []]))
    }

    @Test func memoryThatIsNoObserversIsRefused() throws {
        let ring = Ring(capacity: 1_024)
        let good = CaptureObservers.bytes([
            CaptureObserver(
                number: 1, interfaces: [2, 3], filter: [ClassicBPFInstruction(code: 0x06, k: 1)])
        ])
        var refused = 0
        for place in good.indices {
            for value in [0, 1, 0x7F, 0xFF] as [UInt8] {
                var bytes = good
                bytes[place] = value
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
                defer { memory.deallocate() }
                memory.copyBytes(from: bytes)
                // Whatever is accepted can be used.
                guard let observers = try? CaptureObservers(validating: UnsafeRawBufferPointer(memory)) else {
                    refused += 1
                    continue
                }
                let frame = inputs()[0].bytes
                frame.withUnsafeBytes {
                    _ = observers.wish(
                        .received, interface: 2, .interfaces,
                        CaptureParts(
                            header: $0.baseAddress!, headerLength: frame.count, body: $0.baseAddress!, bodyLength: 0))
                }
            }
        }
        #expect(refused > 40)
        #expect(throws: EngineError.self) {
            try ring.observers([CaptureObserver(number: 1, filter: [ClassicBPFInstruction(code: 0x05, k: 9)])])
        }
    }

    @Test func anotherWriterContinuesTheRing() throws {
        let ring = Ring(capacity: 1_024)
        var reader = ring.reader()
        let octets = [UInt8](repeating: 7, count: 40)
        for round in 0..<50 {
            var writer = ring.writer()
            octets.withUnsafeBytes {
                writer.put(
                    .sent, interface: round, time: MonotonicTime(nanoseconds: 1), generation: 1, observers: 1,
                    failure: 0,
                    CaptureParts(header: $0.baseAddress!, headerLength: 40, body: $0.baseAddress!, bodyLength: 0),
                    most: 100)
            }
            let frame = reader.next()
            #expect(frame?.interface == round && frame?.sequence == UInt64(round))
        }
        let (lost, faults) = (reader.lost, reader.faults)
        #expect(lost == 0 && faults == 0)
    }

    @Test func theRingGivesBackWhatWasPutInAtEveryPlace() throws {
        let ring = Ring(capacity: 1_024)
        var writer = ring.writer()
        var reader = ring.reader()
        for length in 0..<400 {
            let octets = (0..<length % 160).map { UInt8(truncatingIfNeeded: $0 ^ length) }
            let cut = min(octets.count, length % 7 * 16)
            octets.withUnsafeBytes { bytes in
                let start = bytes.baseAddress ?? UnsafeRawPointer(ring.memory.baseAddress!)
                writer.put(
                    length % 2 == 0 ? .received : .sent, interface: length,
                    time: MonotonicTime(nanoseconds: UInt64(length)), generation: 3, observers: 5,
                    failure: Int32(length),
                    CaptureParts(
                        header: start, headerLength: cut, body: start + cut, bodyLength: octets.count - cut),
                    most: 100)
            }
            let frame = reader.next()
            let more = reader.next()
            #expect(
                frame
                    == CapturedFrame(
                        direction: length % 2 == 0 ? .received : .sent, interface: length,
                        time: MonotonicTime(nanoseconds: UInt64(length)), length: octets.count,
                        octets: Array(octets.prefix(100)), failure: Int32(length), sequence: UInt64(length),
                        observers: 5, generation: 3))
            #expect(more == nil)
        }
    }

    /// The writer may be a process that was taken over: whatever it writes, the reader stays in its memory and ends.
    @Test func aRingThatLiesIsReadNoFurther() throws {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        func next() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        var faults: UInt64 = 0
        for _ in 0..<2_000 {
            let ring = Ring(capacity: 1_024)
            var writer = ring.writer()
            var reader = ring.reader()
            let octets = [UInt8](repeating: 7, count: 40)
            octets.withUnsafeBytes {
                for _ in 0..<9 {
                    writer.put(
                        .sent, interface: 1, time: MonotonicTime(nanoseconds: 1), generation: 1, observers: 1,
                        failure: 0,
                        CaptureParts(header: $0.baseAddress!, headerLength: 40, body: $0.baseAddress!, bodyLength: 0),
                        most: 100)
                }
            }
            for _ in 0..<4 {
                // The writer's counts, and the records.
                let place = next() % 3 == 0 ? 64 + Int(next() % 24) : 4_096 + Int(next() % 1_024)
                ring.memory[place] = UInt8(truncatingIfNeeded: next())
            }
            var count = 0
            while let frame = reader.next(), count < 100 {
                #expect(frame.octets.count <= 1_024)
                count += 1
            }
            #expect(count < 100)
            faults += reader.faults
        }
        #expect(faults > 0)
    }
}
