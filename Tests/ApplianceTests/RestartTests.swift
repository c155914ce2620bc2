import Foundation
import Testing

@Suite("An application that ends is started again", .serialized, .enabled(if: isRoot))
struct RestartTests {
    private func node(_ topology: ScratchTopology, _ name: String) throws -> [String: Any] {
        let nodes = try CommandLineRun.json("status", topology.name, "--json")["nodes"] as? [[String: Any]]
        return try #require(nodes?.first { $0["name"] as? String == name })
    }

    private func processes(_ topology: ScratchTopology, _ pattern: String) throws -> [String] {
        let found = try CommandLineRun.run("exec", topology.name, "web", "--", "pgrep", "-f", pattern)
        return found.output.split(separator: "\n").map(String.init)
    }

    @Test("what the run before has left is ended first; what setup has started lives on")
    func daemonOfTheRunBefore() throws {
        // The command makes its server independent of itself, as daemons do, and stays: when it is killed, the server
        // lives on and holds the port.
        let topology = try ScratchTopology(
            web: """
                    setup: ["setsid sleep 98765 > /dev/null 2>&1 &"]
                    run: "setsid -f env -i /usr/bin/python3 echo.py > /dev/null 2>&1 < /dev/null; exec sleep 56789"
                    ready: { tcp: 80 }
                    restart: always
                """)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
        let (server, helper) = (try processes(topology, "echo.py"), try processes(topology, "sleep 98765"))
        try #require(server.count == 1 && helper.count == 1, "\(server) \(helper)")
        let before = try #require(try node(topology, "web")["pid"] as? Int)
        kill(Int32(before), SIGKILL)
        try CommandLineRun.eventually("it is ready again") {
            let now = try node(topology, "web")
            return now["state"] as? String == "ready" && now["pid"] as? Int != before && now["pid"] != nil
        }
        let after = try processes(topology, "echo.py")
        #expect(after.count == 1 && after != server, "the old server was ended, a new one runs: \(server) \(after)")
        #expect(try processes(topology, "sleep 98765") == helper)
        let events = try CommandLineRun.run("events", topology.name, "--text").output
        let restarts = events.split(separator: "\n").filter { $0.contains(" application-restarted web: ") }
        #expect(
            restarts.count == 1
                && restarts[0].hasSuffix("was ended by signal 9 (Killed), and was restarted") == true,
            "\(events)")
        let summary = try CommandLineRun.run("logs", topology.name, "web").output
        #expect(summary.contains("of the earlier run still ran, and was ended: python3"), "\(summary)")
        #expect(
            try CommandLineRun.run("exec", topology.name, "alice", "--", "python3", "client.py", "0.1").status == 0)
    }

    @Test("it is ready again only when it says so")
    func readinessAgain() throws {
        let topology = try ScratchTopology(
            web: """
                    run: "while [ -e $TAPLINE_DIR/held ]; do sleep 0.05; done; exec python3 echo.py"
                    ready: { tcp: 80 }
                    restart: always
                """)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
        let held = "/run/tapline/\(topology.name)/nodes/web/held"
        try #require(FileManager.default.createFile(atPath: held, contents: nil))
        let before = try #require(try node(topology, "web")["pid"] as? Int)
        kill(Int32(before), SIGKILL)
        try CommandLineRun.eventually("it was started again") {
            try node(topology, "web")["restarts"] as? Int == 1
        }
        #expect(try node(topology, "web")["state"] as? String == "starting")
        try FileManager.default.removeItem(atPath: held)
        try CommandLineRun.eventually("it is ready again") {
            try node(topology, "web")["state"] as? String == "ready"
        }
        #expect(
            try CommandLineRun.run("exec", topology.name, "alice", "--", "python3", "client.py", "0.1").status == 0)
    }
}
