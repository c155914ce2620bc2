// Service ports that an application has elsewhere: the destination port on the way in, the source port on the way out, with
// every checksum that covers them.

extension PacketFields {
    /// True if the packet, or the one that it quotes, is a fragment of a protocol with ports. The later fragments of a datagram
    /// have no ports, so no translation treats all of them alike.
    public var dividesPorts: Bool {
        if hasQuoted { return quotedFragment != .whole && IPProtocol.hasPorts(quoted.protocolNumber) }
        return fragment != .whole && IPProtocol.hasPorts(flow.protocolNumber)
    }

    /// Shifts the service port of the packet.
    ///
    /// An ICMP error belongs to the flow that it quotes, seen from its other end: the quoted packet's other port is shifted, so
    /// that the receiver knows its own packet. All checksums that cover what changed are updated (RFC 1624): the transport's; of
    /// an error, the quoted transport's as far as the quote goes, and the ICMP message's. A wrong checksum stays wrong by as much.
    /// A UDP checksum of zero stays zero. A partial checksum does not cover the ports, so it stays as it is.
    ///
    /// It may follow a rewrite of addresses in the same header: the checksums are read from there.
    ///
    /// - Parameters:
    ///   - side: The service port's side in `lookupFlow`.
    ///   - header: The first `headerLength` octets, or more, of the frame that these fields were parsed from.
    ///   - checksum: The state of the packet's own transport checksum field.
    /// - Returns: False, with nothing changed, if there are no ports, an authentication header covers them, a checksum over all
    ///   of the payload covers them (SCTP), or `header` is too short.
    @discardableResult
    public func shiftPort(
        _ side: PortSide, by shift: PortShift, in header: inout MutableRawSpan, checksum: ChecksumState
    ) -> Bool {
        if shift.isNone { return true }
        guard header.byteCount >= headerLength else { return false }
        if hasQuoted { return shiftQuotedPort(side, by: shift, in: &header, checksum: checksum) }
        guard flow.hasPorts, !bindings.contains(.authenticated),
            let place = IPProtocol.pseudoHeaderChecksumOffset(transportProtocol, family)
        else { return false }
        let change = Self.shiftPort(&header, at: transportOffset, side, by: shift)
        if checksum == .full {
            let field = transportOffset &+ place
            header.store(change.applied(toTransport: header.uint16(at: field), transportProtocol, .full), at: field)
        }
        return true
    }

    /// Shifts the port of the quoted packet, in which source and destination have changed places.
    private func shiftQuotedPort(
        _ side: PortSide, by shift: PortShift, in header: inout MutableRawSpan, checksum: ChecksumState
    ) -> Bool {
        guard quoted.hasPorts, !bindings.contains(.authenticated), !quotedBindings.contains(.authenticated),
            IPProtocol.pseudoHeaderChecksumOffset(quotedTransportProtocol, family) != nil
        else { return false }
        let quotedSide: PortSide = side == .source ? .destination : .source
        var message = Self.shiftPort(&header, at: quotedTransportOffset, quotedSide, by: shift)
        if let field = quotedChecksumOffset {
            let before = header.uint16(at: field)
            let after = message.applied(toTransport: before, quotedTransportProtocol, .full)
            header.store(after, at: field)
            message.add(from: before, to: after)
        }
        // What a device sums later needs no update.
        if checksum == .full {
            let field = transportOffset &+ ICMPHeader.checksum.offset
            header.store(message.applied(to: header.uint16(at: field), .full), at: field)
        }
        return true
    }

    /// Replaces one port of a transport header.
    private static func shiftPort(
        _ header: inout MutableRawSpan, at transport: Int, _ side: PortSide, by shift: PortShift
    ) -> ChecksumChange {
        let field = transport &+ (side == .source ? PortHeader.sourcePort.offset : PortHeader.destinationPort.offset)
        let before = header.uint16(at: field)
        let after = shift.applied(to: before)
        header.store(after, at: field)
        var change = ChecksumChange()
        change.add(from: before, to: after)
        return change
    }
}

extension FastPathPacket {
    /// Shifts the service port, as `PacketFields.shiftPort` does.
    ///
    /// - Parameters:
    ///   - start: The `virtio_net_hdr` and the `headerLength` octets of the packet (not checked).
    ///   - checksum: The state of the transport checksum field there.
    public func shiftPort(
        _ side: PortSide, by shift: PortShift, in start: UnsafeMutableRawPointer, checksum: ChecksumState
    ) {
        let network = start + (VirtioNetHeader.length &+ networkOffset)
        let before = side == .source ? flow.sourcePort : flow.destinationPort
        let after = shift.applied(to: before)
        let port = side == .source ? PortHeader.sourcePort : PortHeader.destinationPort
        network.storeBig(after, to: HeaderField<UInt16>(kind.networkLength &+ port.offset))
        guard checksum == .full else { return }
        var change = ChecksumChange()
        change.add(from: before, to: after)
        let field = HeaderField<UInt16>(kind.networkLength &+ kind.checksumOffset)
        let sum = UnsafeRawPointer(network).big(field)
        network.storeBig(change.applied(toTransport: sum, kind.protocolNumber, .full), to: field)
    }
}
