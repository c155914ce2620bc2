extension FlowFields {
    /// The flow of a frame of one of the fast path's kinds, whose packet begins right behind the Ethernet header.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - kind: What `FrameKind` said of the frame; not `other`.
    @inlinable @inline(__always)
    public init(_ start: UnsafeRawPointer, _ kind: FrameKind) {
        self.init()
        let packet = start + (VirtioNetHeader.length &+ EthernetHeader.length)
        if kind.family == .ipv4 {
            source = IPAddress(ipv4: packet.big(IPv4Header.sourceAddress))
            destination = IPAddress(ipv4: packet.big(IPv4Header.destinationAddress))
        } else {
            source = IPAddress(
                ipv6High: packet.big(IPv6Header.sourceAddress.high), low: packet.big(IPv6Header.sourceAddress.low))
            destination = IPAddress(
                ipv6High: packet.big(IPv6Header.destinationAddress.high),
                low: packet.big(IPv6Header.destinationAddress.low))
        }
        let ports = packet + kind.networkLength
        protocolNumber = kind.protocolNumber
        hasPorts = true
        sourcePort = ports.big(PortHeader.sourcePort)
        destinationPort = ports.big(PortHeader.destinationPort)
    }

    /// The flow of a frame of which only the headers are at hand: its payload is elsewhere, so no length and no checksum is
    /// verified. It is what `PacketFields.lookupFlow` is of the whole frame, but an error's quote may be seen from either
    /// end.
    ///
    /// - Parameter frame: The Ethernet header and what follows it, as far as it is there.
    /// - Returns: nil if it is no IP packet, or if a header that decides about the flow is not there.
    public init?(ofHeaders frame: RawSpan) {
        guard let ethernet = EthernetView(frame) else { return nil }
        let version: UInt8
        switch ethernet.type {
        case EtherType.ipv4: version = 4
        case EtherType.ipv6: version = 6
        default: return nil
        }
        self.init(ofHeaders: frame, version: version, at: EthernetView.length, isQuoted: false)
    }

    private init?(ofHeaders frame: RawSpan, version: UInt8, at start: Int, isQuoted: Bool) {
        self.init()
        let family: AddressFamily = version == 4 ? .ipv4 : .ipv6
        var transport: (protocol: UInt8, offset: Int)
        let isWhole: Bool
        if version == 4 {
            guard let header = IPv4View(frame, at: start), header.version == 4,
                header.headerLength >= IPv4View.minimumLength
            else { return nil }
            (source, destination, protocolNumber) = (header.sourceAddress, header.destinationAddress, header.protocol)
            isWhole = header.fragment == .whole
            transport = (header.protocol, start &+ header.headerLength)
            if isWhole, header.protocol == IPProtocol.authentication {
                guard transport.offset <= frame.byteCount else { return nil }
                let chain = AuthenticationHeaders(frame, start: transport.offset, end: frame.byteCount)
                guard chain.failure == .none else { return nil }
                transport = (chain.nextHeader, chain.offset)
                protocolNumber = chain.nextHeader
            }
        } else {
            guard let header = IPv6View(frame, at: start), header.version == 6 else { return nil }
            (source, destination) = (header.sourceAddress, header.destinationAddress)
            let chain = IPv6ExtensionHeaders(
                frame, first: header.nextHeader, start: start &+ IPv6View.length, end: frame.byteCount)
            guard chain.failure == .none else { return nil }
            isWhole = chain.fragment == .whole
            transport = (chain.nextHeader, chain.offset)
            protocolNumber = isWhole ? chain.nextHeader : chain.fragmentProtocol
        }
        finish(frame, transport, family, isWhole: isWhole, isQuoted: isQuoted)
    }

    /// Reads the ports, or the flow that an ICMP error quotes.
    private mutating func finish(
        _ frame: RawSpan, _ transport: (protocol: UInt8, offset: Int), _ family: AddressFamily, isWhole: Bool,
        isQuoted: Bool
    ) {
        guard isWhole else { return }
        if IPProtocol.hasPorts(transport.protocol) {
            guard transport.offset &+ PortHeader.length <= frame.byteCount else { return }
            hasPorts = true
            sourcePort = frame.unchecked(PortHeader.sourcePort, at: transport.offset)
            destinationPort = frame.unchecked(PortHeader.destinationPort, at: transport.offset)
            return
        }
        let isICMP = transport.protocol == (family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6)
        guard !isQuoted, isICMP, let message = ICMPView(frame, at: transport.offset),
            ICMPView.message(type: message.type, family) == .error,
            let quoted = FlowFields(
                ofHeaders: frame, version: family == .ipv4 ? 4 : 6, at: transport.offset &+ ICMPHeader.length,
                isQuoted: true)
        else { return }
        self = quoted
    }
}
