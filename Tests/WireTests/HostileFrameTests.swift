import Seeds
import Testing
import Wire

/// Whatever the octets are, reading them ends with a verdict, and what the verdict promises holds.
@Suite struct HostileFrameTests {
    static let seed = Seed.drawn()

    /// One valid frame of each kind.
    static let corpus: [[UInt8]] = {
        let (alice, shop) = (ip("192.0.2.10"), ip("203.0.113.80"))
        let (alice6, shop6) = (ip("2001:db8::10"), ip("2001:db8::80"))
        var frames: [[UInt8]] = []
        for number: UInt8 in [6, 17, 33, 132, 136, 1, 58, 50] {
            frames.append(TestFrames.transport(number, alice, shop, padding: 6))
            frames.append(TestFrames.transport(number, alice6, shop6, padding: 6))
            for (source, destination) in [(alice, shop), (alice6, shop6)] {
                let packet = TestFrames.packet(
                    destination, source, number, TestFrames.segment(number, destination, source))
                frames.append(TestFrames.error(source, destination, quoting: packet))
            }
        }
        let segment = TestFrames.segment(6, alice6, shop6)
        let pad: [UInt8] = [1, 4, 0, 0, 0, 0]
        let chain: [UInt8] = [60, 0] + pad + [44, 0] + pad + [43, 0, 0, 0, 0, 0, 0, 9] + [6, 0, 0, 0, 0, 0, 0, 0]
        let packet = TestFrames.ipv6(alice6, shop6, 0, chain + segment)
        frames.append(TestFrames.ethernet(0x86DD, packet))
        frames.append(TestFrames.error(shop6, alice6, quoting: packet))
        frames.append(
            TestFrames.ethernet(
                0x0800,
                TestFrames.ipv4(
                    alice, shop, 6, TestFrames.segment(6, alice, shop), options: [131, 7, 8, 1, 2, 3, 4, 0, 7, 3, 4, 0])
            ))
        var buffer = [UInt8](repeating: 0, count: 128)
        var span = buffer.mutableSpan
        var bytes = span.mutableBytes
        let asked = NeighbourMessage(solicitationFor: shop6, from: TestFrames.alice, alice6)
        let solicitation = asked.write(into: &bytes)
        frames.append(Array(buffer[..<solicitation]))
        let arp = ARPFields(requestFor: shop, from: TestFrames.alice, alice)
        var arpBuffer = [UInt8](repeating: 0, count: 60)
        var arpSpan = arpBuffer.mutableSpan
        var arpBytes = arpSpan.mutableBytes
        #expect(arp.write(into: &arpBytes) == 42)
        frames.append(arpBuffer)
        return frames
    }()

    /// Does with a frame everything that the engine may do.
    static func exercise(_ frame: [UInt8]) {
        let (verdict, fields) = parsed(frame)
        if verdict == .arp { _ = try? ARPFields(frame.span.bytes) }
        guard verdict == .packet else { return }
        let ordered =
            fields.networkOffset < fields.transportOffset && fields.transportOffset <= fields.end
            && fields.end <= frame.count && fields.transportOffset <= fields.headerLength
            && fields.headerLength <= fields.end && fields.headerLength <= PacketFields.maximumHeaderLength
        if !ordered { #expect(ordered, "\(frame)") }
        if fields.hasQuoted {
            let inside =
                fields.quotedNetworkOffset < fields.quotedTransportOffset
                && fields.quotedTransportOffset <= fields.quotedEnd && fields.quotedEnd <= fields.end
            if !inside { #expect(inside, "\(frame)") }
        }
        _ = try? NeighbourMessage(frame.span.bytes, fields)
        var header = Array(frame[..<fields.headerLength])
        var span = header.mutableSpan
        var bytes = span.mutableBytes
        let address = fields.family == .ipv4 ? ip("198.18.0.9") : ip("fd00::9")
        fields.rewriteDestination(to: address, in: &bytes, checksum: .full)
        fields.rewriteSource(to: address, in: &bytes, checksum: .partial)
        fields.shiftPort(.source, by: PortShift(8_000), in: &bytes, checksum: .full)
        fields.shiftPort(.destination, by: PortShift(8_000), in: &bytes, checksum: .partial)
        var reply = [UInt8](repeating: 0, count: 1_500)
        var replySpan = reply.mutableSpan
        var replyBytes = replySpan.mutableBytes
        _ = EchoReply.write(
            into: &replyBytes, answering: frame.span.bytes, fields, from: TestFrames.engine, checksum: .partial)
        let length = ICMPError.portUnreachable(fields.family).write(
            into: &replyBytes, about: frame.span.bytes, fields, from: address, sourceMAC: TestFrames.engine)
        if length == 0 { #expect(length > 0, "\(frame)") }
        var fragments = IPv4Fragmentation(frame.span.bytes, fields, mtu: 68)
        var count = 0
        while fragments?.next(of: frame.span.bytes, into: &replyBytes) != nil { count += 1 }
        if count > 200 { #expect(count <= 200) }
    }

    @Test func theCorpusIsValid() {
        for frame in Self.corpus {
            let verdict = parsed(frame).0
            #expect(verdict == .packet || verdict == .arp, "\(frame)")
        }
    }

    @Test func truncatedAtEveryOctet() {
        for frame in Self.corpus {
            for length in 0...frame.count { Self.exercise(Array(frame[..<length])) }
        }
    }

    /// Lengths that are made to agree with the truncation get further into the parser.
    @Test func truncatedAtEveryOctetWithLengthsThatFit() {
        for frame in Self.corpus {
            for length in 34...frame.count { Self.exercise(Self.corrected(Array(frame[..<length]))) }
        }
    }

    /// The frame with its outer length and IPv4 header checksum made right.
    static func corrected(_ frame: [UInt8]) -> [UInt8] {
        var frame = frame
        guard frame.count >= 34 else { return frame }
        if frame[12] == 0x08, frame[13] == 0 {
            let length = Int(frame[14] & 0xF) * 4
            frame.replaceSubrange(16..<18, with: big16(frame.count - 14))
            guard length >= 20, 14 + length <= frame.count else { return frame }
            frame.replaceSubrange(24..<26, with: [0, 0])
            frame.replaceSubrange(24..<26, with: big16(Int(~naiveSum(frame[14..<14 + length]))))
        } else if frame[12] == 0x86, frame.count >= 54 {
            frame.replaceSubrange(18..<20, with: big16(frame.count - 54))
        }
        return frame
    }

    @Test func randomMutations() {
        var generator = SeededGenerator(seed: Self.seed)
        for round in 0..<40_000 {
            var frame = Self.corpus[round % Self.corpus.count]
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let index = Int.random(in: 12..<frame.count, using: &generator)
                frame[index] =
                    Bool.random(using: &generator)
                    ? UInt8.random(in: 0...255, using: &generator)
                    : [0, 1, 6, 17, 43, 44, 51, 58, 60, 127, 128, 255].randomElement(using: &generator)!
            }
            if Bool.random(using: &generator) {
                frame = Array(frame[..<Int.random(in: 0...frame.count, using: &generator)])
            }
            Self.exercise(round % 4 == 0 ? frame : Self.corrected(frame))
        }
    }
}
