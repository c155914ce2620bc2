/// An ICMP or ICMPv6 error about a packet (RFC 792, RFC 1812 section 4.3, RFC 4443 section 3).
public struct ICMPError: Sendable, Equatable {
    /// The family of the packet that it is about.
    public var family: AddressFamily
    /// The ICMP type.
    public var type: UInt8
    /// The ICMP code.
    public var code: UInt8
    /// The second word: zero, or the next hop's MTU.
    public var word: UInt32

    /// Memberwise.
    public init(family: AddressFamily, type: UInt8, code: UInt8, word: UInt32 = 0) {
        self.family = family
        self.type = type
        self.code = code
        self.word = word
    }

    /// No node serves the destination: 3/0, or 1/0.
    public static func networkUnreachable(_ family: AddressFamily) -> ICMPError {
        ICMPError(family: family, type: family == .ipv4 ? 3 : 1, code: 0)
    }

    /// The next hop does not answer: 3/1, or 1/3.
    public static func hostUnreachable(_ family: AddressFamily) -> ICMPError {
        family == .ipv4 ? ICMPError(family: family, type: 3, code: 1) : ICMPError(family: family, type: 1, code: 3)
    }

    /// No application serves the port: 3/3, or 1/4.
    public static func portUnreachable(_ family: AddressFamily) -> ICMPError {
        family == .ipv4 ? ICMPError(family: family, type: 3, code: 3) : ICMPError(family: family, type: 1, code: 4)
    }

    /// A filter lets the packet not pass: 3/13 (RFC 1812, section 5.2.7.1), or 1/1 (RFC 4443, section 3.1).
    public static func administrativelyProhibited(_ family: AddressFamily) -> ICMPError {
        family == .ipv4 ? ICMPError(family: family, type: 3, code: 13) : ICMPError(family: family, type: 1, code: 1)
    }

    /// The packet is larger than the next link takes: 3/4 with the MTU (RFC 1191), or packet too big, 2/0.
    public static func packetTooBig(_ family: AddressFamily, mtu: Int) -> ICMPError {
        let mtu = max(0, mtu)
        return family == .ipv4
            ? ICMPError(family: family, type: 3, code: 4, word: UInt32(min(mtu, 0xFFFF)))
            : ICMPError(family: family, type: 2, code: 0, word: UInt32(clamping: mtu))
    }

    /// The most octets of a whole error packet: 576 (RFC 1812, section 4.3.2.3) or 1280 (RFC 4443, section 2.4).
    public static func maximumLength(_ family: AddressFamily) -> Int { family == .ipv4 ? 576 : 1280 }

    /// The most octets of a whole frame, of either family.
    @inlinable public static var maximumFrameLength: Int { EthernetView.length + 1280 }

    /// True for ICMPv6's packet too big.
    private var isPacketTooBig: Bool { family == .ipv6 && type == 2 }

    /// True if the error may be sent about the packet at all (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e)). It
    /// may not be sent about:
    ///
    /// - ICMP errors or redirects,
    /// - group or broadcast destinations in either header,
    /// - sources that do not name one host,
    /// - later fragments of IPv4.
    ///
    /// IPv6 sends errors about later fragments, so that a sender learns that its fragments are too big. Packet too big
    /// is the only error that may answer IPv6 multicast (RFC 4443 section 2.4 (e.3)).
    public func mayAnswer(_ fields: PacketFields) -> Bool {
        let toGroup =
            fields.destinationMAC.isMulticast || fields.flow.destination.isMulticast
            || fields.flow.destination.isLimitedBroadcast
        return fields.message != .error && fields.message != .neighbourDiscovery
            && (fields.fragment != .later || fields.family == .ipv6) && (!toGroup || isPacketTooBig)
            && !fields.flow.source.isUnspecified && !fields.flow.source.isMulticast && !fields.flow.source.isLoopback
    }

    /// Writes the error about `packet`, quoting as much of it as fits, to the packet's source.
    ///
    /// The quote is the packet as `packet` holds it. If its transport checksum is partial, the quoted one is partial,
    /// too. The receiver of the error matches addresses and ports, not the checksum.
    ///
    /// - Parameters:
    ///   - packet: The frame that `fields` was parsed from, or its first octets; more quoted bytes are better.
    ///   - source: The address that the error comes from.
    ///   - sourceMAC: The Ethernet source; it goes to the packet's Ethernet source.
    /// - Returns: The frame's length in octets. 0 if the families differ, or `packet` lacks the octets up to
    ///   `headerLength`. 0 if `frame` has no room for the least quote.
    public func write(
        into frame: inout MutableRawSpan, about packet: RawSpan, _ fields: PacketFields, from source: IPAddress,
        sourceMAC: MACAddress, hopLimit: UInt8 = 64
    ) -> Int {
        guard fields.family == family, source.family == family, packet.byteCount >= fields.headerLength else {
            return 0
        }
        let network = EthernetView.length
        let start = network + (family == .ipv4 ? IPv4View.minimumLength : IPv6View.length)
        let quote = start + ICMPView.length
        let room = min(frame.byteCount, network + Self.maximumLength(family)) - quote
        let available = min(fields.end, packet.byteCount) - fields.networkOffset
        let quoted = min(room, available)
        guard quoted >= min(available, fields.headerLength - fields.networkOffset) else { return 0 }
        EthernetView.write(&frame, destination: fields.sourceMAC, source: sourceMAC, type: fields.etherType)
        let length = ICMPView.length + quoted
        switch family {
        case .ipv4:
            // Precedence 6, internetwork control (RFC 1812, section 4.3.2.5).
            IPv4View.write(
                &frame, at: network, source: source, destination: fields.flow.source,
                protocolNumber: IPProtocol.icmp, totalLength: IPv4View.minimumLength + length, timeToLive: hopLimit,
                typeOfService: 0xC0)
        case .ipv6:
            IPv6View.write(
                &frame, at: network, source: source, destination: fields.flow.source,
                nextHeader: IPProtocol.icmpv6, payloadLength: length, hopLimit: hopLimit)
        }
        frame.store(type, to: ICMPHeader.type, at: start)
        frame.store(code, to: ICMPHeader.code, at: start)
        frame.store(word, to: ICMPHeader.mtu, at: start)
        frame.copy(packet, fields.networkOffset..<fields.networkOffset + quoted, to: quote)
        ICMPView.writeChecksum(
            &frame, at: start, length: length, source: source, destination: fields.flow.source, family: family)
        return start + length
    }
}
