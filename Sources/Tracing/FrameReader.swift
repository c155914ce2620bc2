import Engine
import Wire

/// Reads captured heads of frames. What was cut off reads as zeros, so lengths are judged as the engine judged them.
struct FrameReader {
    /// What a frame is.
    enum Reading {
        /// The packets of a frame: several for a superframe of UDP.
        case packets([TracedPacket])
        /// ARP or neighbour discovery.
        case neighbour
        /// Neither ARP nor IP, or malformed, or cut off inside its headers.
        case unread
    }

    /// How much is read of a frame with several packets.
    enum Detail {
        /// Every packet.
        case all
        /// The first one, and what all are known again by (`keys`).
        case first
    }

    /// The fields of the last frame.
    private(set) var fields = PacketFields()
    /// What the packets of the last frame are known again by; empty if too little of it was there.
    private(set) var keys = PacketKeys()
    private var scratch = [UInt8](repeating: 0, count: frameSlotSize + VirtioNetHeader.length)
    private var used = 0

    /// Reads a frame behind its `virtio_net_hdr`.
    mutating func read(_ frame: CapturedFrame, _ detail: Detail = .all) -> Reading {
        keys.removeAll()
        let captured = min(frame.octets.count, frame.length, scratch.count)
        let length = min(frame.length, scratch.count)
        guard captured >= VirtioNetHeader.length + EthernetView.length else {
            fields = PacketFields()
            return .unread
        }
        if captured == length {
            return frame.octets.withUnsafeBytes { octets in
                Self.read(UnsafeRawBufferPointer(rebasing: octets[..<length]), captured, detail, &fields, &keys)
            }
        }
        scratch.withUnsafeMutableBytes { scratch in
            frame.octets.withUnsafeBytes { scratch.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<captured])) }
            if used > captured { scratch[captured..<used].initializeMemory(as: UInt8.self, repeating: 0) }
        }
        used = captured
        return scratch.withUnsafeBytes { octets in
            Self.read(UnsafeRawBufferPointer(rebasing: octets[..<length]), captured, detail, &fields, &keys)
        }
    }

    private static func read(
        _ whole: UnsafeRawBufferPointer, _ captured: Int, _ detail: Detail, _ fields: inout PacketFields,
        _ keys: inout PacketKeys
    ) -> Reading {
        guard let offload = VirtioNetHeader(whole.bytes) else { return .unread }
        let octets = UnsafeRawBufferPointer(rebasing: whole[VirtioNetHeader.length...])
        switch fields.parse(octets.bytes) {
        case .packet: break
        case .arp: return .neighbour
        case .unsupported, .malformed: return .unread
        }
        if fields.message == .neighbourDiscovery { return .neighbour }
        guard fields.headerLength <= captured - VirtioNetHeader.length else { return .unread }
        return .packets(packets(octets, fields, offload, captured: captured - VirtioNetHeader.length, detail, &keys))
    }

    private static func packets(
        _ octets: UnsafeRawBufferPointer, _ fields: PacketFields, _ offload: VirtioNetHeader, captured: Int,
        _ detail: Detail, _ keys: inout PacketKeys
    ) -> [TracedPacket] {
        var packet = TracedPacket(flow: fields.flow, lookup: fields.lookupFlow)
        packet.length = fields.packetLength
        packet.fragment = fields.fragment
        if let ports = fields.firstPorts {
            (packet.flow.sourcePort, packet.flow.destinationPort) = ports
            packet.flow.hasPorts = true
        }
        readPlace(octets.bytes, fields, &packet)
        guard fields.fragment != .later else {
            if let key = packet.likeness { keys.append(key) }
            return [packet]
        }
        let payload = readTransport(octets.bytes, fields, &packet)
        let size = offload.isSegmented && fields.fragment == .whole ? Int(offload.gsoSize) : 0
        packet.payloadLength = max(0, fields.end - payload)
        if packet.segment != nil, fields.fragment == .whole {
            let bits = packet.segment?.controlBits ?? 0
            let control = (bits & TCPView.syn != 0 ? 1 : 0) + (bits & TCPView.fin != 0 ? 1 : 0)
            packet.segment?.length = packet.payloadLength + control
            packet.segment?.segmentSize = size
            if size > 0 { packet.packets = max(1, (packet.payloadLength + size - 1) / size) }
        }
        guard size > 0, packet.protocolNumber == IPProtocol.udp, packet.payloadLength > size else {
            packet.digest = digest(octets, payload, packet.payloadLength, captured)
            packet.start = start(octets.bytes, fields, packet)
            if let key = packet.likeness { keys.append(key) }
            return [packet]
        }
        packet.superframe = TracedPacket.Superframe(identification: packet.identification, length: packet.length)
        let datagrams = (packet.payloadLength + size - 1) / size
        note(packet, size, datagrams, at: payload, of: octets, captured, &keys)
        return (0..<(detail == .all ? datagrams : 1)).map { index in
            var datagram = packet
            datagram.payloadLength = min(size, packet.payloadLength - index * size)
            datagram.octets = 0..<packet.headerLength + datagram.payloadLength
            datagram.length = packet.length - packet.payloadLength + datagram.payloadLength
            datagram.identification = identification(of: index, in: packet)
            datagram.digest = digest(octets, payload + index * size, datagram.payloadLength, captured)
            datagram.start = datagram.digest.map {
                TracedPacket.Start(
                    protocolNumber: IPProtocol.udp, number: UInt32(UDPView.length + datagram.payloadLength), digest: $0)
            }
            return datagram
        }
    }

    private static func identification(of index: Int, in superframe: TracedPacket) -> UInt32 {
        guard superframe.flow.source.family == .ipv4, superframe.identification != 0 else {
            return superframe.identification
        }
        return (superframe.identification + UInt32(index)) & 0xFFFF
    }

    /// Notes what the datagrams of a superframe are known again by, up to the first of which too little was captured.
    private static func note(
        _ superframe: TracedPacket, _ size: Int, _ datagrams: Int, at payload: Int, of octets: UnsafeRawBufferPointer,
        _ captured: Int, _ keys: inout PacketKeys
    ) {
        for index in 0..<datagrams {
            let length = min(size, superframe.payloadLength - index * size)
            guard let digest = digest(octets, payload + index * size, length, captured) else { return }
            keys.append(
                Likeness(
                    superframe.protocolNumber, identification: identification(of: index, in: superframe), kind: 0,
                    number: digest, length: length
                ).hash)
        }
    }

    /// The identification, and the place in the datagram.
    private static func readPlace(_ frame: RawSpan, _ fields: PacketFields, _ packet: inout TracedPacket) {
        let length = fields.end - fields.transportOffset
        packet.octets = 0..<length
        if fields.family == .ipv4 {
            guard let header = IPv4View(frame, at: fields.networkOffset) else { return }
            packet.identification = UInt32(header.identification)
            packet.octets = header.fragmentOffset..<header.fragmentOffset + length
            packet.isLast = !header.moreFragments
        } else if fields.fragment != .whole {
            packet.identification = fields.identification
            packet.isLast = false
            guard fields.fragment == .later else { return }
            // The fragment header (RFC 8200, section 4.5) stands right before a later fragment's data.
            let word = Int(frame.uint16(at: fields.transportOffset - 6))
            packet.octets = word & ~7..<(word & ~7) + length
            packet.isLast = word & 1 == 0
        }
    }

    /// Reads the upper-layer header.
    ///
    /// - Returns: Where the payload begins.
    private static func readTransport(_ frame: RawSpan, _ fields: PacketFields, _ packet: inout TracedPacket) -> Int {
        let start = fields.transportOffset
        packet.message = fields.message
        if fields.message != .none { (packet.icmpType, packet.icmpCode) = (fields.icmpType, fields.icmpCode) }
        switch fields.transportProtocol {
        case IPProtocol.tcp:
            guard let header = TCPView(frame, at: start) else { break }
            packet.headerLength = header.headerLength
            if fields.fragment == .whole {
                packet.segment = TracedPacket.Segment(
                    sequence: header.sequenceNumber, acknowledgment: header.acknowledgmentNumber, length: 0,
                    controlBits: header.controlBits, timestamp: timestamp(frame, start, header.headerLength),
                    segmentSize: 0)
            }
        case IPProtocol.udp: packet.headerLength = UDPView.length
        case IPProtocol.icmp, IPProtocol.icmpv6:
            guard fields.message != .none, let header = ICMPView(frame, at: start) else { break }
            packet.headerLength = ICMPView.length
            packet.icmpWord = header.word
            if fields.hasQuoted { packet.quote = quote(frame, fields) }
        default: break
        }
        return start + packet.headerLength
    }

    /// The beginning of a datagram that is, or may become, fragments.
    private static func start(_ frame: RawSpan, _ fields: PacketFields, _ packet: TracedPacket) -> TracedPacket.Start? {
        guard let digest = packet.digest, packet.payloadLength > 0, packet.message != .error else { return nil }
        let start = fields.transportOffset
        var number: UInt32 = 0
        switch fields.transportProtocol {
        case IPProtocol.tcp: number = TCPView(frame, at: start)?.sequenceNumber ?? 0
        case IPProtocol.udp: number = start + UDPView.length <= fields.end ? UInt32(frame.uint16(at: start + 4)) : 0
        // Translation may change the identifier.
        case IPProtocol.icmp, IPProtocol.icmpv6: number = UInt32(packet.icmpType) << 16 | packet.icmpWord & 0xFFFF
        default: break
        }
        return TracedPacket.Start(protocolNumber: packet.protocolNumber, number: number, digest: digest)
    }

    private static func quote(_ frame: RawSpan, _ fields: PacketFields) -> TracedPacket.Quote {
        var quote = TracedPacket.Quote(flow: fields.quoted, number: 0, hasNumber: false)
        let start = fields.quotedTransportOffset
        let hasWord = fields.quotedFragment != .later && fields.quotedEnd >= start + 8
        switch fields.quotedTransportProtocol {
        case IPProtocol.tcp, IPProtocol.icmp, IPProtocol.icmpv6:
            guard hasWord else { break }
            quote.number = UInt32(frame.uint16(at: start + 4)) << 16 | UInt32(frame.uint16(at: start + 6))
            quote.hasNumber = true
        default:
            guard fields.family == .ipv4 else { break }
            quote.number = UInt32(frame.uint16(at: fields.quotedNetworkOffset + 4))
            quote.hasNumber = quote.number != 0
        }
        return quote
    }

    /// TSval of the time stamps option (RFC 7323, section 3.2).
    private static func timestamp(_ frame: RawSpan, _ start: Int, _ length: Int) -> UInt32? {
        var place = start + TCPView.minimumLength
        let end = min(start + length, frame.byteCount)
        while place < end {
            let kind = frame.unsafeLoad(fromByteOffset: place, as: UInt8.self)
            if kind == 0 { return nil }
            if kind == 1 {
                place += 1
                continue
            }
            guard place + 1 < end else { return nil }
            let size = Int(frame.unsafeLoad(fromByteOffset: place + 1, as: UInt8.self))
            guard size >= 2, place + size <= end else { return nil }
            if kind == 8, size == 10 {
                return UInt32(frame.uint16(at: place + 2)) << 16 | UInt32(frame.uint16(at: place + 4))
            }
            place += size
        }
        return nil
    }

    /// nil if not all of the digested octets were captured.
    private static func digest(_ octets: UnsafeRawBufferPointer, _ start: Int, _ length: Int, _ captured: Int)
        -> UInt64?
    {
        let count = min(length, PayloadDigest.octets)
        guard start + count <= captured else { return nil }
        return PayloadDigest.of(UnsafeRawBufferPointer(rebasing: octets[start..<start + count]))
    }
}

/// A digest of a payload's beginning, which no chain rewrites.
package enum PayloadDigest {
    /// The octets of payload that a digest covers at most.
    package static let octets = 32

    /// A hash of the first octets, and of how many there are.
    package static func of(_ payload: [UInt8]) -> UInt64 { payload.withUnsafeBytes { of($0) } }

    /// A hash of the first octets, and of how many there are.
    static func of(_ payload: UnsafeRawBufferPointer) -> UInt64 {
        let count = min(payload.count, octets)
        var hash = 0x9E37_79B9_7F4A_7C15 ^ UInt64(count)
        func add(_ value: UInt64) {
            hash = (hash ^ value) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash &>> 32
        }
        var place = 0
        while place &+ 8 <= count {
            add(payload.loadUnaligned(fromByteOffset: place, as: UInt64.self))
            place &+= 8
        }
        var rest: UInt64 = 0
        while place < count {
            rest = rest << 8 | UInt64(payload[place])
            place &+= 1
        }
        add(rest)
        return hash
    }
}

extension RawSpan {
    /// The big-endian integer at an offset; the caller has checked that its octets are there.
    fileprivate func uint16(at offset: Int) -> UInt16 { load(HeaderField<UInt16>(0), at: offset) }
}
