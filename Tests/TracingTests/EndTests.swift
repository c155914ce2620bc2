import EngineRig
import Forwarding
import Plan
import Testing
import Wire

@testable import Engine
@testable import Tracing

/// Where packets end, and what is said of it.
@Suite struct EndTests {
    private typealias F = TestFrame

    /// The trace of one packet that a node sends.
    private func end(
        _ node: String, _ interface: String, _ packet: [UInt8], topology: String = "four-interface",
        mac: MACAddress? = nil
    ) throws -> PacketTrace {
        let lab = try Lab(topology)
        lab.send(node, interface, packet, mac: mac)
        return try #require(lab.trace().traces.first)
    }

    @Test func theEnginesReasonsAreComputedAgain() throws {
        let cases: [(String, PacketTrace)] = [
            ("no-service", try end("alice", "customers", F.udp("192.0.2.10", 4_000, "198.51.100.9", 53))),
            ("port-not-served", try end("alice", "customers", F.udp("192.0.2.10", 4_000, "203.0.113.80", 53))),
            ("spoofed-source", try end("alice", "customers", F.udp("192.0.2.99", 4_000, "203.0.113.80", 53))),
            (
                "spoofed-source",
                try end(
                    "stranger", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80), mac: F.mac(0xBAD))
            ),
            ("passive-emission", try end("ids", "inspection", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))),
            ("no-sequencing-entry", try end("firewall", "inspected", F.udp("192.0.2.10", 4_000, "198.51.100.9", 53))),
            ("to-the-engine", try end("alice", "customers", F.tcp("192.0.2.10", 4_000, "192.0.2.1", 80))),
            (
                "truncated-upper-header",
                try end("alice", "customers", F.packet("192.0.2.10", "203.0.113.80", 6, [1, 2, 3]))
            ),
        ]
        for (reason, trace) in cases {
            #expect(trace.end.kind == .dropped, "\(reason)")
            #expect(trace.end.reason == reason)
            #expect(!trace.end.isGuess)
            #expect(!trace.end.sentence.isEmpty)
            // No entry took it.
            #expect(
                trace.services.isEmpty && trace.hops.allSatisfy { $0.entry == nil && $0.copies.isEmpty }, "\(reason)")
        }
        #expect(cases[0].1.notes == ["The engine answered: icmp unreachable."])
        #expect(cases[3].1.beginning == .stranger)
    }

    /// Who is in a group is not in the table: a trace may have begun after the reports.
    @Test func copiesForThoseWhoJoinedAreExpectedOfNobody() throws {
        let lab = try Lab(Lab.group)
        lab.report("bob")
        lab.records = []
        #expect(lab.sendToGroup("alice").map(\.destination) == [lab.mac("bob", "lan").octets])
        let trace = try #require(lab.trace().traces.first)
        #expect(trace.end.kind == .delivered && trace.end.node == "bob" && !trace.end.isGuess)
        #expect(trace.hops.map { $0.copies.map(\.to) } == [["bob"]])

        let quiet = try Lab(Lab.group)
        #expect(quiet.sendToGroup("alice").isEmpty)
        let lost = try #require(quiet.trace().traces.first)
        #expect(lost.end.kind == .dropped && lost.end.reason == "no-member" && lost.end.isGuess)
        #expect(lost.hops.map(\.copies) == [[]])
    }

    @Test func theRuleThatDeniesAPacketIsNamed() throws {
        let own = try #require(IPPrefix("203.0.113.80/32"))
        let rule = AccessRule(action: .deny(.icmp), own: own, remote: IPPrefix("192.0.2.10/32"), counter: 0)
        for (rules, words) in [([rule], "Rule 1 of"), ([], "The default of")] {
            let list = AccessList(tenant: "alice", own: [own], rules: rules, otherwise: .deny(.icmp), counter: 1)
            let lab = try Lab(
                "four-interface",
                access: [AccessPoint(application: "firewall", nodes: ["firewall"], lists: [list])])
            let out = lab.send("alice", "customers", F.icmp("192.0.2.10", "203.0.113.80", type: 8))
            #expect(lab.frames(out, for: "firewall", "inspection").isEmpty)
            let trace = try #require(lab.trace().traces.first)
            #expect(trace.end.kind == .dropped && trace.end.reason == "access-denied" && !trace.end.isGuess)
            #expect(trace.end.sentence == "\(words) alice's access list at firewall denies the packet.")
        }
    }

    @Test func aSpoofedPacketTakesNothingOfTheGenuineOne() throws {
        let lab = try Lab("four-interface")
        let echo = F.icmp("192.0.2.10", "203.0.113.80", type: 8)
        for sender in ["bob", "alice"] {
            for out in lab.frames(lab.send(sender, "customers", echo), for: "firewall", "inspection") {
                lab.forward(out, "firewall", "inspected")
            }
        }
        let traces = try lab.trace().traces.sorted { $0.id < $1.id }
        #expect(traces.map(\.path) == ["bob → dropped: spoofed-source", "alice → ids, firewall → shop"])
        #expect(traces.allSatisfy { !$0.isGuess })
    }

    @Test func aNeighbourThatClaimsAnothersAddressIsTold() throws {
        let lab = try Lab("four-interface")
        let none = [UInt8](repeating: 0, count: 10)
        let mac = lab.mac("alice", "customers")
        for address in ["192.0.2.1", "192.0.2.10"] {
            lab.take([none + F.arp(1, from: mac, address, to: .broadcast, "192.0.2.20")], lab.interface("customers"))
        }
        let trace = try #require(lab.trace().traces.first)
        #expect(trace.end.reason == "neighbour-conflict" && trace.from == "alice")
        // Asking for another host is nothing to tell.
        #expect(try lab.trace().traces.count == 1)
    }

    @Test func aPacketThatIsTooBigIsDroppedAtTheHopWhereItIs() throws {
        let lab = try Lab("four-interface")
        let first = lab.send(
            "alice", "customers",
            F.icmp("192.0.2.10", "203.0.113.80", type: 8, data: [UInt8](repeating: 1, count: 1_440)))
        for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        let trace = try #require(lab.trace().traces.first)
        #expect(trace.end.reason == "too-big")
        #expect(trace.path == "alice → ids, firewall → dropped: too-big")
        #expect(trace.notes == ["The engine answered: icmp packet too big."])
    }

    @Test func echoToTheEngineEndsThere() throws {
        let trace = try end("alice", "customers", F.icmp("192.0.2.10", "192.0.2.1", type: 8))
        #expect(trace.end.kind == .engine)
        #expect(trace.notes == ["The engine answered: icmp echo reply 1."])
    }

    @Test func anUnknownNeighbourIsAGuess() throws {
        let lab = try Lab("two-engines")
        lab.send("firewall", "inspection", F.tcp("203.0.113.1", 80, "198.18.1.77", 4_000))
        let trace = try #require(lab.trace().traces.first)
        #expect(trace.end.reason == "neighbour-unresolved" && trace.end.isGuess)
        #expect(trace.isGuess)
    }

    @Test func aPacketThatALinkLosesIsDroppedThere() throws {
        // On its way from the firewall: the engine reads it, and does not see it.
        let lab = try Lab("four-interface")
        let first = lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        lab.records[3].frame.failure = WriteOutcome.impairedLoss
        let read = try #require(lab.trace(keeping: { $0 < 4 }).traces.first)
        #expect(read.end.reason == "impaired-loss" && !read.end.isGuess)
        #expect(read.path == "alice → ids, firewall → dropped: impaired-loss")
        // On its way to the server.
        lab.records[3].frame.failure = 0
        lab.records[4].frame.failure = WriteOutcome.impairedQueue
        let written = try #require(lab.trace().traces.first)
        #expect(written.end.reason == "impaired-queue" && !written.end.isGuess)
        // The first packet of a customer.
        let other = try Lab("four-interface")
        other.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        other.records[0].frame.failure = WriteOutcome.impairedLoss
        let begun = try #require(other.trace(keeping: { $0 < 1 }).traces.first)
        #expect(begun.end.reason == "impaired-loss" && begun.from == "alice")
    }

    @Test(arguments: [(Int32(11), "tap-full"), (5, "interface-gone"), (90, "send-failed")])
    func aWriteThatFailsIsToldWithItsReason(code: Int32, reason: String) throws {
        let lab = try Lab("four-interface")
        lab.fail("servers", code)
        lab.send("firewall", "inspected", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        let trace = try #require(lab.trace().traces.first)
        #expect(trace.end.reason == reason && !trace.end.isGuess && trace.end.kind == .dropped)
        // Without the record of the write only the most likely reason can be said.
        let (guessed, _) = try lab.trace(keeping: { lab.records[$0].frame.failure == 0 })
        #expect(guessed.first?.end.reason == "tap-full" && guessed.first?.end.isGuess == true)
    }

    @Test func aCopyThatCannotBeWrittenIsToldWithItsReason() throws {
        let lab = try Lab("four-interface")
        lab.fail("inspection", 5)
        lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        let trace = try #require(lab.trace().traces.first)
        #expect(trace.end.reason == "interface-gone")
    }

    @Test func lostRecordsMakeTheEndUnknown() throws {
        let lab = try Lab("four-interface")
        let first = lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        lab.wait(.milliseconds(1))
        lab.send("bob", "customers", F.icmp("192.0.2.20", "203.0.113.81", type: 8))
        // The records of what came out of the firewall are the fourth and the fifth.
        #expect(lab.records[3].frame.direction == .received && lab.records[4].frame.direction == .sent)
        let (traces, counts) = try lab.trace(keeping: { $0 != 3 && $0 != 4 })
        #expect(counts.lost == 2)
        let trace = try #require(traces.first { $0.from == "alice" })
        #expect(trace.end.kind == .unknown)
        #expect(trace.end.sentence.contains("Records were lost"))
        // Where nothing is lost, the same packet is said to be in the firewall.
        let (whole, _) = try lab.trace(keeping: { $0 < 3 })
        #expect(whole.first?.end.kind == .vanished)
    }

    @Test func recordsThatWereGivenUpMakeTheEndUnknown() throws {
        let lab = try Lab("four-interface")
        lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        // The first one is the read: what the engine wrote was not read any more.
        func end(isTold: Bool) throws -> TraceEnd? {
            var tracer = PacketTracer()
            try tracer.take(lab.plan.table, generation: 1, network: lab.network)
            tracer.add(lab.records[0].frame, worker: 0, sequence: 0, generation: 1)
            if isTold { tracer.missed(before: MonotonicTime(nanoseconds: lab.time)) }
            tracer.finish()
            return tracer.takeFinished().first?.end
        }
        #expect(try end(isTold: true)?.kind == .unknown)
        #expect(try end(isTold: false)?.reason == "tap-full")
    }

    @Test func aBeginningThatIsLostIsTold() throws {
        let lab = try Lab("four-interface")
        lab.send("bob", "customers", F.icmp("192.0.2.20", "203.0.113.81", type: 8))
        let first = lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        for out in lab.frames(first, for: "firewall", "inspection") { lab.forward(out, "firewall", "inspected") }
        let (traces, _) = try lab.trace(keeping: { !(3...5).contains($0) })
        let trace = try #require(traces.first { $0.end.node == "shop" })
        #expect(trace.beginning == .midway)
    }

    @Test func tooManyPacketsUnderWayAreGivenUpAndCounted() throws {
        let lab = try Lab("four-interface")
        for number: UInt8 in 0..<10 {
            lab.send("alice", "customers", F.icmp("192.0.2.10", "203.0.113.80", type: 8, word: [0, 1, 0, number]))
        }
        let (traces, counts) = try lab.trace(.init(open: 4))
        #expect(counts.evicted == 6)
        #expect(traces.count == 10)
        #expect(traces.prefix(6).allSatisfy { $0.end.kind == .unknown })
        #expect(traces.suffix(4).allSatisfy { $0.end.kind == .vanished })
    }

    @Test func hostileRecordsAreSurvived() throws {
        let lab = try Lab("four-interface")
        lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        var tracer = PacketTracer()
        try tracer.take(lab.plan.table, generation: 1, network: lab.network)
        var sequence: UInt64 = 0
        for record in lab.records {
            for length in 0...record.frame.octets.count {
                var frame = record.frame
                frame.octets = Array(frame.octets.prefix(length))
                for whole in [length, frame.length, 100_000] {
                    frame.length = whole
                    for interface in [frame.interface, 60_000] {
                        frame.interface = interface
                        tracer.add(frame, worker: 0, sequence: sequence, generation: 7)
                        sequence += 1
                    }
                }
            }
        }
        tracer.finish()
        #expect(tracer.open == 0)
        #expect(tracer.totals.records == sequence)
    }
}
