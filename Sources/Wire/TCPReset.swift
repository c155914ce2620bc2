/// The reset that answers a TCP segment whose destination takes it no more (RFC 9293, section 3.10.7.1).
public enum TCPReset {
    /// The most octets of a frame with a reset, of either family.
    public static let maximumFrameLength = EthernetView.length + IPv6View.length + TCPView.minimumLength

    /// Writes the reset that `segment` is answered with, as if from its destination.
    ///
    /// - Parameters:
    ///   - frame: Of `maximumFrameLength` octets or more, zeroed.
    ///   - segment: The frame that `fields` was parsed from.
    ///   - mac: The Ethernet source of the reset; it goes to the segment's.
    /// - Returns: The frame's length; 0 where the segment is a reset itself, a fragment, or not TCP between two hosts.
    public static func write(
        into frame: inout MutableRawSpan, answering segment: RawSpan, _ fields: PacketFields, from mac: MACAddress,
        hopLimit: UInt8 = 64
    ) -> Int {
        guard fields.transportProtocol == IPProtocol.tcp, fields.fragment == .whole, fields.end <= segment.byteCount,
            !fields.flow.destination.isMulticast, !fields.flow.source.isUnspecified,
            let header = TCPView(segment, at: fields.transportOffset), header.flags & TCPView.rst == 0
        else { return 0 }
        let network = EthernetView.length
        let start = network + (fields.family == .ipv4 ? IPv4View.minimumLength : IPv6View.length)
        let length = TCPView.minimumLength
        guard frame.byteCount >= start + length else { return 0 }
        EthernetView.write(&frame, destination: fields.sourceMAC, source: mac, type: fields.etherType)
        switch fields.family {
        case .ipv4:
            IPv4View.write(
                &frame, at: network, source: fields.flow.destination, destination: fields.flow.source,
                protocolNumber: IPProtocol.tcp, totalLength: IPv4View.minimumLength + length, timeToLive: hopLimit,
                fragmentWord: IPv4View.dontFragmentBit)
        case .ipv6:
            IPv6View.write(
                &frame, at: network, source: fields.flow.destination, destination: fields.flow.source,
                nextHeader: IPProtocol.tcp, payloadLength: length, hopLimit: hopLimit)
        }
        frame.store(header.destinationPort, at: start)
        frame.store(header.sourcePort, at: start + 2)
        if header.flags & TCPView.ack != 0 {
            frame.store(header.acknowledgmentNumber, at: start + 4)
            frame.store(0 as UInt32, at: start + 8)
            frame.store(TCPView.rst, at: start + 13)
        } else {
            let payload = max(0, fields.end - fields.transportOffset - header.headerLength)
            let taken = payload + (header.flags & TCPView.syn != 0 ? 1 : 0) + (header.flags & TCPView.fin != 0 ? 1 : 0)
            frame.store(0 as UInt32, at: start + 4)
            frame.store(header.sequenceNumber &+ UInt32(truncatingIfNeeded: taken), at: start + 8)
            frame.store(TCPView.rst | TCPView.ack, at: start + 13)
        }
        frame.store(UInt8(length / 4) << 4, at: start + 12)
        frame.store(0 as UInt16, at: start + TCPView.checksumOffset)
        let pseudo = InternetChecksum.pseudoHeader(
            source: fields.flow.destination, destination: fields.flow.source, protocolNumber: IPProtocol.tcp,
            length: length)
        let sum = InternetChecksum.sum(frame.bytes, start..<start + length, adding: pseudo)
        frame.store(~sum, at: start + TCPView.checksumOffset)
        return start + length
    }
}
