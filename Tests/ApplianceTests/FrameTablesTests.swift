import Engine
import EventLoop
import Foundation
import Observation
import Testing
import Tracing
import Wire

@testable import ApplianceClient
@testable import ControlAPI

/// The tables by which copied frames were decided, and their names.
@Suite("Tables of captured frames", .enabled(if: isRoot))
struct FrameTablesTests {
    /// A service behind two instances of a firewall, of which one at a time works.
    private static func file(_ name: String, more: String = "") -> String {
        """
        name: \(name)
        interfaces:
          customers: { address: 192.0.2.1/24 }
          inspection: { address: 198.18.2.1/24 }
          inspected: { address: 198.18.3.1/24 }
          servers: { address: 198.18.4.1/24 }
        customers: { alice: { interface: customers } }
        applications:
          firewall:
            attach: { in: inspection, out: inspected }
            instances: { fw-a: { priority: 200 }, fw-b: { priority: 100 } }
          web: { attach: servers }\(more)
        services: { shop: { address: 203.0.113.80, ports: tcp/80, sequence: [firewall, web] } }
        """
    }

    private func with(_ body: (ScratchTopology) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        try Self.file(topology.name).write(toFile: topology.file, atomically: true, encoding: .utf8)
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        try #require(try CommandLineRun.run("up", topology.file, "-d").status == 0)
        try body(topology)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    /// Runs commands and echoes, 1,000 a second, in the background.
    private func beside(_ topology: ScratchTopology, _ commands: String, _ body: (Process) throws -> Void) throws {
        let script = """
            "$1" exec "$2" alice -- fping -q -c 20000 -p 1 -t 5000 203.0.113.80 >/dev/null 2>&1 &
            \(commands)
            kill $!
            wait
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, "sh", CommandLineRun.tapline, topology.name, topology.file]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        defer { process.waitUntilExit() }
        try body(process)
    }

    @Test("each table comes before the first frame that names it, however many come at once")
    func order() throws {
        try with { topology in
            let frames = try LiveFrames(ApplianceClient(name: topology.name), CaptureRequest())
            var known: Set = [frames.table.generation]
            var seen: Set<UInt64> = []
            let changes = 12
            let commands = String(repeating: #""$1" disable "$2" fw-a; "$1" enable "$2" fw-a;"#, count: changes / 2)
            try beside(topology, commands) { process in
                let deadline = monotonicTime() + .seconds(120)
                // What was sent last may be read after the commands have ended.
                while process.isRunning || known.count <= changes && monotonicTime() < deadline {
                    // A reader that is busy elsewhere finds more at a time.
                    usleep(UInt32.random(in: 0...50_000))
                    switch try frames.next(within: .milliseconds(20)) {
                    case .frames(let frames):
                        for frame in frames { seen.insert(frame.generation) }
                        #expect(seen.isSubset(of: known), "\(seen.subtracting(known)) of \(known)")
                    case .table(let image, let isNamedAnew):
                        known.insert(image.generation)
                        #expect(!isNamedAnew)
                    case .end: Issue.record("the topology went away")
                    }
                }
            }
            #expect(known.count > changes && seen.count > 2, "\(known.count) known, \(seen.count) seen")
        }
    }

    @Test("a reader is told when nodes have come, and finds them by then")
    func names() throws {
        try with { topology in
            let client = try ApplianceClient(name: topology.name)
            let frames = try LiveFrames(client, CaptureRequest())
            try Self.file(topology.name, more: "\n  more: { attach: servers }")
                .write(toFile: topology.file, atomically: true, encoding: .utf8)
            let applied = try CommandLineRun.run("apply", topology.file)
            #expect(applied.status == 0, "\(applied)")
            try CommandLineRun.eventually("the reader is told") {
                guard case .table(_, isNamedAnew: true) = try frames.next(within: .milliseconds(20)) else {
                    return false
                }
                return try client.description(entries: true).nodes.contains { $0.name == "more" }
            }
        }
    }
}
