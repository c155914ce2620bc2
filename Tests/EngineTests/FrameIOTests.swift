import CLinux
import CRefusal
import Foundation
import Testing
import Wire

@testable import Engine

/// What reads and writes the queues, on sockets that keep messages apart as TAPs do.
@Suite(.serialized) struct FrameIOTests {
    static let ways: [EngineTuning.Writing] = [.ring, .plain]

    static func tuning(_ writing: EngineTuning.Writing) -> EngineTuning {
        var tuning = EngineTuning()
        tuning.writing = writing
        return tuning
    }

    /// Nobody rings it.
    private static let wake = eventfd(0, Int32(EFD_NONBLOCK))

    /// Reads and writes the queues on this thread.
    static func io(_ queues: [Int32], _ writing: EngineTuning.Writing) throws -> EpollFrameIO {
        var io = try EpollFrameIO(queues: queues, queueCount: 1, wake: wake, tuning: tuning(writing))
        io.begin()
        io.takeQueues { _ in true }
        return io
    }

    private static func send(
        _ count: Int, _ io: inout EpollFrameIO, to pairs: [QueuePair], first: Int = 0
    ) -> [Int32] {
        var writes = NumberedWrites()
        writes.fill(count, interfaces: pairs.count, first: first)
        io.send(writes.list)
        return (0..<count).map { writes.list.writes[$0].failure }
    }

    private static func expectAll(_ count: Int, _ pairs: [QueuePair]) {
        for (index, pair) in pairs.enumerated() {
            let expected = stride(from: index, to: count, by: pairs.count).map(NumberedWrites.frame)
            #expect(pair.takeAll() == expected)
        }
    }

    /// More than one submission holds, too.
    @Test(arguments: ways, [1, 2, 255, 256, 257, 1_024])
    func writesReachEachQueueInOrder(_ way: EngineTuning.Writing, _ count: Int) throws {
        let pairs = (0..<3).map { _ in QueuePair() }
        defer { withExtendedLifetime(pairs) {} }
        var io = try Self.io(pairs.map(\.queue), way)
        #expect(io.writing == way)
        for _ in 0..<3 {
            #expect(Self.send(count, &io, to: pairs).allSatisfy { $0 == 0 })
            Self.expectAll(count, pairs)
        }
        #expect(io.writing == way)
    }

    @Test(arguments: ways) func aWriteThatFailsFailsAlone(_ way: EngineTuning.Writing) throws {
        let pairs = [QueuePair(), QueuePair()]
        defer { withExtendedLifetime(pairs) {} }
        let readOnly = open("/dev/null", O_RDONLY)
        defer { close(readOnly) }
        var io = try Self.io([pairs[0].queue, pairs[1].queue, readOnly], way)
        var writes = NumberedWrites()
        writes.fill(300, interfaces: 3)
        io.send(writes.list)
        for number in 0..<300 { #expect(writes.list.writes[number].failure == (number % 3 == 2 ? EBADF : 0)) }
        for (index, pair) in pairs.enumerated() {
            #expect(pair.takeAll() == stride(from: index, to: 300, by: 3).map(NumberedWrites.frame))
        }
        #expect(io.writing == way)
    }

    @Test(arguments: ways) func aFullQueueRefusesTheRest(_ way: EngineTuning.Writing) throws {
        let pair = QueuePair()
        defer { withExtendedLifetime(pair) {} }
        var size: Int32 = 1
        setsockopt(pair.queue, SOL_SOCKET, SO_SNDBUF, &size, 4)
        var io = try Self.io([pair.queue], way)
        let failures = Self.send(600, &io, to: [pair])
        let written = failures.count { $0 == 0 }
        #expect((1..<600).contains(written))
        #expect(failures.allSatisfy { $0 == 0 || $0 == EAGAIN })
        let expected = failures.indices.filter { failures[$0] == 0 }.map(NumberedWrites.frame)
        #expect(pair.takeAll() == expected)
    }

    /// As TAPs before Linux 6.2 are: files of /proc, too, know only writes that may wait.
    @Test func aQueueThatCannotHurryIsWrittenToAllTheSame() throws {
        let name = open("/proc/thread-self/comm", O_RDWR)
        defer { close(name) }
        let pair = QueuePair()
        defer { withExtendedLifetime(pair) {} }
        var io = try Self.io([name, pair.queue], .ring)
        for round in 0..<3 {
            var writes = NumberedWrites()
            writes.list.removeAll()
            let header = writes.list.nextHeader
            let text = Array("round-\(round)".utf8)
            header.copyMemory(from: text, byteCount: text.count)
            writes.list.add(
                interface: 0, header: header, headerLength: text.count, body: UnsafeRawPointer(header), bodyLength: 0,
                packets: 1)
            io.send(writes.list)
            #expect(writes.list.writes[0].failure == 0)
            var buffer = [UInt8](repeating: 0, count: 32)
            let count = pread(name, &buffer, buffer.count, 0)
            #expect(Array(buffer[..<max(0, count)]) == text + [10])
            #expect(Self.send(20, &io, to: [pair], first: 1).allSatisfy { $0 == 0 })
            Self.expectAll(20, [pair])
        }
        #expect(io.writing == .ring)
    }

    @Test func aRingThatFailsIsGivenUpAndNothingIsLostOrDoubled() throws {
        for error in [EPERM, ENOSYS, EBADF, ENOMEM] {
            try Refusal(REFUSAL_IO_URING_ENTER, error).during {
                let pairs = (0..<2).map { _ in QueuePair() }
                defer { withExtendedLifetime(pairs) {} }
                var io = try Self.io(pairs.map(\.queue), .ring)
                #expect(io.writing == .ring)
                for _ in 0..<3 {
                    #expect(Self.send(600, &io, to: pairs).allSatisfy { $0 == 0 })
                    Self.expectAll(600, pairs)
                    #expect(io.writing == .plain)
                    #expect(io.ringFailure == error)
                }
            }
        }
    }

    /// Errors that pass by themselves do not go on for ever.
    @Test func aRingThatIsAlwaysBusyIsGivenUpToo() throws {
        try Refusal(REFUSAL_IO_URING_ENTER, EAGAIN).during {
            let pair = QueuePair()
            defer { withExtendedLifetime(pair) {} }
            var io = try Self.io([pair.queue], .ring)
            #expect(Self.send(600, &io, to: [pair]).allSatisfy { $0 == 0 })
            Self.expectAll(600, [pair])
            #expect(io.writing == .plain)
            #expect(io.ringFailure == EAGAIN)
        }
    }

    @Test func aKernelWithoutRingsIsWrittenToOneByOne() throws {
        for (call, error) in [
            (REFUSAL_IO_URING_SETUP, EPERM), (REFUSAL_IO_URING_SETUP, ENOSYS), (REFUSAL_IO_URING_SETUP, ENOMEM),
            (REFUSAL_IO_URING_REGISTER, EPERM),
        ] {
            try Refusal(call, error).during {
                let pair = QueuePair()
                defer { withExtendedLifetime(pair) {} }
                var io = try Self.io([pair.queue], .automatic)
                #expect(io.writing == .plain)
                #expect(io.ringFailure == error)
                #expect(Self.send(100, &io, to: [pair]).allSatisfy { $0 == 0 })
                Self.expectAll(100, [pair])
            }
        }
    }

    @Test func whoInsistsOnARingIsToldWhyThereIsNone() throws {
        for (error, word) in [(EPERM, "seccomp"), (ENOSYS, "built without it"), (ENOMEM, "ulimit -l")] {
            try Refusal(REFUSAL_IO_URING_SETUP, error).during {
                let pair = QueuePair()
                defer { withExtendedLifetime(pair) {} }
                do {
                    _ = try Self.io([pair.queue], .ring)
                    Issue.record("it was made")
                } catch let refusal as EngineError {
                    #expect(refusal.description.contains(word), "\(refusal)")
                }
            }
        }
    }

    /// A ring passes by seccomp filters, so what it can do is all that hostile code in the engine could do by it.
    @Test func aRingDoesNothingButWriteToItsQueues() throws {
        let pair = QueuePair()
        defer { withExtendedLifetime(pair) {} }
        let other = QueuePair()
        defer { withExtendedLifetime(other) {} }
        var ring = clinux_uring()
        var queue = pair.queue
        #expect(clinux_uring_open(&ring, 8, &queue, 1) == 0)
        defer { clinux_uring_close(&ring) }
        var byte: UInt8 = 7
        func outcome(_ change: (inout clinux_uring_entry) -> Void) -> Int32? {
            let place = Int(ring.submission_tail.pointee & (ring.capacity - 1))
            clinux_uring_prepare(&ring, 0, 0, &byte, 1, 0, 42)
            let kept = ring.entries[place]
            change(&ring.entries[place])
            clinux_uring_publish(&ring, 1)
            let failure = clinux_uring_submit(&ring, 1)
            ring.entries[place] = kept
            guard failure == 0, let completion = clinux_uring_next(&ring) else { return nil }
            defer { clinux_uring_release(&ring) }
            #expect(completion.pointee.tag == 42)
            return completion.pointee.result
        }
        #expect(clinux_uring_enable(&ring) == 0)
        #expect(outcome { _ in } == 1)
        // IORING_OP_READ, IORING_OP_OPENAT, IORING_OP_CONNECT, IORING_OP_SEND.
        for operation: UInt8 in [22, 18, 16, 26] {
            #expect(outcome { $0.opcode = operation } == -EACCES)
        }
        // A descriptor that is not among the queues, and what other flags ask for.
        #expect(
            outcome {
                $0.flags = 0
                $0.file = other.queue
            } == -EACCES)
        #expect(outcome { $0.file = 1 } == -EBADF)
        #expect(outcome { $0.flags |= 1 << 4 } == -EACCES)
        #expect(outcome { _ in } == 1)
        #expect(pair.takeAll() == [[7], [7]])
        #expect(other.takeAll().isEmpty)
        // It was enabled once and for all.
        #expect(clinux_uring_enable(&ring) < 0)
    }

    @Test func largeFramesEndABatchAndNoneIsCut() throws {
        let pair = QueuePair()
        defer { withExtendedLifetime(pair) {} }
        var io = try Self.io([pair.queue], .plain)
        let frames = (0..<60).map { number in
            [UInt8](repeating: UInt8(number), count: number % 7 == 0 ? 60 : 65_549 - number)
        }
        for frame in frames { #expect(pair.put(frame)) }
        var batch = FrameBatch()
        var received: [[UInt8]] = []
        var batches = 0
        while io.wait(.zero) == 1 {
            io.receive(0, into: &batch)
            batches += 1
            var octets = 0
            for index in 0..<batch.count {
                let frame = batch.frames[index]
                #expect(Int(bitPattern: frame.start) % 64 == 0)
                octets += frame.length
            }
            #expect(octets <= FrameArena.comfortableSize + frameSlotSize)
            received += (0..<batch.count).map {
                Array(UnsafeRawBufferPointer(start: batch.frames[$0].start, count: batch.frames[$0].length))
            }
            guard batches < 60 else { break }
        }
        #expect(received == frames)
        #expect(batches > 1)
    }

    /// Superframes end a batch when they fill the cache; as many octets of frames that may be coalesced do not.
    @Test func aBatchOfSuperframesFitsTheCache() throws {
        let pair = QueuePair()
        defer { withExtendedLifetime(pair) {} }
        var tuning = Self.tuning(.plain)
        tuning.segmentedOctets = 256 << 10
        var io = try EpollFrameIO(queues: [pair.queue], queueCount: 1, wake: Self.wake, tuning: tuning)
        io.takeQueues { _ in true }
        io.begin()
        var batch = FrameBatch()
        func counts(_ kind: UInt8) -> [Int] {
            var frame = [UInt8](repeating: 0, count: 60_000)
            frame[1] = kind
            for _ in 0..<20 { #expect(pair.put(frame)) }
            var counts: [Int] = []
            while io.wait(.zero) == 1, counts.count < 20 {
                io.receive(0, into: &batch)
                counts.append(batch.count)
            }
            return counts
        }
        #expect(counts(VirtioNetHeader.gsoTCPv4) == [5, 5, 5, 5])
        #expect(counts(VirtioNetHeader.gsoNone) == [20])
    }

    @Test func theCacheIsReadFromWhatTheKernelTells() throws {
        let place = "/tmp/tapline-cache-\(UInt64.random(in: 0...UInt64.max))"
        defer { _ = try? FileManager.default.removeItem(atPath: place) }
        func write(_ cpu: Int, _ index: Int, _ level: String, _ size: String) throws {
            let folder = "\(place)/devices/system/cpu/cpu\(cpu)/cache/index\(index)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for (name, text) in [("level", level), ("size", size)] {
                try "\(text)\n".write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
            }
        }
        try write(0, 0, "1", "32K")
        try write(0, 1, "2", "2048K")
        try write(1, 0, "2", "1M")
        #expect(CacheSize.levelTwo(sys: place) == 1 << 20)
        #expect(CacheSize.burst(sys: place) == 512 << 10)
        // The smallest counts, and what cannot be does not.
        try write(2, 0, "2", "256K")
        try write(3, 0, "2", "7")
        try write(4, 0, "2", "many")
        #expect(CacheSize.burst(sys: place) == 256 << 10)
        // Where nothing is told the C library's word is taken, or a usual size.
        #expect(CacheSize.levelTwo(sys: "\(place)/nothing") >= 64 << 10)
    }

    /// One batch of each queue in a turn, however much waits in one of them.
    @Test func aFloodedQueueDoesNotKeepOthersWaiting() throws {
        let pairs = (0..<3).map { _ in QueuePair() }
        defer { withExtendedLifetime(pairs) {} }
        var io = try Self.io(pairs.map(\.queue), .plain)
        for _ in 0..<FrameBatch.capacity + 50 { #expect(pairs[0].put([1])) }
        for pair in pairs.dropFirst() { #expect(pair.put([2])) }
        var batch = FrameBatch()
        let ready = io.wait(.zero)
        #expect(ready == 3)
        var counts = [0, 0, 0]
        for position in 0..<ready {
            io.receive(position, into: &batch)
            counts[batch.interface] += batch.count
        }
        #expect(counts == [FrameBatch.capacity, 1, 1])
    }

    @Test func aQueueThatEpollDoesNotTakeIsReadAllTheSame() throws {
        let pair = QueuePair()
        defer { withExtendedLifetime(pair) {} }
        // epoll refuses files (EPERM); poll calls them readable, and the read finds their end.
        let file = open("/dev/shm", O_TMPFILE | O_RDWR, 0o600)
        defer { close(file) }
        #expect(file >= 0)
        #expect(write(file, "frame", 5) == 5)
        lseek(file, 0, SEEK_SET)
        var io = try Self.io([file, pair.queue], .plain)
        var batch = FrameBatch()
        #expect(pair.put([9]))
        var read: [Int: Int] = [:]
        var closed = 0
        for _ in 0..<3 {
            let ready = io.wait(.zero)
            for position in 0..<ready {
                io.receive(position, into: &batch)
                read[batch.interface, default: 0] += batch.count
                if batch.closed { closed += 1 }
            }
        }
        #expect(read == [0: 1, 1: 1])
        // At its end it is a queue that is gone, and is looked at no more.
        #expect(closed == 1)
        #expect(pair.put([9]))
        #expect(io.wait(.zero) == 1)
        io.receive(0, into: &batch)
        #expect(batch.interface == 1)
        #expect(batch.count == 1)
    }

    @Test func aBoundedSpinEndsAndFindsFrames() throws {
        let pair = QueuePair()
        defer { withExtendedLifetime(pair) {} }
        let wake = eventfd(0, Int32(EFD_NONBLOCK))
        defer { close(wake) }
        var tuning = EngineTuning()
        tuning.spin = .microseconds(500)
        var io = try EpollFrameIO(queues: [pair.queue], queueCount: 1, wake: wake, tuning: tuning)
        io.begin()
        io.takeQueues { _ in true }
        var batch = FrameBatch()
        for _ in 0..<3 {
            #expect(pair.put([1]))
            #expect(io.wait(WaitLimit(.seconds(1))) == 1)
            io.receive(0, into: &batch)
            #expect(batch.count == 1)
            // Nothing more comes: it gives up looking, and sleeping too.
            #expect(io.wait(WaitLimit(.milliseconds(1))) == 0)
        }
        // Whoever wakes it ends its sleep.
        var one: UInt64 = 1
        #expect(write(wake, &one, 8) == 8)
        #expect(io.wait(.unlimited) == 0)
    }
}
