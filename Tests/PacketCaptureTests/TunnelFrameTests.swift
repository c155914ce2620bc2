import PacketCapture
import Testing
import Wire

/// What a capture of a device shows of superframes in tunnels, which leave three checksums and their cutting to the device.
@Suite struct TunnelFrameTests {
    private static let payload = (0..<3_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }

    /// A TCP segment of 3,000 octets in VXLAN over IPv6, to be cut into segments of 1,300, behind its offload header.
    private static func superframe() throws -> [UInt8] {
        let (source, destination) = (IPAddress("192.0.2.10")!, IPAddress("203.0.113.80")!)
        var inner = [UInt8](repeating: 2, count: 12) + [8, 0] + [UInt8](repeating: 0, count: 20)
        inner += [0x0F, 0xA0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0] + payload
        let segment = 20 + payload.count
        inner.withUnsafeMutableBytes { raw in
            var bytes = raw.mutableBytes
            IPv4View.write(
                &bytes, at: 14, source: source, destination: destination, protocolNumber: IPProtocol.tcp,
                totalLength: 20 + segment, timeToLive: 64)
            let sum = InternetChecksum.fold(
                InternetChecksum.pseudoHeader(
                    source: source, destination: destination, protocolNumber: IPProtocol.tcp, length: segment))
            bytes.store(sum, to: TCPHeader.checksum, at: 34)
        }
        let tunnel = Tunnel(
            TunnelEncapsulation(kind: .vxlan, identifier: 7, port: 4789), from: IPAddress("2001:db8:64::1")!,
            to: IPAddress("2001:db8:100::7")!, engine: MACAddress("02:00:00:00:64:01")!,
            nextHop: MACAddress("02:00:00:00:64:02")!)
        var room = [UInt8](repeating: 0, count: Tunnel.mostOctets)
        let count = room.withUnsafeMutableBytes { raw in
            var target = raw.mutableBytes
            let count = tunnel.write(&target, before: inner.span.bytes, length: inner.count)
            Tunnel.begin(&target)
            return count
        }
        let outer = try #require(count)
        // NEEDS_CSUM and the outer checksum, TCPv4 over IPv6, the inner network header, 1,300 octets, the inner checksum.
        let header: [UInt8] = [9, 0x41, UInt8(outer + 14), 0, 0x14, 5, UInt8(outer + 34), 0, 16, 0]
        return header + room[..<outer] + inner
    }

    private static func isRight(_ frame: [UInt8], payload: Int) -> Bool {
        guard let outer = OuterTransport(frame.span.bytes), outer.fault == nil,
            outer.hasRightChecksum(frame.span.bytes), frame.count == outer.payload.upperBound
        else { return false }
        let transport = frame.count - payload - 20
        let sum = InternetChecksum.sum(
            frame.span.bytes, transport..<frame.count,
            adding: InternetChecksum.pseudoHeader(
                source: IPAddress("192.0.2.10")!, destination: IPAddress("203.0.113.80")!,
                protocolNumber: IPProtocol.tcp, length: 20 + payload))
        return sum == 0xFFFF
    }

    @Test func itIsCutOrCompleted() throws {
        let record = try Self.superframe()
        let frame = try #require(OffloadedFrame(record, length: record.count))
        let lengths = [1_300, 1_300, 400]
        #expect(frame.segments.count == 3)
        for (segment, length) in zip(frame.segments, lengths) {
            #expect(Self.isRight(segment, payload: length))
            #expect(
                segment.suffix(length).elementsEqual(
                    Self.payload[(segment == frame.segments[0] ? 0 : length == 400 ? 2_600 : 1_300)...].prefix(length)))
        }
        #expect(Self.isRight(frame.completed, payload: 3_000))
    }

    /// A part of it is shown as it is.
    @Test func aPartOfItIsLeftAlone() throws {
        let record = try Self.superframe()
        let frame = try #require(OffloadedFrame(Array(record[..<200]), length: record.count))
        #expect(frame.segments == [Array(record[10..<200])])
    }
}
