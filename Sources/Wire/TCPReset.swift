/// The reset that answers a TCP segment whose destination no longer takes it (RFC 9293, section 3.10.7.1).
public enum TCPReset {
    /// The most octets of a frame with a reset, of either family.
    @inlinable public static var maximumFrameLength: Int {
        EthernetView.length + IPv6View.length + TCPView.minimumLength
    }

    /// Writes the reset that `segment` is answered with, as if from its destination.
    ///
    /// - Parameters:
    ///   - frame: Of `maximumFrameLength` octets or more. Every octet of the reset is written, whatever was there.
    ///   - segment: The frame that `fields` was parsed from.
    ///   - mac: The Ethernet source of the reset; it goes to the segment's.
    /// - Returns: The frame's length; 0 if the segment is a reset itself, a fragment, or not TCP between two hosts.
    public static func write(
        into frame: inout MutableRawSpan, answering segment: RawSpan, _ fields: PacketFields, from mac: MACAddress,
        hopLimit: UInt8 = 64
    ) -> Int {
        guard fields.transportProtocol == IPProtocol.tcp, fields.fragment == .whole, fields.end <= segment.byteCount,
            !fields.flow.destination.isMulticast, !fields.flow.source.isUnspecified,
            let header = TCPView(segment, at: fields.transportOffset), header.controlBits & TCPView.rst == 0
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
                flagsAndFragmentOffset: IPv4View.dontFragmentBit)
        case .ipv6:
            IPv6View.write(
                &frame, at: network, source: fields.flow.destination, destination: fields.flow.source,
                nextHeader: IPProtocol.tcp, payloadLength: length, hopLimit: hopLimit)
        }
        frame.store(header.destinationPort, to: TCPHeader.sourcePort, at: start)
        frame.store(header.sourcePort, to: TCPHeader.destinationPort, at: start)
        if header.controlBits & TCPView.ack != 0 {
            frame.store(header.acknowledgmentNumber, to: TCPHeader.sequenceNumber, at: start)
            frame.store(0, to: TCPHeader.acknowledgmentNumber, at: start)
            frame.store(TCPView.rst, to: TCPHeader.controlBits, at: start)
        } else {
            let payload = max(0, fields.end - fields.transportOffset - header.headerLength)
            // SYN and FIN take a sequence number each.
            let ends = (header.controlBits & (TCPView.syn | TCPView.fin)).nonzeroBitCount
            let next = header.sequenceNumber &+ UInt32(truncatingIfNeeded: payload + ends)
            frame.store(0, to: TCPHeader.sequenceNumber, at: start)
            frame.store(next, to: TCPHeader.acknowledgmentNumber, at: start)
            frame.store(TCPView.rst | TCPView.ack, to: TCPHeader.controlBits, at: start)
        }
        frame.store(UInt8(length / 4) << 4, to: TCPHeader.dataOffset, at: start)
        frame.store(0, to: TCPHeader.window, at: start)
        frame.store(0, to: TCPHeader.urgentPointer, at: start)
        frame.store(0, to: TCPHeader.checksum, at: start)
        let pseudo = InternetChecksum.pseudoHeader(
            source: fields.flow.destination, destination: fields.flow.source, protocolNumber: IPProtocol.tcp,
            length: length)
        let sum = InternetChecksum.sum(frame.bytes, start..<start + length, adding: pseudo)
        frame.store(~sum, to: TCPHeader.checksum, at: start)
        return start + length
    }
}
