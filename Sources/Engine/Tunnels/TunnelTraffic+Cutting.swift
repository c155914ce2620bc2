import Forwarding
import Wire

// A device that takes segments in tunnels is given those of other tunnels, too, and senders may give the kernel several datagrams at
// once. Both are cut here as the kernel would, before it is known what they are. They are rare.

extension TunnelTraffic {
    /// Keeps the frames from `index` on for later batches. What comes behind a frame that must be cut stays behind it.
    @inline(never)
    mutating func setAside(_ batch: borrowing FrameBatch, from index: Int) {
        restCount = batch.count &- index
        restInterface = batch.interface
        cut = 0
        rest.initialize(from: batch.frames + index, count: restCount)
    }

    /// The next frames that were set aside, cut if they must be, as many as there is room for.
    @inline(never)
    mutating func resume(_ batch: inout FrameBatch) {
        batch.interface = restInterface
        batch.truncated = 0
        batch.closed = false
        batch.count = 0
        var used = 0
        while restFirst < restCount, batch.count < FrameBatch.capacity {
            let frame = rest[restFirst]
            let octets = UnsafeRawBufferPointer(
                start: frame.start + VirtioNetHeader.length, count: max(0, frame.length &- VirtioNetHeader.length))
            guard let offload = Self.offload(of: frame), offload.mustBeCut, let whole = octets.baseAddress,
                let shape = Segmentation.Shape(octets.bytes, offload)
            else {
                // One that cannot be cut is dropped for its offload header, by whoever takes it.
                batch.frames[batch.count] = frame
                batch.count &+= 1
                restFirst &+= 1
                continue
            }
            while cut < shape.count, batch.count < FrameBatch.capacity {
                let length = shape.length(of: cut) &+ VirtioNetHeader.length
                guard used &+ length <= Self.roomSize else { return }
                let start = room + used
                start.storeBytes(of: 0, as: UInt64.self)
                start.storeBytes(of: 0, toByteOffset: 8, as: UInt16.self)
                shape.write(cut, of: whole, to: start + VirtioNetHeader.length)
                batch.frames[batch.count] = ReceivedFrame(start: start, length: length)
                batch.count &+= 1
                cut &+= 1
                used = (used &+ length &+ 63) & ~63
            }
            guard cut == shape.count else { return }
            cut = 0
            restFirst &+= 1
        }
    }

    private static func offload(of frame: ReceivedFrame) -> VirtioNetHeader? {
        VirtioNetHeader(UnsafeRawBufferPointer(start: frame.start, count: frame.length).bytes)
    }

    /// How many packets a received frame is.
    static func packets(of frame: ReceivedFrame) -> Int {
        guard let offload = offload(of: frame), offload.isSegmented else { return 1 }
        let octets = UnsafeRawBufferPointer(
            start: frame.start + VirtioNetHeader.length, count: frame.length &- VirtioNetHeader.length)
        return Segmentation.Shape(octets.bytes, offload)?.count ?? 1
    }
}

extension VirtioNetHeader {
    /// True if it is of datagrams of UDP, or of segments in a tunnel.
    fileprivate var mustBeCut: Bool { gsoType == Self.gsoUDPL4 || gsoType & Self.gsoTunnel != 0 }

    /// The header of the inner frame, which begins at `offset` of the frame that this is the header of.
    ///
    /// - Returns: Nil if it does not fit that.
    @inline(__always)
    func taken(out offset: Int) -> VirtioNetHeader? {
        guard let inner = UInt16(exactly: offset), checksumStart >= inner else { return nil }
        var left = VirtioNetHeader()
        left.flags = Self.needsChecksum
        left.gsoType = gsoType & ~Self.gsoTunnel
        left.gsoSize = gsoSize
        left.checksumStart = checksumStart &- inner
        left.checksumOffset = checksumOffset
        return left
    }
}
