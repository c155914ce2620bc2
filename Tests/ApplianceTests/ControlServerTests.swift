import Foundation
import Plan
import Testing

@testable import Appliance
@testable import ControlAPI
@testable import EventLoop
@testable import Reporting

/// A control socket whose every bound is small, and callers of all kinds.
@Suite("Hostile callers of a control socket", .serialized)
struct ControlServerTests {
    /// Octets of the name in a long answer.
    static let longName = 1 << 20

    /// A server in a folder of its own.
    final class Bench {
        let folder: URL
        let loop: EventLoop
        let server: ControlServer
        let events = EventLog()
        private let reports = Box<[String]>([])
        /// Requests whose answer is kept back.
        let kept = Box<[ControlReply<ChangeReport>]>([])
        /// Descriptors that were closed while they were watched.
        let closed = Box<[Int32]>([])
        /// Requests in the order in which they were answered.
        let asked = Box<[ControlRequest]>([])

        init(_ change: (inout ControlServer.Bounds) -> Void = { _ in }) throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(UUID().uuidString)")
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            var bounds = ControlServer.Bounds()
            change(&bounds)
            let loop = try EventLoop()
            let (events, kept, asked, reports, path) = (events, kept, asked, reports, folder.path + "/s")
            loop.sync { [closed] in loop.closedUnderWatch = { closed.value.append($0) } }
            server = try loop.sync { [bounds] () throws(ApplianceError) in
                try ControlServer(
                    loop: loop, path: path, bounds: bounds, report: { reports.value.append($0) },
                    stream: { events.stream($0) },
                    answer: { request, lines in
                        asked.value.append(request)
                        switch request {
                        // One that takes its time.
                        case .apply(let command): kept.value.append(lines.reply(to: command))
                        // One with a long answer.
                        case .tables(let command):
                            let name = String(repeating: "x", count: ControlServerTests.longName)
                            lines.reply(to: command)(TableListing(name: name, distribution: [], sequencing: []))
                        case .cancel(let command): lines.reply(to: command)(CancelReport(isUnderWay: false))
                        case .stop(let command): lines.reply(to: command)(Done())
                        case .events(let command): lines.reply(to: command)([])
                        default: lines.reply(to: CancelRequest())(CancelReport(isUnderWay: false))
                        }
                    })
            }
            self.loop = loop
            let server = Box(server)
            events.listen {
                loop.submit { server.value.pump() }
            }
        }

        deinit {
            loop.sync { [server] in server.close() }
            try? FileManager.default.removeItem(at: folder)
        }

        var reported: [String] { loop.sync { [reports] in reports.value } }
        func requests() -> [ControlRequest] { loop.sync { [asked] in asked.value } }
        func connect() throws -> Caller { try Caller(folder.path + "/s") }
    }

    /// An answer to `apply`.
    private static let nothing = ChangeReport(changes: [], entries: 0, kept: 0, time: .zero)

    @Test("those who ask for nothing lock nobody out: the oldest goes, and is told why")
    func quiet() throws {
        let bench = try Bench { $0.quiet = 8 }
        let idle = try (0..<8).map { _ in try bench.connect() }
        let ninth = try bench.connect()
        ninth.ask("cancel")
        #expect(try ninth.hearsCancel())
        let summary = try #require(try idle[0].error())
        #expect(
            summary.message == "8 other connections to the control process send no request, so this connection was "
                + "closed in favour of another")
        #expect(idle[0].line() == nil)
        // Who has sent what is read only now is no idle one.
        idle[1].ask("cancel")
        let later = try (0..<3).map { _ in try bench.connect() }
        #expect(try idle[1].hearsCancel())
        #expect(later.count == 3)
    }

    @Test("a line that does not come to its end in time is given up, however its octets dribble")
    func dribble() throws {
        let bench = try Bench { $0.firstLine = .milliseconds(600) }
        let caller = try bench.connect()
        let text = Array("{\"version\":2,\"command\":\"cancel\"".utf8)
        var place = 0
        while caller.say([text[place % text.count]]), place < 400 {
            place += 1
            usleep(10_000)
        }
        #expect(place < 400)
        let summary = try caller.error()?.message
        #expect(summary == "no whole request came for 600 ms: the connection was closed")
        #expect(caller.line() == nil)
        try CommandLineRun.eventually("the log tells") { bench.reported.contains { $0.contains("asked for nothing") } }
        // An octet a piece is no harm where the line comes to its end.
        let patient = try bench.connect()
        for octet in text + Array("}\n".utf8) { patient.say([octet]) }
        #expect(try patient.hearsCancel())
    }

    @Test("a line without an end is refused, and takes no memory")
    func endless() throws {
        let bench = try Bench()
        let caller = try bench.connect()
        let piece = [UInt8](repeating: 120, count: 4096)
        var said = 0
        while said < 1 << 20, caller.say(piece) { said += piece.count }
        // What was in the socket when it was closed may take its last word with it.
        #expect(said < 1 << 20)
        try CommandLineRun.eventually("the log tells") { bench.reported.contains { $0.contains("without an end") } }
    }

    @Test("so many streams and no more; one that nobody reads goes for another, and the log tells")
    func streams() throws {
        let bench = try Bench {
            $0.streams = 4
            $0.stall = .milliseconds(500)
        }
        let followers = try (0..<4).map { _ in try bench.connect() }
        for follower in followers { follower.ask("events", ",\"follow\":true") }
        // Each gets what happens, so each is a stream.
        bench.events.append(ApplianceEvent(.checkFailed, reason: "first"))
        for follower in followers { #expect(try follower.answer(EventsRequest.self)?.first?.reason == "first") }
        let fifth = try bench.connect()
        fifth.ask("events", ",\"follow\":true")
        #expect(try fifth.error()?.message == "4 others already follow events or capture frames")
        // More than a socket holds, three of them read it.
        let halt = RaisedFlag()
        for _ in 0..<3000 {
            bench.events.append(ApplianceEvent(.checkFailed, reason: String(repeating: "y", count: 900)))
        }
        let read = followers.dropFirst().map(\.descriptor)
        let reader = Thread {
            while !halt.wait(atMost: .zero) {
                for descriptor in read where pollOne(descriptor, POLLIN, within: .milliseconds(1)) {
                    _ = readOnce(descriptor, limit: 1 << 20)
                }
            }
        }
        reader.start()
        try CommandLineRun.eventually("a place is free") {
            let next = try bench.connect()
            next.ask("events", ",\"follow\":true,\"count\":1")
            return try next.answer(EventsRequest.self) != nil
        }
        halt.raise()
        try CommandLineRun.eventually("the log tells") {
            bench.reported.contains { $0.contains("did not read their events") }
        }
    }

    @Test("stop is heard whatever the others do")
    func stop() throws {
        let bench = try Bench {
            $0.quiet = 8
            $0.asking = 4
            $0.streams = 4
        }
        let idle = try (0..<8).map { _ in try bench.connect() }
        let streams = try (0..<4).map { _ in try bench.connect() }
        for stream in streams { stream.ask("events", ",\"follow\":true") }
        let asking = try (0..<4).map { _ in try bench.connect() }
        for caller in asking { caller.ask("apply") }
        try CommandLineRun.eventually("all are asked") { bench.loop.sync { bench.kept.value.count } == 4 }
        let late = try bench.connect()
        late.ask("apply")
        #expect(
            try late.error()?.message
                == "4 other requests are under way, or their answers are not read yet")
        bench.loop.sync { for reply in bench.kept.value.prefix(2) { reply(Self.nothing) } }
        // Eight more, each with a hundred long answers to make, and a flood of connections.
        let greedy = try (0..<8).map { _ in try bench.connect() }
        for caller in greedy { for _ in 0..<100 { caller.ask("tables") } }
        let halt = RaisedFlag()
        let flood = Thread { [folder = bench.folder.path] in
            while !halt.wait(atMost: .zero) { if let caller = try? Caller(folder + "/s") { caller.say("{") } }
        }
        flood.start()
        defer { halt.raise() }
        let caller = try bench.connect()
        caller.ask("stop")
        #expect(try caller.answer(StopRequest.self) != nil)
        let before = bench.requests().prefix { $0.name != .stop }
        #expect(before.count < 100, "\(before.count) others were answered before it")
        #expect(idle.count == 8 && streams.count == 4 && asking.count == 4)
    }

    @Test("one connection's requests wait for another's turn")
    func turns() throws {
        let bench = try Bench()
        let first = try bench.connect()
        let second = try bench.connect()
        let lines = String(repeating: "{\"version\":2,\"command\":\"cancel\"}\n", count: 500)
        // On the loop's thread nothing is taken meanwhile: both have said all when it begins.
        bench.loop.sync {
            first.say(lines)
            second.ask("events")
        }
        for _ in 0..<500 { #expect(try first.hearsCancel()) }
        #expect(try second.answer(EventsRequest.self) != nil)
        let place = try #require(bench.requests().firstIndex { $0.name == .events })
        #expect(place < 10, "after \(place) of the other's")
    }

    @Test("answers that nobody reads are bounded, and their connections closed; the others are answered meanwhile")
    func unread() throws {
        let bench = try Bench {
            $0.held = 4 << 20
            $0.stall = .seconds(3)
        }
        let lazy = try (0..<20).map { _ in try bench.connect() }
        for caller in lazy { for _ in 0..<50 { caller.ask("tables") } }
        let other = try bench.connect()
        other.ask("cancel")
        switch try #require(try other.next(CancelRequest.self)) {
        case .answer(let answer): #expect(!answer.isUnderWay)
        case .error(let error), .crowded(let error):
            #expect(error.message.contains("of answers wait for programs"))
        case .progress(let progress): Issue.record("\(progress)")
        }
        // Each answer is a mebioctet: so many, and one more, are made.
        #expect(bench.requests().count { $0.name == .tables } <= 8)
        try CommandLineRun.eventually("they are closed") {
            bench.reported.contains { $0.contains("did not read their answers") }
        }
        try CommandLineRun.eventually("others are answered as ever") {
            let next = try bench.connect()
            next.ask("tables")
            return try next.answer(TablesRequest.self)?.name.count == Self.longName
        }
        #expect(lazy.count == 20)
    }

    @Test("an answer that comes late goes to nobody else")
    func late() throws {
        let bench = try Bench()
        do {
            let gone = try bench.connect()
            gone.ask("apply")
            try CommandLineRun.eventually("it is asked") { bench.loop.sync { bench.kept.value.count } == 1 }
        }
        // The next one gets the descriptor of the one that is gone.
        usleep(50_000)
        let next = try bench.connect()
        next.ask("cancel")
        #expect(try next.hearsCancel())
        bench.loop.sync { bench.kept.value[0](Self.nothing) }
        next.ask("cancel")
        #expect(try next.hearsCancel())
        #expect(bench.loop.sync { bench.closed.value }.isEmpty)
    }

    @Test("half a connection is enough to be answered")
    func halfClosed() throws {
        let bench = try Bench()
        let caller = try bench.connect()
        caller.ask("cancel")
        caller.ask("apply")
        shutdown(caller.descriptor, Int32(SHUT_WR))
        #expect(try caller.hearsCancel())
        try CommandLineRun.eventually("it is asked") { bench.loop.sync { bench.kept.value.count } == 1 }
        bench.loop.sync { bench.kept.value[0](Self.nothing) }
        #expect(try caller.answer(ApplyRequest.self) != nil)
        #expect(caller.line() == nil)
    }

    @Test("every line that is no request is answered by one, and the loop lives")
    func garbage() throws {
        let bench = try Bench()
        let caller = try bench.connect()
        for line in RequestExtremes.lines where !line.contains(10) && line.count < 60_000 {
            let text = String(decoding: line, as: UTF8.self)
            guard !text.contains("\"apply\""), !text.contains("\"tables\"") else { continue }
            #expect(caller.say(line + [10]))
            let answer = try #require(caller.line(), "\(text.prefix(200))")
            #expect(try JSONLine.decode(ControlVersion.self, answer).version == ControlProtocol.version)
        }
        #expect(bench.requests().count > 100)
    }

    @Test("the socket is closed to others, and what others own is not used")
    func modes() throws {
        let bench = try Bench()
        var info = stat()
        #expect(lstat(bench.folder.path + "/s", &info) == 0 && info.st_mode & 0o7777 == 0o600)
        let open = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: open, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o777])
        defer { try? FileManager.default.removeItem(at: open) }
        func serve() throws {
            try bench.loop.sync {
                let server = try ControlServer(
                    loop: bench.loop, path: open.path + "/s", stream: { _ in nil }, answer: { _, _ in })
                server.close()
            }
        }
        // A folder of ours is closed; one of somebody else is refused.
        try serve()
        #expect(lstat(open.path, &info) == 0 && info.st_mode & 0o7777 == 0o700)
        guard isRoot else { return }
        #expect(chown(open.path, 65534, 65534) == 0)
        let error = #expect(throws: ApplianceError.self) { try serve() }
        #expect(error?.message.contains("belongs to the user of number 65534") == true)
    }

    @Test("another user is told that it is not heard", .enabled(if: isRoot))
    func peers() throws {
        let bench = try Bench()
        chmod(bench.folder.path, 0o755)
        chmod(bench.folder.path + "/s", 0o777)
        let result = try CommandLineRun.shell(
            """
            python3 -c '
            import os, socket, sys
            os.setuid(65534)
            s = socket.socket(socket.AF_UNIX)
            s.connect(sys.argv[1])
            try: s.send(b"{\\"version\\":2,\\"command\\":\\"stop\\"}\\n")
            except BrokenPipeError: pass
            print(s.recv(4096).decode())
            try: print("rest", s.recv(4096))
            except ConnectionResetError: print("rest", None)' \(bench.folder.path)/s
            """)
        #expect(
            result.output.contains("only answers root and its own user, not the user with number 65534"), "\(result)")
        #expect(result.output.contains("rest b''") || result.output.contains("rest None"), "\(result)")
        #expect(bench.requests().isEmpty)
        let own = try bench.connect()
        #expect(SocketPeer(own.descriptor)?.pid == getpid() && SocketPeer(own.descriptor)?.uid == geteuid())
    }
}
