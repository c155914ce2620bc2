import Engine
import Foundation
import Testing

@testable import Appliance
@testable import ControlAPI
@testable import Nodes
@testable import Reporting

/// Hostile callers of a whole topology: whatever they say, it lives and answers, and `down` is heard.
@Suite("Hostile callers of a topology", .enabled(if: isRoot), .serialized)
struct HostileCallerTests {
    /// A topology that is up.
    private func up() throws -> ScratchTopology {
        let topology = try ScratchTopology(small: nil)
        let result = try CommandLineRun.run("up", "-d", topology.file)
        try #require(result.status == 0, "\(result)")
        return topology
    }

    private func caller(_ topology: ScratchTopology) throws -> ControlServerTests.Caller {
        try ControlServerTests.Caller("/run/tapline/\(topology.name)/control.sock")
    }

    @Test("every extreme in every field of every command leaves the topology as it was")
    func extremes() throws {
        let topology = try up()
        let pid = try topology.controlProcess()
        var caller = try caller(topology)
        var answered = 0
        for line in RequestExtremes.lines where !line.contains(10) {
            if line.count >= 60_000 { caller = try self.caller(topology) }
            #expect(caller.say(line + [10]))
            // What is longer than a request is told and closed.
            guard let version = try answeredVersion(caller) else {
                #expect(line.count > 60_000, "no answer to \(String(decoding: line.prefix(300), as: UTF8.self))")
                caller = try self.caller(topology)
                continue
            }
            answered += 1
            #expect(version == 2)
        }
        #expect(answered > 1000)
        #expect(try topology.controlProcess() == pid)
        #expect(try topology.echo())
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    @Test(
        "a node cannot speak with the control process, whatever it unmounts, nor can what lives in a PID namespace below"
    )
    func nodes() throws {
        let topology = try up()
        let pid = try topology.controlProcess()
        let stop = """
            import socket, sys
            for path in sys.argv[1:]:
                s = socket.socket(socket.AF_UNIX)
                try:
                    s.connect(path)
                    try: s.sendall(b'{"version":2,"command":"stop"}\\n')
                    except BrokenPipeError: pass  # It is sent away before it has asked.
                    print("heard:", s.recv(9000).decode())
                except OSError as problem: print("no way:", problem)
            """
        let file = topology.folder.appendingPathComponent("stop.py").path
        try stop.write(toFile: file, atomically: true, encoding: .utf8)
        let path = "/run/tapline/\(topology.name)/control.sock"
        // Where /run is no file system of its own, it is there again below what covers it.
        let inside = try CommandLineRun.shell(
            "\(CommandLineRun.tapline) exec \(topology.name) alice -- sh -c "
                + "'while umount -l /run 2>/dev/null; do :; done; python3 \(file) \(path)'")
        #expect(
            inside.output.contains("no way") || inside.output.contains("does not answer processes in nodes"),
            "\(inside)")
        let below = try CommandLineRun.shell("unshare --pid --fork python3 \(file) \(path)")
        #expect(below.output.contains("does not answer processes in nodes"), "\(below)")
        let beside = try CommandLineRun.run("status", topology.name)
        #expect(beside.status == 0 && !isDying(pid), "\(beside)")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    /// The version that the last of the lines that answer one request bears.
    private func answeredVersion(_ caller: ControlServerTests.Caller) throws -> Int? {
        while let line = caller.line() {
            let answer = try JSONLine.decode(ControlAnswer<ControlServerTests.AnyAnswer>.self, line)
            if case .progress = answer { continue }
            return try JSONLine.decode(ControlVersion.self, line).version
        }
        return nil
    }

    @Test("numbers that are none of an engine's, an instance's or a time's are refused on the command line")
    func commandLine() throws {
        for words in [
            ["engine", "replace", "x", "--", "-9223372036854775808"], ["engine", "drain", "x", "0"],
            ["engine", "undrain", "x", "257"], ["engine", "replace", "x", "9223372036854775808"],
            ["weight", "x", "y", "--", "-9223372036854775808"], ["weight", "x", "y", "1001"],
            ["events", "x", "--count", "9223372036854775807"], ["events", "x", "--count=-1"],
            ["events", "x", "--since", "9223372036854775807"], ["events", "x", "--since=-1"],
            ["drain", "x", "y", "--for", "9223372036854775807s"], ["apply", "x", "--drain", "99999999999999999999h"],
            ["remove", "x", "y", "--drain=-1s"],
        ] {
            let result = try CommandLineRun.shell(([CommandLineRun.tapline] + words).joined(separator: " "))
            #expect(result.status == 64, "\(words): \(result)")
        }
        let result = try CommandLineRun.run("engine", "replace", "x", "--", "-9223372036854775808")
        #expect(result.errors.contains("An engine's number is 1 to 256"), "\(result)")
    }

    @Test("however many connections there are, commands are answered, and down is heard")
    func crowd() throws {
        let topology = try up()
        let idle = try (0..<200).map { _ in try caller(topology) }
        #expect(try CommandLineRun.run("status", topology.name).status == 0)
        // Followers that read nothing take the places of followers, and no others.
        let followers = try (0..<80).map { _ in try caller(topology) }
        for follower in followers { follower.ask("events", ",\"follow\":true") }
        let refused = try CommandLineRun.run("events", topology.name, "-f")
        #expect(
            refused.status == 2 && refused.errors.contains("others already follow events or capture frames"),
            "\(refused)")
        // A caller that connects and half-asks as fast as it can.
        let flood = try CommandLineRun.Started([
            "/usr/bin/python3", "-c",
            """
            import socket, sys
            held = []
            for _ in range(200000):
                s = socket.socket(socket.AF_UNIX)
                try:
                    s.connect(sys.argv[1])
                    s.send(b'{"version":2,')
                except OSError: break
                held = (held + [s])[-300:]
            """, "/run/tapline/\(topology.name)/control.sock",
        ])
        defer {
            flood.signal(SIGKILL)
            _ = flood.finish()
        }
        let status = try CommandLineRun.run("status", topology.name, "--json")
        #expect(status.status == 0 && status.output.contains("\"up\""), "\(status)")
        let greedy = try (0..<20).map { _ in try caller(topology) }
        for caller in greedy { for _ in 0..<200 { caller.ask("tables") } }
        let tables = try CommandLineRun.run("tables", topology.name)
        #expect(tables.status == 0 && tables.output.contains("shop"), "\(tables)")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
        #expect(idle.count == 200 && followers.count == 80 && greedy.count == 20)
    }

    @Test("a socket of another user is not asked, and a server of another version is named")
    func impostors() throws {
        let name = "t\(UInt32.random(in: 0...UInt32.max))"
        let folder = "/run/tapline/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer {
            try? FileManager.default.removeItem(atPath: folder)
            rmdir("/run/tapline")
        }
        try """
        import os, socket, sys, threading
        s = socket.socket(socket.AF_UNIX)
        s.bind(sys.argv[1] + "/control.sock")
        if sys.argv[2] == "nobody": os.setuid(65534)
        s.listen()
        print("listening", flush=True)
        while True:
            c = s.accept()[0]
            c.recv(4096)
            c.send(b'{"version":3,"release":"9.9.9","news":[]}\\n')
        """.write(toFile: folder + "/impostor.py", atomically: true, encoding: .utf8)
        for (user, summary) in [
            ("nobody", "the user of number 65534 listens at"),
            ("root", "is tapline 9.9.9 (protocol 3), but this is tapline \(Release.version) (protocol 2)"),
        ] {
            unlink(folder + "/control.sock")
            let impostor = try CommandLineRun.Started(["/usr/bin/python3", folder + "/impostor.py", folder, user])
            defer {
                impostor.signal(SIGKILL)
                _ = impostor.finish()
            }
            try CommandLineRun.eventually("it listens") { impostor.text().contains("listening") }
            let asked = try CommandLineRun.run("events", name)
            #expect(asked.status == 2 && asked.errors.contains(summary), "\(user): \(asked)")
        }
        chown(folder + "/control.sock", 65534, 65534)
        let asked = try CommandLineRun.run("status", name)
        #expect(asked.status == 2 && asked.errors.contains("the user of number 65534 owns"), "\(asked)")
    }
}
