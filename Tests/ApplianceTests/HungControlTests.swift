import Foundation
import Testing

/// Control processes that do not answer hold up nobody but who asks for them by name, and those for two seconds.
@Suite("A control process that hangs", .enabled(if: isRoot))
struct HungControlTests {
    @Test("status lists the healthy and names the one that stands still; down takes both away")
    func standsStill() throws {
        let topology = try ScratchTopology(small: nil)
        let names = ["\(topology.name)-a", "\(topology.name)-b"]
        defer { for name in names { _ = try? CommandLineRun.run("down", name) } }
        for name in names {
            #expect(try CommandLineRun.run("up", "-d", topology.file, "--name", name).status == 0)
        }
        let pid = Int32(try #require(try CommandLineRun.json("status", names[0], "--json")["pid"] as? Int))
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        let listed = try CommandLineRun.run("status")
        #expect(listed.status == 0)
        let lines = listed.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(lines.first { $0[0] == names[0] }?[1] == "hung", "\(listed)")
        #expect(lines.first { $0[0] == names[1] }?[1] == "up", "\(listed)")
        #expect(listed.errors.contains("'\(names[0])', process \(pid), does not answer"), "\(listed)")
        for words in [
            ["status", names[0]], ["events", names[0]], ["tables", names[0]],
            ["exec", names[0], "alice", "--", "true"],
        ] {
            let asked = try CommandLineRun.shell(([CommandLineRun.tapline] + words).joined(separator: " "))
            #expect(asked.status == 2 && asked.errors.contains("does not answer"), "\(words): \(asked)")
        }
        let down = try CommandLineRun.run("down", names[0], names[1])
        #expect(down.status == 0, "\(down)")
        try topology.expectGone()
    }

    @Test("one that takes requests and dribbles octets is named, too")
    func dribbles() throws {
        try withFalseControl("b'{'") { name in
            let asked = try CommandLineRun.run("status", name)
            #expect(asked.status == 2 && asked.errors.contains("does not answer"), "\(asked)")
        }
    }

    /// A process that holds a topology's folder and sends everyone the same octets without end.
    private func withFalseControl(_ octets: String, _ body: (String) throws -> Void) throws {
        let name = "t\(UInt32.random(in: 0...UInt32.max))"
        let folder = "/run/tapline/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer {
            try? FileManager.default.removeItem(atPath: folder)
            rmdir("/run/tapline")
        }
        try """
        import fcntl, os, socket, sys, threading, time
        fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
        s = socket.socket(socket.AF_UNIX)
        s.bind(sys.argv[1] + "/control.sock")
        s.listen()
        print("listening", flush=True)
        def dribble(c):
            try:
                while True: c.send(\(octets)), time.sleep(0.001)
            except OSError: pass
        while True: threading.Thread(target=dribble, args=(s.accept()[0],), daemon=True).start()
        """.write(toFile: folder + "/dribble.py", atomically: true, encoding: .utf8)
        let dribbling = try CommandLineRun.Started(["/usr/bin/python3", folder + "/dribble.py", folder])
        defer {
            dribbling.signal(SIGKILL)
            _ = dribbling.finish()
        }
        try CommandLineRun.eventually("it listens") { dribbling.text().contains("listening") }
        try body(name)
    }

    @Test("one that answers what nobody can read hides no other from the list")
    func babbles() throws {
        let topology = try ScratchTopology(small: nil)
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        #expect(try CommandLineRun.run("up", "-d", topology.file, "--name", topology.name).status == 0)
        try withFalseControl("b'{\"x\":1}\\n'") { name in
            let listed = try CommandLineRun.run("status")
            #expect(listed.status == 0)
            let lines = listed.output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
            #expect(lines.first { $0[0] == topology.name }?[1] == "up", "\(listed)")
            #expect(lines.first { $0[0] == name }?[1] == "hung", "\(listed)")
            #expect(listed.errors.contains("a message is invalid"), "\(listed)")
        }
    }
}
