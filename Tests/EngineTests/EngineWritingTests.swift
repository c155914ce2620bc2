import CLinux
import CRefusal
import Engine
import Forwarding
import Glibc
import LinuxNetwork
import Testing
import Wire

/// Real engines on real TAPs, by ring and one by one, and what they do where the kernel refuses or a device goes.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root")) struct EngineWritingTests {
    private static func tuning(_ writing: EngineTuning.Writing, spin: Duration = .zero) -> EngineTuning {
        var tuning = EngineTuning()
        tuning.writing = writing
        tuning.spin = spin
        return tuning
    }

    @Test func framesAreWrittenAsTheTuningSays() throws {
        for (tuning, way) in [
            (EngineTuning(), EngineTuning.Writing.ring), (Self.tuning(.ring), .ring), (Self.tuning(.plain), .plain),
            (Self.tuning(.automatic, spin: .microseconds(50)), .ring),
        ] {
            let bench = try EngineBench()
            let engine = try bench.start(tuning: tuning)
            defer { withExtendedLifetime(engine) {} }
            let flow = try NumberedFlow(bench, sockets: 4)
            #expect(flow.exchange(2_000) == 2_000)
            let writing = bench.reader.writing(block: 0)
            #expect(writing?.way == way)
            #expect(writing?.failure == 0)
        }
    }

    @Test func whereTheKernelRefusesARingTheEngineGoesOnWithoutOne() throws {
        for call in [REFUSAL_IO_URING_SETUP, REFUSAL_IO_URING_REGISTER, REFUSAL_IO_URING_ENTER] {
            let bench = try EngineBench()
            let engine = try bench.start(refusing: Refusal(call, EPERM))
            defer { withExtendedLifetime(engine) {} }
            #expect(engine.confinement.seccompMode == 2)
            let flow = try NumberedFlow(bench, sockets: 4)
            #expect(flow.exchange(2_000) == 2_000)
            let writing = bench.reader.writing(block: 0)
            #expect(writing?.way == .plain)
            #expect(writing?.failure == EPERM)
        }
    }

    @Test func anEngineThatIsToldToUseARingDoesNotStartWithoutOne() throws {
        let bench = try EngineBench()
        do {
            _ = try bench.start(tuning: Self.tuning(.ring), refusing: Refusal(REFUSAL_IO_URING_SETUP, EPERM))
            Issue.record("it started")
        } catch let error as EngineError {
            #expect(error.description.contains("io_uring"), "\(error)")
            #expect(error.description.contains("seccomp"), "\(error)")
        }
    }

    /// True where the engine answers a packet to nobody with an ICMP error: it reads and writes the customers' TAP.
    private func answers(_ bench: EngineBench) throws -> Bool {
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        var one: Int32 = 1
        setsockopt(client, Int32(IPPROTO_IP), IP_RECVERR, &one, 4)
        _ = EngineBench.with(EngineBench.socketAddress("203.0.113.99", 7)) { connect(client, $0, $1) }
        guard send(client, "x", 1, 0) == 1 else { return false }
        var byte: UInt8 = 0
        return recv(client, &byte, 1, 0) == -1 && errno == ENETUNREACH
    }

    /// Sends datagrams to the service, answered or not.
    private func load(_ bench: EngineBench, _ count: Int) throws {
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { connect(client, $0, $1) }
        for _ in 0..<count { _ = send(client, "load", 4, 0) }
    }

    @Test(arguments: FrameIOTests.ways) func aDeviceThatIsDeletedStopsNobodyElse(_ way: EngineTuning.Writing) throws {
        let bench = try EngineBench()
        let engine = try bench.start(tuning: Self.tuning(way))
        defer { withExtendedLifetime(engine) {} }
        #expect(try answers(bench))
        #expect(bench.reader.closedQueues() == 0)
        try load(bench, 500)
        #expect(try NumberedFlow(bench, sockets: 1).exchange(1) == 1)
        try bench.namespaces[1].netlink.deleteLink(index: bench.taps[1].index)
        try load(bench, 500)
        #expect(try answers(bench))
        try engine.link.ping(1)
        #expect(try engine.link.receive() == .alive(1))
        #expect(EngineBench.eventually { bench.reader.closedQueues() == 1 })
        #expect(EngineBench.eventually { bench.reader.drops(.interfaceGone) > 0 })
        #expect(bench.reader.writing(block: 0)?.way == way)
        // Orders that name the queue again find it gone again, and do not stop the engine.
        try engine.assign(QueueSets())
        try engine.assign(QueueSets([0]))
        #expect(try answers(bench))
        #expect(bench.reader.closedQueues() == 2)
    }

    @Test(arguments: FrameIOTests.ways) func aDeviceThatIsDownTakesNothingUntilItIsUp(
        _ way: EngineTuning.Writing
    ) throws {
        let bench = try EngineBench()
        let engine = try bench.start(tuning: Self.tuning(way))
        defer { withExtendedLifetime(engine) {} }
        let netlink = try bench.namespaces[1].netlink
        try load(bench, 50)
        // Frames that still wait for the neighbour would be dropped as waiting.
        let flow = try NumberedFlow(bench, sockets: 1)
        #expect(flow.exchange(1) == 1)
        try netlink.setLink(index: bench.taps[1].index, up: false)
        try load(bench, 50)
        #expect(try answers(bench))
        #expect(EngineBench.eventually { bench.reader.drops(.interfaceGone) >= 50 })
        #expect(bench.reader.closedQueues() == 0)
        try netlink.setLink(index: bench.taps[1].index, up: true)
        // Its routes went with it; the kernel answers a datagram to a closed port only where it has one back.
        try netlink.addRoute(
            Route(.everything(.ipv4), gateway: IPAddress("198.18.4.1")!, link: bench.taps[1].index))
        #expect(flow.exchange(100) == 100)
        #expect(bench.reader.writing(block: 0)?.way == way)
    }
}
