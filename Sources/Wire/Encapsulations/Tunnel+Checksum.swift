// The UDP checksum of outer headers over IPv6, where it must not be absent. Over IPv4 none is sent (RFC 7348, section 5).

extension Tunnel {
    /// Where the coverage of the outer UDP checksum begins, over IPv6.
    public static let checksumStart = UInt16(EthernetHeader.length + IPv6View.length)

    /// Fills in the UDP checksum of a whole frame that `write` has begun, if it needs one: over IPv6.
    @_lifetime(frame: copy frame)
    public static func complete(_ frame: inout MutableRawSpan) {
        guard begin(&frame) else { return }
        InternetChecksum.complete(
            &frame, start: Int(checksumStart), offset: UDPHeader.checksum.offset, end: frame.byteCount)
    }

    /// Gives the outer headers that `write` has begun the sum of the pseudo-header, if they need a checksum: the device does the rest.
    ///
    /// - Parameter frame: At least the outer headers.
    /// - Returns: False if they need none.
    @discardableResult
    @_lifetime(frame: copy frame)
    public static func begin(_ frame: inout MutableRawSpan) -> Bool {
        let start = Int(checksumStart)
        guard frame.byteCount >= start + UDPView.length,
            frame.bytes.load(EthernetHeader.type, at: 0) == EtherType.ipv6
        else { return false }
        let partial: UInt16
        do {
            guard let packet = IPv6View(frame.bytes, at: EthernetHeader.length) else { return false }
            partial = InternetChecksum.fold(
                InternetChecksum.pseudoHeader(
                    source: packet.sourceAddress, destination: packet.destinationAddress,
                    protocolNumber: IPProtocol.udp, length: packet.payloadLength))
        }
        frame.store(partial, to: UDPHeader.checksum, at: start)
        return true
    }

    /// Completes the checksum that `begin` has begun, before an inner frame whose own checksum is partial. Only headers are read:
    /// what the inner checksum covers will add up to the complement of its pseudo-header's sum.
    ///
    /// - Parameters:
    ///   - headers: The outer headers.
    ///   - inner: The first octets of the inner frame, at least those up to the checksum field.
    ///   - start: Where in `inner` its coverage begins.
    ///   - field: Where in `inner` it is.
    @_lifetime(headers: copy headers)
    public static func complete(_ headers: inout MutableRawSpan, before inner: RawSpan, start: Int, field: Int) {
        let datagram = Int(checksumStart)
        // Both parts have an even number of octets before them.
        let outer = InternetChecksum.sum(headers.bytes, datagram..<headers.byteCount)
        let partial = ~inner.load(HeaderField<UInt16>(field), at: 0)
        let sum = ~InternetChecksum.sum(inner, 0..<start, adding: UInt64(outer) &+ UInt64(partial))
        headers.store(sum == 0 ? 0xFFFF : sum, to: UDPHeader.checksum, at: datagram)
    }
}
