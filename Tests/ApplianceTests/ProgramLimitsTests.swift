import Foundation
import Glibc
import Testing

@testable import Fabric

/// What the programs of nodes may use. The machine decides by what it is bounded: each test says what it expects of a
/// machine with control groups, and of one without.
@Suite("Limits of programs", .serialized, .enabled(if: isRoot))
struct ProgramLimitsTests {
    private let groups = ControlGroups()

    private func lab(_ web: String) throws -> ScratchTopology {
        let topology = try ScratchTopology(small: nil)
        try ScratchTopology.small(topology.name, web: "{ attach: servers, \(web) }")
            .write(toFile: topology.file, atomically: true, encoding: .utf8)
        return topology
    }

    private func up(_ topology: ScratchTopology) throws {
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
    }

    private func left(of topology: ScratchTopology) -> [String] { ControlGroups.all()[topology.name] ?? [] }

    /// A program that takes memory, all of it its own, in small steps.
    private static let hungry =
        "exec python3 -c 'import time; a = [bytearray(1 << 20) for i in range(400)]; time.sleep(1000)'"

    @Test("a program that takes too much memory is ended, and that is told with the limit")
    func memory() throws {
        let topology = try lab(
            """
            run: exec sleep 1000, programs: { hungry: { run: "until test -e $TAPLINE_DIR/go; do sleep 0.05; done; \(Self.hungry)", restart: never, limits: { memory: 64M } } }
            """)
        try up(topology)
        // It begins to take memory only now, so that it is not ended before it was ready.
        let go = "/run/tapline/\(topology.name)/nodes/web/go"
        try #require(FileManager.default.createFile(atPath: go, contents: nil))
        try CommandLineRun.eventually("it has ended") {
            try CommandLineRun.run("events", topology.name, "--text").output.contains(" program-ended web: hungry ")
        }
        let events = try CommandLineRun.run("events", topology.name, "--text").output
        if groups.places[.memory] != nil {
            #expect(
                events.contains(" out-of-memory web: the kernel ended a process of its program hungry"), "\(events)")
            let status = try CommandLineRun.run("status", topology.name).output
            #expect(status.contains("(Killed), because memory ran out (limit: 64 MiB for it)"), "\(status)")
        } else {
            let log = try CommandLineRun.run("logs", topology.name, "web", "hungry").output
            #expect(log.contains("MemoryError") && log.contains("RLIMIT_AS"), "\(log)")
        }
        let down = try CommandLineRun.run("down", topology.name)
        #expect(down.status == 0 && left(of: topology) == [], "\(left(of: topology))")
    }

    @Test("a child that is ended for memory is told, too, while its program lives")
    func memoryOfAChild() throws {
        let topology = try lab(
            "run: \"sh -c '\(Self.hungry.replacingOccurrences(of: "'", with: "\\\""))'; exec sleep 1000\", limits: { memory: 64M }"
        )
        guard groups.places[.memory] != nil else { return }
        try up(topology)
        try CommandLineRun.eventually("it is told") {
            try CommandLineRun.run("events", topology.name, "--text").output
                .contains(
                    " out-of-memory web: the kernel ended a process of its application, because memory ran out (limit: 64 MiB for the node)"
                )
        }
        let nodes = try CommandLineRun.json("status", topology.name, "--json")["nodes"] as? [[String: Any]]
        #expect(nodes?.first { $0["name"] as? String == "web" }?["state"] as? String == "ready")
    }

    @Test("processes, files and the processor are bounded, for a node and for its programs")
    func others() throws {
        let topology = try lab(
            """
            run: "ulimit -n; (for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done); exec sleep 1000", \
            limits: { processes: 5, files: 77, processor: 50% }, restart: never
            """)
        try up(topology)
        let log = { try CommandLineRun.run("logs", topology.name, "web").output }
        try CommandLineRun.eventually("its limit is told") { try log().contains("77\n") }
        if groups.places[.processes] != nil {
            try CommandLineRun.eventually("it cannot have more") { try log().lowercased().contains("fork") }
        }
        for (controller, file, text) in [
            (ControlGroups.Controller.processor, "cpu.cfs_quota_us", "50000\n"), (.processes, "pids.max", "5\n"),
        ] {
            guard let place = groups.places[controller],
                left(of: topology).contains(where: { $0.hasPrefix(place.path) })
            else { continue }
            let group = try #require(left(of: topology).first { $0.hasPrefix(place.path) })
            let name = place.isUnified && controller == .processor ? "cpu.max" : file
            let value = try String(contentsOfFile: "\(group)/web/\(name)", encoding: .utf8)
            #expect(value == (name == "cpu.max" ? "50000 100000\n" : text), "\(controller)")
        }
    }

    @Test("groups are taken away whatever has ended the control process")
    func killed() throws {
        let topology = try lab("run: exec sleep 1000, limits: { memory: 64M, processes: 50 }")
        for command in ["down", "prune"] {
            try up(topology)
            #expect(groups.places.isEmpty || !left(of: topology).isEmpty)
            let pid = try #require(try CommandLineRun.json("status", topology.name, "--json")["pid"] as? Int)
            kill(Int32(pid), SIGKILL)
            let taken = try CommandLineRun.run(command, topology.name)
            #expect(taken.status == 0, "\(command): \(taken.errors)")
            #expect(left(of: topology) == [], "\(command)")
        }
        // A run that heals what another has left takes its groups as well.
        try up(topology)
        let first = left(of: topology)
        let pid = try #require(try CommandLineRun.json("status", topology.name, "--json")["pid"] as? Int)
        kill(Int32(pid), SIGKILL)
        try up(topology)
        #expect(Set(left(of: topology)).isDisjoint(with: first) && left(of: topology).count == first.count)
        // Where even the state is gone, the names tell.
        let again = try #require(try CommandLineRun.json("status", topology.name, "--json")["pid"] as? Int)
        kill(Int32(again), SIGKILL)
        try CommandLineRun.eventually("it has ended") { kill(Int32(again), 0) != 0 }
        try FileManager.default.removeItem(atPath: "/run/tapline/\(topology.name)")
        // Without its state a topology counts as up as long as its engine holds the TAPs: until that has seen the end, too.
        try CommandLineRun.eventually("prune takes it away") {
            try CommandLineRun.run("prune", topology.name).status == 0
        }
        #expect(left(of: topology) == [])
    }

    @Test("a changed limit is kept, and a node that goes takes its group with it")
    func changes() throws {
        let topology = try lab("run: exec sleep 1000, limits: { memory: 64M }")
        guard let place = groups.places[.memory] else { return }
        try up(topology)
        let text = try String(contentsOfFile: topology.file, encoding: .utf8)
        try text.replacingOccurrences(of: "64M", with: "32M").write(
            toFile: topology.file, atomically: true, encoding: .utf8)
        let apply = try CommandLineRun.run("apply", topology.file)
        #expect(apply.status == 0, "\(apply.errors)")
        let group = try #require(left(of: topology).first { $0.hasPrefix(place.path) })
        let file = place.isUnified ? "memory.max" : "memory.limit_in_bytes"
        #expect(try String(contentsOfFile: "\(group)/web/\(file)", encoding: .utf8) == "\(32 << 20)\n")
        try text.replacingOccurrences(of: ", limits: { memory: 64M }", with: "")
            .write(toFile: topology.file, atomically: true, encoding: .utf8)
        #expect(try CommandLineRun.run("apply", topology.file).status == 0)
    }
}
