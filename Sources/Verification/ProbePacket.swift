import LinuxNetwork
import Wire

/// A packet that can be told from all others everywhere on its way, and its answers. It is known by:
/// - TCP: its sequence number; the answer by its acknowledgement number.
/// - ICMP: its payload; the type tells the direction.
/// - Everything else: its payload or its ports. A service may send the payload back (RFC 862), so the ports and
///   addresses tell the direction (`ProbeDirection`).
///
/// None of these marks changes on the way, whatever addresses are rewritten.
struct ProbePacket {
    /// The relation of a frame to a probe.
    enum Kind: Hashable {
        /// The packet itself, or its first fragment.
        case packet
        /// An answer, as the end of a sentence: `SYN and ACK`.
        case answer(String)
        /// An ICMP error that quotes it, as the end of a sentence.
        case error(String)
        /// The packet or an answer, which these ends tell.
        case either(ProbeEnds, String)
        /// A frame with other content to the probe's source port. It is an answer if it goes back between ends where
        /// the probe was seen, or to the sender.
        case other(ProbeEnds, String)
        /// An ICMP error that quotes one of the two.
        case errorAbout(ProbeEnds, String)
    }

    /// The packet from its network header on.
    let octets: [UInt8]
    private let family: AddressFamily
    private let protocolNumber: UInt8
    private let source: IPAddress
    private let destination: IPAddress
    private let sourcePort: UInt16
    private let port: UInt16
    /// TCP: the sequence number. ICMP: identifier and sequence number.
    private let number: UInt32
    private let payload: [UInt8]

    /// The ends as the sender has them.
    var ends: ProbeEnds {
        let hasPorts = protocolNumber == IPProtocol.udp
        return ProbeEnds(
            source: source, destination: destination, sourcePort: hasPorts ? sourcePort : 0,
            destinationPort: hasPorts ? port : 0)
    }

    /// The length of the headers before the payload.
    static func headerLength(_ family: AddressFamily, _ protocolNumber: UInt8) -> Int {
        (family == .ipv4 ? IPv4View.minimumLength : IPv6View.length) + transportLength(protocolNumber)
    }

    private static func transportLength(_ protocolNumber: UInt8) -> Int {
        switch protocolNumber {
        case IPProtocol.tcp: TCPView.minimumLength
        case IPProtocol.udp: UDPView.length
        case IPProtocol.icmp, IPProtocol.icmpv6: ICMPView.length
        default: 0
        }
    }

    /// - Parameters:
    ///   - payload: Its payload; nil: sixteen unique octets (none with TCP).
    ///   - size: Its whole length in octets; zeros fill it up.
    ///   - number: TCP's sequence number, or identifier and sequence number of an echo request; nil: any.
    init(
        source: IPAddress, destination: IPAddress, protocolNumber: UInt8, port: UInt16, sourcePort: UInt16,
        payload: [UInt8]?, size: Int?, hopLimit: UInt8, dontFragment: Bool, number: UInt32? = nil
    ) {
        family = destination.family
        self.protocolNumber = protocolNumber
        self.source = source
        self.destination = destination
        self.sourcePort = sourcePort
        self.port = port
        self.number = number ?? UInt32.random(in: 1...UInt32.max - 1)
        var carried =
            payload ?? (protocolNumber == IPProtocol.tcp ? [] : (0..<16).map { _ in UInt8.random(in: 1...255) })
        let headers = Self.headerLength(family, protocolNumber)
        if let size, size > headers + carried.count {
            carried += Array(repeating: 0, count: size - headers - carried.count)
        }
        self.payload = carried
        let network = family == .ipv4 ? IPv4View.minimumLength : IPv6View.length
        let length = headers + carried.count
        var octets = [UInt8](repeating: 0, count: length)
        octets.replaceSubrange(headers..., with: carried)
        let number = self.number
        let family = family
        octets.withUnsafeMutableBytes { buffer in
            var packet = MutableRawSpan(_unsafeBytes: buffer)
            if family == .ipv4 {
                IPv4View.write(
                    &packet, at: 0, source: source, destination: destination, protocolNumber: protocolNumber,
                    totalLength: length, timeToLive: hopLimit,
                    identification: UInt16.random(in: 1...UInt16.max),
                    flagsAndFragmentOffset: dontFragment ? IPv4View.dontFragmentBit : 0)
            } else {
                IPv6View.write(
                    &packet, at: 0, source: source, destination: destination, nextHeader: protocolNumber,
                    payloadLength: length - network, hopLimit: hopLimit)
            }
            switch protocolNumber {
            case IPProtocol.tcp:
                packet.store(sourcePort, to: TCPHeader.sourcePort, at: network)
                packet.store(port, to: TCPHeader.destinationPort, at: network)
                packet.store(number, to: TCPHeader.sequenceNumber, at: network)
                packet.store(UInt8(TCPHeader.minimumLength / 4) << 4, to: TCPHeader.dataOffset, at: network)
                packet.store(TCPView.syn, to: TCPHeader.controlBits, at: network)
                packet.store(64240, to: TCPHeader.window, at: network)
            case IPProtocol.udp:
                packet.store(sourcePort, to: UDPHeader.sourcePort, at: network)
                packet.store(port, to: UDPHeader.destinationPort, at: network)
                packet.store(UInt16(length - network), to: UDPHeader.datagramLength, at: network)
            case IPProtocol.icmp, IPProtocol.icmpv6:
                packet.store(ICMPView.echoRequest(family), to: ICMPHeader.type, at: network)
                packet.store(number, to: ICMPHeader.word, at: network)
            default: break
            }
            if let offset = IPProtocol.pseudoHeaderChecksumOffset(protocolNumber, family) {
                let sum = InternetChecksum.pseudoHeader(
                    source: source, destination: destination, protocolNumber: protocolNumber, length: length - network)
                packet.store(InternetChecksum.fold(sum), at: network + offset)
                InternetChecksum.complete(&packet, start: network, offset: offset, end: length)
            } else if protocolNumber == IPProtocol.icmp {
                InternetChecksum.complete(&packet, start: network, offset: ICMPHeader.checksum.offset, end: length)
            }
        }
        self.octets = octets
    }

    // MARK: - Recognising

    /// The kernel's filter, so that no other traffic has to be read. The matches are in the order of the offsets: a
    /// frame that ends before one of them is not compared with later ones.
    var matches: [FrameMatch] {
        let control = family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6
        let quoted = ICMPView.length + (family == .ipv4 ? IPv4View.minimumLength : IPv6View.length)
        // A field of the header `start` octets behind the beginning of the transport header.
        func match(
            _ number: UInt8, _ field: HeaderField<UInt32>, _ value: UInt32, behind start: Int = 0
        ) -> FrameMatch {
            FrameMatch(family, protocolNumber: number, offset: start + field.offset, value: value)
        }
        func ports(_ number: UInt8, _ field: HeaderField<UInt16>, behind start: Int = 0) -> FrameMatch {
            FrameMatch(
                family, protocolNumber: number, offset: start + field.offset, value: UInt32(sourcePort), isHalf: true)
        }
        switch protocolNumber {
        case IPProtocol.tcp:
            return [match(IPProtocol.tcp, TCPHeader.sequenceNumber, number)]
                + acknowledgements.map { match(IPProtocol.tcp, TCPHeader.acknowledgmentNumber, $0) }
                + [match(control, TCPHeader.sequenceNumber, number, behind: quoted)]
        case IPProtocol.udp:
            return [ports(IPProtocol.udp, UDPHeader.sourcePort), ports(IPProtocol.udp, UDPHeader.destinationPort)]
                + payloadMatches(UDPView.length) + [ports(control, UDPHeader.sourcePort, behind: quoted)]
                + quotedPayloadMatches(control, quoted + UDPView.length)
        case control:
            return [match(control, ICMPHeader.word, number)] + payloadMatches(ICMPView.length)
                + [match(control, ICMPHeader.word, number, behind: quoted)]
        default:
            return payloadMatches(0) + quotedPayloadMatches(control, quoted)
        }
    }

    /// The acknowledgement numbers that an answer to a first segment may have. It acknowledges the SYN alone, or the
    /// SYN and the segment's payload (a RST does; SYN and ACK if the server has TCP Fast Open).
    private var acknowledgements: [UInt32] {
        payload.isEmpty ? [number &+ 1] : [number &+ 1, number &+ 1 &+ UInt32(payload.count)]
    }

    private func payloadMatches(_ offset: Int) -> [FrameMatch] {
        payloadWord.map { [FrameMatch(family, protocolNumber: protocolNumber, offset: offset, value: $0)] } ?? []
    }

    private func quotedPayloadMatches(_ control: UInt8, _ offset: Int) -> [FrameMatch] {
        payloadWord.map { [FrameMatch(family, protocolNumber: control, offset: offset, value: $0)] } ?? []
    }

    private var payloadWord: UInt32? {
        payload.count < 4 ? nil : payload.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// The relation of a frame to this probe; nil if there is none. The frame may be cut off at its end.
    func kind(of frame: RawSpan) -> Kind? {
        guard let head = NetworkHead(frame), head.family == family else { return nil }
        let control = family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6
        let start = head.transportOffset
        if head.protocolNumber == control, let message = ICMPView(frame, at: start),
            ICMPView.message(type: message.type, family) == .error
        {
            return quoted(frame, at: start + ICMPView.length, ICMPView.errorName(message.type, message.code, family))
        }
        guard head.protocolNumber == protocolNumber else { return nil }
        switch protocolNumber {
        case IPProtocol.tcp:
            guard let header = TCPView(frame, at: start) else { return nil }
            let flags = header.controlBits & (TCPView.syn | TCPView.ack | TCPView.rst | TCPView.fin)
            if flags == TCPView.syn { return header.sequenceNumber == number ? .packet : nil }
            guard acknowledgements.contains(header.acknowledgmentNumber), flags & TCPView.ack != 0 else {
                return nil
            }
            return flags & TCPView.syn != 0
                ? .answer("SYN and ACK") : flags & TCPView.rst != 0 ? .answer("RST") : nil
        case IPProtocol.udp:
            guard let header = UDPView(frame, at: start) else { return nil }
            let ends = ProbeEnds(
                source: head.source, destination: head.destination, sourcePort: header.sourcePort,
                destinationPort: header.destinationPort)
            if carries(frame, at: start + UDPView.length, isPortEnough: header.sourcePort == sourcePort) {
                return .either(ends, "UDP")
            }
            return header.destinationPort == sourcePort ? .other(ends, "UDP") : nil
        case IPProtocol.icmp, IPProtocol.icmpv6:
            guard let header = ICMPView(frame, at: start),
                carries(frame, at: start + ICMPView.length, isPortEnough: header.word == number)
            else { return nil }
            return header.type == ICMPView.echoRequest(family) ? .packet : .answer("echo reply")
        default:
            guard carries(frame, at: start, isPortEnough: false) else { return nil }
            let ends = ProbeEnds(source: head.source, destination: head.destination, sourcePort: 0, destinationPort: 0)
            return .either(ends, "protocol \(protocolNumber)")
        }
    }

    /// True if the octets from `offset` on are the payload's, as far as the frame has them. A payload too short to
    /// be anybody's own needs the port as well.
    private func carries(_ frame: RawSpan, at offset: Int, isPortEnough: Bool) -> Bool {
        guard payload.count >= 4 || isPortEnough else { return false }
        let count = min(payload.count, frame.byteCount - offset)
        guard count >= min(4, payload.count) else { return false }
        return (0..<count).allSatisfy { frame.unsafeLoad(fromByteOffset: offset + $0, as: UInt8.self) == payload[$0] }
    }

    /// The kind of an ICMP error that quotes the packet at `offset`; nil if it quotes another packet.
    private func quoted(_ frame: RawSpan, at offset: Int, _ name: String) -> Kind? {
        let network = family == .ipv4 ? IPv4View.minimumLength : IPv6View.length
        guard frame.byteCount >= offset + network + Self.leastQuoted else { return nil }
        let quotedProtocol = family == .ipv4 ? IPv4Header.protocol : IPv6Header.nextHeader
        guard frame.load(quotedProtocol, at: offset) == protocolNumber else { return nil }
        let start = offset + network
        switch protocolNumber {
        case IPProtocol.tcp:
            return frame.load(TCPHeader.sequenceNumber, at: start) == number ? .error(name) : nil
        case IPProtocol.icmp, IPProtocol.icmpv6:
            return frame.load(ICMPHeader.word, at: start) == number ? .error(name) : nil
        case IPProtocol.udp:
            let ports = (frame.load(UDPHeader.sourcePort, at: start), frame.load(UDPHeader.destinationPort, at: start))
            guard ports.0 == sourcePort || carries(frame, at: start + UDPView.length, isPortEnough: false) else {
                return nil
            }
            return quotedEnds(frame, at: offset, ports).map { .errorAbout($0, name) }
        default:
            guard let word = payloadWord, frame.load(Self.firstWord, at: start) == word else { return nil }
            return quotedEnds(frame, at: offset, (0, 0)).map { .errorAbout($0, name) }
        }
    }

    private func quotedEnds(_ frame: RawSpan, at offset: Int, _ ports: (UInt16, UInt16)) -> ProbeEnds? {
        let addresses: (IPAddress, IPAddress)
        if family == .ipv4 {
            guard let header = IPv4View(frame, at: offset) else { return nil }
            addresses = (header.sourceAddress, header.destinationAddress)
        } else {
            guard let header = IPv6View(frame, at: offset) else { return nil }
            addresses = (header.sourceAddress, header.destinationAddress)
        }
        return ProbeEnds(
            source: addresses.0, destination: addresses.1, sourcePort: ports.0, destinationPort: ports.1)
    }

    /// The octets behind the network header that every ICMP error quotes (RFC 792).
    private static let leastQuoted = 8
    /// The beginning of a payload.
    private static let firstWord = HeaderField<UInt32>(0)
}

/// The network header of a frame, and the beginning of the transport header. The frame may be cut off behind that.
struct NetworkHead {
    let family: AddressFamily
    let source: IPAddress
    let destination: IPAddress
    let protocolNumber: UInt8
    let transportOffset: Int

    /// nil if there is none, and for later fragments, which have no transport header.
    init?(_ frame: RawSpan) {
        guard let ethernet = EthernetView(frame) else { return nil }
        switch ethernet.type {
        case EtherType.ipv4:
            guard let header = IPv4View(frame, at: EthernetView.length), header.version == 4,
                header.fragment != .later
            else { return nil }
            family = .ipv4
            source = header.sourceAddress
            destination = header.destinationAddress
            protocolNumber = header.protocol
            transportOffset = EthernetView.length + header.headerLength
        case EtherType.ipv6:
            guard let header = IPv6View(frame, at: EthernetView.length), header.version == 6 else { return nil }
            family = .ipv6
            source = header.sourceAddress
            destination = header.destinationAddress
            protocolNumber = header.nextHeader
            transportOffset = EthernetView.length + IPv6View.length
        default: return nil
        }
    }
}
