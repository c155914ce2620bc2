extension Segmentation.Shape {
    /// The outer headers of a superframe in a tunnel over UDP, which each segment repeats with lengths and checksums of its own.
    struct Outer {
        let family: AddressFamily
        /// Where the UDP header begins.
        let transport: Int
        /// The superframe's IPv4 identification; 0 for IPv6.
        let identification: UInt16
        /// True if the UDP header has the sum of the pseudo-header, false if it has no checksum.
        let hasChecksum: Bool
        /// The length in the pseudo-header that this sum covers.
        let coveredLength: UInt16

        /// - Returns: Nil if the headers do not agree with `offload`.
        init?(_ frame: RawSpan, _ offload: VirtioNetHeader) {
            guard let ethernet = EthernetView(frame) else { return nil }
            switch (offload.gsoType & VirtioNetHeader.gsoTunnel, ethernet.type) {
            case (VirtioNetHeader.gsoTunnel4, EtherType.ipv4):
                guard let packet = IPv4View(frame, at: EthernetView.length), packet.version == 4,
                    packet.protocol == IPProtocol.udp, packet.headerLength >= IPv4View.minimumLength
                else { return nil }
                family = .ipv4
                transport = EthernetView.length + packet.headerLength
                identification = packet.identification
            case (VirtioNetHeader.gsoTunnel6, EtherType.ipv6):
                guard let packet = IPv6View(frame, at: EthernetView.length), packet.version == 6,
                    packet.nextHeader == IPProtocol.udp
                else { return nil }
                family = .ipv6
                transport = EthernetView.length + IPv6View.length
                identification = 0
            default: return nil
            }
            guard let header = UDPView(frame, at: transport) else { return nil }
            hasChecksum = offload.flags & VirtioNetHeader.tunnelChecksum != 0
            coveredLength = UInt16(truncatingIfNeeded: header.length)
        }

        /// Writes the lengths and checksums of a segment whose inner headers and payload are complete.
        func write(_ segment: inout MutableRawSpan, _ index: Int) {
            let length = segment.byteCount - EthernetView.length
            switch family {
            case .ipv4:
                let packet = EthernetView.length
                segment.store(UInt16(truncatingIfNeeded: length), to: IPv4Header.totalLength, at: packet)
                segment.store(
                    identification &+ UInt16(truncatingIfNeeded: index), to: IPv4Header.identification, at: packet)
                segment.store(0, to: IPv4Header.headerChecksum, at: packet)
                let sum = InternetChecksum.sum(segment.bytes, packet..<transport)
                segment.store(~sum, to: IPv4Header.headerChecksum, at: packet)
            case .ipv6:
                segment.store(
                    UInt16(truncatingIfNeeded: length - IPv6View.length), to: IPv6Header.payloadLength,
                    at: EthernetView.length)
            }
            let datagram = UInt16(truncatingIfNeeded: segment.byteCount - transport)
            segment.store(datagram, to: UDPHeader.datagramLength, at: transport)
            guard hasChecksum else { return }
            var change = ChecksumChange()
            change.add(from: coveredLength, to: datagram)
            let partial = change.applied(to: segment.uint16(at: transport + UDPHeader.checksum.offset), .partial)
            segment.store(partial, to: UDPHeader.checksum, at: transport)
            let sum = ~InternetChecksum.sum(segment.bytes, transport..<segment.byteCount)
            segment.store(sum == 0 ? 0xFFFF : sum, to: UDPHeader.checksum, at: transport)
        }
    }
}
