import CLinux
import Engine
import Forwarding
import Foundation
import LinuxNetwork
import Testing

/// The list of system calls that a confined engine may make, beside a trace of those that it makes.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root")) struct SystemCallTests {
    /// What the list has for machines and moments that the trace does not meet; calls.c says why, at each.
    static let unseen: Set<Int> = {
        var unseen: Set = [Int(SYS_brk), Int(SYS_gettid), Int(SYS_clock_gettime), Int(SYS_restart_syscall)]
        #if arch(x86_64)
            unseen.insert(Int(SYS_poll))
        #else
            unseen.insert(Int(SYS_ppoll))
        #endif
        return unseen
    }()

    /// The numbers of the calls that each line of a trace from the filter on tells of.
    ///
    /// - Parameter text: As `strace -f -n` writes it: `PID [NUMBER] name(…`.
    private static func calls(_ text: String) -> (confined: Bool, numbers: Set<Int>) {
        var numbers: Set<Int> = []
        var isConfined = false
        for line in text.split(separator: "\n") {
            if line.contains("SECCOMP_SET_MODE_FILTER") {
                isConfined = true
                continue
            }
            guard isConfined, !line.contains(" resumed>"), let open = line.firstIndex(of: "["),
                let close = line[open...].firstIndex(of: "]"),
                let number = Int(line[line.index(after: open)..<close].filter { $0 != " " })
            else { continue }
            numbers.insert(number)
        }
        return (isConfined, numbers)
    }

    /// Delays what comes from interface 0, so that the engine waits for less than whole milliseconds.
    private static func impair(_ engine: EngineBench.Running) throws {
        var impairment = Impairment()
        impairment.delay = .microseconds(1_300)
        let place = ImpairedPlace(interface: 0, direction: .fromNodes)
        let bytes = try ImpairmentSet.bytes(
            [ImpairedLinkOrder(places: [place], impairment: impairment, slot: 0, stream: 0, epoch: 1)], interfaces: 2)
        let links = try bytes.withUnsafeBytes { try SharedMapping.makeTable($0) }
        let counters = try SharedMapping.makeImpairmentCounters(blocks: 2)
        defer {
            close(links)
            close(counters)
        }
        try engine.link.impair(
            EngineLink.Memory(descriptor: links, size: bytes.count),
            counters: EngineLink.Memory(descriptor: counters, size: ImpairmentCounters.size(blocks: 2)), firstBlock: 0,
            number: 1)
        #expect(try engine.link.receive() == .impaired(1, refusal: nil))
    }

    /// Runs an engine of some kind under load, from its start to its end, and returns the calls that it made when confined.
    private static func trace(_ writing: EngineTuning.Writing, workers: Int) throws -> Set<Int> {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("calls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("trace").path
        let bench = try EngineBench(workers: workers)
        var tuning = EngineTuning()
        tuning.writing = writing
        let engine = try bench.start(tuning: tuning, launcher: ["/usr/bin/strace", "-f", "-n", "-qq", "-o", path])
        // Datagrams, some of them in fragments, to a service and to none; answers; echo; neighbours that nobody is.
        let server = try bench.socket(1, SOCK_DGRAM)
        defer { close(server) }
        _ = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 7)) { bind(server, $0, $1) }
        let client = try bench.socket(0, SOCK_DGRAM)
        defer { close(client) }
        // The memory of one worker's waiting frames has room beside the tables, without a higher limit.
        if workers == 1 { try impair(engine) }
        var peer = EngineBench.socketAddress(EngineBench.service, 7)
        var isThere = 0
        for round in 0..<3 {
            for length in [8, 1_400, 4_000] {
                let data = [UInt8](repeating: 1, count: length)
                for address in [
                    peer, EngineBench.socketAddress("203.0.113.99", 7), EngineBench.socketAddress("192.0.2.77", 7),
                ] {
                    _ = EngineBench.with(address) { address, size in
                        Int32(sendto(client, data, length, 0, address, size))
                    }
                }
                var buffer = [UInt8](repeating: 0, count: 8_192)
                var from = sockaddr_in()
                var size = socklen_t(MemoryLayout<sockaddr_in>.size)
                let count = withUnsafeMutablePointer(to: &from) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        recvfrom(server, &buffer, 8_192, 0, $0, &size)
                    }
                }
                guard count == length else { continue }
                isThere += 1
                _ = EngineBench.with(from) { address, size in Int32(sendto(server, buffer, count, 0, address, size)) }
                _ = recv(client, &buffer, 8_192, 0)
            }
            // Another table, larger counters, groups alone, one that is none.
            let generation = UInt64(round + 2)
            let (table, size) = try bench.makeTable(generation)
            let layout = CounterLayout(workers: workers * 2, interfaces: 2, entries: 300 * (round + 1))
            let counters = try SharedMapping.makeCounters(layout)
            defer { close(counters) }
            try engine.link.publish(
                table: EngineLink.Memory(descriptor: table, size: size), generation: generation,
                counters: (counters, layout))
            #expect(try engine.link.receive() == .applied(generation: generation))
            let none = try [UInt8](repeating: 0xFF, count: 4_096).withUnsafeBytes { try SharedMapping.makeTable($0) }
            defer { close(none) }
            try engine.link.publish(table: EngineLink.Memory(descriptor: none, size: 4_096), generation: 99)
            if case .refused = try engine.link.receive() {} else { Issue.record("it was taken") }
            try engine.link.ping(generation)
            #expect(try engine.link.receive() == .alive(generation))
            try engine.assign(QueueSets())
            try engine.assign(QueueSets(0..<workers))
        }
        peer.sin_port = 0
        #expect(isThere > 0)
        try engine.link.stop()
        #expect(try engine.link.receive() == nil)
        #expect(try engine.process.wait() == .exited(0))
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let found = calls(text)
        #expect(found.confined, "\(text.suffix(4_000))")
        return found.numbers
    }

    @Test func theListIsWhatATraceShows() throws {
        var seen: Set<Int> = []
        for writing in [EngineTuning.Writing.plain, .ring] {
            for workers in [1, 2] {
                let numbers = try Self.trace(writing, workers: workers)
                var count = 0
                let list = clinux_engine_calls(writing == .ring ? 1 : 0, &count)
                let allowed = Set((0..<count).map { Int(list![$0].number) })
                #expect(numbers.subtracting(allowed) == [], "the list lacks calls that the engine makes")
                seen.formUnion(numbers)
            }
        }
        var count = 0
        let list = clinux_engine_calls(1, &count)
        let allowed = Set((0..<count).map { Int(list![$0].number) })
        #expect(
            allowed.subtracting(seen).subtracting(Self.unseen) == [], "the list has calls that the engine does not make"
        )
        #expect(Self.unseen.isSubset(of: allowed))
    }

    /// Each guard of an argument, tried in a child under the engine's own filter.
    @Test func argumentsAreGuarded() throws {
        func outcome(_ call: @escaping @convention(c) () -> Void) throws -> ProcessExit {
            let pid = clinux_fork()
            if pid == 0 {
                var count = 0
                let list = clinux_engine_calls(0, &count)
                if clinux_confine(list, count) != 0 { _exit(9) }
                call()
                _exit(0)
            }
            return try Pidfd(pid: pid).wait()
        }
        let killed = ProcessExit.signalled(SIGSYS)
        // What the engine does.
        #expect(try outcome {} == .exited(0))
        #expect(try outcome { _ = clinux_memfd_seals(0) } == .exited(0))
        #expect(
            try outcome { _ = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) }
                == .exited(0))
        // What it does not.
        #expect(try outcome { _ = clinux_set_nonblocking(0) } == killed)
        #expect(try outcome { _ = clinux_correct_flags(0) } == killed)
        #expect(try outcome { _ = clinux_duplicate(0) } == killed)
        #expect(
            try outcome { _ = mmap(nil, 4_096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) } == killed)
        #expect(try outcome { _ = mmap(nil, 4_096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | 0x40000, -1, 0) } == killed)
        #expect(try outcome { _ = mprotect(nil, 0, PROT_READ | PROT_EXEC) } == killed)
        #expect(try outcome { _ = madvise(nil, 0, MADV_REMOVE) } == killed)
        #expect(
            try outcome {
                var message = msghdr(); _ = recvmsg(-1, &message, 0)
            } == killed)
        #expect(
            try outcome {
                var message = msghdr(); _ = sendmsg(-1, &message, Int32(MSG_NOSIGNAL))
            } == killed)
        #expect(try outcome { _ = send(-1, "", 1, 0) } == killed)
        #expect(try outcome { _ = clinux_fork() } == killed)
        #expect(try outcome { _ = clinux_own_descriptors() } == killed)
        #expect(try outcome { _ = kill(1, 0) } == killed)
        #expect(try outcome { _ = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) } == killed)
    }
}
