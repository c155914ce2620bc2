import Foundation
import Testing

/// What `apply` and `restart` do about a node whose `after` has failed.
@Suite("After a failed after", .enabled(if: isRoot))
struct AfterTests {
    /// The commands of `after` fail once this file is there.
    private static let guarded = "after: 'echo judged; test ! -e $TAPLINE_DIR/bad'"

    private func lab(_ web: String, _ body: (ScratchTopology, (String) throws -> Void) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        func write(_ web: String) throws {
            try ScratchTopology.small(topology.name, web: "{ attach: servers, \(web) }")
                .write(toFile: topology.file, atomically: true, encoding: .utf8)
        }
        try write(web)
        let up = try CommandLineRun.run("up", topology.file, "-d")
        try #require(up.status == 0, "\(up.errors)")
        try body(topology, write)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    private func web(_ topology: ScratchTopology) throws -> [String: Any] {
        let nodes = try CommandLineRun.json("status", topology.name, "--json")["nodes"] as? [[String: Any]]
        return try #require(nodes?.first { $0["name"] as? String == "web" })
    }

    private func state(_ topology: ScratchTopology) throws -> String? { try web(topology)["state"] as? String }

    private func apply(_ topology: ScratchTopology) throws -> String {
        let applied = try CommandLineRun.run("apply", topology.file)
        #expect(applied.status == 0, "\(applied)")
        return applied.output + applied.errors
    }

    @Test("a corrected after starts the program again, and the node is ready")
    func corrected() throws {
        try lab("run: 'echo begun; exec sleep 1000', \(Self.guarded)") { topology, write in
            let first = try web(topology)["pid"] as? Int
            _ = try CommandLineRun.run("exec", topology.name, "web", "--", "sh", "-c", "touch $TAPLINE_DIR/bad")
            _ = try CommandLineRun.run("restart", topology.name, "web")
            try CommandLineRun.eventually("it has failed") { try state(topology) == "failed" }
            let second = try web(topology)["pid"] as? Int
            #expect(first != nil && second != nil && first != second)
            // What failed is in force, so the same file changes nothing.
            #expect(try !apply(topology).contains("node web"))
            #expect(try state(topology) == "failed")
            try write("run: 'echo begun; exec sleep 1000', after: echo corrected")
            #expect(try apply(topology).contains("node web is restarted: its after"))
            #expect(try state(topology) == "ready")
            let third = try web(topology)["pid"] as? Int
            #expect(third != nil && third != second)
            let log = try CommandLineRun.run("logs", topology.name, "web").output
            #expect(log.split(separator: "\n").count { $0 == "begun" } == 3 && log.hasSuffix("corrected\n"), "\(log)")
        }
    }

    @Test("a node whose files are corrected runs after again behind its reload, and its program goes on")
    func reloaded() throws {
        let head = "run: exec sleep 1000, reload: echo reloaded >> $TAPLINE_DIR/log, after: '. $TAPLINE_DIR/judge'"
        try lab("\(head), files: { judge: 'test ! -e $TAPLINE_DIR/bad' }") { topology, write in
            _ = try CommandLineRun.run("exec", topology.name, "web", "--", "sh", "-c", "touch $TAPLINE_DIR/bad")
            _ = try CommandLineRun.run("restart", topology.name, "web")
            try CommandLineRun.eventually("it has failed") { try state(topology) == "failed" }
            let pid = try web(topology)["pid"] as? Int
            try write("\(head), files: { judge: 'echo judged anew' }")
            #expect(try apply(topology).contains("node web reloads: its files"))
            #expect(try state(topology) == "ready" && web(topology)["pid"] as? Int == pid)
            #expect(try CommandLineRun.run("logs", topology.name, "web").output.contains("judged anew"))
            // Once it is ready, a reload is no reason to run it again.
            try write("\(head), files: { judge: 'exit 3' }")
            _ = try apply(topology)
            #expect(try state(topology) == "ready")
        }
    }

    @Test("a node without programs runs a corrected after, and keeps what setup has made")
    func withoutPrograms() throws {
        try lab("setup: 'echo made', \(Self.guarded)") { topology, write in
            try write("setup: 'echo made', after: 'echo other; exit 3'")
            let refused = try CommandLineRun.run("apply", topology.file)
            #expect(refused.status != 0 && refused.errors.contains("`after` ended with status 3"), "\(refused)")
            #expect(try state(topology) == "ready")
            try write("setup: 'echo made', after: echo corrected")
            #expect(try apply(topology).contains("node web reloads: its after"))
            #expect(try state(topology) == "ready")
            let log = try CommandLineRun.run("logs", topology.name, "web").output
            #expect(log.split(separator: "\n").count { $0 == "made" } == 1, "\(log)")
            #expect(log.contains("other\n") && log.hasSuffix("corrected\n"), "\(log)")
            // Without any, there is nothing that could have failed.
            try write("setup: 'echo made'")
            _ = try apply(topology)
            #expect(try state(topology) == "ready")
        }
    }
}
