import Foundation
import Glibc
import Testing

/// Several programs of a node, as people run them: dnsmasq is asked for names, and socket programs for octets.
@Suite("Programs of a node", .serialized, .enabled(if: isRoot))
struct ProgramTests {
    private func web(_ topology: ScratchTopology) throws -> [String: Any] {
        let nodes = try CommandLineRun.json("status", topology.name, "--json")["nodes"] as? [[String: Any]]
        return try #require(nodes?.first { $0["name"] as? String == "web" })
    }

    private func program(_ topology: ScratchTopology, _ name: String) throws -> [String: Any] {
        let programs = try web(topology)["programs"] as? [[String: Any]]
        return try #require(programs?.first { $0["name"] as? String == name })
    }

    private func up(_ topology: ScratchTopology) throws {
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
    }

    /// A name server, and a server of UDP that begins by hand.
    private static let keys = """
            programs:
              echo:
                depends: names
                run: |
                  echo begun; exec python3 -c '
                  import socket
                  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 7007))
                  while True:
                      octets, sender = s.recvfrom(2048); s.sendto(octets[::-1], sender)'
                ready: { udp: { port: 7007, send: { hex: "00 01" }, expect: { hex: "01 00" } } }
                health: { udp: { port: 7007, send: stressed, expect: { matches: '^desserts$' } }, interval: 100ms }
              names:
                run: echo about to serve; exec dnsmasq -k -u root -C /dev/null -R -h -A /www.example.test/203.0.113.80 -i lo -z
                ready: { dns: { name: www.example.test, expect: 203.0.113.80 } }
                health: [{ dns: { name: no.test, expect: refused } }, { log: { matches: '^about' } }]
            run: echo beside; exec python3 echo.py
            ready: { tcp: 80 }
            after: ["echo after $((1 + 1))", 'touch "$TAPLINE_DIR/after"']
            health: { file: after, interval: 100ms }
        """

    @Test("start by their dependencies, have logs and health of their own, and make the node what they are")
    func whole() throws {
        let topology = try ScratchTopology(web: Self.keys)
        try up(topology)
        #expect(try web(topology)["state"] as? String == "ready")
        let logs = try CommandLineRun.run("logs", topology.name, "web")
        #expect(logs.output.contains("web | beside\n") && logs.output.contains("web echo | begun\n"), "\(logs.output)")
        #expect(try CommandLineRun.run("logs", topology.name, "web", "echo").output == "begun\n")
        let unknown = try CommandLineRun.run("logs", topology.name, "web", "ech")
        #expect(unknown.status != 0 && unknown.errors.contains("the programs of web: echo, names"), "\(unknown.errors)")
        let report = try CommandLineRun.run("status", topology.name).output
        for name in ["echo: udp 7007", "names: dns no.test A", "names: log", "file after"] {
            #expect(report.contains(name), "\(report)")
        }

        // It dies: the node is not ready, the instance not active, and both are again when it is back.
        let before = try #require(try program(topology, "echo")["pid"] as? Int)
        kill(Int32(before), SIGKILL)
        try CommandLineRun.eventually("it is ready again") {
            let now = try program(topology, "echo")
            return now["state"] as? String == "ready" && now["restarts"] as? Int == 1
        }
        try CommandLineRun.eventually("the instance is up again") {
            let lines = try CommandLineRun.run("events", topology.name, "--text").output.split(separator: "\n")
            return lines.count { $0.contains(" instance-up web") } == 2
        }
        let events = try CommandLineRun.run("events", topology.name, "--text").output
        #expect(events.contains(" program-ended web: echo was ended by signal 9 (Killed)"), "\(events)")
        #expect(events.contains(" instance-down web: its program echo was ended by signal 9 (Killed)"), "\(events)")
        #expect(events.contains(" application-restarted web: echo: it was ended by signal 9"), "\(events)")
        #expect(try web(topology)["restarts"] as? Int == 0)
        // What follows their becoming ready has followed twice.
        let own = try CommandLineRun.run("logs", topology.name, "web").output
        #expect(own.split(separator: "\n").count { $0 == "web | after 2" } == 2, "\(own)")

        // A command starts all of them again.
        let restart = try CommandLineRun.run("restart", topology.name, "web")
        #expect(restart.status == 0, "\(restart.errors)")
        #expect(try program(topology, "names")["restarts"] as? Int == 1)
        #expect(try web(topology)["restarts"] as? Int == 1 && web(topology)["state"] as? String == "ready")
    }

    @Test("that are not to be started again leave the node as they have left it")
    func theEnd() throws {
        let topology = try ScratchTopology(
            web: """
                    programs: { once: { run: exec sleep 1000, restart: never } }
                    run: exec python3 echo.py
                    ready: { tcp: 80 }
                """)
        try up(topology)
        kill(Int32(try #require(try program(topology, "once")["pid"] as? Int)), SIGKILL)
        try CommandLineRun.eventually("the node has failed") { try web(topology)["state"] as? String == "failed" }
        // Its own command runs on.
        #expect(try web(topology)["pid"] as? Int != nil)
        let restart = try CommandLineRun.run("restart", topology.name, "web")
        #expect(restart.status == 0, "\(restart.errors)")
        #expect(try web(topology)["state"] as? String == "ready")
    }

    @Test(
        "tell why they do not start",
        arguments: [
            (
                "programs: { a: { run: echo why not; exit 3 } }",
                "its program a ended with status 3 before it was ready", "why not"
            ),
            (
                "programs: { a: { run: exec sleep 9, ready: { log: never }, ready-timeout: 300ms } }",
                ": no line of its log has \"never\"", "program a was not ready within"
            ),
            ("after: [echo it is over; exit 4]", "a command of `after` ended with status 4", "it is over"),
            ("run: exec sleep 9, user: no-such-user", "there is no user 'no-such-user'", "useradd"),
            ("run: exec sleep 9, ready: { file: never }, ready-timeout: 300ms", "there is no file never", ""),
            (
                "run: exec sleep 9, ready: { dns: a.test }, ready-timeout: 300ms",
                "does not answer with a record for a.test A", ""
            ),
        ])
    func reasons(_ keys: String, _ message: String, _ detail: String) throws {
        let topology = try ScratchTopology(small: nil)
        try ScratchTopology.small(topology.name, web: "{ type: web-server, attach: servers, \(keys) }")
            .write(toFile: topology.file, atomically: true, encoding: .utf8)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        #expect(up.status != 0 && up.errors.contains(message), "\(up.errors)")
        #expect(detail.isEmpty || up.errors.contains(detail), "\(up.errors)")
    }

    @Test("have logs that checks look at, and that explain a check which does not hold")
    func logs() throws {
        let topology = try ScratchTopology(small: nil)
        let text = ScratchTopology.small(
            topology.name,
            web: """
                { attach: servers, run: "echo from its run; exec sleep 1000", programs: { \
                first: { run: "echo from first; until test -e $TAPLINE_DIR/go; do sleep 0.05; done; echo gone on; exec sleep 1000" }, \
                second: { run: "echo from second; exec sleep 1000" } } }
                """)
        try
            (String(text[..<#require(text.firstRange(of: "checks:")).lowerBound])
                + """
                checks:
                  - { name: each its own, steps: [ { log: web, program: first, expect: { output: from first, lacks: from second } },
                      { log: web, expect: { output: from its run, lacks: from first } } ] }
                  - name: since the check
                    steps:
                      - { on: web, run: touch $TAPLINE_DIR/go }
                      - { log: web, program: first, within: 20s, since: check, expect: { output: gone on, lacks: from first } }
                      - { log: web, program: first, since: check, expect: never }
                """).write(toFile: topology.file, atomically: true, encoding: .utf8)
        let result = try CommandLineRun.run("run", topology.file)
        #expect(result.status == 1 && result.output.contains("1 of 2 checks"), "\(result)")
        let all = result.output + result.errors
        let evidence = try #require(all.firstRange(of: "log of web first"), "\(result)")
        #expect(all[evidence.upperBound...].contains("gone on") && !all.contains("log of web second"), "\(result)")
    }

    @Test("change with the file: what has changed in them starts anew, and nothing else")
    func changes() throws {
        let topology = try ScratchTopology(small: nil)
        func write(_ keys: String) throws {
            try ScratchTopology.small(topology.name, web: "{ attach: servers, \(keys) }")
                .write(toFile: topology.file, atomically: true, encoding: .utf8)
        }
        try write("programs: { a: { run: exec sleep 1001 }, b: { run: exec sleep 1002 } }")
        try up(topology)
        try write("programs: { b: { run: exec sleep 1003 }, c: { run: exec sleep 1004 } }")
        let apply = try CommandLineRun.run("apply", topology.file)
        #expect(apply.status == 0, "\(apply.errors)")
        let programs = try #require(try web(topology)["programs"] as? [[String: Any]])
        #expect(programs.map { $0["name"] as? String } == ["b", "c"])
        #expect(try web(topology)["state"] as? String == "ready")
        let running = try CommandLineRun.run("exec", topology.name, "web", "--", "pgrep", "-fa", "sleep 100").output
        #expect(!running.contains("1001") && !running.contains("1002"), "\(running)")
        #expect(running.contains("1003") && running.contains("1004"), "\(running)")
    }

    @Test("start when others are healthy, not only ready")
    func healthFirst() throws {
        let topology = try ScratchTopology(
            web: """
                    run: (sleep WHILE; touch "$TAPLINE_SHARE/well") & exec python3 echo.py
                    ready: { tcp: 80 }
                    health: { run: test -e "$TAPLINE_SHARE/well", interval: 50ms }
                """)
        let text = try String(contentsOfFile: topology.file, encoding: .utf8)
        func write(_ depends: String, _ time: String) throws {
            try text.replacingOccurrences(of: "WHILE", with: time).replacingOccurrences(
                of: "bob: { interface: customers,",
                with: "bob: { run: 'test -e $TAPLINE_SHARE/well && exec sleep 1000', \(depends), interface: customers,"
            ).write(toFile: topology.file, atomically: true, encoding: .utf8)
        }
        // It is ready, and not healthy for long.
        try write("depends: web", "1000")
        let early = try CommandLineRun.run("up", topology.file, "-d")
        #expect(early.status != 0 && early.errors.contains("its application ended with status 1"), "\(early.errors)")
        try write("depends: { web: healthy }", "0.7")
        try up(topology)
    }

    @Test("that never become healthy are named, with the reason")
    func neverHealthy() throws {
        let topology = try ScratchTopology(small: nil)
        let text = ScratchTopology.small(
            topology.name, web: "{ attach: servers, run: exec sleep 99, ready-timeout: 3s, health: { file: x } }")
        try text.replacingOccurrences(of: "bob: {", with: "bob: { depends: { web: healthy }, run: exec sleep 9,")
            .write(toFile: topology.file, atomically: true, encoding: .utf8)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        #expect(up.status != 0 && up.errors.contains("it waits until web is healthy"), "\(up.errors)")
        #expect(up.errors.contains("file x: there is no /run/tapline/"), "\(up.errors)")
    }
}
