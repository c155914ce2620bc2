import Testing
import Wire

@Suite struct BuilderTests {
    let alice = ip("192.0.2.10")
    let shop = ip("203.0.113.80")
    let alice6 = ip("2001:db8:2::10")
    let shop6 = ip("2001:db8:80::80")

    /// What a builder wrote.
    func written(_ size: Int = 2_000, _ build: (inout MutableRawSpan) -> Int) -> [UInt8] {
        var buffer = [UInt8](repeating: 0xA5, count: size)
        var span = buffer.mutableSpan
        var bytes = span.mutableBytes
        let length = build(&bytes)
        #expect(buffer[length...].allSatisfy { $0 == 0xA5 })
        return Array(buffer[..<length])
    }

    /// A buffer may hold another customer's packet from before.
    @Test func aResetSaysNothingOfWhatWasInMemoryBefore() {
        for (source, destination) in [(alice, shop), (alice6, shop6)] {
            let frame = TestFrames.transport(6, source, destination)
            let (_, fields) = parsed(frame)
            func reset(over octet: UInt8) -> [UInt8] {
                var buffer = [UInt8](repeating: octet, count: TCPReset.maximumFrameLength)
                var span = buffer.mutableSpan
                var bytes = span.mutableBytes
                let length = TCPReset.write(into: &bytes, answering: frame.span.bytes, fields, from: TestFrames.engine)
                return Array(buffer[..<length])
            }
            #expect(reset(over: 0).count > 50)
            #expect(reset(over: 0) == reset(over: 0xFF))
        }
    }

    @Test func arpRequestAndReply() throws {
        let request = ARPFields(requestFor: shop, from: TestFrames.alice, alice)
        let frame = written { request.write(into: &$0) }
        #expect(
            frame
                == hex(
                    """
                    ffffffffffff 02000000000a 0806
                    0001 0800 06 04 0001 02000000000a c000020a 000000000000 cb007150
                    """))
        #expect(try ARPFields(frame.span.bytes) == request)
        let reply = written { ARPFields(replyTo: request, from: TestFrames.engine).write(into: &$0) }
        #expect(
            reply
                == hex(
                    """
                    02000000000a 020000000001 0806
                    0001 0800 06 04 0002 020000000001 cb007150 02000000000a c000020a
                    """))
        #expect(written(41) { request.write(into: &$0) }.isEmpty)
    }

    @Test func liesInARP() {
        let frame = written { ARPFields(requestFor: shop, from: TestFrames.alice, alice).write(into: &$0) }
        let short = Array(frame[..<41])
        #expect(throws: MalformedReason.truncatedARP) { try ARPFields(short.span.bytes) }
        // Hardware, protocol, lengths, operation, group and broadcast senders.
        for (index, value) in [(15, 2), (16, 9), (18, 5), (19, 16), (21, 3), (21, 0), (22, 1), (28, 224)] {
            var lie = frame
            lie[index] = UInt8(value)
            #expect(throws: MalformedReason.badARP) { try ARPFields(lie.span.bytes) }
        }
    }

    @Test func neighbourSolicitationAndAdvertisement() throws {
        let asked = NeighbourMessage(solicitationFor: shop6, from: TestFrames.alice, alice6)
        let frame = written { asked.write(into: &$0) }
        var message: [UInt8] = [135, 0, 0, 0, 0, 0, 0, 0] + octets(shop6) + [1, 1] + TestFrames.alice.octets
        message = TestFrames.summed(message, at: 2, 58, alice6, ip("ff02::1:ff00:80"))
        let packet = TestFrames.ipv6(alice6, ip("ff02::1:ff00:80"), 58, message, hopLimit: 255)
        #expect(frame == hex("3333ff000080 02000000000a 86dd") + packet)
        let (verdict, fields) = parsed(frame)
        #expect(verdict == .packet && fields.message == .neighbourDiscovery)
        let read = try NeighbourMessage(frame.span.bytes, fields)
        #expect(read == asked)
        let answer = NeighbourMessage(advertisementFor: read, from: TestFrames.engine)
        let reply = written { answer.write(into: &$0) }
        var said: [UInt8] = [136, 0, 0, 0, 0xE0, 0, 0, 0] + octets(shop6) + [2, 1] + TestFrames.engine.octets
        said = TestFrames.summed(said, at: 2, 58, shop6, alice6)
        #expect(
            reply
                == hex("02000000000a 020000000001 86dd") + TestFrames.ipv6(shop6, alice6, 58, said, hopLimit: 255))
        #expect(try NeighbourMessage(reply.span.bytes, parsed(reply).1) == answer)
        #expect(written(85) { asked.write(into: &$0) }.isEmpty)
    }

    @Test func aProbeIsAnsweredToAllNodes() {
        var probe = NeighbourMessage(solicitationFor: shop6, from: TestFrames.alice, ip("::"))
        probe.linkLayerAddress = nil
        let answer = NeighbourMessage(advertisementFor: probe, from: TestFrames.engine)
        #expect(answer.destination == ip("ff02::1") && !answer.isSolicited)
        #expect(answer.destinationMAC == mac("33:33:00:00:00:01"))
    }

    /// Each row breaks one rule of RFC 4861, section 7.1, and fixes the checksum.
    @Test(arguments: [
        ("hop limit", 21, 254), ("code", 55, 1), ("group target", 62, 0xFF), ("option of length zero", 79, 0),
        ("option beyond the packet", 79, 2), ("group link-layer address", 80, 1),
    ])
    func liesInNeighbourDiscovery(_ name: String, _ index: Int, _ value: Int) {
        let asked = NeighbourMessage(solicitationFor: shop6, from: TestFrames.alice, alice6)
        var frame = written { asked.write(into: &$0) }
        frame[index] = UInt8(value)
        let summed = TestFrames.summed(Array(frame[54...]), at: 2, 58, alice6, ip("ff02::1:ff00:80"))
        frame.replaceSubrange(54..., with: summed)
        let fields = parsed(frame).1
        #expect(throws: MalformedReason.badNeighbourMessage, "\(name)") {
            try NeighbourMessage(frame.span.bytes, fields)
        }
    }

    @Test func aWrongNeighbourChecksumIsRefused() {
        var frame = written {
            NeighbourMessage(solicitationFor: shop6, from: TestFrames.alice, alice6).write(into: &$0)
        }
        frame[57] ^= 1
        let fields = parsed(frame).1
        #expect(throws: MalformedReason.badNeighbourMessage) { try NeighbourMessage(frame.span.bytes, fields) }
    }

    @Test func echoReplies() {
        for (asking, asked, number) in [(alice, shop, 1 as UInt8), (alice6, shop6, 58)] {
            let data = (0..<57).map { UInt8($0) }
            for state in [ChecksumState.full, .partial] {
                let request = TestFrames.transport(number, asking, asked, data: data, state, padding: 5)
                let fields = parsed(request).1
                let reply = written {
                    EchoReply.write(
                        into: &$0, answering: request.span.bytes, fields, from: TestFrames.engine, checksum: state)
                }
                let message = TestFrames.summed(
                    [number == 1 ? 0 : 129, 0, 0, 0, 0x12, 0x34, 0, 1] + data, at: 2, number, asked, asking)
                #expect(
                    reply
                        == TestFrames.alice.octets + TestFrames.engine.octets
                        + TestFrames.frame(asked, asking, number, message)[12...])
            }
            var wrong = TestFrames.transport(number, asking, asked, data: data)
            wrong[wrong.count - 1] ^= 1
            let fields = parsed(wrong).1
            #expect(
                written { EchoReply.write(into: &$0, answering: wrong.span.bytes, fields, from: TestFrames.engine) }
                    .isEmpty)
        }
    }

    @Test func errorsQuoteAsMuchAsTheyMay() {
        for (customer, service, router) in [(alice, shop, ip("192.0.2.1")), (alice6, shop6, ip("2001:db8:2::1"))] {
            let isIPv4 = customer.family == .ipv4
            for size in [0, 1, 500, 520, 521, 1_180, 1_190, 1_240] {
                let frame = TestFrames.transport(
                    6, customer, service, data: [UInt8](repeating: 7, count: size), padding: 8)
                let fields = parsed(frame).1
                let error = ICMPError.packetTooBig(customer.family, mtu: 1_280)
                let built = written {
                    error.write(
                        into: &$0, about: frame.span.bytes, fields, from: router, sourceMAC: TestFrames.engine)
                }
                let most = isIPv4 ? 576 - 28 : 1_280 - 48
                let quote = frame[14..<min(fields.end, 14 + most)]
                let (number, head): (UInt8, [UInt8]) =
                    isIPv4 ? (1, [3, 4, 0, 0, 0, 0, 5, 0]) : (58, [2, 0, 0, 0, 0, 0, 5, 0])
                let message = TestFrames.summed(head + quote, at: 2, number, router, customer)
                var expected = TestFrames.frame(router, customer, number, message)
                if isIPv4 {
                    // Precedence, identification and DF are the builder's own.
                    expected.replaceSubrange(15..<26, with: [0xC0] + expected[16..<18] + [0, 0, 0x40, 0, 64, 1, 0, 0])
                    expected.replaceSubrange(24..<26, with: big16(Int(~naiveSum(expected[14..<34]))))
                }
                #expect(built == TestFrames.alice.octets + TestFrames.engine.octets + expected[12...])
                #expect(built.count - 14 <= ICMPError.maximumLength(customer.family))
                let (verdict, read) = parsed(built)
                #expect(verdict == .packet && read.lookupFlow == fields.flow.reversed)
                let isValid = read.controlChecksumIsValid(built.span.bytes)
                #expect(isValid)
            }
        }
    }

    @Test func someFramesAreNeverAnswered() {
        let error = ICMPError.hostUnreachable(.ipv4)
        let plain = parsed(TestFrames.transport(17, alice, shop)).1
        #expect(error.mayAnswer(plain))
        var fields = plain
        fields.message = .error
        #expect(!error.mayAnswer(fields))
        fields = plain
        fields.fragment = .later
        #expect(!error.mayAnswer(fields))
        fields = plain
        fields.destinationMAC = .broadcast
        #expect(!error.mayAnswer(fields))
        fields = plain
        fields.flow.destination = ip("224.0.0.1")
        #expect(!error.mayAnswer(fields))
        fields = plain
        fields.flow.source = ip("0.0.0.0")
        #expect(!error.mayAnswer(fields))
    }

    /// RFC 4443, section 2.4: later fragments are answered, and packet too big answers packets to groups, too.
    @Test func whatIPv6OwesBeyondIPv4() {
        let plain = parsed(TestFrames.transport(17, alice6, shop6)).1
        let tooBig = ICMPError.packetTooBig(.ipv6, mtu: 1280)
        let unreachable = ICMPError.hostUnreachable(.ipv6)
        var fields = plain
        fields.fragment = .later
        #expect(tooBig.mayAnswer(fields) && unreachable.mayAnswer(fields))
        fields = plain
        fields.flow.destination = ip("ff0e::1")
        fields.destinationMAC = MACAddress(bits: 0x3333_0000_0001)
        #expect(tooBig.mayAnswer(fields) && !unreachable.mayAnswer(fields))
        fields.message = .error
        #expect(!tooBig.mayAnswer(fields))
        fields.message = .none
        fields.flow.source = ip("::")
        #expect(!tooBig.mayAnswer(fields))
        #expect(!ICMPError.packetTooBig(.ipv4, mtu: 576).mayAnswer(fields))
    }

    /// What the IPv4 header of a frame says of its place in the datagram.
    func place(_ frame: [UInt8]) -> (offset: Int?, more: Bool?, identification: UInt16?) {
        let view = IPv4View(frame.span.bytes, at: 14)
        return (view?.fragmentOffset, view?.moreFragments, view?.identification)
    }

    /// The fragments of `frame`, each with its Ethernet header.
    func fragments(_ frame: [UInt8], mtu: Int) -> [[UInt8]] {
        let fields = parsed(frame).1
        var fragmentation = IPv4Fragmentation(frame.span.bytes, fields, mtu: mtu)
        var all: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 2_000)
        var span = buffer.mutableSpan
        var bytes = span.mutableBytes
        while let length = fragmentation?.next(of: frame.span.bytes, into: &bytes) {
            all.append(bytes.withUnsafeBytes { Array($0[..<length]) })
        }
        return all
    }

    @Test(arguments: [68, 69, 100, 576, 1_279, 1_280, 1_499])
    func fragmentsReassemble(_ mtu: Int) {
        // A copied option (router alert), one that is not (record route), and padding.
        let options: [UInt8] = [7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0, 0]
        for options in [[], options] {
            let data = (0..<1_500).map { UInt8(truncatingIfNeeded: $0 * 7) }
            let segment = TestFrames.segment(17, alice, shop, data: data)
            let frame = TestFrames.ethernet(0x0800, TestFrames.ipv4(alice, shop, 17, segment, options: options))
            let parts = fragments(frame, mtu: mtu)
            #expect(parts.count > 1)
            var whole: [UInt8] = []
            for (index, part) in parts.enumerated() {
                let (verdict, fields) = parsed(part)
                #expect(verdict == .packet)
                #expect(part.count - 14 <= mtu && fields.end == part.count)
                #expect(fields.fragment == (index == 0 ? .first : .later))
                let (offset, more, identification) = place(part)
                #expect(offset == whole.count)
                #expect(more == (index < parts.count - 1))
                #expect(identification == 7)
                let expected = options.isEmpty ? 20 : index == 0 ? 32 : 24
                #expect(fields.transportOffset == 14 + expected)
                if !options.isEmpty, index > 0 { #expect(Array(part[34..<38]) == [148, 4, 0, 0]) }
                whole += part[fields.transportOffset...]
            }
            #expect(whole == segment)
        }
    }

    @Test func aFragmentIsFragmentedFurther() {
        let data = (0..<800).map { UInt8(truncatingIfNeeded: $0) }
        let frame = TestFrames.ethernet(0x0800, TestFrames.ipv4(alice, shop, 17, data, fragmentWord: 0x2000 | 50))
        let parts = fragments(frame, mtu: 420)
        #expect(parts.map { place($0).offset } == [400, 800])
        #expect(parts.map { place($0).more } == [true, true])
    }

    @Test func whatIsNotToBeFragmented() {
        let isFragmented = { (frame: [UInt8], mtu: Int) in
            IPv4Fragmentation(frame.span.bytes, parsed(frame).1, mtu: mtu) != nil
        }
        let small = TestFrames.transport(17, alice, shop)
        #expect(!isFragmented(small, 1_500))
        let segment = TestFrames.segment(17, alice, shop, data: [UInt8](repeating: 0, count: 200))
        let whole = TestFrames.ethernet(0x0800, TestFrames.ipv4(alice, shop, 17, segment, fragmentWord: 0x4000))
        #expect(!isFragmented(whole, 100))
        let six = TestFrames.transport(17, alice6, shop6, data: [UInt8](repeating: 0, count: 200))
        #expect(!isFragmented(six, 100))
        let plain = TestFrames.ethernet(0x0800, TestFrames.ipv4(alice, shop, 17, segment))
        #expect(isFragmented(plain, 28))
        #expect(!isFragmented(plain, 27))
        #expect(!isFragmented(plain, -1))
    }

    @Test func virtioHeader() throws {
        let bytes: [UInt8] = [1, 0x81, 54, 0, 0xA8, 0x05, 34, 0, 16, 0, 99]
        let read = VirtioNetHeader(bytes.span.bytes)
        let header = try #require(read)
        #expect(header.flags == VirtioNetHeader.needsChecksum && header.gsoType == 0x81 && header.isSegmented)
        #expect(header.headerLength == 54 && header.gsoSize == 1_448)
        #expect(header.checksumStart == 34 && header.checksumOffset == 16)
        #expect(
            written {
                header.write(into: &$0); return 10
            } == Array(bytes[..<10]))
        let nine = Array(bytes[..<9])
        let short = VirtioNetHeader(nine.span.bytes)
        #expect(short == nil)
        let fields = parsed(TestFrames.transport(6, alice, shop, .partial)).1
        #expect(header.checksumState(of: fields) == .partial)
        let fields6 = parsed(TestFrames.transport(6, alice6, shop6)).1
        #expect(header.checksumState(of: fields6) == .full)
        #expect(VirtioNetHeader().checksumState(of: fields) == .full)
    }
}
