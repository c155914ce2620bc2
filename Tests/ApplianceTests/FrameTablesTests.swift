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

    /// Echoes, 1,000 a second, and changes of the table one after the other, until a file `enough` is there.
    private static let changing = """
        "$1" exec "$2" alice -- fping -q -c 100000 -p 1 -t 5000 203.0.113.80 >/dev/null 2>&1 &
        while [ ! -e "$3" ]; do "$1" disable "$2" fw-a; "$1" enable "$2" fw-a; done
        kill $!
        wait
        """

    @Test("each table comes before the first frame that names it, however many come at once")
    func order() throws {
        try with { topology in
            let frames = try LiveFrames(ApplianceClient(name: topology.name), CaptureRequest())
            var known: Set = [frames.table.generation]
            var seen: Set<UInt64> = []
            let enough = topology.folder.appendingPathComponent("enough").path
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", Self.changing, "sh", CommandLineRun.tapline, topology.name, enough]
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            defer {
                FileManager.default.createFile(atPath: enough, contents: nil)
                process.waitUntilExit()
            }
            let deadline = monotonicTime() + .seconds(120)
            while known.count <= 12 || seen.count <= 6 {
                try #require(monotonicTime() < deadline, "\(known.count) known, \(seen.count) seen")
                switch try frames.next(within: .milliseconds(20)) {
                case .frames(let frames):
                    for frame in frames { seen.insert(frame.generation) }
                    try #require(seen.isSubset(of: known), "\(seen.subtracting(known)) of \(known)")
                    // A reader that is busy elsewhere finds more at a time.
                    usleep(UInt32.random(in: 0...50_000))
                case .table(let image, let isNamedAnew):
                    known.insert(image.generation)
                    #expect(!isNamedAnew)
                case .end:
                    Issue.record("the topology went away")
                    return
                }
            }
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
