/// The fields of a fast-path frame that forwarding needs, read with the fewest memory reads.
///
/// It gives the same result as `PacketFields.parse`, or leaves the frame to that: unusual or wrong frames are not
/// plain. Rewriting it gives the same octets as rewriting by `PacketFields`.
public struct FastPathPacket {
    /// One of the fast path's kinds.
    public private(set) var kind = FrameKind.udp4
    /// Addresses, protocol and ports.
    public private(set) var flow = FlowFields()
    /// The state of the transport checksum field.
    public private(set) var checksum = ChecksumState.full
    /// The octets of the network packet, header included.
    public private(set) var packetLength = 0
    /// Where the network header begins, from the Ethernet header on.
    public private(set) var networkOffset = EthernetView.length

    /// Nothing.
    public init() {}

    /// The octets of the headers that a rewrite of addresses may edit, from the Ethernet header on.
    @inlinable @inline(__always)
    public var headerLength: Int { networkOffset &+ kind.headerLength }

    /// Reads a frame that is one packet, not to be segmented.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    ///   - kind: The frame's kind, from `FrameKind`; not `other`.
    ///   - networkOffset: Where the network header begins, from the Ethernet header on.
    /// - Returns: False if it is not plain, or not a packet.
    public mutating func read(
        _ start: UnsafeRawPointer, _ length: Int, _ kind: FrameKind, at networkOffset: Int
    ) -> Bool {
        // Nearly all packets begin right behind the Ethernet header. For them the place of every field is a constant.
        networkOffset == EthernetView.length
            ? readPacket(start, length, kind, at: EthernetView.length)
            : readPacket(start, length, kind, at: networkOffset)
    }

    /// Does what `read` says. It is compiled into `read` twice: for the constant offset, and for any other.
    @inline(__always)
    private mutating func readPacket(
        _ start: UnsafeRawPointer, _ length: Int, _ kind: FrameKind, at networkOffset: Int
    ) -> Bool {
        let frame = start + VirtioNetHeader.length
        let network = frame + networkOffset
        let available = length &- VirtioNetHeader.length &- networkOffset
        // Read eight octets that end with the source. The address is the last six.
        let source = MACAddress(bits: frame.big(HeaderField<UInt64>(EthernetHeader.sourceAddress.offset &- 2)))
        guard !source.isMulticast, !source.isZero else { return false }
        let end: Int
        if kind.family == .ipv4 {
            end = Int(network.big(IPv4Header.totalLength))
            guard network.big(IPv4Header.timeToLive) != 0, FastPathSums.ipv4Header(network) == 0xFFFF else {
                return false
            }
            let (from, to) = (network.big(IPv4Header.sourceAddress), network.big(IPv4Header.destinationAddress))
            // Multicast, broadcast or loopback: seldom, and looked at with care elsewhere.
            guard from >> 28 < 0xE, from >> 24 != 127, to >> 24 != 127, to != 0 else { return false }
            flow.source = IPAddress(ipv4: from)
            flow.destination = IPAddress(ipv4: to)
        } else {
            end = IPv6View.length &+ Int(network.big(IPv6Header.payloadLength))
            let (high, low) = (network.big(IPv6Header.sourceAddress.high), network.big(IPv6Header.sourceAddress.low))
            let toHigh = network.big(IPv6Header.destinationAddress.high)
            let toLow = network.big(IPv6Header.destinationAddress.low)
            guard network.big(IPv6Header.hopLimit) != 0, high >> 56 != 0xFF, high | low >> 1 != 0,
                toHigh | toLow >> 1 != 0
            else { return false }
            flow.source = IPAddress(ipv6High: high, low: low)
            flow.destination = IPAddress(ipv6High: toHigh, low: toLow)
        }
        let transport = network + kind.networkLength
        guard end <= available, end >= kind.headerLength else { return false }
        if kind.isTCP {
            let headerLength = TCPHeader.length(transport.big(TCPHeader.dataOffset))
            guard headerLength >= TCPView.minimumLength, kind.networkLength &+ headerLength <= end else { return false }
        } else {
            let datagram = Int(transport.big(UDPHeader.datagramLength))
            guard datagram >= UDPView.length, kind.networkLength &+ datagram <= end else { return false }
        }
        guard readOffload(start, networkOffset &+ available, networkOffset, networkOffset &+ kind.networkLength) else {
            return false
        }
        self.kind = kind
        self.networkOffset = networkOffset
        packetLength = end
        flow.protocolNumber = kind.protocolNumber
        flow.hasPorts = true
        flow.sourcePort = transport.big(PortHeader.sourcePort)
        flow.destinationPort = transport.big(PortHeader.destinationPort)
        return true
    }

    /// False if the `virtio_net_hdr` lies, or asks for more than a checksum.
    ///
    /// - Parameters:
    ///   - available: The octets of the frame that are there.
    ///   - network: Where the network header begins, from the Ethernet header on.
    ///   - transport: Where the TCP or UDP header begins, from the Ethernet header on.
    @inline(__always)
    private mutating func readOffload(
        _ start: UnsafeRawPointer, _ available: Int, _ network: Int, _ transport: Int
    ) -> Bool {
        checksum = .full
        // All ten octets are zero where nothing is asked for.
        if start.raw(0, UInt64.self) == 0, start.raw(8, UInt16.self) == 0 { return true }
        guard start.raw(VirtioNetHeader.gsoType) == VirtioNetHeader.gsoNone,
            Int(start.raw(VirtioNetHeader.headerLength)) <= available
        else { return false }
        guard start.raw(VirtioNetHeader.flags) & VirtioNetHeader.needsChecksum != 0 else { return true }
        let from = Int(start.raw(VirtioNetHeader.checksumStart))
        guard from >= network, from &+ Int(start.raw(VirtioNetHeader.checksumOffset)) &+ 2 <= available else {
            return false
        }
        if from == transport { checksum = .partial }
        return true
    }

    /// Writes the Ethernet addresses, and clears what the `virtio_net_hdr` says of the way in: only a checksum to be
    /// completed is a request.
    ///
    /// - Parameter start: A `virtio_net_hdr` and an Ethernet header, which must be there (not checked).
    @inlinable @inline(__always)
    public static func address(
        _ start: UnsafeMutableRawPointer, to destination: MACAddress, from source: MACAddress
    ) {
        let flags = UnsafeRawPointer(start).raw(VirtioNetHeader.flags) & VirtioNetHeader.needsChecksum
        start.storeRaw(flags, to: VirtioNetHeader.flags)
        let frame = start + VirtioNetHeader.length
        // Both addresses in two writes: the destination with the beginning of the source, and the source's end.
        let first = HeaderField<UInt64>(EthernetHeader.destinationAddress.offset)
        frame.storeBig(destination.bits << 16 | source.bits >> 32, to: first)
        frame.storeBig(UInt32(truncatingIfNeeded: source.bits), to: HeaderField<UInt32>(first.offset &+ 8))
    }

    /// Rewrites the destination, as `PacketFields.rewriteDestination` does.
    ///
    /// - Parameters:
    ///   - address: An address of the packet's family (not checked).
    ///   - start: The `virtio_net_hdr` and the `headerLength` octets of the packet (not checked).
    ///   - checksum: The state of the transport checksum field there.
    public func rewriteDestination(
        to address: IPAddress, in start: UnsafeMutableRawPointer, checksum: ChecksumState
    ) {
        rewrite(
            start, IPv4Header.destinationAddress, IPv6Header.destinationAddress, from: flow.destination, to: address,
            checksum)
    }

    /// Rewrites the source, as `PacketFields.rewriteSource` does. Parameters as for the destination.
    public func rewriteSource(to address: IPAddress, in start: UnsafeMutableRawPointer, checksum: ChecksumState) {
        rewrite(start, IPv4Header.sourceAddress, IPv6Header.sourceAddress, from: flow.source, to: address, checksum)
    }

    /// Writes an address to the field of the packet's family, and updates the checksums.
    @inline(__always)
    private func rewrite(
        _ start: UnsafeMutableRawPointer, _ ipv4: HeaderField<UInt32>, _ ipv6: HeaderField<IPAddress>,
        from old: IPAddress, to new: IPAddress, _ checksum: ChecksumState
    ) {
        let network = start + (VirtioNetHeader.length &+ networkOffset)
        let change = ChecksumChange(from: old, to: new)
        if kind.family == .ipv4 {
            network.storeBig(new.ipv4Bits, to: ipv4)
            let before = UnsafeRawPointer(network).big(IPv4Header.headerChecksum)
            network.storeBig(change.applied(to: before, .full), to: IPv4Header.headerChecksum)
        } else {
            network.storeBig(new.high, to: ipv6.high)
            network.storeBig(new.low, to: ipv6.low)
        }
        let field = HeaderField<UInt16>(kind.networkLength &+ kind.checksumOffset)
        let before = UnsafeRawPointer(network).big(field)
        network.storeBig(change.applied(toTransport: before, kind.protocolNumber, checksum), to: field)
    }
}

/// Sums of packets of the fast path's kinds, by their network header.
enum FastPathSums {
    /// The folded sum of an IPv4 header without options: 0xFFFF where it is right.
    @inline(__always)
    static func ipv4Header(_ network: UnsafeRawPointer) -> UInt16 {
        // All twenty octets are summed as the machine reads them: only the result has a byte order (RFC 1071, section
        // 2).
        let words: (UInt64, UInt64, UInt32) = (network.raw(0), network.raw(8), network.raw(16))
        let sum = (words.0 & 0xFFFF_FFFF) &+ (words.0 >> 32) &+ (words.1 & 0xFFFF_FFFF) &+ (words.1 >> 32)
        return UInt16(bigEndian: InternetChecksum.fold(sum &+ UInt64(words.2)))
    }

    /// The sum of the pseudo-header of a kind of the fast path, not folded.
    ///
    /// - Parameter length: The octets from the TCP or UDP header on.
    @inline(__always)
    static func pseudoHeader(_ network: UnsafeRawPointer, _ kind: FrameKind, _ length: Int) -> UInt64 {
        var sum = UInt64(kind.protocolNumber) &+ UInt64(truncatingIfNeeded: length)
        if kind.family == .ipv4 {
            return sum &+ UInt64(network.big(IPv4Header.sourceAddress))
                &+ UInt64(network.big(IPv4Header.destinationAddress))
        }
        // The destination follows the source, and ends the header.
        for word in stride(from: IPv6Header.sourceAddress.offset, to: IPv6Header.length, by: 4) {
            sum &+= UInt64(network.big(HeaderField<UInt32>(word)))
        }
        return sum
    }
}
