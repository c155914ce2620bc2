import Testing
import Wire

/// Reports of groups: IGMPv1 to v3, MLDv1 and v2, from hand-written octets; and the query that asks for them.
@Suite struct GroupMessageTests {
    static let group = IPAddress("239.1.2.3")!
    static let sixth = IPAddress("ff15::1:2")!
    static let mac = MACAddress(bits: 0x02_00_00_00_00_0A)

    private static func summed(_ octets: [UInt8], at place: Int, adding pseudo: UInt64 = 0) -> [UInt8] {
        var octets = octets
        let sum = octets.withUnsafeBytes { ~InternetChecksum.sum($0.bytes, 0..<octets.count, adding: pseudo) }
        (octets[place], octets[place + 1]) = (UInt8(sum >> 8), UInt8(sum & 0xFF))
        return octets
    }

    /// An IPv4 frame with the Router Alert option around an IGMP message without checksum.
    static func four(_ message: [UInt8], to destination: String = "224.0.0.22", ttl: UInt8 = 1) -> [UInt8] {
        let group = IPAddress(destination)!
        var header: [UInt8] = [0x46, 0xC0, 0, UInt8(24 + message.count), 0, 0, 0x40, 0, ttl, 2, 0, 0]
        header += [192, 0, 2, 10]
        header += group.octets
        header += [0x94, 4, 0, 0]
        var frame: [UInt8] = [0x01, 0x00, 0x5E]
        frame += group.octets[1...]
        frame += mac.octets
        frame += [8, 0]
        frame += summed(header, at: 10)
        frame += summed(message, at: 2)
        return frame
    }

    /// An IPv6 frame with the Router Alert option around an MLD message without checksum.
    static func six(
        _ message: [UInt8], to destination: String = "ff02::16", from source: String = "fe80::a", hops: UInt8 = 1
    ) -> [UInt8] {
        let (source, group) = (IPAddress(source)!, IPAddress(destination)!)
        let pseudo = InternetChecksum.pseudoHeader(
            source: source, destination: group, protocolNumber: 58, length: message.count)
        var frame: [UInt8] = [0x33, 0x33]
        frame += group.octets[12...]
        frame += mac.octets
        frame += [0x86, 0xDD, 0x60, 0, 0, 0, 0, UInt8(message.count + 8), 0, hops]
        frame += source.octets
        frame += group.octets
        frame += [58, 0, 5, 2, 0, 0, 1, 0]
        frame += summed(message, at: 2, adding: pseudo)
        return frame
    }

    /// A report of version 2 of MLD or 3 of IGMP: records of a type, sources and auxiliary words.
    static func report(
        _ type: UInt8, _ records: [(kind: UInt8, group: IPAddress, sources: [IPAddress], auxiliary: UInt8)]
    ) -> [UInt8] {
        var octets: [UInt8] = [type, 0, 0, 0, 0, 0, 0, UInt8(records.count)]
        for record in records {
            octets += [record.kind, record.auxiliary, 0, UInt8(record.sources.count)]
            octets += record.group.octets
            for source in record.sources { octets += source.octets }
            octets += [UInt8](repeating: 0xAA, count: 4 * Int(record.auxiliary))
        }
        return octets
    }

    /// What is read of a frame: `+` joins, `-` leaves, `=` nothing; nil if it is no report, empty if it is refused.
    static func read(_ frame: [UInt8]) -> [String]? {
        var fields = PacketFields()
        return frame.withUnsafeBytes { raw -> [String]? in
            guard case .packet = fields.parse(raw.bytes), GroupMessage.isOne(fields, raw.bytes) else { return nil }
            guard var message = try? GroupMessage(raw.bytes, fields) else { return [] }
            var found: [String] = []
            while let record = message.next(raw.bytes) {
                found.append((record.joins.map { $0 ? "+" : "-" } ?? "=") + "\(record.group)")
            }
            return found
        }
    }

    @Test func everyVersionIsRead() {
        let four = Self.group.octets
        #expect(Self.read(Self.four([0x12, 0, 0, 0] + four, to: "239.1.2.3")) == ["+239.1.2.3"])
        #expect(Self.read(Self.four([0x16, 0, 0, 0] + four, to: "239.1.2.3")) == ["+239.1.2.3"])
        #expect(Self.read(Self.four([0x17, 0, 0, 0] + four, to: "224.0.0.2")) == ["-239.1.2.3"])
        let six = [UInt8](repeating: 0, count: 4) + Self.sixth.octets
        #expect(Self.read(Self.six([131, 0, 0, 0] + six, to: "ff15::1:2")) == ["+ff15::1:2"])
        #expect(Self.read(Self.six([132, 0, 0, 0] + six, to: "ff02::2")) == ["-ff15::1:2"])
    }

    /// RFC 3376, section 4.2.12, and RFC 3810, section 5.2.12.
    @Test func everyTypeOfRecordIsRead() {
        let other = IPAddress("239.9.9.9")!
        let (one, two) = (IPAddress("198.51.100.1")!, IPAddress("198.51.100.2")!)
        let records: [(UInt8, IPAddress, [IPAddress], UInt8)] = [
            (1, Self.group, [], 0), (1, other, [one], 0), (2, Self.group, [], 3), (3, Self.group, [], 0),
            (3, other, [one, two], 1), (4, Self.group, [one], 0), (5, other, [two], 0), (6, Self.group, [one], 0),
            (7, other, [], 0),
        ]
        #expect(
            Self.read(Self.four(Self.report(0x22, records))) == [
                "-239.1.2.3", "+239.9.9.9", "+239.1.2.3", "-239.1.2.3", "+239.9.9.9", "+239.1.2.3", "+239.9.9.9",
                "=239.1.2.3", "=239.9.9.9",
            ])
        let source = IPAddress("2001:db8::1")!
        #expect(
            Self.read(Self.six(Self.report(143, [(4, Self.sixth, [], 0), (3, Self.sixth, [source], 2)])))
                == ["+ff15::1:2", "+ff15::1:2"])
        #expect(Self.read(Self.six(Self.report(143, [(3, Self.sixth, [], 0)]), from: "::")) == ["-ff15::1:2"])
    }

    @Test func whatTheStandardsDiscardIsRefused() {
        let four = Self.group.octets
        let good = Self.report(0x22, [(4, Self.group, [], 0)])
        let refused: [[UInt8]] = [
            Self.four(good, ttl: 2), Self.four([0x16, 0, 0, 0] + four, to: "239.1.2.4"),
            Self.four([0x16, 0, 0, 0] + four), Self.four([0x55, 0, 0, 0] + four),
            Self.four(Self.report(0x22, [(4, IPAddress("192.0.2.9")!, [], 0)])),
            Self.four([0x22, 0, 0, 0, 0, 0, 0, 2] + good[8...]), Self.four([0x22, 0, 0, 0, 0, 0, 0xFF, 0xFF]),
            Self.four([0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 9] + four),
            Self.four([0x22, 0, 0, 0, 0, 0, 0, 1, 4, 255, 0, 0] + four),
            Self.six(Self.report(143, [(4, Self.sixth, [], 0)]), hops: 255),
            Self.six(Self.report(143, [(4, Self.sixth, [], 0)]), from: "2001:db8::a"),
            Self.six([131, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0x15]),
        ]
        for frame in refused { #expect(Self.read(frame) == [], "\(frame)") }
        var broken = Self.four(good)
        broken[broken.count - 1] ^= 1
        #expect(Self.read(broken) == [])
        // Queries are no reports.
        #expect(Self.read(Self.four([0x11, 100, 0, 0] + [0, 0, 0, 0], to: "224.0.0.1")) == nil)
    }

    /// At every length that a message can be cut to, nothing is read beyond it, and nothing of it counts.
    @Test func aMessageThatIsCutShortIsRefused() {
        let records: [(UInt8, IPAddress, [IPAddress], UInt8)] = [
            (4, Self.group, [], 0), (3, Self.group, [IPAddress("198.51.100.1")!], 1),
        ]
        let message = Self.report(0x22, records)
        for length in 8..<message.count { #expect(Self.read(Self.four(Array(message[..<length]))) == [], "\(length)") }
        let six = Self.report(143, [(4, Self.sixth, [], 0), (4, Self.sixth, [IPAddress("2001:db8::1")!], 0)])
        for length in 8..<six.count { #expect(Self.read(Self.six(Array(six[..<length]))) == [], "\(length)") }
    }

    /// Random octets in the place of a message never stop the reader.
    @Test func anyOctetsAreReadOrRefused() {
        let seed = UInt64.random(in: 0 ... .max)
        var state = seed
        func next() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        var read = 0
        for _ in 0..<20_000 {
            var message = (0..<Int(8 + next() % 60)).map { _ in next() }
            (message[2], message[3]) = (0, 0)
            message[0] = [0x12, 0x16, 0x17, 0x22][Int(next() % 4)]
            if message[0] == 0x22 { (message[6], message[7]) = (0, next() % 4) }
            if let found = Self.read(Self.four(message)), !found.isEmpty { read += 1 }
            message[0] = [131, 132, 143][Int(next() % 3)]
            message[1] = 0
            _ = Self.read(Self.six(message))
        }
        #expect(read > 0, "seed \(seed)")
    }

    @Test func aQueryIsWhatTheStandardsSay() throws {
        for source in ["192.0.2.1", "0.0.0.0", "fe80::1"] {
            let address = IPAddress(source)!
            let length = GroupQuery.frameLength(address.family)
            var frame = [UInt8](repeating: 0, count: length)
            let written = frame.withUnsafeMutableBytes { raw in
                var span = raw.mutableBytes
                return GroupQuery.write(into: &span, from: Self.mac, address)
            }
            #expect(written == length)
            var fields = PacketFields()
            frame.withUnsafeBytes { raw in
                #expect(fields.parse(raw.bytes) == .packet)
                #expect(fields.hopLimit == 1 && fields.flow.source == address && fields.end == length)
                if address.family == .ipv6 {
                    #expect(fields.icmpType == 130 && fields.controlChecksumIsValid(raw.bytes))
                } else {
                    #expect(InternetChecksum.sum(raw.bytes, fields.transportOffset..<length) == 0xFFFF)
                }
            }
            #expect(fields.destinationMAC.isMulticast && fields.sourceMAC == Self.mac)
            #expect(fields.flow.destination == IPAddress(address.family == .ipv4 ? "224.0.0.1" : "ff02::1"))
            var short = [UInt8](repeating: 0, count: length - 1)
            let none = short.withUnsafeMutableBytes { raw in
                var span = raw.mutableBytes
                return GroupQuery.write(into: &span, from: Self.mac, address)
            }
            #expect(none == 0)
        }
    }
}
