import Seeds
import Testing
import Wire

@testable import Health

@Suite struct ProbeShapeTests {
    private static let token: UInt64 = 0xA1B2_C3D4_E5F6_0718
    private let here = MACAddress("02:00:00:00:00:01")!
    private let there = MACAddress("02:00:00:00:00:02")!
    private let back = MACAddress("02:00:00:00:00:03")!
    private let farther = MACAddress("02:00:00:00:00:04")!

    private static func shapes() -> [ProbeShape] {
        let pairs = [("198.18.2.1", "198.18.3.1"), ("2001:db8:12::1", "2001:db8:13::1")]
        return pairs.flatMap { pair -> [ProbeShape] in
            let (source, destination) = (IPAddress(pair.0)!, IPAddress(pair.1)!)
            return [ProbeShape.Kind.echo, .udp(source: 7, destination: 4_789)].flatMap { kind in
                [0, 52, 84, 85, 200, 242, 9_000].map {
                    ProbeShape(
                        kind: kind, source: source, destination: destination, size: $0, hopLimit: 61, trafficClass: 0xB8
                    )
                }
            }
        }
    }

    private func frame(_ shape: ProbeShape, _ trailer: ProbeTrailer) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: ProbeShape.longestFrame)
        let length = bytes.withUnsafeMutableBytes { buffer in
            var span = MutableRawSpan(_unsafeBytes: buffer)
            return shape.write(into: &span, to: there, from: here, trailer)
        }
        return Array(bytes.prefix(length))
    }

    private func answer(_ shape: ProbeShape, to request: [UInt8]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0xEE, count: ProbeShape.longestFrame)
        let length = bytes.withUnsafeMutableBytes { buffer in
            request.withUnsafeBytes { request in
                var span = MutableRawSpan(_unsafeBytes: buffer)
                return shape.writeAnswer(
                    into: &span, to: request.bytes, destinationMAC: back, sourceMAC: farther, token: Self.token)
            }
        }
        return Array(bytes.prefix(length))
    }

    private func seen(_ frame: [UInt8], token: UInt64 = ProbeShapeTests.token) -> SeenProbe? {
        frame.withUnsafeBytes { SeenProbe($0.bytes, token: token) }
    }

    private func parsed(_ frame: [UInt8]) -> PacketFields? {
        frame.withUnsafeBytes {
            var fields = PacketFields()
            return fields.parse($0.bytes) == .packet ? fields : nil
        }
    }

    /// The plain sum of RFC 1071 over the transport part and its pseudo-header.
    private func transportSum(_ frame: [UInt8], _ fields: PacketFields) -> Int {
        var octets: [UInt8] = []
        if !(fields.family == .ipv4 && fields.flow.protocolNumber == IPProtocol.icmp) {
            let length = fields.end - fields.transportOffset
            octets += fields.family == .ipv4 ? frame[26..<34] : frame[22..<54]
            octets += [0, fields.flow.protocolNumber, UInt8(length >> 8), UInt8(length & 0xFF)]
        }
        octets += frame[fields.transportOffset..<fields.end]
        if octets.count % 2 == 1 { octets.append(0) }
        var sum = stride(from: 0, to: octets.count, by: 2).reduce(0) { $0 + Int(octets[$1]) << 8 + Int(octets[$1 + 1]) }
        while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
        return sum
    }

    @Test(arguments: shapes()) func isAPacketThatEverybodyTakes(_ shape: ProbeShape) throws {
        let trailer = ProbeTrailer(probe: 0x0102_0304_0506_0708, number: 9, token: Self.token)
        let bytes = frame(shape, trailer)
        let fields = try #require(parsed(bytes))
        #expect(bytes.count == EthernetView.length + shape.size && fields.end == bytes.count)
        #expect((ProbeShape.smallest(shape.source.family)...ProbeShape.longestPacket).contains(shape.size))
        #expect(fields.flow.source == shape.source && fields.flow.destination == shape.destination)
        #expect(fields.destinationMAC == there && fields.sourceMAC == here && fields.hopLimit == 61)
        #expect(transportSum(bytes, fields) == 0xFFFF)
        #expect(bytes.suffix(8) == [0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x18])
        #expect(seen(bytes) == SeenProbe(trailer: trailer, kind: .request))
        #expect(seen(bytes, token: Self.token ^ 1) == nil)
        if case .udp = shape.kind { #expect(fields.flow.sourcePort == 7 && fields.flow.destinationPort == 4_789) }
    }

    /// A router takes one from the time to live, writes its MAC addresses, and may mark the traffic class; a translator
    /// changes the source. The probe is known, and its answer goes to whom it says it is from.
    @Test(arguments: shapes()) func isKnownAndAnsweredWhateverARouterChanged(_ shape: ProbeShape) throws {
        var moved = shape
        moved.hopLimit = 60
        moved.trafficClass = 0
        moved.source = shape.source.family == .ipv4 ? IPAddress("203.0.113.9")! : IPAddress("2001:db8:cb::9")!
        if case .udp(_, let destination) = shape.kind { moved.kind = .udp(source: 60_000, destination: destination) }
        let trailer = ProbeTrailer(probe: 77, number: 1 << 40, token: Self.token)
        let came = frame(moved, trailer)
        #expect(seen(came)?.kind == .request && seen(came)?.trailer.number == 1 << 40)
        let answered = answer(shape, to: came)
        let fields = try #require(parsed(answered))
        #expect(fields.flow.source == shape.destination && fields.flow.destination == moved.source)
        #expect(fields.destinationMAC == back && fields.sourceMAC == farther && fields.hopLimit == 61)
        #expect(transportSum(answered, fields) == 0xFFFF)
        let known = try #require(seen(answered))
        #expect(known.kind == .answer && known.trailer.isAnswer && known.trailer.probe == 77)
        #expect(known.trailer.number == 1 << 40)
        if case .udp = shape.kind { #expect(fields.flow.sourcePort == 4_789 && fields.flow.destinationPort == 60_000) }
    }

    @Test(arguments: shapes()) func whatIsBrokenIsNotAnswered(_ shape: ProbeShape) {
        var came = frame(shape, ProbeTrailer(probe: 1, number: 2, token: Self.token))
        came[came.count - ProbeTrailer.length] ^= 0x55
        #expect(answer(shape, to: came).isEmpty)
    }

    @Test func anErrorThatQuotesItToItsEndIsARefusal() throws {
        for shape in Self.shapes() where shape.size == 84 {
            let packet = frame(shape, ProbeTrailer(probe: 5, number: 6, token: Self.token)).dropFirst(14)
            let isFour = shape.source.family == .ipv4
            let network = isFour ? IPv4View.minimumLength : IPv6View.length
            var error = [UInt8](repeating: 0, count: 14 + network + 8) + packet
            let length = error.count
            error.withUnsafeMutableBytes { buffer in
                var span = MutableRawSpan(_unsafeBytes: buffer)
                EthernetView.write(&span, destination: here, source: there, type: isFour ? 0x0800 : 0x86DD)
                let body = length - 14 - network
                if isFour {
                    IPv4View.write(
                        &span, at: 14, source: shape.destination, destination: shape.source, protocolNumber: 1,
                        totalLength: network + body, timeToLive: 64)
                } else {
                    IPv6View.write(
                        &span, at: 14, source: shape.destination, destination: shape.source, nextHeader: 58,
                        payloadLength: body, hopLimit: 64)
                }
                span.store((isFour ? 3 : 1) as UInt8, at: 14 + network)
                span.store((isFour ? 13 : 1) as UInt8, at: 15 + network)
            }
            let known = try #require(seen(error))
            #expect(
                known.kind == .refusal(type: isFour ? 3 : 1, code: isFour ? 13 : 1, family: shape.source.family))
            #expect(known.trailer.number == 6)
        }
    }

    /// Whatever octets come: reading them does nothing but return.
    @Test func hostileOctetsAreRead() {
        let seed = Seed.drawn()
        var numbers = SeededGenerator(seed: seed)
        let shapes = Self.shapes()
        var known = 0
        for _ in 0..<20_000 {
            var bytes = frame(
                shapes.randomElement(using: &numbers)!, ProbeTrailer(probe: 1, number: 2, token: Self.token))
            for _ in 0..<Int.random(in: 0...4, using: &numbers) {
                bytes[Int.random(in: 0..<bytes.count, using: &numbers)] = .random(in: 0...255, using: &numbers)
            }
            if Bool.random(using: &numbers) { bytes.removeLast(.random(in: 0...bytes.count, using: &numbers)) }
            if seen(bytes) != nil { known += 1 }
            _ = answer(shapes.randomElement(using: &numbers)!, to: bytes)
        }
        #expect(known > 1_000, "seed \(seed)")
    }

    @Test func aHeartbeatPassesOnlyBothWays() {
        var path = HeartbeatPath(isNegative: false)
        let early = path.saw(.answer, leg: 0, out: 1)
        #expect(early == .none, "no answer was sent")
        let turned = path.saw(.request, leg: 0, out: 1)
        #expect(turned == .none && path.oddity == .cameBack)
        let out = path.saw(.request, leg: 1, out: 1)
        #expect(out == .answer)
        path.answered(true)
        let copy = path.saw(.request, leg: 1, out: 1)
        #expect(copy == .none, "a second copy is not answered again")
        let back = path.saw(.answer, leg: 0, out: 1)
        #expect(back == .decided(passed: true))
    }

    @Test func aNegativeHeartbeatFailsWhereItComesOut() {
        var path = HeartbeatPath(isNegative: true)
        let step = path.saw(.request, leg: 1, out: 1)
        #expect(step == .decided(passed: false))
    }

    @Test func oneLegMayBeBoth() {
        var path = HeartbeatPath(isNegative: false)
        let out = path.saw(.request, leg: 0, out: 0)
        path.answered(true)
        let back = path.saw(.answer, leg: 0, out: 0)
        #expect(out == .answer && back == .decided(passed: true))
    }
}
