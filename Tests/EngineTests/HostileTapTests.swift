import CLinux
import Engine
import Forwarding
import Glibc
import LinuxNetwork
import Seeds
import Testing
import Wire

/// Frames of every size and offload headers that lie, through real TAPs, beside a flow that behaves.
@Suite(.serialized, .enabled(if: geteuid() == 0, "needs root")) struct HostileTapTests {
    typealias F = TestFrame

    /// Two namespaces with the largest MTU that a TAP has, the engine between them, and nothing that anybody says
    /// unasked: what the engine counts is what the test sent.
    final class Place {
        static let mtu = 65_521
        let bench: EngineBench
        let engine: EngineBench.Running
        let flow: NumberedFlow
        private let socket: Int32
        /// Where the server takes datagrams.
        let sink: Int32
        /// Datagrams that the flow has sent.
        private(set) var exchanged: UInt64 = 0

        static let client = F.mac(0xA1)
        static let gateway = F.mac(0xE0)

        init() throws {
            bench = try EngineBench()
            var table = EngineBench.table
            for index in 0..<2 { table.interfaces[index].mtu = Self.mtu }
            table.neighbours = [StaticNeighbour(interface: 0, address: F.address("192.0.2.10"), mac: Self.client)]
            for (index, gateway) in ["192.0.2.1", "198.18.4.1"].enumerated() {
                let namespace = bench.namespaces[index]
                try Sysctl.write("net.ipv6.conf.eth0.disable_ipv6", "1", in: namespace)
                let link = bench.taps[index].index
                try namespace.netlink.setLink(index: link, mtu: Self.mtu)
                // Who makes the kernel cut a frame into thousands floods the ring of its own device, which the flow
                // beside shares; that is another matter.
                try namespace.netlink.setLink(index: link, transmitQueueLength: 60_000)
                try namespace.netlink.addNeighbour(
                    F.address(gateway), mac: F.mac(0xE0 + UInt64(index)), link: link)
            }
            engine = try bench.start()
            let (memory, size) = try bench.makeTable(2, table)
            try engine.link.publish(table: EngineLink.Memory(descriptor: memory, size: size), generation: 2)
            #expect(try engine.link.receive() == .applied(generation: 2))
            flow = try NumberedFlow(bench, sockets: 4)
            sink = try bench.socket(1, SOCK_DGRAM)
            var room: Int32 = 64 << 20
            setsockopt(sink, SOL_SOCKET, SO_RCVBUFFORCE, &room, 4)
            let sink = sink
            let bound = EngineBench.with(EngineBench.socketAddress(EngineBench.service, 9)) { bind(sink, $0, $1) }
            guard bound == 0 else { throw EngineError("bind the sink's socket", errno: errno) }
            let link = bench.taps[0].index
            socket = try bench.namespaces[0].perform { () throws(SystemError) -> Int32 in
                let descriptor = Glibc.socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0)
                var one: Int32 = 1
                setsockopt(descriptor, SOL_PACKET, PACKET_VNET_HDR, &one, 4)
                var address = sockaddr_ll()
                address.sll_family = sa_family_t(AF_PACKET)
                address.sll_ifindex = link
                _ = withUnsafePointer(to: &address) {
                    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_ll>.size))
                    }
                }
                return descriptor
            }
        }

        deinit {
            close(socket)
            close(sink)
        }

        /// Sends a frame behind its `virtio_net_hdr`; false where the kernel does not take it.
        func send(_ header: [UInt8], _ frame: [UInt8]) -> Bool {
            let bytes = header + frame
            return Glibc.send(socket, bytes, bytes.count, 0) == bytes.count
        }

        /// The flow beside: true where all of its datagrams come back. What was sent before has gone through by then.
        func exchange(_ count: Int) -> Bool {
            exchanged += UInt64(count)
            return flow.exchange(count) == count
        }

        /// The lengths of the datagrams that have come to the sink.
        func takeLengths() -> [Int] {
            var lengths: [Int] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 17)
            while true {
                let count = recv(sink, &buffer, buffer.count, Int32(MSG_DONTWAIT))
                guard count >= 0 else { return lengths }
                lengths.append(count)
            }
        }

        /// Frames that the kernel has handed to the engine from the client.
        func handed() throws -> UInt64 {
            try #require(try bench.namespaces[0].netlink.counters()["eth0"]).sentPackets
        }

        /// Requests of both families that the table took.
        var taken: UInt64 { bench.reader.entry(0).packets + bench.reader.entry(2).packets }
    }

    private static let none = [UInt8](repeating: 0, count: 10)

    private static func frame(_ packet: [UInt8]) -> [UInt8] {
        F.frame(packet, from: Place.client, to: Place.gateway)
    }

    private static func datagram(_ size: Int) -> [UInt8] {
        frame(
            F.udp(
                "192.0.2.10", 5_000, EngineBench.service, 9,
                payload: (0..<size).map { UInt8(truncatingIfNeeded: $0) }))
    }

    /// Every size that a frame can have, as far as one is like another: all small ones, and those round whatever is a
    /// limit to somebody.
    private static var sizes: [Int] {
        let limits = [1_514, 2_038, 2_048, 4_096, 8_192, 9_014, 16_384, 32_768, 65_535]
        let near = limits.flatMap { limit in (-2...2).map { limit + $0 } }
        return Array(Set(Array(14...1_600) + Array(stride(from: 1_601, to: 65_535, by: 997)) + near))
            .filter { $0 <= 65_535 }.sorted()
    }

    @Test func framesOfEverySizePassOrAreCounted() throws {
        let place = try Place()
        #expect(place.exchange(64))
        let before = (handed: try place.handed(), taken: place.taken, exchanged: place.exchanged)
        let received = place.bench.reader.interface(0)
        let largest = Self.datagram(65_535 - 42)
        var lengths: [Int] = []
        for (index, size) in Self.sizes.enumerated() {
            // Too small for its headers: the beginning of a larger one.
            #expect(
                place.send(Self.none, size < 42 ? Array(largest.prefix(size)) : Self.datagram(size - 42)), "\(size)")
            guard index % 32 == 31 else { continue }
            #expect(place.exchange(64), "the flow beside lost something before a frame of \(size) octets")
            lengths += place.takeLengths()
        }
        #expect(place.exchange(64))
        lengths += place.takeLengths()
        let whole = Self.sizes.filter { $0 >= 42 }
        #expect(lengths == whole.map { $0 - 42 })
        let now = place.bench.reader.interface(0)
        let frames = UInt64(Self.sizes.count) + place.exchanged - before.exchanged
        #expect(try place.handed() - before.handed == frames)
        #expect(now.received.packets - received.received.packets == frames)
        #expect(now.receivedDrops - received.receivedDrops == UInt64(Self.sizes.count - whole.count))
        #expect(place.taken - before.taken == frames - UInt64(Self.sizes.count - whole.count))
        for reason in [DropReason.truncatedNetworkHeader, .lyingLength] {
            #expect(place.bench.reader.drops(reason) > 0, "\(reason.name)")
        }
        #expect(!place.engine.process.hasEnded)
    }

    /// Segments together longer than the MTU, up to 65,549 octets, the longest packet behind an Ethernet header. The kernel
    /// itself cuts up those that are longer than a device takes.
    @Test func superframesOfEverySizePass() throws {
        let place = try Place()
        var sent = 0
        for size in [1_515, 9_000, 32_768, 65_534, 65_535, 65_536, 65_547, 65_548, 65_549] {
            let data = [UInt8](repeating: 7, count: size - 42)
            let frame = Self.frame(F.udp("192.0.2.10", 5_000, EngineBench.service, 9, payload: data, partial: true))
            #expect(frame.count == size)
            // UDP segments of 1,400 octets, NEEDS_CSUM.
            if place.send([1, 5, 42, 0, 0x78, 5, 34, 0, 6, 0], frame) { sent += (data.count + 1_399) / 1_400 }
            #expect(place.exchange(64), "\(size)")
        }
        #expect(sent > 100, "the kernel took none of them")
        let lengths = place.takeLengths()
        #expect(lengths.count == sent)
        #expect(lengths.allSatisfy { $0 <= 1_400 })
        // What the client's kernel had to say before it was told to be silent.
        let drops = place.bench.reader.drops()
        let talk: [DropReason] = [.multicastNotServed, .neighbourNotOurs, .housekeeping]
        #expect(drops.allSatisfy { talk.contains($0.reason) }, "\(drops)")
        // Most came as they were sent, not cut up before.
        #expect(try place.handed() < place.bench.reader.interface(0).received.packets)
    }

    @Test func offloadHeadersThatLieHarmNobody() throws {
        let seed = Seed.drawn()
        var state = seed
        func pick<T>(_ values: [T]) -> T {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return values[Int(state % UInt64(values.count))]
        }
        let four = ("192.0.2.10", EngineBench.service)
        let six = ("2001:db8:2::10", "2001:db8:cb::80")
        let payloads = [[UInt8](repeating: 1, count: 3_000), [2], [UInt8](repeating: 3, count: 1_400)]
        var packets = [F.icmp(four.0, four.1, type: 8)]
        for payload in payloads {
            for (source, destination) in [four, six] {
                for partial in [true, false] {
                    packets.append(F.udp(source, 5_001, destination, 9, payload: payload, partial: partial))
                    packets.append(F.tcp(source, 5_001, destination, 9, payload: payload, partial: partial))
                }
            }
        }
        let frames = packets.map(Self.frame)
        let place = try Place()
        #expect(place.exchange(64))
        let before = place.bench.reader.interface(0)
        let takenBefore = place.taken
        let handedBefore = try place.handed()
        var accepted = 0
        for round in 0..<8_000 {
            let word = { (value: Int) in [UInt8(value & 0xFF), UInt8(value >> 8)] }
            // Mostly headers that are nearly right; the kernel lets few others pass.
            let header =
                [
                    pick([0, 1, 1, 1, 1, 2, 3, 4, 0xFF]),
                    pick([0, 1, 1, 4, 5, 5, 3, 2, 6, 0x80, 0x81, 0x84, 0x85, 0xFF]),
                ]
                + word(pick([0, 1, 14, 34, 42, 54, 54, 62, 66, 74, 1_000, 0xFFFF]))
                + word(pick([0, 1, 8, 500, 1_000, 1_400, 0xFFFF]))
                + word(pick([0, 14, 33, 34, 34, 34, 54, 54, 100, 1_499, 0xFFFF]))
                + word(pick([0, 6, 6, 6, 16, 16, 16, 17, 100, 0xFFFF]))
            if place.send(header, pick(frames)) { accepted += 1 }
            guard round % 16 == 15 else { continue }
            guard place.exchange(64) else {
                Issue.record("the flow beside lost something in round \(round) of seed \(seed)")
                return
            }
        }
        let now = place.bench.reader.interface(0)
        let received = now.received.packets - before.received.packets
        let drops = now.receivedDrops - before.receivedDrops
        print(
            "offload headers: \(accepted) of 8000 taken by the kernel, \(received) packets, \(drops) dropped:",
            place.bench.reader.drops().map { "\($0.reason.name) \($0.frames)" }.joined(separator: ", "))
        #expect(accepted > 500)
        #expect(!place.engine.process.hasEnded)
        // Each one either met an entry or was dropped for a reason; a superframe is the packets that it stands for.
        #expect(received == place.taken - takenBefore + drops, "seed \(seed)")
        #expect(received >= (try place.handed()) - handedBefore, "seed \(seed)")
        #expect(place.bench.reader.drops().reduce(0) { $0 + $1.frames } >= drops, "seed \(seed)")
    }
}
