/// The outer headers of a frame that a tunnel may have sent: Ethernet, IPv4 or IPv6, and UDP.
public struct OuterTransport: Sendable {
    /// The outer source.
    public private(set) var source = IPAddress(ipv4: 0)
    /// The outer destination.
    public private(set) var destination = IPAddress(ipv4: 0)
    /// The UDP destination port; 0 for a fragment.
    public private(set) var port: UInt16 = 0
    /// The two bits of ECN.
    public private(set) var congestion: UInt8 = 0
    /// What makes it unusable, if a tunnel has the port.
    public private(set) var fault: TunnelFault?
    /// What the datagram carries.
    public private(set) var payload = 0..<0
    /// Where the UDP header begins.
    public private(set) var datagram = 0

    /// The headers of a frame, from its Ethernet header on.
    ///
    /// - Returns: Nil if it is no UDP datagram, or if its headers make too little sense to tell.
    @inline(__always)
    public init?(_ frame: RawSpan) {
        guard EthernetHeader.length <= frame.byteCount else { return nil }
        let end: Int
        switch frame.unchecked(EthernetHeader.type, at: 0) {
        case EtherType.ipv4:
            guard let packet = IPv4View(frame, at: EthernetHeader.length), packet.version == 4,
                packet.protocol == IPProtocol.udp, packet.headerLength >= IPv4View.minimumLength
            else { return nil }
            (source, destination) = (packet.sourceAddress, packet.destinationAddress)
            congestion = packet.typeOfService & 3
            datagram = EthernetHeader.length &+ packet.headerLength
            end = EthernetHeader.length &+ packet.totalLength
            if packet.fragment != .whole {
                fault = .fragment
                return
            }
            if datagram <= frame.byteCount, !packet.headerChecksumIsValid { fault = .badChecksum }
        case EtherType.ipv6:
            guard let packet = IPv6View(frame, at: EthernetHeader.length), packet.version == 6 else { return nil }
            (source, destination) = (packet.sourceAddress, packet.destinationAddress)
            congestion = packet.trafficClass & 3
            datagram = EthernetHeader.length &+ IPv6View.length
            end = datagram &+ packet.payloadLength
            if packet.nextHeader == IPProtocol.fragment, datagram < frame.byteCount,
                frame.unchecked(HeaderField<UInt8>(0), at: datagram) == IPProtocol.udp
            {
                fault = .fragment
                return
            }
            guard packet.nextHeader == IPProtocol.udp else { return nil }
        default: return nil
        }
        guard let header = UDPView(frame, at: datagram) else { return nil }
        port = header.destinationPort
        let last = datagram &+ header.length
        guard header.length >= UDPView.length, last <= end, end <= frame.byteCount else {
            fault = fault ?? .truncated
            return
        }
        payload = datagram &+ UDPView.length..<last
    }

    /// True if the datagram's checksum is right, or if it has none. It has no fault.
    @inline(__always)
    public func hasRightChecksum(_ frame: RawSpan) -> Bool {
        guard frame.load(UDPHeader.checksum, at: datagram) != 0 else { return true }
        return InternetChecksum.sum(
            frame, datagram..<payload.upperBound,
            adding: InternetChecksum.pseudoHeader(
                source: source, destination: destination, protocolNumber: IPProtocol.udp,
                length: payload.upperBound &- datagram)) == 0xFFFF
    }

    /// True if the datagram's checksum will be right, or if it has none, when an inner one is complete. It has no fault.
    ///
    /// What an inner checksum covers adds up to the complement of its pseudo-header's sum, whatever it is (the kernel's
    /// "local checksum offload"). So only the headers are read.
    ///
    /// - Parameters:
    ///   - start: Where the inner checksum's coverage begins.
    ///   - field: The inner checksum, which is partial.
    @inline(__always)
    public func hasRightChecksum(_ frame: RawSpan, before start: Int, partial field: UInt16) -> Bool {
        guard frame.load(UDPHeader.checksum, at: datagram) != 0 else { return true }
        return Self.headerSum(
            frame, datagram..<start, field, source: source, destination: destination,
            length: payload.upperBound &- datagram) == 0xFFFF
    }

    /// The sum of a datagram whose inner checksum is partial, from its headers alone.
    @inline(__always)
    static func headerSum(
        _ frame: RawSpan, _ headers: Range<Int>, _ field: UInt16, source: IPAddress, destination: IPAddress, length: Int
    ) -> UInt16 {
        let rest = headers.count & 1 == 0 ? ~field : (~field).byteSwapped
        return InternetChecksum.sum(
            frame, headers,
            adding: InternetChecksum.pseudoHeader(
                source: source, destination: destination, protocolNumber: IPProtocol.udp, length: length)
                &+ UInt64(rest))
    }
}
