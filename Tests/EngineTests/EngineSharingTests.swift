import CLinux
import Engine
import Glibc
import LinuxNetwork
import Testing

/// Several real engine processes on the same queues, and a flow of numbered datagrams between two real kernels.
///
/// An engine ends with its `Running`, which a test therefore keeps to its end.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root")) struct EngineSharingTests {
    /// Two engines that read a queue set each, under 64 flows of numbered datagrams.
    private func pair() throws -> (bench: EngineBench, engines: [EngineBench.Running]) {
        let bench = try EngineBench(engines: 2)
        let engines = try (0..<2).map { try bench.prepare(lane: $0) }
        for (index, engine) in engines.enumerated() { try engine.assign(bench.queueSets(of: index)) }
        return (bench, engines)
    }

    @Test func eachReadsOnlyItsOwnQueueSetAndTheKernelDividesFlows() throws {
        let (bench, engines) = try pair()
        defer { withExtendedLifetime((bench, engines)) {} }
        let flow = try NumberedFlow(bench, sockets: 64)
        #expect(flow.exchange(64 * 20) == 64 * 20)
        let received = (0..<2).map { bench.block($0).entry(0).packets }
        #expect(received[0] + received[1] == 64 * 20)
        // With 64 flows each gets some, unless the kernel does not divide them at all.
        #expect(received.allSatisfy { $0 > 0 }, "\(received)")
        print("of 64 flows engine 1 got \(received[0] / 20), engine 2 got \(received[1] / 20)")
        // What is not assigned is not read, even where the queue was read before.
        try engines[1].assign(QueueSets([0, 1]))
        try engines[0].assign(QueueSets())
        let before = bench.block(0).entry(0).packets
        #expect(flow.exchange(64 * 5) == 64 * 5)
        #expect(bench.block(0).entry(0).packets == before)
        #expect(bench.block(1).entry(0).packets == received[1] + 64 * 5)
    }

    @Test func aFlowKeepsItsQueueIndexWhoeverReadsIt() throws {
        let (bench, engines) = try pair()
        defer { withExtendedLifetime((bench, engines)) {} }
        let flow = try NumberedFlow(bench, sockets: 64)
        #expect(flow.exchange(64 * 10) == 64 * 10)
        let before = (0..<2).map { bench.block($0).entry(0).packets }
        // Away, long enough for the kernel to learn anew, and back.
        try engines[1].assign(QueueSets([0, 1]))
        try engines[0].assign(QueueSets())
        #expect(flow.exchange(64 * 10) == 64 * 10)
        try engines[0].assign(QueueSets([0]))
        try engines[1].assign(QueueSets([1]))
        let between = (0..<2).map { bench.block($0).entry(0).packets }
        #expect(flow.exchange(64 * 10) == 64 * 10)
        let after = (0..<2).map { bench.block($0).entry(0).packets }
        #expect((0..<2).map { after[$0] - between[$0] } == before)
    }

    @Test func aPlannedChangeOfHandsLosesNothing() throws {
        let (bench, both) = try pair()
        var engines: [EngineBench.Running?] = both
        defer { withExtendedLifetime((bench, engines)) {} }
        let flow = try NumberedFlow(bench, sockets: 16)
        let stream = flow.stream()
        var lane = 2
        for round in 0..<20 {
            let number = round % 2
            let fresh = try bench.prepare(generation: UInt64(round + 2), lane: lane)
            try fresh.assign(bench.queueSets(of: number))
            let old = try #require(engines[number])
            try old.assign(QueueSets())
            try old.link.stop()
            #expect(try old.link.receive() == nil)
            #expect(try old.process.wait() == .exited(0))
            engines[number] = fresh
            lane = [2, 3, 0, 1][(round + 1) % 4]
        }
        let result = stream.finish()
        #expect(result.returned == result.sent, "\(result.sent - result.returned) of \(result.sent) lost")
        #expect(result.sent > 1_000)
        print("20 planned replacements under \(result.sent) datagrams: none lost")
    }

    @Test(arguments: [SIGKILL, SIGSTOP])
    func whatComesAfterATakeoverIsNotLost(_ signal: Int32) throws {
        let (bench, engines) = try pair()
        defer { withExtendedLifetime((bench, engines)) {} }
        let flow = try NumberedFlow(bench, sockets: 32)
        #expect(flow.exchange(320) == 320)
        try engines[0].process.signal(signal)
        if signal == SIGKILL {
            #expect(engines[0].process.waitForEnd(within: .seconds(30)))
        } else {
            while !engines[0].process.isStopped { usleep(1_000) }
        }
        // What comes before the takeover waits in the queues.
        flow.send(320)
        try engines[1].assign(QueueSets([0, 1]))
        #expect(flow.receive(320) == 320)
        #expect(flow.exchange(1_600) == 1_600)
        // Its place is taken, and the queue set goes back.
        if signal == SIGSTOP { try engines[0].process.signal(SIGKILL) }
        let fresh = try bench.prepare(lane: 2)
        defer { withExtendedLifetime(fresh) {} }
        try fresh.assign(QueueSets([0]))
        try engines[1].assign(QueueSets([1]))
        let before = bench.block(2).entry(0).packets
        #expect(flow.exchange(1_600) == 1_600)
        #expect(bench.block(2).entry(0).packets > before)
    }

    @Test func anEngineAnswersThatItGoesRound() throws {
        let bench = try EngineBench(workers: 2)
        let engine = try bench.prepare()
        defer { withExtendedLifetime((bench, engine)) {} }
        // Ready, with nothing to read: a spare.
        try engine.link.ping(7)
        #expect(try engine.link.receive() == .alive(7))
        try engine.assign(QueueSets([0, 1]))
        try engine.link.ping(8)
        #expect(try engine.link.receive() == .alive(8))
        try engine.process.signal(SIGSTOP)
        while !engine.process.isStopped { usleep(1_000) }
        // It does not answer, and nobody who tells it something is held up, however much that is.
        var refused = false
        for number in UInt64(9)...10_000 where !refused {
            do throws(EngineError) { try engine.link.ping(number) } catch {
                #expect(error.errno == EAGAIN)
                refused = true
            }
        }
        #expect(refused)
        try engine.process.signal(SIGCONT)
        #expect(try engine.link.receive() == .alive(9))
    }

    @Test func anEngineThatIsToEndFirstSendsOnWhatWaitsForANeighbour() throws {
        let bench = try EngineBench(engines: 2)
        let old = try bench.start()
        let server = try bench.socket(1, SOCK_DGRAM)
        defer { close(server) }
        _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { bind(server, $0, $1) }
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        _ = EngineBench.with(EngineBench.socketAddress("192.0.2.10", 4_000)) { bind(client, $0, $1) }
        // Nobody hears that the customer is asked for.
        let netlink = try bench.namespaces[0].netlink
        try netlink.setLink(index: bench.taps[0].index, up: false)
        _ = EngineBench.with(EngineBench.socketAddress("192.0.2.10", 4_000)) {
            Int32(sendto(server, "late", 4, 0, $0, $1))
        }
        while bench.block(0).interface(1).received.packets < 2 { usleep(1_000) }
        // The next one reads; the one before ends only when its frame is on its way.
        let fresh = try bench.prepare(generation: 2, lane: 1)
        defer { withExtendedLifetime((bench, fresh)) {} }
        try fresh.assign(QueueSets([0, 1]))
        try old.assign(QueueSets())
        try old.link.stop()
        try netlink.setLink(index: bench.taps[0].index, up: true)
        var text = [UInt8](repeating: 0, count: 8)
        var count = -1
        for _ in 0..<4 where count < 0 { count = recv(client, &text, 8, 0) }
        #expect(Array(text.prefix(max(0, count))) == Array("late".utf8))
        #expect(try old.link.receive() == nil)
        #expect(try old.process.wait() == .exited(0))
    }
}
