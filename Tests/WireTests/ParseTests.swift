import Testing
import Wire

@Suite struct ParseTests {
    let alice = ip("192.0.2.10")
    let shop = ip("203.0.113.80")
    let alice6 = ip("2001:db8:2::10")
    let shop6 = ip("2001:db8:80::80")

    func refused(_ frame: [UInt8]) -> MalformedReason? {
        if case .malformed(let reason) = parsed(frame).0 { return reason }
        return nil
    }

    func ipv4(
        _ number: UInt8, _ payload: [UInt8], options: [UInt8] = [], fragmentWord: Int = 0, totalLength: Int? = nil,
        ttl: UInt8 = 64, from source: String = "192.0.2.10", to destination: String = "203.0.113.80"
    ) -> [UInt8] {
        TestFrames.ethernet(
            0x0800,
            TestFrames.ipv4(
                ip(source), ip(destination), number, payload, ttl: ttl, options: options, fragmentWord: fragmentWord,
                totalLength: totalLength))
    }

    func ipv6(_ next: UInt8, _ payload: [UInt8], length: Int? = nil, hopLimit: UInt8 = 64) -> [UInt8] {
        TestFrames.ethernet(
            0x86DD, TestFrames.ipv6(alice6, shop6, next, payload, hopLimit: hopLimit, payloadLength: length))
    }

    @Test func aFrameWrittenByHand() {
        // A SYN from 192.0.2.10:40000 to 203.0.113.80:80.
        let frame = hex(
            """
            020000000001 02000000000a 0800
            4510 0028 1234 4000 3f06 0000 c000020a cb007150
            9c40 0050 00000001 00000000 5002 7210 abcd 0000
            """)
        #expect(refused(frame) == .badIPv4HeaderChecksum)
        var right = frame
        right.replaceSubrange(24..<26, with: big16(Int(~naiveSum(frame[14..<34]))))
        let (verdict, fields) = parsed(right + [0, 0, 0, 0, 0, 0])
        #expect(verdict == .packet)
        #expect(fields.destinationMAC == mac("02:00:00:00:00:01"))
        #expect(fields.sourceMAC == mac("02:00:00:00:00:0a"))
        #expect(fields.etherType == 0x0800)
        #expect(fields.family == .ipv4)
        #expect(fields.flow.source == alice)
        #expect(fields.flow.destination == shop)
        #expect(fields.flow.protocolNumber == 6)
        #expect(fields.flow.hasPorts)
        #expect(fields.flow.sourcePort == 40_000)
        #expect(fields.flow.destinationPort == 80)
        #expect(fields.hopLimit == 63)
        #expect(fields.dontFragment)
        #expect(fields.fragment == .whole)
        #expect(fields.networkOffset == 14)
        #expect(fields.transportOffset == 34)
        #expect(fields.end == 54)
        #expect(fields.packetLength == 40)
        #expect(fields.headerLength == 54)
        #expect(fields.message == .none)
        #expect(fields.lookupFlow == fields.flow)
    }

    @Test func viewsReadWhatTheRFCsSay() {
        let frame = hex(
            """
            020000000001 02000000000a 86dd
            6ab12345 0014 06 ff 20010db8000200000000000000000010 20010db8008000000000000000000080
            9c40 0050 01020304 05060708 5012 7210 abcd 0000
            """)
        let bytes = frame.span.bytes
        guard let ethernet = EthernetView(bytes), let header = IPv6View(bytes, at: 14),
            let tcp = TCPView(bytes, at: 54),
            let udp = UDPView(bytes, at: 54), let icmp = ICMPView(bytes, at: 54)
        else {
            Issue.record("a view refuses a whole header")
            return
        }
        let (type, version, trafficClass, flowLabel) =
            (ethernet.type, header.version, header.trafficClass, header.flowLabel)
        #expect(type == 0x86DD && version == 6 && trafficClass == 0xAB && flowLabel == 0x12345)
        let (length, next, hopLimit) = (header.payloadLength, header.nextHeader, header.hopLimit)
        #expect(length == 20 && next == 6 && hopLimit == 255)
        let (source, destination) = (header.sourceAddress, header.destinationAddress)
        #expect(source == alice6 && destination == shop6)
        let (sequence, acknowledgment, offset) =
            (tcp.sequenceNumber, tcp.acknowledgmentNumber, tcp.headerLength)
        #expect(sequence == 0x0102_0304 && acknowledgment == 0x0506_0708 && offset == 20)
        let (flags, window, checksum) = (tcp.controlBits, tcp.window, tcp.checksum)
        #expect(flags == 0x12 && window == 0x7210 && checksum == 0xABCD)
        let (udpLength, icmpType) = (udp.length, icmp.type)
        #expect(udpLength == 0x0102 && icmpType == 0x9C)
        #expect(parsed(frame).0 == .packet)
    }

    @Test func viewsRefuseWhatIsTooShort() {
        let octets = [UInt8](repeating: 0, count: 64)
        let bytes = octets.span.bytes
        let fits: [(Int, (RawSpan, Int) -> Bool)] = [
            (28, { ARPView($0, at: $1) != nil }), (20, { IPv4View($0, at: $1) != nil }),
            (40, { IPv6View($0, at: $1) != nil }), (20, { TCPView($0, at: $1) != nil }),
            (8, { UDPView($0, at: $1) != nil }), (8, { ICMPView($0, at: $1) != nil }),
        ]
        for (length, isThere) in fits {
            for offset in [0, 64 - length] {
                let found = isThere(bytes, offset)
                #expect(found)
            }
            for offset in [-1, Int.min, 65 - length, 64, 65, Int.max] {
                let found = isThere(bytes, offset)
                #expect(!found)
            }
        }
    }

    @Test(arguments: [6, 17, 33, 132, 136] as [UInt8])
    func portsAndHeaderLength(_ number: UInt8) {
        let least = number == 6 ? 20 : number == 33 || number == 132 ? 12 : 8
        for (source, destination, network) in [(alice, shop, 20), (alice6, shop6, 40)] {
            let (verdict, fields) = parsed(TestFrames.transport(number, source, destination, padding: 9))
            #expect(verdict == .packet)
            #expect(fields.flow.hasPorts)
            #expect(fields.flow.sourcePort == 40_000)
            #expect(fields.flow.destinationPort == 80)
            #expect(fields.transportOffset == 14 + network)
            #expect(fields.headerLength == 14 + network + least)
            #expect(fields.end == 14 + network + least + 5)
            #expect(fields.flow.source == source && fields.flow.destination == destination)
        }
    }

    @Test func otherFrames() {
        #expect(parsed(TestFrames.ethernet(0x8100, [0, 1, 8, 0])).0 == .unsupported)
        #expect(parsed(TestFrames.ethernet(0x0806, [])).0 == .arp)
        #expect(refused([UInt8](repeating: 2, count: 13)) == .truncatedEthernet)
        #expect(refused([]) == .truncatedEthernet)
        var frame = TestFrames.transport(6, alice, shop)
        frame[6] = 3
        #expect(refused(frame) == .badSourceMAC)
        frame.replaceSubrange(6..<12, with: [UInt8](repeating: 0, count: 6))
        #expect(refused(frame) == .badSourceMAC)
    }

    @Test func liesInIPv4() {
        var frame = ipv4(6, TestFrames.segment(6, alice, shop))
        frame[14] = 0x55
        #expect(refused(frame) == .badIPv4Version)
        frame[14] = 0x44
        #expect(refused(frame) == .badIPv4HeaderLength)
        frame[14] = 0x4F
        #expect(refused(frame) == .badIPv4HeaderLength)
        #expect(refused(ipv4(6, [], totalLength: 21)) == .badIPv4TotalLength)
        #expect(refused(ipv4(6, [], totalLength: 19)) == .badIPv4TotalLength)
        #expect(refused(ipv4(6, [], totalLength: 0)) == .badIPv4TotalLength)
        #expect(refused(ipv4(89, [], ttl: 0)) == .hopLimitZero)
        #expect(refused(ipv4(89, [], from: "224.0.0.1")) == .sourceIsMulticast)
        #expect(refused(ipv4(89, [], from: "255.255.255.255")) == .sourceIsMulticast)
        #expect(refused(ipv4(89, [], from: "127.0.0.1")) == .loopbackAddress)
        #expect(refused(ipv4(89, [], to: "127.0.0.1")) == .badDestination)
        #expect(refused(ipv4(89, [], to: "0.0.0.0")) == .badDestination)
        #expect(refused(ipv4(89, [])) == nil)
    }

    @Test func optionsOfIPv4() {
        let segment = TestFrames.segment(6, alice, shop)
        #expect(refused(ipv4(6, segment, options: [1, 1, 1, 0])) == nil)
        #expect(refused(ipv4(6, segment, options: [7, 1, 0, 0])) == .badIPv4Options)
        #expect(refused(ipv4(6, segment, options: [7, 9, 0, 0])) == .badIPv4Options)
        #expect(refused(ipv4(6, segment, options: [1, 1, 1, 7])) == .badIPv4Options)
        #expect(refused(ipv4(6, segment, options: [131, 7, 4, 1, 2, 3, 4, 0])) == .sourceRouted)
        #expect(refused(ipv4(6, segment, options: [131, 7, 8, 1, 2, 3, 4, 0])) == nil)
        #expect(refused(ipv4(6, segment, options: [137, 2, 0, 0])) == .badIPv4Options)
        let (_, fields) = parsed(ipv4(6, segment, options: [7, 7, 4, 0, 0, 0, 0, 0]))
        #expect(fields.transportOffset == 42)
        #expect(fields.flow.destinationPort == 80)
    }

    @Test func fragmentsOfIPv4() {
        let data = [UInt8](repeating: 1, count: 32)
        let (first, firstFields) = parsed(
            ipv4(17, TestFrames.segment(17, alice, shop, data: data), fragmentWord: 0x2000))
        #expect(first == .packet)
        #expect(firstFields.fragment == .first)
        #expect(!firstFields.flow.hasPorts && firstFields.flow.destinationPort == 0)
        #expect(firstFields.headerLength == 42)
        let (later, laterFields) = parsed(ipv4(17, [1, 2, 3], fragmentWord: 5))
        #expect(later == .packet)
        #expect(laterFields.fragment == .later)
        #expect(laterFields.headerLength == 34)
        #expect(!laterFields.flow.hasPorts)
        #expect(refused(ipv4(17, [1, 2, 3], fragmentWord: 0x2005)) == .badFragment)
        #expect(refused(ipv4(17, [], fragmentWord: 5)) == .badFragment)
        #expect(refused(ipv4(17, data, fragmentWord: 0x1FFF)) == .badFragment)
        #expect(refused(ipv4(6, data, fragmentWord: 1)) == .badFragment)
        #expect(refused(ipv4(6, data, fragmentWord: 3)) == nil)
        #expect(refused(ipv4(6, [1, 2, 3, 4, 5, 6, 7, 8], fragmentWord: 0x2000)) == .truncatedTransport)
    }

    @Test func liesInTransport() {
        var tcp = TestFrames.segment(6, alice, shop)
        tcp[12] = 0x40
        #expect(refused(ipv4(6, tcp)) == .badTCPOffset)
        tcp[12] = 0xF0
        #expect(refused(ipv4(6, tcp)) == .badTCPOffset)
        for length in [0, 7, 14] {
            #expect(refused(ipv4(17, [1, 2, 3, 4] + big16(length) + [0, 0, 1, 2, 3, 4, 5])) == .badUDPLength)
        }
        #expect(refused(ipv4(17, [1, 2, 3, 4] + big16(9) + [0, 0, 1, 2, 3, 4, 5])) == nil)
        #expect(refused(ipv4(1, [8, 0, 0, 0, 0, 0, 0])) == .truncatedICMP)
        #expect(refused(ipv6(58, [128, 0, 0, 0, 0, 0, 0])) == .truncatedICMP)
        #expect(refused(ipv4(58, [])) == nil)
        #expect(refused(ipv6(1, [])) == nil)
        #expect(refused(ipv6(59, [])) == nil)
    }

    @Test func liesInIPv6() {
        var frame = ipv6(6, TestFrames.segment(6, alice6, shop6))
        frame[14] = 0x40
        #expect(refused(frame) == .badIPv6Version)
        #expect(refused(ipv6(59, [1], length: 2)) == .badIPv6PayloadLength)
        #expect(refused(ipv6(59, [1], length: 65_535)) == .badIPv6PayloadLength)
        #expect(refused(ipv6(59, [], hopLimit: 0)) == .hopLimitZero)
        // A jumbo payload option with length zero: nothing behind the header is the packet's.
        #expect(refused(ipv6(0, [6, 0, 0xC2, 4, 0, 1, 0, 0], length: 0)) == .truncatedExtensionHeader)
    }

    @Test func extensionHeaders() {
        let segment = TestFrames.segment(6, alice6, shop6)
        let pad: [UInt8] = [1, 4, 0, 0, 0, 0]
        let chain: [UInt8] = [60, 0] + pad + [43, 0] + pad + [51, 0, 0, 0, 0, 0, 0, 0]
        // Hop-by-hop, destination options, routing with none left, authentication (4-octet units), TCP.
        let all: [UInt8] = chain + [6, 1] + [UInt8](repeating: 0, count: 10) + segment
        var fixed = all
        fixed[16...23] = [51, 0, 3, 0, 0, 0, 0, 0]
        let (verdict, fields) = parsed(ipv6(0, fixed))
        #expect(verdict == .packet)
        #expect(fields.transportOffset == 54 + 36)
        #expect(fields.flow.protocolNumber == 6 && fields.flow.destinationPort == 80)
        #expect(refused(ipv6(60, [0, 0] + pad + [6, 0] + pad + segment)) == .misplacedExtensionHeader)
        #expect(refused(ipv6(43, [6, 2, 0, 1] + [UInt8](repeating: 0, count: 20) + segment)) == .sourceRouted)
        // Mobile IPv6 (type 2) and segment routing (type 4) are legal, and known by the destination of now.
        for type in [2, 4] as [UInt8] {
            let (verdict, routed) = parsed(ipv6(43, [6, 2, type, 1] + [UInt8](repeating: 0, count: 20) + segment))
            #expect(verdict == .packet && routed.bindings == .routed && routed.flow.destination == shop6)
            #expect(routed.flow.hasPorts && routed.flow.destinationPort == 80)
        }
        let home = parsed(ipv6(60, [6, 2, 1, 2, 0, 0, 0xC9, 16] + [UInt8](repeating: 1, count: 16) + segment)).1
        #expect(home.bindings == .away && home.flow.destinationPort == 80)
        #expect(refused(ipv6(60, [6, 1] + pad)) == .truncatedExtensionHeader)
        let endless = (0..<200).flatMap { _ -> [UInt8] in [60, 0] + pad }
        #expect(refused(ipv6(60, endless)) == .headerChainTooLong)
        #expect(refused(ipv6(60, [6, 32] + [UInt8](repeating: 0, count: 262) + segment)) == .headerChainTooLong)
        #expect(refused(ipv6(60, [6, 31] + [UInt8](repeating: 0, count: 254) + segment)) == nil)
        let eight = (0..<7).flatMap { _ -> [UInt8] in [60, 0] + pad } + [6, 0] + pad
        #expect(refused(ipv6(60, eight + segment)) == nil)
        #expect(refused(ipv6(60, [60, 0] + pad + eight + segment)) == .headerChainTooLong)
    }

    @Test func authenticationHeadersOfIPv4() {
        let segment = TestFrames.segment(6, alice, shop)
        let head = { (next: UInt8, length: Int) in
            [next, UInt8(length / 4 - 2)] + [UInt8](repeating: 0, count: length - 2) as [UInt8]
        }
        let (verdict, fields) = parsed(ipv4(51, head(51, 16) + head(6, 24) + segment))
        #expect(verdict == .packet && fields.bindings == .authenticated)
        #expect(fields.transportOffset == 34 + 40 && fields.transportProtocol == 6)
        #expect(fields.flow.protocolNumber == 6 && fields.flow.hasPorts && fields.flow.destinationPort == 80)
        #expect(refused(ipv4(51, [6, 4, 0, 0])) == .truncatedExtensionHeader)
        #expect(refused(ipv4(51, [6, 60] + [UInt8](repeating: 0, count: 60))) == .truncatedExtensionHeader)
        #expect(refused(ipv4(51, (0..<9).flatMap { _ in head(51, 8) } + head(6, 8) + segment)) == .headerChainTooLong)
        #expect(refused(ipv4(51, head(6, 260) + segment)) == .headerChainTooLong)
        #expect(refused(ipv4(51, head(6, 12) + segment.prefix(12))) == .truncatedTransport)
        // It cannot be rewritten, and stays as it was.
        var frame = ipv4(51, head(6, 24) + segment)
        let bound = parsed(frame).1
        let before = frame
        var span = frame.mutableSpan
        var octets = span.mutableBytes
        #expect(!bound.rewriteDestination(to: ip("198.18.4.80"), in: &octets, checksum: .full))
        #expect(!bound.rewriteSource(to: ip("198.18.4.80"), in: &octets, checksum: .full))
        #expect(frame == before)
    }

    @Test func fragmentsOfIPv6() {
        let segment = TestFrames.segment(17, alice6, shop6, data: [UInt8](repeating: 1, count: 16))
        let pad: [UInt8] = [1, 4, 0, 0, 0, 0]
        let head = { (next: UInt8, word: Int) in [next, 0] + big16(word) + [0, 0, 0, 9] as [UInt8] }
        let (_, atomic) = parsed(ipv6(44, head(17, 0) + segment))
        #expect(atomic.fragment == .whole && atomic.flow.hasPorts && atomic.transportOffset == 62)
        // All fragments of one datagram are looked up by the protocol that the fragment header names.
        let (first, firstFields) = parsed(ipv6(44, head(60, 1) + [17, 0] + pad + segment))
        let (later, laterFields) = parsed(ipv6(44, head(60, 8) + [1, 2, 3]))
        #expect(first == .packet && later == .packet)
        #expect(firstFields.fragment == .first && laterFields.fragment == .later)
        #expect(firstFields.lookupFlow == laterFields.lookupFlow)
        #expect(firstFields.flow.protocolNumber == 60 && firstFields.transportProtocol == 17)
        #expect(laterFields.headerLength == 62)
        #expect(refused(ipv6(44, head(17, 9) + [1, 2, 3])) == .badFragment)
        #expect(refused(ipv6(44, head(44, 0) + head(17, 0) + segment)) == .misplacedExtensionHeader)
        #expect(refused(ipv6(44, head(6, 8) + [UInt8](repeating: 0, count: 16))) == .badFragment)
    }

    @Test func errorsAreLookedUpByWhatTheyQuote() {
        for (customer, service, router) in [(alice, shop, ip("192.0.2.77")), (alice6, shop6, ip("2001:db8::77"))] {
            let network = customer.family == .ipv4 ? 20 : 40
            let quoted = TestFrames.transport(6, service, customer, ports: (80, 40_000)).dropFirst(14)
            for limit in [network + 8, network + 20, 1_000] {
                let (verdict, fields) = parsed(
                    TestFrames.error(router, service, quoting: Array(quoted), limit: limit))
                #expect(verdict == .packet)
                #expect(fields.message == .error && fields.hasQuoted)
                #expect(fields.lookupFlow.source == customer && fields.lookupFlow.destination == service)
                #expect(fields.lookupFlow.protocolNumber == 6 && fields.lookupFlow.hasPorts)
                #expect(fields.lookupFlow.sourcePort == 40_000 && fields.lookupFlow.destinationPort == 80)
                #expect(fields.flow.source == router && fields.flow.protocolNumber == (network == 20 ? 1 : 58))
                #expect(fields.quotedNetworkOffset == 14 + network + 8)
                #expect(fields.quotedTransportOffset == 14 + network + 8 + network)
                let reaches = limit >= network + 18
                #expect(fields.headerLength == fields.quotedTransportOffset + (reaches ? 18 : 4))
            }
            let (verdict, fields) = parsed(
                TestFrames.error(router, service, quoting: Array(quoted), limit: network + 3))
            #expect(verdict == .packet && fields.hasQuoted && !fields.lookupFlow.hasPorts)
            #expect(
                refused(TestFrames.error(router, service, quoting: Array(quoted), limit: network - 1))
                    == .badQuotedPacket)
            #expect(refused(TestFrames.error(router, service, quoting: [])) == .badQuotedPacket)
        }
    }

    @Test func headersAreBounded() {
        // The longest that is let through: both chains long, still within one header slot.
        let filler = { (octets: Int, next: UInt8) in
            [next, UInt8(octets / 8 - 1)] + [UInt8](repeating: 0, count: octets - 2) as [UInt8]
        }
        for (outer, inner, reason) in [
            (184, 184, nil), (256, 136, nil), (256, 144, MalformedReason.headerChainTooLong),
            (256, 256, .headerChainTooLong),
        ] {
            let segment = TestFrames.segment(6, shop6, alice6)
            let quoted = TestFrames.ipv6(shop6, alice6, 60, filler(inner, 6) + segment)
            let message = TestFrames.summed([1, 3, 0, 0, 0, 0, 0, 0] + quoted, at: 2, 58, alice6, shop6)
            let frame = ipv6(60, filler(outer, 58) + message)
            #expect(refused(frame) == reason)
            if reason == nil { #expect(parsed(frame).1.headerLength <= PacketFields.maximumHeaderLength) }
        }
    }

    @Test func kindsOfMessages() {
        let kinds: [(UInt8, ICMPMessage)] = [(8, .echoRequest), (0, .echoReply), (13, .other)]
        for (type, kind) in kinds {
            #expect(parsed(ipv4(1, [type, 0, 0, 0, 0, 0, 0, 0])).1.message == kind)
        }
        let kinds6: [(UInt8, ICMPMessage)] = [
            (128, .echoRequest), (129, .echoReply), (130, .other), (133, .neighbourDiscovery),
            (137, .neighbourDiscovery), (138, .other),
        ]
        for (type, kind) in kinds6 {
            #expect(parsed(ipv6(58, [type, 5, 0, 0, 0, 0, 0, 0])).1.message == kind)
            #expect(parsed(ipv6(58, [type, 5, 0, 0, 0, 0, 0, 0])).1.icmpCode == 5)
        }
        // A value used again does not remember the frame before.
        var fields = PacketFields()
        let error = TestFrames.error(alice, shop, quoting: TestFrames.ipv4(shop, alice, 6, [0, 80, 1, 2, 3, 4, 5, 6]))
        #expect(fields.parse(error.span.bytes) == .packet && fields.hasQuoted)
        let plain = TestFrames.transport(6, alice, shop)
        #expect(fields.parse(plain.span.bytes) == .packet && !fields.hasQuoted && fields.message == .none)
    }

    @Test func superframesOf64KiB() {
        let data = [UInt8](repeating: 1, count: 65_535 - 40)
        #expect(parsed(TestFrames.transport(6, alice, shop, data: data, .partial)).1.end == 14 + 65_535)
        #expect(parsed(TestFrames.transport(6, alice6, shop6, data: data, .partial)).1.end == 14 + 40 + 20 + data.count)
    }
}
