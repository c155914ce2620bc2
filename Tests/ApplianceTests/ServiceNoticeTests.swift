import Foundation
import Testing

/// What a service manager is told of `tapline up`, by a real datagram socket.
@Suite("A service manager", .enabled(if: isRoot))
struct ServiceNoticeTests {
    /// Starts `tapline up` with a socket, ends it with SIGTERM once it is ready, and prints each datagram.
    private static let manager = """
        import os, signal, socket, subprocess, sys
        name, program, file = sys.argv[1:]
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind("\\0" + name[1:] if name.startswith("@") else name)
        s.settimeout(0.2)
        p = subprocess.Popen([program, "up", file], env={**os.environ, "NOTIFY_SOCKET": name},
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            # Looked at before the socket: what the program sent before its end is read.
            ended = p.poll() is not None
            try: text = s.recv(65536).decode()
            except (TimeoutError, socket.timeout):
                if ended: break
                continue
            print(text.replace("\\n", " | "), flush=True)
            if text.startswith("READY=1"): p.send_signal(signal.SIGTERM)
        print("ended with", p.wait(60))
        """

    private func told(_ name: String, _ topology: ScratchTopology) throws -> [String] {
        let script = topology.folder.appendingPathComponent("manager.py").path
        try Self.manager.write(toFile: script, atomically: true, encoding: .utf8)
        let result = try CommandLineRun.shell(
            "python3 '\(script)' '\(name)' '\(CommandLineRun.tapline)' '\(topology.file)'")
        #expect(result.status == 0, "\(result)")
        return result.output.split(separator: "\n").map(String.init)
    }

    @Test("it is told each step, that all is up, and that it ends", arguments: [false, true])
    func upAndDown(_ isAbstract: Bool) throws {
        let topology = try ScratchTopology(
            web: "    run: 'echo \"socket: [$NOTIFY_SOCKET]\" > seen; exec python3 echo.py'\n    ready: { tcp: 80 }")
        try topology.shareFiles()
        let name = isAbstract ? "@tapline-\(topology.name)" : topology.folder.appendingPathComponent("notify").path
        let lines = try told(name, topology)
        let ready = try #require(lines.firstIndex { $0.hasPrefix("READY=1 | STATUS=up: 4 nodes") }, "\(lines)")
        #expect(lines[..<ready].contains { $0.hasPrefix("STATUS=building 4 nodes") })
        #expect(lines[..<ready].allSatisfy { $0.hasPrefix("STATUS=") })
        #expect(lines.contains("STOPPING=1 | STATUS=taking '\(topology.name)' away"), "\(lines)")
        #expect(lines.last == "ended with 0")
        // The socket is the manager's and the control process's: no application can tell that it is ready.
        let seen = try String(contentsOf: topology.folder.appendingPathComponent("seen"), encoding: .utf8)
        #expect(seen == "socket: []\n")
        try topology.expectGone()
    }

    @Test("what does not come up is told with its reason, and never as ready")
    func failure() throws {
        let topology = try ScratchTopology(web: "    run: exit 3")
        let lines = try told("@tapline-\(topology.name)", topology)
        #expect(!lines.contains { $0.contains("READY=1") } && lines.last == "ended with 2")
        #expect(lines.dropLast().last?.contains("node web") == true, "\(lines)")
        try topology.expectGone()
    }

    @Test(
        "a socket that is not there holds nothing up",
        arguments: ["/no/such/socket", "@none-\(getpid())", "vsock:2:1", ""])
    func absent(_ name: String) throws {
        let topology = try ScratchTopology(small: nil)
        let up = try CommandLineRun.Started(
            [CommandLineRun.tapline, "up", topology.file], environment: ["NOTIFY_SOCKET": name])
        try CommandLineRun.eventually("it is up") { try topology.echo(patience: 2) }
        up.signal(SIGTERM)
        #expect(up.finish().status == 0)
        try topology.expectGone()
    }
}
