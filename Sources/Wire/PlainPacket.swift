/// What forwarding asks of a frame of one of the plain kinds, read by the least number of looks.
///
/// It says of such a frame what `PacketFields.parse` says, or leaves it to that: whatever is unusual or wrong is not
/// plain. Rewriting it gives the octets that rewriting by `PacketFields` gives.
public struct PlainPacket {
    /// One of the plain kinds.
    public private(set) var kind = FrameKind.udp4
    /// Addresses, protocol and ports.
    public private(set) var flow = FlowFields()
    /// What the transport checksum field holds.
    public private(set) var checksum = ChecksumState.full
    /// The octets of the network packet, header included.
    public private(set) var packetLength = 0

    /// Nothing.
    public init() {}

    /// Reads a frame that is one packet, not to be segmented.
    ///
    /// - Parameters:
    ///   - start: The frame's `virtio_net_hdr`.
    ///   - length: The octets that are there, the `virtio_net_hdr` among them.
    ///   - kind: What `FrameKind` found it to be; not `other`.
    /// - Returns: False where it is not plain, or not a packet.
    public mutating func read(_ start: UnsafeRawPointer, _ length: Int, _ kind: FrameKind) -> Bool {
        let frame = start + VirtioNetHeader.length
        let available = length &- VirtioNetHeader.length
        // The least significant bit of the first octet: a group. A zero source is nobody's.
        let source = frame.big64(4) & 0xFFFF_FFFF_FFFF
        guard source & 0x0100_0000_0000 == 0, source != 0 else { return false }
        var end = EthernetView.length
        if kind.family == .ipv4 {
            end &+= Int(frame.big16(16))
            guard frame.octet(22) != 0, PlainSums.ipv4Header(frame) == 0xFFFF else { return false }
            let (from, to) = (frame.big32(26), frame.big32(30))
            // Multicast, broadcast or loopback: seldom, and looked at with care elsewhere.
            guard from >> 28 < 0xE, from >> 24 != 127, to >> 24 != 127, to != 0 else { return false }
            flow.source = IPAddress(ipv4: from)
            flow.destination = IPAddress(ipv4: to)
        } else {
            end &+= IPv6View.length &+ Int(frame.big16(18))
            let (high, low) = (frame.big64(22), frame.big64(30))
            let (toHigh, toLow) = (frame.big64(38), frame.big64(46))
            guard frame.octet(21) != 0, high >> 56 != 0xFF, high | low >> 1 != 0, toHigh | toLow >> 1 != 0 else {
                return false
            }
            flow.source = IPAddress(ipv6High: high, low: low)
            flow.destination = IPAddress(ipv6High: toHigh, low: toLow)
        }
        let transport = kind.transportOffset
        guard end <= available, end >= kind.headerLength else { return false }
        if kind.isTCP {
            let headerLength = Int(frame.octet(transport &+ 12) >> 4) << 2
            guard headerLength >= TCPView.minimumLength, transport &+ headerLength <= end else { return false }
        } else {
            let datagram = Int(frame.big16(transport &+ 4))
            guard datagram >= UDPView.length, transport &+ datagram <= end else { return false }
        }
        guard readOffload(start, available, transport) else { return false }
        self.kind = kind
        packetLength = end &- EthernetView.length
        flow.protocolNumber = kind.protocolNumber
        flow.hasPorts = true
        flow.sourcePort = frame.big16(transport)
        flow.destinationPort = frame.big16(transport &+ 2)
        return true
    }

    /// False where the `virtio_net_hdr` lies, or asks for more than a checksum.
    @inline(__always)
    private mutating func readOffload(_ start: UnsafeRawPointer, _ available: Int, _ transport: Int) -> Bool {
        checksum = .full
        if start.raw(0, UInt64.self) == 0, start.raw(8, UInt16.self) == 0 { return true }
        guard start.octet(1) == VirtioNetHeader.gsoNone, Int(start.raw(2, UInt16.self)) <= available else {
            return false
        }
        guard start.octet(0) & VirtioNetHeader.needsChecksum != 0 else { return true }
        let from = Int(start.raw(6, UInt16.self))
        guard from >= EthernetView.length, from &+ Int(start.raw(8, UInt16.self)) &+ 2 <= available else {
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
        let flags = start.load(as: UInt8.self) & VirtioNetHeader.needsChecksum
        start.storeBytes(of: flags, as: UInt8.self)
        let frame = start + VirtioNetHeader.length
        frame.storeBig(destination.bits << 16 | source.bits >> 32, 0)
        frame.storeBig(UInt32(truncatingIfNeeded: source.bits), 8)
    }

    /// Rewrites the destination, as `PacketFields.rewriteDestination` does.
    ///
    /// - Parameters:
    ///   - address: An address of the packet's family (not checked).
    ///   - start: The `virtio_net_hdr` and the `headerLength` octets of the packet's kind (not checked).
    ///   - checksum: What the transport checksum field there holds.
    public func rewriteDestination(
        to address: IPAddress, in start: UnsafeMutableRawPointer, checksum: ChecksumState
    ) {
        rewrite(
            start + VirtioNetHeader.length, kind.family == .ipv4 ? 30 : 38, from: flow.destination, to: address,
            checksum)
    }

    /// Rewrites the source, as `PacketFields.rewriteSource` does. Parameters as for the destination.
    public func rewriteSource(to address: IPAddress, in start: UnsafeMutableRawPointer, checksum: ChecksumState) {
        rewrite(
            start + VirtioNetHeader.length, kind.family == .ipv4 ? 26 : 22, from: flow.source, to: address, checksum)
    }

    @inline(__always)
    private func rewrite(
        _ frame: UnsafeMutableRawPointer, _ offset: Int, from old: IPAddress, to new: IPAddress,
        _ checksum: ChecksumState
    ) {
        let change = ChecksumChange(from: old, to: new)
        if kind.family == .ipv4 {
            frame.storeBig(new.ipv4Bits, offset)
            frame.storeBig(change.applied(to: UnsafeRawPointer(frame).big16(24), .full), 24)
        } else {
            frame.storeBig(new.high, offset)
            frame.storeBig(new.low, offset &+ 8)
        }
        let field = kind.transportOffset &+ kind.checksumOffset
        let before = UnsafeRawPointer(frame).big16(field)
        frame.storeBig(change.applied(toTransport: before, kind.protocolNumber, checksum), field)
    }
}

/// Sums of frames whose length was checked before.
enum PlainSums {
    /// The folded sum of an IPv4 header without options: 0xFFFF where it is right.
    @inline(__always)
    static func ipv4Header(_ frame: UnsafeRawPointer) -> UInt16 {
        // Summed as the machine reads them: only the result has a byte order (RFC 1071, section 2).
        let words: (UInt64, UInt64, UInt32) = (frame.raw(14), frame.raw(22), frame.raw(30))
        let sum = (words.0 & 0xFFFF_FFFF) &+ (words.0 >> 32) &+ (words.1 & 0xFFFF_FFFF) &+ (words.1 >> 32)
        return UInt16(bigEndian: InternetChecksum.fold(sum &+ UInt64(words.2)))
    }

    /// The sum of the pseudo-header of a plain kind, not folded.
    ///
    /// - Parameter length: The octets from the TCP or UDP header on.
    @inline(__always)
    static func pseudoHeader(_ frame: UnsafeRawPointer, _ kind: FrameKind, _ length: Int) -> UInt64 {
        var sum = UInt64(kind.protocolNumber) &+ UInt64(truncatingIfNeeded: length)
        if kind.family == .ipv4 {
            return sum &+ UInt64(frame.big32(26)) &+ UInt64(frame.big32(30))
        }
        for offset in stride(from: 22, to: 54, by: 4) { sum &+= UInt64(frame.big32(offset)) }
        return sum
    }
}
