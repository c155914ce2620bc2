// The superframe of a run: one packet with the payloads of all frames. Its `virtio_net_hdr` tells the kernel how to
// split it into the original frames (GSO).

extension FrameCoalescer {
    /// Octets of the superframe of a run, its `virtio_net_hdr` among them.
    @inlinable
    public func superframeLength(of run: borrowing Run) -> Int {
        VirtioNetHeader.length &+ Int(run.headers) &+ Int(run.payload)
    }

    /// Writes the superframe of a run.
    ///
    /// - Parameters:
    ///   - run: More than one frame.
    ///   - target: `superframeLength(of:)` octets (not checked).
    public func write(_ run: borrowing Run, to target: UnsafeMutableRawPointer) {
        let headers = VirtioNetHeader.length &+ Int(run.headers)
        target.copyMemory(from: run.start, byteCount: headers)
        var place = target + headers
        var frame = run.first
        var last = UnsafeRawPointer(run.start)
        for _ in 0..<run.count {
            let link = links[Int(frame)]
            last = UnsafeRawPointer(link.start)
            let payload = Int(link.length) &- headers
            place.copyMemory(from: last + headers, byteCount: payload)
            place += payload
            frame = link.next
        }
        writeOffload(run, target)
        let network = VirtioNetHeader.length &+ run.networkOffset
        writeLengths(run, target + network, last: last + network)
    }

    @inline(__always)
    private func writeOffload(_ run: borrowing Run, _ target: UnsafeMutableRawPointer) {
        let type =
            switch run.kind {
            case .tcp4: VirtioNetHeader.gsoTCPv4
            case .tcp6: VirtioNetHeader.gsoTCPv6
            case .udp4, .udp6, .other: VirtioNetHeader.gsoUDPL4
            }
        let transport = run.networkOffset &+ run.kind.networkLength
        target.storeRaw(VirtioNetHeader.needsChecksum, to: VirtioNetHeader.flags)
        target.storeRaw(type, to: VirtioNetHeader.gsoType)
        target.storeRaw(UInt16(truncatingIfNeeded: run.headers), to: VirtioNetHeader.headerLength)
        target.storeRaw(UInt16(truncatingIfNeeded: run.segment), to: VirtioNetHeader.gsoSize)
        target.storeRaw(UInt16(truncatingIfNeeded: transport), to: VirtioNetHeader.checksumStart)
        target.storeRaw(UInt16(truncatingIfNeeded: run.kind.checksumOffset), to: VirtioNetHeader.checksumOffset)
    }

    /// The lengths, what the last segment's flags say, and the checksums: the IPv4 header's in full, the transport's as
    /// the sum of its pseudo-header, which segmentation completes for every segment.
    ///
    /// - Parameters:
    ///   - network: The superframe's network header.
    ///   - last: The last frame's network header.
    @inline(__always)
    private func writeLengths(_ run: borrowing Run, _ network: UnsafeMutableRawPointer, last: UnsafeRawPointer) {
        let total = Int(run.headers) &+ Int(run.payload) &- run.networkOffset
        if run.kind.family == .ipv4 {
            network.storeBig(UInt16(truncatingIfNeeded: total), to: IPv4Header.totalLength)
            network.storeBig(0, to: IPv4Header.headerChecksum)
            network.storeBig(~FastPathSums.ipv4Header(network), to: IPv4Header.headerChecksum)
        } else {
            network.storeBig(UInt16(truncatingIfNeeded: total &- IPv6View.length), to: IPv6Header.payloadLength)
        }
        let transport = network + run.kind.networkLength
        let length = total &- run.kind.networkLength
        if run.kind.isTCP {
            let bits = (last + run.kind.networkLength).raw(TCPHeader.controlBits)
            transport.storeRaw(bits, to: TCPHeader.controlBits)
        } else {
            transport.storeBig(UInt16(truncatingIfNeeded: length), to: UDPHeader.datagramLength)
        }
        let pseudo = FastPathSums.pseudoHeader(network, run.kind, length)
        transport.storeBig(InternetChecksum.fold(pseudo), to: HeaderField<UInt16>(run.kind.checksumOffset))
    }
}
