import Engine
import Wire

/// Frames of one kind that forwarding is measured with: a batch that comes over and over.
package struct ProcessingKind {
    /// What is special about it, for a person.
    package let name: String
    /// The interface that they come in on.
    package let interface: Int
    /// Each behind its `virtio_net_hdr`.
    package let frames: [[UInt8]]

    private init(_ name: String, on interface: Int, _ frame: (Int) -> [UInt8]) {
        self.name = name
        self.interface = interface
        frames = (0..<64).map(frame)
    }

    /// A worker that takes the batch over and over.
    package func worker(_ pipeline: Pipeline) -> Worker<ReplayFrameIO> {
        Worker(
            io: ReplayFrameIO(interface: interface, frames: frames), table: pipeline.published,
            neighbours: pipeline.neighbours, worker: 0)
    }

    /// One of each.
    package static var all: [ProcessingKind] { plain + coalesced + others }

    private typealias F = TestFrame
    private static let four = FourInterfaces.self
    private static let none = [UInt8](repeating: 0, count: 10)
    private static let small = [UInt8](repeating: 5, count: 18)

    private static func alice(_ packet: [UInt8], _ offload: [UInt8] = none) -> [UInt8] {
        offload + F.frame(packet, from: four.alice, to: four.engine[0])
    }

    private static func firewall(_ packet: [UInt8], _ offload: [UInt8] = none) -> [UInt8] {
        offload + F.frame(packet, from: four.firewallOut, to: four.engine[2])
    }

    /// Packets that simply go, each of another flow.
    private static var plain: [ProcessingKind] {
        [
            ProcessingKind("one copy, MAC address, IPv4, each frame another flow", on: 2) {
                firewall(F.tcp("192.0.2.10", 4_000 + $0, "203.0.113.80", 80, payload: small))
            },
            ProcessingKind("one copy, MAC address, IPv6, each frame another flow", on: 2) {
                firewall(F.tcp("2001:db8:2::10", 4_000 + $0, "2001:db8:cb::80", 80, payload: small))
            },
            ProcessingKind("one copy, network address, IPv4 UDP, each frame another flow", on: 0) {
                alice(F.udp("192.0.2.10", 4_000 + $0, "203.0.113.53", 53, payload: small))
            },
            ProcessingKind("one copy, network address, IPv6 TCP, each frame another flow", on: 0) {
                alice(F.tcp("2001:db8:2::10", 4_000 + $0, "2001:db8:cb::53", 53, payload: small))
            },
            ProcessingKind("one copy, MAC address, translated port, IPv4 UDP, each frame another flow", on: 0) {
                alice(F.udp("192.0.2.10", 4_000 + $0, "203.0.113.70", 80, payload: small))
            },
            ProcessingKind("one copy, MAC address, translated port, IPv6 TCP, each frame another flow", on: 0) {
                alice(F.tcp("2001:db8:2::10", 4_000 + $0, "2001:db8:cb::70", 80, payload: small))
            },
            ProcessingKind("one copy, network address, translated port, IPv4 UDP, each frame another flow", on: 0) {
                alice(F.udp("192.0.2.10", 4_000 + $0, "203.0.113.71", 80, payload: small))
            },
            ProcessingKind("one copy, network address, translated port, IPv6 TCP, each frame another flow", on: 0) {
                alice(F.tcp("2001:db8:2::10", 4_000 + $0, "2001:db8:cb::71", 80, payload: small))
            },
            ProcessingKind("two copies, MAC address, IPv4, each frame another flow", on: 0) {
                alice(F.tcp("192.0.2.10", 4_000 + $0, "203.0.113.80", 80, payload: small))
            },
            ProcessingKind("two copies, MAC address, IPv6, each frame another flow", on: 0) {
                alice(F.tcp("2001:db8:2::10", 4_000 + $0, "2001:db8:cb::80", 80, payload: small))
            },
            ProcessingKind("two copies, one to a customer found by neighbour, each frame another flow", on: 1) {
                none
                    + F.frame(
                        F.tcp("203.0.113.80", 80, "192.0.2.10", 4_000 + $0), from: four.firewallIn, to: four.engine[1])
            },
            ProcessingKind("one copy, MAC address, IPv4, one flow that cannot be coalesced", on: 2) { _ in
                firewall(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80, payload: small))
            },
        ]
    }

    /// Frames that are coalesced.
    private static var coalesced: [ProcessingKind] {
        let large = [UInt8](repeating: 7, count: 1_200)
        func datagram(_ index: Int, port: Int = 4_000, _ payload: [UInt8], partial: Bool) -> [UInt8] {
            alice(
                F.udp(
                    "192.0.2.10", port, "203.0.113.53", 53, payload: payload, partial: partial, identification: index),
                partial ? four.offloadUDPPartial4 : none)
        }
        return [
            ProcessingKind("coalesced, network address, IPv4 UDP, one flow", on: 0) {
                datagram($0, small, partial: true)
            },
            ProcessingKind("coalesced, network address, IPv4 UDP, one flow, full checksums", on: 0) {
                datagram($0, small, partial: false)
            },
            ProcessingKind("coalesced, network address, IPv4 UDP, 1,200 octets, one flow", on: 0) {
                datagram($0, large, partial: true)
            },
            ProcessingKind("coalesced, network address, IPv4 UDP, 1,200 octets, one flow, full checksums", on: 0) {
                datagram($0, large, partial: false)
            },
            ProcessingKind("coalesced, network address, IPv4 UDP, four flows in turn", on: 0) {
                datagram($0 / 4, port: 4_000 + $0 % 4, small, partial: true)
            },
            ProcessingKind("coalesced, translated port, IPv4 UDP, one flow, full checksums", on: 0) {
                alice(
                    F.udp("192.0.2.10", 4_000, "203.0.113.70", 80, payload: small, identification: $0), none)
            },
            ProcessingKind("coalesced, two copies, MAC address, IPv4 TCP, one flow", on: 0) {
                alice(
                    F.tcp(
                        "192.0.2.10", 4_000, "203.0.113.80", 80, payload: small, partial: true, flags: 0x10,
                        sequence: 1 + $0 * small.count, identification: $0), four.offloadTCPPartial4)
            },
            ProcessingKind("coalesced, network address, IPv6 UDP, one flow", on: 0) { _ in
                alice(
                    F.udp("2001:db8:2::10", 4_000, "2001:db8:cb::53", 53, payload: small, partial: true),
                    four.offloadUDPPartial6)
            },
        ]
    }

    /// What is dropped, answered or waits.
    private static var others: [ProcessingKind] {
        [
            ProcessingKind("malformed", on: 0) {
                Array(alice(F.tcp("192.0.2.10", 4_000, "203.0.113.80", 80)).prefix(11 + $0))
            },
            ProcessingKind("no service, ICMP errors at their rate", on: 0) {
                alice(F.udp("192.0.2.10", 4_000 + $0, "198.51.100.9", 53))
            },
            ProcessingKind("unresolved neighbour", on: 1) {
                none
                    + F.frame(
                        F.tcp("203.0.113.80", 80, "192.0.2.\(100 + $0)", 4_000), from: four.firewallIn,
                        to: four.engine[1])
            },
            ProcessingKind("ARP requests", on: 0) {
                none
                    + F.arp(1, from: F.mac(0xB00 + UInt64($0)), "192.0.2.\(100 + $0)", to: .broadcast, "192.0.2.1")
            },
            ProcessingKind("echo", on: 0) { _ in alice(F.icmp("192.0.2.10", "192.0.2.1", type: 8)) },
        ]
    }
}
