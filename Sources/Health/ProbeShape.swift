import Wire

/// A probe: an ICMP echo request or a UDP datagram that goes through an instance, or to it. It ends in a
/// `ProbeTrailer`, has correct checksums, and is padded with zeros to a size.
public struct ProbeShape: Sendable, Hashable {
    /// The upper-layer protocol.
    public enum Kind: Sendable, Hashable {
        /// An echo request. The answer is the reply.
        case echo
        /// A datagram. The answer has the ports exchanged.
        case udp(source: UInt16, destination: UInt16)
    }

    /// The longest frame, in octets. So filters that look for probes can skip all longer frames.
    public static let longestFrame = 256
    /// The longest packet, in octets.
    public static let longestPacket = longestFrame - EthernetView.length

    /// The upper-layer protocol.
    public var kind: Kind
    /// The packet's source.
    public var source: IPAddress
    /// The packet's destination, of the same family.
    public var destination: IPAddress
    /// The size of the network-layer packet, in octets.
    public var size: Int
    /// IPv4's time to live, IPv6's hop limit.
    public var hopLimit: UInt8
    /// IPv4's type of service, IPv6's traffic class.
    public var trafficClass: UInt8

    /// - Parameters:
    ///   - size: In octets. A size that is too small for headers and trailer, or larger than `longestPacket`, becomes
    ///     the nearest possible one.
    public init(
        kind: Kind = .echo, source: IPAddress, destination: IPAddress, size: Int = 84, hopLimit: UInt8 = 64,
        trafficClass: UInt8 = 0
    ) {
        self.kind = kind
        self.source = source
        self.destination = destination
        self.size = min(max(size, Self.smallest(destination.family)), Self.longestPacket)
        self.hopLimit = hopLimit
        self.trafficClass = trafficClass
    }

    /// The size of the smallest packet, in octets: its headers and the trailer.
    public static func smallest(_ family: AddressFamily) -> Int {
        networkLength(family) + UDPView.length + ProbeTrailer.length
    }

    private static func networkLength(_ family: AddressFamily) -> Int {
        family == .ipv4 ? IPv4View.minimumLength : IPv6View.length
    }

    /// Writes the frame of one probe.
    ///
    /// Each probe has an echo identifier and sequence number of its own. So a stateful firewall sees a new flow each
    /// time, and treats it like a new flow of a customer.
    ///
    /// - Returns: The length of the frame in octets; 0 if `frame` has no room for it.
    public func write(
        into frame: inout MutableRawSpan, to destinationMAC: MACAddress, from sourceMAC: MACAddress,
        _ trailer: ProbeTrailer
    ) -> Int {
        let end = EthernetView.length + size
        guard frame.byteCount >= end, source.family == destination.family else { return 0 }
        let family = destination.family
        let start = EthernetView.length + Self.networkLength(family)
        Self.clear(&frame, start..<end)
        EthernetView.write(
            &frame, destination: destinationMAC, source: sourceMAC,
            type: family == .ipv4 ? EtherType.ipv4 : EtherType.ipv6)
        writeNetworkHeader(&frame, source, destination, length: end - start, trailer)
        trailer.write(&frame, before: end)
        switch kind {
        case .echo:
            frame.store(ICMPView.echoRequest(family), to: ICMPHeader.type, at: start)
            let identifier = UInt16(truncatingIfNeeded: trailer.probe ^ trailer.number)
            frame.store(identifier, to: ICMPHeader.identifier, at: start)
            frame.store(UInt16(truncatingIfNeeded: trailer.number), to: ICMPHeader.sequenceNumber, at: start)
            ICMPView.writeChecksum(
                &frame, at: start, length: end - start, source: source, destination: destination, family: family)
        case .udp(let sourcePort, let destinationPort):
            frame.store(sourcePort, to: UDPHeader.sourcePort, at: start)
            frame.store(destinationPort, to: UDPHeader.destinationPort, at: start)
            Self.writeUDPEnd(&frame, at: start, end: end, source, destination)
        }
        return end
    }

    private static func clear(_ frame: inout MutableRawSpan, _ range: Range<Int>) {
        var offset = range.lowerBound
        while offset + 8 <= range.upperBound {
            frame.store(0 as UInt64, at: offset)
            offset += 8
        }
        while offset < range.upperBound {
            frame.store(0 as UInt8, at: offset)
            offset += 1
        }
    }

    private func writeNetworkHeader(
        _ frame: inout MutableRawSpan, _ source: IPAddress, _ destination: IPAddress, length: Int,
        _ trailer: ProbeTrailer
    ) {
        let protocolNumber =
            switch kind {
            case .udp: IPProtocol.udp
            case .echo: destination.family == .ipv4 ? IPProtocol.icmp : IPProtocol.icmpv6
            }
        if destination.family == .ipv4 {
            IPv4View.write(
                &frame, at: EthernetView.length, source: source, destination: destination,
                protocolNumber: protocolNumber, totalLength: IPv4View.minimumLength + length, timeToLive: hopLimit,
                typeOfService: trafficClass, identification: UInt16(truncatingIfNeeded: trailer.number))
        } else {
            IPv6View.write(
                &frame, at: EthernetView.length, source: source, destination: destination, nextHeader: protocolNumber,
                payloadLength: length, hopLimit: hopLimit, trafficClass: trafficClass)
        }
    }

    /// Length and checksum of the datagram from `start` to `end`.
    private static func writeUDPEnd(
        _ frame: inout MutableRawSpan, at start: Int, end: Int, _ source: IPAddress, _ destination: IPAddress
    ) {
        frame.store(UInt16(truncatingIfNeeded: end - start), to: UDPHeader.datagramLength, at: start)
        let sum = InternetChecksum.pseudoHeader(
            source: source, destination: destination, protocolNumber: IPProtocol.udp, length: end - start)
        frame.store(InternetChecksum.fold(sum), to: UDPHeader.checksum, at: start)
        InternetChecksum.complete(&frame, start: start, offset: UDPHeader.checksum.offset, end: end)
    }

    /// Writes the answer to a probe, as the probe came out. It goes to the probe's source, whatever was translated on
    /// its way.
    ///
    /// - Returns: The length in octets; 0 if `request` is no whole probe with the right checksum, or `frame` has no
    ///   room.
    public func writeAnswer(
        into frame: inout MutableRawSpan, to request: RawSpan, destinationMAC: MACAddress, sourceMAC: MACAddress,
        token: UInt64
    ) -> Int {
        var fields = PacketFields()
        guard var trailer = ProbeTrailer(request, token: token), fields.parse(request) == .packet,
            fields.end == request.byteCount, fields.fragment == .whole
        else { return 0 }
        trailer.isAnswer = true
        let back = (source: fields.flow.destination, destination: fields.flow.source)
        if fields.message == .echoRequest {
            let end = EchoReply.write(into: &frame, answering: request, fields, from: sourceMAC, hopLimit: hopLimit)
            guard end >= ProbeTrailer.length else { return 0 }
            EthernetView.rewrite(&frame, destination: destinationMAC, source: sourceMAC)
            trailer.write(&frame, before: end)
            let start = EthernetView.length + Self.networkLength(fields.family)
            ICMPView.writeChecksum(
                &frame, at: start, length: end - start, source: back.source, destination: back.destination,
                family: fields.family)
            return end
        }
        let length = fields.end - fields.transportOffset
        let start = EthernetView.length + Self.networkLength(fields.family)
        guard fields.flow.protocolNumber == IPProtocol.udp, fields.flow.hasPorts, frame.byteCount >= start + length,
            length >= UDPView.length + ProbeTrailer.length, Self.isWhole(request, fields)
        else { return 0 }
        let end = start + length
        Self.clear(&frame, start..<end)
        EthernetView.write(&frame, destination: destinationMAC, source: sourceMAC, type: fields.etherType)
        writeNetworkHeader(&frame, back.source, back.destination, length: length, trailer)
        frame.store(fields.flow.destinationPort, to: UDPHeader.sourcePort, at: start)
        frame.store(fields.flow.sourcePort, to: UDPHeader.destinationPort, at: start)
        trailer.write(&frame, before: end)
        Self.writeUDPEnd(&frame, at: start, end: end, back.source, back.destination)
        return end
    }

    /// True if the datagram's checksum is right, or absent.
    private static func isWhole(_ frame: RawSpan, _ fields: PacketFields) -> Bool {
        guard let header = UDPView(frame, at: fields.transportOffset),
            header.length == fields.end - fields.transportOffset
        else { return false }
        guard header.checksum != 0 else { return fields.family == .ipv4 }
        let sum = InternetChecksum.pseudoHeader(
            source: fields.flow.source, destination: fields.flow.destination, protocolNumber: IPProtocol.udp,
            length: header.length)
        return InternetChecksum.sum(frame, fields.transportOffset..<fields.end, adding: sum) == 0xFFFF
    }
}
