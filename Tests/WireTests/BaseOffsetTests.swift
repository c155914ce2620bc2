import Testing
import Wire

/// A packet is read, rewritten and coalesced in the same way wherever in its frame it begins: what stands before it, a
/// tag for example, only moves it.
@Suite struct BaseOffsetTests {
    static let alice = ip("192.0.2.10")
    static let shop = ip("203.0.113.80")
    static let web = ip("198.18.4.10")
    static let alice6 = ip("2001:db8:2::10")
    static let shop6 = ip("2001:db8:80::80")
    static let web6 = ip("2001:db8:4::10")
    /// IEEE 802.1Q: the tag protocol identifier and the tag, which stand before the EtherType.
    static let tag: [UInt8] = [0x81, 0, 0, 5]
    static let before = 14
    static let behind = 18

    static func tagged(_ frame: [UInt8], _ tag: [UInt8] = tag) -> [UInt8] { frame[..<12] + tag + frame[12...] }

    static let packets: [[UInt8]] = {
        var packets: [[UInt8]] = []
        for (from, to, control) in [(alice, shop, UInt8(1)), (alice6, shop6, 58)] {
            packets += [6, 17, 132, 136, 89, control].map { TestFrames.transport($0, from, to) }
            let quoted = TestFrames.packet(to, from, 17, TestFrames.segment(17, to, from))
            packets.append(TestFrames.error(from, to, quoting: quoted))
        }
        let segment = TestFrames.segment(17, alice, shop)
        packets.append(TestFrames.ethernet(0x0800, TestFrames.ipv4(alice, shop, 17, segment, options: [7, 3, 4, 0])))
        packets.append(TestFrames.ethernet(0x0800, TestFrames.ipv4(alice, shop, 17, [1, 2, 3, 4], fragmentWord: 5)))
        let fragment: [UInt8] = [17, 0, 0, 1, 0, 0, 0, 9] + TestFrames.segment(17, alice6, shop6, data: [1, 2, 3, 4])
        packets.append(TestFrames.ethernet(0x86DD, TestFrames.ipv6(alice6, shop6, 44, fragment.dropLast(4) + [])))
        packets.append(TestFrames.ethernet(0x0800, [0x45, 0, 0, 99] + [UInt8](repeating: 0, count: 16)))
        return packets
    }()

    static func fields(_ frame: [UInt8], at offset: Int) -> (ParseVerdict, PacketFields) {
        var fields = PacketFields()
        fields.networkOffset = 0
        let type = UInt16(frame[offset - 2]) << 8 | UInt16(frame[offset - 1])
        let verdict = fields.parsePacket(frame.span.bytes, etherType: type, at: offset)
        return (verdict, fields)
    }

    @Test func aTagMovesAllOffsetsAndNothingElse() {
        var whole = 0
        for frame in Self.packets {
            let (verdict, untagged) = parsed(frame)
            let (other, moved) = Self.fields(Self.tagged(frame), at: Self.behind)
            #expect(verdict == other)
            guard verdict == .packet else { continue }
            whole += 1
            #expect(
                moved.flow == untagged.flow && moved.family == untagged.family && moved.fragment == untagged.fragment)
            #expect(moved.message == untagged.message && moved.identification == untagged.identification)
            #expect(moved.packetLength == untagged.packetLength && moved.hasQuoted == untagged.hasQuoted)
            #expect(moved.networkOffset == untagged.networkOffset + 4)
            #expect(moved.transportOffset == untagged.transportOffset + 4 && moved.end == untagged.end + 4)
            #expect(moved.headerLength == untagged.headerLength + 4)
            if untagged.hasQuoted {
                #expect(moved.quoted == untagged.quoted && moved.quotedEnd == untagged.quotedEnd + 4)
                #expect(moved.quotedTransportOffset == untagged.quotedTransportOffset + 4)
            }
        }
        #expect(whole == Self.packets.count - 1)
    }

    @Test func aTaggedPacketIsRewrittenLikeAnUntaggedOne() {
        for frame in Self.packets {
            let fields = Self.fields(Self.tagged(frame), at: Self.behind)
            guard fields.0 == .packet else { continue }
            let address = fields.1.family == .ipv4 ? Self.web : Self.web6
            var header = Array(Self.tagged(frame)[..<fields.1.headerLength])
            var span = header.mutableSpan
            var bytes = span.mutableBytes
            let done = fields.1.rewriteDestination(to: address, in: &bytes, checksum: .full)
            #expect(done)
            let whole = header + Self.tagged(frame)[fields.1.headerLength...]
            #expect(whole == Self.tagged(RewriteTests.rewritten(frame, destination: address)))
        }
    }

    /// The octets of a frame behind an empty `virtio_net_hdr`, in memory that the body may edit.
    static func withFrame<Result>(
        _ frame: [UInt8], _ body: (UnsafeMutableRawPointer, Int) throws -> Result
    ) rethrows -> Result {
        var octets = [UInt8](repeating: 0, count: VirtioNetHeader.length) + frame
        return try octets.withUnsafeMutableBytes { try body($0.baseAddress!, $0.count) }
    }

    @Test func aTaggedPlainPacketIsReadAndRewrittenLikeAnUntaggedOne() {
        for (from, to, address) in [(Self.alice, Self.shop, Self.web), (Self.alice6, Self.shop6, Self.web6)] {
            for number: UInt8 in [6, 17] {
                let frame = TestFrames.transport(number, from, to)
                let type: UInt16 = from.family == .ipv4 ? 0x0800 : 0x86DD
                let rewritten = Self.withFrame(Self.tagged(frame)) { start, length -> [UInt8] in
                    let packet = UnsafeRawPointer(start + VirtioNetHeader.length + Self.behind)
                    let available = length - VirtioNetHeader.length - Self.behind
                    let kind = FrameKind(packet: packet, available, etherType: type)
                    #expect(kind == Self.withFrame(frame) { FrameKind($0, $1) } && kind != .other)
                    #expect(FrameKind(start, length) == .other)
                    var untagged = FastPathPacket()
                    let isRead = untagged.read(start, length, kind, at: Self.behind)
                    let fields = parsed(frame).1
                    #expect(isRead && untagged.flow == fields.flow && untagged.headerLength == fields.headerLength + 4)
                    untagged.rewriteDestination(to: address, in: start, checksum: untagged.checksum)
                    return Array(UnsafeRawBufferPointer(start: start, count: length)[VirtioNetHeader.length...])
                }
                #expect(rewritten == Self.tagged(RewriteTests.rewritten(frame, destination: address)))
            }
        }
    }

    /// The superframes and frames that a batch becomes.
    static func coalesced(_ frames: [[UInt8]], at offset: Int) -> [[UInt8]] {
        var coalescer = FrameCoalescer(capacity: 16, coalescing: FrameCoalescer.Kinds(tcp: true, udp: true))
        coalescer.removeAll()
        var places: [UnsafeMutableRawBufferPointer] = []
        defer { for place in places { place.deallocate() } }
        for frame in frames {
            let place = UnsafeMutableRawBufferPointer.allocate(
                byteCount: VirtioNetHeader.length + frame.count, alignment: 8)
            place.copyBytes(from: [UInt8](repeating: 0, count: VirtioNetHeader.length) + frame)
            places.append(place)
            let start = place.baseAddress!
            let kind = FrameKind(
                packet: start + VirtioNetHeader.length + offset, frame.count - offset,
                etherType: UInt16(frame[offset - 2]) << 8 | UInt16(frame[offset - 1]))
            coalescer.add(start, place.count, kind, at: offset)
        }
        var sent: [[UInt8]] = []
        for index in 0..<coalescer.count {
            let run = coalescer.runs[index]
            guard run.count > 1 else {
                sent.append(Array(UnsafeRawBufferPointer(start: run.start, count: run.length)))
                continue
            }
            let place = UnsafeMutableRawBufferPointer.allocate(
                byteCount: coalescer.superframeLength(of: run), alignment: 8)
            coalescer.write(run, to: place.baseAddress!)
            sent.append(Array(place))
            place.deallocate()
        }
        return sent
    }

    @Test(arguments: [UInt8(6), 17], AddressFamily.allCases)
    func taggedFramesAreCoalescedLikeUntaggedOnes(_ number: UInt8, _ family: AddressFamily) {
        let (from, to) = family == .ipv4 ? (Self.alice, Self.shop) : (Self.alice6, Self.shop6)
        let frames = (0..<3).map { index -> [UInt8] in
            var segment = TestFrames.segment(number, from, to, data: [UInt8](repeating: 7, count: 40))
            if number == 6 {
                segment[7] = UInt8(1 + 40 * index)
                segment[13] = 0x10
                segment = TestFrames.summed(segment, at: 16, number, from, to)
            }
            let packet =
                family == .ipv4
                ? TestFrames.ipv4(from, to, number, segment, fragmentWord: 0x4000, id: 7 + index)
                : TestFrames.ipv6(from, to, number, segment)
            return TestFrames.ethernet(family == .ipv4 ? 0x0800 : 0x86DD, packet)
        }
        let untagged = Self.coalesced(frames, at: Self.before)
        let moved = Self.coalesced(frames.map { Self.tagged($0) }, at: Self.behind)
        #expect(untagged.count == 1 && moved.count == 1)
        guard let one = untagged.first, let other = moved.first else { return }
        let length = VirtioNetHeader.length
        #expect(Array(other[length...]) == Self.tagged(Array(one[length...])))
        let (header, shifted) = (VirtioNetHeader(one.span.bytes), VirtioNetHeader(other.span.bytes))
        #expect(header?.gsoType == shifted?.gsoType && header?.gsoSize == 40 && shifted?.gsoSize == 40)
        #expect(header.map { $0.headerLength + 4 } == shifted?.headerLength)
        #expect(header.map { $0.checksumStart + 4 } == shifted?.checksumStart)
        // Another tag is another flow.
        let mixed = frames.enumerated().map { Self.tagged($1, [0x81, 0, 0, $0 == 1 ? 6 : 5]) }
        #expect(Self.coalesced(mixed, at: Self.behind).count > 1)
    }
}
