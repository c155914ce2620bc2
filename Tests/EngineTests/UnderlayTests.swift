import CLinux
import EngineRig
import Foundation
import Forwarding
import LinuxNetwork
import Seeds
import Testing
import Wire

@testable import Engine

/// TAPs of underlays, and what the kernel makes of superframes in tunnels: it is the judge of the engine's own cutting.
@Suite(.serialized) struct UnderlayTests {
    private typealias F = TestFrame
    private static let engine = F.mac(0xE0)
    private static let router = F.mac(0xEF)

    /// A bridge with three TAPs. The first and the second are underlays; the third takes nothing, so the kernel finishes its frames.
    private final class Bridge {
        let name = "underlay-\(UInt32.random(in: 0 ... .max))"
        let taps: [TapDevice]
        var io: EpollFrameIO
        private var batch = FrameBatch()
        private let memory = UnsafeMutableRawPointer.allocate(byteCount: 1 << 17, alignment: 64)

        init(_ way: EngineTuning.Writing) throws {
            let namespace = try NetworkNamespace.create(
                name, mark: "tapline test", sysctls: [("net.ipv6.conf.default.disable_ipv6", "1")])
            let bridge = try namespace.netlink.createBridge(LinkSettings(name: "bridge"))
            let wanted: [TapOffloads] = [.underlay, .underlay, []]
            taps = try wanted.enumerated().map { place, offloads in
                try TapDevice(
                    LinkSettings(name: "tap\(place)", master: bridge), in: namespace, offloads: offloads)
            }
            io = try FrameIOTests.io(taps.map { $0.queues[0] }, way)
        }

        deinit {
            try? NetworkNamespace.delete(name)
            memory.deallocate()
        }

        /// Writes a frame behind its short offload header to the first TAP; the frames that came to the others.
        func pass(
            _ bytes: [UInt8], split: Int, limit: WaitLimit = .zero
        ) -> (failure: Int32, whole: [[UInt8]], cut: [[UInt8]]) {
            memory.copyMemory(from: bytes, byteCount: bytes.count)
            let count = min(split, bytes.count)
            var list = WriteList()
            list.add(
                interface: 0, header: memory, headerLength: count, body: UnsafeRawPointer(memory + count),
                bodyLength: bytes.count - count, packets: 1)
            io.send(list)
            var found: [[[UInt8]]] = [[], [], []]
            var limit = limit
            while case let ready = io.wait(limit), ready > 0 {
                limit = .zero
                for turn in 0..<ready {
                    io.receive(turn, into: &batch)
                    for index in 0..<batch.count {
                        let frame = batch.frames[index]
                        let octets = Array(UnsafeRawBufferPointer(start: frame.start, count: frame.length))
                        if octets.count > 24, Array(octets[10..<16]) == router.octets {
                            found[batch.interface].append(octets)
                        }
                    }
                }
            }
            return (list.writes[0].failure, found[1], found[2])
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var kind: TunnelEncapsulation.Kind
        var isOuterSix: Bool
        var isInnerSix: Bool
        var isTCP: Bool
        var testDescription: String {
            "\(kind) over IPv\(isOuterSix ? 6 : 4), \(isTCP ? "TCP" : "UDP") over IPv\(isInnerSix ? 6 : 4)"
        }

        var tunnel: Tunnel {
            let hasNSH = kind == .genericVXLAN
            return Tunnel(
                TunnelEncapsulation(
                    kind: kind, identifier: 42, port: kind == .geneve ? 6081 : hasNSH ? 4790 : 4789,
                    path: hasNSH ? 7 : 0, index: hasNSH ? 255 : 0),
                from: F.address(isOuterSix ? "2001:db8:64::1" : "198.18.64.1"),
                to: F.address(isOuterSix ? "2001:db8:100::7" : "198.51.100.7"), engine: engine, nextHop: router)
        }

        /// An inner superframe behind its offload header.
        func inner(_ payload: [UInt8], size: Int) -> [UInt8] {
            let (from, to) = isInnerSix ? ("2001:db8:2::10", "2001:db8:cb::80") : ("192.0.2.10", "203.0.113.80")
            let packet =
                isTCP
                ? F.tcp(from, 4_000, to, 80, payload: payload, partial: true, sequence: 0x7FFF_FFF0)
                : F.udp(from, 4_000, to, 80, payload: payload, partial: true)
            let start = isInnerSix ? 54 : 34
            let type =
                isTCP ? isInnerSix ? VirtioNetHeader.gsoTCPv6 : VirtioNetHeader.gsoTCPv4 : VirtioNetHeader.gsoUDPL4
            let header: [UInt8] = [1, type, UInt8(start + (isTCP ? 20 : 8)), 0, UInt8(size & 0xFF), UInt8(size >> 8)]
            return header + [UInt8(start), 0, isTCP ? 16 : 6, 0] + F.frame(packet, from: F.mac(1), to: F.mac(2))
        }
    }

    static let cases = [TunnelEncapsulation.Kind.vxlan, .geneve, .genericVXLAN].flatMap { kind in
        (0..<8).map { Case(kind: kind, isOuterSix: $0 & 1 != 0, isInnerSix: $0 & 2 != 0, isTCP: $0 & 4 != 0) }
    }

    /// What the engine writes for it, through a table with the tunnel: one frame.
    private static func written(_ one: Case, _ inner: [UInt8]) throws -> [UInt8] {
        let bytes = try TableCompiler.compile(table(one), generation: 1)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 4_096)
        defer { memory.deallocate() }
        memory.copyBytes(from: bytes)
        let snapshot = try Snapshot(validating: UnsafeRawBufferPointer(memory))
        var io = TunnelFrameIO(MemoryFrameIO(), table: snapshot)
        let layout = CounterLayout(workers: 1, interfaces: 2, entries: 1)
        let counters = UnsafeMutableRawPointer.allocate(byteCount: layout.size, alignment: 4_096)
        defer { counters.deallocate() }
        layout.initialize(counters)
        io.base.underlays = [0]
        io.decide(by: snapshot, counters: CounterBlock(memory: counters, layout: layout, worker: 0))
        var frame = inner
        return try frame.withUnsafeMutableBytes { raw in
            let start = try #require(raw.baseAddress)
            var list = WriteList()
            list.add(
                interface: 1, header: start, headerLength: raw.count, body: UnsafeRawPointer(start), bodyLength: 0,
                packets: 1)
            io.send(list)
            #expect(list.writes[0].failure == 0)
            let output = io.base.takeOutput()
            try #require(output.count == 1)
            return output[0].bytes
        }
    }

    private static func table(_ one: Case) -> ForwardingTable {
        var table = ForwardingTable()
        table.interfaces = [
            TableInterface(
                name: "underlay", mac: engine,
                addresses: [InterfaceAddress("198.18.64.1/24")!, InterfaceAddress("2001:db8:64::1/64")!]),
            TableInterface(
                name: "tunnel", mac: F.mac(0xE1), mtu: 1300,
                addresses: [InterfaceAddress("192.0.2.1/24")!],
                tunnel: TableTunnel(
                    carrier: 0,
                    encapsulation: TunnelEncapsulation(
                        kind: one.kind, identifier: 42, port: Int(one.tunnel.port), path: Int(one.tunnel.place.path),
                        index: Int(one.tunnel.place.index)),
                    local: one.tunnel.local, peer: one.tunnel.peer, nextHop: router)),
        ]
        return table
    }

    /// Whatever its length and the size of its segments: the kernel cuts a superframe into the frames that the engine would cut it into,
    /// and hands it over whole to a device that takes it, as it was written.
    @Test(arguments: cases) func theKernelCutsAsTheEngineDoes(_ one: Case) throws {
        var random = SeededGenerator(seed: Seed.drawn())
        for way in FrameIOTests.ways {
            let bridge = try Bridge(way)
            #expect(bridge.taps[0].offloads == .underlay && bridge.io.finishesTunnels(on: 0))
            #expect(bridge.taps[2].offloads == [] && !bridge.io.finishesTunnels(on: 2))
            // Until the bridge has opened its ports it passes nothing on.
            var isOpen = false
            for _ in 0..<100 where !isOpen {
                let plain =
                    [UInt8](repeating: 0, count: 10) + Self.router.octets + Self.engine.octets + [0x88, 0xB5]
                    + Array(repeating: 0, count: 46)
                isOpen = bridge.pass(plain, split: 24, limit: WaitLimit(.milliseconds(100))).cut.count == 1
            }
            try #require(isOpen)
            for _ in 0..<25 {
                let size = Int.random(in: 16...1_300, using: &random)
                // The kernel takes 128 datagrams at most, and a TAP's queue has room for 1000 frames.
                let most = min(60_000, size * (one.isTCP ? 900 : 120))
                let payload = (0..<Int.random(in: 1...most, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                let frame = try Self.written(one, one.inner(payload, size: size))
                let header = try #require(frame.withUnsafeBytes { VirtioNetHeader($0.bytes) })
                let (failure, whole, cut) = bridge.pass(
                    frame, split: [80, 140, frame.count].randomElement(using: &random)!)
                try #require(failure == 0, "\(size) \(payload.count)")
                guard payload.count > size else {
                    // One segment is no superframe to the kernel.
                    #expect(header.gsoType == VirtioNetHeader.gsoNone && cut.count == 1 && whole.count == 1)
                    continue
                }
                #expect(header.gsoType & VirtioNetHeader.gsoTunnel != 0)
                let expected = try #require(Segmentation.frames(of: Array(frame[10...]), header))
                #expect(cut.map { Array($0[10...]) } == expected, "\(size) \(payload.count)")
                #expect(cut.allSatisfy { $0[0] & 1 == 0 && $0[1] == 0 })
                try #require(whole.count == 1)
                #expect(Array(whole[0][10...]) == Array(frame[10...]))
                let read = try #require(whole[0].withUnsafeBytes { VirtioNetHeader($0.bytes) })
                #expect(read == header)
            }
        }
    }

    /// The inner frames of what the kernel cuts are those of the inner superframe, whatever is around them.
    @Test(arguments: cases) func whatIsInsideIsCutTheSame(_ one: Case) throws {
        let payload = (0..<9_000).map { UInt8(truncatingIfNeeded: $0 * 31) }
        let inner = one.inner(payload, size: 1_111)
        let own = try #require(inner.withUnsafeBytes { VirtioNetHeader($0.bytes) })
        let expected = try #require(Segmentation.frames(of: Array(inner[10...]), own))
        let frame = try Self.written(one, inner)
        let header = try #require(frame.withUnsafeBytes { VirtioNetHeader($0.bytes) })
        let cut = try #require(Segmentation.frames(of: Array(frame[10...]), header))
        #expect(cut.map { Array($0.suffix(from: frame.count - inner.count)) } == expected)
        for piece in cut {
            let isRight = OuterTransport(piece.span.bytes).map {
                $0.fault == nil && $0.hasRightChecksum(piece.span.bytes)
            }
            #expect(isRight == true)
        }
    }
}
