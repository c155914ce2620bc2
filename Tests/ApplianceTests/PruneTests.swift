import Foundation
import Testing

@Suite("Pruning", .serialized, .enabled(if: isRoot))
struct PruneTests {
    private let name = "p" + String(UInt32.random(in: .min ... .max), radix: 36)

    private func prune(_ words: String...) throws -> [String: Any] {
        let result = try CommandLineRun.Started([CommandLineRun.tapline, "prune", "--json"] + words).finish()
        let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        return try #require(value as? [String: Any], "\(result.errors)")
    }

    private func taken(_ report: [String: Any]) -> [String: [String]] {
        var taken: [String: [String]] = [:]
        for leftover in report["taken"] as? [[String: Any]] ?? [] {
            taken[leftover["name"] as? String ?? ""] = leftover["namespaces"] as? [String]
        }
        return taken
    }

    private func makeNamespace(_ namespace: String, mark: String?) throws {
        var script = "ip netns add \(namespace)"
        if let mark { script += " && ip -n \(namespace) link set lo alias '\(mark)'" }
        #expect(try CommandLineRun.shell(script).status == 0)
    }

    private func exists(_ namespace: String) -> Bool {
        FileManager.default.fileExists(atPath: "/run/netns/\(namespace)")
    }

    @Test("a dead topology is taken away, one that is up is not")
    func deadAndAlive() throws {
        let dead = try ScratchTopology(), alive = try ScratchTopology()
        for topology in [dead, alive] { #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0) }
        kill(try dead.controlProcess(), SIGKILL)
        try CommandLineRun.eventually("it is dead") { try dead.processes().isEmpty }

        let looked = try prune("--dry-run", dead.name, alive.name)
        #expect(taken(looked).keys.sorted() == [dead.name])
        #expect(looked["live"] as? [String] == [alive.name])
        #expect(exists("\(dead.name)-web"))
        let doctor = try CommandLineRun.run("doctor")
        #expect(doctor.output.contains("tapline prune"))

        let result = try CommandLineRun.run("prune", dead.name)
        #expect(result.status == 0)
        #expect(result.output.contains("took '\(dead.name)' away: its state, "))
        try dead.expectGone()
        #expect(try CommandLineRun.run("prune", dead.name).output == "dead topologies have left nothing\n")
        let refused = try CommandLineRun.run("prune", alive.name)
        #expect(refused.status == 5)
        #expect(refused.errors.contains("tapline down \(alive.name)"))
        #expect(try CommandLineRun.run("exec", alive.name, "alice", "--", "python3", "client.py", "0.1").status == 0)
    }

    @Test("a topology that is up stays, also where somebody has deleted its state")
    func stateDeleted() throws {
        let topology = try ScratchTopology()
        #expect(try CommandLineRun.run("up", "-d", topology.file).status == 0)
        let control = try topology.controlProcess()
        try FileManager.default.removeItem(atPath: "/run/tapline/\(topology.name)")
        #expect(try prune(topology.name)["live"] as? [String] == [topology.name])
        #expect(exists("\(topology.name)-web"))
        kill(control, SIGKILL)
        try CommandLineRun.eventually("it is taken away once it is dead") {
            try !taken(prune(topology.name)).isEmpty
        }
        try topology.expectGone()
    }

    @Test("marks without state, state without a topology, what was never finished; nothing else")
    func leftovers() throws {
        defer {
            for namespace in ["a", "b", "foreign", "file"] {
                _ = try? CommandLineRun.shell("ip netns delete \(name)-\(namespace)")
            }
        }
        for node in ["a", "b"] { try makeNamespace("\(name)-\(node)", mark: "tapline \(name) 0123456789abcdef") }
        try makeNamespace("\(name)-foreign", mark: nil)
        // A process of a node that outlived it, and one that is somebody else's.
        let script = "exec ip netns exec \(name)-a env \"$@\" sleep 600"
        let ours = try CommandLineRun.Started(["/bin/sh", "-c", script, "sh", "TAPLINE_TOPOLOGY=\(name)"])
        let theirs = try CommandLineRun.Started(["/bin/sh", "-c", script, "sh", "TAPLINE_TOPOLOGY=\(name)x"])
        defer {
            theirs.signal(SIGKILL)
            _ = theirs.finish()
        }
        try CommandLineRun.eventually("both are there") {
            try CommandLineRun.shell("ip netns pids \(name)-a").output.split(separator: "\n").count == 2
        }
        #expect(taken(try prune("--dry-run", name)) == [name: ["\(name)-a", "\(name)-b"]])
        #expect(ours.isRunning)
        #expect(taken(try prune(name)) == [name: ["\(name)-a", "\(name)-b"]])
        #expect(!exists("\(name)-a") && !exists("\(name)-b"))
        #expect(exists("\(name)-foreign"))
        #expect(ours.finish().status == 128 + SIGKILL)
        #expect(theirs.isRunning)

        // State that nobody can read, then state that names a file on which no namespace was ever mounted.
        let folder = "/run/tapline/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "{".write(toFile: "\(folder)/state.json", atomically: true, encoding: .utf8)
        #expect(taken(try prune(name)) == [name: []])
        #expect(!FileManager.default.fileExists(atPath: folder))
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try """
        {"version":1,"name":"\(name)","run":"0","file":"/x","created":1,"phase":"starting",
        "namespaces":["\(name)-file","\(name)-foreign"],"processes":[]}
        """.write(toFile: "\(folder)/state.json", atomically: true, encoding: .utf8)
        #expect(FileManager.default.createFile(atPath: "/run/netns/\(name)-file", contents: nil))
        #expect(taken(try prune(name)) == [name: ["\(name)-file"]])
        #expect(!exists("\(name)-file"))
        #expect(exists("\(name)-foreign"))
    }
}
