import Engine
import EngineRig
import Forwarding
import Testing
import Wire

/// Addresses that move: the node that announces one gets its packets from then on, if the table lets it have the address.
@Suite struct MovingAddressTests {
    typealias F = TestFrame
    static let engine = [F.mac(0xE0), F.mac(0xE1)]
    static let alice = F.mac(0xA1)
    static let bob = F.mac(0xB1)
    static let master = F.mac(0x3A)
    static let backup = F.mac(0x3B)
    static let other = F.mac(0x3C)
    static let shared = "198.18.4.100"
    static let sharedSix = "2001:db8:14::100"

    /// Customers on one interface, servers on another; packets for the shared addresses go to whoever announced them.
    static let table: ForwardingTable = {
        var table = ForwardingTable()
        table.interfaces = [
            TableInterface(
                name: "customers", mac: engine[0],
                addresses: [InterfaceAddress("192.0.2.1/24")!, InterfaceAddress("2001:db8:2::1/64")!], namesAll: true),
            TableInterface(
                name: "servers", mac: engine[1],
                addresses: [InterfaceAddress("198.18.4.1/24")!, InterfaceAddress("2001:db8:14::1/64")!]),
        ]
        table.sources = [
            KnownSource(
                interface: 0, mac: alice, node: "alice", system: .customer,
                origins: [IPPrefix("192.0.2.10")!, IPPrefix("2001:db8:2::10")!]),
            KnownSource(interface: 1, mac: bob, node: "bob", system: .customer, origins: [IPPrefix("198.18.4.20")!]),
            KnownSource(interface: 1, mac: master, node: "master", system: .terminalApplication),
            KnownSource(interface: 1, mac: backup, node: "backup", system: .terminalApplication),
            KnownSource(interface: 1, mac: other, node: "other", system: .terminalApplication),
        ]
        for (address, mac) in [("198.18.4.2", master), ("198.18.4.3", backup), ("198.18.4.4", other)] {
            table.neighbours.append(StaticNeighbour(interface: 1, address: F.address(address), mac: mac))
        }
        for (number, address) in [shared, sharedSix].enumerated() {
            let prefix = IPPrefix(host: F.address(address))
            for mac in [master, backup] {
                table.holders.append(AddressHolder(interface: 1, mac: mac, prefix: prefix, moves: true))
            }
            table.entries.append(
                Entry(
                    name: "shop", kind: .distribution, direction: .request, receivedInterface: 0, destination: prefix,
                    targets: [
                        SendTarget(
                            interface: 1, address: .neighbour(via: prefix.address), system: .terminalApplication)
                    ], counter: number))
        }
        return table
    }()

    private func gratuitous(_ mac: MACAddress, _ operation: Int = 1) -> [UInt8] {
        F.arp(operation, from: mac, Self.shared, to: .broadcast, Self.shared)
    }

    private func advertisement(_ mac: MACAddress, flags: UInt8 = 0x20) -> [UInt8] {
        let all = F.address("ff02::1")
        let packet = F.icmp(
            Self.sharedSix, all.description, type: 136, word: [flags, 0, 0, 0],
            data: F.octets(F.address(Self.sharedSix)) + [2, 1] + mac.octets, hopLimit: 255)
        return F.frame(packet, from: mac, to: .ipv6Multicast(for: all))
    }

    private func receiver(_ pipeline: Pipeline, _ address: String) -> MACAddress? {
        let source = address.contains(":") ? "2001:db8:2::10" : "192.0.2.10"
        let out = pipeline.send(
            F.frame(F.tcp(source, 4_000, address, 80), from: Self.alice, to: Self.engine[0]), on: 0)
        return out.first { F.read($0.bytes)?.flow.destination == F.address(address) }
            .map { MACAddress(bits: $0.bytes[10..<16].reduce(0) { $0 << 8 | UInt64($1) }) }
    }

    @Test func packetsFollowTheAnnouncement() throws {
        let pipeline = try Pipeline(Self.table)
        for (mac, operation) in [(Self.master, 1), (Self.backup, 1), (Self.master, 2), (Self.backup, 2)] {
            #expect(pipeline.send(gratuitous(mac, operation), on: 1).isEmpty)
            #expect(receiver(pipeline, Self.shared) == mac)
        }
        for mac in [Self.master, Self.backup] {
            #expect(pipeline.send(advertisement(mac), on: 1).isEmpty)
            #expect(receiver(pipeline, Self.sharedSix) == mac)
        }
        #expect(pipeline.allDrops == "")
    }

    /// An advertisement without the override flag does not replace what is known (RFC 4861, 7.2.5).
    @Test func anAdvertisementThatDoesNotOverrideMovesNothing() throws {
        let pipeline = try Pipeline(Self.table)
        _ = pipeline.send(advertisement(Self.master), on: 1)
        _ = pipeline.send(advertisement(Self.backup, flags: 0), on: 1)
        #expect(receiver(pipeline, Self.sharedSix) == Self.master)
        #expect(pipeline.allDrops == "neighbour-not-ours:1")
    }

    /// A packet waits until somebody announces the address, and is then sent.
    @Test func aWaitingPacketGoesToTheFirstThatAnnounces() throws {
        let pipeline = try Pipeline(Self.table)
        #expect(receiver(pipeline, Self.shared) == nil)
        let out = pipeline.send(gratuitous(Self.backup), on: 1)
        #expect(out.contains { $0.interface == 1 && Array($0.bytes[10..<16]) == Self.backup.octets })
    }

    /// Everybody else is refused: a customer, a server that may not have the address, a stranger, and a customer of
    /// another interface, in any form of announcement and even if the engine is just asking.
    @Test func nobodyElseTakesTheAddress() throws {
        for isKnown in [true, false] {
            let rows: [(MACAddress, Int)] = [(Self.bob, 1), (Self.other, 1), (F.mac(0x66), 1), (Self.alice, 0)]
            for (mac, interface) in rows {
                let pipeline = try Pipeline(Self.table)
                if isKnown {
                    _ = pipeline.send(gratuitous(Self.master), on: 1)
                    _ = pipeline.send(advertisement(Self.master), on: 1)
                }
                // The engine asks for the owner now, where it does not know one.
                _ = receiver(pipeline, Self.shared)
                let claims = [
                    gratuitous(mac), gratuitous(mac, 2), advertisement(mac), advertisement(mac, flags: 0x60),
                    F.arp(2, from: mac, Self.shared, to: Self.engine[interface], "198.18.4.1"),
                    F.arp(1, from: mac, Self.shared, to: .broadcast, "198.18.4.1"),
                ]
                for claim in claims { #expect(pipeline.send(claim, on: interface).isEmpty) }
                let refused =
                    pipeline.drops(.neighbourConflict) + pipeline.drops(.spoofedSource)
                    + pipeline.drops(.neighbourNotOurs) + pipeline.drops(.badNeighbourMessage)
                #expect(refused == UInt64(claims.count), "\(pipeline.allDrops)")
                #expect(
                    !pipeline.neighbours.entries().contains { $0.mac == mac }, "\(pipeline.neighbours.entries())")
                if isKnown { #expect(receiver(pipeline, Self.shared) == Self.master) }
            }
        }
    }

    /// A forged announcement, in which the Ethernet source and the claimed MAC address differ, moves nothing.
    @Test func aForgedAnnouncementMovesNothing() throws {
        let pipeline = try Pipeline(Self.table)
        _ = pipeline.send(gratuitous(Self.master), on: 1)
        let forged = F.arp(
            1, from: Self.other, Self.shared, to: .broadcast, Self.shared, senderMAC: Self.backup)
        #expect(pipeline.send(forged, on: 1).isEmpty)
        #expect(receiver(pipeline, Self.shared) == Self.master)
    }

    /// Engines share the neighbours: an announcement to one is in force for the others.
    @Test func anAnnouncementIsInForceForOtherWorkers() throws {
        let pipeline = try Pipeline(Self.table)
        _ = pipeline.send(gratuitous(Self.master), on: 1)
        var other = Worker(
            io: MemoryFrameIO(), table: pipeline.published, neighbours: pipeline.neighbours, worker: 0,
            tuning: EngineTuning())
        other.io.input.append(
            .init(interface: 1, bytes: [UInt8](repeating: 0, count: 10) + gratuitous(Self.backup)))
        other.turn(wait: false)
        #expect(receiver(pipeline, Self.shared) == Self.backup)
    }
}
