extension HeaderView where Header == ICMPHeader {
    /// Computes the checksum of the message at `offset` anew; ICMPv6 covers a pseudo-header too (RFC 4443, section 2.3).
    ///
    /// - Parameter length: The message's octets, which must lie in `frame` (checked).
    public static func writeChecksum(
        _ frame: inout MutableRawSpan, at offset: Int, length: Int, source: IPAddress, destination: IPAddress,
        family: AddressFamily
    ) {
        let pseudo =
            family == .ipv4
            ? 0
            : InternetChecksum.pseudoHeader(
                source: source, destination: destination, protocolNumber: IPProtocol.icmpv6, length: length)
        frame.store(0, to: Header.checksum, at: offset)
        let sum = InternetChecksum.sum(frame.bytes, offset..<offset + length, adding: pseudo)
        frame.store(~sum, to: Header.checksum, at: offset)
    }
}

extension PacketFields {
    /// True if the full checksum of the whole ICMP or ICMPv6 message is right. For a message that `parse` found.
    public func controlChecksumIsValid(_ frame: RawSpan) -> Bool {
        guard message != .none, fragment == .whole, end <= frame.byteCount else { return false }
        let pseudo =
            family == .ipv4
            ? 0
            : InternetChecksum.pseudoHeader(
                source: flow.source, destination: flow.destination, protocolNumber: IPProtocol.icmpv6,
                length: end - transportOffset)
        return InternetChecksum.sum(frame, transportOffset..<end, adding: pseudo) == 0xFFFF
    }
}
