// The packet that an ICMP error quotes: a header, and as little as eight octets (RFC 792) of what followed it.

extension PacketFields {
    /// Reads the packet that begins behind the ICMP header, and extends `headerLength` through what a rewrite edits.
    ///
    /// Its checksum is not verified and its lengths need not fit, since routers have changed and cut it; only what is
    /// needed to know the flow must be there.
    mutating func parseQuoted(_ frame: RawSpan) -> MalformedReason? {
        quotedNetworkOffset = transportOffset &+ ICMPView.length
        let fault = family == .ipv4 ? parseQuotedIPv4(frame) : parseQuotedIPv6(frame)
        if let fault { return fault }
        quoted.hasPorts = false
        quoted.sourcePort = 0
        quoted.destinationPort = 0
        let available = quotedEnd &- quotedTransportOffset
        if quotedFragment == .whole, available >= PortHeader.length, IPProtocol.hasPorts(quotedTransportProtocol) {
            quoted.hasPorts = true
            quoted.sourcePort = frame.unchecked(PortHeader.sourcePort, at: quotedTransportOffset)
            quoted.destinationPort = frame.unchecked(PortHeader.destinationPort, at: quotedTransportOffset)
        }
        headerLength = quotedTransportOffset
        if quoted.hasPorts { headerLength = headerLength &+ PortHeader.length }
        if let checksum = quotedChecksumOffset { headerLength = checksum &+ 2 }
        guard headerLength <= Self.maximumHeaderLength else { return .headerChainTooLong }
        hasQuoted = true
        return nil
    }

    /// The offset of the quoted packet's transport checksum, where its sum covers the addresses and the quote reaches it.
    @inlinable
    var quotedChecksumOffset: Int? {
        guard quotedFragment != .later,
            let offset = IPProtocol.pseudoHeaderChecksumOffset(quotedTransportProtocol, family),
            quotedTransportOffset &+ offset &+ 2 <= quotedEnd
        else { return nil }
        return quotedTransportOffset &+ offset
    }

    private mutating func parseQuotedIPv4(_ frame: RawSpan) -> MalformedReason? {
        guard end &- quotedNetworkOffset >= IPv4View.minimumLength,
            let header = IPv4View(frame, at: quotedNetworkOffset), header.version == 4,
            header.headerLength >= IPv4View.minimumLength, header.headerLength <= header.totalLength,
            header.headerLength <= end &- quotedNetworkOffset
        else { return .badQuotedPacket }
        quotedTransportOffset = quotedNetworkOffset &+ header.headerLength
        quotedEnd = min(end, quotedNetworkOffset &+ header.totalLength)
        quotedTransportProtocol = header.protocol
        quotedFragment = header.fragment
        quoted.source = header.sourceAddress
        quoted.destination = header.destinationAddress
        quoted.protocolNumber = header.protocol
        quotedBindings = []
        if quotedTransportProtocol == IPProtocol.authentication {
            quotedBindings = .authenticated
            let chain = AuthenticationHeaders(frame, start: quotedTransportOffset, end: quotedEnd)
            // Cut off inside of them it is a packet of their own protocol, without ports.
            guard quotedFragment != .later, chain.failure == .none else { return nil }
            quotedTransportOffset = chain.offset
            quotedTransportProtocol = chain.nextHeader
            if quotedFragment == .whole { quoted.protocolNumber = chain.nextHeader }
        }
        return nil
    }

    private mutating func parseQuotedIPv6(_ frame: RawSpan) -> MalformedReason? {
        guard end &- quotedNetworkOffset >= IPv6View.length,
            let header = IPv6View(frame, at: quotedNetworkOffset), header.version == 6
        else { return .badQuotedPacket }
        let start = quotedNetworkOffset &+ IPv6View.length
        quotedEnd = min(end, start &+ header.payloadLength)
        let chain = IPv6ExtensionHeaders(frame, first: header.nextHeader, start: start, end: quotedEnd)
        switch chain.failure {
        case .none: break
        case .tooLong: return .headerChainTooLong
        case .sourceRouted: return .sourceRouted
        case .truncated, .misplaced: return .badQuotedPacket
        }
        quotedTransportOffset = chain.offset
        quotedTransportProtocol = chain.nextHeader
        quotedFragment = chain.fragment
        quotedBindings = chain.bindings
        quoted.source = header.sourceAddress
        quoted.destination = header.destinationAddress
        quoted.protocolNumber = quotedFragment == .whole ? chain.nextHeader : chain.fragmentProtocol
        return nil
    }
}
