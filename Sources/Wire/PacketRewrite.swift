// Network send addresses: the destination on the way in, the source on the way out, with every checksum that covers them.

extension PacketFields {
    /// Rewrites a request so that it goes to `address` in place of the service address.
    ///
    /// The packet's destination becomes `address`. An ICMP error on its way to the service side quotes a response that
    /// came from the service address: the quoted source becomes `address` too, so that the application knows its own
    /// packet. All checksums that cover what changed are updated (RFC 1624): IPv4 header, transport, quoted IPv4
    /// header, quoted transport as far as the quote goes, and the ICMP message around it. A UDP checksum of zero stays
    /// zero. In later fragments only the IP header changes. A packet cannot be rewritten if its authentication header
    /// covers the destination or its list of stops names it.
    ///
    /// - Parameters:
    ///   - address: An address of the packet's family.
    ///   - header: The first `headerLength` octets, or more, of the frame that these fields were parsed from.
    ///   - checksum: The state of the packet's own transport checksum field.
    /// - Returns: False, with nothing changed, where the family differs, `header` is too short, or the packet is bound to
    ///   its destination.
    @discardableResult
    public func rewriteDestination(
        to address: IPAddress, in header: inout MutableRawSpan, checksum: ChecksumState
    ) -> Bool {
        guard address.family == family, header.byteCount >= headerLength,
            bindings.isDisjoint(with: [.routed, .authenticated]),
            !hasQuoted || quotedBindings.isDisjoint(with: [.away, .authenticated])
        else { return false }
        var message = ChecksumChange()
        if hasQuoted {
            message = rewriteQuoted(
                &header, at: family == .ipv4 ? IPv4Header.sourceAddress.offset : IPv6Header.sourceAddress.offset,
                from: quoted.source, to: address)
        }
        rewriteOuter(
            &header, at: family == .ipv4 ? IPv4Header.destinationAddress.offset : IPv6Header.destinationAddress.offset,
            from: flow.destination, to: address, message, checksum)
        return true
    }

    /// Rewrites a response so that it comes from the service address `address` in place of the application's.
    ///
    /// The packet's source becomes `address`. An ICMP error on its way to the customer quotes a request that went to
    /// the application's address. The quoted destination becomes `address`. The source of the error changes only if it
    /// is the application's, too: a router behind it keeps its own. Checksums as for `rewriteDestination`.
    ///
    /// - Parameters:
    ///   - address: An address of the packet's family.
    ///   - header: The first `headerLength` octets, or more, of the frame that these fields were parsed from.
    ///   - checksum: The state of the packet's own transport checksum field.
    /// - Returns: False, with nothing changed, where the family differs, `header` is too short, or the packet is bound to
    ///   its source.
    @discardableResult
    public func rewriteSource(
        to address: IPAddress, in header: inout MutableRawSpan, checksum: ChecksumState
    ) -> Bool {
        guard address.family == family, header.byteCount >= headerLength,
            bindings.isDisjoint(with: [.away, .authenticated]),
            !hasQuoted || quotedBindings.isDisjoint(with: [.routed, .authenticated])
        else { return false }
        var message = ChecksumChange()
        var source = address
        if hasQuoted {
            message = rewriteQuoted(
                &header,
                at: family == .ipv4 ? IPv4Header.destinationAddress.offset : IPv6Header.destinationAddress.offset,
                from: quoted.destination, to: address)
            if flow.source != quoted.destination { source = flow.source }
        }
        rewriteOuter(
            &header, at: family == .ipv4 ? IPv4Header.sourceAddress.offset : IPv6Header.sourceAddress.offset,
            from: flow.source, to: source, message, checksum)
        return true
    }

    /// Replaces one address of the packet, and updates its checksums for that and for what changed in its message.
    private func rewriteOuter(
        _ header: inout MutableRawSpan, at offset: Int, from old: IPAddress, to new: IPAddress,
        _ message: ChecksumChange, _ checksum: ChecksumState
    ) {
        let change = ChecksumChange(from: old, to: new)
        header.store(new, at: networkOffset &+ offset)
        if family == .ipv4 {
            let field = networkOffset &+ IPv4Header.headerChecksum.offset
            header.store(change.applied(to: header.uint16(at: field), .full), at: field)
        }
        guard fragment != .later else { return }
        if let place = IPProtocol.pseudoHeaderChecksumOffset(transportProtocol, family) {
            // A partial checksum is the pseudo-header's sum: what changed in the message is summed later.
            var total = change
            if checksum == .full { total.add(message) }
            Self.update(&header, transportOffset &+ place, transportProtocol, total, checksum)
        } else if hasQuoted, checksum == .full {
            let field = transportOffset &+ ICMPHeader.checksum.offset
            header.store(message.applied(to: header.uint16(at: field), .full), at: field)
        }
    }

    /// Replaces one address of the quoted packet, and its checksums as far as the quote reaches.
    ///
    /// The quoted transport checksum counts as a full one. The sender of the error may have quoted a packet whose
    /// checksum its network card had yet to complete. Such a field has no meaning before or after.
    ///
    /// - Returns: The change of the sum over the octets that the ICMP checksum covers.
    private func rewriteQuoted(
        _ header: inout MutableRawSpan, at offset: Int, from old: IPAddress, to new: IPAddress
    ) -> ChecksumChange {
        let change = ChecksumChange(from: old, to: new)
        var message = change
        header.store(new, at: quotedNetworkOffset &+ offset)
        if family == .ipv4 {
            let field = quotedNetworkOffset &+ IPv4Header.headerChecksum.offset
            let before = header.uint16(at: field)
            let after = change.applied(to: before, .full)
            header.store(after, at: field)
            message.add(from: before, to: after)
        }
        if let field = quotedChecksumOffset {
            let before = header.uint16(at: field)
            Self.update(&header, field, quotedTransportProtocol, change, .full)
            message.add(from: before, to: header.uint16(at: field))
        }
        return message
    }

    /// Updates a transport checksum field.
    @inline(__always)
    private static func update(
        _ header: inout MutableRawSpan, _ field: Int, _ protocolNumber: UInt8, _ change: ChecksumChange,
        _ state: ChecksumState
    ) {
        header.store(
            change.applied(toTransport: header.uint16(at: field), protocolNumber, state), at: field)
    }
}
