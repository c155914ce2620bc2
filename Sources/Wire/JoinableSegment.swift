/// A frame that may become one segment of a superframe: everything about it that does not depend on the others.
///
/// What a kernel's own segmentation makes of a superframe is what it makes anew for every segment: lengths, IPv4
/// identification and header checksum, TCP sequence number, FIN and PSH, the transport checksum. Only where it would make
/// exactly what the frame has, may the frame be a segment. So padding, checksums that are wrong or left out, and whatever
/// is not sent in every segment alike (SYN, RST, URG, CWR) are kept apart.
struct JoinableSegment {
    /// The octets of all headers, from the Ethernet header on.
    let headers: Int
    /// The octets behind them; at least one.
    let payload: Int
    /// The IPv4 identification; 0 for IPv6.
    let identification: UInt16
    /// The TCP sequence number; 0 for UDP.
    let sequence: UInt32
    /// True where nothing may follow it: TCP's PSH and FIN stand in the last segment alone.
    let isLast: Bool

    /// TCP flags that a segment among others may have.
    private static let allowed = TCPView.ack | TCPView.psh | TCPView.fin | TCPView.ece

    /// Nil where the frame must stay by itself. Checksums are not looked at.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    ///   - kind: What `FrameKind` found it to be; not `other`.
    @inline(__always)
    init?(_ start: UnsafeRawPointer, _ length: Int, _ kind: FrameKind) {
        guard start.octet(1) == VirtioNetHeader.gsoNone else { return nil }
        let frame = start + VirtioNetHeader.length
        let available = length &- VirtioNetHeader.length
        let transport = kind.transportOffset
        if kind.family == .ipv4 {
            guard Int(frame.big16(16)) &+ EthernetView.length == available else { return nil }
            identification = frame.big16(18)
        } else {
            guard Int(frame.big16(18)) &+ EthernetView.length &+ IPv6View.length == available else { return nil }
            identification = 0
        }
        if kind.isTCP {
            let flags = frame.octet(transport &+ 13)
            headers = transport &+ Int(frame.octet(transport &+ 12) >> 4) << 2
            guard flags & ~Self.allowed == 0, headers >= transport &+ TCPView.minimumLength else { return nil }
            sequence = frame.big32(transport &+ 4)
            isLast = flags & (TCPView.psh | TCPView.fin) != 0
        } else {
            headers = transport &+ UDPView.length
            guard Int(frame.big16(transport &+ 4)) &+ transport == available else { return nil }
            sequence = 0
            isLast = false
        }
        payload = available &- headers
        guard payload > 0 else { return nil }
    }

    /// True where the IPv4 header's checksum is right, and the transport's is right or, where the `virtio_net_hdr` says
    /// so, will be. A superframe's are made anew, and one that was wrong must not be mended.
    @inline(__always)
    static func checksumsHold(_ start: UnsafeRawPointer, _ length: Int, _ kind: FrameKind) -> Bool {
        let frame = start + VirtioNetHeader.length
        let available = length &- VirtioNetHeader.length
        let transport = kind.transportOffset
        // Of a checksum's two zeros segmentation writes one: the other one is kept apart, here and below.
        if kind.family == .ipv4, PlainSums.ipv4Header(frame) != 0xFFFF || frame.big16(24) == 0xFFFF { return false }
        let field = frame.big16(transport &+ kind.checksumOffset)
        let flags = start.octet(0)
        let pseudo = PlainSums.pseudoHeader(frame, kind, available &- transport)
        if flags & VirtioNetHeader.needsChecksum != 0 {
            return Int(start.raw(6, UInt16.self)) == transport
                && Int(start.raw(8, UInt16.self)) == kind.checksumOffset
                && Int(start.raw(2, UInt16.self)) <= available && field == InternetChecksum.fold(pseudo)
        }
        guard Int(start.raw(2, UInt16.self)) <= available else { return false }
        // UDP's zero is no checksum.
        guard field != (kind.isTCP ? 0xFFFF : 0) else { return false }
        if flags & VirtioNetHeader.dataValid != 0 { return true }
        let octets = UnsafeRawBufferPointer(start: frame, count: available)
        return InternetChecksum.sum(octets.bytes, transport..<available, adding: pseudo) == 0xFFFF
    }

    /// True where two frames of one flow differ in nothing but what segmentation makes anew.
    @inline(__always)
    static func agree(_ first: UnsafeRawPointer, _ second: UnsafeRawPointer, _ kind: FrameKind, headers: Int) -> Bool {
        let transport = kind.transportOffset
        if kind.family == .ipv4 {
            // Type of service; flags; time to live.
            guard first.raw(14, UInt16.self) == second.raw(14), first.raw(20, UInt16.self) == second.raw(20),
                first.octet(22) == second.octet(22)
            else { return false }
        } else {
            // Traffic class and flow label; hop limit.
            guard first.raw(14, UInt32.self) == second.raw(14), first.octet(21) == second.octet(21) else {
                return false
            }
        }
        guard kind.isTCP else { return true }
        let ends = UInt32(TCPView.psh | TCPView.fin) << 16
        // Acknowledgment number; header length, flags and window; urgent pointer.
        guard first.raw(transport &+ 8, UInt32.self) == second.raw(transport &+ 8),
            (first.big32(transport &+ 12) ^ second.big32(transport &+ 12)) & ~ends == 0,
            first.raw(transport &+ 18, UInt16.self) == second.raw(transport &+ 18)
        else { return false }
        var option = transport &+ TCPView.minimumLength
        while option < headers {
            guard first.raw(option, UInt32.self) == second.raw(option) else { return false }
            option &+= 4
        }
        return true
    }

    /// True where two frames of one kind are of one flow: Ethernet addresses, network addresses and ports.
    @inline(__always)
    static func areOfOneFlow(_ first: UnsafeRawPointer, _ second: UnsafeRawPointer, _ kind: FrameKind) -> Bool {
        guard first.raw(0, UInt64.self) == second.raw(0), first.raw(8, UInt32.self) == second.raw(8) else {
            return false
        }
        if kind.family == .ipv4 {
            return first.raw(26, UInt64.self) == second.raw(26) && first.raw(34, UInt32.self) == second.raw(34)
        }
        return first.raw(22, UInt64.self) == second.raw(22) && first.raw(30, UInt64.self) == second.raw(30)
            && first.raw(38, UInt64.self) == second.raw(38) && first.raw(46, UInt64.self) == second.raw(46)
            && first.raw(54, UInt32.self) == second.raw(54)
    }
}
