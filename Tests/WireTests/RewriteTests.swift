import Seeds
import Testing
import Wire

/// Rewrites are judged by building the same frame with the new addresses and naive checksums.
@Suite struct RewriteTests {
    static let seed = Seed.drawn()

    /// Applies a rewrite to a copy of the leading `headerLength` octets alone, as the engine does.
    static func rewritten(
        _ frame: [UInt8], destination: IPAddress? = nil, source: IPAddress? = nil, _ state: ChecksumState = .full
    ) -> [UInt8] {
        let (verdict, fields) = parsed(frame)
        guard verdict == .packet else { return [] }
        var header = Array(frame[..<fields.headerLength])
        var span = header.mutableSpan
        var bytes = span.mutableBytes
        if let destination, !fields.rewriteDestination(to: destination, in: &bytes, checksum: state) { return [] }
        if let source, !fields.rewriteSource(to: source, in: &bytes, checksum: state) { return [] }
        return header + frame[fields.headerLength...]
    }

    static func random(_ family: AddressFamily, _ generator: inout SeededGenerator) -> IPAddress {
        switch Int.random(in: 0..<6, using: &generator) {
        // Addresses whose words are all zeros or ones are where one's complement goes wrong.
        case 0 where family == .ipv6: IPAddress(ipv6High: 0x2000_0000_0000_0000, low: 0)
        case 1 where family == .ipv6: IPAddress(ipv6High: 0xFDFF_FFFF_FFFF_FFFF, low: .max)
        default:
            family == .ipv4
                ? IPAddress(ipv4: UInt32.random(in: 0x0100_0000...0x7EFF_FFFF, using: &generator))
                : IPAddress(
                    ipv6High: UInt64.random(in: 0x2000_0000_0000_0000...0x3FFF_FFFF_FFFF_FFFF, using: &generator),
                    low: UInt64.random(in: 0...UInt64.max, using: &generator))
        }
    }

    @Test(arguments: AddressFamily.allCases, [ChecksumState.full, .partial])
    func everyProtocolEqualsRecomputation(_ family: AddressFamily, _ state: ChecksumState) {
        var generator = SeededGenerator(seed: Self.seed)
        for round in 0..<400 {
            for number: UInt8 in [6, 17, 136, 33, 132, 89, family == .ipv4 ? 1 : 58] {
                let (client, service, application) = (
                    Self.random(family, &generator), Self.random(family, &generator), Self.random(family, &generator)
                )
                let data = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
                // ICMP for IPv4 has no pseudo-header: its partial checksum is a zero that is not touched.
                let request = TestFrames.transport(number, client, service, data: data, state, padding: 4)
                #expect(
                    Self.rewritten(request, destination: application, state)
                        == TestFrames.transport(number, client, application, data: data, state, padding: 4),
                    "seed \(Self.seed), round \(round), protocol \(number)")
                let response = TestFrames.transport(number, application, client, data: data, state)
                #expect(
                    Self.rewritten(response, source: service, state)
                        == TestFrames.transport(number, service, client, data: data, state),
                    "seed \(Self.seed), round \(round), protocol \(number)")
            }
        }
    }

    @Test(arguments: AddressFamily.allCases)
    func errorsAreRewrittenInsideToo(_ family: AddressFamily) {
        var generator = SeededGenerator(seed: Self.seed)
        for round in 0..<400 {
            for number: UInt8 in [6, 17, 136, 33, 132, family == .ipv4 ? 1 : 58] {
                let (client, service, application) = (
                    Self.random(family, &generator), Self.random(family, &generator), Self.random(family, &generator)
                )
                let router = family == .ipv4 ? ip("10.0.0.1") : ip("fd00::1")
                // From eight octets of transport header to all of it, an odd number of octets among them.
                let reach = Int.random(in: 8...30, using: &generator)
                // Of half a TCP checksum nobody can tell what it becomes; it is left as it is.
                let limit = (family == .ipv4 ? 20 : 40) + (number == 6 && reach == 17 ? 18 : reach)
                let packet = { (source: IPAddress, destination: IPAddress) in
                    TestFrames.packet(source, destination, number, TestFrames.segment(number, source, destination))
                }
                let say: Comment = "seed \(Self.seed), round \(round), protocol \(number), limit \(limit)"
                // Towards the application, about a response that seemed to come from the service.
                for sender in [client, router] {
                    let error = TestFrames.error(sender, service, quoting: packet(service, client), limit: limit)
                    let expected = TestFrames.error(
                        sender, application, quoting: packet(application, client), limit: limit)
                    #expect(Self.rewritten(error, destination: application) == expected, say)
                }
                // Towards the customer, about a request that went to the application.
                let error = TestFrames.error(application, client, quoting: packet(client, application), limit: limit)
                let expected = TestFrames.error(service, client, quoting: packet(client, service), limit: limit)
                #expect(Self.rewritten(error, source: service) == expected, say)
                // From a router in front of the application: it keeps its own address.
                let routed = TestFrames.error(router, client, quoting: packet(client, application), limit: limit)
                let routedExpected = TestFrames.error(router, client, quoting: packet(client, service), limit: limit)
                #expect(Self.rewritten(routed, source: service) == routedExpected, say)
            }
        }
    }

    @Test func zeroUDPChecksumStaysZero() {
        let (client, service, application) = (ip("192.0.2.1"), ip("203.0.113.80"), ip("198.18.4.2"))
        let segment: [UInt8] = [0x9C, 0x40, 0, 53, 0, 10, 0, 0, 1, 2]
        let frame = TestFrames.frame(client, service, 17, segment)
        #expect(Self.rewritten(frame, destination: application) == TestFrames.frame(client, application, 17, segment))
        // And inside an error, where the outer checksum must still come out right.
        let error = TestFrames.error(client, service, quoting: TestFrames.packet(service, client, 17, segment))
        let expected = TestFrames.error(
            client, application, quoting: TestFrames.packet(application, client, 17, segment))
        #expect(Self.rewritten(error, destination: application) == expected)
    }

    @Test func computedZeroBecomesOnesForUDPAlone() {
        // The data is chosen so that the sum over the rewritten packet is zero.
        let (client, service, application) = (ip("192.0.2.1"), ip("203.0.113.80"), ip("198.18.4.2"))
        for number: UInt8 in [6, 17] {
            let trial = TestFrames.segment(number, client, application, data: [0, 0])
            let offset = number == 6 ? 16 : 6
            let data = Array(trial[offset..<offset + 2])
            let expected = TestFrames.transport(number, client, application, data: data)
            let field = 34 + offset
            #expect(Array(expected[field..<field + 2]) == (number == 6 ? [0, 0] : [0xFF, 0xFF]))
            let frame = TestFrames.transport(number, client, service, data: data)
            #expect(Self.rewritten(frame, destination: application) == expected)
        }
    }

    @Test func fragmentsOfIPv4() {
        let (client, service, application) = (ip("192.0.2.1"), ip("203.0.113.80"), ip("198.18.4.2"))
        let whole = TestFrames.segment(17, client, service, data: [UInt8](repeating: 9, count: 40))
        let rewrittenWhole = TestFrames.segment(17, client, application, data: [UInt8](repeating: 9, count: 40))
        let cut = { (segment: [UInt8], destination: IPAddress, part: Int) in
            TestFrames.ethernet(
                0x0800,
                TestFrames.ipv4(
                    client, destination, 17, Array(part == 0 ? segment[..<24] : segment[24...]),
                    fragmentWord: part == 0 ? 0x2000 : 3))
        }
        for part in 0...1 {
            #expect(
                Self.rewritten(cut(whole, service, part), destination: application)
                    == cut(rewrittenWhole, application, part))
        }
    }

    @Test func optionsAndExtensionHeadersDoNotMatter() {
        let (client, service, application) = (ip("192.0.2.1"), ip("203.0.113.80"), ip("198.18.4.2"))
        let withOptions = { (destination: IPAddress) in
            TestFrames.ethernet(
                0x0800,
                TestFrames.ipv4(
                    client, destination, 6, TestFrames.segment(6, client, destination),
                    options: [0x94, 4, 0, 0, 1, 1, 1, 0]))
        }
        #expect(Self.rewritten(withOptions(service), destination: application) == withOptions(application))
        let (client6, service6, application6) = (ip("2001:db8::1"), ip("2001:db8::80"), ip("fd00::2"))
        let withHeaders = { (destination: IPAddress) in
            let chain: [UInt8] = [60, 0, 1, 4, 0, 0, 0, 0] + [6, 1] + [1, 12] + [UInt8](repeating: 0, count: 12)
            return TestFrames.ethernet(
                0x86DD,
                TestFrames.ipv6(client6, destination, 0, chain + TestFrames.segment(6, client6, destination)))
        }
        #expect(Self.rewritten(withHeaders(service6), destination: application6) == withHeaders(application6))
    }

    @Test func anotherFamilyOrAShortHeaderChangesNothing() {
        var frame = TestFrames.transport(6, ip("192.0.2.1"), ip("192.0.2.2"))
        let before = frame
        let (_, fields) = parsed(frame)
        var span = frame.mutableSpan
        var bytes = span.mutableBytes
        #expect(!fields.rewriteDestination(to: ip("::2"), in: &bytes, checksum: .full))
        #expect(!fields.rewriteSource(to: ip("::2"), in: &bytes, checksum: .full))
        var short = Array(frame[..<(fields.headerLength - 1)])
        var shortSpan = short.mutableSpan
        var shortBytes = shortSpan.mutableBytes
        #expect(!fields.rewriteDestination(to: ip("192.0.2.9"), in: &shortBytes, checksum: .full))
        #expect(frame == before)
        #expect(short == Array(before[..<(fields.headerLength - 1)]))
    }
}
