import Engine
import EventLoop
import Foundation
import Glibc
import Testing
import Wire

@testable import ApplianceClient
@testable import ControlAPI
@testable import Reporting

/// Frames of a running topology, copied by its engines.
@Suite("captures of a running topology", .serialized)
struct CaptureTests {
    /// A small topology that is up while `body` runs.
    private func withTopology(_ body: (ScratchTopology) throws -> Void) throws {
        let topology = try ScratchTopology(small: nil)
        defer { _ = try? CommandLineRun.run("down", topology.name) }
        try #require(try CommandLineRun.run("up", topology.file, "-d").status == 0)
        try body(topology)
        #expect(try CommandLineRun.run("down", topology.name).status == 0)
        try topology.expectGone()
    }

    private func capture(_ topology: ScratchTopology, _ request: CaptureRequest) throws -> CaptureConnection {
        try ApplianceClient(name: topology.name).capture(request)
    }

    private func feed(_ capture: CaptureConnection) throws -> CaptureFeed {
        try #require(CaptureFeed(rings: capture.rings.bytes, count: capture.ringCount, number: capture.number))
    }

    /// The frames with an echo, as they come, until there are so many.
    private func echoes(_ feed: CaptureFeed, _ count: Int) throws -> [CapturedFrame] {
        var frames: [CapturedFrame] = []
        try CommandLineRun.eventually("\(count) echoes are captured") {
            frames += feed.frames(before: .now).filter { $0.octets.count > 44 && $0.octets[33] == 1 }
            return frames.count >= count
        }
        return frames
    }

    private func ping(_ topology: ScratchTopology, _ count: Int) throws {
        let ran = try CommandLineRun.run(
            "exec", topology.name, "alice", "--", "fping", "-q", "-c", "\(count)", "-p", "10", "-t", "20000",
            "203.0.113.80")
        #expect(ran.errors.contains("\(count)/\(count)/0%"), "\(ran)")
    }

    /// The memory that an engine has mapped for captures, in lines of its maps.
    private func mapped(_ topology: ScratchTopology) throws -> Int {
        let pid = try #require(try topology.enginePid())
        return try String(contentsOfFile: "/proc/\(pid)/maps", encoding: .utf8)
            .split(separator: "\n").count { $0.contains("tapline-capture") }
    }

    @Test("every echo is there at each place, and the engine maps nothing when the capture has ended")
    func everyFrame() throws {
        try withTopology { topology in
            #expect(try mapped(topology) == 0)
            do {
                let capture = try capture(topology, CaptureRequest())
                let feed = try feed(capture)
                #expect(try mapped(topology) == 1)
                try ping(topology, 20)
                // Request and answer, each read and written.
                let frames = try echoes(feed, 80)
                #expect(frames.count == 80 && feed.lost == 0 && feed.faults == 0)
                let places = Set(frames.map { "\($0.interface) \($0.direction) \($0.octets[44])" })
                #expect(
                    places == [
                        "0 received 8", "1 sent 8", "1 received 0", "0 sent 0",
                    ])
                #expect(frames.allSatisfy { $0.generation == capture.table.generation && $0.length == 108 })
                #expect(zip(frames, frames.dropFirst()).allSatisfy { $0.time <= $1.time })
            }
            try CommandLineRun.eventually("the engine captures nothing") { try mapped(topology) == 0 }
            #expect(try topology.echo())
        }
    }

    @Test("a capture goes on with the next engine, and hears of another table")
    func nextEngine() throws {
        try withTopology { topology in
            let capture = try capture(
                topology, CaptureRequest(interfaces: ["servers"], received: false, snapLength: 60))
            let feed = try feed(capture)
            try ping(topology, 3)
            let sent = try echoes(feed, 3)
            #expect(sent.allSatisfy { $0.interface == 1 && $0.direction == .sent && $0.octets.count == 70 })
            let before = try #require(try topology.enginePid())
            kill(before, SIGKILL)
            try CommandLineRun.eventually("another engine reads") {
                guard let now = try topology.enginePid(), now != before else { return false }
                return try topology.echo()
            }
            #expect(try echoes(feed, 1).count >= 1)
            try ping(topology, 3)
            #expect(try echoes(feed, 3).count >= 3)
            #expect(try CommandLineRun.run("reload", topology.name).status == 0)
            guard case .table(let table) = try capture.news(within: .seconds(30)) else {
                Issue.record("no news of the table")
                return
            }
            #expect(table.generation > capture.table.generation)
            #expect(try CommandLineRun.run("down", topology.name).status == 0)
            guard case .end = try capture.news(within: .seconds(30)) else {
                Issue.record("no news of the end")
                return
            }
            #expect(try CommandLineRun.run("up", topology.file, "-d").status == 0)
        }
    }

    @Test("several captures at once get what each asked for, and one too many is told")
    func several() throws {
        try withTopology { topology in
            // icmp[icmptype] = 8 in an IPv4 header without options.
            let requests: [UInt8] =
                [0x30, 0, 0, 0, 34, 0, 0, 0] + [0x15, 0, 0, 1, 8, 0, 0, 0] + [6, 0, 0, 0, 1, 0, 0, 0]
                + [6, 0, 0, 0, 0, 0, 0, 0]
            let one = try capture(topology, CaptureRequest(interfaces: ["customers"]))
            let other = try capture(topology, CaptureRequest(sent: false, filter: requests))
            let (feed, otherFeed) = (try feed(one), try feed(other))
            try ping(topology, 10)
            let near = try echoes(feed, 20)
            #expect(near.allSatisfy { $0.interface == 0 })
            let asked = try echoes(otherFeed, 10)
            #expect(asked.allSatisfy { $0.direction == .received && $0.octets[44] == 8 })
            #expect(otherFeed.frames(before: .now).isEmpty)
            var more: [CaptureConnection] = []
            var refusal: ApplianceError?
            while refusal == nil, more.count < 64 {
                do { more.append(try capture(topology, CaptureRequest(snapLength: 14))) } catch {
                    refusal = error as? ApplianceError
                }
            }
            #expect(more.count == CaptureObserver.most - 2)
            #expect(
                refusal?.message.contains("others already follow events or capture frames") == true, "\(refusal as Any)"
            )
            try ping(topology, 10)
            #expect(try echoes(feed, 20).count == 20)
            more = []
            try CommandLineRun.eventually("there is room again") {
                (try? capture(topology, CaptureRequest())) != nil
            }
        }
    }

    @Test("wrong requests are refused with what is right")
    func refusals() throws {
        try withTopology { topology in
            func refusal(_ request: CaptureRequest) -> String {
                do {
                    _ = try capture(topology, request)
                    return "accepted"
                } catch { return "\(error)" }
            }
            #expect(refusal(CaptureRequest(interfaces: ["server"])).contains("there is no interface 'server'"))
            #expect(refusal(CaptureRequest(filter: [5, 0, 0, 0, 255, 255, 255, 255])).contains("jumps"))
            #expect(refusal(CaptureRequest(filter: [1, 2, 3])).contains("eight octets an instruction"))
            #expect(refusal(CaptureRequest(sent: false, received: false)).contains("nothing to capture"))
            #expect(refusal(CaptureRequest(oneIn: 0)).contains("'oneIn'"))
            #expect(refusal(CaptureRequest(snapLength: 13)).contains("'snapLength'"))
            let (left, answers) = (try mapped(topology), try topology.echo())
            #expect(left == 0 && answers)
        }
    }
}
