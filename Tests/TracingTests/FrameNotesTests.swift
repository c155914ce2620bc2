import Engine
import EngineRig
import Forwarding
import Plan
import Seeds
import Testing
import Wire

@testable import Tracing

/// What a capture says of single frames: numbers of packets, entries, and drops. A real engine over memory is beside it.
@Suite struct FrameNotesTests {
    private typealias F = TestFrame
    private static let open = """
        name: open
        interfaces:
          customers: { address: 192.0.2.1/24 }
          servers:   { address: 198.18.4.1/24 }
        customers:
          alice: { interface: customers, address: 192.0.2.10 }
        applications:
          web: { type: web-server, attach: servers }
        services:
          shop: { address: 203.0.113.80, sequence: [web] }

        """
    private static let none = [UInt8](repeating: 0, count: 10)

    /// What is said of all records of a lab, with its frames.
    private func notes(_ lab: Lab) throws -> [(frame: CapturedFrame, notes: FrameNotes)] {
        let describer = FrameDescriber()
        let image = try TableCompiler.compile(lab.plan.table, generation: 1)
        try describer.take(TableImage(table: image, groups: nil, generation: 1), network: lab.network)
        return lab.records.map { ($0.frame, describer.notes($0.frame)) }
    }

    /// What is said of one frame that a node sends; octets from the Ethernet type on.
    private func said(
        _ node: String, _ interface: String, type: [UInt8] = [8, 0], _ packet: [UInt8], from mac: MACAddress? = nil,
        to destination: MACAddress? = nil, offload: [UInt8] = Self.none
    ) throws -> FrameNotes {
        let lab = try Lab("four-interface")
        let index = lab.interface(interface)
        let ends =
            (destination ?? lab.plan.table.interfaces[index].mac).octets + (mac ?? lab.mac(node, interface)).octets
        lab.take([offload + ends + type + packet], index)
        return try #require(notes(lab).first?.notes)
    }

    /// A packet after one change.
    private func changed(_ packet: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
        var packet = packet
        change(&packet)
        return packet
    }

    /// The reports of members may have come before the capture began.
    @Test func aPacketToAGroupIsNotSaidToBeDropped() throws {
        let lab = try Lab(Lab.group)
        lab.report("bob")
        lab.records = []
        #expect(lab.sendToGroup("alice").count == 1)
        let said = try notes(lab)
        #expect(said.count == 2 && said.allSatisfy { $0.notes.drop == nil })
        #expect(said.last?.notes.node == "bob" && said.first?.notes.identifier == said.last?.notes.identifier)
    }

    @Test func whatIsDroppedBeforeTheLookupIsTold() throws {
        let good = F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80)
        let zero = F.icmp("192.0.2.10", "203.0.113.80", type: 8, hopLimit: 0)
        let six = F.icmp("2001:db8:2::10", "2001:db8:cb::80", type: 128, hopLimit: 0)
        let lab = try Lab("four-interface")
        let own = lab.plan.table.interfaces[lab.interface("customers")].mac
        let request = Array(
            F.arp(1, from: lab.mac("alice", "customers"), "192.0.2.1", to: .broadcast, "192.0.2.20").dropFirst(14))
        let cases: [(String, FrameNotes)] = [
            ("bad-header-checksum", try said("alice", "customers", changed(good) { $0[10] ^= 1 })),
            ("bad-network-header", try said("alice", "customers", zero)),
            ("bad-network-header", try said("alice", "customers", type: [0x86, 0xDD], six)),
            (
                "lying-length",
                try said("alice", "customers", type: [0x86, 0xDD], changed(six) { ($0[4], $0[7]) = (9, 64) })
            ),
            ("unsupported-ethertype", try said("alice", "customers", type: [0x88, 0xCC], Array("lldp".utf8))),
            ("spoofed-source", try said("alice", "customers", F.tcp("192.0.2.20", 4_000, "203.0.113.80", 80))),
            ("spoofed-source", try said("alice", "customers", good, from: F.mac(0xBAD))),
            ("spoofed-source", try said("alice", "customers", type: [0x88, 0xCC], [1], from: F.mac(0xBAD))),
            ("not-for-us", try said("alice", "customers", good, to: F.mac(0xBAD))),
            ("looped", try said("alice", "customers", good, from: own)),
            ("bad-offload-header", try said("alice", "customers", good, offload: [1, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
            (
                "truncated-upper-header",
                try said("alice", "customers", F.packet("192.0.2.10", "203.0.113.80", 6, [1, 2]))
            ),
            ("truncated-network-header", try said("alice", "customers", [0x45, 0, 0])),
            ("neighbour-conflict", try said("alice", "customers", type: [8, 6], request, to: .broadcast)),
            ("to-the-engine", try said("alice", "customers", F.tcp("192.0.2.10", 4_000, "192.0.2.1", 80))),
            ("port-not-served", try said("alice", "customers", F.udp("192.0.2.10", 4_000, "203.0.113.80", 53))),
            ("no-service", try said("alice", "customers", F.udp("192.0.2.10", 4_000, "198.51.100.9", 53))),
        ]
        for (reason, notes) in cases {
            #expect(notes.drop?.name == reason)
            #expect(notes.entry == nil && notes.service == nil, "\(reason)")
            let sentence = DropReason.allCases.first { $0.name == reason }?.sentence ?? ""
            #expect(notes.comments == ["dropped: \(reason): \(sentence)"], "\(reason)")
        }
        let forwarded = try said("alice", "customers", good)
        #expect(
            forwarded.drop == nil && forwarded.entry == "shopping.request.customers" && forwarded.service == "shopping")
    }

    @Test func aCopyThatIsDroppedKeepsItsEntry() throws {
        let lab = try Lab("four-interface")
        let big = F.icmp("192.0.2.10", "203.0.113.80", type: 8, data: [UInt8](repeating: 1, count: 1_440))
        for out in lab.frames(lab.send("alice", "customers", big), for: "firewall", "inspection") {
            lab.forward(out, "firewall", "inspected")
        }
        lab.fail("servers", 11)
        lab.send("firewall", "inspected", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        let all = try notes(lab)
        let tooBig = try #require(all.last { $0.frame.direction == .received && $0.frame.length > 1_000 }).notes
        #expect(tooBig.drop?.name == "too-big" && tooBig.entry != nil)
        let failed = try #require(all.last).notes
        #expect(failed.drop?.name == "tap-full" && failed.node == "shop" && failed.entry == nil)
        // The frame itself was taken: only its write failed.
        #expect(all[all.count - 2].notes.drop == nil && all[all.count - 2].notes.entry != nil)
    }

    @Test func everyReadOfACustomerIsAPacketOfItsOwn() throws {
        let lab = try Lab("four-interface")
        let twin = F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, identification: 0)
        let report = F.packet(
            "fe80::1", "ff02::16", 58, [143, 0, 0, 0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 20), hopLimit: 1)
        let echo = F.icmp("192.0.2.10", "203.0.113.80", type: 8)
        lab.send("alice", "customers", report, report)
        lab.send("alice", "customers", twin, twin)
        for _ in 0..<2 { lab.send("alice", "customers", echo) }
        // The same octets from somebody who may not use the address, and from the one who may.
        lab.send("bob", "customers", echo)
        lab.send("alice", "customers", echo)
        let reads = try notes(lab).filter { $0.frame.direction == .received }.map(\.notes)
        #expect(reads.count == 8)
        #expect(Set(reads.compactMap(\.identifier)).count == 8)
        #expect(reads[6].drop?.name == "spoofed-source")
    }

    @Test func thePacketsOfOneNumberAreTheWayOfOne() throws {
        let lab = try Lab("four-interface")
        let echo = F.icmp("192.0.2.10", "203.0.113.80", type: 8)
        // Two that are alike, one behind the other, and a spoofed one before them.
        lab.send("bob", "customers", echo)
        let out = lab.frames(lab.send("alice", "customers", echo, echo), for: "firewall", "inspection")
        #expect(out.count == 2)
        lab.wait(.microseconds(20))
        for frame in out { lab.forward(frame, "firewall", "inspected") }
        let all = try notes(lab)
        var ways: [UInt64: [String]] = [:]
        for (frame, notes) in all {
            ways[try #require(notes.identifier), default: []].append("\(frame.direction) \(notes.node ?? "nobody")")
        }
        #expect(ways.values.filter { $0 == ["received bob"] }.count == 1)
        let whole = ways.values.filter { $0.first == "received alice" }
        #expect(whole.count == 2)
        for way in whole {
            #expect(way.count == 5 && way.filter { $0 == "sent ids" || $0.hasPrefix("sent") }.count == 3, "\(way)")
            #expect(way.contains("received firewall") && way.last == "sent shop", "\(way)")
        }
        // Both were in the firewall for some time.
        let inside = all.compactMap(\.notes.inside)
        #expect(inside.count == 2 && inside.allSatisfy { $0 >= 20_000 })
    }

    @Test func rewrittenPacketsKeepTheirNumber() throws {
        let lab = try Lab("network-address")
        let first = lab.send(
            "alice", "customers", F.tcp("198.18.1.2", 4_000, "203.0.113.1", 80, payload: [], flags: 0x02))
        for out in lab.frames(first, for: "firewall", "outside") { lab.forward(out, "firewall", "inside") }
        let all = try notes(lab)
        #expect(all.count == 4 && Set(all.compactMap(\.notes.identifier)).count == 1)
    }

    @Test func aSuperframeOfDatagramsHasANumberOfItsFrames() throws {
        let lab = try Lab(Self.open)
        let packets = (0..<3).map { _ in F.udp("192.0.2.10", 4_000, "203.0.113.80", 80, identification: 0) }
        for _ in 0..<2 { lab.send("alice", "customers", packets[0], packets[1], packets[2]) }
        let all = try notes(lab)
        let reads = all.filter { $0.frame.direction == .received }.compactMap(\.notes.identifier)
        #expect(Set(reads).count == 6)
        for write in all where write.frame.direction == .sent {
            #expect(reads.contains(try #require(write.notes.identifier)))
        }
    }

    /// What was said of frames before changes nothing of what is said of the next one, however alike they are.
    @Test func alikeFramesAreJudgedOneByOne() throws {
        var generator = SeededGenerator(seed: Seed.drawn())
        let lab = try Lab("four-interface")
        let packets = [
            F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80), F.udp("192.0.2.10", 4_000, "203.0.113.80", 53),
            F.tcp("2001:db8:2::10", 4_000, "2001:db8:cb::80", 80),
        ]
        let index = lab.interface("customers")
        let ends = lab.plan.table.interfaces[index].mac.octets + lab.mac("alice", "customers").octets
        for packet in packets {
            let type: [UInt8] = packet[0] >> 4 == 4 ? [8, 0] : [0x86, 0xDD]
            let good = Self.none + ends + type + packet
            for _ in 0..<60 {
                var changed = good
                let place = Int.random(in: 0..<good.count, using: &generator)
                changed[place] = UInt8.random(in: 0...255, using: &generator)
                lab.take([good, changed, good], index)
            }
        }
        let image = TableImage(
            table: try TableCompiler.compile(lab.plan.table, generation: 1), groups: nil, generation: 1)
        let all = try notes(lab)
        #expect(all.contains { $0.notes.drop != nil } && all.contains { $0.notes.entry != nil })
        for (frame, notes) in all where frame.direction == .received {
            let fresh = FrameDescriber()
            try fresh.take(image, network: lab.network)
            let said = fresh.notes(frame)
            #expect(
                said.drop?.name == notes.drop?.name && said.entry == notes.entry && said.node == notes.node,
                "\(frame.octets)")
        }
    }

    @Test func hostileFramesAreSurvived() throws {
        let lab = try Lab("four-interface")
        lab.send("alice", "customers", F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80))
        let describer = FrameDescriber()
        let image = try TableCompiler.compile(lab.plan.table, generation: 1)
        try describer.take(TableImage(table: image, groups: nil, generation: 1), network: lab.network)
        for record in lab.records {
            for length in 0...record.frame.octets.count {
                var frame = record.frame
                frame.octets = Array(frame.octets.prefix(length))
                for whole in [length, frame.length, 100_000] {
                    frame.length = whole
                    _ = describer.notes(frame)
                }
            }
        }
        #expect(describer.notes(lab.records[0].frame).entry == "shopping.request.customers")
    }
}
