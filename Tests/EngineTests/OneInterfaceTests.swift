import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// Customer and server on one interface: what the server says of the address that it serves is no lie.
@Suite struct OneInterfaceTests {
    typealias F = TestFrame
    static let engine = F.mac(0xE0)
    static let alice = F.mac(0xA1)
    static let web = F.mac(0x3B)
    static let proxy = F.mac(0x9C)
    static let shop = ["203.0.113.80", "2001:db8:cb::80"]

    static let table: ForwardingTable = {
        var table = ForwardingTable()
        table.interfaces = [
            TableInterface(
                name: "one", mac: engine,
                addresses: [InterfaceAddress("10.7.0.1/24")!, InterfaceAddress("2001:db8:7::1/64")!])
        ]
        table.sources = [
            KnownSource(interface: 0, mac: alice, node: "alice", system: .customer),
            KnownSource(interface: 0, mac: web, node: "web", system: .terminalApplication),
            KnownSource(interface: 0, mac: proxy, node: "proxy", system: .terminalApplication),
        ]
        for (address, mac) in [
            ("10.7.0.2", alice), ("10.7.0.3", web), ("10.7.0.4", proxy), ("2001:db8:7::2", alice),
            ("2001:db8:7::3", web),
        ] {
            table.neighbours.append(StaticNeighbour(interface: 0, address: F.address(address), mac: mac))
        }
        for address in shop {
            let prefix = IPPrefix(host: F.address(address))
            table.claimed.append(ClaimedAddress(interface: 0, prefix: prefix))
            table.holders.append(AddressHolder(interface: 0, mac: web, prefix: prefix))
        }
        // A service of a prefix, which the proxy ends, and one of everything.
        let prefix = IPPrefix("198.51.100.0/24")!
        table.claimed.append(ClaimedAddress(interface: 0, prefix: prefix))
        table.claimed.append(ClaimedAddress(interface: 0, prefix: .everything(.ipv4)))
        table.holders.append(AddressHolder(interface: 0, mac: proxy, prefix: prefix))
        return table
    }()

    private func solicitation(
        _ source: String, _ target: String, from mac: MACAddress, option: Bool = true
    ) -> [UInt8] {
        let address = F.address(target)
        let packet = F.icmp(
            source, address.solicitedNode.description, type: 135, word: [0, 0, 0, 0],
            data: F.octets(address) + (option ? [1, 1] + mac.octets : []), hopLimit: 255)
        return F.frame(packet, from: mac, to: .ipv6Multicast(for: address.solicitedNode))
    }

    /// Linux asks for its gateway with the source of the packet that it is about to send, where `arp_announce` lets it.
    @Test func theServerAsksWithTheAddressThatItServes() throws {
        let pipeline = try Pipeline(Self.table)
        let rows = [
            F.arp(1, from: Self.web, Self.shop[0], to: .broadcast, "10.7.0.1"),
            F.arp(1, from: Self.web, "10.7.0.3", to: .broadcast, "10.7.0.1"),
            F.arp(1, from: Self.proxy, "198.51.100.7", to: .broadcast, "10.7.0.1"),
            // 0.0.0.0/0 claims no address in particular: a customer may have further ones.
            F.arp(1, from: Self.alice, "192.168.7.7", to: .broadcast, "10.7.0.1"),
            solicitation(Self.shop[1], "2001:db8:7::1", from: Self.web),
        ]
        for (index, frame) in rows.enumerated() {
            let out = pipeline.send(frame, on: 0)
            #expect(out.count == 1, "row \(index)")
            #expect(out.first.map { Array($0.bytes[10..<16]) == Array(frame[6..<12]) } == true, "row \(index)")
        }
        #expect(pipeline.allDrops == "")
        // Nothing of it was learnt: the address is the service's for everybody else.
        #expect(pipeline.neighbours.entries().isEmpty)
    }

    /// Duplicate address detection, a probe and a gratuitous announcement of an address by its own node: an answer would
    /// take the address from the node.
    @Test func whoOnlyTellsOfItsOwnAddressIsNotAnswered() throws {
        let pipeline = try Pipeline(Self.table)
        let rows = [
            F.arp(1, from: Self.web, "0.0.0.0", to: .broadcast, Self.shop[0]),
            F.arp(1, from: Self.web, Self.shop[0], to: .broadcast, Self.shop[0]),
            F.arp(2, from: Self.web, Self.shop[0], to: .broadcast, Self.shop[0]),
            F.arp(1, from: Self.proxy, "0.0.0.0", to: .broadcast, "198.51.100.7"),
            F.arp(1, from: Self.alice, "0.0.0.0", to: .broadcast, "10.7.0.2"),
            solicitation("::", Self.shop[1], from: Self.web, option: false),
        ]
        for (index, frame) in rows.enumerated() { #expect(pipeline.send(frame, on: 0).isEmpty, "row \(index)") }
        // An unsolicited advertisement of the address.
        let address = F.address(Self.shop[1])
        let packet = F.icmp(
            Self.shop[1], "ff02::1", type: 136, word: [0x20, 0, 0, 0],
            data: F.octets(address) + [2, 1] + Self.web.octets, hopLimit: 255)
        #expect(pipeline.send(F.frame(packet, from: Self.web, to: MACAddress(bits: 0x3333_0000_0001)), on: 0).isEmpty)
        // The last row is how a kernel asks whether an address is free, before it uses it: that is its housekeeping.
        #expect(pipeline.allDrops == "neighbour-not-ours:\(rows.count) housekeeping:1")
    }

    /// Everybody else who claims it lies, and who that is stands in the record of the last one dropped.
    @Test func whoElseClaimsTheAddressIsNamed() throws {
        let pipeline = try Pipeline(Self.table)
        let rows: [([UInt8], MACAddress, String, String)] = [
            (
                F.arp(1, from: Self.alice, Self.shop[0], to: .broadcast, "10.7.0.1"), Self.alice, Self.shop[0],
                "10.7.0.1"
            ),
            (
                F.arp(1, from: Self.web, "198.51.100.7", to: .broadcast, "10.7.0.1"), Self.web, "198.51.100.7",
                "10.7.0.1"
            ),
            (F.arp(1, from: Self.web, "10.7.0.2", to: .broadcast, "10.7.0.1"), Self.web, "10.7.0.2", "10.7.0.1"),
            (F.arp(1, from: Self.web, "10.7.0.1", to: .broadcast, "10.7.0.1"), Self.web, "10.7.0.1", "10.7.0.1"),
            (
                solicitation(Self.shop[1], "2001:db8:7::1", from: Self.alice), Self.alice, Self.shop[1], "2001:db8:7::1"
            ),
        ]
        for (index, (frame, mac, source, destination)) in rows.enumerated() {
            #expect(pipeline.send(frame, on: 0).isEmpty, "row \(index)")
            let last = try #require(pipeline.lastDrop(.neighbourConflict))
            #expect(last.interface == 0 && last.sourceMAC == mac, "row \(index)")
            #expect(last.source == F.address(source) && last.destination == F.address(destination), "row \(index)")
            pipeline.turn(after: 1)
        }
        #expect(pipeline.allDrops == "neighbour-conflict:\(rows.count)")
        // Others defend themselves against a probe for what is not theirs.
        #expect(pipeline.send(F.arp(1, from: Self.alice, "0.0.0.0", to: .broadcast, Self.shop[0]), on: 0).count == 1)
    }

    /// One record for each turn, so that a flood does not cost the writing of a record for each frame.
    @Test func aFloodIsNotedOnceATurn() throws {
        let pipeline = try Pipeline(Self.table)
        for number in 0..<50 {
            pipeline.worker.io.input.append(
                .init(
                    interface: 0,
                    bytes: [UInt8](repeating: 0, count: 10)
                        + F.arp(1, from: F.mac(0x100 + UInt64(number)), Self.shop[0], to: .broadcast, "10.7.0.1")))
        }
        pipeline.turn()
        #expect(pipeline.drops(.neighbourConflict) == 50)
        #expect(pipeline.lastDrop(.neighbourConflict)?.sourceMAC == F.mac(0x100))
        #expect(pipeline.lastDrop(.noService) == nil)
    }
}
