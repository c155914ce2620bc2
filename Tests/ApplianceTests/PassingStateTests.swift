import Foundation
import Glibc
import Testing

/// What is told and taken while a topology comes up, changes, or loses a program.
@Suite("A topology between two states", .serialized, .enabled(if: isRoot))
struct PassingStateTests {
    /// A small topology with many customers, so that building takes a while.
    private func topology(customers: Int) throws -> ScratchTopology {
        let topology = try ScratchTopology(small: nil)
        try text(topology, customers).write(toFile: topology.file, atomically: true, encoding: .utf8)
        return topology
    }

    private func text(_ topology: ScratchTopology, _ customers: Int) -> String {
        ScratchTopology.small(topology.name).replacing(
            "  bob: { interface: customers }", with: "  bob: { interface: customers, count: \(customers) }")
    }

    @Test("devices that a change makes and takes away are no problem")
    func change() throws {
        let topology = try topology(customers: 12)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
        var seen: Set<String> = []
        var looks = 0
        // A node that loses a setting is built anew.
        let usual = text(topology, 12)
        let other = usual.replacing("count: 12", with: "count: 12, sysctls: { net.ipv4.ip_default_ttl: 60 }")
        for text in [other, usual, other, usual] {
            try text.write(toFile: topology.file, atomically: true, encoding: .utf8)
            let apply = try CommandLineRun.Started([CommandLineRun.tapline, "apply", topology.name, "--drain", "0s"])
            while apply.isRunning {
                let status = try CommandLineRun.json("status", topology.name, "--json")
                seen.formUnion(try #require(status["problems"] as? [String]))
                looks += 1
            }
            let result = apply.finish()
            #expect(result.status == 0, "\(result.errors)")
        }
        #expect(seen.isEmpty && looks >= 4, "\(looks) looks: \(seen)")
        // A device that somebody takes is one.
        #expect(try CommandLineRun.shell("ip -n \(topology.name)-alice link del customers").status == 0)
        let after = try CommandLineRun.json("status", topology.name, "--json")["problems"] as? [String]
        #expect(after?.contains { $0.contains("is gone") } == true, "\(after ?? [])")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
    }

    @Test("a command in a node waits while the topology comes up")
    func exec() throws {
        let topology = try topology(customers: 40)
        let up = try CommandLineRun.Started([CommandLineRun.tapline, "up", topology.file, "-d"])
        // Before its folder is there nobody knows it; from then on the command waits.
        var run = RunResult(status: -1, output: "", errors: "there is no topology")
        for _ in 0..<3000 where run.errors.contains("there is no topology") {
            run = try CommandLineRun.run("exec", topology.name, "bob-40", "true")
        }
        #expect(run.status == 0, "\(run.errors)")
        let unknown = try CommandLineRun.run("exec", topology.name, "bo", "true")
        #expect(unknown.status == 5 && unknown.errors.contains("there is no node 'bo'"), "\(unknown.errors)")
        let result = up.finish()
        #expect(result.status == 0, "\(result.errors)")
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
    }

    @Test(
        "the end of `run` is an event, also where nothing starts it again",
        arguments: [
            ("exec sleep 2", "never", "run ended with status 0, and is not started again", "ended"),
            ("sleep 2; exit 3", "never", "run ended with status 3, and is not started again", "failed"),
            ("sleep 2; exit 3", "always", "run ended with status 3\n", "ready"),
        ])
    func end(_ run: String, _ restart: String, _ reason: String, _ state: String) throws {
        let topology = try ScratchTopology(small: nil)
        let web = "{ attach: servers, run: \"\(run)\", restart: \(restart) }"
        try ScratchTopology.small(topology.name, web: web)
            .write(toFile: topology.file, atomically: true, encoding: .utf8)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
        try CommandLineRun.eventually("the event is there") {
            try CommandLineRun.run("events", topology.name, "--text").output.contains(" program-ended web: \(reason)")
        }
        try CommandLineRun.eventually("the node is \(state)") {
            let nodes = try CommandLineRun.json("status", topology.name, "--json")["nodes"] as? [[String: Any]]
            let web = try #require(nodes?.first { $0["name"] as? String == "web" })
            return web["state"] as? String == state
                && web["lastEnd"] as? String == String(reason.dropFirst(4).prefix(19))
        }
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
    }
}
