import Engine
import EngineRig
import Forwarding
import Seeds
import Testing
import Wire

/// What crosses an underlay whose device finishes what is in tunnels: superframes with their outer headers once.
@Suite struct TunnelOffloadTests {
    private typealias P = TunnelPipeline
    private typealias F = TestFrame

    /// The tunnels over UDP.
    static let numbers = P.tunnels.indices.filter { P.tunnels[$0].encapsulation.kind != .ethernet }

    private static func pipeline() throws -> P {
        let pipeline = try P()
        pipeline.worker.io.base.underlays = [0]
        return pipeline
    }

    private static func octets(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) } }

    /// An offload header: of TCP over IPv4 in segments of so many octets, or of a checksum alone.
    private static func offload(_ size: Int, start: Int = 34, field: Int = 16) -> [UInt8] {
        [
            1, size > 0 ? 1 : 0, UInt8(size > 0 ? start + 20 : 0), 0, UInt8(size & 0xFF), UInt8(size >> 8),
            UInt8(start), 0,
        ]
            + [UInt8(field), 0]
    }

    /// The datagrams of the way without offload, but for what the kernel counts up: outer IPv4 identifications.
    static func renumbered(_ frames: [[UInt8]]) -> [[UInt8]] {
        frames.enumerated().map { place, frame in
            guard frame[12] == 8 else { return frame }
            var frame = frame
            frame[18...19] = F.big16(place)[...]
            frame[24...25] = [0, 0]
            frame[24...25] = F.big16(~F.sum(Array(frame[14..<34])))[...]
            return frame
        }
    }

    /// What one superframe is cut into is what is sent without offload, octet by octet, at any length and segment size.
    @Test(arguments: numbers) func aSuperframeLeavesWholeAndIsCutIntoTheSameFrames(_ number: Int) throws {
        var random = SeededGenerator(seed: Seed.drawn())
        for _ in 0..<60 {
            let size = Int.random(in: 1...1_300, using: &random)
            let payload = Self.octets(Int.random(in: 1...min(64_000, size * 60), using: &random))
            let flags = UInt8.random(in: 0...255, using: &random) & 0xD9 | 0x10
            let answer = F.tcp(P.shop, 80, P.address(number), 4_000, payload: payload, partial: true, flags: flags)
            let frame = P.ethernet(F.mac(0xE1), P.web, answer)
            let plain = try P()
            let offload = Self.offload(size)
            let expected = plain.send([frame], on: P.servers, offload: offload).map { Array($0.bytes[10...]) }
            let pipeline = try Self.pipeline()
            let sent = pipeline.send([frame], on: P.servers, offload: offload)
            #expect(pipeline.drops == "" && plain.drops == "")
            let whole = try #require(sent.first)
            try #require(sent.count == 1 && whole.interface == 0)
            guard payload.count > size else {
                // The kernel takes one segment for no superframe.
                #expect(whole.bytes[1] == 0)
                #expect(try [Self.completed(whole.bytes)] == expected)
                continue
            }
            let header = try #require(whole.bytes.withUnsafeBytes { VirtioNetHeader($0.bytes) })
            let family = P.tunnels[number].family == 1 ? VirtioNetHeader.gsoTunnel6 : VirtioNetHeader.gsoTunnel4
            #expect(header.gsoType == VirtioNetHeader.gsoTCPv4 | family)
            let outer = P.tunnels[number].encapsulation.overhead(family == VirtioNetHeader.gsoTunnel6 ? .ipv6 : .ipv4)
            #expect(Int(header.headerLength) == outer + 14 && Int(header.checksumStart) == outer + 34)
            let cut = try #require(Segmentation.frames(of: Array(whole.bytes[10...]), header))
            #expect(cut == Self.renumbered(expected), "\(size) \(payload.count)")
            // One packet for each segment, whichever way it goes.
            let counts = [plain, pipeline].map { $0.reader.interface(2 + number).sent.packets }
            #expect(counts == [UInt64(cut.count), UInt64(cut.count)])
        }
    }

    /// What a far end's kernel hands over whole comes out whole, and is cut into the same frames inside.
    @Test(arguments: numbers) func aSuperframeComesOutWhole(_ number: Int) throws {
        for (size, count) in [(1_300, 20_000), (7, 700), (1_000, 1_000), (1_300, 60_000)] {
            let request = P.ethernet(
                P.engine(number), P.alice(number),
                F.tcp(P.address(number), 4_000, P.shop, 80, payload: Self.octets(count), partial: true))
            let (outer, header) = try Self.enclosed(number, request, Self.offload(size))
            let pipeline = try Self.pipeline()
            let sent = pipeline.send([outer], on: 0, offload: header)
            #expect(pipeline.drops == "")
            let whole = try #require(sent.first)
            try #require(sent.count == 1 && whole.interface == P.servers)
            #expect(Array(whole.bytes[24...]) == Array(request[14...]))
            let left = try #require(whole.bytes.withUnsafeBytes { VirtioNetHeader($0.bytes) })
            #expect(left.gsoType == 1 && left.flags == 1 && left.checksumStart == 34 && left.checksumOffset == 16)
            #expect(Int(left.gsoSize) == size)
            #expect(pipeline.reader.interface(2 + number).received.packets == UInt64((count + size - 1) / size))
        }
    }

    /// A checksum that is left to the device is left to it inside a tunnel, too: over IPv6 both are right when it is complete.
    @Test(arguments: numbers) func aPartialChecksumIsLeftToTheDevice(_ number: Int) throws {
        for count in [0, 1, 20, 1_299] {
            let payload = Self.octets(count)
            let answer = F.tcp(P.shop, 80, P.address(number), 4_000, payload: payload, partial: true)
            let pipeline = try Self.pipeline()
            let sent = pipeline.send(
                [P.ethernet(F.mac(0xE1), P.web, answer)], on: P.servers, offload: Self.offload(0))
            let frame = try #require(sent.first)
            #expect(sent.count == 1 && frame.bytes[0] == 1 && frame.bytes[1] == 0 && pipeline.drops == "")
            let full = F.tcp(P.shop, 80, P.address(number), 4_000, payload: payload)
            let inner = P.ethernet(P.alice(number), P.engine(number), full)
            #expect(try Self.completed(frame.bytes) == P.wrapped(number, inner, fromSite: false))
            // And the other way.
            let request = P.ethernet(
                P.engine(number), P.alice(number),
                F.tcp(P.address(number), 4_000, P.shop, 80, payload: payload, partial: true))
            let (outer, header) = try Self.enclosed(number, request, Self.offload(0))
            let back = try #require(pipeline.send([outer], on: 0, offload: header).first)
            #expect(pipeline.drops == "" && Array(back.bytes[24...]) == Array(request[14...]))
            #expect(Array(back.bytes[..<10]) == Self.offload(0))
            guard P.tunnels[number].family == 1 else { continue }
            var damaged = outer
            damaged[70] ^= 0x10
            #expect(pipeline.send([damaged], on: 0, offload: header) == [])
            #expect(pipeline.drops == "\(DropReason.badTunnelChecksum.name):1")
        }
    }

    /// Over IPv6 the outer checksum of a frame whose own is complete is left to the device, or may be left by a sender.
    @Test func anOuterChecksumIsLeftToTheDevice() throws {
        let answer = F.tcp(P.shop, 80, P.address(1), 4_000, payload: Self.octets(900))
        let pipeline = try Self.pipeline()
        let frame = try #require(pipeline.send([P.ethernet(F.mac(0xE1), P.web, answer)], on: P.servers).first)
        #expect(Array(frame.bytes[..<10]) == [1, 0, 0, 0, 0, 0, 54, 0, 6, 0])
        let inner = P.ethernet(P.alice(1), P.engine(1), answer)
        #expect(try Self.completed(frame.bytes) == P.wrapped(1, inner, fromSite: false))
        let request = P.request(1)
        var outer = P.wrapped(1, request)
        outer.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            Tunnel.begin(&bytes)
        }
        let back = pipeline.send([outer], on: 0, offload: [1, 0, 0, 0, 0, 0, 54, 0, 6, 0])
        #expect(pipeline.drops == "" && back.first.map { Array($0.bytes[24...]) } == Array(request[14...]))
    }

    /// Of several copies of a frame only the Ethernet header is apart: the outer source port and the mark follow from the rest.
    @Test func copiesOfAFrameHaveTheirFlowsPortAndMark() throws {
        var table = P.table
        let first = try #require(table.entries.first { $0.name == "response0" })
        table.entries.removeAll { $0.name == "response0" }
        var copied = first
        copied.targets = [
            SendTarget(interface: 2, address: .mac(P.alice(0)), system: .inlineApplication),
            SendTarget(interface: 4, address: .mac(P.alice(2)), system: .passiveApplication),
        ]
        table.entries.append(copied)
        for isFinished in [false, true] {
            let pipeline = try P(table)
            if isFinished { pipeline.worker.io.base.underlays = [0] }
            var answer = F.tcp(P.shop, 80, P.address(0), 4_000, payload: Self.octets(3_000), partial: true)
            answer[1] = 1
            answer[10...11] = [0, 0]
            answer[10...11] = F.big16(~F.sum(Array(answer[..<20])))[...]
            let sent = pipeline.send(
                [P.ethernet(F.mac(0xE1), P.web, answer)], on: P.servers, offload: Self.offload(1_300))
            #expect(sent.count == (isFinished ? 2 : 6) && pipeline.drops == "")
            let ports = Set(sent.map { Array($0.bytes[44..<46]) })
            let inner = P.ethernet(P.alice(0), P.engine(0), answer)
            #expect(ports == [Array(P.wrapped(0, inner, fromSite: false)[34..<36])])
            #expect(sent.allSatisfy { $0.bytes[25] & 3 == 1 })
        }
    }

    /// A sender that gives the kernel several datagrams at once, and segments in somebody else's tunnel: both are cut, in their order.
    @Test func whatIsNotATunnelsSuperframeIsCutFirst() throws {
        let pipeline = try Self.pipeline()
        let frames = (0..<3).map { P.wrapped(0, P.request(0, payload: 100 + $0)) }
        // Three datagrams of one length in one: UDP segments of that length.
        let requests = (0..<3).map { _ in P.request(0, payload: 200) }
        let datagrams = requests.map { Array(P.wrapped(0, $0)[42...]) }
        var outer = Array(P.wrapped(0, requests[0])[..<42]) + datagrams.flatMap { $0 }
        let (length, source, local) = (outer.count - 14, P.peers[0], P.locals[0])
        outer[16...17] = F.big16(length)[...]
        outer[38...39] = F.big16(length - 20)[...]
        outer[24...25] = [0, 0]
        outer[24...25] = F.big16(~F.sum(Array(outer[14..<34])))[...]
        outer[40...41] = F.big16(F.sum(F.pseudo(source, local, 17, length - 20)))[...]
        let size = datagrams[0].count
        let header: [UInt8] = [1, 5, 42, 0, UInt8(size & 0xFF), UInt8(size >> 8), 34, 0, 6, 0]
        pipeline.worker.io.base.input += [
            .init(interface: 0, bytes: P.none + frames[0]), .init(interface: 0, bytes: header + outer),
            .init(interface: 0, bytes: P.none + frames[1]), .init(interface: 0, bytes: P.none + frames[2]),
        ]
        let sent = pipeline.send([], on: 0)
        #expect(pipeline.drops == "")
        // What follows one another in a flow is merged again.
        let payloads = sent.map { $0.bytes.count - 10 - 54 }
        #expect(payloads.reduce(0, +) == 100 + 600 + 101 + 102 && payloads.first == 100, "\(payloads)")
        #expect(pipeline.reader.interface(2).received.packets == 6)
        // The same port at an address that is not the engine's end: it is a packet like others, and goes nowhere here.
        let (foreign, offload) = try Self.enclosed(
            0,
            P.ethernet(
                P.engine(0), P.alice(0), F.tcp(P.address(0), 1, P.shop, 80, payload: Self.octets(4_000), partial: true)),
            Self.offload(1_000), to: F.address("198.18.64.77"))
        // The router is told that it cannot be reached.
        #expect(pipeline.send([foreign], on: 0, offload: offload).allSatisfy { $0.interface == 0 && $0.bytes[33] == 1 })
        #expect(
            pipeline.reader.drops(.badOffloadHeader) == 0 && pipeline.reader.drops().reduce(0) { $0 + $1.frames } == 4)
    }

    /// Offload headers that do not fit what is behind them.
    @Test func aLyingOffloadHeaderIsDropped() throws {
        let request = P.ethernet(
            P.engine(0), P.alice(0), F.tcp(P.address(0), 4_000, P.shop, 80, payload: Self.octets(4_000), partial: true))
        let (outer, header) = try Self.enclosed(0, request, Self.offload(1_000))
        var expected: UInt64 = 0
        let edits: [(Int, UInt8)] = [
            (0, 8), (0, 0), (1, 0x41), (1, 0x61), (1, 1), (1, 4 | 0x20), (4, 0), (6, 20), (6, 40), (7, 0xFF), (8, 0xFF),
        ]
        for (place, value) in edits {
            let pipeline = try Self.pipeline()
            var lie = header
            lie[place] = value
            if place == 4 { lie[5] = 0 }
            #expect(pipeline.send([outer], on: 0, offload: lie) == [], "\(place) \(value)")
            expected = pipeline.reader.drops().reduce(0) { $0 + $1.frames }
            #expect(
                expected > 0 && pipeline.reader.drops(.badOffloadHeader) == expected,
                "\(place) \(value): \(pipeline.drops)")
        }
    }

    /// A frame in its tunnel as a kernel hands it over: with work left to do.
    private static func enclosed(
        _ number: Int, _ frame: [UInt8], _ offload: [UInt8], to local: IPAddress? = nil
    ) throws -> (frame: [UInt8], offload: [UInt8]) {
        var (outer, header) = (P.wrapped(number, frame), offload)
        let overhead = outer.count - frame.count
        let isSix = P.tunnels[number].family == 1
        header[6] += UInt8(overhead)
        if let local {
            outer[30..<34] = F.octets(local)[...]
            outer[24...25] = [0, 0]
            outer[24...25] = F.big16(~F.sum(Array(outer[14..<34])))[...]
        }
        if offload[1] != 0 {
            header[0] |= isSix ? VirtioNetHeader.tunnelChecksum : 0
            header[1] |= isSix ? VirtioNetHeader.gsoTunnel6 : VirtioNetHeader.gsoTunnel4
            header[2] = UInt8(overhead + 14)
        }
        guard isSix else { return (outer, header) }
        outer.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            Tunnel.begin(&bytes)
        }
        if offload[1] == 0 {
            let pseudo = F.pseudo(P.peers[1], P.locals[1], 17, outer.count - 54)
            // The inner datagram's sum will be the complement of its pseudo-header's.
            var whole = outer
            whole[60...61] = [0, 0]
            let start = Int(header[6])
            let field = start + Int(header[8])
            let partial = Int(whole[field]) << 8 | Int(whole[field + 1])
            outer[60...61] = F.big16(~F.sum(pseudo + Array(whole[54..<start]) + F.big16(~partial)))[...]
        }
        return (outer, header)
    }

    /// A frame behind an offload header, with the checksum that this asks for.
    private static func completed(_ bytes: [UInt8]) throws -> [UInt8] {
        let header = try #require(bytes.withUnsafeBytes { VirtioNetHeader($0.bytes) })
        var frame = Array(bytes[10...])
        let count = frame.count
        frame.withUnsafeMutableBytes { raw in
            var octets = raw.mutableBytes
            InternetChecksum.complete(
                &octets, start: Int(header.checksumStart), offset: Int(header.checksumOffset), end: count)
        }
        return frame
    }
}
