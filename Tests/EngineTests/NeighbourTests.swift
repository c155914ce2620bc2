import Engine
import Forwarding
import Testing
import Wire

/// ARP, neighbour discovery, and frames that wait for them.
@Suite struct NeighbourTests {
    typealias F = TestFrame
    let four = FourInterfaces.self
    /// A customer that the table does not name.
    let bob = TestFrame.mac(0xB0)

    private func solicitation(
        _ source: String, _ target: String, from mac: MACAddress, to destination: MACAddress? = nil,
        option: MACAddress? = nil, type: UInt8 = 135, flags: UInt8 = 0, towards: String? = nil, hopLimit: UInt8 = 255
    ) -> [UInt8] {
        let address = F.address(target)
        let option: [UInt8] = option.map { [type == 135 ? 1 : 2, 1] + $0.octets } ?? []
        let packet = F.icmp(
            source, towards ?? address.solicitedNode.description, type: type, word: [flags, 0, 0, 0],
            data: F.octets(address) + option, hopLimit: hopLimit)
        return F.frame(packet, from: mac, to: destination ?? .ipv6Multicast(for: address.solicitedNode))
    }

    @Test func arpIsAnsweredForOwnAndClaimedAddressesAlone() throws {
        let pipeline = try Pipeline()
        for (target, interface, answered) in [
            ("192.0.2.1", 0, true), ("203.0.113.80", 0, true), ("192.0.2.77", 0, false), ("203.0.113.80", 3, false),
            ("198.18.4.1", 3, true), ("192.0.2.1", 3, false),
        ] {
            let sender = interface == 0 ? "192.0.2.20" : "198.18.4.20"
            let out = pipeline.send(F.arp(1, from: bob, sender, to: .broadcast, target), on: interface)
            #expect(out.count == (answered ? 1 : 0), "\(target) on \(interface)")
            guard let reply = out.first else { continue }
            let fields = try Array(reply.bytes.dropFirst(10)).withUnsafeBytes { try ARPFields($0.bytes) }
            #expect(fields.operation == .reply)
            #expect(fields.senderMAC == four.engine[interface])
            #expect(fields.senderAddress == F.address(target))
            #expect(fields.destinationMAC == bob)
            #expect(reply.interface == interface)
        }
        #expect(pipeline.drops(.neighbourNotOurs) == 3)
    }

    @Test func solicitationsAreAnsweredForOwnAndClaimedAddressesAlone() throws {
        let pipeline = try Pipeline()
        for (target, answered) in [
            ("2001:db8:2::1", true), ("fe80::1", true), ("2001:db8:cb::80", true), ("2001:db8:2::77", false),
        ] {
            let out = pipeline.send(solicitation("2001:db8:2::20", target, from: bob, option: bob), on: 0)
            #expect(out.count == (answered ? 1 : 0), "\(target)")
            guard let reply = out.first else { continue }
            #expect(F.checksumsAreRight(reply.bytes))
            #expect(reply.bytes[64] == 136)
            #expect(reply.bytes[68] == 0xE0)
        }
        // Duplicate address detection is answered to all nodes.
        let probe = pipeline.send(solicitation("::", "fe80::1", from: bob), on: 0)
        #expect(probe.first.flatMap { F.read($0.bytes)?.flow.destination } == F.address("ff02::1"))
        // From beyond the link.
        #expect(
            pipeline.send(solicitation("2001:db8:2::20", "fe80::1", from: bob, option: bob, hopLimit: 64), on: 0)
                .isEmpty)
        #expect(pipeline.allDrops == "bad-neighbour-message:1 neighbour-not-ours:1")
    }

    @Test func liesAreDropped() throws {
        let rows: [(String, [UInt8], String)] = [
            (
                "the engine's address", F.arp(1, from: bob, "192.0.2.1", to: .broadcast, "203.0.113.80"),
                "neighbour-conflict:1"
            ),
            (
                "a service address", F.arp(2, from: bob, "203.0.113.80", to: four.engine[0], "192.0.2.1"),
                "neighbour-conflict:1"
            ),
            ("a named node's", F.arp(1, from: bob, "192.0.2.10", to: .broadcast, "192.0.2.1"), "neighbour-conflict:1"),
            (
                "an answer nobody asked for", F.arp(2, from: bob, "192.0.2.20", to: four.engine[0], "192.0.2.1"),
                "neighbour-not-ours:1"
            ),
            (
                "an answer to all", F.arp(2, from: bob, "192.0.2.20", to: .broadcast, "192.0.2.20"),
                "neighbour-not-ours:1"
            ),
            (
                "another's MAC inside",
                F.arp(1, from: bob, "192.0.2.20", to: .broadcast, "192.0.2.1", senderMAC: F.mac(0x66)),
                "bad-neighbour-message:1"
            ),
            (
                "a named node's, by discovery", solicitation("2001:db8:2::10", "fe80::1", from: bob, option: bob),
                "neighbour-conflict:1"
            ),
            (
                "an advertisement nobody asked for",
                solicitation(
                    "2001:db8:2::20", "2001:db8:2::20", from: bob, to: four.engine[0], option: bob, type: 136,
                    flags: 0x60, towards: "2001:db8:2::1"), "neighbour-not-ours:1"
            ),
            (
                "an advertisement of a service address",
                solicitation(
                    "2001:db8:2::20", "2001:db8:cb::80", from: bob, to: four.engine[0], option: bob, type: 136,
                    flags: 0x60, towards: "2001:db8:2::1"), "neighbour-conflict:1"
            ),
        ]
        for (what, frame, drops) in rows {
            let pipeline = try Pipeline()
            #expect(pipeline.send(frame, on: 0).isEmpty, "\(what)")
            #expect(pipeline.allDrops == drops, "\(what)")
            #expect(pipeline.neighbours.entries().isEmpty, "\(what)")
        }
    }

    @Test func aFrameWaitsForItsNeighbourAndIsThenSent() throws {
        let pipeline = try Pipeline()
        let response = F.tcp("203.0.113.80", 80, "192.0.2.20", 4_000)
        let first = pipeline.send(F.frame(response, from: four.firewallIn, to: four.engine[1]), on: 1)
        // The request, and the copy for the passive application, which waits for nobody.
        #expect(first.map(\.interface) == [0, 1])
        #expect(Array(first[0].bytes[10..<24]) == MACAddress.broadcast.octets + four.engine[0].octets + [8, 6])
        #expect(
            pipeline.send(F.frame(response, from: four.firewallIn, to: four.engine[1]), on: 1).map(\.interface) == [1])
        let released = pipeline.send(F.arp(2, from: bob, "192.0.2.20", to: four.engine[0], "192.0.2.1"), on: 0)
        #expect(released.map(\.interface) == [0, 0])
        for frame in released {
            #expect(Array(frame.bytes.dropFirst(10)) == F.frame(response, from: four.engine[0], to: bob))
        }
        #expect(pipeline.entry(3).packets == 2)
        #expect(pipeline.allDrops == "")
        // Someone else cannot take the address over.
        #expect(pipeline.send(F.arp(1, from: F.mac(0x66), "192.0.2.20", to: .broadcast, "192.0.2.1"), on: 0).isEmpty)
        #expect(pipeline.allDrops == "neighbour-conflict:1")
        // After half a minute the neighbour itself is asked while packets go on.
        pipeline.worker.io.time += .nanoseconds(31_000_000_000)
        let later = pipeline.send(F.frame(response, from: four.firewallIn, to: four.engine[1]), on: 1)
        #expect(later.map(\.interface) == [0, 0, 1])
        #expect(Array(later[0].bytes[10..<16]) == bob.octets)
        #expect(Array(later[0].bytes[22..<24]) == [8, 6])
    }

    @Test func aNeighbourThatDoesNotAnswerIsHostUnreachable() throws {
        for (shop, customer, type) in [
            ("203.0.113.80", "192.0.2.20", UInt8(3)), ("2001:db8:cb::80", "2001:db8:2::20", 1),
        ] {
            let pipeline = try Pipeline()
            let response = F.frame(F.tcp(shop, 80, customer, 4_000), from: four.firewallIn, to: four.engine[1])
            #expect(pipeline.send(response, on: 1).map(\.interface) == [0, 1])
            #expect(pipeline.turn(after: 1.01).map(\.interface) == [0])
            #expect(pipeline.turn(after: 1.01).map(\.interface) == [0])
            let end = pipeline.turn(after: 1.01)
            #expect(end.map(\.interface) == [1])
            let error = try #require(end.first.flatMap { F.read($0.bytes) })
            #expect(error.icmpType == type)
            #expect(error.icmpCode == (type == 3 ? 1 : 3))
            #expect(F.checksumsAreRight(end[0].bytes))
            #expect(pipeline.drops(.neighbourUnresolved) == 1)
            // For a second nobody asks again.
            #expect(pipeline.send(response, on: 1).map(\.interface) == [1, 1])
            #expect(pipeline.drops(.neighbourUnresolved) == 2)
        }
    }

    @Test func theQueueForNeighboursIsBounded() throws {
        let pipeline = try Pipeline()
        for port in 0..<40 {
            let response = F.tcp("203.0.113.80", 80, "192.0.2.20", 4_000 + port)
            pipeline.send(F.frame(response, from: four.firewallIn, to: four.engine[1]), on: 1)
        }
        #expect(pipeline.drops(.neighbourQueueFull) == 24)
        for host in 21..<250 {
            let response = F.tcp("203.0.113.80", 80, "192.0.2.\(host)", 4_000)
            pipeline.send(F.frame(response, from: four.firewallIn, to: four.engine[1]), on: 1)
        }
        // A sender may have the engine ask for 100 at once; what it has not asked for waits in vain.
        #expect(pipeline.drops(.neighbourQueueFull) == 24)
        #expect(pipeline.drops(.answerRateLimited) == 229 - 99)
        let out = pipeline.send(F.arp(2, from: bob, "192.0.2.20", to: four.engine[0], "192.0.2.1"), on: 0)
        #expect(out.count == 16)
    }

    @Test func theNeighbourTableOutlivesItsUser() throws {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: NeighbourTable.memorySize, alignment: 64)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: NeighbourTable.memorySize)
        let table = NeighbourTable(memory: memory)
        #expect(!table.isValid)
        table.initialize()
        #expect(table.isValid)
        #expect(table.entries().isEmpty)
        // A writer was killed in the middle of every slot.
        for slot in 0..<NeighbourTable.slots { memory.storeBytes(of: 1, toByteOffset: 64 + slot * 64, as: UInt64.self) }
        #expect(table.entries().isEmpty)
        let unfinished = table.unfinished()
        #expect(unfinished.count == NeighbourTable.slots)
        // One writer lived, and has gone on since.
        memory.storeBytes(of: 3, toByteOffset: 64, as: UInt64.self)
        table.heal(unfinished)
        #expect(table.unfinished() == [0: 3])
        for slot in 1..<NeighbourTable.slots {
            #expect(memory.load(fromByteOffset: 64 + slot * 64, as: UInt64.self) == 4)
        }
    }
}
