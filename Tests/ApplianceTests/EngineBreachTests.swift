import Engine
import Forwarding
import Foundation
import Logging
import Plan
import Planning
import Testing
import TopologyFiles
import Wire

@testable import Appliance
@testable import ControlAPI
@testable import EngineControl
@testable import EventLoop
@testable import Reporting
@testable import Verification

/// Engines that are not what they were: what they say that nobody has asked for, and what they write.
@Suite("What an engine says is not believed", .serialized)
struct EngineBreachTests {
    typealias Bench = EngineFleetTests.Bench

    static let breaches = [
        ("again 1", "said 'ready' twice"), ("again 100000", "said 'ready' twice"),
        ("say 8 77", "took table 77, which it never got"),
        ("say 9 77 \u{1B}[2Jno", "refused table 77, which it never got"),
        ("say 10 18446744073709551615", "took assignment 18446744073709551615, which it never got"),
        ("say 13 5", "took observers 5, which it never got"), ("say 11 0", "answered question 0, but"),
        ("say 3 1", "an engine does not send such messages"),
        ("say 6 0", "an engine does not send such messages"), ("say 4711 0", "it is not of this version"),
        ("descriptors", "it is too long, or has descriptors with it"),
        ("long", "it is too long, or has descriptors with it"),
        ("short", "it is not of this version"), ("random", "it is not of this version"),
    ]

    @Test("an engine that breaks the protocol is ended and replaced, and that is told once", arguments: breaches)
    func breach(_ how: String, _ why: String) throws {
        let bench = try Bench(engines: 2)
        let before = try bench.status().map(\.pid)
        var place = bench.events.place(since: nil, count: 0)
        try bench.misbehave(how)
        try bench.eventually("another has its place") {
            let now = try bench.status()
            return now.map(\.queueSets) == [[0], [1]] && zip(now, before).count { $0.pid != $1 } == 1
        }
        let engine = try #require(try bench.status().first { $0.lastEnd != nil })
        #expect(
            engine.lastEnd?.hasPrefix("broke the protocol: it ") == true && engine.lastEnd?.contains(why) == true,
            "\(engine)"
        )
        let events = bench.events(&place)
        let summary = events.filter { $0.event == .engineStopped }
        #expect(
            summary.count == 1 && summary[0].engine == engine.number && summary[0].reason?.contains(why) == true,
            "\(summary)")
        // It is told that it was stopped, that queues moved there and back, and that another has begun.
        #expect(events.count < 8, "\(events.map(\.text))")
        let isHarmless = events.allSatisfy { $0.text.unicodeScalars.allSatisfy { $0.value >= 32 } }
        #expect(isHarmless)
        // The other one was not touched, and tables are in force on both.
        try bench.wait { $0.publish(Bench.table, $1) }
        #expect(bench.loop.sync { bench.closed.value }.isEmpty)
    }

    @Test("an empty message is the last that is heard of an engine")
    func empty() throws {
        let bench = try Bench(engines: 2)
        let before = try bench.status().map(\.pid)
        try bench.misbehave("empty")
        try bench.eventually("another has its place") {
            let now = try bench.status()
            return now.map(\.queueSets) == [[0], [1]] && zip(now, before).count { $0.pid != $1 } == 1
        }
    }

    @Test("a spare that breaks the protocol is told, too, and forwarding goes on")
    func spare() throws {
        let bench = try Bench(engines: 1)
        try bench.eventually("there is a spare") {
            bench.loop.sync { bench.fleet.spare?.phase == .ready && bench.fleet.living.count == 2 }
        }
        let spare = bench.loop.sync { bench.fleet.spare?.pid }
        let pid = try bench.status()[0].pid
        var place = bench.events.place(since: nil, count: 0)
        // Whoever is asked first does it: until it was the spare.
        var seen: [ApplianceEvent] = []
        for _ in 0..<20 where !seen.contains(where: { $0.reason?.hasPrefix("a process that did not read yet") == true })
        {
            try bench.misbehave("again 1")
            try bench.eventually("it is told") {
                seen += bench.events(&place)
                return seen.contains { $0.event == .engineStopped }
            }
            try bench.eventually("there is a spare again") {
                bench.loop.sync { bench.fleet.spare?.phase == .ready && bench.fleet.living.count == 2 }
            }
            seen += bench.events(&place)
        }
        #expect(
            seen.contains { $0.event == .engineStopped && $0.reason?.contains("said 'ready' twice") == true })
        #expect(try bench.status()[0].queueSets == [0])
        #expect(spare != nil && pid != nil)
    }

    @Test("one that breaks it again and again waits longer and longer")
    func backoff() throws {
        var backoff = RestartBackoff()
        let begun = MonotonicTime(nanoseconds: 1_000_000_000)
        var now = begun
        var starts = 0
        // As slowly as engines start on a busy machine: not five in a second.
        while now - begun < .seconds(600) {
            let pause = backoff.ended(now: now, started: now + .milliseconds(-290))
            starts += 1
            now += pause + .milliseconds(300)
        }
        // One each 300 ms would be 2,000.
        #expect(starts < 300)
    }

    @Test("whatever engines write to the counters, all that reads them lives, and so does the next engine")
    func counters() throws {
        let bench = try Bench(engines: 2)
        let before = try bench.status()
        try bench.misbehave("fill")
        try bench.eventually("they are full") { bench.loop.sync { bench.fleet.turns } > 1 << 60 }
        var table = Bench.table
        table.interfaces[0].addresses = []
        for counter in [0, 1, 2, 5000, Int.max] {
            var entry = Entry(
                name: "same", kind: .distribution, direction: .request, receivedInterface: 0,
                destination: IPPrefix("203.0.113.80")!, targets: [], counter: counter)
            entry.counter = counter
            table.entries.append(entry)
        }
        let asked = table
        let reading = bench.loop.sync { bench.fleet.counterReading(asked) }
        var later = reading
        later.drops = later.drops.map { $0 &+ 1 }
        let plan = try Self.plan()
        _ = later.dropSummary(since: reading, of: plan) + reading.dropSummary(since: later, of: plan)
        for counter in InterfaceCounter.allCases { _ = reading.value(of: counter, interface: 0) }
        #expect(reading.entries["same"] != nil && reading.interfaces.count == 1)
        for last in reading.lastDrops.values { #expect(!last.sentence.isEmpty) }
        let listing = TableListing(name: "t", table: table) { [fleet = bench.fleet] in fleet.entry($0) }
        #expect(try JSONLine.encode(listing).count > 100)
        let status = try bench.status()
        #expect(status.count == 2 && status.map(\.pid) == before.map(\.pid), "\(status); \(bench.errors)")
        _ = bench.loop.sync {
            (
                bench.fleet.coalesced, bench.fleet.closedQueues, DropReason.allCases.map { bench.fleet.drops($0) },
                DropReason.allCases.map { bench.fleet.lastDrop($0) }
            )
        }
        // Notes of how frames are written come with it; only so many of them are told.
        for round in 0..<20 { try bench.noteWriting("2 \(round + 1)"); usleep(1000) }
        kill(try #require(status[0].pid), SIGKILL)
        try bench.eventually("another one reads") {
            let now = try bench.status()
            return now.map(\.queueSets) == [[0], [1]] && now[0].pid != status[0].pid
        }
        #expect(bench.complaints.count <= 10)
    }

    @Test("an engine that spoils the headers of the shared memories harms no other")
    func headers() throws {
        let bench = try Bench(engines: 2)
        try bench.misbehave("header")
        let resources = bench.loop.sync { bench.fleet.resources }
        let memory = try SharedMapping(mapping: resources.counters, size: resources.counterLayout.size, writable: false)
        try bench.eventually("it is spoilt") { CounterLayout(reading: memory.base, size: memory.size) == nil }
        let pid = try #require(try bench.status()[0].pid)
        kill(pid, SIGKILL)
        try bench.eventually("another one reads") {
            let now = try bench.status()
            return now.map(\.queueSets) == [[0], [1]] && now[0].pid != pid
        }
        #expect(CounterLayout(reading: memory.base, size: memory.size) == resources.counterLayout)
    }

    private static func plan() throws -> AppliancePlan {
        let text = ScratchTopology.small("t")
        return try Planner.plan(TopologyFile.parse(text, path: "t.yaml"))
    }

    @Test("a log takes so many lines and no more, and tells how many it left out")
    func log() throws {
        var rateLimit = LogRateLimit()
        var taken = 0
        let begun = MonotonicTime(nanoseconds: 5_000_000)
        for _ in 0..<100_000 where rateLimit.take(at: begun) != nil { taken += 1 }
        #expect(taken == LogRateLimit.burst)
        #expect(rateLimit.take(at: begun + .seconds(1)) == 100_000 - LogRateLimit.burst)
        #expect(rateLimit.take(at: begun + .seconds(1)) == 0)
        // Time that steps back, or far ahead, makes no more than the burst.
        let ends = [UInt64.min, .max].map(MonotonicTime.init)
        for now in ends { _ = rateLimit.take(at: now) }
        taken = 0
        for _ in 0..<10_000 where rateLimit.take(at: ends[1]) != nil { taken += 1 }
        #expect(taken <= LogRateLimit.burst)
        // Lines less than a millisecond apart gain room, too.
        var often = LogRateLimit()
        let hundredths = (0..<LogRateLimit.burst * 100).map { begun + .microseconds(100 * $0) }
        #expect(hundredths.count { often.take(at: $0) != nil } > LogRateLimit.burst + LogRateLimit.rate * 19)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("tapline-\(UUID().uuidString)").path
        defer { unlink(path) }
        let logger = ApplianceLog.logger(path: path)
        let line = String(repeating: "z", count: 1 << 20)
        for _ in 0..<5000 { logger.error("\(line)") }
        #expect(fileLength(path) <= 17 << 20)
        #expect(fileLength(path) > 8192)
    }
}
