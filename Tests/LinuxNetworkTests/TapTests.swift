import CLinux
import Foundation
import LinuxNetwork
import Testing
import Wire

extension LinuxTests {
    @Test func aTapHasItsQueuesMtuAndOffloads() throws {
        try withNamespaces(1) { namespaces, _ in
            let mac = MACAddress("02:00:00:00:00:77")!
            let tap = try TapDevice(
                LinkSettings(name: "tap0", mac: mac, mtu: 65521, mark: "tapline"), in: namespaces[0], queues: 2)
            #expect(tap.offloads == .all)
            let shown = try output("ip", "-n", namespaces[0].name, "-d", "link", "show", "tap0")
            #expect(shown.contains("mtu 65521") && shown.contains("qlen 1000") && shown.contains("\(mac)"))
            #expect(shown.contains("multi_queue") && shown.contains("numqueues 2") && shown.contains("vnet_hdr"))
            #expect(shown.contains("alias tapline") && shown.contains(",UP"))
            #expect(
                tap.queues.allSatisfy { fcntl($0, F_GETFL) & O_NONBLOCK != 0 && fcntl($0, F_GETFD) & FD_CLOEXEC != 0 })

            let third = try tap.openQueue(in: namespaces[0])
            #expect(try output("ip", "-n", namespaces[0].name, "-d", "link", "show", "tap0").contains("numqueues 3"))
            let duplicate = try third.duplicate()
            try TapDevice.setQueue(duplicate.number, attached: false)
            let detached = try output("ip", "-n", namespaces[0].name, "-d", "link", "show", "tap0")
            #expect(detached.contains("numqueues 2") && detached.contains("numdisabled 1"))
            try TapDevice.setQueue(third.number, attached: true)
            #expect(try output("ip", "-n", namespaces[0].name, "-d", "link", "show", "tap0").contains("numqueues 3"))

            let taken = systemError { _ = try TapDevice(LinkSettings(name: "tap0"), in: namespaces[0]) }
            #expect(taken?.description == "cannot create the TAP tap0: File exists")
            let tooLarge = systemError { _ = try TapDevice(LinkSettings(name: "tap1", mtu: 65522), in: namespaces[0]) }
            #expect(tooLarge?.kernelMessage == "mtu greater than device maximum")
            #expect(try namespaces[0].netlink.link(named: "tap1") == nil)
            let tooMany = systemError { _ = try TapDevice(LinkSettings(name: "tap2"), in: namespaces[0], queues: 257) }
            #expect(tooMany?.errno == E2BIG && tooMany?.operation == TapDevice.openingQueue)
        }
    }

    /// The header that segments in tunnels need is the device's, and every further queue has it, too.
    @Test func aTapOfAnUnderlayTakesSegmentsInTunnels() throws {
        try withNamespaces(1) { namespaces, _ in
            let mac = MACAddress("02:00:00:00:00:77")!
            let plain = try TapDevice(LinkSettings(name: "plain", mac: mac), in: namespaces[0])
            #expect(clinux_tap_header(plain.queues[0]) == 10 && !plain.refusesTunnels)
            let tap = try TapDevice(
                LinkSettings(name: "tap0", mac: mac), in: namespaces[0], queues: 2, offloads: .underlay)
            #expect(tap.offloads == .underlay && !tap.refusesTunnels)
            let netlink = try namespaces[0].netlink
            for feature in ["tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation"] {
                #expect(
                    try netlink.isFeatureActive(feature, of: "tap0") && !netlink.isFeatureActive(feature, of: "plain"))
            }
            let third = try tap.openQueue(in: namespaces[0])
            try tap.grow(to: 4, in: namespaces[0])
            #expect((tap.queues + [third.number]).map(clinux_tap_header) == [24, 24, 24, 24, 24])
            // What is handed to the node comes as it is.
            let capture = try namespaces[0].perform { () throws(SystemError) -> OwnedDescriptor in
                OwnedDescriptor(owning: socket(AF_PACKET, Int32(SOCK_RAW.rawValue), Int32(UInt16(0x88B5).bigEndian)))
            }
            let frame = mac.octets + [2, 0, 0, 0, 0, 1, 0x88, 0xB5] + (0..<100).map { UInt8($0) }
            #expect(tap.deliver(frame))
            var buffer = [UInt8](repeating: 0, count: 2_048)
            let count = read(capture.number, &buffer, buffer.count)
            #expect(Array(buffer[..<max(0, count)]) == frame)
        }
    }

    /// Frames are divided by their outermost addresses: a tunnel, and a datagram's fragments, keep to one queue, both
    /// directions of a conversation to the same one, and flows are spread.
    @Test func outerAddressesChooseTheQueue() throws {
        try withNamespaces(1) { namespaces, _ in
            let mac = MACAddress("02:00:00:00:00:77")!
            let tap = try TapDevice(LinkSettings(name: "tap0", mac: mac), in: namespaces[0], queues: 4)
            #expect(tap.steeringRefusal == nil)
            let sender = try namespaces[0].perform { () throws(SystemError) -> OwnedDescriptor in
                OwnedDescriptor(owning: socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0))
            }
            var address = sockaddr_ll()
            address.sll_family = UInt16(AF_PACKET)
            address.sll_protocol = UInt16(0x0800).bigEndian
            address.sll_ifindex = tap.index
            let bound = withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(sender.number, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                }
            }
            try #require(bound == 0)
            // The queue that a frame comes to, known by its last octet.
            var mark: UInt8 = 0
            func queue(of packet: [UInt8]) throws -> Int {
                mark &+= 1
                let type: [UInt8] = packet[0] >> 4 == 6 ? [0x86, 0xDD] : [8, 0]
                let frame = mac.octets + [2, 0, 0, 0, 0, 1] + type + packet + [0xA5, mark]
                try #require(write(sender.number, frame, frame.count) == frame.count)
                var found: [Int] = []
                var buffer = [UInt8](repeating: 0, count: 70_000)
                for (index, queue) in tap.queues.enumerated() {
                    while case let count = read(queue, &buffer, buffer.count), count > 0 {
                        if Array(buffer[count - 2..<count]) == [0xA5, mark] { found.append(index) }
                    }
                }
                return try #require(found.count == 1 ? found.first : nil)
            }
            let (alice, shop) = (Packets.four(192, 0, 2, 10), Packets.four(203, 0, 113, 80))
            let (alice6, shop6) = (Packets.six(0x10), Packets.six(0x80))
            let inner = { (flow: UInt8) in
                Packets.ip(Packets.four(10, 0, 0, flow), Packets.four(10, 1, flow, 1), 17, Packets.ports(flow, 53))
            }
            for (from, to) in [(alice, shop), (alice6, shop6)] {
                // GRE with sequence numbers, and IP in IP: whatever is inside.
                for number: UInt8 in [47, 4] {
                    let tunnel = try Set(
                        (UInt8(1)...16).map {
                            let gre: [UInt8] = number == 47 ? [0x10, 0, 8, 0, 0, 0, 0, $0] : []
                            return try queue(of: Packets.ip(from, to, number, gre + inner($0)))
                        })
                    #expect(tunnel.count == 1, "protocol \(number)")
                }
                for number: UInt8 in [6, 17, 132] {
                    let there = try (UInt8(1)...32).map {
                        try queue(of: Packets.ip(from, to, number, Packets.ports($0, 53)))
                    }
                    let back = try (UInt8(1)...32).map {
                        try queue(of: Packets.ip(to, from, number, Packets.ports(53, $0)))
                    }
                    #expect(there == back && Set(there).count == 4, "protocol \(number): \(there), \(back)")
                }
            }
            // First and later fragments, of many ports.
            let places: [[UInt8]] = [[0x20, 0], [0x20, 3], [0, 6]]
            let fragments = try Set(
                (UInt8(1)...16).flatMap { port in
                    try places.map { try queue(of: Packets.ip(alice, shop, 17, Packets.ports(port, 53), fragment: $0)) }
                })
            #expect(fragments.count == 1)
            // Pairs of addresses are spread, too; and what is cut short comes somewhere.
            let hosts = try Set(
                (UInt8(1)...32).map {
                    try queue(of: Packets.ip(Packets.four(192, 0, 2, $0), shop, 50, [UInt8](repeating: 0, count: 20)))
                })
            #expect(hosts.count == 4)
            _ = try queue(of: Array(Packets.ip(alice, shop, 17, []).prefix(16)))
            // A queue that comes later divides with the others.
            let fifth = try tap.openQueue(in: namespaces[0])
            #expect(try output("ip", "-n", namespaces[0].name, "-d", "link", "show", "tap0").contains("numqueues 5"))
            withExtendedLifetime(fifth) {}
        }
    }

    /// As many frames wait in each queue as the device's transmit queue is long, also where it is changed later.
    @Test func eachQueueHasRoomForTheTransmitQueue() throws {
        try withNamespaces(1) { namespaces, _ in
            let mac = MACAddress("02:00:00:00:00:77")!
            let tap = try TapDevice(
                LinkSettings(name: "tap0", mac: mac, transmitQueueLength: 3_000), in: namespaces[0], queues: 2)
            let sender = try namespaces[0].perform { () throws(SystemError) -> OwnedDescriptor in
                OwnedDescriptor(owning: socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0))
            }
            var address = sockaddr_ll()
            address.sll_family = UInt16(AF_PACKET)
            address.sll_ifindex = tap.index
            func waiting(of count: Int) -> Int {
                // Of no protocol that is known: all to one queue.
                let frame = mac.octets + [2, 0, 0, 0, 0, 1, 0x88, 0xB5] + [UInt8](repeating: 7, count: 50)
                for _ in 0..<count {
                    withUnsafePointer(to: address) {
                        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                            _ = sendto(
                                sender.number, frame, frame.count, 0, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                        }
                    }
                }
                var buffer = [UInt8](repeating: 0, count: 70_000)
                return tap.queues.reduce(0) { sum, queue in
                    var found = 0
                    while case let count = read(queue, &buffer, buffer.count), count > 0 {
                        if buffer[22...23] == [0x88, 0xB5] { found += 1 }
                    }
                    return sum + found
                }
            }
            // The node's own frames at its start take a few places.
            #expect((2_900...3_000).contains(waiting(of: 4_000)))
            try namespaces[0].netlink.setLink(index: tap.index, transmitQueueLength: 5_000)
            #expect((4_900...5_000).contains(waiting(of: 6_000)))
        }
    }

    /// The other holder of a TAP's descriptor is killed: the device stays, with its carrier and its frames.
    @Test func aKilledHolderOfATapFlapsNothing() throws {
        try withNamespaces(1) { namespaces, _ in
            let tap = try TapDevice(LinkSettings(name: "tap0"), in: namespaces[0])
            let before = try output("ip", "-n", namespaces[0].name, "-d", "-s", "link", "show", "tap0")
            let child = try ProcessLauncher.spawn(
                Command(
                    "/bin/sleep", arguments: ["sleep", "60"], descriptors: [5: tap.queues[0]], diesWithParent: true))
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(child.pid)/fd/5") == "/dev/net/tun")
            try child.signal(SIGKILL)
            #expect(try child.wait() == .signalled(SIGKILL))
            #expect(try output("ip", "-n", namespaces[0].name, "-d", "-s", "link", "show", "tap0") == before)
            #expect(try namespaces[0].netlink.existingLink(named: "tap0").hasCarrier)
        }
    }

    /// A GSO frame of 4000 octets of TCP payload with a partial checksum, written to the TAP, reaches the node
    /// behind bridge and veth in MTU-sized frames with full checksums; and the node's own frames come back so.
    @Test(arguments: [true, false])
    func aNodeWithoutOffloadsSeesFinishedFrames(off: Bool) throws {
        try withNamespaces(2) { namespaces, _ in
            let (fabric, node) = (namespaces[0], namespaces[1])
            let n = try fabric.netlink
            let bridge = try n.createBridge(LinkSettings(name: "br0"))
            let tap = try TapDevice(LinkSettings(name: "tap0", master: bridge), in: fabric)
            let mac = MACAddress("02:00:00:00:00:02")!
            let pair = try n.createVeth(
                near: LinkSettings(name: "port", master: bridge), far: LinkSettings(name: "eth0", mac: mac), in: node)
            try n.addForwardingEntry(mac, port: pair.near)
            if off {
                try n.disableTransmitOffloads(of: "port")
                try node.netlink.disableTransmitOffloads(of: "eth0")
                for feature in [
                    "tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-generic-segmentation", "tx-udp-segmentation",
                ] {
                    #expect(try !n.isFeatureActive(feature, of: "port"))
                    #expect(try !node.netlink.isFeatureActive(feature, of: "eth0"))
                }
            } else {
                #expect(try n.isFeatureActive("tx-tcp-segmentation", of: "port"))
            }

            let capture = try node.perform { () throws(SystemError) -> OwnedDescriptor in
                OwnedDescriptor(owning: socket(AF_PACKET, Int32(SOCK_RAW.rawValue), Int32(UInt16(0x0800).bigEndian)))
            }
            let frame = Frames.gso(to: mac, payload: 4000, segment: 1460)
            // Until the bridge has opened its ports, on a busy machine later than here, it passes nothing on.
            var seen: [[UInt8]] = []
            for _ in 0..<50 where seen.isEmpty {
                let written = frame.withUnsafeBytes { write(tap.queues[0], $0.baseAddress, $0.count) }
                #expect(written == frame.count)
                seen = Frames.received(on: capture.number).filter { $0.count > 100 }
            }
            if off {
                #expect(seen.map(\.count) == [1514, 1514, 1134])
                #expect(seen.allSatisfy { Frames.tcpChecksumIsRight($0) })
            } else {
                // The judge can tell: untouched, the node would see the large frame with its partial checksum.
                #expect(seen.map(\.count) == [4054])
                #expect(seen.allSatisfy { !Frames.tcpChecksumIsRight($0) })
            }

            // The other way: a datagram of the node's own stack, as the engine reads it.
            let inside = try node.netlink
            try inside.addAddress(LinkAddress(IPAddress("192.0.2.2")!, length: 24), link: pair.far)
            try inside.addNeighbour(IPAddress("192.0.2.1")!, mac: MACAddress("02:00:00:00:00:01")!, link: pair.far)
            try output("ip", "netns", "exec", node.name, "bash", "-c", "echo hello > /dev/udp/192.0.2.1/9")
            var datagrams: [[UInt8]] = []
            var buffer = [UInt8](repeating: 0, count: 70_000)
            while case let count = read(tap.queues[0], &buffer, buffer.count), count > 0 {
                if buffer[22...23] == [8, 0], buffer[33] == 17 { datagrams.append(Array(buffer[..<count])) }
            }
            try #require(datagrams.count == 1)
            let datagram = datagrams[0][44...]
            let isRight =
                Frames.sum(datagram, UInt32(Frames.sum(datagrams[0][36..<44])) + 17 + UInt32(datagram.count)) == 0xFFFF
            #expect(isRight == off)
            #expect(datagrams[0][0] & 1 == (off ? 0 : 1), "VIRTIO_NET_HDR_F_NEEDS_CSUM")
        }
    }
}

/// Packets of which only addresses, protocol and ports matter.
enum Packets {
    static func four(_ octets: UInt8...) -> [UInt8] { octets }

    static func six(_ last: UInt8) -> [UInt8] { [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [last] }

    static func ports(_ source: UInt8, _ destination: UInt8) -> [UInt8] {
        [0, source, 0, destination] + [UInt8](repeating: 0, count: 20)
    }

    static func ip(
        _ source: [UInt8], _ destination: [UInt8], _ number: UInt8, _ payload: [UInt8], fragment: [UInt8] = [0, 0]
    ) -> [UInt8] {
        if source.count == 16 {
            return [0x60, 0, 0, 0, 0, UInt8(payload.count), number, 64] + source + destination + payload
        }
        return [0x45, 0, 0, UInt8(20 + payload.count), 0, 1] + fragment + [64, number, 0, 0] + source + destination
            + payload
    }
}

/// Frames by hand, and the naive checksum that judges them.
enum Frames {
    static func sum(_ bytes: some Collection<UInt8>, _ start: UInt32 = 0) -> UInt16 {
        var total = start, high = true
        for byte in bytes {
            total += high ? UInt32(byte) << 8 : UInt32(byte)
            high.toggle()
        }
        while total >> 16 != 0 { total = total & 0xFFFF + total >> 16 }
        return UInt16(total)
    }

    /// virtio_net_hdr with NEEDS_CSUM and GSO_TCPV4, Ethernet, IPv4, TCP.
    static func gso(to mac: MACAddress, payload: Int, segment: UInt16) -> [UInt8] {
        var ip: [UInt8] = [0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]
        let total = UInt16(40 + payload)
        ip[2] = UInt8(total >> 8); ip[3] = UInt8(total & 255)
        let check = ~sum(ip)
        ip[10] = UInt8(check >> 8); ip[11] = UInt8(check & 255)
        var tcp: [UInt8] = [0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xFF, 0xFF, 0, 0, 0, 0]
        let pseudo = sum(ip[12..<20], 6 + UInt32(20 + payload))
        tcp[16] = UInt8(pseudo >> 8); tcp[17] = UInt8(pseudo & 255)
        let header: [UInt8] = [1, 1, 54, 0, UInt8(segment & 255), UInt8(segment >> 8), 34, 0, 16, 0]
        let ethernet = mac.octets + [2, 0, 0, 0, 0, 1, 8, 0]
        return header + ethernet + ip + tcp + (0..<payload).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    }

    static func received(on socket: Int32) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        while poll(&entry, 1, 200) > 0 {
            var buffer = [UInt8](repeating: 0, count: 70000)
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { break }
            frames.append(Array(buffer[..<count]))
        }
        return frames
    }

    static func tcpChecksumIsRight(_ frame: [UInt8]) -> Bool {
        let segment = frame[34...]
        return sum(segment, UInt32(sum(frame[26..<34])) + 6 + UInt32(segment.count)) == 0xFFFF
    }
}
