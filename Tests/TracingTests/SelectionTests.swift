import EngineRig
import Foundation
import Plan
import Testing
import Wire

@testable import Tracing

/// Which packets are shown, and which the engine is asked for.
@Suite struct SelectionTests {
    private typealias F = TestFrame

    private func traces() throws -> (Lab, [PacketTrace]) {
        let lab = try Lab("four-interface")
        for number in 1...3 {
            let first = lab.send(
                "alice", "customers",
                F.tcp("192.0.2.10", 4_000 + number, "203.0.113.80", 80, payload: [], flags: 0x02, sequence: 1))
            for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
            let back = lab.send(
                "shop", "servers", F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000 + number, payload: [], flags: 0x12))
            for out in lab.frames(back, for: "firewall", "inspected") { lab.forward(out, "firewall", "inspection") }
        }
        lab.send("bob", "customers", F.udp("192.0.2.20", 4_000, "198.51.100.9", 53))
        return (lab, try lab.trace().traces)
    }

    private func ids(_ selection: TraceSelection, _ traces: [PacketTrace]) -> [UInt64] {
        var selection = selection
        return traces.filter { selection.takes($0) }.map(\.id)
    }

    @Test func tracesAreSelected() throws {
        let (_, traces) = try traces()
        #expect(traces.count == 7)
        #expect(ids(TraceSelection(), traces).count == 7)
        #expect(ids(TraceSelection(onlyLost: true), traces) == [7])
        // The answers that alice got belong to her packets.
        #expect(ids(TraceSelection(from: "alice"), traces) == [1, 2, 3, 4, 5, 6])
        #expect(ids(TraceSelection(from: "bob"), traces) == [7])
        #expect(ids(TraceSelection(service: "shopping"), traces) == [1, 2, 3, 4, 5, 6])
        #expect(ids(TraceSelection(service: "reading"), traces) == [])
        #expect(ids(TraceSelection(via: "ids"), traces) == [1, 2, 3, 4, 5, 6])
        #expect(ids(TraceSelection(via: "library"), traces) == [])
        #expect(ids(TraceSelection(first: 2), traces) == [1, 2, 3, 4])
        var selection = TraceSelection(first: 1)
        #expect(!selection.isFull)
        let taken = traces.prefix(3).map { selection.takes($0) }
        #expect(taken == [true, true, false] && selection.isFull)
    }

    @Test func anApplicationMeansAnyOfItsInstances() throws {
        let text = TranslatedFragmentTests.translating.replacing(
            "attach: { in: inspection, out: inspected } }",
            with:
                "attach: { in: inspection, out: inspected }, instances: [fw-a, fw-b], redundancy: balance, health: [{ heartbeat: true }] }"
        )
        let lab = try Lab(text)
        for port in 4_000..<4_020 {
            for out in lab.send("alice", "customers", F.tcp("192.0.2.10", port, "203.0.113.80", 80)) {
                let node = lab.frames([out], for: "fw-a", "inspection").isEmpty ? "fw-b" : "fw-a"
                lab.forward(out, node, "inspected")
            }
        }
        let traces = try lab.trace().traces
        func count(_ selection: TraceSelection) -> Int {
            var selection = selection
            selection.resolve(in: lab.network)
            return traces.count { selection.takes($0) }
        }
        #expect(count(TraceSelection(via: "fw")) == 20)
        let (one, other) = (count(TraceSelection(via: "fw-a")), count(TraceSelection(via: "fw-b")))
        #expect(one + other == 20 && one > 0 && other > 0)
        #expect(TraceSelection(from: "fw", via: "fw").problems(in: lab.network).isEmpty)
        #expect(lab.network.names == ["alice", "fw", "fw-a", "fw-b", "web"])
        #expect(
            TraceSelection(from: "fw").problems(in: lab.network, sender: "--send") == [
                "--send fw: an application cannot send; name one of its instances: fw-a, fw-b"
            ])
        #expect(
            TraceSelection(from: "x").problems(in: lab.network, sender: "--send") == [
                "--send x: the topology has no such node; it has alice, fw-a, fw-b, web"
            ])
        let filter = try #require(TraceFilter.expression(TraceSelection(via: "fw"), lab.network))
        #expect(filter.contains("host 203.0.113.80"))
    }

    @Test func whatComesFromANodesDeviceIsItsOwnUnderAnyAddress() throws {
        let lab = try Lab(TranslatedFragmentTests.translating)
        lab.send("alice", "customers", F.udp("9.9.9.9", 1, "203.0.113.80", 53))
        lab.send("alice", "customers", F.udp("9.9.9.9", 1, "203.0.113.80", 53), mac: F.mac(0xBAD))
        lab.take(
            [
                [UInt8](repeating: 0, count: 10) + MACAddress.broadcast.octets + lab.mac("alice", "customers").octets
                    + [0x88, 0xCC, 1, 2]
            ], lab.interface("customers"))
        let traces = try lab.trace().traces
        #expect(ids(TraceSelection(from: "alice"), traces).count == 3)
        #expect(Set(traces.map(\.device)) == [nil, "alice"])
        // No entry has taken them.
        #expect(traces.allSatisfy { $0.hops[0].entry == nil && $0.hops[0].drop != nil && $0.hops[0].copies.isEmpty })
        #expect(Set(traces.compactMap(\.end.reason)) == ["spoofed-source", "unsupported-ethertype"])
        let shown = traces.flatMap { TraceText.lines($0) }
        #expect(shown.contains { $0.contains("it came from alice's device, but not from its MAC address") })
        // Where several nodes are, nobody can tell.
        let shared = try Lab("four-interface")
        shared.send("alice", "customers", F.udp("9.9.9.9", 1, "203.0.113.80", 53), mac: F.mac(0xBAD))
        #expect(try shared.trace().traces.map(\.device) == [nil])
        let filter = try #require(TraceFilter.expression(TraceSelection(from: "alice"), lab.network))
        #expect(filter.contains("ether host \(lab.mac("alice", "customers"))"))
    }

    @Test func whatKernelsSendByThemselvesIsNoPacketThatWasAskedFor() throws {
        let lab = try Lab(TranslatedFragmentTests.translating)
        // A report of multicast groups.
        lab.send(
            "alice", "customers", F.icmp("fe80::1", "ff02::16", type: 143, word: [0, 0, 0, 0], data: [], hopLimit: 1))
        lab.send("alice", "customers", F.icmp("192.0.2.10", "198.51.100.9", type: 8))
        let traces = try lab.trace().traces
        let isThere = traces.contains { $0.end.reason == "housekeeping" }
        #expect(isThere && ids(TraceSelection(), traces).count == 2)
        for selection in [TraceSelection(first: 5), TraceSelection(onlyLost: true), TraceSelection(from: "alice")] {
            #expect(ids(selection, traces).count == 1)
        }
        #expect(ids(TraceSelection(first: 5, takesHousekeeping: true), traces).count == 2)
    }

    @Test func enginesAreAskedForEverythingThatMayBeOfAPacket() throws {
        #expect(TraceFilter.wide(nil) == nil && TraceFilter.wide("ether host 02:00:00:00:00:01") == nil)
        #expect(TraceFilter.wide("tcp port 80 or udp") == nil && TraceFilter.wide("not tcp") == nil)
        #expect(TraceFilter.wide("udp[8] = 1") == nil)
        for (written, name) in [
            ("tcp port 80 and host 192.0.2.10", "tcp"), ("host 192.0.2.10 and udp", "udp"), ("icmp", "icmp"),
        ] {
            let wide = try #require(TraceFilter.wide(written))
            #expect(wide == "\(name) or icmp or icmp6 or arp")
            #expect(try compiles(wide))
        }
    }

    @Test func wherePacketsMayBeLostFromSightAnEndIsAGuess() throws {
        for (blindness, words) in [
            (PacketTracer.Blindness.filter, "the filter does not match it there"), (.sample, "which is not sampled"),
        ] {
            let lab = try Lab(TranslatedFragmentTests.translating)
            lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
            for keeping in [2, 1] {
                var tracer = PacketTracer()
                tracer.blindness = blindness
                try tracer.take(lab.plan.table, generation: 1, network: lab.network)
                for record in lab.records.prefix(keeping) {
                    tracer.add(record.frame, worker: 0, sequence: record.sequence, generation: 1)
                }
                tracer.finish()
                let end = try #require(tracer.takeFinished().first?.end)
                if keeping == 2 {
                    #expect(end.kind == .vanished && end.isGuess && end.sentence.contains(words))
                } else {
                    #expect(end.kind == (blindness == .filter ? .unknown : .dropped), "\(end)")
                }
            }
        }
    }

    @Test func unknownNamesAreNamedWithTheKnownOnes() throws {
        let lab = try Lab("four-interface")
        #expect(TraceSelection(from: "alice", service: "reading", via: "ids").problems(in: lab.network).isEmpty)
        let problems = TraceSelection(from: "alcie", service: "shop").problems(in: lab.network)
        #expect(problems.count == 2)
        #expect(problems[0].hasPrefix("--from alcie: the topology has no such node; it has alice, bob, ids"))
        #expect(problems[1] == "--service shop: the topology has no such service; it has shopping, reading")
    }

    /// libpcap accepts an expression.
    private func compiles(_ expression: String) throws -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["tcpdump", "-y", "EN10MB", "-d", expression]
        process.standardOutput = Pipe()
        process.standardError = Pipe()
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    @Test func filtersLetEveryHopThrough() throws {
        let lab = try Lab("network-address")
        let own = lab.address("switch", "inside")
        let byService = try #require(TraceFilter.expression(TraceSelection(service: "shop"), lab.network))
        // The service address, and what the engine rewrites it to.
        #expect(byService.contains("host 203.0.113.1 or ") && byService.contains("host \(own)"))
        #expect(!byService.contains("203.0.113.2 "))
        let byNode = try #require(TraceFilter.expression(TraceSelection(from: "alice"), lab.network))
        #expect(byNode.hasPrefix("host 198.18.1.2 or host 2001:db8:0:1::2 or "))
        let byApplication = try #require(TraceFilter.expression(TraceSelection(via: "web-a"), lab.network))
        #expect(byApplication.contains("host 203.0.113.2 ") && !byApplication.contains("host 203.0.113.3 "))
        let both = try #require(
            TraceFilter.both(
                "tcp port 80", TraceFilter.expression(TraceSelection(from: "alice", service: "shop"), lab.network)))
        #expect(both.hasPrefix("(tcp port 80) and ((host 198.18.1.2"))
        for expression in [byService, byNode, byApplication, both] {
            #expect(try compiles(expression), "\(expression)")
        }
        #expect(TraceFilter.expression(TraceSelection(), lab.network) == nil)
        #expect(TraceFilter.both(" ", nil) == nil && TraceFilter.both("tcp", nil) == "tcp")
    }

    @Test func everythingNeedsNoFilter() throws {
        let lab = try Lab("egress")
        #expect(TraceFilter.expression(TraceSelection(service: "egress"), lab.network) == nil)
        let named = try #require(TraceFilter.expression(TraceSelection(service: "dns"), lab.network))
        #expect(named.contains("host 198.51.100.53"))
    }

    @Test func measuresOfAPath() throws {
        let lab = try Lab("four-interface")
        var waiting: [Lab.Out] = []
        for number: UInt8 in 0..<10 {
            waiting += lab.frames(
                lab.send("alice", "customers", F.icmp("192.0.2.10", "203.0.113.80", type: 8, word: [0, 1, 0, number])),
                for: "firewall", "inspection")
            lab.wait(.microseconds(10))
        }
        // One is lost, two change places, one comes twice, and there is a gap of 5 ms.
        waiting.remove(at: 3)
        waiting.swapAt(5, 6)
        for (index, out) in waiting.enumerated() {
            if index == 4 { lab.wait(.milliseconds(5)) }
            lab.forward(out, "firewall", "inspected")
        }
        lab.forward(waiting[8], "firewall", "inspected")
        let (traces, _) = try lab.trace()
        let measures = measures(traces)
        let sums = measures.sums()
        #expect(sums.sent == 10 && sums.arrived == 9 && sums.lost == 1 && sums.unknown == 0)
        #expect(sums.reordered == 1)
        #expect(measures.duplicated == 1)
        #expect(sums.longestGap == 5_003_000...5_003_000)
        #expect(measures.paths.map(\.count) == [9, 1])
        #expect(measures.paths.map(\.way) == [["firewall", "shop"], ["firewall"]])
        #expect(measures.inside["firewall"]?.count == 9)
        #expect(measures.whole.count == 9)
        #expect(measures.examples.map(\.end.kind) == [.vanished])
        #expect(ProbeMeasures(interval: 1).sums().longestGap == 0...0)
    }

    /// What is measured of the packets of one sender, numbered in the order of their beginnings.
    private func measures(_ traces: [PacketTrace]) -> ProbeMeasures {
        var measures = ProbeMeasures(interval: 10_000)
        let own = traces.filter { $0.from == "alice" && $0.beginning != .duplicate }
        let numbers = Dictionary(
            uniqueKeysWithValues: own.sorted { $0.began < $1.began }.enumerated().map { ($0.element.id, $0.offset) })
        for trace in own.sorted(by: { $0.began < $1.began }) { measures.send(flow: 0, at: trace.began) }
        for trace in traces {
            if let number = numbers[trace.id] { measures.end(trace, of: number) }
            if trace.beginning == .duplicate { measures.repeats(trace) }
        }
        return measures
    }

    @Test func whatIsUnknownIsNotLost() throws {
        let lab = try Lab("four-interface")
        for number: UInt8 in 0..<6 {
            lab.send("alice", "customers", F.icmp("192.0.2.10", "203.0.113.80", type: 8, word: [0, 1, 0, number]))
        }
        let (traces, _) = try lab.trace(.init(open: 2))
        let sums = measures(traces).sums()
        #expect(sums.unknown == 4 && sums.sent == 6 && sums.lost == 2)
    }

    @Test func aSessionFollowsSelectsAndSumsUp() throws {
        let (lab, all) = try traces()
        var session = TraceSession(TraceSelection(first: 2, from: "alice"))
        try session.take(lab.plan.table, generation: 1, network: lab.network)
        var taken: [PacketTrace] = []
        var wasFull: [Bool] = []
        for record in lab.records {
            session.add(record.frame, worker: 0, sequence: record.sequence, generation: 1)
            taken += session.takeTraces()
        }
        session.advance(to: MonotonicTime(nanoseconds: lab.time + 1_000_000_000))
        wasFull.append(session.isFull)
        session.finish()
        taken += session.takeTraces()
        wasFull.append(session.isFull)
        #expect(taken.map(\.id) == [1, 2, 3, 4] && all.count == 7)
        #expect(wasFull == [false, true])
        let report = session.report
        #expect(report.traces == 4 && report.answers == 2 && report.counts.traces == 7)
        #expect(report.paths.map(\.count) == [2, 2])
    }

    @Test func sharesAreRead() {
        #expect(SampleText.flows("1/64") == 64 && SampleText.flows("1/1") == 1)
        for text in [
            "", "1", "64", "2/64", "1/0", "1/-1", "1/64/", "1/+4", "1/ 4", "1/1000001", "1/99999999999999999999",
        ] {
            #expect(SampleText.flows(text) == nil, "\(text)")
        }
    }
}
