import Seeds
import Testing
import Wire

/// Translations of ports are judged by building the same frame with the new ports and naive checksums.
@Suite struct PortRewriteTests {
    static let seed = Seed.drawn()
    static let translated: [UInt8] = [6, 17, 136, 33]

    /// Applies a translation to a copy of the leading `headerLength` octets alone, as the engine does.
    static func shifted(
        _ frame: [UInt8], _ side: PortSide, by shift: PortShift, _ state: ChecksumState = .full,
        destination: IPAddress? = nil, source: IPAddress? = nil
    ) -> [UInt8] {
        let (verdict, fields) = parsed(frame)
        guard verdict == .packet else { return [] }
        var header = Array(frame[..<fields.headerLength])
        var span = header.mutableSpan
        var bytes = span.mutableBytes
        if let source, !fields.rewriteSource(to: source, in: &bytes, checksum: state) { return [] }
        if let destination, !fields.rewriteDestination(to: destination, in: &bytes, checksum: state) { return [] }
        guard fields.shiftPort(side, by: shift, in: &bytes, checksum: state) else { return [] }
        return header + frame[fields.headerLength...]
    }

    /// Ports at which one's complement goes wrong, and others.
    static func port(_ generator: inout SeededGenerator) -> UInt16 {
        [0, 1, 80, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF].randomElement(using: &generator).flatMap {
            Bool.random(using: &generator) ? UInt16($0) : nil
        } ?? UInt16.random(in: 0...65535, using: &generator)
    }

    @Test(arguments: AddressFamily.allCases, [ChecksumState.full, .partial])
    func everyProtocolEqualsRecomputation(_ family: AddressFamily, _ state: ChecksumState) {
        var generator = SeededGenerator(seed: Self.seed)
        for round in 0..<400 {
            for number in Self.translated {
                let (client, service, application) = (
                    RewriteTests.random(family, &generator), RewriteTests.random(family, &generator),
                    RewriteTests.random(family, &generator)
                )
                let (own, port, other) = (
                    Self.port(&generator), Self.port(&generator), Self.port(&generator)
                )
                let shift = PortShift(from: port, to: other)
                let data = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                func frame(_ from: IPAddress, _ to: IPAddress, _ source: UInt16, _ destination: UInt16) -> [UInt8] {
                    TestFrames.transport(
                        number, from, to, ports: (Int(source), Int(destination)), data: data, state, padding: 4)
                }
                let say: Comment = "seed \(Self.seed), round \(round), protocol \(number), \(port) to \(other)"
                let request = frame(client, service, own, port)
                #expect(
                    Self.shifted(request, .destination, by: shift, state) == frame(client, service, own, other), say)
                #expect(
                    Self.shifted(request, .destination, by: shift, state, destination: application)
                        == frame(client, application, own, other), say)
                let response = frame(application, client, other, own)
                #expect(
                    Self.shifted(response, .source, by: shift.reversed, state)
                        == frame(application, client, port, own), say)
                #expect(
                    Self.shifted(response, .source, by: shift.reversed, state, source: service)
                        == frame(service, client, port, own), say)
            }
        }
    }

    /// Errors of both directions, however short the quotation is, from eight octets on.
    @Test(arguments: AddressFamily.allCases)
    func errorsAreTranslatedInside(_ family: AddressFamily) {
        var generator = SeededGenerator(seed: Self.seed)
        for round in 0..<400 {
            for number in Self.translated {
                let (client, service) = (
                    RewriteTests.random(family, &generator), RewriteTests.random(family, &generator)
                )
                let router = family == .ipv4 ? ip("10.0.0.1") : ip("fd00::1")
                let (own, port, other) = (Self.port(&generator), Self.port(&generator), Self.port(&generator))
                let shift = PortShift(from: port, to: other)
                let reach = Bool.random(using: &generator) ? 8 : Int.random(in: 8...30, using: &generator)
                // Of half a TCP checksum nobody can tell what it becomes; it is left as it is.
                let limit = (family == .ipv4 ? 20 : 40) + (number == 6 && reach == 17 ? 18 : reach)
                func quoted(_ from: IPAddress, _ to: IPAddress, _ source: UInt16, _ destination: UInt16) -> [UInt8] {
                    TestFrames.packet(
                        from, to, number,
                        TestFrames.segment(number, from, to, ports: (Int(source), Int(destination))))
                }
                let say: Comment = "seed \(Self.seed), round \(round), protocol \(number), limit \(limit)"
                for sender in [client, router] {
                    // Towards the application, about its response, which seemed to come from the service port.
                    let error = TestFrames.error(
                        sender, service, quoting: quoted(service, client, port, own), limit: limit)
                    let expected = TestFrames.error(
                        sender, service, quoting: quoted(service, client, other, own), limit: limit)
                    #expect(Self.shifted(error, .destination, by: shift) == expected, say)
                }
                for sender in [service, router] {
                    // Towards the customer, about a request that went to the application's port.
                    let error = TestFrames.error(
                        sender, client, quoting: quoted(client, service, own, other), limit: limit)
                    let expected = TestFrames.error(
                        sender, client, quoting: quoted(client, service, own, port), limit: limit)
                    #expect(Self.shifted(error, .source, by: shift.reversed) == expected, say)
                }
            }
        }
    }

    /// A checksum that is off by some number is off by the same number afterwards, inside and outside.
    @Test(arguments: AddressFamily.allCases)
    func aWrongChecksumStaysWrong(_ family: AddressFamily) {
        var generator = SeededGenerator(seed: Self.seed)
        for _ in 0..<400 {
            let (client, service) = (RewriteTests.random(family, &generator), RewriteTests.random(family, &generator))
            let (port, other) = (Self.port(&generator), Self.port(&generator))
            let off = UInt16.random(in: 1..<0xFFFF, using: &generator)
            let network = family == .ipv4 ? 20 : 40
            func frame(_ port: UInt16, wrong: Bool) -> [UInt8] {
                let frame = TestFrames.transport(6, client, service, ports: (40_000, Int(port)))
                return wrong ? Self.adding(off, to: frame, at: 14 + network + 16) : frame
            }
            let shift = PortShift(from: port, to: other)
            let field = 14 + network + 16
            let right = Self.shifted(frame(port, wrong: false), .destination, by: shift)
            let wrong = Self.shifted(frame(port, wrong: true), .destination, by: shift)
            #expect(Self.sameNumber(Self.adding(off, to: right, at: field), wrong, at: field), "seed \(Self.seed)")
            #expect(
                Self.shifted(wrong, .destination, by: shift.reversed)[..<field] == frame(port, wrong: true)[..<field])
            // Quoted, with the message around it right.
            func quoting(_ port: UInt16) -> [UInt8] {
                let inner = Self.adding(
                    off, to: TestFrames.transport(6, service, client, ports: (Int(port), 40_000)), at: field)
                return TestFrames.error(client, service, quoting: Array(inner[14...]))
            }
            let error = Self.shifted(quoting(port), .destination, by: shift)
            let (_, fields) = parsed(error)
            let message: [UInt8] = Array(error[fields.transportOffset..<fields.end])
            let head: [UInt8] =
                family == .ipv4 ? [] : TestFrames.pseudo(client, service, 58, message.count)
            #expect(naiveSum(head + message) == 0xFFFF, "seed \(Self.seed)")
        }
    }

    /// One's complement addition to a checksum field.
    static func adding(_ number: UInt16, to frame: [UInt8], at field: Int) -> [UInt8] {
        var frame = frame
        let sum = UInt32(frame[field]) << 8 + UInt32(frame[field + 1]) + UInt32(number)
        frame.replaceSubrange(field..<field + 2, with: big16(Int(sum & 0xFFFF + sum >> 16)))
        return frame
    }

    /// True if both frames are equal but for 0 and 0xFFFF, which are one number, in a checksum field.
    static func sameNumber(_ left: [UInt8], _ right: [UInt8], at field: Int) -> Bool {
        func cleaned(_ frame: [UInt8]) -> [UInt8] {
            var frame = frame
            if frame[field] == 0xFF, frame[field + 1] == 0xFF { (frame[field], frame[field + 1]) = (0, 0) }
            return frame
        }
        return left.count == right.count && cleaned(left) == cleaned(right)
    }

    @Test func zeroUDPChecksumStaysZero() {
        let (client, service) = (ip("192.0.2.1"), ip("203.0.113.80"))
        func segment(_ port: Int) -> [UInt8] { [0x9C, 0x40] + big16(port) + [0, 10, 0, 0, 1, 2] }
        let shift = PortShift(from: 53, to: 5353)
        #expect(
            Self.shifted(TestFrames.frame(client, service, 17, segment(53)), .destination, by: shift)
                == TestFrames.frame(client, service, 17, segment(5353)))
        // And inside an error, where the outer checksum must still come out right.
        func error(_ port: Int) -> [UInt8] {
            TestFrames.error(client, service, quoting: TestFrames.packet(client, service, 17, segment(port)))
        }
        #expect(Self.shifted(error(53), .source, by: shift) == error(5353))
    }

    @Test func computedZeroBecomesOnesForUDPAlone() {
        // The data is chosen so that the sum over the translated packet is zero.
        let (client, service) = (ip("192.0.2.1"), ip("203.0.113.80"))
        for number: UInt8 in [6, 17] {
            let offset = number == 6 ? 16 : 6
            let trial = TestFrames.segment(number, client, service, ports: (40_000, 8080), data: [0, 0])
            let data = Array(trial[offset..<offset + 2])
            let expected = TestFrames.transport(number, client, service, ports: (40_000, 8080), data: data)
            let field = 34 + offset
            #expect(Array(expected[field..<field + 2]) == (number == 6 ? [0, 0] : [0xFF, 0xFF]))
            let frame = TestFrames.transport(number, client, service, ports: (40_000, 80), data: data)
            let shift = PortShift(from: 80, to: 8080)
            #expect(Self.sameNumber(Self.shifted(frame, .destination, by: shift), expected, at: field))
            #expect(number == 6 || Self.shifted(frame, .destination, by: shift) == expected)
        }
    }

    /// The checksum of SCTP is over the payload, an authentication header is over all of it, and a later fragment has no ports.
    @Test func whatCannotBeTranslatedIsLeftAlone() {
        let (client, service) = (ip("192.0.2.1"), ip("203.0.113.80"))
        let shift = PortShift(from: 80, to: 8080)
        let sctp = TestFrames.transport(132, client, service)
        #expect(Self.shifted(sctp, .destination, by: shift) == [])
        let authenticated =
            [6, 1] + [UInt8](repeating: 0, count: 10) + TestFrames.segment(6, client, service)
        let protected = TestFrames.frame(client, service, 51, authenticated)
        let (verdict, fields) = parsed(protected)
        #expect(verdict == .packet && fields.flow.hasPorts)
        #expect(Self.shifted(protected, .destination, by: shift) == [])
        for word in [0x2000, 3] {
            let part = TestFrames.ethernet(
                0x0800,
                TestFrames.ipv4(
                    client, service, 17,
                    Array(TestFrames.segment(17, client, service, data: [1, 2, 3, 4, 5, 6, 7, 8])),
                    fragmentWord: word))
            #expect(parsed(part).1.dividesPorts)
            #expect(Self.shifted(part, .destination, by: shift) == [])
        }
        #expect(!parsed(TestFrames.transport(17, client, service)).1.dividesPorts)
    }

    /// The fast path writes what the slow path writes.
    @Test(arguments: AddressFamily.allCases, [ChecksumState.full, .partial])
    func theFastPathWritesTheSame(_ family: AddressFamily, _ state: ChecksumState) {
        var generator = SeededGenerator(seed: Self.seed)
        for _ in 0..<200 {
            for number: UInt8 in [6, 17] {
                let (client, service, application) = (
                    RewriteTests.random(family, &generator), RewriteTests.random(family, &generator),
                    RewriteTests.random(family, &generator)
                )
                let ports = (Int(Self.port(&generator)), Int(Self.port(&generator)))
                let shift = PortShift(UInt16.random(in: 1...65535, using: &generator))
                let frame = TestFrames.transport(number, client, service, ports: ports, state)
                for side in [PortSide.source, .destination] {
                    let slow = Self.shifted(
                        frame, side, by: shift, state, destination: side == .destination ? application : nil,
                        source: side == .source ? application : nil)
                    let fast = Self.fast(frame, side, by: shift, state, application)
                    #expect(fast == slow, "seed \(Self.seed)")
                }
            }
        }
    }

    private static func fast(
        _ frame: [UInt8], _ side: PortSide, by shift: PortShift, _ state: ChecksumState, _ address: IPAddress
    ) -> [UInt8]? {
        var header = [UInt8](repeating: 0, count: VirtioNetHeader.length)
        let (_, fields) = parsed(frame)
        if state == .partial {
            header[0] = VirtioNetHeader.needsChecksum
            header[6] = UInt8(fields.transportOffset)
            header[8] = fields.transportProtocol == 6 ? 16 : 6
        }
        var whole = header + frame
        return whole.withUnsafeMutableBytes { bytes -> [UInt8]? in
            guard let start = bytes.baseAddress else { return nil }
            let kind = FrameKind(start, bytes.count)
            var packet = FastPathPacket()
            guard packet.read(start, bytes.count, kind, at: EthernetView.length), packet.checksum == state else {
                return nil
            }
            if side == .destination {
                packet.rewriteDestination(to: address, in: start, checksum: state)
            } else {
                packet.rewriteSource(to: address, in: start, checksum: state)
            }
            packet.shiftPort(side, by: shift, in: start, checksum: state)
            return Array(bytes[VirtioNetHeader.length...])
        }
    }
}
