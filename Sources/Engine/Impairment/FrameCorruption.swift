import Wire

/// A flipped bit, as a bad cable or a bad memory makes it behind the check sequence of the link: the receiver's checksum finds
/// it, unless its protocol has none.
enum FrameCorruption {
    /// Flips one bit behind the network header, or behind the Ethernet header of a frame that is no IP packet. The transport's
    /// checksum is completed before, as it would be on a wire.
    ///
    /// - Parameters:
    ///   - number: Decides which bit.
    ///   - frame: The `virtio_net_hdr` and the frame, of `length` octets together, and no superframe.
    static func flip(_ number: UInt64, in frame: UnsafeMutableRawPointer, _ length: Int) {
        guard length > VirtioNetHeader.length &+ EthernetView.length else { return }
        let octets = UnsafeMutableRawBufferPointer(
            start: frame + VirtioNetHeader.length, count: length &- VirtioNetHeader.length)
        let ends = extent(UnsafeRawBufferPointer(octets).bytes)
        guard let offload = VirtioNetHeader(UnsafeRawBufferPointer(start: frame, count: length).bytes) else { return }
        if offload.flags & VirtioNetHeader.needsChecksum != 0 {
            var bytes = MutableRawSpan(_unsafeBytes: octets)
            InternetChecksum.complete(
                &bytes, start: Int(offload.checksumStart), offset: Int(offload.checksumOffset), end: ends.end)
        }
        // Neither asks for a checksum nor says that it has been validated.
        frame.initializeMemory(as: UInt8.self, repeating: 0, count: VirtioNetHeader.length)
        let bits = UInt64(truncatingIfNeeded: ends.end &- ends.start) &* 8
        let bit = Int(truncatingIfNeeded: number.multipliedFullWidth(by: bits).high)
        octets[ends.start &+ bit / 8] ^= 1 &<< UInt8(truncatingIfNeeded: bit & 7)
    }

    /// Where bits are flipped: from the transport header to the end of the packet, without Ethernet's padding.
    private static func extent(_ frame: RawSpan) -> (start: Int, end: Int) {
        var (start, end) = (EthernetView.length, frame.byteCount)
        if let ethernet = EthernetView(frame) {
            if ethernet.type == EtherType.ipv4, let header = IPv4View(frame, at: start),
                header.headerLength >= IPv4View.minimumLength, header.totalLength > header.headerLength,
                start &+ header.totalLength <= end
            {
                (start, end) = (start &+ header.headerLength, start &+ header.totalLength)
            } else if ethernet.type == EtherType.ipv6, let header = IPv6View(frame, at: start),
                header.payloadLength > 0, start &+ IPv6View.length &+ header.payloadLength <= end
            {
                (start, end) = (
                    start &+ IPv6View.length, start &+ IPv6View.length &+ header.payloadLength
                )
            }
        }
        return (start, end)
    }
}
