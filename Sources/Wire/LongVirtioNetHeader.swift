/// The offload header of a device that takes segments in tunnels (virtio 1.4, VIRTIO_NET_F_GUEST_UDP_TUNNEL_GSO;
/// `struct virtio_net_hdr_v1_hash_tunnel` of linux/virtio_net.h):
///
///      0               10              12              20                      22
///     +---------------+---------------+---------------+-----------------------+-----------------------+
///     | virtio_net_hdr| num_buffers   | hash          | outer_th_offset       | inner_nh_offset       |
///     +---------------+---------------+---------------+-----------------------+-----------------------+
///
/// TAPs use neither `num_buffers` nor the hash.
extension VirtioNetHeader {
    /// The long header's length in octets.
    public static let longLength = 24
    /// What it is longer by.
    public static let extraLength = longLength - length
    /// `outer_th_offset`: where the outer UDP header begins.
    static let outerTransport = HeaderField<UInt16>(20)
    /// `inner_nh_offset`: where the inner network header begins.
    static let innerNetwork = HeaderField<UInt16>(22)

    /// Replaces a long header by a short one, whose end is where the long one's was.
    ///
    /// - Parameter start: The long header (not checked). The short one begins `extraLength` octets behind it.
    @inline(__always)
    public static func shorten(_ start: UnsafeMutableRawPointer) {
        let first = start.loadUnaligned(as: UInt64.self)
        let last = start.loadUnaligned(fromByteOffset: 8, as: UInt16.self)
        let network = UnsafeRawPointer(start).raw(innerNetwork)
        let short = start + extraLength
        short.storeBytes(of: first, as: UInt64.self)
        short.storeBytes(of: last, toByteOffset: 8, as: UInt16.self)
        if UInt8(truncatingIfNeeded: first >> 8) & gsoTunnel != 0 { short.storeRaw(network, to: headerLength) }
    }

    /// Writes the long header of a short one.
    ///
    /// - Parameters:
    ///   - short: A short header (not checked), before a frame without IPv4 options and IPv6 extension headers if it is of segments
    ///     in a tunnel.
    ///   - long: Room for `longLength` octets (not checked).
    @inline(__always)
    public static func lengthen(_ short: UnsafeRawPointer, to long: UnsafeMutableRawPointer) {
        let first = short.loadUnaligned(as: UInt64.self)
        long.storeBytes(of: first, as: UInt64.self)
        long.storeBytes(
            of: UInt64(short.loadUnaligned(fromByteOffset: 8, as: UInt16.self)), toByteOffset: 8, as: UInt64.self)
        long.storeBytes(of: 0, toByteOffset: 16, as: UInt64.self)
        let type = UInt8(truncatingIfNeeded: first >> 8)
        guard type & gsoTunnel != 0 else { return }
        let outer = EthernetHeader.length &+ (type & gsoTunnel6 == 0 ? IPv4View.minimumLength : IPv6View.length)
        let inner = short.raw(checksumStart)
        let isUDP = type & ~(gsoTunnel | gsoECN) == gsoUDPL4
        long.storeRaw(inner &+ UInt16(isUDP ? UDPView.length : TCPView.minimumLength), to: headerLength)
        long.storeRaw(UInt16(outer), to: outerTransport)
        long.storeRaw(short.raw(headerLength), to: innerNetwork)
    }

    /// Where in a frame, which is to go into a tunnel, the things are that a device must know of to finish it.
    ///
    /// - Parameter frame: Its first octets, with all headers.
    /// - Returns: Where its network header, the coverage of its checksum and that checksum begin; nil if they are not there, or the
    ///   coverage begins at an odd octet.
    public func placeInside(_ frame: RawSpan) -> (network: Int, start: Int, field: Int)? {
        let (start, field) = (Int(checksumStart), Int(checksumStart) &+ Int(checksumOffset))
        guard flags & Self.needsChecksum != 0, gsoType & Self.gsoTunnel == 0, field &+ 2 <= frame.byteCount,
            start & 1 == 0, frame.byteCount >= EthernetHeader.length
        else { return nil }
        var network = EthernetHeader.length
        var type = frame.load(EthernetHeader.type, at: 0)
        while type == 0x8100 || type == 0x88A8, network &+ 4 <= frame.byteCount {
            type = frame.load(HeaderField<UInt16>(2), at: network)
            network &+= 4
        }
        guard network < start, type == EtherType.ipv4 || type == EtherType.ipv6 else { return nil }
        return (network, start, field)
    }
}
