// One pass over a frame: every check that forwarding relies on, and no allocation.

extension PacketFields {
    /// Reads the frame, which begins with its Ethernet header, into this value.
    ///
    /// Only what keeps the flow from being read, or what no receiver could use, is malformed; transport checksums are
    /// not verified here.
    public mutating func parse(_ frame: RawSpan) -> ParseVerdict {
        hasQuoted = false
        message = .none
        bindings = []
        guard let ethernet = EthernetView(frame) else { return .malformed(.truncatedEthernet) }
        destinationMAC = ethernet.destinationAddress
        sourceMAC = ethernet.sourceAddress
        guard !sourceMAC.isMulticast, !sourceMAC.isZero else {
            etherType = ethernet.type
            return .malformed(.badSourceMAC)
        }
        return parsePacket(frame, etherType: ethernet.type, at: EthernetView.length)
    }

    /// Reads the network packet in `frame` into this value, and leaves the Ethernet addresses as they are.
    ///
    /// A tag or a stack of labels may stand before the packet: all other offsets follow from the packet's.
    ///
    /// - Parameters:
    ///   - etherType: The packet's EtherType.
    ///   - offset: Where it begins.
    public mutating func parsePacket(_ frame: RawSpan, etherType: UInt16, at offset: Int) -> ParseVerdict {
        hasQuoted = false
        message = .none
        bindings = []
        self.etherType = etherType
        networkOffset = offset
        switch etherType {
        case EtherType.ipv4: return parseIPv4(frame)
        case EtherType.ipv6: return parseIPv6(frame)
        case EtherType.arp: return .arp
        default: return .unsupported
        }
    }

    @inline(__always)
    private mutating func parseIPv4(_ frame: RawSpan) -> ParseVerdict {
        guard let header = IPv4View(frame, at: networkOffset) else { return .malformed(.truncatedIPv4) }
        guard header.version == 4 else { return .malformed(.badIPv4Version) }
        let headerLength = header.headerLength
        let totalLength = header.totalLength
        guard headerLength >= IPv4View.minimumLength else { return .malformed(.badIPv4HeaderLength) }
        guard totalLength <= frame.byteCount &- networkOffset else { return .malformed(.badIPv4TotalLength) }
        guard headerLength <= totalLength else {
            return .malformed(totalLength < IPv4View.minimumLength ? .badIPv4TotalLength : .badIPv4HeaderLength)
        }
        guard header.headerChecksumIsValid else { return .malformed(.badIPv4HeaderChecksum) }
        family = .ipv4
        transportOffset = networkOffset &+ headerLength
        end = networkOffset &+ totalLength
        hopLimit = header.timeToLive
        dontFragment = header.dontFragment
        fragment = header.fragment
        transportProtocol = header.protocol
        flow.source = header.sourceAddress
        flow.destination = header.destinationAddress
        flow.protocolNumber = header.protocol
        filterProtocol = header.protocol
        if let reason = addressFault() { return .malformed(reason) }
        if headerLength > IPv4View.minimumLength,
            let reason = Self.optionsFault(frame, networkOffset &+ IPv4View.minimumLength..<transportOffset)
        {
            return .malformed(reason)
        }
        if fragment != .whole { identification = UInt32(header.identification) }
        if fragment != .whole,
            let reason = fragmentFault(
                offset: header.fragmentOffset, more: header.moreFragments, limit: 65_535 - headerLength)
        {
            return .malformed(reason)
        }
        if transportProtocol == IPProtocol.authentication, let reason = parseAuthentication(frame) {
            return .malformed(reason)
        }
        return parseTransport(frame)
    }

    /// Steps over authentication headers, as the walk of IPv6's extension headers does: what they protect has its ports in
    /// the clear. Fragments are looked up by the protocol that the IPv4 header names, which all of them have.
    private mutating func parseAuthentication(_ frame: RawSpan) -> MalformedReason? {
        bindings.insert(.authenticated)
        guard fragment != .later else { return nil }
        let chain = AuthenticationHeaders(frame, start: transportOffset, end: end)
        switch chain.failure {
        case .truncated: return .truncatedExtensionHeader
        case .tooLong: return .headerChainTooLong
        case .none, .misplaced, .sourceRouted: break
        }
        transportOffset = chain.offset
        transportProtocol = chain.nextHeader
        if fragment == .whole { flow.protocolNumber = chain.nextHeader }
        return nil
    }

    @inline(__always)
    private mutating func parseIPv6(_ frame: RawSpan) -> ParseVerdict {
        guard let header = IPv6View(frame, at: networkOffset) else { return .malformed(.truncatedIPv6) }
        guard header.version == 6 else { return .malformed(.badIPv6Version) }
        let start = networkOffset &+ IPv6View.length
        guard header.payloadLength <= frame.byteCount &- start else { return .malformed(.badIPv6PayloadLength) }
        family = .ipv6
        end = start &+ header.payloadLength
        hopLimit = header.hopLimit
        dontFragment = true
        flow.source = header.sourceAddress
        flow.destination = header.destinationAddress
        if let reason = addressFault() { return .malformed(reason) }
        let chain = IPv6ExtensionHeaders(frame, first: header.nextHeader, start: start, end: end)
        switch chain.failure {
        case .none: break
        case .truncated: return .malformed(.truncatedExtensionHeader)
        case .tooLong: return .malformed(.headerChainTooLong)
        case .misplaced: return .malformed(.misplacedExtensionHeader)
        case .sourceRouted: return .malformed(.sourceRouted)
        }
        transportOffset = chain.offset
        transportProtocol = chain.nextHeader
        filterProtocol = chain.filterProtocol
        bindings = chain.bindings
        fragment = chain.fragment
        identification = chain.identification
        flow.protocolNumber = fragment == .whole ? chain.nextHeader : chain.fragmentProtocol
        if fragment != .whole,
            let reason = fragmentFault(offset: chain.fragmentOffset, more: chain.moreFragments, limit: 65_535)
        {
            return .malformed(reason)
        }
        return parseTransport(frame)
    }

    /// The fault in the addresses or the hop limit; nil if a packet between hosts may have them.
    @inline(__always)
    private func addressFault() -> MalformedReason? {
        if flow.source.isMulticast || flow.source.isLimitedBroadcast { return .sourceIsMulticast }
        if flow.source.isLoopback { return .loopbackAddress }
        if flow.destination.isLoopback || flow.destination.isUnspecified { return .badDestination }
        return hopLimit == 0 ? .hopLimitZero : nil
    }

    /// Options that cannot be read, or a source route whose pointer is not past its end.
    private static func optionsFault(_ frame: RawSpan, _ range: Range<Int>) -> MalformedReason? {
        var options = IPv4Options(frame, range)
        while let option = options.next() {
            guard option.isSourceRoute else { continue }
            guard option.length > IPv4Options.Field.pointer.offset else { return .badIPv4Options }
            let pointer = Int(frame.unchecked(IPv4Options.Field.pointer, at: option.offset))
            if pointer <= option.length { return .sourceRouted }
        }
        return options.isMalformed ? .badIPv4Options : nil
    }

    /// - Parameters:
    ///   - offset: The fragment's place in the datagram, in octets.
    ///   - limit: The most octets that the datagram's fragmentable part can have.
    private func fragmentFault(offset: Int, more: Bool, limit: Int) -> MalformedReason? {
        let length = end - transportOffset
        // The unfragmentable part of a first IPv6 fragment ends at its fragment header. The fragment header and the
        // extension headers behind it have lengths that are multiples of eight octets. So `length` is right modulo
        // eight.
        if more, length % 8 != 0 || length == 0 { return .badFragment }
        if fragment == .later, length == 0 || offset + length > limit { return .badFragment }
        if fragment == .later, flow.protocolNumber == IPProtocol.tcp, offset < TCPView.minimumLength {
            return .badFragment
        }
        return nil
    }

    @inline(__always)
    private mutating func parseTransport(_ frame: RawSpan) -> ParseVerdict {
        hasFirstPorts = false
        flow.hasPorts = false
        flow.sourcePort = 0
        flow.destinationPort = 0
        guard fragment != .later else {
            headerLength = transportOffset
            return .packet
        }
        let length = IPProtocol.minimumLength(transportProtocol, family)
        let available = end &- transportOffset
        guard available >= length else {
            return .malformed(message(of: transportProtocol) ? .truncatedICMP : .truncatedTransport)
        }
        headerLength = transportOffset &+ length
        switch transportProtocol {
        case IPProtocol.tcp:
            guard let header = TCPView(frame, at: transportOffset) else { return .malformed(.truncatedTransport) }
            guard header.headerLength >= TCPView.minimumLength,
                header.headerLength <= available || fragment == .first
            else { return .malformed(.badTCPOffset) }
        case IPProtocol.udp:
            guard let header = UDPView(frame, at: transportOffset) else { return .malformed(.truncatedTransport) }
            guard header.length >= UDPView.length, header.length <= available || fragment == .first else {
                return .malformed(.badUDPLength)
            }
        case IPProtocol.icmp, IPProtocol.icmpv6:
            if message(of: transportProtocol) { return parseICMP(frame) }
        default:
            break
        }
        if IPProtocol.hasPorts(transportProtocol) {
            let source = frame.unchecked(PortHeader.sourcePort, at: transportOffset)
            let destination = frame.unchecked(PortHeader.destinationPort, at: transportOffset)
            if fragment == .whole {
                flow.hasPorts = true
                flow.sourcePort = source
                flow.destinationPort = destination
            } else {
                hasFirstPorts = true
                firstSourcePort = source
                firstDestinationPort = destination
            }
        }
        return .packet
    }

    /// True for the control protocol of the packet's own family.
    @inline(__always)
    private func message(of protocolNumber: UInt8) -> Bool {
        protocolNumber == (family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6)
    }

    private mutating func parseICMP(_ frame: RawSpan) -> ParseVerdict {
        guard let header = ICMPView(frame, at: transportOffset) else { return .malformed(.truncatedICMP) }
        icmpType = header.type
        icmpCode = header.code
        message = ICMPView.message(type: header.type, family)
        guard message == .error, fragment == .whole else { return .packet }
        if let reason = parseQuoted(frame) { return .malformed(reason) }
        return .packet
    }
}
