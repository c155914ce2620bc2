/// A router's word that a tunnel's packet is too big for a link of its way (RFC 1191, RFC 8201), quoting that packet:
///
///     +----------+----+----------------+---------------------------------------------------------+
///     | Ethernet | IP | ICMP: the MTU  | outer IP | UDP | tunnel header | inner Ethernet | packet | cut off
///     +----------+----+----------------+---------------------------------------------------------+
///
/// The engine keeps nothing of it. It becomes an error about the inner packet, with the MTU that is left inside, as if the far end
/// had sent it: it follows the inner flow to the sender, which keeps it.
public struct TunnelPathError: Sendable {
    /// The engine's end, which is the error's receiver and the quoted packet's source.
    public private(set) var local: IPAddress
    /// The quoted packet's destination.
    public private(set) var peer: IPAddress
    /// The quoted packet's UDP destination port.
    public private(set) var port: UInt16
    /// The largest outer packet, in octets.
    public private(set) var mtu: Int
    /// What the quoted datagram carries, as far as it is quoted.
    public private(set) var payload: Range<Int>

    /// Reads such an error.
    ///
    /// - Returns: Nil if the frame is none, or if it is damaged.
    public init?(_ frame: RawSpan) {
        guard let ethernet = EthernetView(frame) else { return nil }
        let (network, start, end): (Int, Int, Int)
        let family: AddressFamily
        switch ethernet.type {
        case EtherType.ipv4:
            guard let packet = IPv4View(frame, at: EthernetView.length), packet.version == 4,
                packet.protocol == IPProtocol.icmp, packet.fragment == .whole,
                packet.headerLength >= IPv4View.minimumLength
            else { return nil }
            (family, local) = (.ipv4, packet.destinationAddress)
            start = EthernetView.length + packet.headerLength
            end = EthernetView.length + packet.totalLength
            guard start <= frame.byteCount, packet.headerChecksumIsValid else { return nil }
        case EtherType.ipv6:
            guard let packet = IPv6View(frame, at: EthernetView.length), packet.version == 6,
                packet.nextHeader == IPProtocol.icmpv6
            else { return nil }
            (family, local) = (.ipv6, packet.destinationAddress)
            start = EthernetView.length + IPv6View.length
            end = start + packet.payloadLength
        default: return nil
        }
        guard end <= frame.byteCount, start <= end, let message = ICMPView(frame, at: start) else { return nil }
        let isTooBig = family == .ipv4 ? message.type == 3 && message.code == 4 : message.type == 2
        guard isTooBig else { return nil }
        mtu = Int(family == .ipv4 ? message.word & 0xFFFF : min(message.word, 0xFFFF))
        network = start + ICMPView.length
        guard network <= end else { return nil }
        var initial: UInt64 = 0
        if family == .ipv6, let packet = IPv6View(frame, at: EthernetView.length) {
            initial = InternetChecksum.pseudoHeader(
                source: packet.sourceAddress, destination: local, protocolNumber: IPProtocol.icmpv6,
                length: end - start)
        }
        guard InternetChecksum.sum(frame, start..<end, adding: initial) == 0xFFFF else { return nil }
        let datagram: Int
        if family == .ipv4 {
            guard let quoted = IPv4View(frame, at: network), quoted.version == 4,
                quoted.headerLength == IPv4View.minimumLength, quoted.protocol == IPProtocol.udp,
                quoted.sourceAddress == local
            else { return nil }
            (peer, datagram) = (quoted.destinationAddress, network + IPv4View.minimumLength)
        } else {
            guard let quoted = IPv6View(frame, at: network), quoted.version == 6,
                quoted.nextHeader == IPProtocol.udp, quoted.sourceAddress == local
            else { return nil }
            (peer, datagram) = (quoted.destinationAddress, network + IPv6View.length)
        }
        guard let quoted = UDPView(frame, at: datagram), datagram + UDPView.length <= end else { return nil }
        port = quoted.destinationPort
        payload = datagram + UDPView.length..<end
    }

    /// Writes the error about the inner packet over what stands before it.
    ///
    /// - Parameters:
    ///   - frame: The whole frame that this was read from.
    ///   - inner: The quoted inner frame in it.
    ///   - overhead: The octets that a packet grows by in the tunnel.
    /// - Returns: The new frame's place in `frame`; nil if nobody may be told of the inner packet, or too little of it is quoted.
    @_lifetime(frame: copy frame)
    public func relay(_ frame: inout MutableRawSpan, inner: Range<Int>, overhead: Int) -> Range<Int>? {
        let packet = inner.lowerBound &+ EthernetHeader.length
        guard inner.upperBound <= frame.byteCount, packet < inner.upperBound else { return nil }
        let (destination, source) = (
            frame.bytes.load(HeaderField<UInt64>(0), at: inner.lowerBound) >> 16,
            frame.bytes.load(HeaderField<UInt64>(6), at: inner.lowerBound) >> 16
        )
        let type = frame.bytes.load(EthernetHeader.type, at: inner.lowerBound)
        let family: AddressFamily = type == EtherType.ipv4 ? .ipv4 : .ipv6
        guard let flow = Self.ends(frame.bytes, packet, inner.upperBound, type), !flow.destination.isMulticast,
            !flow.source.isMulticast, !flow.source.isUnspecified
        else { return nil }
        let length = family == .ipv4 ? IPv4View.minimumLength : IPv6View.length
        let start = packet &- ICMPView.length
        let network = start &- length
        let first = network &- EthernetHeader.length
        // No router takes less (RFC 791, RFC 8200), so less would be a lie.
        let left = max(mtu &- overhead, family == .ipv4 ? 576 : 1280)
        let end = min(inner.upperBound, network &+ ICMPError.maximumLength(family))
        guard first >= 0, end &- packet >= length &+ 8 else { return nil }
        let message = ICMPError.packetTooBig(family, mtu: left)
        let octets = end &- start
        frame.store(MACAddress(bits: source), at: first)
        frame.store(MACAddress(bits: destination), at: first &+ 6)
        frame.store(type, at: first &+ 12)
        switch family {
        case .ipv4:
            IPv4View.write(
                &frame, at: network, source: flow.destination, destination: flow.source,
                protocolNumber: IPProtocol.icmp, totalLength: length &+ octets, timeToLive: Tunnel.hops,
                typeOfService: 0xC0)
        case .ipv6:
            IPv6View.write(
                &frame, at: network, source: flow.destination, destination: flow.source,
                nextHeader: IPProtocol.icmpv6, payloadLength: octets, hopLimit: Tunnel.hops)
        }
        frame.store(message.type, to: ICMPHeader.type, at: start)
        frame.store(message.code, to: ICMPHeader.code, at: start)
        frame.store(message.word, to: ICMPHeader.word, at: start)
        ICMPView.writeChecksum(
            &frame, at: start, length: octets, source: flow.destination, destination: flow.source, family: family)
        return first..<end
    }

    private static func ends(
        _ frame: RawSpan, _ packet: Int, _ end: Int, _ type: UInt16
    ) -> (source: IPAddress, destination: IPAddress)? {
        if type == EtherType.ipv4, let header = IPv4View(frame, at: packet), header.version == 4,
            packet &+ IPv4View.minimumLength <= end
        {
            // An error about an error would run in circles, and a later fragment has no flow (RFC 1812, 4.3.2.7).
            let isError =
                header.protocol == IPProtocol.icmp && isError(frame, packet &+ header.headerLength, end, .ipv4)
            guard header.fragmentOffset == 0, !isError else { return nil }
            return (header.sourceAddress, header.destinationAddress)
        }
        guard type == EtherType.ipv6, let header = IPv6View(frame, at: packet), header.version == 6,
            packet &+ IPv6View.length <= end,
            header.nextHeader != IPProtocol.icmpv6 || !isError(frame, packet &+ IPv6View.length, end, .ipv6)
        else { return nil }
        return (header.sourceAddress, header.destinationAddress)
    }

    private static func isError(_ frame: RawSpan, _ start: Int, _ end: Int, _ family: AddressFamily) -> Bool {
        guard start < end else { return true }
        return ICMPView.message(type: frame.load(ICMPHeader.type, at: start), family) == .error
    }
}
