import Foundation
import Testing

/// What operators do to nodes of a running topology.
@Suite("Commands for nodes", .enabled(if: isRoot))
struct NodeCommandTests {
    /// A topology that is up, with a web server that tells its process number.
    private static func with(_ body: (ScratchTopology) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        let text = ScratchTopology.small(topology.name).replacingOccurrences(
            of: "{ type: web-server, attach: servers }",
            with: "{ attach: servers, run: 'echo $$ > $TAPLINE_DIR/pid; exec sleep 1000', restart: never }")
        try text.write(toFile: topology.file, atomically: true, encoding: .utf8)
        let up = try CommandLineRun.run("up", "-d", topology.file)
        #expect(up.status == 0, "\(up)")
        try body(topology)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        #expect(try topology.remains() == nil)
    }

    private static func pid(_ topology: ScratchTopology) throws -> String {
        try CommandLineRun.run("exec", topology.name, "web", "--", "sh", "-c", "cat $TAPLINE_DIR/pid").output
    }

    private static func state(_ topology: ScratchTopology) throws -> String? {
        let nodes = try CommandLineRun.json("status", "--json", topology.name)["nodes"] as? [[String: Any]]
        return nodes?.first { $0["name"] as? String == "web" }?["state"] as? String
    }

    @Test("restart starts the application anew, kill leaves it to its policy, and restart brings it back")
    func processes() throws {
        try Self.with { topology in
            var first = ""
            try CommandLineRun.eventually("it has begun") {
                first = try Self.pid(topology)
                return !first.isEmpty
            }
            let restarted = try CommandLineRun.run("restart", topology.name, "web")
            #expect(restarted.status == 0 && restarted.output.contains("ready"), "\(restarted)")
            try CommandLineRun.eventually("another one has begun") { try Self.pid(topology) != first }
            let events = try CommandLineRun.run("events", topology.name, "--json").output
            #expect(events.contains("application-restarted") && events.contains("restarted by command"), "\(events)")
            let killed = try CommandLineRun.run("kill", topology.name, "web")
            #expect(killed.status == 0, "\(killed)")
            try CommandLineRun.eventually("the application has ended") { try Self.state(topology) != "ready" }
            #expect(try topology.echo())
            #expect(try CommandLineRun.run("restart", topology.name, "web").status == 0)
            #expect(try Self.state(topology) == "ready")
        }
    }

    @Test("stop has all in the node stand still, and continue lets it go on")
    func standstill() throws {
        try Self.with { topology in
            func states() throws -> Set<Character> {
                let listed = try CommandLineRun.run(
                    "exec", topology.name, "web", "--", "sh", "-c", "sed 's/.*) //' /proc/$(cat $TAPLINE_DIR/pid)/stat")
                return Set(listed.output.prefix(1))
            }
            try CommandLineRun.eventually("it has begun") { try states() == ["S"] }
            let stopped = try CommandLineRun.run("stop", topology.name, "web")
            #expect(stopped.status == 0 && stopped.output.contains("stands still"), "\(stopped)")
            try CommandLineRun.eventually("it stands still") { try states() == ["T"] }
            #expect(try CommandLineRun.run("continue", topology.name, "web").status == 0)
            try CommandLineRun.eventually("it goes on") { try states() == ["S"] }
            // What is brought back is not stopped any more.
            #expect(try CommandLineRun.run("stop", topology.name, "web").status == 0)
            #expect(try CommandLineRun.run("restart", topology.name, "web").status == 0)
            try CommandLineRun.eventually("it goes on") { try states() == ["S"] }
        }
    }

    @Test("an engine that is killed or stopped by command has a successor", arguments: ["kill", "stop"])
    func engine(_ fault: String) throws {
        try Self.with { topology in
            func pid() throws -> Int? {
                let engines = try CommandLineRun.json("status", "--json", topology.name)["engines"] as? [[String: Any]]
                return engines?.first?["pid"] as? Int
            }
            let before = try pid()
            let broken = try CommandLineRun.run("engine", fault, topology.name, "1")
            #expect(broken.status == 0 && broken.output.contains("a spare takes its place"), "\(broken)")
            try CommandLineRun.eventually("another engine reads") { try pid() != before }
            try CommandLineRun.eventually("echo comes back") { try topology.echo(patience: 2) }
            let unnamed = try CommandLineRun.run("engine", fault, topology.name)
            #expect(unnamed.status == 64, "\(unnamed)")
        }
    }

    @Test("link-down cuts the node off, and link-up restores its routes")
    func links() throws {
        try Self.with { topology in
            func routes() throws -> String {
                try CommandLineRun.run("exec", topology.name, "web", "--", "ip", "route").output
            }
            let before = try routes()
            #expect(before.contains("via") || before.contains("198.18.4.0/24"))
            let down = try CommandLineRun.run("link-down", topology.name, "web")
            #expect(down.status == 0, "\(down)")
            #expect(try !topology.echo(patience: 2))
            #expect(try routes().isEmpty)
            let up = try CommandLineRun.run("link-up", topology.name, "web", "servers")
            #expect(up.status == 0, "\(up)")
            #expect(try routes() == before)
            try CommandLineRun.eventually("echo comes back") { try topology.echo(patience: 2) }
            // Without a link-down before it, link-up changes nothing.
            #expect(try CommandLineRun.run("link-up", topology.name, "web").status == 0)
            #expect(try routes() == before)
        }
    }

    @Test("mistakes are named")
    func mistakes() throws {
        try Self.with { topology in
            for (words, status, text) in [
                (["restart", topology.name, "wbe"], 5, "there is no node 'wbe'"),
                (["restart", topology.name, "alice"], 2, "has no application"),
                (["engine", "kill", topology.name, "9"], 5, "there is no engine 9"),
                (["stop", topology.name], 64, "node"),
                (["link-down", topology.name, "web", "customers"], 5, "it has one on servers"),
                (["kill", "\(topology.name)x", "web"], 5, "\(topology.name)x"),
                (["link-up", topology.name], 64, "node"),
            ] as [([String], Int32, String)] {
                let end = try CommandLineRun.Started([CommandLineRun.tapline] + words).finish()
                #expect(end.status == status && end.errors.contains(text), "\(words): \(end)")
            }
        }
    }
}
