import Wire

/// A frame of a TAP behind its `virtio_net_hdr`, and what a capture shows of it.
///
/// The header asks the receiver for work that a network card would do, and readers of captures know nothing of it. So the
/// work is done in the copy that is written:
///
/// - A partial checksum (`VIRTIO_NET_HDR_F_NEEDS_CSUM`) is completed where the whole frame is there. Otherwise Wireshark would
///   call the checksum of nearly every packet wrong. Where a part of the frame is missing, the sum cannot be known, and the
///   field stays as it is.
///   The outer checksum of a superframe in a tunnel is completed after the inner one.
/// - A superframe (GSO) is written as the receiver gets it: one large packet, whose checksum is completed, too. Or it is cut
///   into the frames that a wire would carry (`Segmentation`), where all of it is there.
public struct OffloadedFrame: Sendable {
    /// What is to be done for the frame.
    public let offload: VirtioNetHeader
    /// The frame from the Ethernet header on, or as many of its first octets as there are.
    public let octets: ArraySlice<UInt8>
    /// The octets that the frame had.
    public let length: Int

    /// Nil where not even the `virtio_net_hdr` is there.
    ///
    /// - Parameters:
    ///   - record: The `virtio_net_hdr` and the frame, or as many of the first octets as there are.
    ///   - length: The octets that both had.
    public init?(_ record: [UInt8], length: Int) {
        guard let offload = record.withUnsafeBytes({ VirtioNetHeader($0.bytes) }) else { return nil }
        self.offload = offload
        octets = record.dropFirst(VirtioNetHeader.length)
        self.length = max(length - VirtioNetHeader.length, octets.count)
    }

    /// True if all of the frame is there.
    public var isWhole: Bool { octets.count == length }

    /// The octets to be written, with a complete checksum where that is possible.
    public var completed: [UInt8] {
        var octets = Array(octets)
        octets.withUnsafeMutableBytes { complete($0) }
        return octets
    }

    /// Completes the checksum in a copy of its octets, where that is possible.
    func complete(_ copy: UnsafeMutableRawBufferPointer) {
        guard offload.flags & VirtioNetHeader.needsChecksum != 0, isWhole else { return }
        var frame = MutableRawSpan(_unsafeBytes: copy)
        InternetChecksum.complete(
            &frame, start: Int(offload.checksumStart), offset: Int(offload.checksumOffset), end: copy.count)
        guard offload.gsoType & VirtioNetHeader.gsoTunnel != 0,
            offload.flags & VirtioNetHeader.tunnelChecksum != 0, let outer = OuterTransport(frame.bytes)
        else { return }
        InternetChecksum.complete(
            &frame, start: outer.datagram, offset: UDPHeader.checksum.offset, end: outer.payload.upperBound)
    }

    /// The frames that a wire would carry: several of a superframe; one where it is none, or a part of it is missing.
    public var segments: [[UInt8]] {
        if offload.isSegmented, isWhole, let segments = Segmentation.frames(of: Array(octets), offload) {
            return segments
        }
        return [completed]
    }
}
