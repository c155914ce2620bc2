import ControlAPI
import Foundation
import NIOCore
import NIOPosix
import Reporting
import Testing

@testable import Portal

/// However many events happen, the page's process keeps the last ones, and no more memory than those take.
@Suite struct EventMemoryTests {
    /// A viewer that reads everything.
    private final class Reader: Viewer {
        var messages = 0
        var longest = 0
        var last: [UInt8] = []

        func take(_ message: [UInt8]) {
            messages += 1
            longest = max(longest, message.count)
            last = message
        }
    }

    /// What this process has in memory, in KiB.
    private static func resident() throws -> Int {
        let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
        return try #require(Int(line.split(whereSeparator: { !$0.isNumber })[0]))
    }

    /// 200,000 events of a kilobyte would be 200 MB.
    @Test func theHubKeepsTheLastEvents() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        try loop.submit {
            let hub = Hub(loop, name: "many")
            let reader = Reader()
            hub.add(reader, known: nil, after: 0)
            let filler = String(repeating: "x", count: 1_000)
            func happen(_ numbers: Range<Int>) {
                for number in numbers where number % 100 == 0 {
                    hub.take((number..<number + 100).map { ApplianceEvent(.linkImpaired, reason: "\($0) \(filler)") })
                }
            }
            happen(0..<2_000)
            let before = try Self.resident()
            happen(2_000..<202_000)
            #expect(try Self.resident() - before < 64 << 10)
            let (lines, last) = hub.events
            #expect(lines.count == Hub.mostEvents && last == 202_000)
            #expect(lines.first?.contains("201999 x") == true && lines.last?.contains("201500 x") == true)
            #expect(reader.messages > 2_000)
            // Who comes late gets what is kept, in one message.
            let late = Reader()
            hub.add(late, known: nil, after: 0)
            #expect(late.longest < Hub.mostEvents * 1_200)
            let text = String(decoding: late.last, as: UTF8.self)
            #expect(text.hasPrefix("id: 202000\nevent: happened\n") && text.contains("201500 x"))
            #expect(!text.contains("201499 x"))
        }.wait()
    }

    /// The whole process, with a viewer that reads and one that does not.
    @Test func thePageHoldsThousandsOfEvents() throws {
        let lab = try PortalLab()
        try lab.up()
        try lab.serve()
        try lab.seen()
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
            "many-events.py"
        ).path
        func happen(_ count: Int, _ first: Int) throws {
            let ran = try Programs.run(
                "python3", script, "/run/tapline/\(lab.name)/control.sock", "\(count)", "\(first)")
            try #require(ran.status == 0, "\(ran.output)")
            try Programs.eventually("the page knows the last event") {
                try lab.get("/").body.contains("delay: \(Self.text(first + count - 1))")
            }
        }
        let reader = try Connection(lab.port), deaf = try Connection(lab.port, receiveBuffer: 4096)
        for viewer in [reader, deaf] { viewer.say(lab.request("GET", "/live?build=0&after=0")) }
        try happen(600, 1)
        let before = try lab.memory()
        try happen(2_400, 1_001)
        _ = try reader.read(until: "delay: \(Self.text(3_400))")
        let after = try lab.memory()
        // All that the viewers may have waiting, and the allocator's slack; the events alone, each for each viewer, are more.
        #expect(after - before < 12 << 10, "\(before) KiB before, \(after) KiB after")
        let body = try lab.get("/").body
        #expect(body.components(separatedBy: "link-impaired").count - 1 <= 500)
        #expect(body.contains("delay: \(Self.text(3_000))") && !body.contains("delay: \(Self.text(2_000))"))
        #expect(try lab.ping(5) && deaf.descriptor >= 0)
    }

    /// A delay of so many microseconds, as listings write it.
    private static func text(_ microseconds: Int) -> String {
        microseconds < 1_000
            ? "\(microseconds)us"
            : "\(microseconds / 1_000)"
                + (microseconds % 1_000 == 0
                    ? "ms"
                    : "." + "\(microseconds % 1_000 + 1_000)".dropFirst().replacing(/0+$/, with: "") + "ms")
    }
}
