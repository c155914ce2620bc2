import CLinux
import Engine
import Forwarding
import Glibc
import LinuxNetwork
import Synchronization
import Testing
import Wire

/// The real program between real kernels.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root")) struct EngineProcessTests {
    /// A thread that sends back what comes to a UDP socket until the socket is shut.
    func echo(_ bench: EngineBench) throws -> Int32 {
        let server = try bench.socket(1, SOCK_DGRAM)
        #expect(
            EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { bind(server, $0, $1) } == 0)
        let context = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        context.initialize(to: server)
        var thread = pthread_t()
        let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
            let server = context!.assumingMemoryBound(to: Int32.self).move()
            context!.deallocate()
            var buffer = [UInt8](repeating: 0, count: 65_536)
            var from = sockaddr_storage()
            while true {
                var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                let count = withUnsafeMutablePointer(to: &from) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        recvfrom(server, &buffer, buffer.count, 0, $0, &length)
                    }
                }
                if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { return nil }
                if count < 0 { continue }
                _ = withUnsafePointer(to: from) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        sendto(server, buffer, count, 0, $0, length)
                    }
                }
            }
        }
        pthread_create(&thread, nil, body, context)
        pthread_detach(thread)
        return server
    }

    private func status(_ pid: Int32) -> [String: String] {
        var values: [String: String] = [:]
        guard let file = fopen("/proc/\(pid)/status", "r") else { return values }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 512)
        while fgets(&line, 512, file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            let parts = text.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            values[String(parts[0])] = parts[1].filter { !$0.isWhitespace }
        }
        return values
    }

    /// Sends `count` datagrams in windows of 16 and counts those that come back as they were.
    func exchange(_ client: Int32, _ count: Int, from first: Int = 0, between: () throws -> Void) rethrows
        -> Int
    {
        var returned = 0
        var number = first
        while number < first + count {
            let window = min(16, first + count - number)
            for index in 0..<window {
                var value = UInt64(number + index)
                _ = send(client, &value, 8, 0)
            }
            try between()
            for _ in 0..<window {
                var value: UInt64 = 0
                if recv(client, &value, 8, 0) == 8 { returned += 1 }
            }
            number += window
        }
        return returned
    }

    @Test func anEngineHasNoPrivilegeAndForwards() throws {
        let bench = try EngineBench()
        let engine = try bench.start()
        #expect(engine.confinement.capabilities == 0)
        #expect(engine.confinement.noNewPrivileges)
        #expect(engine.confinement.seccompMode == 2)
        let status = status(engine.process.pid)
        #expect(status["CapEff"] == "0000000000000000")
        #expect(status["CapPrm"] == "0000000000000000")
        #expect(status["CapBnd"] == "0000000000000000")
        #expect(status["NoNewPrivs"] == "1")
        #expect(status["Seccomp"] == "2")
        let user = EngineIdentity.user(of: engine.process.pid)
        #expect(user != 0)
        #expect(status["Uid"] == String(repeating: "\(user)", count: 4))
        #expect(status["Gid"] == String(repeating: "\(user)", count: 4))
        #expect(status["Groups"] == "")
        #expect(status["NStgid"] == "\(engine.process.pid)1")
        print(
            "engine: ready after \(engine.confinement.startTime.wholeMicroseconds) us, VmRSS \(status["VmRSS"] ?? "?")")

        let server = try echo(bench)
        defer { shutdown(server, Int32(SHUT_RDWR)) }
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        #expect(
            EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { connect(client, $0, $1) } == 0)
        #expect(exchange(client, 1_000, between: {}) == 1_000)
        #expect(bench.reader.entry(0).packets == 1_000)
        #expect(bench.reader.entry(1).packets == 1_000)
        // Bulk makes it touch its buffers.
        print("engine: VmRSS \(self.status(engine.process.pid)["VmRSS"] ?? "?") after traffic")
        try engine.link.stop()
        #expect(try engine.link.receive() == nil)
        #expect(try engine.process.wait() == .exited(0))
    }

    @Test func tablesAreReplacedUnderTrafficWithoutLoss() throws {
        let bench = try EngineBench()
        let engine = try bench.start()
        let server = try echo(bench)
        defer { shutdown(server, Int32(SHUT_RDWR)) }
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { connect(client, $0, $1) }
        var generation: UInt64 = 1
        let returned = try exchange(client, 3_200) {
            generation += 1
            let (table, size) = try bench.makeTable(generation)
            try engine.link.publish(table: EngineLink.Memory(descriptor: table, size: size), generation: generation)
            #expect(try engine.link.receive() == .applied(generation: generation))
            #expect(bench.reader.generations().first == generation)
        }
        #expect(returned == 3_200)
        #expect(generation == 201)
        #expect(bench.reader.entry(0).packets == 3_200)
    }

    @Test func aTableThatIsNoneIsRefusedAndTheOldOneStays() throws {
        let bench = try EngineBench()
        let engine = try bench.start()
        let hostile = [UInt8](repeating: 0xFF, count: 4_096)
        let table = try hostile.withUnsafeBytes { try SharedMapping.makeTable($0) }
        defer { close(table) }
        try engine.link.publish(table: EngineLink.Memory(descriptor: table, size: hostile.count), generation: 9)
        guard case .refused(let generation, let reason) = try engine.link.receive() else {
            Issue.record("it was taken")
            return
        }
        #expect(generation == 9)
        #expect(!reason.isEmpty)
        let (good, size) = try bench.makeTable(10)
        try engine.link.publish(table: EngineLink.Memory(descriptor: good, size: size), generation: 10)
        #expect(try engine.link.receive() == .applied(generation: 10))
        // Larger counters come with a table; the sums go on over both.
        let layout = CounterLayout(workers: 1, interfaces: 2, entries: 5_000)
        let counters = try SharedMapping.makeCounters(layout)
        defer { close(counters) }
        let memory = try SharedMapping(mapping: counters, size: layout.size, writable: false)
        try engine.link.publish(
            table: EngineLink.Memory(descriptor: good, size: size), generation: 10, counters: (counters, layout))
        #expect(try engine.link.receive() == .applied(generation: 10))
        var reader = CounterReader()
        reader.add(memory: memory.base, layout: layout)
        #expect(reader.generations() == [10])
    }

    /// Memory that it was not given leave to it does not get, and a table that needs more comes with the leave.
    @Test func itsAddressSpaceIsWhatItWasGivenLeaveTo() throws {
        let bench = try EngineBench()
        // 256 MiB of counters, of which nothing is touched.
        let layout = CounterLayout(workers: 1, interfaces: 2, entries: 16 << 20)
        let counters = try SharedMapping.makeCounters(layout)
        defer { close(counters) }
        func hand(_ engine: EngineBench.Running, _ generation: UInt64) throws -> EngineEvent? {
            let (table, size) = try bench.makeTable(generation)
            try engine.link.publish(
                table: EngineLink.Memory(descriptor: table, size: size), generation: generation,
                counters: (counters, layout))
            return try engine.link.receive()
        }
        let engine = try bench.prepare()
        guard case .refused(2, let reason) = try hand(engine, 2) else {
            Issue.record("it was taken")
            return
        }
        #expect(reason.contains("Cannot allocate memory"), "\(reason)")
        // Leave to more is root's to give, unless that capability is gone.
        var limit: UInt64 = 0
        let asked = clinux_address_space(engine.process.pid, 0, &limit)
        #expect(asked == 0 || asked == -EPERM)
        if asked == 0 {
            let wanted = limit + UInt64(layout.size)
            #expect(clinux_address_space(engine.process.pid, wanted, &limit) == 0)
            #expect(limit == wanted)
            #expect(try hand(engine, 3) == .applied(generation: 3))
        }
        // So it can have it from the start.
        let generous = try bench.prepare(generation: 4, spareMebibytes: 1_024)
        #expect(try hand(generous, 5) == .applied(generation: 5))
    }

    @Test func groupsAreReplacedBesideTheTable() throws {
        let bench = try EngineBench()
        var table = EngineBench.table
        let group = InstanceGroup(name: "echo", members: ["a", "b"].map { GroupMember(name: $0) })
        table.groups = [group]
        let place = try #require(table.entries.firstIndex { $0.direction == .request })
        let target = try #require(table.entries[place].targets.first)
        table.entries[place].hops = [.instance(group: 0, targets: [target, target], otherwise: .drop(.silence))]
        var compiled = try CompiledTable(table)
        let engine = try bench.start()
        func memory(_ bytes: [UInt8]) throws -> EngineLink.Memory {
            EngineLink.Memory(
                descriptor: try bytes.withUnsafeBytes { try SharedMapping.makeTable($0) }, size: bytes.count)
        }
        func hand(table: [UInt8]? = nil, groups: [UInt8]? = nil, _ generation: UInt64) throws -> EngineEvent? {
            let memories = try (table.map(memory), groups.map(memory))
            defer { for memory in [memories.0, memories.1].compactMap(\.self) { close(memory.descriptor) } }
            try engine.link.publish(table: memories.0, groups: memories.1, generation: generation)
            return try engine.link.receive()
        }
        func isRefused(_ event: EngineEvent?) -> Bool { if case .refused = event { true } else { false } }
        let server = try echo(bench)
        defer { shutdown(server, Int32(SHUT_RDWR)) }
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { connect(client, $0, $1) }

        #expect(try hand(table: compiled.bytes(generation: 2), 2) == .applied(generation: 2))
        // One instance is down, then both, then none: each time the table stays mapped.
        for (generation, states) in [(3, [false, true]), (4, [false, false]), (5, [true, true])] {
            var changed = group
            for (member, isUp) in states.enumerated() { changed.members[member].availability = isUp ? .up : .down }
            let isTaken = compiled.setGroups([changed])
            #expect(isTaken)
            let bytes = compiled.groupBytes(generation: UInt64(generation), of: 2)
            #expect(try hand(groups: bytes, UInt64(generation)) == .applied(generation: UInt64(generation)))
            #expect(bench.reader.generations().first == UInt64(generation))
            #expect(
                exchange(client, states == [false, false] ? 1 : 64, between: {}) == (states == [false, false] ? 0 : 64))
        }
        // Groups of a table that it does not hold, and none at all: what is in force stays.
        #expect(isRefused(try hand(groups: compiled.groupBytes(generation: 6, of: 1), 6)))
        #expect(isRefused(try hand(groups: [UInt8](repeating: 0xFF, count: 4_096), 7)))
        #expect(exchange(client, 64, between: {}) == 64)
        // A table and its groups at once.
        #expect(
            try hand(table: compiled.bytes(generation: 8), groups: compiled.groupBytes(generation: 9, of: 8), 9)
                == .applied(generation: 9))
        #expect(exchange(client, 64, between: {}) == 64)
    }

    @Test func aKilledEngineIsReplacedOnTheSameDescriptorsAndTCPLivesOn() throws {
        let bench = try EngineBench()
        var engine: EngineBench.Running? = try bench.start()
        let listener = try bench.socket(1, SOCK_STREAM)
        defer { close(listener) }
        #expect(
            EngineBench.with(EngineBench.socketAddress(EngineBench.service, 80)) { bind(listener, $0, $1) } == 0)
        #expect(listen(listener, 4) == 0)
        let client = try bench.socket(0, SOCK_STREAM)
        defer { close(client) }
        #expect(
            EngineBench.with(EngineBench.socketAddress(EngineBench.service, 80)) { connect(client, $0, $1) } == 0)
        let accepted = accept(listener, nil, nil)
        #expect(accepted >= 0)
        defer { close(accepted) }
        var received: [UInt8] = []
        var sent: [UInt8] = []
        for round in 0..<5 {
            let block = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ round) }
            // In flight while the engine dies: what the kernels lose they send again.
            #expect(send(client, block, 40_000, 0) == 40_000)
            sent += block.prefix(40_000)
            try engine?.process.signal(SIGKILL)
            #expect(engine?.process.waitForEnd(within: .seconds(30)) == true)
            engine = nil
            engine = try bench.start(generation: UInt64(round + 2))
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while received.count < sent.count {
                let count = recv(accepted, &buffer, buffer.count, 0)
                guard count > 0 else { break }
                received += buffer[..<count]
            }
            #expect(received == sent, "round \(round)")
        }
        // The neighbours that the first engine learnt were still known to the last.
        #expect(bench.reader.drops(.neighbourUnresolved) == 0)
    }

    @Test func largeSegmentsPassWhole() throws {
        let bench = try EngineBench(workers: 2)
        let engine = try bench.start()
        let listener = try bench.socket(1, SOCK_STREAM)
        defer { close(listener) }
        _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 80)) { bind(listener, $0, $1) }
        listen(listener, 4)
        let client = try bench.socket(0, SOCK_STREAM)
        defer { close(client) }
        #expect(
            EngineBench.with(EngineBench.socketAddress(EngineBench.service, 80)) { connect(client, $0, $1) } == 0)
        let accepted = accept(listener, nil, nil)
        defer { close(accepted) }
        let reading = Reading(accepted, 50_000_000)
        let block = [UInt8](repeating: 0x5A, count: 1_000_000)
        for _ in 0..<50 {
            var done = 0
            while done < block.count {
                let count = block.withUnsafeBytes { send(client, $0.baseAddress! + done, block.count - done, 0) }
                guard count > 0 else { break }
                done += count
            }
        }
        #expect(reading.wait() == 50_000_000)
        let traffic = bench.reader.interface(0).received
        #expect(traffic.bytes > 50_000_000)
        // A frame of 64 KiB counts as the packets that it is cut into.
        #expect(traffic.bytes < 1_600 * traffic.packets)
        print("engine: VmRSS \(status(engine.process.pid)["VmRSS"] ?? "?") after 50 MB of TCP, 2 workers")
    }

    @Test func echoAndErrorsComeFromTheEngineAsTheKernelExpects() throws {
        let bench = try EngineBench()
        let engine = try bench.start()
        _ = engine
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        // Nobody serves it: the customer's kernel hears of it, and tells those who want to know.
        var one: Int32 = 1
        setsockopt(client, Int32(IPPROTO_IP), IP_RECVERR, &one, 4)
        _ = EngineBench.with(EngineBench.socketAddress("203.0.113.99", 7)) { connect(client, $0, $1) }
        #expect(send(client, "x", 1, 0) == 1)
        var byte: UInt8 = 0
        #expect(recv(client, &byte, 1, 0) == -1)
        #expect(errno == ENETUNREACH)
        #expect(bench.reader.drops(.noService) >= 1)
    }
}

/// A thread that reads from a socket until it has enough.
private final class Reading: @unchecked Sendable {
    private let socket: Int32
    private let wanted: Int
    private var total = 0
    private var thread = pthread_t()

    init(_ socket: Int32, _ wanted: Int) {
        self.socket = socket
        self.wanted = wanted
        let context = Unmanaged.passRetained(self).toOpaque()
        pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Reading>.fromOpaque(context!).takeRetainedValue().read()
                return nil
            }, context)
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while total < wanted {
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            total += count
        }
    }

    func wait() -> Int {
        pthread_join(thread, nil)
        return total
    }
}
