import Testing
import Wire

/// Every kind of tunnel: what is written for a frame, octet by octet as scapy 2.5 writes it, and what is read of it.
@Suite struct TunnelTests {
    static let engine = mac("02:00:00:00:64:01")
    static let router = mac("02:00:00:00:64:02")
    /// A datagram with the mark ECT(1).
    static let frame = hex(
        """
        02000000000a 020000000001 0800 4501002000074000 4011b6b9 c0000201 c000020a 03e807d0000c6c0c 01020304
        """)
    static let local = (ip("198.18.64.1"), ip("2001:db8:64::1"))
    static let peer = (ip("198.51.100.7"), ip("2001:db8:100::7"))

    struct Case: Sendable, CustomTestStringConvertible {
        var encapsulation: TunnelEncapsulation
        var family = AddressFamily.ipv4
        /// What scapy writes before the frame, with the source port 49152.
        var before: [UInt8]
        var testDescription: String { "\(encapsulation) \(family)" }
        var tunnel: Tunnel {
            let isFour = family == .ipv4
            return Tunnel(
                encapsulation, from: isFour ? local.0 : local.1, to: isFour ? peer.0 : peer.1, engine: engine,
                nextHop: router)
        }
    }

    static let cases = [
        Case(
            encapsulation: TunnelEncapsulation(kind: .vxlan, identifier: 4242, port: 4789),
            before: hex(
                """
                020000006402 020000006401 0800 4501005200004000 40110a4c c6124001 c6336407 c00012b5003e0000
                08000000 00109200
                """)),
        Case(
            encapsulation: TunnelEncapsulation(kind: .vxlan, identifier: 4242, port: 4789), family: .ipv6,
            before: hex(
                """
                020000006402 020000006401 86dd 60100000003e1140 20010db8006400000000000000000001
                20010db8010000000000000000000007 c00012b5003eadec 08000000 00109200
                """)),
        Case(
            encapsulation: TunnelEncapsulation(kind: .geneve, identifier: 7, port: 6081),
            before: hex(
                """
                020000006402 020000006401 0800 4501005200004000 40110a4c c6124001 c6336407 c00017c1003e0000
                00006558 00000700
                """)),
        Case(
            encapsulation: TunnelEncapsulation(kind: .genericVXLAN, identifier: 9, port: 4790, path: 42, index: 255),
            before: hex(
                """
                020000006402 020000006401 0800 4501006a00004000 40110a34 c6124001 c6336407 c00012b600560000
                0c000004 00000900 0fc60103 00002aff 00000000000000000000000000000000
                """)),
        Case(
            encapsulation: TunnelEncapsulation(kind: .ethernet, port: 0, path: 42, index: 255),
            before: hex(
                """
                020000006402 020000006401 894f 0fc60103 00002aff 00000000000000000000000000000000
                """)),
    ]

    static func written(_ tunnel: Tunnel, _ frame: [UInt8] = frame) -> [UInt8] {
        var room = [UInt8](repeating: 0xEE, count: Tunnel.mostOctets)
        let count = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return tunnel.write(&target, before: frame.span.bytes, length: frame.count)
        }
        var whole = Array(room[..<(count ?? 0)]) + frame
        whole.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            Tunnel.complete(&bytes)
        }
        return whole
    }

    static func read(_ octets: [UInt8], _ kind: TunnelEncapsulation.Kind) -> Tunnel.Content? {
        if kind == .ethernet { return Tunnel.content(octets.span.bytes, 14..<octets.count, kind) }
        guard let outer = OuterTransport(octets.span.bytes) else { return nil }
        if let fault = outer.fault { return .fault(fault) }
        guard outer.hasRightChecksum(octets.span.bytes) else { return .fault(.badChecksum) }
        return Tunnel.content(octets.span.bytes, outer.payload, kind)
    }

    @Test(arguments: cases) func whatIsWrittenIsWhatScapyWrites(_ tested: Case) {
        var written = Self.written(tested.tunnel)
        #expect(written.count == tested.before.count + Self.frame.count)
        #expect(tested.encapsulation.overhead(tested.family) == tested.before.count)
        if tested.encapsulation.kind != .ethernet {
            let port = tested.family == .ipv4 ? 34 : 54
            #expect(written[port] >= 0xC0)
            if tested.family == .ipv6 {
                // One's complement: the sum of port and checksum is the same.
                func sum(_ octets: [UInt8]) -> UInt32 {
                    [port, port + 6].reduce(0) { $0 + UInt32(octets[$1]) << 8 + UInt32(octets[$1 + 1]) } % 0xFFFF
                }
                #expect(sum(written) == sum(tested.before))
            }
            for place in [port, port + 1, port + 6, port + 7] { written[place] = tested.before[place] }
        }
        #expect(written == tested.before + Self.frame)
    }

    @Test(arguments: cases) func whatIsWrittenIsReadAgain(_ tested: Case) throws {
        let written = Self.written(tested.tunnel)
        let place = tested.tunnel.place.path == 0 ? nil : tested.tunnel.place
        #expect(
            Self.read(written, tested.tunnel.kind)
                == .frame(
                    tested.before.count..<written.count, identifier: tested.tunnel.identifier, place: place))
        #expect(Tunnel(words: tested.tunnel.words) == tested.tunnel)
    }

    /// Cut off anywhere, a frame is a fault or none of a tunnel's, and never one that goes on.
    @Test(arguments: cases) func headersCutOffAtEveryOctetAreRefused(_ tested: Case) {
        let written = Self.written(tested.tunnel)
        for count in 0..<tested.before.count + 14 {
            let content = Self.read(Array(written[..<max(count, 14)]), tested.tunnel.kind)
            switch content {
            case nil, .fault: break
            case .frame: Issue.record("\(count) octets are read as a frame")
            }
        }
    }

    /// Headers with a datagram around them whose lengths are right.
    private static func datagram(_ payload: [UInt8], _ port: UInt16 = 4789) -> [UInt8] {
        let udp: [UInt8] = [0xC0, 0, UInt8(port >> 8), UInt8(port & 0xFF), 0, UInt8(8 + payload.count), 0, 0]
        return router.octets + engine.octets + [8, 0]
            + TestFrames.ipv4(ip("198.51.100.7"), ip("198.18.64.1"), 17, udp + payload)
    }

    static let bad: [(kind: TunnelEncapsulation.Kind, header: String, fault: TunnelFault)] = [
        (.vxlan, "00000000 00109200", .badHeader),
        (.vxlan, "08000000 001092", .truncated),
        (.genericVXLAN, "08000004 00109200", .badHeader),
        (.genericVXLAN, "0c000003 00109200", .badHeader),
        (.genericVXLAN, "1c000004 00109200", .badHeader),
        (.genericVXLAN, "0d000004 00109200", .badHeader),
        (.genericVXLAN, "0c000004 00000900 0fc60103 00002a00 00000000000000000000000000000000", .pathEnded),
        (.genericVXLAN, "0c000004 00000900 00060103 00002aff 00000000000000000000000000000000", .badHeader),
        (.genericVXLAN, "0c000004 00000900 2fc60103 00002aff 00000000000000000000000000000000", .badHeader),
        (.genericVXLAN, "0c000004 00000900 4fc60103 00002aff 00000000000000000000000000000000", .badHeader),
        (.genericVXLAN, "0c000004 00000900 0fc50103 00002aff 00000000000000000000000000000000", .badHeader),
        (.genericVXLAN, "0c000004 00000900 0fc10203 00002aff", .badHeader),
        (.genericVXLAN, "0c000004 00000900 0ff40203 00002aff 00000000", .truncated),
        (.genericVXLAN, "0c000004 00000900 0fc60101 00002aff 00000000000000000000000000000000", .badHeader),
        (.geneve, "40006558 00000700", .badHeader),
        (.geneve, "00806558 00000700", .badHeader),
        (.geneve, "00406558 00000700", .badHeader),
        (.geneve, "00000800 00000700", .badHeader),
        (.geneve, "3f006558 00000700", .truncated),
    ]

    @Test(arguments: bad.indices) func headersOfAnotherKindAreRefused(_ index: Int) {
        let (kind, header, fault) = Self.bad[index]
        let isLong = fault != .truncated
        #expect(Self.read(Self.datagram(hex(header) + (isLong ? Self.frame : [])), kind) == .fault(fault))
    }

    @Test func optionsAndUnknownMetadataAreSkipped() {
        let options = Self.datagram(hex("02006558 00000700 0102 0301 aabbccdd") + Self.frame, 6081)
        #expect(Self.read(options, .geneve) == .frame(58..<58 + Self.frame.count, identifier: 7, place: nil))
        let place = NSHHeader.Place(path: 42, index: 254)
        for metadata in ["0fc60103 00002afe 0102030405060708090a0b0c0d0e0f10", "0fc40203 00002afe ffff 0004 01020304"] {
            let octets = Self.datagram(hex("0c000004 00000900" + metadata) + Self.frame, 4790)
            let start = octets.count - Self.frame.count
            #expect(
                Self.read(octets, .genericVXLAN) == .frame(start..<octets.count, identifier: 9, place: place))
        }
        let tunnel = Self.cases[3].tunnel
        #expect(tunnel.isFollowed(by: place) && !tunnel.isFollowed(by: tunnel.place) && !tunnel.isFollowed(by: nil))
    }

    @Test func outerFragmentsAndWrongSumsAreFaults() {
        var fragment = Self.written(Self.cases[0].tunnel)
        fragment[20] = 0x20
        #expect(OuterTransport(fragment.span.bytes)?.fault == .fragment)
        var sum = Self.written(Self.cases[0].tunnel)
        sum[24] ^= 1
        #expect(OuterTransport(sum.span.bytes)?.fault == .badChecksum)
        var payload = Self.written(Self.cases[1].tunnel)
        payload[payload.count - 1] ^= 1
        #expect(Self.read(payload, .vxlan) == .fault(.badChecksum))
    }

    /// RFC 6040, figure 4: outer marks in columns, inner marks in rows; nil: dropped.
    @Test func marksLeaveTunnelsAsTheStandardSays() {
        let table: [[UInt8?]] = [[0, 0, 0, nil], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]]
        for inner in 0..<4 {
            for outer in 0..<4 {
                var (four, six) = (Self.frame, Self.router.octets + Self.engine.octets + hex("86dd"))
                four[15] = UInt8(inner)
                four[24...25] = [0, 0]
                let sum = ~InternetChecksum.sum(four.span.bytes, 14..<34)
                four[24...25] = [UInt8(sum >> 8), UInt8(sum & 0xFF)]
                six += TestFrames.ipv6(ip("2001:db8::1"), ip("2001:db8::a"), 59, [])
                six[15] |= UInt8(inner) << 4
                #expect(CongestionMark.read(four.span.bytes) == UInt8(inner))
                #expect(CongestionMark.read(six.span.bytes) == UInt8(inner))
                for frame in [four, six] {
                    var frame = frame
                    let isKept = frame.withUnsafeMutableBytes { raw in
                        var bytes = raw.mutableBytes
                        return CongestionMark.leave(&bytes, outer: UInt8(outer))
                    }
                    guard let mark = table[inner][outer] else {
                        #expect(!isKept)
                        continue
                    }
                    #expect(isKept && CongestionMark.read(frame.span.bytes) == mark)
                    if frame[12] == 8 { #expect(InternetChecksum.sum(frame.span.bytes, 14..<34) == 0xFFFF) }
                }
            }
        }
    }

    @Test(arguments: cases) func aFrameIsPutInAndTakenOutAgain(_ tested: Case) {
        var room = Self.frame + [UInt8](repeating: 0xEE, count: Tunnel.mostOctets)
        let count = room.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            return tested.tunnel.enclose(&bytes, length: Self.frame.count)
        }
        #expect(Array(room[..<count]) == Self.written(tested.tunnel))
        // The far end takes one off the service index.
        let isBare = tested.encapsulation.kind == .ethernet
        var encapsulation = tested.encapsulation
        if encapsulation.hasNSH { encapsulation.index -= 1 }
        let far = Tunnel(
            encapsulation, from: tested.tunnel.peer, to: tested.tunnel.local, engine: Self.router,
            nextHop: Self.engine)
        let own = tested.tunnel
        let octets = Self.written(far)
        #expect(own.inner(of: octets.span.bytes) == octets.count - Self.frame.count..<octets.count)
        var other = octets
        other[11] ^= 1
        #expect((own.inner(of: other.span.bytes) == nil) == isBare)
        other[0] ^= 2
        #expect(own.inner(of: other.span.bytes) == nil)
    }

    /// What one end sends is what the other receives: by the same code, seen from there.
    @Test(arguments: cases) func theMirroredTunnelReadsWhatIsSent(_ tested: Case) {
        var room = Self.frame + [UInt8](repeating: 0, count: Tunnel.mostOctets)
        let count = room.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            return tested.tunnel.enclose(&bytes, length: Self.frame.count)
        }
        let found = room.withUnsafeBytes { raw in
            let sent = UnsafeRawBufferPointer(rebasing: raw[..<count]).bytes
            return [tested.tunnel.mirrored.inner(of: sent), tested.tunnel.inner(of: sent)]
        }
        #expect(found == [count - Self.frame.count..<count, nil])
        #expect(tested.tunnel.mirrored.mirrored.local == tested.tunnel.local)
    }

    /// The snapshot says whether packets from behind a tunnel lose a hop; the header's sum stays right.
    @Test func aHopIsTakenAndNeverBelowZero() {
        for hops in [64, 1, 0] as [UInt8] {
            var frame = Self.frame
            frame[22] = hops
            frame.replaceSubrange(24..<26, with: [0, 0])
            let sum = ~InternetChecksum.sum(frame.span.bytes, 14..<34)
            (frame[24], frame[25]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
            frame.withUnsafeMutableBytes { raw in
                var bytes = raw.mutableBytes
                Tunnel.takeHop(&bytes)
            }
            #expect(frame[22] == (hops == 0 ? 0 : hops - 1))
            #expect(InternetChecksum.sum(frame.span.bytes, 14..<34) == 0xFFFF)
        }
        var tunnel = Self.cases[0].tunnel
        tunnel.takesHop = true
        #expect(Tunnel(words: tunnel.words) == tunnel && Tunnel(words: Self.cases[0].tunnel.words) != tunnel)
    }

    @Test func flowsHavePortsOfTheirOwn() {
        var ports: Set<[UInt8]> = []
        for source in 0..<64 {
            var frame = Self.frame
            frame[35] = UInt8(source)
            ports.insert(Array(Self.written(Self.cases[0].tunnel, frame)[34..<36]))
        }
        #expect(ports.count > 56 && ports.allSatisfy { $0[0] >= 0xC0 })
    }

    @Test func whatNoPacketHoldsIsNotWritten() {
        var room = [UInt8](repeating: 0, count: Tunnel.mostOctets)
        let count = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            return Self.cases[0].tunnel.write(&target, before: Self.frame.span.bytes, length: 65_520)
        }
        #expect(count == nil)
    }
}
