import Foundation
import Testing

@Suite("Whatever goes wrong, nothing is left", .serialized, .enabled(if: isRoot))
struct MishapTests {
    @Test("an application that ends fails up with its node, its line and its last words")
    func failingApplication() throws {
        let topology = try ScratchTopology(web: "    run: echo my last words; exit 3")
        let failed = try CommandLineRun.run("up", "-d", topology.file)
        #expect(failed.status == 2)
        #expect(failed.errors.contains("node web (line "))
        #expect(failed.errors.contains("status 3"))
        #expect(failed.errors.contains("my last words"))
        try topology.expectGone()
    }

    @Test("a setup command that fails, and a program that is missing")
    func failingSetup() throws {
        let failing = try ScratchTopology(web: "    setup: [\"true\", \"echo no >&2; false\"]")
        let failed = try CommandLineRun.run("run", failing.file)
        #expect(failed.status == 2)
        #expect(failed.errors.contains("setup"))
        try failing.expectGone()

        let missing = try ScratchTopology(web: "    run: exec no-such-program --flag")
        let result = try CommandLineRun.run("run", missing.file)
        #expect(result.status == 4)
        #expect(result.errors.contains("install no-such-program"))
        try missing.expectGone()
    }

    @Test("an application that never becomes ready")
    func neverReady() throws {
        let topology = try ScratchTopology(
            web: "    run: sleep 1000\n    ready: { tcp: 81 }\n    ready-timeout: 500ms")
        let failed = try CommandLineRun.run("run", topology.file)
        #expect(failed.status == 2, "\(failed.errors)")
        #expect(failed.errors.contains("was not ready within 500 ms"))
        try topology.expectGone()
    }

    @Test("SIGKILL of the control process: down, or the next up, clears it")
    func killedControl() throws {
        let topology = try ScratchTopology()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        kill(try topology.controlProcess(), SIGKILL)
        try CommandLineRun.eventually("nothing outlives the control process") { try topology.processes().isEmpty }
        let status = try CommandLineRun.json("status", topology.name, "--json")
        #expect(status["state"] as? String == "dead")
        try FileManager.default.removeItem(atPath: topology.file)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()

        try topology.write()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        kill(try topology.controlProcess(), SIGKILL)
        let again = try CommandLineRun.run("up", "-d", topology.file)
        #expect(again.status == 0, "\(again.errors)")
        #expect(again.errors.contains("took away what run"))
        #expect(try CommandLineRun.run("exec", topology.name, "alice", "--", "python3", "client.py", "0.1").status == 0)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    @Test("a namespace of somebody else's is refused, and stays")
    func foreignNamespace() throws {
        let topology = try ScratchTopology()
        let foreign = try ForeignNamespace("\(topology.name)-web")
        let refused = try CommandLineRun.run("up", topology.file)
        #expect(refused.status == 5)
        #expect(refused.errors.contains(foreign.name))
        _ = try CommandLineRun.run("down", topology.name)
        #expect(try CommandLineRun.shell("ip netns exec \(foreign.name) true").status == 0)
        let left = ((try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []).filter {
            $0.hasPrefix(topology.name)
        }
        #expect(left == [foreign.name])
    }

    @Test("SIGKILL of the engine under traffic: it is replaced, and TCP lives on")
    func killedEngine() throws {
        let topology = try ScratchTopology()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let first = try #require(try topology.enginePid())
        let client = try CommandLineRun.Started(
            [CommandLineRun.tapline, "exec", topology.name, "alice", "--", "python3", "client.py", "2"])
        usleep(500_000)
        kill(first, SIGKILL)
        let killed = Date()
        try CommandLineRun.eventually("another engine runs") {
            let pid = try topology.enginePid()
            return pid != nil && pid != first
        }
        print("another engine was seen after \(Int(Date().timeIntervalSince(killed) * 1000)) ms")
        let result = client.finish()
        #expect(result.status == 0, "\(result.errors)")
        print("engine killed under one TCP connection: \(result.output)")
        let status = try CommandLineRun.json("status", topology.name, "--json")
        #expect((status["engine"] as? [String: Any])?["starts"] as? Int == 2)
    }

    @Test("an application that ends later is started again")
    func restarts() throws {
        let topology = try ScratchTopology()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let web = { () throws -> [String: Any]? in
            let nodes = try CommandLineRun.json("status", topology.name, "--json")["nodes"] as? [[String: Any]]
            return nodes?.first { $0["name"] as? String == "web" }
        }
        let pid = try #require(try web()?["pid"] as? Int)
        kill(Int32(pid), SIGKILL)
        try CommandLineRun.eventually("it runs again") {
            try web()?["restarts"] as? Int == 1 && web()?["state"] as? String == "ready"
        }
        #expect((try web()?["lastEnd"] as? String)?.contains("signal 9") == true)
    }

    @Test("an engine that ends again and again is started more slowly, and told so")
    func engineThatKeepsEnding() throws {
        let topology = try ScratchTopology()
        let engine = topology.folder.appendingPathComponent("engine").path
        let real = CommandLineRun.products + "/tapline-engine"
        try "#!/bin/sh\n[ -e \(topology.folder.path)/broken ] && exit 1\nexec \(real)\n".write(
            toFile: engine, atomically: true, encoding: .utf8)
        chmod(engine, 0o755)
        let up = try CommandLineRun.run("up", "-d", topology.file, environment: ["TAPLINE_ENGINE": engine])
        #expect(up.status == 0, "\(up.errors)")
        let broken = topology.folder.appendingPathComponent("broken").path
        _ = FileManager.default.createFile(atPath: broken, contents: nil)
        kill(try #require(try topology.enginePid()), SIGKILL)
        // The spare has taken its place; no other can be started.
        try CommandLineRun.eventually("it is told that there is no spare") {
            let result = try CommandLineRun.json("status", topology.name, "--json")["problems"] as? [String]
            return result?.contains { $0.contains("no spare") } == true
        }
        kill(try #require(try topology.enginePid()), SIGKILL)
        let state = { () throws -> (String?, Int) in
            let engine = try CommandLineRun.json("status", topology.name, "--json")["engine"] as? [String: Any]
            return (engine?["state"] as? String, engine?["starts"] as? Int ?? 0)
        }
        try CommandLineRun.eventually("the next start waits") { try state().0 == "waiting" }
        #expect(try state().1 < 10)
        try FileManager.default.removeItem(atPath: broken)
        try CommandLineRun.eventually("it runs again") { try state().0 == "running" }
        #expect(try CommandLineRun.run("exec", topology.name, "alice", "--", "python3", "client.py", "0.1").status == 0)
    }

    @Test("an application that prints without end fills neither disk nor memory")
    func flood() throws {
        let topology = try ScratchTopology(web: "    run: yes flood")
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let log = "/run/tapline/\(topology.name)/nodes/web/output.log"
        // A log that is being started over is empty for a moment, so one look does not tell.
        try CommandLineRun.eventually("it has printed") {
            try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int ?? 0 > 0
        }
        var largest = 0
        for _ in 1...20 {
            usleep(25_000)
            largest = max(largest, try FileManager.default.attributesOfItem(atPath: log)[.size] as? Int ?? 0)
        }
        #expect(largest > 0)
        #expect(largest <= 16 << 20)
        #expect(try CommandLineRun.run("status", topology.name).status == 0)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }
}
