/// A frame that may become one segment of a superframe: everything about it that does not depend on the others.
///
/// When the kernel segments a superframe, it computes these fields anew for every segment:
///
/// - the lengths,
/// - the IPv4 identification and header checksum,
/// - the TCP sequence number, FIN and PSH,
/// - the transport checksum.
///
/// A frame may be a segment only if the kernel would compute exactly the frame's own values. So these frames are kept
/// apart:
///
/// - frames with padding,
/// - frames with a wrong checksum, or without one,
/// - frames with flags that are not sent in every segment alike (SYN, RST, URG, CWR).
struct CoalescableSegment {
    /// The octets of all headers, from the Ethernet header on.
    let headers: Int
    /// The octets behind them; at least one.
    let payload: Int
    /// The IPv4 identification; 0 for IPv6.
    let identification: UInt16
    /// The TCP sequence number; 0 for UDP.
    let sequence: UInt32
    /// True if nothing may follow it: TCP's PSH and FIN stand in the last segment alone.
    let isLast: Bool

    /// TCP flags that a segment among others may have.
    private static let allowed = TCPView.ack | TCPView.psh | TCPView.fin | TCPView.ece

    /// Nil where the frame must stay by itself. Checksums are not looked at.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    ///   - kind: The frame's kind, from `FrameKind`; not `other`.
    ///   - networkOffset: Where the network header begins, from the Ethernet header on.
    @inline(__always)
    init?(_ start: UnsafeRawPointer, _ length: Int, _ kind: FrameKind, at networkOffset: Int) {
        guard start.raw(VirtioNetHeader.gsoType) == VirtioNetHeader.gsoNone else { return nil }
        let network = start + (VirtioNetHeader.length &+ networkOffset)
        let available = length &- VirtioNetHeader.length &- networkOffset
        if kind.family == .ipv4 {
            guard Int(network.big(IPv4Header.totalLength)) == available else { return nil }
            identification = network.big(IPv4Header.identification)
        } else {
            guard Int(network.big(IPv6Header.payloadLength)) &+ IPv6View.length == available else { return nil }
            identification = 0
        }
        let transport = network + kind.networkLength
        let transportLength: Int
        if kind.isTCP {
            let bits = transport.big(TCPHeader.controlBits)
            transportLength = TCPHeader.length(transport.big(TCPHeader.dataOffset))
            guard bits & ~Self.allowed == 0, transportLength >= TCPView.minimumLength else { return nil }
            sequence = transport.big(TCPHeader.sequenceNumber)
            isLast = bits & (TCPView.psh | TCPView.fin) != 0
        } else {
            transportLength = UDPView.length
            guard Int(transport.big(UDPHeader.datagramLength)) &+ kind.networkLength == available else { return nil }
            sequence = 0
            isLast = false
        }
        headers = networkOffset &+ kind.networkLength &+ transportLength
        payload = available &- kind.networkLength &- transportLength
        guard payload > 0 else { return nil }
    }

    /// True if the IPv4 header's checksum is right, and the transport's is right too. A partial transport checksum
    /// counts as right (`virtio_net_hdr`). The kernel computes a superframe's checksums anew, and a wrong one must not
    /// be corrected.
    ///
    /// - Parameters: As for the initializer.
    @inline(__always)
    static func checksumsHold(
        _ start: UnsafeRawPointer, _ length: Int, _ kind: FrameKind, at networkOffset: Int
    ) -> Bool {
        let network = start + (VirtioNetHeader.length &+ networkOffset)
        let available = length &- VirtioNetHeader.length &- networkOffset
        // A checksum has two zeros, and segmentation writes one of them. A frame with the other one is kept apart, here
        // and below.
        if kind.family == .ipv4,
            FastPathSums.ipv4Header(network) != 0xFFFF || network.big(IPv4Header.headerChecksum) == 0xFFFF
        {
            return false
        }
        let field = (network + kind.networkLength).big(HeaderField<UInt16>(kind.checksumOffset))
        let flags = start.raw(VirtioNetHeader.flags)
        let pseudo = FastPathSums.pseudoHeader(network, kind, available &- kind.networkLength)
        guard Int(start.raw(VirtioNetHeader.headerLength)) <= networkOffset &+ available else { return false }
        if flags & VirtioNetHeader.needsChecksum != 0 {
            return Int(start.raw(VirtioNetHeader.checksumStart)) == networkOffset &+ kind.networkLength
                && Int(start.raw(VirtioNetHeader.checksumOffset)) == kind.checksumOffset
                && field == InternetChecksum.fold(pseudo)
        }
        // UDP's zero is no checksum.
        guard field != (kind.isTCP ? 0xFFFF : 0) else { return false }
        if flags & VirtioNetHeader.dataValid != 0 { return true }
        let octets = UnsafeRawBufferPointer(start: network, count: available)
        return InternetChecksum.sum(octets.bytes, kind.networkLength..<available, adding: pseudo) == 0xFFFF
    }

    /// True if two packets of one flow differ in nothing but what segmentation makes anew.
    ///
    /// - Parameters:
    ///   - first: The network header of one.
    ///   - second: The network header of the other.
    ///   - headers: The octets of all headers of the second, from its network header on.
    @inline(__always)
    static func agree(_ first: UnsafeRawPointer, _ second: UnsafeRawPointer, _ kind: FrameKind, headers: Int) -> Bool {
        if kind.family == .ipv4 {
            // Version, header length and type of service in one.
            guard
                first.raw(IPv4Header.versionAndIHL.offset, UInt16.self) == second.raw(IPv4Header.versionAndIHL.offset),
                first.raw(IPv4Header.flagsAndFragmentOffset) == second.raw(IPv4Header.flagsAndFragmentOffset),
                first.raw(IPv4Header.timeToLive) == second.raw(IPv4Header.timeToLive)
            else { return false }
        } else {
            let word = IPv6Header.versionTrafficClassAndFlowLabel
            guard first.raw(word) == second.raw(word), first.raw(IPv6Header.hopLimit) == second.raw(IPv6Header.hopLimit)
            else { return false }
        }
        guard kind.isTCP else { return true }
        let (first, second) = (first + kind.networkLength, second + kind.networkLength)
        let ends = UInt32(TCPView.psh | TCPView.fin) << 16
        let word = TCPHeader.dataOffsetControlBitsAndWindow
        guard first.raw(TCPHeader.acknowledgmentNumber) == second.raw(TCPHeader.acknowledgmentNumber),
            (first.big(word) ^ second.big(word)) & ~ends == 0,
            first.raw(TCPHeader.urgentPointer) == second.raw(TCPHeader.urgentPointer)
        else { return false }
        var option = TCPView.minimumLength
        while option < headers &- kind.networkLength {
            guard first.raw(option, UInt32.self) == second.raw(option) else { return false }
            option &+= 4
        }
        return true
    }

    /// True if two frames of one kind are of one flow. They must have the same Ethernet addresses, octets up to the
    /// packet, network addresses and ports.
    ///
    /// - Parameters:
    ///   - first: The Ethernet header of one.
    ///   - second: The Ethernet header of the other.
    ///   - networkOffset: Where the network header begins in both.
    @inline(__always)
    static func areOfOneFlow(
        _ first: UnsafeRawPointer, _ second: UnsafeRawPointer, _ kind: FrameKind, at networkOffset: Int
    ) -> Bool {
        guard EthernetAddresses(of: first) == EthernetAddresses(of: second) else { return false }
        if networkOffset > EthernetView.length {
            for offset in EthernetHeader.type.offset..<networkOffset
            where first.raw(offset, UInt8.self) != second.raw(offset) {
                return false
            }
        }
        let (first, second) = (first + networkOffset, second + networkOffset)
        let ports = HeaderField<UInt32>(kind.networkLength &+ PortHeader.ports.offset)
        guard first.raw(ports) == second.raw(ports) else { return false }
        if kind.family == .ipv4 { return first.raw(IPv4Header.addresses) == second.raw(IPv4Header.addresses) }
        let (from, to) = (IPv6Header.sourceAddress, IPv6Header.destinationAddress)
        return first.raw(from.high) == second.raw(from.high) && first.raw(from.low) == second.raw(from.low)
            && first.raw(to.high) == second.raw(to.high) && first.raw(to.low) == second.raw(to.low)
    }
}
