/// The answer to an echo request (RFC 792, RFC 4443 section 4.2): the same data, back to its sender.
public enum EchoReply {
    /// Writes the reply to `request`, without its IP options or extension headers, with its traffic class and DF flag.
    ///
    /// The checksum is computed anew, so a request whose checksum is partial is answered in full.
    ///
    /// - Parameters:
    ///   - request: The frame that `fields` was parsed from.
    ///   - mac: The Ethernet source of the reply; it goes to the request's.
    ///   - checksum: The state of the request's checksum; a request with a wrong full checksum is not answered.
    /// - Returns: The frame's length in octets. 0 if the request is not a whole echo request to a unicast address. 0 if
    ///   `frame` has no room for the reply.
    public static func write(
        into frame: inout MutableRawSpan, answering request: RawSpan, _ fields: PacketFields, from mac: MACAddress,
        checksum: ChecksumState = .full, hopLimit: UInt8 = 64
    ) -> Int {
        guard fields.message == .echoRequest, fields.fragment == .whole, fields.end <= request.byteCount,
            !fields.flow.source.isUnspecified, !fields.flow.destination.isMulticast,
            !fields.flow.destination.isLimitedBroadcast,
            checksum == .partial || fields.controlChecksumIsValid(request)
        else { return 0 }
        let length = fields.end - fields.transportOffset
        let network = EthernetView.length
        let start = network + (fields.family == .ipv4 ? IPv4View.minimumLength : IPv6View.length)
        guard frame.byteCount >= start + length else { return 0 }
        EthernetView.write(&frame, destination: fields.sourceMAC, source: mac, type: fields.etherType)
        switch fields.family {
        case .ipv4:
            guard let header = IPv4View(request, at: fields.networkOffset) else { return 0 }
            IPv4View.write(
                &frame, at: network, source: fields.flow.destination, destination: fields.flow.source,
                protocolNumber: IPProtocol.icmp, totalLength: IPv4View.minimumLength + length, timeToLive: hopLimit,
                typeOfService: header.typeOfService, identification: header.identification,
                flagsAndFragmentOffset: header.flagsAndFragmentOffset & IPv4View.dontFragmentBit)
        case .ipv6:
            guard let header = IPv6View(request, at: fields.networkOffset) else { return 0 }
            IPv6View.write(
                &frame, at: network, source: fields.flow.destination, destination: fields.flow.source,
                nextHeader: IPProtocol.icmpv6, payloadLength: length, hopLimit: hopLimit,
                trafficClass: header.trafficClass)
        }
        frame.copy(request, fields.transportOffset..<fields.end, to: start)
        frame.store(ICMPView.echoReply(fields.family), to: ICMPHeader.type, at: start)
        ICMPView.writeChecksum(
            &frame, at: start, length: length, source: fields.flow.destination, destination: fields.flow.source,
            family: fields.family)
        return start + length
    }
}
