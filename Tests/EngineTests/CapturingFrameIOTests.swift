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

    /// A ring in memory of its own.
    final class Ring {
        let memory: UnsafeMutableRawBufferPointer
        let capacity: Int

        init(capacity: Int) {
            self.capacity = capacity
            memory = .allocate(byteCount: CaptureWriter.size(capacity: capacity), alignment: 64)
        }

        deinit { memory.deallocate() }

        func writer(mostOctets: Int = frameSlotSize) -> CaptureWriter {
            CaptureWriter(memory: memory.baseAddress!, capacity: capacity, mostOctets: mostOctets)
        }

        func reader() throws -> CaptureReader {
            guard let reader = CaptureReader(memory: memory.baseAddress!, size: memory.count) else {
                throw Unreadable()
            }
            return reader
        }
    }

    struct Unreadable: Error {}

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

    private func worker(_ pipeline: Pipeline, _ writer: consuming CaptureWriter) -> Worker<
        CapturingFrameIO<MemoryFrameIO>
    > {
        Worker(
            io: CapturingFrameIO(MemoryFrameIO(), into: writer), table: pipeline.published,
            neighbours: pipeline.neighbours, worker: 0)
    }

    @Test func whatTheWorkerReadsAndWritesIsCapturedInOrderAndItsOutputIsTheSame() throws {
        let inputs = inputs()
        let plain = try Pipeline()
        let captured = try Pipeline()
        let ring = Ring(capacity: 1 << 20)
        var worker = worker(captured, ring.writer())
        var reader = try ring.reader()
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
        var worker = worker(pipeline, ring.writer())
        worker.io.base.input = inputs
        worker.turn(wait: false)
        let output = worker.io.base.takeOutput()
        var reader = try ring.reader()
        let frames = drain(&reader)
        #expect(frames.filter { $0.direction == .received }.map(\.octets) == inputs.map(\.bytes))
        let sent = frames.filter { $0.direction == .sent }
        #expect(sent.map { MemoryFrameIO.Frame(interface: $0.interface, bytes: $0.octets) } == output)
        #expect(!output.isEmpty)
    }

    /// The worker counts these as dropped: they did not leave.
    @Test func aFrameThatCouldNotBeWrittenIsNotCaptured() throws {
        let pipeline = try Pipeline()
        let ring = Ring(capacity: 1 << 16)
        var worker = worker(pipeline, ring.writer())
        worker.io.base.failures = [1: 11]
        worker.io.base.input = [inputs()[0]]
        worker.turn(wait: false)
        var reader = try ring.reader()
        let frames = drain(&reader)
        #expect(frames.map(\.direction) == [.received])
        #expect(pipeline.drops(.tapFull) == 2)
    }

    @Test func whatDoesNotFitIsCountedAndTheWorkerGoesOn() throws {
        let inputs = inputs()
        let plain = try Pipeline()
        let captured = try Pipeline()
        let ring = Ring(capacity: 1_024)
        var worker = worker(captured, ring.writer())
        var reader = try ring.reader()
        var taken = 0
        var frames = 0
        for (step, input) in inputs.enumerated() {
            plain.worker.io.input = [input]
            worker.io.base.input = [input]
            let expected = plain.turn()
            worker.turn(wait: false)
            let output = worker.io.base.takeOutput()
            #expect(output == expected, "step \(step)")
            frames += 1 + output.count
            // The reader looks seldom.
            if step % 16 == 15 { taken += drain(&reader).count }
        }
        taken += drain(&reader).count
        let (lost, isBroken) = (Int(reader.lost), reader.isBroken)
        #expect(lost > 0 && taken > 0 && lost + taken == frames && !isBroken)
    }

    @Test func theRingGivesBackWhatWasPutInAtEveryPlace() throws {
        let ring = Ring(capacity: 512)
        var writer = ring.writer(mostOctets: 100)
        var reader = try ring.reader()
        for length in 0..<400 {
            let octets = (0..<length % 160).map { UInt8(truncatingIfNeeded: $0 ^ length) }
            let cut = min(octets.count, length % 7 * 16)
            octets.withUnsafeBytes { bytes in
                let start = bytes.baseAddress ?? UnsafeRawPointer(ring.memory.baseAddress!)
                writer.put(
                    length % 2 == 0 ? .received : .sent, interface: length,
                    time: MonotonicTime(nanoseconds: UInt64(length)), header: start, headerLength: cut,
                    body: start + cut, bodyLength: octets.count - cut)
            }
            let frame = reader.next()
            let more = reader.next()
            #expect(
                frame
                    == CapturedFrame(
                        direction: length % 2 == 0 ? .received : .sent, interface: length,
                        time: MonotonicTime(nanoseconds: UInt64(length)), length: octets.count,
                        octets: Array(octets.prefix(100))))
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
        var broken = 0
        for _ in 0..<2_000 {
            let ring = Ring(capacity: 256)
            var writer = ring.writer()
            var reader = try ring.reader()
            let octets = [UInt8](repeating: 7, count: 40)
            octets.withUnsafeBytes {
                for _ in 0..<3 {
                    writer.put(
                        .sent, interface: 1, time: MonotonicTime(nanoseconds: 1), header: $0.baseAddress!,
                        headerLength: 40, body: $0.baseAddress!, bodyLength: 0)
                }
            }
            for _ in 0..<4 {
                // The writer's count, and the records.
                let place = next() % 3 == 0 ? 64 + Int(next() % 8) : 256 + Int(next() % 256)
                ring.memory[place] = UInt8(truncatingIfNeeded: next())
            }
            var count = 0
            while let frame = reader.next(), count < 100 {
                #expect(frame.octets.count <= 256)
                count += 1
            }
            #expect(count < 100)
            if reader.isBroken { broken += 1 }
        }
        #expect(broken > 0)
    }
}
