/// What segmentation (GSO) makes of a superframe: the frames that a receiver without offload gets.
///
/// Each frame has the headers of the superframe and at most `gso_size` octets of its payload. Its lengths are its own, its
/// IPv4 identification counts up, and its checksums are complete. TCP's sequence number goes on; FIN and PSH are in the last
/// segment alone, and CWR in the first alone (RFC 3168, section 6.1.2). These are the rules of the kernel's
/// tcp_gso_segment, __udp_gso_segment and inet_gso_segment. In a tunnel, each segment also has the outer headers, as
/// __skb_udp_tunnel_segment writes them.
public enum Segmentation {
    /// The frames of a superframe of TCP (`gsoTCPv4`, `gsoTCPv6`) or UDP (`gsoUDPL4`) behind an Ethernet header with or without
    /// tags, or in a tunnel (`gsoTunnel4`, `gsoTunnel6`).
    ///
    /// - Parameters:
    ///   - superframe: All of it, from the Ethernet header on.
    ///   - offload: Its `virtio_net_hdr`.
    /// - Returns: Nil if it is no such superframe, or its headers do not agree with `offload`.
    public static func frames(of superframe: [UInt8], _ offload: VirtioNetHeader) -> [[UInt8]]? {
        superframe.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress, let shape = Shape(buffer.bytes, offload) else { return nil }
            return (0..<shape.count).map { index in
                [UInt8](unsafeUninitializedCapacity: shape.length(of: index)) { target, count in
                    guard let place = target.baseAddress else { return }
                    count = shape.write(index, of: base, to: UnsafeMutableRawPointer(place))
                }
            }
        }
    }

    /// Where the headers and the payload of a superframe stand. It allocates nothing, so that the forwarding loop can cut with
    /// it.
    public struct Shape {
        let isTCP: Bool
        let family: AddressFamily
        /// The outer headers, if it is in a tunnel.
        let outer: Outer?
        /// Where the network header begins; in a tunnel the inner one.
        let network: Int
        /// Where the TCP or UDP header begins.
        let transport: Int
        /// The octets of all headers.
        let headers: Int
        /// The offset after the payload.
        let end: Int
        /// The payload octets of a segment.
        let size: Int
        /// The length in the pseudo-header that the partial checksum covers.
        let coveredLength: UInt16
        /// The superframe's IPv4 identification; 0 for IPv6.
        let identification: UInt16
        /// TCP's sequence number; 0 for UDP.
        let sequenceNumber: UInt32
        /// TCP's control bits; 0 for UDP.
        let controlBits: UInt8

        /// How many segments.
        public var count: Int { (end &- headers &+ size &- 1) / size }

        /// - Parameters:
        ///   - frame: All of the superframe, from the Ethernet header on.
        ///   - offload: Its `virtio_net_hdr`.
        /// - Returns: Nil if it is no superframe of TCP or UDP, or its headers do not agree with `offload`.
        public init?(_ frame: RawSpan, _ offload: VirtioNetHeader) {
            let type = offload.gsoType & ~(VirtioNetHeader.gsoECN | VirtioNetHeader.gsoTunnel)
            guard
                type == VirtioNetHeader.gsoTCPv4 || type == VirtioNetHeader.gsoTCPv6
                    || type == VirtioNetHeader.gsoUDPL4,
                offload.flags & VirtioNetHeader.needsChecksum != 0, offload.gsoSize > 0,
                let ethernet = EthernetView(frame)
            else { return nil }
            isTCP = type != VirtioNetHeader.gsoUDPL4
            transport = Int(offload.checksumStart)
            size = Int(offload.gsoSize)
            var etherType = ethernet.type
            var network = EthernetView.length
            if offload.gsoType & VirtioNetHeader.gsoTunnel != 0 {
                guard let found = Outer(frame, offload) else { return nil }
                outer = found
                network = Int(offload.headerLength)
                guard network >= found.transport + UDPView.length, network < frame.byteCount else { return nil }
                let version = frame.load(HeaderField<UInt8>(0), at: network) >> 4
                etherType = version == 4 ? EtherType.ipv4 : version == 6 ? EtherType.ipv6 : 0
            } else {
                outer = nil
                while etherType == 0x8100 || etherType == 0x88A8, network + 4 <= frame.byteCount {
                    etherType = frame.load(HeaderField<UInt16>(2), at: network)
                    network += 4
                }
            }
            self.network = network
            if etherType == EtherType.ipv4, let header = IPv4View(frame, at: network) {
                family = .ipv4
                end = network + header.totalLength
                identification = header.identification
                guard header.headerLength >= IPv4View.minimumLength, network + header.headerLength == transport else {
                    return nil
                }
            } else if etherType == EtherType.ipv6, let header = IPv6View(frame, at: network) {
                family = .ipv6
                end = network + IPv6View.length + header.payloadLength
                identification = 0
                guard network + IPv6View.length <= transport else { return nil }
            } else {
                return nil
            }
            if isTCP, let header = TCPView(frame, at: transport), header.headerLength >= TCPView.minimumLength {
                headers = transport + header.headerLength
                coveredLength = UInt16(truncatingIfNeeded: end - transport)
                (sequenceNumber, controlBits) = (header.sequenceNumber, header.controlBits)
            } else if !isTCP, let header = UDPView(frame, at: transport) {
                headers = transport + UDPView.length
                coveredLength = UInt16(truncatingIfNeeded: header.length)
                (sequenceNumber, controlBits) = (0, 0)
            } else {
                return nil
            }
            guard end <= frame.byteCount, headers < end else { return nil }
        }

        /// The octets of a segment, from the Ethernet header on.
        public func length(of index: Int) -> Int { headers &+ payload(of: index).count }

        /// Writes one segment.
        ///
        /// - Parameters:
        ///   - index: Below `count`.
        ///   - superframe: The frame that this is the shape of.
        ///   - target: Room for `length(of:)` octets (not checked).
        /// - Returns: How many octets it has.
        @discardableResult
        public func write(
            _ index: Int, of superframe: UnsafeRawPointer, to target: UnsafeMutableRawPointer
        ) -> Int {
            let payload = payload(of: index)
            target.copyMemory(from: superframe, byteCount: headers)
            (target + headers).copyMemory(from: superframe + payload.lowerBound, byteCount: payload.count)
            let segment = UnsafeMutableRawBufferPointer(start: target, count: headers &+ payload.count)
            var bytes = MutableRawSpan(_unsafeBytes: segment)
            writeNetwork(&bytes, index)
            writeTransport(&bytes, index)
            outer?.write(&bytes, index)
            return segment.count
        }

        /// The octets of a segment's payload in the superframe.
        private func payload(of index: Int) -> Range<Int> {
            headers &+ index &* size..<min(end, headers &+ (index &+ 1) &* size)
        }

        private func writeNetwork(_ segment: inout MutableRawSpan, _ index: Int) {
            let length = segment.byteCount - network
            guard family == .ipv4 else {
                segment.store(
                    UInt16(truncatingIfNeeded: length - IPv6View.length), to: IPv6Header.payloadLength, at: network)
                return
            }
            segment.store(UInt16(truncatingIfNeeded: length), to: IPv4Header.totalLength, at: network)
            segment.store(
                identification &+ UInt16(truncatingIfNeeded: index), to: IPv4Header.identification, at: network)
            segment.store(0, to: IPv4Header.headerChecksum, at: network)
            let sum = InternetChecksum.sum(segment.bytes, network..<transport)
            segment.store(~sum, to: IPv4Header.headerChecksum, at: network)
        }

        private func writeTransport(_ segment: inout MutableRawSpan, _ index: Int) {
            let length = UInt16(truncatingIfNeeded: segment.byteCount - transport)
            let checksum: HeaderField<UInt16> = isTCP ? TCPHeader.checksum : UDPHeader.checksum
            if isTCP {
                writeTCP(&segment, index)
            } else {
                segment.store(length, to: UDPHeader.datagramLength, at: transport)
            }
            // The field holds the sum of the superframe's pseudo-header: its length becomes the segment's.
            var change = ChecksumChange()
            change.add(from: coveredLength, to: length)
            let partial = change.applied(to: segment.uint16(at: transport + checksum.offset), .partial)
            segment.store(partial, to: checksum, at: transport)
            let sum = ~InternetChecksum.sum(segment.bytes, transport..<segment.byteCount)
            segment.store(sum == 0 && !isTCP ? 0xFFFF : sum, to: checksum, at: transport)
        }

        private func writeTCP(_ segment: inout MutableRawSpan, _ index: Int) {
            let sequence = sequenceNumber &+ UInt32(truncatingIfNeeded: index * size)
            var bits = controlBits
            if index > 0 { bits &= ~0x80 }
            if index < count - 1 { bits &= ~(TCPView.fin | TCPView.psh) }
            segment.store(sequence, to: TCPHeader.sequenceNumber, at: transport)
            segment.store(bits, to: TCPHeader.controlBits, at: transport)
        }
    }
}
