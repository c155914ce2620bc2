import Engine
import Forwarding
import Foundation
import Logging
import Plan
import Testing
import Wire

@testable import Appliance
@testable import ControlAPI
@testable import EngineControl
@testable import EventLoop
@testable import Reporting

/// A fleet of programs that speak the engines' protocol and misbehave as they are told: what real engines do not do.
@Suite(.serialized) struct EngineFleetTests {
    /// A program that says what an engine says, notes what it is told, and looks for files beside it that say otherwise.
    static let program = """
        #!/usr/bin/python3
        import mmap, os, socket, struct, sys, time
        folder = os.path.dirname(os.path.abspath(sys.argv[0]))
        def told(what): return os.path.exists(f'{folder}/{what}')
        if told('broken'): sys.exit('it is broken')
        while told('slow'): time.sleep(0.02)
        control = socket.socket(fileno=3)
        def say(kind, *fields, text=b''):
            words = list(fields) + [0] * (8 - len(fields))
            control.send(struct.pack('<IHH8QH438s', 0x4C504154, \(ControlMessage.version), kind, *words, len(text), text))
        def misbehave():
            # Each once, by whoever is told first.
            try:
                what = open(f'{folder}/breach').read()
                os.unlink(f'{folder}/breach')
            except OSError: return
            magic, version = 0x4C504154, \(ControlMessage.version)
            match what.split():
                case ['again', count]:
                    for _ in range(int(count)): say(7, os.getpid(), 0, 1, 2, generation, 1)
                case ['say', kind, field, *text]: say(int(kind), int(field), text=' '.join(text).encode())
                case ['descriptors']:
                    message = struct.pack('<IHH8QH438s', magic, version, 11, 1, *[0] * 7, 0, b'')
                    socket.send_fds(control, [message], [0, 1, 2] * 30)
                case ['short']: control.send(b'TAPL')
                case ['empty']: control.send(b'')
                case ['long']: control.send(b'x' * 5000)
                case ['random']: control.send(os.urandom(512))
                case ['fill']:
                    # All that is behind the header: counters, and neighbours and what drains.
                    counters[4096:] = b'\\xff' * (len(counters) - 4096)
                    neighbours[:] = os.urandom(len(neighbours))
                case ['header']:
                    counters[0:4096] = b'\\xff' * 4096
                    neighbours[0:64] = b'\\xff' * 64
        log = open(f'{folder}/log', 'a', buffering=1)
        counters = None
        def note_writing():
            try: words = [int(word) for word in open(f'{folder}/writing').read().split()]
            except OSError: return
            stride, = struct.unpack_from('<Q', counters, 48)
            struct.pack_into('<QQ', counters, 4096 + lane * stride + 24, *words)
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 512, 253)
            if not message: break
            if counters is None and descriptors:
                counters, neighbours = (mmap.mmap(descriptor, 0) for descriptor in descriptors[:2])
            for descriptor in descriptors: os.close(descriptor)
            kind, *fields = struct.unpack('<6xH8Q', message[:72])
            size, = struct.unpack('<H', message[72:74])
            if kind == 1:
                lane, generation, left = fields[6], fields[3], fields[0] * fields[1]
            elif kind == 2:
                left -= size
                if left == 0 and told('broken'): sys.exit(3)
                if left == 0: say(7, os.getpid(), 0, 1, 2, generation, 1)
            elif kind == 3:
                log.write(f'{lane} {"patch" if fields[4] else "table" if fields[1] else "groups"} {fields[0]}\\n')
                if lane == 0 and told('refuse'): say(9, fields[0], text=b'it does not like it')
                else: say(8, fields[0])
            elif kind == 4:
                log.write(f'{lane} reads {list(message[74:74 + size])}\\n')
                say(10, fields[0])
            elif kind == 5:
                note_writing()
                log.write(f'{lane} goes round\\n')
                misbehave()
                if not (lane == 0 and told('mute')): say(11, fields[0])
            elif kind == 6:
                sys.exit(0)
        """

    /// The fleet, its folder, and the thread that it lives on.
    final class Bench {
        let folder: URL
        let loop: EventLoop
        let fleet: EngineFleet
        /// What the fleet has told.
        let events = EventLog()
        /// Descriptors that were closed while they were watched.
        let closed = Box<[Int32]>([])
        private let queue: Int32

        init(engines: Int) throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-fleet-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let program = folder.appendingPathComponent("engine").path
            try EngineFleetTests.program.write(toFile: program, atomically: true, encoding: .utf8)
            chmod(program, 0o755)
            let loop = try EventLoop()
            let queue = open("/dev/null", O_RDWR)
            let (events, closed) = (events, closed)
            loop.sync { loop.closedUnderWatch = { closed.value.append($0) } }
            let plan = EnginesPlan(count: engines)
            let logPath = folder.appendingPathComponent("errors").path
            fleet = try loop.sync {
                try EngineFleet(
                    loop: loop, path: program, logPath: logPath,
                    logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, table: Self.table,
                    queues: [Array(repeating: queue, count: plan.queues)], plan: plan, record: { _ in },
                    events: { events.append($0) }, inspect: { _ in [] })
            }
            self.loop = loop
            self.queue = queue
            try wait { fleet, done in fleet.start(done) }
        }

        deinit {
            loop.sync { [fleet] in fleet.stop() }
            close(queue)
            try? FileManager.default.removeItem(at: folder)
        }

        static var table: ForwardingTable {
            ForwardingTable(
                interfaces: [TableInterface(name: "only", mac: MACAddress(bits: 0x02_00_00_00_00_01))])
        }

        /// Begins something on the loop's thread and waits for what comes of it.
        func wait(
            _ body: @escaping (EngineFleet, @escaping (Result<Void, ApplianceError>) -> Void) -> Void
        ) throws {
            let flag = RaisedFlag()
            let outcome = Box<Result<Void, ApplianceError>?>(nil)
            loop.sync { [fleet] in
                body(fleet) {
                    outcome.value = $0
                    flag.raise()
                }
            }
            flag.wait()
            try outcome.value?.get()
        }

        func status() throws -> [EngineFleet.EngineStatus] { loop.sync { [fleet] in fleet.status } }

        func tell(_ what: String, _ value: Bool) {
            let path = folder.appendingPathComponent(what).path
            if value { _ = FileManager.default.createFile(atPath: path, contents: nil) } else { unlink(path) }
        }

        /// What the programs note of how they write frames: 1 by io_uring, 2 one by one, and an errno.
        func noteWriting(_ words: String) throws {
            try words.write(to: folder.appendingPathComponent("writing"), atomically: true, encoding: .utf8)
        }

        /// Has one of the programs say something that it was not asked for, or write what no engine writes.
        func misbehave(_ how: String) throws {
            try how.write(to: folder.appendingPathComponent("breach"), atomically: true, encoding: .utf8)
        }

        /// What the programs have complained of.
        var errors: String { (try? String(contentsOf: folder.appendingPathComponent("errors"), encoding: .utf8)) ?? "" }

        /// What has been told from a place on.
        func events(_ place: inout Int) -> [ApplianceEvent] { events.read(&place) }

        /// How often the first engine was asked whether it goes round, and said so.
        var pings: Int { log.count { $0 == "0 goes round" } }

        /// Why engines were said to write one by one.
        var complaints: [String?] {
            var place = events.place(since: nil, count: nil)
            return events.read(&place).filter { $0.event == .engineWritesPlainly }.map(\.reason)
        }

        /// What the programs were told, line by line.
        var log: [String] {
            let text = try? String(contentsOfFile: folder.appendingPathComponent("log").path, encoding: .utf8)
            return (text ?? "").split(separator: "\n").map(String.init)
        }

        func eventually(_ what: String, _ body: () throws -> Bool) throws {
            let deadline = Date().addingTimeInterval(30)
            while Date() < deadline {
                if try body() { return }
                usleep(10_000)
            }
            Issue.record("it did not come true: \(what)")
        }
    }

    @Test("where one engine refuses a table, all go back to the one before")
    func refusal() throws {
        let bench = try Bench(engines: 2)
        bench.tell("refuse", true)
        #expect(throws: ApplianceError.self) { try bench.wait { $0.publish(Bench.table, $1) } }
        try bench.eventually("the other one has the table before") { bench.log.contains("1 table 1") }
        bench.tell("refuse", false)
        try bench.wait { $0.publish(Bench.table, $1) }
        // The number of the one that was refused is not given again.
        for (lane, expected) in [("0", ["2", "3"]), ("1", ["2", "1", "3"])] {
            #expect(bench.log.filter { $0.hasPrefix("\(lane) table") } == expected.map { "\(lane) table \($0)" })
        }
        #expect(bench.loop.sync { bench.fleet.tables } == 1)
    }

    @Test("an engine that does not go round is given up, and its queue sets go back to the one that takes its place")
    func hang() throws {
        let bench = try Bench(engines: 2)
        let before = try bench.status()
        #expect(before.map(\.queueSets) == [[0], [1]])
        bench.tell("mute", true)
        try bench.eventually("the other one reads both") { bench.log.contains("1 reads [0, 1]") }
        bench.tell("mute", false)
        try bench.eventually("each reads its own") {
            let now = try bench.status()
            return now.map(\.queueSets) == [[0], [1]] && now[0].pid != before[0].pid
        }
        let after = try bench.status()
        #expect(after[0].lastEnd?.contains("made no progress") == true)
        #expect(after.map(\.starts).first.map { $0 >= 2 } == true)
        #expect(after[1].pid == before[1].pid)
    }

    @Test("how an engine writes frames is told, and once that it has to write them one by one")
    func writing() throws {
        let bench = try Bench(engines: 1)
        func shows(_ name: String, _ why: String?) throws -> Bool {
            let writing = try bench.status()[0].writing
            return writing?.name == name && writing?.why == why
        }
        #expect(try bench.status()[0].writing == nil)
        try bench.noteWriting("2 0")
        try bench.eventually("it writes one by one, as it was asked to") { try shows("write", nil) }
        let refused =
            "io_uring was refused: Function not implemented (the kernel is built without it, or a seccomp filter hides it)"
        try bench.noteWriting("2 38")
        try bench.eventually("it was refused io_uring") { try shows("write", refused) && !bench.complaints.isEmpty }
        try bench.noteWriting("1 0")
        try bench.eventually("it writes by io_uring") { try shows("io_uring", nil) }
        // With each question the fleet has looked: nothing new is told.
        let answered = bench.pings
        try bench.eventually("it is looked at again") { bench.pings >= answered + 3 }
        #expect(bench.complaints == [refused])
        try bench.noteWriting("2 5")
        try bench.eventually("io_uring failed later") { bench.complaints.count == 2 }
        #expect(try shows("write", "io_uring failed: Input/output error"))
        #expect(bench.complaints.last == "io_uring failed: Input/output error")
    }

    @Test("a table published while an engine starts is its own before it reads")
    func tableMeanwhile() throws {
        let bench = try Bench(engines: 2)
        bench.tell("slow", true)
        let pid = try #require(try bench.status()[0].pid)
        kill(pid, SIGKILL)
        try bench.eventually("another one starts") { try bench.status()[0].state == .starting }
        // It goes on when the table is on its way.
        try bench.wait { fleet, done in
            fleet.publish(Bench.table, done)
            bench.tell("slow", false)
        }
        try bench.eventually("it reads") { try bench.status()[0].queueSets == [0] }
        // The one before had written to lane 0, too.
        #expect(
            bench.log.filter { $0.hasPrefix("0 ") && $0 != "0 goes round" } == [
                "0 reads [0]", "0 table 2", "0 reads [0]",
            ])
    }

    @Test("other groups are handed over alone, and behind the table to an engine that starts later")
    func groups() throws {
        let bench = try Bench(engines: 2)
        for _ in 0..<2 { try bench.wait { $0.publish($0.compiled, groupsOnly: true, $1) } }
        for lane in 0..<2 { #expect(bench.log.contains("\(lane) groups 2") && bench.log.contains("\(lane) groups 3")) }
        #expect(!bench.log.contains { $0.contains("table") })
        // One that is refused goes back to the groups before; the table stays.
        bench.tell("refuse", true)
        #expect(throws: ApplianceError.self) { try bench.wait { $0.publish($0.compiled, groupsOnly: true, $1) } }
        try bench.eventually("the other one has the groups before") { bench.log.last == "1 groups 3" }
        bench.tell("refuse", false)
        // Its successor starts with the table, and has the groups before it reads.
        let pid = try #require(try bench.status()[0].pid)
        let before = bench.log.count
        kill(pid, SIGKILL)
        try bench.eventually("another one reads") {
            let now = try bench.status()[0]
            return now.pid != pid && now.queueSets == [0]
        }
        let later = bench.log[before...].filter { !$0.hasPrefix("1 ") && !$0.hasSuffix("goes round") }
        #expect(later.map { $0.split(separator: " ").dropFirst().joined(separator: " ") } == ["groups 3", "reads [0]"])
        // All of a new table.
        try bench.wait { $0.publish(Bench.table, $1) }
        #expect(bench.log.contains("1 table 5"))
    }

    @Test("for a moment nobody reads, and then each its own again")
    func pause() throws {
        let bench = try Bench(engines: 2)
        try bench.wait { fleet, done in fleet.pause { done(.success(())) } }
        #expect(bench.log.contains("0 reads []") && bench.log.contains("1 reads []"))
        #expect(try bench.status().map(\.queueSets) == [[], []])
        bench.loop.sync { bench.fleet.resume() }
        try bench.eventually("each reads its own") { try bench.status().map(\.queueSets) == [[0], [1]] }
    }

    @Test("a program that does not start replaces nobody")
    func brokenUpgrade() throws {
        for engines in [1, 2] {
            let bench = try Bench(engines: engines)
            let before = try bench.status()
            bench.tell("broken", true)
            #expect(throws: ApplianceError.self) { try bench.wait { $0.replace(engine: nil, $1) } }
            let after = try bench.status()
            #expect(after.map(\.pid) == before.map(\.pid))
            #expect(after.map(\.queueSets) == before.map(\.queueSets))
            bench.tell("broken", false)
            try bench.wait { $0.replace(engine: nil, $1) }
            #expect(Set(try bench.status().map(\.pid)).isDisjoint(with: before.map(\.pid)))
        }
    }

    @Test("one replacement at a time; what is no engine is not drained")
    func refusals() throws {
        let bench = try Bench(engines: 2)
        bench.tell("slow", true)
        let outcome = Box<Result<Void, ApplianceError>?>(nil)
        let flag = RaisedFlag()
        bench.loop.sync {
            bench.fleet.replace(engine: 1) {
                outcome.value = $0
                flag.raise()
            }
        }
        #expect(throws: ApplianceError.self) { try bench.wait { $0.replace(engine: 2, $1) } }
        #expect(try bench.status()[0].state == .replacing)
        bench.tell("slow", false)
        flag.wait()
        #expect(throws: Never.self) { try outcome.value?.get() }
        #expect(throws: ApplianceError.self) { try bench.wait { $0.drain(engine: 0, $1) } }
        #expect(throws: ApplianceError.self) { try bench.wait { $0.drain(engine: 3, $1) } }
        try bench.wait { $0.drain(engine: 1, $1) }
        #expect(throws: ApplianceError.self) { try bench.wait { $0.drain(engine: 2, $1) } }
        #expect(try bench.status().map(\.state) == [.drained, .running])
        try bench.loop.sync { try bench.fleet.undrain(engine: 1) }
        try bench.eventually("it reads again") { try bench.status().map(\.queueSets) == [[0], [1]] }
    }
}
