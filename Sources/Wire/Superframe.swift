// The superframe that a run of frames is sent as: one packet with all their payloads, and a `virtio_net_hdr` that tells
// the kernel how to cut it into the frames that they were.

extension FlowJoiner {
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
        writeLengths(run, target + VirtioNetHeader.length, last: last + VirtioNetHeader.length)
    }

    @inline(__always)
    private func writeOffload(_ run: borrowing Run, _ target: UnsafeMutableRawPointer) {
        let type =
            switch run.kind {
            case .tcp4: VirtioNetHeader.gsoTCPv4
            case .tcp6: VirtioNetHeader.gsoTCPv6
            case .udp4, .udp6, .other: VirtioNetHeader.gsoUDPL4
            }
        target.storeBytes(of: VirtioNetHeader.needsChecksum, toByteOffset: 0, as: UInt8.self)
        target.storeBytes(of: type, toByteOffset: 1, as: UInt8.self)
        target.storeBytes(of: UInt16(truncatingIfNeeded: run.headers), toByteOffset: 2, as: UInt16.self)
        target.storeBytes(of: UInt16(truncatingIfNeeded: run.segment), toByteOffset: 4, as: UInt16.self)
        target.storeBytes(
            of: UInt16(truncatingIfNeeded: run.kind.transportOffset), toByteOffset: 6, as: UInt16.self)
        target.storeBytes(of: UInt16(truncatingIfNeeded: run.kind.checksumOffset), toByteOffset: 8, as: UInt16.self)
    }

    /// The lengths, what the last segment's flags say, and the checksums: the IPv4 header's in full, the transport's as
    /// the sum of its pseudo-header, which segmentation completes for every segment.
    @inline(__always)
    private func writeLengths(_ run: borrowing Run, _ frame: UnsafeMutableRawPointer, last: UnsafeRawPointer) {
        let transport = run.kind.transportOffset
        let total = Int(run.headers) &+ Int(run.payload)
        if run.kind.family == .ipv4 {
            frame.storeBig(UInt16(truncatingIfNeeded: total &- EthernetView.length), 16)
            frame.storeBig(0 as UInt16, 24)
            frame.storeBig(~PlainSums.ipv4Header(frame), 24)
        } else {
            frame.storeBig(UInt16(truncatingIfNeeded: total &- EthernetView.length &- IPv6View.length), 18)
        }
        if run.kind.isTCP {
            frame.storeBytes(of: last.octet(transport &+ 13), toByteOffset: transport &+ 13, as: UInt8.self)
        } else {
            frame.storeBig(UInt16(truncatingIfNeeded: total &- transport), transport &+ 4)
        }
        let pseudo = PlainSums.pseudoHeader(frame, run.kind, total &- transport)
        frame.storeBig(InternetChecksum.fold(pseudo), transport &+ run.kind.checksumOffset)
    }
}
